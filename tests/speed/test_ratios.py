"""Timings: ratios of medians within one process, printed and checked against a bound. Run by `make speed`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from speed.timing import medians, show

from dancebench.datasets.video.clips import VideoReader, write_clip
from dancebench.datasets.video.containers import open_video, read_header

pytestmark = pytest.mark.speed


def test_a_header_costs_a_fraction_of_opening_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    picture = np.random.default_rng(0).integers(0, 256, (144, 176, 3), np.uint8)
    write_clip(path, (np.roll(picture, k, axis=1) for k in range(300)), 25)

    def open_whole() -> None:
        with open_video(path):
            pass

    slower, faster = medians(open_whole, lambda: read_header(path), repeats=50)
    show("opening for decoding over reading the header", f"{slower / faster:.1f}x")
    assert slower / faster > 1.5


def test_decord_serves_scattered_pairs_no_slower_than_pyav(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = tmp_path / "clip.mp4"
    write_clip(path, np.random.default_rng(0).integers(0, 256, (300, 128, 64, 3), np.uint8), 25)
    starts = range(5, 290, 18)
    wanted = [t for start in starts for t in (start, start + 1)]

    def read(decoder: str) -> None:
        with VideoReader(path, decoder=decoder) as reader:  # type: ignore[arg-type]
            reader.read(wanted)

    slower, faster = medians(lambda: read("pyav"), lambda: read("decord"), repeats=5)
    ratio = slower / faster
    show("scattered pairs, decord over PyAV", f"{ratio:.2f}x")
    assert ratio > 0.8
