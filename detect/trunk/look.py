"""What was looked at in a window of frames."""

from __future__ import annotations

from dataclasses import dataclass

from dancebench.datasets.pose.box import Box
from dancebench.detect.trunk.features import Array


@dataclass(frozen=True)
class Look:
    """One box of a window.

    Attributes:
        part: What it shows.
        box: Where, in pixels of the window's frames.
        vector: Its features.
    """

    part: str
    box: Box[int]
    vector: Array
