"""Atoms to a map: a differentiable renderer for fits, one for single maps, and a slow obvious reference.

`Gaussians` are what is drawn. A fit plans its windows once (`plan_windows`) and draws them again and again
(`render`); `render_map` does both for one map. It imports `atomfit.structure` and what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.rendering.canvas import MeasuringCanvas as MeasuringCanvas
    from atomfit.rendering.canvas import VoxelCanvas as VoxelCanvas
    from atomfit.rendering.gaussians import Gaussians as Gaussians
    from atomfit.rendering.host import render_map as render_map
    from atomfit.rendering.reference import render_reference as render_reference
    from atomfit.rendering.windows import WindowPlan as WindowPlan
    from atomfit.rendering.windows import bucket as bucket
    from atomfit.rendering.windows import plan_windows as plan_windows
    from atomfit.rendering.windows import render as render
else:
    export(
        __name__,
        {
            "gaussians": ["Gaussians"],
            "canvas": ["VoxelCanvas", "MeasuringCanvas"],
            "windows": ["WindowPlan", "plan_windows", "render", "bucket"],
            "host": ["render_map"],
            "reference": ["render_reference"],
        },
    )
