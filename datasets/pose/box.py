"""Boxes in a frame: (top, bottom, left, right), rows [top, bottom) and columns [left, right).

`Box[int]` are whole pixels, to be cut out; `Box[float]` bounds points or was given by an import.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Box(Generic[Number]):
    """Edges in pixels, half open."""

    top: Number
    bottom: Number
    left: Number
    right: Number

    @property
    def edges(self) -> tuple[Number, Number, Number, Number]:
        """Top, bottom, left, right."""
        return self.top, self.bottom, self.left, self.right

    @property
    def height(self) -> Number:
        """Pixels; negative where the edges are swapped."""
        return self.bottom - self.top

    @property
    def width(self) -> Number:
        """Pixels; negative where the edges are swapped."""
        return self.right - self.left

    @property
    def rows(self: Box[int]) -> slice:
        """Of a box of whole pixels inside the frame: index of the rows of an image."""
        return slice(self.top, self.bottom)

    @property
    def columns(self: Box[int]) -> slice:
        """Of a box of whole pixels inside the frame: index of the columns of an image."""
        return slice(self.left, self.right)

    def clip(self, size: tuple[int, int]) -> Box[Number]:
        """The part inside a frame of `size` (height, width); of a box outside, the edges are swapped."""
        height, width = size
        return Box(max(self.top, 0), min(self.bottom, height), max(self.left, 0), min(self.right, width))
