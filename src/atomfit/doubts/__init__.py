"""What speaks against an input before anything is fitted to it: values, voxels, views, starts.

`atomfit.check` and the jobs ask; others may `inspect` a map themselves. It imports `atomfit.projection`,
`atomfit.fitting` and what lies below, and nothing of `atomfit.selection` or `atomfit.statistics`.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.doubts.inspection import Inspection as Inspection
    from atomfit.doubts.inspection import inspect as inspect
else:
    export(
        __name__,
        {
            "inspection": ["Inspection", "inspect"],
        },
    )
