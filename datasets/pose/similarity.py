"""Similarity normalisation: one scale, rotation and shift for a whole clip, by least squares.

A widespread summary of EDN describes pose normalisation so; the paper (section 8.5) does not: its Eq. 7-9, which follow
the depth of the person, are in `normalise.py`. It is an ablation. The two clips show different motions, so what is
fitted is the mean place of each body joint in one clip to that in the other: the least-squares similarity of Umeyama
(1991), without reflection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.skeleton import BODY, Keypoints, is_found

SIMILARITY: Final = "similarity"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """The map p -> scale * R(rotation) p + shift of pixels.

    Attributes:
        scale: Positive.
        rotation: Radians, from x towards y.
        shift: (x, y) in pixels.
        n_joints: Number of body joints that it was fitted to.
    """

    scale: float
    rotation: float
    shift: tuple[float, float]
    n_joints: int

    def apply(self, keypoints: Keypoints) -> Keypoints:
        """Move poses float32 [T, 75, 3]; missing points stay missing (all zeros), confidences as they were."""
        cos, sin = math.cos(self.rotation), math.sin(self.rotation)
        matrix = self.scale * np.array([[cos, -sin], [sin, cos]])
        moved = keypoints[..., :2].astype(np.float64) @ matrix.T + self.shift
        points = np.concatenate([moved, keypoints[..., 2:]], axis=-1)
        return np.where(is_found(keypoints)[..., None], points, 0.0).astype(np.float32)

    def facts(self) -> dict[str, Any]:
        """All that defines it, as JSON values, for a fake's record."""
        return {
            "kind": SIMILARITY,
            "scale": self.scale,
            "rotation": self.rotation,
            "shift": list(self.shift),
            "n_joints": self.n_joints,
        }


def fit_similarity(source: Keypoints, target: Keypoints) -> Similarity:
    """Fit the mean body of the source to that of the target.

    Args:
        source: float32 [S, 75, 3], in pixels of the target's frame.
        target: float32 [T, 75, 3].

    Raises:
        BenchError: Fewer than two body joints appear in both clips, or those of one lie in one place.
    """
    means = [_average_joints(clip) for clip in (source, target)]  # [25, 2] each
    both = np.isfinite(means[0]).all(axis=1) & np.isfinite(means[1]).all(axis=1)
    if both.sum() < 2:
        raise BenchError(
            f"The two clips share {int(both.sum())} body joint(s): too few for a similarity.",
            hint="Take a clip that shows more of the person, or another --normalisation.",
        )
    centres = [mean[both].mean(axis=0) for mean in means]
    # As complex numbers a rotation with a scale is one factor, and its least-squares value a quotient.
    own, other = ((mean[both] - centre) @ np.array([1, 1j]) for mean, centre in zip(means, centres, strict=True))
    spread = float(np.vdot(own, own).real)
    factor = complex(np.vdot(own, other)) / spread if spread > 0 else 0j
    if not abs(factor) > 0:
        raise BenchError(
            "The body joints of one clip lie in one place on average: they have no size.",
            hint="Take a clip with a whole person, or another --normalisation.",
        )
    shift = complex(*centres[1]) - factor * complex(*centres[0])
    return Similarity(abs(factor), float(np.angle(factor)), (shift.real, shift.imag), int(both.sum()))


def _average_joints(keypoints: Keypoints) -> Floats:
    """Mean place of each body joint over the frames that show it, [25, 2]; NaN where none does."""
    found = is_found(keypoints)[:, BODY, None]  # [T, 25, 1]
    count = found.sum(axis=0)
    total = np.where(found, keypoints[:, BODY, :2], 0.0).sum(axis=0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
