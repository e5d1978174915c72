"""Pose maps: a pose as 15 images (DDG section 3.2).

    0-9    the body parts as solid shapes with soft edges: a disc for the head, a rectangle for every other part
    10-14  landmarks of the face, the left and the right hand, the left and the right foot: a Gaussian on each

Solid shapes leave no gaps between joints, which landmarks alone do. What was not found has an empty map.
"""

from __future__ import annotations

import math
from typing import Final

import torch

from dancebench.datasets.pose.skeleton import (
    FACE,
    L_ANKLE,
    L_BIG_TOE,
    L_HEEL,
    L_SMALL_TOE,
    LEFT_HAND,
    R_ANKLE,
    R_BIG_TOE,
    R_HEEL,
    R_SMALL_TOE,
    RIGHT_HAND,
)  # fmt: skip
from dancebench.synth.methods.ddg.parts import HEAD, N_PARTS
from dancebench.synth.methods.posewarp.limbs import (
    LIMBS,
    compute_limb_segments,
    has_limb,
    make_pixel_axes,
    measure_torso_length,
)

LANDMARKS: Final[tuple[tuple[int, ...], ...]] = (
    tuple(range(FACE.start, FACE.stop)),
    tuple(range(LEFT_HAND.start, LEFT_HAND.stop)),
    tuple(range(RIGHT_HAND.start, RIGHT_HAND.stop)),
    (L_ANKLE, L_HEEL, L_BIG_TOE, L_SMALL_TOE),
    (R_ANKLE, R_HEEL, R_BIG_TOE, R_SMALL_TOE),
)
"""Points of the five maps of landmarks."""
N_MAPS: Final = N_PARTS + len(LANDMARKS)

_EDGE: Final = 0.01  # standard deviation of the smoothing, of the image's longer side
_HEAD_RADIUS: Final = 0.28  # of the torso's length
_HEAD_CENTRE: Final = 0.1  # above the nose, of the torso's length


def draw_pose_maps(keypoints: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The pose maps (B, 15, H, W) in [0, 1] of poses (B, 75, 3) in pixels of an image of `size` = (H, W)."""
    return torch.cat([draw_part_maps(keypoints, size), draw_landmark_maps(keypoints, size)], dim=1)


def draw_part_maps(keypoints: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The body parts as solid shapes, (B, 10, H, W)."""
    sigma, torso = _EDGE * max(size), measure_torso_length(keypoints, size)  # (B,)
    starts, ends = compute_limb_segments(keypoints, torso)  # (B, 10, 2) each
    half_widths = keypoints.new_tensor([limb.width for limb in LIMBS]) * torso[:, None]  # (B, 10)
    boxes = smooth_rectangle(starts[:, 1:], ends[:, 1:], half_widths[:, 1:], sigma, size)  # (B, 9, H, W)
    reach = ends[:, HEAD] - starts[:, HEAD]  # from the neck beyond the nose
    up = reach / reach.square().sum(-1, keepdim=True).sqrt().clamp_min(1)
    above = (LIMBS[HEAD].reach - _HEAD_CENTRE) * torso[:, None]
    head = smooth_disc((ends[:, HEAD] - above * up)[:, None], _HEAD_RADIUS * torso[:, None], sigma, size)
    return torch.cat([head, boxes], dim=1) * has_limb(keypoints)[..., None, None]


def smooth_rectangle(
    starts: torch.Tensor, ends: torch.Tensor, half_widths: torch.Tensor, sigma: float, size: tuple[int, int]
) -> torch.Tensor:
    """Rectangles around segments, smoothed by a Gaussian: exactly, since it is separable along and across.

    Args:
        starts: (B, N, 2).
        ends: (B, N, 2); a segment of no length gives a bar of no width.
        half_widths: (B, N).
        sigma: Standard deviation in pixels.
        size: (H, W).

    Returns:
        (B, N, H, W) in [0, 1].
    """
    rows, columns = make_pixel_axes(size, starts)
    along, centre = ends - starts, (starts + ends) / 2  # (B, N, 2)
    length = along.square().sum(-1, keepdim=True).sqrt()  # (B, N, 1)
    unit = torch.where(length > 0, along / length.clamp_min(1e-6), along.new_tensor([1.0, 0.0]))
    x, y = columns - centre[..., :1, None], rows[:, None] - centre[..., 1:, None]  # (B, N, 1, W), (B, N, H, 1)
    cos, sin = unit[..., :1, None], unit[..., 1:, None]  # (B, N, 1, 1)
    return _smooth_interval(x * cos + y * sin, length[..., None] / 2, sigma) * _smooth_interval(
        y * cos - x * sin, half_widths[..., None, None], sigma
    )


def smooth_disc(centres: torch.Tensor, radii: torch.Tensor, sigma: float, size: tuple[int, int]) -> torch.Tensor:
    """Discs whose edge is smoothed as a Gaussian does a straight one: (B, N, H, W) from (B, N, 2) and radii (B, N)."""
    rows, columns = make_pixel_axes(size, centres)
    x, y = columns - centres[..., :1, None], rows[:, None] - centres[..., 1:, None]
    inside = radii[..., None, None] - (x.square() + y.square()).sqrt()
    return torch.erf(inside / (sigma * math.sqrt(2))) / 2 + 0.5


def draw_landmark_maps(keypoints: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Gaussians on the landmarks of face, hands and feet, (B, 5, H, W); where they meet they add up, to 1 at most."""
    sigma = _EDGE * max(size)
    rows, columns = make_pixel_axes(size, keypoints)
    maps = []
    for points in LANDMARKS:
        x, y, confidence = keypoints[:, points].unbind(-1)  # (B, N) each
        across = torch.exp(-((columns - x[..., None]) ** 2) / (2 * sigma**2)) * (confidence > 0)[..., None]  # (B, N, W)
        down = torch.exp(-((rows - y[..., None]) ** 2) / (2 * sigma**2))  # (B, N, H)
        maps.append((down.mT @ across).clamp_max(1))  # (B, H, W)
    return torch.stack(maps, dim=1)


def _smooth_interval(x: torch.Tensor, half: torch.Tensor, sigma: float) -> torch.Tensor:
    """The indicator of [-half, half] at x, smoothed by a Gaussian."""
    scale = sigma * math.sqrt(2)
    return (torch.erf((x + half) / scale) - torch.erf((x - half) / scale)) / 2
