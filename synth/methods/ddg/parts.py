"""Body parts: a person cut into ten, each moved to its place in another pose (DDG section 3.1).

Frames (B, 3, H, W) in [-1, 1], person masks (B, H, W) in [0, 1] and keypoints (B, 75, 3) in pixels go in. Out come

    segment_parts         (B, 10, H, W)      the share of each part in a pixel; they sum to the mask
    fit_part_transforms   (B, 10, 2, 3)      where in the source a pixel of each moved part comes from
    move_parts            (B, 10, 4, H, W)   the parts in their new places: colour times share, and share

The parts are the limbs of `posewarp.limbs`: head, torso, upper arms, forearms with hands, thighs, shanks with feet.
The paper parses them with a pretrained network; here every pixel of the mask belongs to the nearest part of the pose,
so that the mask is all that is kept with a clip. A part whose joints are missing has no pixels: its neighbours have
them. A part that is missing in the new pose has no place there, and contributes nothing.
"""

from __future__ import annotations

from typing import Final

import torch
from torch.nn import functional as F

from dancebench.datasets.pose.skeleton import L_EAR, L_HIP, L_SHOULDER, NOSE, R_EAR, R_HIP, R_SHOULDER
from dancebench.synth.methods.posewarp.limbs import (
    LIMBS,
    compute_limb_segments,
    fit_limb_transforms,
    has_limb,
    measure_squared_distances,
    measure_torso_length,
    warp,
)  # fmt: skip

HEAD: Final = 0
TORSO: Final = 1
N_PARTS: Final = len(LIMBS)
_TWO_ENDED: Final = [part for part in range(N_PARTS) if part != TORSO]
_NEAR: Final = [LIMBS[part].near[0] for part in _TWO_ENDED]
_FAR: Final = [LIMBS[part].far[0] for part in _TWO_ENDED]
"""Joints at the upper and the lower ends of all parts but the torso."""
_OVERLAP: Final = 0.02  # by which parts overlap when they are moved, of the image's longer side
_LEAST_SHARE: Final = 0.05  # of a pixel that parts cover: with less they fade to grey, instead of dividing by nothing
_MAX_STRETCH: Final = 3.0
_HEAD_RADIUS, _CHIN = 0.22, 0.12  # of the torso's length; the chin's from the nose, towards the neck
_DEGENERATE: Final = 1.0  # pixel; a shorter limb has no direction
_NEVER: Final = 1e6  # pixels: further away than any pixel of an image


def segment_parts(mask: torch.Tensor, keypoints: torch.Tensor) -> torch.Tensor:
    """Divide the person among the parts: (B, 10, H, W) from a mask (B, H, W) in [0, 1] and (B, 75, 3).

    Distances are measured from the surface of each part: a rounded limb around its segment. An arm before the torso is
    nearer than the torso, whose inside has distance 0. Where no part is known, the result is empty.
    """
    size = (mask.shape[-2], mask.shape[-1])
    distance = _measure_distances(keypoints, size)  # (B, 10, H, W)
    nearest = distance.argmin(dim=1, keepdim=True)  # (B, 1, H, W); the first of those that are missing, if all are
    parts = torch.zeros_like(distance).scatter_(1, nearest, mask[:, None])
    return parts * has_limb(keypoints)[..., None, None]


def fit_part_transforms(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """For every part the affine transform that maps its pixels in the target back to the source.

    The ends of a limb are mapped to its ends. Along the limb that is a scale of its own, since limbs are foreshortened;
    across it the scale is that of the two bodies, as a limb that points at the camera does not grow thin. One that
    would be stretched more than threefold is stretched threefold about its middle. The head has the bodies' scale in
    both directions: it is turned with the line from the neck to the middle of the ears, which is mapped to its place
    (the nose, which a nod moves, where an ear is missing). The torso's transform is the similarity that fits its
    corners best. A limb shorter than a pixel in either pose is not turned, and has the bodies' scale.

    Args:
        source: (B, 75, 3).
        target: (B, 75, 3), in the same pixels.

    Returns:
        (B, 10, 2, 3): [x, y] in the source = M @ [x, y, 1] in the target. The identity where a joint is missing.
    """
    transforms = fit_limb_transforms(source, target)  # (B, 10, 2, 3): similarities
    poses = (source, target)
    found = torch.stack([pose[:, joints, 2] > 0 for pose in poses for joints in (_NEAR, _FAR)]).all(dim=0)  # (B, 9)
    heads = _locate_heads(source, target)  # (B, 2) each
    far = [torch.cat([head[:, None], pose[:, _FAR[1:], :2]], dim=1) for head, pose in zip(heads, poses, strict=True)]
    near = [pose[:, _NEAR, :2] for pose in poses]
    along = [b - a for a, b in zip(near, far, strict=True)]  # (B, 9, 2) each
    length = [vector.square().sum(-1).sqrt() for vector in along]  # (B, 9)
    directed = found & (torch.minimum(*length) >= _DEGENERATE)
    of_source, of_target = ((directed * each).sum(1) for each in length)  # (B,)
    across = torch.where(of_target > 0, of_source / of_target.clamp_min(_DEGENERATE), 1.0)[:, None, None, None]
    to, back = (vector / each.clamp_min(_DEGENERATE)[..., None] for vector, each in zip(along, length, strict=True))
    stretch = (length[0] / length[1].clamp_min(_DEGENERATE))[..., None, None]  # (B, 9, 1, 1)
    stretch = torch.maximum(stretch, across / _MAX_STRETCH)
    stretch = torch.cat([across, stretch[:, 1:]], dim=1)  # the head is first
    anchor = [torch.cat([b[:, :1], (a + b)[:, 1:] / 2], dim=1) for a, b in zip(near, far, strict=True)]
    matrix = stretch * _outer(to, back) + across * _outer(_turn(to), _turn(back))  # (B, 9, 2, 2)
    matrix = torch.where(directed[..., None, None], matrix, across * torch.eye(2).to(source))
    shift = anchor[0] - (matrix * anchor[1][:, :, None]).sum(-1)
    affine = torch.cat([matrix, shift[..., None]], dim=-1)  # (B, 9, 2, 3)
    transforms[:, _TWO_ENDED] = torch.where(found[..., None, None], affine, transforms[:, _TWO_ENDED])
    return transforms


def move_parts(frames: torch.Tensor, parts: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Move every part from its place in one pose to its place in another.

    A part takes a margin of its neighbours along, so that no gap opens where a joint bends.

    Args:
        frames: (B, 3, H, W) in [-1, 1].
        parts: Of these frames, (B, 10, H, W).
        source: The pose in them, (B, 75, 3).
        target: The other one, the same shape.

    Returns:
        (B, 10, 4, H, W): colour times share, and the share itself.
    """
    present = (has_limb(source) & has_limb(target))[..., None, None, None]  # (B, 10, 1, 1, 1)
    margin = max(1, round(_OVERLAP * max(frames.shape[-2:])))
    person = parts.sum(dim=1, keepdim=True)  # (B, 1, H, W)
    grown = F.max_pool2d(parts, 2 * margin + 1, stride=1, padding=margin).minimum(person)
    cut = torch.cat([grown[:, :, None] * frames[:, None], grown[:, :, None]], dim=2)  # (B, 10, 4, H, W)
    return warp(cut, fit_part_transforms(source, target)) * present


def merge_parts(moved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Put moved parts (B, 10, 4, H, W) together: the person's colour (B, 3, H, W) and share of each pixel (B, 1, H, W).

    Where parts meet they mix. The colour is that of the parts, however little of a pixel they cover, and grey (0) where
    there are none; the share is 1 at most.
    """
    total = moved.sum(dim=1)  # (B, 4, H, W)
    share = total[:, 3:]
    return total[:, :3] / share.clamp_min(_LEAST_SHARE), share.clamp_max(1)


def _locate_heads(source: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
    """The same point of the head in both poses, (B, 2) each: the middle of the ears, or the nose."""
    ears = [R_EAR, L_EAR]
    found = torch.stack([(pose[:, ears, 2] > 0).all(dim=1) for pose in (source, target)]).all(dim=0)[:, None]
    return [torch.where(found, pose[:, ears, :2].mean(dim=1), pose[:, NOSE, :2]) for pose in (source, target)]


def _outer(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Outer products (..., 2, 2) of vectors (..., 2)."""
    return a[..., :, None] * b[..., None, :]


def _turn(vector: torch.Tensor) -> torch.Tensor:
    """Vectors (..., 2) turned by a quarter."""
    return torch.stack([-vector[..., 1], vector[..., 0]], dim=-1)


def _measure_distances(keypoints: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Distance in pixels of every pixel from the surface of each part, (B, 10, H, W); negative within limbs."""
    torso = measure_torso_length(keypoints, size)  # (B,)
    starts, ends = compute_limb_segments(keypoints, torso)
    has_nose = (keypoints[:, NOSE, 2:] > 0) & has_limb(keypoints)[:, [HEAD]]
    # The head is around the face; the neck below it goes to whatever is nearest.
    reach = ends[:, HEAD] - starts[:, HEAD]
    up = reach / reach.square().sum(-1, keepdim=True).sqrt().clamp_min(_DEGENERATE)
    head = torch.where(has_nose, keypoints[:, NOSE, :2] - _CHIN * torso[:, None] * up, starts[:, HEAD])
    starts = torch.cat([head[:, None], starts[:, 1:]], dim=1)
    radii = keypoints.new_tensor([limb.width for limb in LIMBS]) * torso[:, None]  # (B, 10)
    special = torch.stack([_HEAD_RADIUS * torso, _measure_torso_radius(keypoints, radii)], dim=1)
    radii = torch.cat([special, radii[:, TORSO + 1 :]], dim=1)
    distance = measure_squared_distances(starts, ends, size).sqrt() - radii[..., None, None]
    distance = torch.cat([distance[:, :TORSO], distance[:, [TORSO]].clamp_min(0), distance[:, TORSO + 1 :]], dim=1)
    return distance.masked_fill(~has_limb(keypoints)[..., None, None], _NEVER)


def _measure_torso_radius(keypoints: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
    """Half the mean width of shoulders and hips, (B,), but at least half of what it is on average."""
    corners = [R_SHOULDER, L_SHOULDER, R_HIP, L_HIP]
    found = (keypoints[:, corners, 2] > 0).all(dim=1)
    shoulders, hips = (
        (keypoints[:, a, :2] - keypoints[:, b, :2]).square().sum(-1).sqrt()
        for a, b in ((R_SHOULDER, L_SHOULDER), (R_HIP, L_HIP))
    )
    usual = radii[:, TORSO]
    return torch.where(found, torch.maximum((shoulders + hips) / 4, usual / 2), usual)
