"""What `typicality` looks at in a window of frames: frames in; vectors of the trunk's features, by part, out.

    patches  how it looks: native patches laid evenly over the middle frame
    whole    how it moves: the whole picture, reduced to at most `WHOLE` a side, in every frame
    person   the same of a box around each person found in the middle frame
    face     the same of faces

People and faces are cut out in their own pixels and only reduced where they are larger than `PERSON` or `FACE`. Black
bars are no part of the picture. Of a path, the vectors of one box in consecutive frames, the geometry is measured
(`describe_path`: curvature as in ReStraV, relative second difference as in D3), which says nothing of what is seen: a
generator's frames jump where a camera's flow. How a whole picture, a person or a face looks is left out: over people
and methods left out it told the scene, not the fake.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    choose_patches,
    find_content,
    measure_pictures,
    slice_stages,
)
from dancebench.detect.trunk.look import Look

Part = Literal["patches", "whole", "person", "face"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)

WHOLE: Final = (224, 224)
PERSON: Final = (256, 128)
FACE: Final = (160, 160)
"""Largest (height, width) of what is measured, in pixels."""
MOST: Final = 2
"""People, and faces, of a frame that are looked at: the largest."""
PATH_SIZE: Final = 2 * len(slice_stages())
_SIZES: Final[dict[Part, tuple[int, int]]] = {"whole": WHOLE, "person": PERSON, "face": FACE}
_STILL: Final = 1e-3
"""Length of a step, in the features' units, below which a path stands still."""


def look_at(window: npt.NDArray[np.uint8], parts: Sequence[Part], patches: int) -> list[Look]:
    """Look at a window of frames.

    The vector of a patch is its features, that of another part the geometry of its path.

    Args:
        window: uint8 (T, H, W, 3), T at least 3.
        parts: Which.
        patches: Of the middle frame, at most.

    Raises:
        BenchError: People or faces are looked for, and cannot be on this machine.
    """
    content = find_content(window)
    middle = window[len(window) // 2]
    looks: list[Look] = []
    if "patches" in parts:
        laid = choose_patches(content, patches)
        vectors = measure_pictures([middle[box.rows, box.columns] for box in laid])
        looks += [Look("patches", box, vector) for box, vector in zip(laid, vectors, strict=True)]
    paths: list[tuple[Part, Box[int]]] = [("whole", content)] if "whole" in parts else []
    if "person" in parts:
        paths += [("person", box) for box in _find(open_finder("person"), middle, PERSON[1] / PERSON[0])]
    if "face" in parts:
        paths += [("face", box) for box in _find(open_finder("face"), middle, 1.0)]
    for part, box in paths:
        vectors = measure_pictures([_reduce(frame[box.rows, box.columns], _SIZES[part]) for frame in window])
        looks.append(Look(part, box, describe_path(vectors)))
    return looks


def _find(find: FindBoxes, frame: Picture, aspect: float) -> list[Box[int]]:
    found = sorted(find(frame), key=lambda box: -box.height * box.width)[:MOST]
    return [fit_box(box, aspect, (frame.shape[0], frame.shape[1])) for box in found]


def _reduce(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture in its own pixels, or reduced by area averaging to fit into (height, width)."""
    scale = min(size[0] / picture.shape[0], size[1] / picture.shape[1], 1.0)
    if scale == 1:
        return picture
    reduced = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    return np.asarray(cv2.resize(picture, reduced, interpolation=cv2.INTER_AREA), np.uint8)


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
        second = float(np.linalg.norm(np.diff(steps, axis=0), axis=1).mean())
        found += [float(np.arccos(cosines.clip(-1, 1)).mean()), float(np.log(max(second, _STILL) / lengths.mean()))]
    return np.array(found)
