"""Contact sheets: an image and a side-by-side video of stick figures, real clip and fakes, to look at.

These are exports, not evidence: the video's metadata marks it as synthetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dancebench.benchmark.report.panels import SYNTHETIC, join_panels
from dancebench.benchmark.runs.synthesis import SynthesisResult
from dancebench.benchmark.runs.synthesis_record import read_body_points
from dancebench.core.files import write_bytes
from dancebench.core.opencv import cv2
from dancebench.datasets.pose.stick_figures import draw_stick_figure
from dancebench.datasets.video.clips import VideoReader, write_clip
from dancebench.datasets.video.upright import Frame


def save_sheet(path: Path, fake: SynthesisResult, *, moments: int = 4) -> None:
    """Write a PNG of stick figure, real and fake side by side, at evenly spaced times of the held-out span."""
    points = read_body_points(fake)
    size = (fake.real.height, fake.real.width)
    with VideoReader(fake.real_path) as real, VideoReader(fake.fake_path) as generated:
        chosen = np.linspace(0, len(real) - 1, moments + 2)[1:-1].round().astype(int)
        groups = [
            join_panels(
                [draw_stick_figure(points[t], size, size), real[t], generated[t]],
                ["sticks", "real", fake.job.method],
            )
            for t in chosen.tolist()
        ]
    gap = np.full((groups[0].shape[0], 12, 3), 255, np.uint8)
    sheet = np.hstack([part for group in groups for part in (group, gap)][:-1])
    encoded, data = cv2.imencode(".png", sheet[..., ::-1])
    assert encoded  # an 8-bit colour image always encodes
    write_bytes(path, data.tobytes())


def save_side_by_side(path: Path, fakes: Sequence[SynthesisResult]) -> None:
    """Write a video of the stick figures, the real clip and each method's fake of one subject, side by side."""
    first = fakes[0]
    points = read_body_points(first)
    size = (first.real.height, first.real.width)
    readers = [VideoReader(first.real_path), *(VideoReader(each.fake_path) for each in fakes)]
    labels = ["sticks", "real", *(each.job.method for each in fakes)]

    def frames() -> Iterator[Frame]:
        for t in range(first.real.n_frames):
            panels = [draw_stick_figure(points[t], size, size), *(reader[t] for reader in readers)]
            yield join_panels(panels, labels)

    write_clip(path, frames(), first.real.fps, metadata=SYNTHETIC)
    for reader in readers:
        reader.close()
