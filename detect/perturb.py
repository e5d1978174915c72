"""What happens to videos on their way: the frames of a clip in, the perturbed frames out.

In: RGB frames uint8 (H, W, 3), even height and width, in order. Out: frames of the same size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from dancebench.core.opencv import cv2
from dancebench.datasets.video import ENCODER, Frame, stream, write_clip


def compressed(frames: Iterable[Frame], fps: float, *, crf: int) -> Iterator[Frame]:
    """H.264 at a constant rate factor: 0 (lossless) to 51 (worst)."""
    with tempfile.TemporaryDirectory(prefix="dancebench-") as folder:
        path = Path(folder) / "compressed.mp4"
        write_clip(path, frames, fps, encoder=replace(ENCODER, crf=crf))
        yield from (frame for _, frame in stream(path))


def reduced(frames: Iterable[Frame], fps: float, *, factor: float) -> Iterator[Frame]:
    """Smaller by `factor` with area averaging, and back to the size with cubic interpolation."""
    for frame in frames:
        height, width = frame.shape[:2]
        small = max(1, round(width * factor)), max(1, round(height * factor))
        shrunk = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
        yield cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC)


def degraded_copy(frames: Frame, fps: float, generator: np.random.Generator) -> Frame:
    """A clip uint8 (T, H, W, 3) as it may come from outside: reduced to 0.4-1 of its size, then H.264 at CRF 24-42."""
    factor, crf = generator.uniform(0.4, 1.0), int(generator.integers(24, 43))
    return np.stack(list(compressed(reduced(frames, fps, factor=factor), fps, crf=crf)))
