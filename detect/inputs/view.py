"""Views: what of a frame a detector looks at, and the box that is cut out for it. Boxes in, boxes out; no pixels.

    frame    the whole picture, letterboxed
    native   the whole picture in its own pixels: reduced where it is larger, never enlarged
    person   a box around the one person that is chosen
    face     a box around the one face that is chosen

A box is grown by the view's margin, widened to its shape as far as the picture allows, and shifted inwards rather than
cut. `views.py` cuts it out of the upright picture and reduces it to the view's size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.datasets.pose.box import Box
from dancebench.datasets.video.picture_size import MAX_CLIP_SIDE

ViewName = Literal["frame", "person", "face", "native"]
MARGIN: Final = 1.3
"""Sides of the box that is cut out over those of the box that was found: a pose's topmost points are the eyes."""
MIN_SIDE: Final = 32
"""Of a view, in pixels: perturbations need as much."""
STANDARD_SIZES: Final[Mapping[ViewName, tuple[int, int]]] = {
    "frame": (256, 256), "person": (256, 128), "face": (224, 224), "native": (1280, 1280),
}  # fmt: skip
"""(height, width) where nobody states one."""
_TEXT: Final = re.compile(r"(?P<name>[a-z]+)(?::(?P<height>\d{1,5})x(?P<width>\d{1,5}))?")


@dataclass(frozen=True)
class View:
    """What of a frame is looked at, and at which size.

    Attributes:
        name: `frame`, `native`, `person` or `face`.
        height: In pixels.
        width: In pixels.
        margin: Sides of what is cut out over those of the box that was found; a whole picture has none.
    """

    name: ViewName
    height: int
    width: int
    margin: float = MARGIN

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    @property
    def is_whole(self) -> bool:
        """Whether it shows the whole picture, so that nobody is looked for."""
        return self.name in ("frame", "native")

    def __str__(self) -> str:
        return f"{self.name}:{self.height}x{self.width}"


@dataclass(frozen=True)
class ViewRequest:
    """A view that was asked for; None: a size of the detector's or of the videos' own."""

    name: ViewName
    size: tuple[int, int] | None = None


def parse_view(text: str) -> ViewRequest:
    """Read `NAME` or `NAME:HEIGHTxWIDTH`.

    Raises:
        UnknownNameError: There is no such view.
        BenchError: The size is none, is odd, or is out of range.
    """
    found = _TEXT.fullmatch(text)
    names: tuple[ViewName, ...] = get_args(ViewName)
    if found is None:
        raise BenchError(f"'{text}' is not a view.", hint="Write NAME or NAME:HEIGHTxWIDTH, like face:224x224.")
    name = next((each for each in names if each == found["name"]), None)
    if name is None:
        raise UnknownNameError("view", found["name"], names)
    if found["height"] is None:
        return ViewRequest(name)
    size = int(found["height"]), int(found["width"])
    if any(side % 2 or not MIN_SIDE <= side <= MAX_CLIP_SIDE for side in size):
        raise BenchError(
            f"A view cannot have {size[0]}x{size[1]} pixels (height x width).",
            hint=f"Both sides are even numbers from {MIN_SIDE} to {MAX_CLIP_SIDE}.",
        )
    return ViewRequest(name, size)


def fit_box(found: Box[float], aspect: float, size: tuple[int, int], margin: float = MARGIN) -> Box[int]:
    """Grow a box by the margin, and widen it to an aspect ratio as far as the picture allows.

    Args:
        found: Around a person or a face.
        aspect: Width over height.
        size: (height, width) of the picture.
        margin: Factor by which the sides grow.

    Returns:
        Whole pixels within the picture, at least one each way.
    """
    low, high = np.array([found.left, found.top]), np.array([found.right, found.bottom])
    limit = np.array([size[1], size[0]], dtype=np.float64)
    centre, extent = (low + high) / 2, np.maximum(high - low, 1) * margin
    wanted = np.maximum(extent, [extent[1] * aspect, extent[0] / aspect])
    sides = np.minimum(np.ceil(wanted), limit)
    corner = np.clip(np.floor(centre - sides / 2), 0, limit - sides)  # shifted inwards rather than cut
    left, top, width, height = (int(number) for number in (*corner, *sides))
    return Box(top, top + height, left, left + width)
