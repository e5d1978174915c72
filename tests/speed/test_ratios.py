"""What is timed: ratios of medians within one run, printed and held to a bound. Run by `make speed`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dancebench.datasets.video import VideoReader, write_clip

pytestmark = pytest.mark.speed


def median_seconds(work: Callable[[], object], *, repeats: int = 5) -> float:
    """Median of several runs, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def show(what: str, ratio: float) -> None:
    print(f"\n{what}: {ratio:.2f}x")


def test_decord_serves_scattered_pairs_no_slower_than_pyav(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = tmp_path / "clip.mp4"
    write_clip(path, np.random.default_rng(0).integers(0, 256, (300, 128, 64, 3), np.uint8), 25)
    starts = range(5, 290, 18)
    wanted = [t for start in starts for t in (start, start + 1)]

    def read(decoder: str) -> None:
        with VideoReader(path, decoder=decoder) as reader:  # type: ignore[arg-type]
            reader.read(wanted)

    ratio = median_seconds(lambda: read("pyav")) / median_seconds(lambda: read("decord"))
    show("scattered pairs, decord over PyAV", ratio)
    assert ratio > 0.8
