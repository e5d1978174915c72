"""A body as ten limbs, for methods that cut a person into parts and move each (Balakrishnan et al. 2018).

Keypoints (B, 75, 3) in pixels of an image of `size` = (H, W) go in; a coordinate of 0 is the centre of the
first pixel. Out come

    draw_heatmaps         (B, 14, H, W)      a Gaussian on every joint
    log_prior             (B, 11, H, W)      which limb a pixel belongs to, 10 limbs and the background last
    fit_limb_transforms   (B, 10, 2, 3)      where in the source a pixel of each moved limb comes from
    warp                  (B, 10, C, H, W)   images of limbs, each moved by its own transform

A joint that was not found has an empty heatmap. A limb is present where two of its joints are; otherwise
its prior is empty and its transform is the identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch.nn import functional as F

from dancebench.datasets.pose.skeleton import (
    L_ANKLE,
    L_ELBOW,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    MID_HIP,
    NECK,
    NOSE,
    R_ANKLE,
    R_ELBOW,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
)  # fmt: skip

JOINTS: Final = (
    NOSE, NECK, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST,
    R_HIP, R_KNEE, R_ANKLE, L_HIP, L_KNEE, L_ANKLE,
)  # fmt: skip
"""The 14 joints that a pose consists of here."""


@dataclass(frozen=True)
class Limb:
    """A part of the body that moves as a whole.

    Attributes:
        near: Joints at its upper end; two for the torso, whose end is their midpoint.
        far: Joints at its lower end, or the head's upper one.
        width: Standard deviation of its prior across the limb, as a share of the torso's length.
        reach: How far it extends beyond its far end, as a share of the torso's length: the head ends above
            the nose, a hand follows the wrist and a foot the ankle.
    """

    near: tuple[int, ...]
    far: tuple[int, ...]
    width: float
    reach: float = 0.0


LIMBS: Final = (
    Limb((NECK,), (NOSE,), width=0.2, reach=0.35),
    Limb((R_SHOULDER, L_SHOULDER), (R_HIP, L_HIP), width=0.25),
    Limb((R_SHOULDER,), (R_ELBOW,), width=0.12),
    Limb((R_ELBOW,), (R_WRIST,), width=0.12, reach=0.4),
    Limb((L_SHOULDER,), (L_ELBOW,), width=0.12),
    Limb((L_ELBOW,), (L_WRIST,), width=0.12, reach=0.4),
    Limb((R_HIP,), (R_KNEE,), width=0.15),
    Limb((R_KNEE,), (R_ANKLE,), width=0.12, reach=0.2),
    Limb((L_HIP,), (L_KNEE,), width=0.15),
    Limb((L_KNEE,), (L_ANKLE,), width=0.12, reach=0.2),
)

_HEATMAP_SIGMA: Final = 0.02  # of the image's longer side
_SHORTEST_TORSO: Final = 0.08  # of the image's longer side; a body bent towards the camera keeps its width
_FLOOR: Final = 1e-8  # of a prior: softmax gives an absent limb no weight
_DEGENERATE: Final = 1.0  # pixel; a shorter limb has no direction


def draw_heatmaps(keypoints: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A Gaussian of height 1 on every joint found: (B, 14, H, W) from (B, 75, 3)."""
    sigma = _HEATMAP_SIGMA * max(size)
    joints = keypoints[:, JOINTS]  # (B, 14, 3)
    rows, columns = make_pixel_axes(size, keypoints)
    across = torch.exp(-((columns - joints[..., :1]) ** 2) / (2 * sigma**2))  # (B, 14, W)
    down = torch.exp(-((rows - joints[..., 1:2]) ** 2) / (2 * sigma**2))  # (B, 14, H)
    return down[..., :, None] * across[..., None, :] * (joints[..., 2] > 0)[..., None, None]


def log_prior(keypoints: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Logarithm of the masks' prior: (B, 11, H, W), limbs in order and the background last.

    A limb's prior is a Gaussian of the distance from its segment; the background's is one minus that of
    the strongest limb. They need not sum to one: the masks' softmax normalises them.
    """
    torso = measure_torso_length(keypoints, size)  # (B,)
    distance = measure_squared_distances(*compute_limb_segments(keypoints, torso), size)
    widths = keypoints.new_tensor([limb.width for limb in LIMBS]) * torso[:, None]  # (B, 10)
    prior = torch.exp(-distance / (2 * widths.square())[..., None, None]) * has_limb(keypoints)[..., None, None]
    background = 1 - prior.amax(dim=1, keepdim=True)  # (B, 1, H, W)
    return torch.cat([prior, background], dim=1).clamp_min(_FLOOR).log()


def measure_squared_distances(starts: torch.Tensor, ends: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Squared distance of every pixel from N segments: (B, N, H, W) from their ends, (B, N, 2) each."""
    rows, columns = make_pixel_axes(size, starts)
    along = (ends - starts)[..., None, None]  # (B, N, 2, 1, 1)
    x, y = columns - starts[..., :1, None], rows[:, None] - starts[..., 1:, None]  # (B, N, 1, W), (B, N, H, 1)
    length = along.square().sum(2).clamp_min(1e-6)  # (B, N, 1, 1), squared
    share = ((x * along[:, :, 0] + y * along[:, :, 1]) / length).clamp(0, 1)  # (B, N, H, W): the nearest point
    return (x - share * along[:, :, 0]).square() + (y - share * along[:, :, 1]).square()


def fit_limb_transforms(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """For every limb the similarity transform that maps its pixels in the target back to the source.

    It is fitted to the joints that both poses have: exact for a segment, least squares for the torso's
    corners. A limb shorter than a pixel in either pose is shifted only.

    Args:
        source: (B, 75, 3).
        target: (B, 75, 3), in the same pixels.

    Returns:
        (B, 10, 2, 3): [x, y] in the source = M @ [x, y, 1] in the target.
    """
    maps = []
    for limb in LIMBS:
        joints = limb.near + limb.far
        both = (source[:, joints, 2] > 0) & (target[:, joints, 2] > 0)  # (B, 2) or (B, 4)
        maps.append(fit_similarity(target[:, joints, :2], source[:, joints, :2], both))
    return torch.stack(maps, dim=1)


def fit_similarity(start: torch.Tensor, end: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Least-squares rotation, scale and shift that maps the points `start` to `end`.

    Points are complex numbers here: a similarity is z → a z + b, and least squares give
    a = Σ conj(p) q / Σ |p|² for the points p, q about their means.

    Args:
        start: (B, N, 2).
        end: (B, N, 2).
        valid: bool (B, N); other points are ignored.

    Returns:
        (B, 2, 3). The identity where fewer than two points are valid; without rotation and scale where they
        lie within a pixel, in `start` or in `end`.
    """
    share = valid / valid.sum(1, keepdim=True).clamp_min(1)  # (B, N)
    p_mean, q_mean = (share[..., None] * start).sum(1), (share[..., None] * end).sum(1)  # (B, 2)
    p, q = start - p_mean[:, None], end - q_mean[:, None]  # (B, N, 2)
    p_spread, q_spread = ((share * points.square().sum(-1)).sum(1) for points in (p, q))  # (B,)
    real = (share * (p * q).sum(-1)).sum(1) / p_spread.clamp_min(1e-12)  # (B,)
    imaginary = (share * (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0])).sum(1) / p_spread.clamp_min(1e-12)
    # Two points at a distance d spread by d² / 4 about their middle.
    directed = torch.minimum(p_spread, q_spread) >= (_DEGENERATE / 2) ** 2
    real, imaginary = torch.where(directed, real, 1.0), torch.where(directed, imaginary, 0.0)
    matrix = torch.stack([torch.stack([real, -imaginary], -1), torch.stack([imaginary, real], -1)], -2)  # (B, 2, 2)
    shift = (q_mean - (matrix * p_mean[:, None]).sum(-1))[..., None]  # (B, 2, 1)
    identity = torch.eye(2, 3, dtype=start.dtype, device=start.device)
    return torch.where((valid.sum(1) >= 2)[:, None, None], torch.cat([matrix, shift], dim=-1), identity)


def warp(pictures: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Warp each image by its transform: (B, L, C, H, W) of the same shape; pixels from outside are zero.

    Args:
        pictures: (B, L, C, H, W).
        maps: (B, L, 2, 3) in pixels, from the result back to the input image.
    """
    height, width = pictures.shape[-2:]
    rows, columns = make_pixel_axes((height, width), maps)
    # Without matrix products, which autocast would round to 8 bits.
    across, down, shift = (maps[..., k, None, None] for k in range(3))  # (B, L, 2, 1, 1) each
    at = across * columns + down * rows[:, None] + shift  # (B, L, 2, H, W): x and y in the input image
    centre, half = at.new_tensor([width - 1, height - 1]) / 2, at.new_tensor([width, height]) / 2
    grid = (at.movedim(2, -1) - centre) / half  # (B, L, H, W, 2), from -1 to 1 between the outer edges
    moved = F.grid_sample(pictures.flatten(0, 1), grid.flatten(0, 1), align_corners=False)
    return moved.view_as(pictures)


def make_pixel_axes(size: tuple[int, int], like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (H,) and columns (W,) of the pixels' centres."""
    rows, columns = (torch.arange(n, dtype=like.dtype, device=like.device) for n in size)
    return rows, columns


def has_limb(keypoints: torch.Tensor) -> torch.Tensor:
    """Which limbs have at least two of their joints: bool (B, 10)."""
    found = keypoints[..., 2] > 0
    return torch.stack([found[:, limb.near + limb.far].sum(1) >= 2 for limb in LIMBS], dim=1)


def compute_limb_segments(keypoints: torch.Tensor, torso: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both ends of every limb with its reach, (B, 10, 2) each; meaningless where the limb is absent."""
    starts, ends = [], []
    for limb in LIMBS:
        near, far = _compute_mean_joint(keypoints[:, limb.near]), _compute_mean_joint(keypoints[:, limb.far])
        near, far = torch.where(near.isnan(), far, near), torch.where(far.isnan(), near, far)
        along = far - near
        direction = along / along.square().sum(-1, keepdim=True).sqrt().clamp_min(_DEGENERATE)
        starts.append(near)
        ends.append(far + limb.reach * torso[:, None] * direction)
    return torch.stack(starts, dim=1).nan_to_num(), torch.stack(ends, dim=1).nan_to_num()


def _compute_mean_joint(points: torch.Tensor) -> torch.Tensor:
    """Mean of the points found, (B, 2) from (B, N, 3); NaN where none was."""
    found = (points[..., 2:] > 0).to(points.dtype)  # (B, N, 1)
    return (points[..., :2] * found).sum(1) / found.sum(1)


def measure_torso_length(keypoints: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Length of the torso (B,), in which all widths are measured."""
    spine = keypoints[:, NECK, :2] - keypoints[:, MID_HIP, :2]
    known = (keypoints[:, [NECK, MID_HIP], 2] > 0).all(dim=1)
    return (known * spine.square().sum(-1).sqrt()).clamp_min(_SHORTEST_TORSO * max(size))
