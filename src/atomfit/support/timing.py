"""How long each stage of a job took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Wall times of named stages, in seconds, in the order in which they began."""

    def __init__(self, earlier: dict[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = dict(earlier or {})

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            passed = time.perf_counter() - begin
            self.seconds[stage] = self.seconds.get(stage, 0.0) + passed
