"""The kinds of failure: what each is measured by, from when on it counts, and what is found in a frame.

Thresholds are conventions, the same for every method and subject, and stand in the record beside the shares: shares
compare methods, they do not say how many viewers would object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.skeleton import (
    L_ANKLE,
    L_ELBOW,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    R_ANKLE,
    R_ELBOW,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
    Keypoints,
)  # fmt: skip


@dataclass(frozen=True)
class FailureKind:
    """A way in which a fake fails.

    Attributes:
        title: What it is called on the sheet.
        unit: Of the score; a higher score is worse.
        threshold: Score from which on a frame counts as failed.
        unmeasured: Why no frame of a clip may have a score.
    """

    title: str
    unit: str
    threshold: float
    unmeasured: str


_NO_LIMB: Final = "no frame has a pose with a whole limb"

KINDS: Final = {
    "missing-limb": FailureKind(
        "missing limb",
        "joints of 8 that only the real frame has where they should be",
        2,
        "no frame has a driving pose and a real one",
    ),
    "swapped-limb": FailureKind(
        "swapped limb", "torso lengths by which the other side fits better", 0.25, "no frame has both arms or both legs"
    ),
    "melted-limb": FailureKind("melted limb", "share of the limb's edges that is lost", 0.8, _NO_LIMB),
    "face": FailureKind("face", "1 - SSIM of the face", 0.4, "no frame shows a face"),
    "hand": FailureKind("hand", "1 - SSIM of the hand's surroundings", 0.6, "no frame shows a hand"),
    "flicker": FailureKind(
        "flicker", "8-bit levels, RMS error of the change since the last frame", 15, "no two frames follow each other"
    ),
    "background": FailureKind(
        "background", "8-bit levels, RMS error outside the body", 10, "no frame shows enough background beside a pose"
    ),
}
"""By name, in the order of the sheet."""

LIMBS: Final = {
    "right arm": (R_SHOULDER, R_ELBOW, R_WRIST),
    "left arm": (L_SHOULDER, L_ELBOW, L_WRIST),
    "right leg": (R_HIP, R_KNEE, R_ANKLE),
    "left leg": (L_HIP, L_KNEE, L_ANKLE),
}
"""Joints from the body outwards."""


@dataclass(frozen=True)
class Finding:
    """What is wrong in one frame.

    Attributes:
        score: In the unit of its kind.
        reason: In words, with the numbers.
        box: Where; None where it is the whole frame.
    """

    score: float
    reason: str
    box: Box[int] | None = None


Findings = list[Finding | None]
"""One for each frame; None where the kind cannot be measured."""


def surround(points: Keypoints, size: tuple[int, int]) -> Box[int]:
    """The box of whole pixels around some points [N, 2 or 3], with a margin of a twentieth of the frame's height."""
    margin = size[0] / 20
    low, high = points[:, :2].min(axis=0) - margin, points[:, :2].max(axis=0) + margin + 1
    return Box(int(low[1]), int(high[1]), int(low[0]), int(high[0])).clip(size)
