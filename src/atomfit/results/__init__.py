"""What the jobs find, as data: writers, pages and figures know it, and it knows none of them.

It imports `atomfit.io` and what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.results.build import BuildResult as BuildResult
    from atomfit.results.columns import ColumnsResult as ColumnsResult
    from atomfit.results.compare import SeriesComparison as SeriesComparison
    from atomfit.results.followed import ModelSeries as ModelSeries
    from atomfit.results.heights import HeightsResult as HeightsResult
    from atomfit.results.heights import HeightsSeries as HeightsSeries
    from atomfit.results.series import PreparedSeries as PreparedSeries
    from atomfit.results.tilt import TiltResult as TiltResult
else:
    export(
        __name__,
        {
            "build": ["BuildResult"],
            "tilt": ["TiltResult"],
            "series": ["PreparedSeries"],
            "columns": ["ColumnsResult"],
            "heights": ["HeightsResult", "HeightsSeries"],
            "compare": ["SeriesComparison"],
            "followed": ["ModelSeries"],
        },
    )
