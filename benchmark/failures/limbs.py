"""Missing and swapped limbs: the poses that are found in the fake, against the driving poses.

What the extractor gets wrong in the real clip too is not held against the fake.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.benchmark.failures.kinds import LIMBS, Finding, Findings, surround
from dancebench.datasets.pose.skeleton import MID_HIP, NECK, Keypoints, is_found

NEAR: Final = 0.5
"""Torso lengths from the driving pose within which a joint is where it should be."""
_SIDES: Final = {"arms": ("right arm", "left arm"), "legs": ("right leg", "left leg")}


def find_missing_limbs(wanted: Keypoints, fake: Keypoints, real: Keypoints, size: tuple[int, int]) -> Findings:
    """Elbows, wrists, knees and ankles of the driving pose that are found there in the real frame, but not in the fake.

    A joint is there where it lies within half a torso length of the driving pose's.

    Args:
        wanted: Driving poses, float32 [T, 75, 3] in pixels of `size`.
        fake: Poses that are found in the fake, alike.
        real: Those that are found in the real clip, alike.
        size: (height, width) of the frames.
    """
    return [_find_missing(*poses, size) for poses in zip(wanted, fake, real, strict=True)]


def _find_missing(wanted: Keypoints, fake: Keypoints, real: Keypoints, size: tuple[int, int]) -> Finding | None:
    torso = measure_torso(wanted)
    if torso is None:
        return None
    expected, present = (_has_there(wanted, found, NEAR * torso) for found in (real, fake))
    if not any(expected[list(joints[1:])].any() for joints in LIMBS.values()):
        return None
    missing = expected & ~present
    lost = {name: [joint for joint in joints[1:] if missing[joint]] for name, joints in LIMBS.items()}
    joints = [joint for each in lost.values() for joint in each]
    if not joints:
        return Finding(0, "all limbs are there")
    if not is_found(fake).any():
        return Finding(len(joints), "nobody is found in the fake", surround(wanted[joints], size))
    astray = int(is_found(fake)[joints].sum())
    names = ", ".join(name for name, each in lost.items() if each)
    reason = f"{names}: {len(joints) - astray} joint(s) not found, {astray} far from the driving pose"
    return Finding(len(joints), reason, surround(wanted[joints], size))


def measure_torso(pose: Keypoints) -> float | None:
    """Pixels from the neck to the middle of the hips; None where one is missing or they coincide."""
    length = float(np.linalg.norm(pose[NECK, :2] - pose[MID_HIP, :2]))
    return length if is_found(pose)[[NECK, MID_HIP]].all() and length >= 1 else None


def _has_there(wanted: Keypoints, found: Keypoints, near: float) -> npt.NDArray[np.bool_]:
    """Points that both poses have, at most `near` pixels apart: [75]."""
    distance = np.linalg.norm(wanted[:, :2] - found[:, :2], axis=-1)
    return np.asarray(is_found(wanted) & is_found(found) & (distance <= near))


def find_swapped_limbs(wanted: Keypoints, fake: Keypoints, real: Keypoints, size: tuple[int, int]) -> Findings:
    """How much better the arms, or the legs, of the fake fit the driving pose with left and right exchanged.

    Arguments as for `find_missing_limbs`. The score is the mean distance of elbows and wrists (knees and ankles) less
    that of the exchanged ones, in torso lengths, less what the real clip's own pose has of it.
    """
    return [_find_swapped(*poses, size) for poses in zip(wanted, fake, real, strict=True)]


def _find_swapped(wanted: Keypoints, fake: Keypoints, real: Keypoints, size: tuple[int, int]) -> Finding | None:
    torso = measure_torso(wanted)
    if torso is None:
        return None
    findings = []
    for name, (right, left) in _SIDES.items():
        joints = [LIMBS[right][1:], LIMBS[left][1:]]
        gains = [_measure_exchange(wanted, found, joints) for found in (fake, real)]
        if gains[0] is None or gains[1] is None:
            continue
        score = (gains[0] - max(0.0, gains[1])) / torso
        box = surround(wanted[[*joints[0], *joints[1]]], size)
        findings.append(Finding(score, f"{name}: exchanged they fit better, by {score:.2f} torso lengths", box))
    return max(findings, key=lambda finding: finding.score, default=None)


def _measure_exchange(wanted: Keypoints, found: Keypoints, sides: Sequence[tuple[int, ...]]) -> float | None:
    """Pixels by which the joints of both sides lie nearer to the other side's, on average; None without one."""
    joints: npt.NDArray[np.intp] = np.array(sides)  # (2 sides, N)
    if not (is_found(wanted)[joints].all() and is_found(found)[joints].all()):
        return None
    straight = np.linalg.norm(found[joints, :2] - wanted[joints, :2], axis=-1)
    exchanged = np.linalg.norm(found[joints, :2] - wanted[joints[::-1], :2], axis=-1)
    return float(straight.mean() - exchanged.mean())
