"""How everything here is timed: medians of alternating calls, so that noise affects both sides alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def medians(first: Callable[[], object], second: Callable[[], object], *, repeats: int) -> tuple[float, float]:
    """Median seconds of both, after one warm-up call of each."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for work, kept in zip((first, second), times, strict=True):
            begin = time.perf_counter()
            work()
            if turn > 0:
                kept.append(time.perf_counter() - begin)
    return statistics.median(times[0]), statistics.median(times[1])


def show(what: str, figure: str) -> None:
    """Print a figure, for the record."""
    print(f"\n{what}: {figure}")
