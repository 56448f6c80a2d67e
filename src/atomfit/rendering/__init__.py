"""Atoms to a map: a differentiable renderer for fits, one for single maps, and a slow obvious reference."""

from atomfit.rendering.gaussians import Gaussians
from atomfit.rendering.host import render_map
from atomfit.rendering.reference import render_reference
from atomfit.rendering.windows import WindowPlan, bucket, plan_windows, render

__all__ = [
    "Gaussians",
    "WindowPlan",
    "bucket",
    "plan_windows",
    "render",
    "render_map",
    "render_reference",
]
