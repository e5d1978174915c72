"""How everything here is timed: medians of alternating calls, so that noise affects both sides alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def medians(first: Callable[[], object], second: Callable[[], object], *, repeats: int) -> tuple[float, float]:
    """Median seconds of both, after one warm-up call of each."""
    both = medians_of({"first": first, "second": second}, repeats=repeats)
    return both["first"], both["second"]


def medians_of(works: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, float]:
    """Median seconds of each, by name, after one warm-up call of each."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            begin = time.perf_counter()
            work()
            if turn > 0:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(kept) for name, kept in times.items()}


def show(what: str, figure: str) -> None:
    """Print a figure, for the record."""
    print(f"\n{what}: {figure}")
