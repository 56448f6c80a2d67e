"""Is this result to be trusted? What every result is judged by, and what is said of it.

A result holds its `Verdict`. It imports `atomfit.selection`, `atomfit.statistics`, `atomfit.doubts` and
what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.verdict.findings import Finding as Finding
    from atomfit.verdict.findings import Verdict as Verdict
else:
    export(
        __name__,
        {
            "findings": ["Finding", "Verdict"],
        },
    )
