"""Atoms to a map: one fast differentiable renderer, one slow obvious reference."""

from atomfit.rendering.gaussians import Gaussians
from atomfit.rendering.reference import render_reference
from atomfit.rendering.windows import WindowPlan, bucket, plan_windows, render, render_map

__all__ = [
    "Gaussians",
    "WindowPlan",
    "bucket",
    "plan_windows",
    "render",
    "render_map",
    "render_reference",
]
