"""What a workspace holds beside its records: pictures and videos of fakes, and how new the driving poses were.

The site asks for it through `Material`; whoever writes the site gives it, since records alone have neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dancebench.leaderboards.records import RunRecord
from dancebench.leaderboards.tables import Section


@dataclass(frozen=True)
class Exhibit:
    """One person's real clip, its stick figures and the fakes of a section's methods, side by side.

    Attributes:
        subject: Who is shown.
        panels: Their labels, in reading order.
        image: The strip, a JPEG file.
        video: The same moving, an H.264 mp4 file.
        size: (height, width) of the strip in pixels.
    """

    subject: str
    panels: tuple[str, ...]
    image: Path
    video: Path
    size: tuple[int, int]


@dataclass(frozen=True)
class Exhibits:
    """What can be shown of a section, and why the rest cannot."""

    shown: tuple[Exhibit, ...]
    reasons: tuple[str, ...]


class Material(Protocol):
    """What the site shows that no record holds."""

    def find_exhibits(self, section: Section) -> Exhibits:
        """Strips and videos of a section of synthesis methods; nothing is made where it only looks."""

    def name_poses(self, record: RunRecord) -> str:
        """What `measure_novelty` depends on: a hash, or why it cannot be measured."""

    def measure_novelty(self, record: RunRecord, subject: str) -> npt.NDArray[np.float64] | str:
        """Mean distance of each shown frame's pose to the nearest training poses (N,) in % of the frame's height, by
        the frame's number in the rows of the run; or why it is not known.
        """
