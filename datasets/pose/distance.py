"""The distance of two poses (EDN Eq. 6): keypoints in pixels of one frame go in, pixels come out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.datasets.pose.skeleton import BODY, Keypoints

_COINCIDING: Final = 1e-3
"""Radius in pixels at which joints lie in one place."""


def pose_distances(pose: Keypoints, others: Keypoints) -> npt.NDArray[np.float64]:
    """Eq. 6: the mean distance of corresponding body joints.

    Missing joints have no position: the mean is over the joints that both poses have.

    Args:
        pose: float32 [75, 3], or [N, 75, 3] to pair each with one of `others`.
        others: float32 [N, 75, 3], in the same pixels.

    Returns:
        float64 [N] in pixels; infinite where no joint is shared.
    """
    both = shared_joints(pose, others)  # [N, 25]
    distance = np.linalg.norm(others[:, BODY, :2] - pose[..., BODY, :2], axis=-1).astype(np.float64)  # [N, 25]
    count = both.sum(axis=-1)
    total = np.where(both, distance, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.inf)


def normalised_pose_distances(pose: Keypoints, others: Keypoints) -> npt.NDArray[np.float64]:
    """The mean distance of corresponding body joints, whatever the place and the size of the two bodies.

    The joints that both poses have are shifted to a common mean and scaled to a common root mean square distance from
    it, of 1; they are not rotated.

    Args:
        pose: float32 [75, 3].
        others: float32 [N, 75, 3].

    Returns:
        float64 [N], in units of a body's root mean square radius; infinite where fewer than two joints are shared, or
        those of one pose coincide.
    """
    both = shared_joints(pose, others)  # [N, 25]
    count = both.sum(axis=-1)
    share = (both / np.maximum(count, 1)[:, None])[..., None]  # [N, 25, 1]
    own = np.broadcast_to(pose[BODY, :2], others[:, BODY, :2].shape).astype(np.float64)
    centred = [points - (share * points).sum(axis=1, keepdims=True) for points in (own, others[:, BODY, :2])]
    radii = [np.sqrt((share * points**2).sum(axis=(1, 2))) for points in centred]  # [N]
    usable = (count >= 2) & (np.minimum(*radii) > _COINCIDING)
    unit = [
        points / np.where(usable, radius, 1.0)[:, None, None] for points, radius in zip(centred, radii, strict=True)
    ]
    distance = (share[..., 0] * np.linalg.norm(unit[0] - unit[1], axis=-1)).sum(axis=-1)
    return np.where(usable, distance, np.inf)


def shared_joints(pose: Keypoints, others: Keypoints) -> npt.NDArray[np.bool_]:
    """Body joints that both poses have: [N, 25]."""
    return np.asarray((pose[..., BODY, 2] > 0) & (others[:, BODY, 2] > 0))


def find_nearest_pose(
    pose: Keypoints,
    others: Keypoints,
    distances: Callable[[Keypoints, Keypoints], npt.NDArray[np.float64]] = pose_distances,
) -> int | None:
    """Which of `others` is nearest to `pose`, of those that can be compared (see `list_comparable_poses`).

    Args:
        pose: float32 [75, 3].
        others: float32 [N, 75, 3], in the same pixels.
        distances: By what; Eq. 6 where nothing else is said.

    Returns:
        Its index; None where no candidate shares a joint.
    """
    comparable = list_comparable_poses(pose, others)
    if not comparable.any():
        return None
    return int(np.argmin(np.where(comparable, distances(pose, others), np.inf)))


def measure_distance_to_nearest(pose: Keypoints, others: Keypoints, nearest: int) -> float:
    """Mean distance of `pose` (Eq. 6) to the nearest of `others`, of those that can be compared.

    Args:
        pose: float32 [75, 3].
        others: float32 [N, 75, 3], in the same pixels.
        nearest: How many are averaged over, or all where there are fewer.

    Returns:
        In pixels; NaN where no candidate shares a joint.
    """
    candidates = others[list_comparable_poses(pose, others)]
    if len(candidates) == 0:
        return float("nan")
    return float(np.sort(pose_distances(pose, candidates))[:nearest].mean())


def list_comparable_poses(pose: Keypoints, others: Keypoints) -> npt.NDArray[np.bool_]:
    """Which of `others` share enough joints with `pose` for their distance to say something: bool [N].

    A mean over one or two joints that happen to lie close says little: candidates count only if they share at
    least half of the joints found in `pose`, or, where none does, as many as the best of them.
    """
    count = shared_joints(pose, others).sum(axis=-1)  # [N]
    needed = min(int(count.max(initial=0)), -(-int((pose[BODY, 2] > 0).sum()) // 2))
    return np.asarray((count > 0) & (count >= needed))
