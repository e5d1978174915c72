"""A subject's training frames and stick figures, in memory as uint8, and the examples drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from dancebench.core.errors import BenchError
from dancebench.datasets.frames import resize
from dancebench.datasets.skeleton import Keypoints, has_person, scaled
from dancebench.datasets.sticks import draw_sticks
from dancebench.datasets.store import Subject


@dataclass(frozen=True)
class Batch:
    """Training examples of `window` consecutive frames each.

    Attributes:
        poses: Stick figures, float32 (B, window, 3, H, W) in [-1, 1].
        frames: What the camera saw, the same shape and range.
    """

    poses: torch.Tensor
    frames: torch.Tensor


@dataclass(frozen=True)
class TrainingClip:
    """The training span of a subject's clip at the training size.

    Attributes:
        frames: uint8 RGB [T, H, W, 3].
        sticks: uint8 RGB [T, H, W, 3].
        keypoints: float32 [T, 75, 3] in pixels of `size`.
        size: (H, W).
    """

    frames: npt.NDArray[np.uint8]
    sticks: npt.NDArray[np.uint8]
    keypoints: Keypoints
    size: tuple[int, int]

    def starts(self, window: int) -> npt.NDArray[np.intp]:
        """First frames of the examples: `window` consecutive frames, each with a person.

        Raises:
            BenchError: There is none.
        """
        person = has_person(self.keypoints)
        runs = np.lib.stride_tricks.sliding_window_view(person, window) if len(person) >= window else person[:0]
        starts = np.flatnonzero(runs.all(axis=-1)) if len(runs) else np.empty(0, np.intp)
        if len(starts) == 0:
            raise BenchError(
                f"The training span has no {window} consecutive frames with a person in each "
                f"({int(person.sum())} of {len(person)} frames show one).",
                hint="Use a longer clip, or one in which the person stays in view.",
            )
        return starts

    def batch(self, starts: npt.NDArray[np.intp], window: int, device: torch.device) -> Batch:
        """The examples that begin at `starts` [B]."""
        index = starts[:, None] + np.arange(window)  # (B, window)
        return Batch(to_tensor(self.sticks[index], device), to_tensor(self.frames[index], device))


def training_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """`size` reduced so that its larger side is `long_side`; the aspect is kept.

    Clip sizes are multiples of 64 with a simple aspect, so both sides come out whole.
    """
    height, width = size
    scale = long_side / max(height, width)
    return round(height * scale), round(width * scale)


def load_training_clip(subject: Subject, long_side: int) -> TrainingClip:
    """Read, resize and draw the training span of a subject."""
    size = training_size(subject.size, long_side)
    span = subject.train
    keypoints = subject.keypoints()[span.start : span.stop]
    with subject.reader() as reader:
        frames = np.stack([resize(reader[t], size) for t in span])
    sticks = np.stack([draw_sticks(points, subject.size, size) for points in keypoints])
    in_training_pixels = scaled(keypoints, size[1] / subject.size[1], size[0] / subject.size[0])
    return TrainingClip(frames, sticks, in_training_pixels, size)


def to_tensor(pixels: npt.NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """uint8 [..., H, W, 3] → float32 (..., 3, H, W) in [-1, 1]."""
    moved = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, -3)))
    return moved.to(device).float().div_(127.5).sub_(1.0)


def to_pixels(image: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Float (3, H, W) in [-1, 1] → uint8 [H, W, 3], rounded and clipped."""
    levels = image.float().add(1.0).mul(127.5).round().clamp(0, 255).byte()
    pixels: npt.NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels
