"""Melted limbs, faces, hands, flicker and background: the pictures of the fake, against the real ones."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from dancebench.benchmark.failures.kinds import LIMBS, Finding, Findings, surround
from dancebench.benchmark.failures.limbs import measure_torso
from dancebench.benchmark.metrics.chunks import FakeAndReal, Frames
from dancebench.benchmark.metrics.flicker import MIN_SHARE
from dancebench.benchmark.metrics.image import measure_differences, measure_images, ssim
from dancebench.benchmark.metrics.regions import locate_region
from dancebench.core.opencv import cv2
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.face_crop import MIN_SIDE, centre_interval
from dancebench.datasets.pose.skeleton import LEFT_HAND, RIGHT_HAND, Keypoints, is_found
from dancebench.datasets.video.upright import Frame

LIMB_WIDTH: Final = 0.2
"""Of the torso's length."""
LEAST_EDGES: Final = 2.0
"""8-bit levels per pixel: the RMS gradient below which a real limb has no edges that could be lost."""
_HANDS: Final = {"right hand": RIGHT_HAND, "left hand": LEFT_HAND}


def find_in_pictures(clips: FakeAndReal[Frames]) -> pd.DataFrame:
    """Look for failures in the pictures of two clips.

    Returns:
        One row for each frame, a column of findings for each kind; None where it cannot be measured.
    """
    size = clips.real.shape[1], clips.real.shape[2]
    frames = list(zip(clips.fake, clips.real, clips.keypoints, strict=True))
    found: dict[str, Findings] = {
        "melted-limb": [find_melted_limb(*each) for each in frames],
        "face": _find_faces(clips, size),
        "hand": [find_hand(*each) for each in frames],
        "flicker": _find_flicker(clips, size),
        "background": [find_background(*each) for each in frames],
    }
    return pd.DataFrame({kind: pd.Series(findings, dtype=object) for kind, findings in found.items()})


def find_melted_limb(fake: Frame, real: Frame, pose: Keypoints) -> Finding | None:
    """The limb that lost most of its edges: what its gradients lack of the real ones, as a share.

    The share that is left is the least-squares factor from the real gradients to the fake's, so that edges elsewhere,
    as those of noise, make up for nothing.

    Args:
        fake: uint8 [H, W, 3].
        real: The same frame of the recording.
        pose: The driving pose, float32 [75, 3] in its pixels.
    """
    torso = measure_torso(pose)
    if torso is None:
        return None
    of_fake, of_real = (_compute_gradient(picture) for picture in (fake, real))
    size, findings = (real.shape[0], real.shape[1]), []
    for name, joints in LIMBS.items():
        points = pose[list(joints)]
        mask = _mask_limb(points, max(2, round(LIMB_WIDTH * torso)), size)
        if not is_found(points).all() or not mask.any():
            continue
        strength = float(np.square(of_real[:, mask]).sum())
        if strength < LEAST_EDGES**2 * mask.sum():
            continue
        lost = min(1.0, 1 - float((of_fake[:, mask] * of_real[:, mask]).sum()) / strength)
        findings.append(Finding(lost, f"{name}: {lost:.0%} of its edges are lost", surround(points, size)))
    return max(findings, key=lambda finding: finding.score, default=None)


def find_hand(fake: Frame, real: Frame, pose: Keypoints) -> Finding | None:
    """The hand whose surroundings are least like the real ones; arguments as for `find_melted_limb`."""
    findings = []
    for name, part in _HANDS.items():
        points = pose[part][is_found(pose)[part]]
        box = _locate_hand(points, (real.shape[0], real.shape[1])) if len(points) else None
        if box is not None:
            alike = _compute_ssim(fake, real, box)
            findings.append(Finding(1 - alike, f"{name}: SSIM {alike:.2f}", box))
    return max(findings, key=lambda finding: finding.score, default=None)


def find_background(fake: Frame, real: Frame, pose: Keypoints) -> Finding | None:
    """How far the picture outside the body's box is off; arguments as for `find_melted_limb`."""
    body = locate_region("body", pose, (real.shape[0], real.shape[1]))
    if body is None:
        return None
    outside = np.ones(real.shape[:2], np.bool_)
    outside[body.rows, body.columns] = False
    if outside.mean() < MIN_SHARE:
        return None
    off = math.sqrt(float(np.square(fake[outside].astype(np.float64) - real[outside]).mean()))
    return Finding(off, f"{off:.0f} levels off outside the body")


def _find_faces(clips: FakeAndReal[Frames], size: tuple[int, int]) -> Findings:
    values = measure_images(clips, only=["face_ssim"])["face_ssim"].tolist()
    return [
        None if math.isnan(value) else Finding(1 - value, f"SSIM {value:.2f}", locate_region("face", pose, size))
        for value, pose in zip(values, clips.keypoints, strict=True)
    ]


def _find_flicker(clips: FakeAndReal[Frames], size: tuple[int, int]) -> Findings:
    values = np.sqrt(measure_differences(clips)["body_diff_mse"]).tolist()
    return [
        None
        if math.isnan(value)
        else Finding(
            value, f"the change since the last frame is {value:.0f} levels off", locate_region("body", pose, size)
        )
        for value, pose in zip(values, clips.keypoints, strict=True)
    ]


def _compute_gradient(picture: Frame) -> npt.NDArray[np.float64]:
    """Gradient of the grey picture, down and across: [2, H, W] in 8-bit levels per pixel."""
    return np.stack(np.gradient(picture.mean(axis=-1, dtype=np.float64)))


def _mask_limb(points: Keypoints, width: int, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Pixels [H, W] within half of `width` of the segments between points [N, 3]."""
    mask = np.zeros(size, np.uint8)
    corners = np.round(np.clip(points[:, :2], -size[0], 2 * size[0])).astype(np.int32)
    cv2.polylines(mask, [corners], isClosed=False, color=1, thickness=width)
    return mask > 0


def _locate_hand(points: Keypoints, size: tuple[int, int]) -> Box[int] | None:
    """A square around a hand's points [N, 3], large enough for SSIM; None where the hand is outside the frame."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    x, y = ((low + high) / 2).tolist()
    if not (0 <= x < size[1] and 0 <= y < size[0]):
        return None
    side = max(MIN_SIDE // 2, math.ceil(1.5 * float((high - low).max())))
    return Box(*centre_interval(y, side, size[0]), *centre_interval(x, side, size[1]))


def _compute_ssim(fake: Frame, real: Frame, box: Box[int]) -> float:
    crops = [
        torch.from_numpy(picture[box.rows, box.columns].copy()).permute(2, 0, 1)[None].float() / 255
        for picture in (fake, real)
    ]
    return float(ssim(*crops))
