"""Which atoms are real, as the fitted model has it, and which element each is.

It imports `atomfit.projection`, `atomfit.fitting` and what lies below, and nothing of `atomfit.statistics`
or `atomfit.doubts`.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.selection.completion import Discarded as Discarded
    from atomfit.selection.completion import Selection as Selection
    from atomfit.selection.completion import Stage as Stage
    from atomfit.selection.completion import complete as complete
    from atomfit.selection.contour import Contour as Contour
    from atomfit.selection.contour import contour as contour
    from atomfit.selection.evidence import Decoys as Decoys
    from atomfit.selection.evidence import likelihood_ratios as likelihood_ratios
    from atomfit.selection.judgement import Judgement as Judgement
    from atomfit.selection.judgement import judge as judge
    from atomfit.selection.species import Species as Species
    from atomfit.selection.species import assign as assign
else:
    export(
        __name__,
        {
            "completion": ["Selection", "complete", "Discarded", "Stage"],
            "judgement": ["Judgement", "judge"],
            "evidence": ["Decoys", "likelihood_ratios"],
            "species": ["Species", "assign"],
            "contour": ["Contour", "contour"],
        },
    )
