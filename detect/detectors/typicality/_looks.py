"""What `typicality` looks at in a window of frames: frames in; vectors of the trunk's features, by part, out.

    patches  native patches laid evenly over the middle frame, each a vector
    whole    the whole picture, reduced to at most `WHOLE` a side, in every frame
    person   a box around each person found in the middle frame, in every frame
    face     the same of faces

People and faces are cut out in their own pixels and only reduced where they are larger than `PERSON` or `FACE`. Black
bars are no part of the picture. Of a path, the vectors of one box in consecutive frames, `describe_path` measures the
geometry (curvature as in ReStraV, relative second difference as in D3): a generator's frames jump where a camera's flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from dancebench.core.opencv import cv2
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.extractors.boxes import FindBoxes, open_finder
from dancebench.detect.inputs.view import fit_box
from dancebench.detect.trunk.features import (
    Array,
    Picture,
    find_content,
    lay_patches,
    measure_pictures,
    slice_stages,
)

Part = Literal["patches", "whole", "person", "face"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)

WHOLE: Final = 224
PERSON: Final = (256, 128)
FACE: Final = (160, 160)
"""Largest (height, width) of what is cut out, in pixels."""
MOST: Final = 2
"""People, and faces, of a frame that are looked at: the largest."""
PATH_SIZE: Final = 2 * len(slice_stages())
_SIZES: Final[dict[Part, tuple[int, int]]] = {"whole": (WHOLE, WHOLE), "person": PERSON, "face": FACE}
_STILL: Final = 1e-3
"""Length of a step, in the features' units, below which a path stands still."""


@dataclass(frozen=True)
class Look:
    """One box of a window.

    Attributes:
        part: What it shows.
        box: Where, in pixels of the window's frames.
        vectors: (T, SIZE) of its frames; of a patch (1, SIZE).
    """

    part: Part
    box: Box[int]
    vectors: Array

    @property
    def appearance(self) -> Array:
        """The vector of its middle frame (SIZE,)."""
        return np.asarray(self.vectors[len(self.vectors) // 2])


def look_at(window: npt.NDArray[np.uint8], parts: Sequence[Part], patches: int) -> list[Look]:
    """Look at a window of frames.

    Args:
        window: uint8 (T, H, W, 3).
        parts: Which.
        patches: Of the middle frame, at most.

    Raises:
        BenchError: People or faces are looked for, and cannot be on this machine.
    """
    content = find_content(window)
    middle = window[len(window) // 2]
    boxes: list[tuple[Part, Box[int]]] = []
    if "patches" in parts:
        laid = lay_patches(content)
        chosen = np.unique(np.linspace(0, len(laid) - 1, patches).astype(int)).tolist()
        boxes += [("patches", laid[index]) for index in chosen]
    if "whole" in parts:
        boxes.append(("whole", content))
    if "person" in parts:
        boxes += [("person", box) for box in _find(open_finder("person"), middle, PERSON[1] / PERSON[0])]
    if "face" in parts:
        boxes += [("face", box) for box in _find(open_finder("face"), middle, 1.0)]
    pictures = [_cut(frame, part, box) for part, box in boxes for frame in (window if part != "patches" else [middle])]
    vectors = measure_pictures(pictures)
    lengths = [1 if part == "patches" else len(window) for part, _ in boxes]
    ends = np.cumsum(lengths).tolist()
    return [
        Look(part, box, vectors[end - length : end])
        for (part, box), length, end in zip(boxes, lengths, ends, strict=True)
    ]


def _find(find: FindBoxes, frame: Picture, aspect: float) -> list[Box[int]]:
    found = sorted(find(frame), key=lambda box: -box.height * box.width)[:MOST]
    return [fit_box(box, aspect, (frame.shape[0], frame.shape[1])) for box in found]


def _cut(frame: Picture, part: Part, box: Box[int]) -> Picture:
    """What a box shows, in its own pixels or reduced by area averaging."""
    picture = frame[box.rows, box.columns]
    if part == "patches":
        return picture
    height, width = _SIZES[part]
    scale = min(height / picture.shape[0], width / picture.shape[1], 1.0)
    if scale == 1:
        return picture
    size = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def describe_path(vectors: Array) -> Array:
    """Measure the geometry of a path.

    Args:
        vectors: (T, SIZE) of consecutive frames, T at least 3.

    Returns:
        (PATH_SIZE,): for each stage the curvature, the mean angle between a step and the next in radians, and the
        logarithm of the mean length of the second differences over that of the steps. Of a path that stands still
        they are those of random steps: π/2 and log √2.
    """
    found: list[float] = []
    for part in slice_stages().values():
        steps = np.diff(vectors[:, part], axis=0)  # (T - 1, F)
        lengths = np.linalg.norm(steps, axis=1)
        if lengths.mean() < _STILL:
            found += [np.pi / 2, np.log(2) / 2]
            continue
        cosines = (steps[1:] * steps[:-1]).sum(axis=1) / np.maximum(lengths[1:] * lengths[:-1], _STILL**2)
        second = np.linalg.norm(np.diff(steps, axis=0), axis=1)
        found += [float(np.arccos(cosines.clip(-1, 1)).mean()), float(np.log(max(second.mean(), _STILL) / lengths.mean()))]
    return np.array(found)


