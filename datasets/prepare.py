"""From any recording to a prepared clip: letterboxed frames at a normalised rate, and the person's poses.

    video or image folder ──▶ clip.mp4 + poses.npz + the facts of both

Poses are found on the original resolution and then mapped into clip pixels. One pass: frames stream
through, whatever the length.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_path
from dancebench.core.progress import Report, silent
from dancebench.datasets.frames import FrameSource, Letterbox, normalised_rate, resample
from dancebench.datasets.models import PrepareConfig
from dancebench.datasets.poses import extract_poses
from dancebench.datasets.skeleton import L_HIP, L_SHOULDER, R_HIP, R_SHOULDER, Keypoints, found, has_person
from dancebench.datasets.video import ClipInfo, write_clip

MIN_PERSON_FRAMES = 8
MIN_PERSON_SHARE = 0.5
_TORSO = [R_SHOULDER, L_SHOULDER, R_HIP, L_HIP]


@dataclass(frozen=True)
class Prepared:
    """A prepared clip with its poses, and what was seen on the way."""

    clip: ClipInfo
    keypoints: Keypoints
    person_frames: int


def prepare(source: FrameSource, config: PrepareConfig, folder: Path, *, report: Report = silent) -> Prepared:
    """Write `clip.mp4` and `poses.npz` into `folder`.

    Raises:
        BenchError: The source cannot be read, shows no person or one in too few frames, or the tracked
            person jumps to somebody else.
    """
    letterbox = Letterbox((source.height, source.width), (config.height, config.width))
    rate = normalised_rate(source.fps, config.fps)
    poses: list[Keypoints] = []
    expected = max(1, round(source.n_frames * float(rate) / source.fps))

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        kept = (frame for _, frame in resample(source.frames(), source.fps, config.fps))
        originals, for_poses = itertools.tee(kept)  # in step: one frame is held at a time
        for points, frame in zip(extract_poses(for_poses), originals, strict=True):
            points[:, :2] = letterbox.points(points[:, :2])
            points[~found(points)] = 0
            poses.append(points)
            report("preparing", min(len(poses), expected), expected)
            yield letterbox.apply(frame)

    clip = write_clip(folder / "clip.mp4", frames(), rate)
    keypoints = np.stack(poses)
    check_person(keypoints, float(rate))
    write_poses(folder / "poses.npz", keypoints)
    return Prepared(clip, keypoints, int(has_person(keypoints).sum()))


def check_person(keypoints: Keypoints, fps: float) -> None:
    """Refuse a clip that cannot be learned from.

    Args:
        keypoints: float32 [T, 75, 3].
        fps: To name a moment in seconds.

    Raises:
        BenchError: No person, one in too few frames (says how many), or a jump to another person: the
            centre of the torso leaps by more than a body height between two frames (says where).
    """
    person = has_person(keypoints)
    n, total = int(person.sum()), len(person)
    if n == 0:
        raise BenchError(
            f"No person was found in any of the {total} frames.",
            hint="The clip must show one whole person, head to feet.",
        )
    needed = max(MIN_PERSON_FRAMES, int(np.ceil(MIN_PERSON_SHARE * total)))
    if n < needed:
        raise BenchError(
            f"A person was found in only {n} of {total} frames; {needed} are needed.",
            hint="Cut the video to the part in which the whole person is visible.",
        )
    jump = _first_jump(keypoints)
    if jump is not None:
        raise BenchError(
            f"The tracked person jumps to somebody else at frame {jump} ({jump / fps:.2f} s).",
            hint="Cut the video there, or crop it so that one person is visible.",
        )


def _first_jump(keypoints: Keypoints) -> int | None:
    """The first frame whose torso centre lies more than a body height from the last one found."""
    last: npt.NDArray[np.float32] | None = None
    last_height = 0.0
    for t in np.flatnonzero(has_person(keypoints)):
        points = keypoints[t]
        torso = points[[joint for joint in _TORSO if points[joint, 2] > 0], :2]
        if len(torso) == 0:
            continue
        centre = torso.mean(axis=0)
        body = points[found(points), 1]
        height = float(body.max() - body.min())
        if last is not None and np.linalg.norm(centre - last) > max(height, last_height):
            return int(t)
        last, last_height = centre, height
    return None


def write_poses(path: Path, keypoints: Keypoints) -> None:
    """Write keypoints float32 [T, 75, 3], whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, keypoints=keypoints.astype(np.float32))


def read_poses(path: Path) -> Keypoints:
    """Read what `write_poses` wrote; nothing is unpickled."""
    with np.load(path, allow_pickle=False) as stored:
        keypoints: Keypoints = stored["keypoints"]
    return keypoints
