"""The still background behind a person: the mean of all frames where the person is not (DDG section 3.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.core.opencv import cv2
from dancebench.datasets.video.cuts import is_cut, make_thumbnail
from dancebench.synth.clip import Pixels, TrainingClip

_MARGIN: Final = 0.015
"""By which masks are grown, of the frame's longer side: an outline is never exact."""


def average_background(frames: Iterable[Pixels], masks: Iterable[Pixels]) -> Pixels:
    """The mean colour of every pixel over the frames that do not show the person there.

    Args:
        frames: uint8 [H, W, 3]; at least one.
        masks: Share of the person in each of their pixels, uint8 [H, W]; grown by a margin here.

    Returns:
        uint8 [H, W, 3]. A pixel that the person always covers is inpainted from its surroundings; all of it is grey
        where nothing is ever uncovered.
    """
    total: npt.NDArray[np.float64] | None = None
    count: npt.NDArray[np.int64] | None = None
    for frame, mask in zip(frames, masks, strict=True):
        if total is None or count is None:
            total, count = np.zeros(frame.shape), np.zeros(frame.shape[:2], np.int64)
        free = grow(mask, round(_MARGIN * max(mask.shape))) == 0
        total[free] += frame[free]
        count += free
    if total is None or count is None:
        raise ValueError("a background needs at least one frame")
    if not count.any():
        return np.full(total.shape, 128, np.uint8)
    mean = np.round(total / np.maximum(count, 1)[..., None]).astype(np.uint8)
    hidden = (count == 0).astype(np.uint8)
    return np.asarray(cv2.inpaint(mean, hidden, 3, cv2.INPAINT_TELEA) if hidden.any() else mean, np.uint8)


def grow(mask: Pixels, margin: int) -> Pixels:
    """Grow a mask, uint8 [H, W], by `margin` pixels on every side."""
    return np.asarray(cv2.dilate(mask, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)), np.uint8)


def number_scenes(clip: TrainingClip) -> npt.NDArray[np.intp]:
    """The scene that each frame of the clip belongs to, counted from 0: int [T].

    A scene ends where the picture is cut, or another person is shown. A gap between segments alone does not end it: the
    background is the same.
    """
    scenes = np.zeros(len(clip), np.intp)
    for start in np.flatnonzero(clip.starts_segment).tolist():
        if start > 0:
            before, after = (make_thumbnail(clip.frames[np.array([t])][0]) for t in (start - 1, start))
            scenes[start:] += start in clip.person_starts or is_cut(before, after)
    return scenes


def find_backgrounds(clip: TrainingClip, scenes: Mapping[int, npt.NDArray[np.intp]]) -> dict[int, Pixels]:
    """The background of each scene, uint8 [H, W, 3], from the positions of its frames in the clip."""
    return {scene: _find_background(clip, frames) for scene, frames in scenes.items()}


def _find_background(clip: TrainingClip, frames: npt.NDArray[np.intp]) -> Pixels:
    index = frames[:, None]  # one at a time: a scene may be longer than memory
    return average_background((clip.frames[t][0] for t in index), (clip.masks[t][0] for t in index))
