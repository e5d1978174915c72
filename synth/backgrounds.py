"""Another background behind a generated person: a picture or a video, in the size and at the rate of the fake."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dancebench.core.errors import BenchError, replace_undecodable
from dancebench.core.files import explain_read_error, read_bytes, sha256_file
from dancebench.core.opencv import cv2
from dancebench.datasets.video.frames import FrameSource, decode_image, is_single_picture, open_source
from dancebench.synth.base import Layers
from dancebench.synth.clip import Pixels

_EDGE: Final = 0.01
"""Width of the soft edge, of the frame's longer side; at least a pixel."""


@dataclass(frozen=True)
class Background:
    """What a person is put on.

    Attributes:
        label: Its file's name.
        sha256: Of the file, or of the frames of a folder.
        content: A picture, uint8 [h, w, 3], or a video.
    """

    label: str
    sha256: str
    content: Pixels | FrameSource

    def frames(self, size: tuple[int, int], fps: float) -> Iterator[Pixels]:
        """Frames without end, uint8 RGB [H, W, 3], at `fps`: a video begins again when it ends.

        Raises:
            BenchError: The video cannot be decoded.
        """
        if isinstance(self.content, np.ndarray):
            picture = cover(self.content, size)
            while True:
                yield picture
        for frame in _repeat(self.content, fps):
            yield cover(frame, size)


def open_background(path: Path) -> Background:
    """Open a picture, a video or a folder of images as a background.

    Raises:
        BenchError: There is none, or it cannot be read.
    """
    if not path.exists():
        raise BenchError(
            f"There is no background {path}.", hint="Name a picture or a video, or keep: the training clip's own."
        )
    label = replace_undecodable(path.name)
    try:
        single = is_single_picture(path)
        data = read_bytes(path) if single else b""
    except OSError as error:
        raise explain_read_error(path, error) from error
    if single:
        return Background(label, sha256_file(path), decode_image(path, data))
    video = open_source(path)
    return Background(label, video.sha256, video)


def cover(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale a picture [h, w, 3] until it covers `size` = (H, W), and cut out its middle: [H, W, 3]; never stretched."""
    height, width = picture.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    inner = min(height, max(1, round(size[0] / scale))), min(width, max(1, round(size[1] / scale)))
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    middle = np.ascontiguousarray(picture[top : top + inner[0], left : left + inner[1]])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(middle, (size[1], size[0]), interpolation=method), np.uint8)


def replace_background(layers: Layers, background: Pixels) -> Pixels:
    """Put the person of a generated frame on another background of its size, uint8 [H, W, 3].

    The edge is soft, and lies within the person's mask, so that nothing of the old background shows: pixels two edge
    widths and more inside the mask are those of the frame, and pixels outside are those of the background.
    """
    margin = measure_edge(layers.frame.shape[:2])
    side = 2 * margin + 1
    inner = cv2.erode(layers.person.astype(np.float32), np.ones((side, side), np.uint8))
    share = cv2.GaussianBlur(inner, (side, side), 0)[..., None]
    share = np.where(share > 1 - 1e-4, 1.0, share)  # the kernel's sum is 1 within rounding
    mixed = share * layers.frame + (1 - share) * background
    return np.asarray(np.round(mixed).clip(0, 255), np.uint8)


def measure_edge(size: tuple[int, ...]) -> int:
    """Width of the soft edge in pixels."""
    return max(1, round(_EDGE * max(size)))


def _repeat(video: FrameSource, fps: float) -> Iterator[Pixels]:
    """The video over and over at `fps`: a frame is shown until the next one's time has come."""
    shown, begin = 0, 0
    while True:
        last: Pixels | None = None
        for seconds, frame in video.frames():
            while last is not None and (shown - begin) / fps < seconds:
                yield last
                shown += 1
            last = frame
        if last is None:
            raise BenchError("The background shows no frame.", hint="Name another video, or a picture.")
        for _ in range(max(1, math.ceil(video.n_frames / video.fps * fps) - (shown - begin))):
            yield last
            shown += 1
        begin = shown
