"""Two programs timed side by side.

On a machine that does other things as well, times vary by a factor of two while their ratio does not, if
the two are run in turn. So each repeat times both, one after the other, and gives one ratio.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pair:
    """Medians of two times (s), the median of their ratio, and its 10th and 90th percentile."""

    ours: float
    theirs: float
    ratio: float
    low: float
    high: float

    def cells(self) -> tuple[str, str, str]:
        """Milliseconds and ratio, for a table."""
        ratio = f"{self.ratio:.2f} ({self.low:.2f}-{self.high:.2f})"
        return f"{1e3 * self.ours:.2f}", f"{1e3 * self.theirs:.2f}", ratio


def paired(ours: Callable[[], object], theirs: Callable[[], object], repeats: int = 101) -> Pair:
    """Time two functions in turn; the first call of each, which may compile, does not count."""
    ours(), theirs()
    times = np.array([(seconds(ours), seconds(theirs)) for _ in range(repeats)])
    ratios = times[:, 0] / times[:, 1]
    first, second = np.median(times, axis=0)
    return Pair(first, second, float(np.median(ratios)), *np.quantile(ratios, [0.1, 0.9]))


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin
