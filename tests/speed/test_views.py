"""How fast views are prepared, against the same reader that decodes and resizes. Run by `make speed`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from speed.timing import medians, show

from dancebench.datasets.video.decoding import Decoding, survey
from dancebench.datasets.video.frames import Letterbox
from dancebench.detect.inputs.recordings import open_recording
from dancebench.detect.inputs.view import STANDARD_SIZES, View, ViewName
from dancebench.detect.inputs.views import write_view

pytestmark = pytest.mark.speed
LEAST = 0.7
"""Rate of preparing whole frames, encoding included, over that of decoding and resizing them."""


@pytest.mark.parametrize("name", ["frame", "person", "face"])
def test_views_are_prepared_about_as_fast_as_frames_are_read(name: ViewName, tmp_path: Path) -> None:
    folder = os.environ.get("BENCH_REAL_CLIPS")
    clips = sorted(Path(folder).glob("*.mp4")) if folder else []
    if not clips:
        pytest.skip("BENCH_REAL_CLIPS names no folder with clips")
    if name != "frame":
        pytest.importorskip("mediapipe")
    view = View(name, *STANDARD_SIZES[name])

    def read() -> None:
        for clip in clips:
            found = survey(clip)
            letterbox = Letterbox((found.info.height, found.info.width), view.size)
            for decoded in Decoding(found):
                letterbox.apply(decoded.upright())

    def prepare() -> None:
        for clip in clips:
            write_view(open_recording(clip), view, 100, tmp_path / "view.mp4")

    plain, prepared = medians(read, prepare, repeats=3)
    ratio = plain / prepared
    show(f"views of {name}, prepared over decoded and resized", f"{ratio:.2f}x")
    if name == "frame":
        assert ratio >= LEAST
