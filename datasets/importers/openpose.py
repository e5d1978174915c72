"""Poses that OpenPose wrote: one `*_keypoints.json` per frame, in the order of the numbers in their names.

Each holds `people`, each of them `pose_keypoints_2d` (BODY_25 or COCO-18) and perhaps `face_keypoints_2d` (70
points), `hand_left_keypoints_2d` and `hand_right_keypoints_2d` (21 each): x, y in pixels of the frame and a
confidence, 0 = missing. Left and right are the person's own. These poses replace those of our own extractor.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.files import read_bytes, sha256_file, sha256_json
from dancebench.datasets.importers.base import DEFAULT_FPS, IMPORTERS, ImportRequest
from dancebench.datasets.importers.numbered import list_numbered_files, open_images, select_images, split_segments
from dancebench.datasets.pose.distance import pose_distances
from dancebench.datasets.pose.skeleton import (
    BODY,
    FACE,
    L_HIP,
    LEFT_HAND,
    MID_HIP,
    N_POINTS,
    R_HIP,
    RIGHT_HAND,
    Keypoints,
)  # fmt: skip
from dancebench.datasets.subjects.footage import Footage, Imported, Segment, SuppliedFrame
from dancebench.datasets.subjects.records import ImportedSource
from dancebench.datasets.video.frames import FolderSource, FrameSource, list_clock_breaks, open_source
from dancebench.datasets.video.notes import list_source_warnings

_BODY_POINTS: Final = {25: "BODY_25", 18: "COCO-18"}
# COCO-18 has no mid-hip point, which is number 8 in BODY_25, and no feet.
_BODY_FROM_COCO: Final = [point if point < MID_HIP else point + 1 for point in range(18)]
# Of the 70: bridge, tip, chin, right and left jaw end, base of the nose, right and left pupil.
_FACE_FROM_70: Final = [27, 30, 8, 0, 16, 33, 68, 69]
_PARTS: Final = {"hand_left_keypoints_2d": (LEFT_HAND, 21), "hand_right_keypoints_2d": (RIGHT_HAND, 21)}
_MARGIN: Final = 0.1
"""Share of the frame by which a point may lie outside before poses and frames are taken for mismatched."""
_SCALE_HINT: Final = "Run OpenPose with --keypoint_scale 0 on the same frames: it then writes their pixel coordinates."


@IMPORTERS.register("openpose")
def import_openpose(request: ImportRequest) -> Imported:
    """Read and validate a folder of OpenPose's JSON and the frames that it ran on.

    Raises:
        BenchError: No frames are named, a rate is stated for a video, or as `read_openpose`.
    """
    frames, fps = request.frames, request.fps
    if frames is None:
        raise BenchError(
            "Poses alone are no clip.", hint="--frames VIDEO or --frames FOLDER names the frames that OpenPose ran on."
        )
    if fps is not None and not frames.is_dir():
        raise BenchError("--fps is for numbered images: a video brings its own rate.", hint="Leave --fps out.")
    return read_openpose(request.folder, frames, fps=fps or DEFAULT_FPS)


def read_openpose(folder: Path, frames: Path, *, fps: float) -> Imported:
    """Read and validate all poses and frames.

    Args:
        folder: Of the JSON files.
        frames: The video or the folder of images that OpenPose ran on.
        fps: Rate at which a folder's numbered images were taken; a video has its own.

    Raises:
        BenchError: A file is not of this format (names it), the numbers of files and frames do not
            match, the poses are not in the frames' pixels, or the frames cannot be read.
    """
    files = list_numbered_files(folder, {".json"}, ending="_keypoints")
    images = list_numbered_files(frames) if frames.is_dir() else None
    recording = open_images(images, fps) if images else open_source(frames)
    numbers = list(images) if images else list(range(recording.n_frames))
    _check_numbers(files, numbers, frames)
    people, body_format = _read_all(files.values())
    _check_pixels(people, list(files.values()), recording)
    poses, n_crowded = follow_person(people)
    footage = Footage(
        height=recording.height,
        width=recording.width,
        fps=recording.fps,
        n_frames=recording.n_frames,
        decoder=recording.decoder,
        segments=tuple(
            Segment(partial(_iterate_frames, recording, poses, span), breaks=list_clock_breaks(recording))
            for span in split_segments(numbers)
        ),
        supplied_poses=f"openpose json {body_format}",
        decode_warnings=tuple(list_source_warnings(recording)),
    )
    hashes = [[path.name, sha256_file(path)] for path in files.values()]
    source = ImportedSource(
        layout="openpose",
        name=frames.resolve().name,
        sha256=sha256_json([recording.sha256, hashes]),
        frames_sha256=(recording.sha256,),
        fps=fps if images else None,
    )
    note = f"Several people in {n_crowded} of {len(files)} frames: the one nearest to the last pose was used."
    return Imported(footage, source, (note,) if n_crowded else ())


def _iterate_frames(recording: FrameSource, poses: Keypoints, span: range) -> Iterator[tuple[float, SuppliedFrame]]:
    """(seconds, supplied frame) at consecutive positions; for a video, `span` covers all of it."""
    segment = select_images(recording, span) if isinstance(recording, FolderSource) else recording
    done = 0
    for (seconds, frame), pose in zip(segment.frames(), poses[span.start : span.stop], strict=False):
        yield seconds, SuppliedFrame(frame, pose=pose)
        done += 1
    if done < len(span):
        raise BenchError(
            f"Only {done} of the {len(span)} frames can be decoded: poses and frames would not match.",
            hint="Copy the video again, or pass the frames as a folder of images.",
        )


def _check_numbers(files: dict[int, Path], numbers: Sequence[int], frames: Path) -> None:
    """Refuse files that are not one per frame, or whose numbers have other gaps than those of the frames."""
    if len(files) != len(numbers):
        raise BenchError(
            f"There are {len(files)} JSON files for the {len(numbers)} frames of {frames}.",
            hint="OpenPose writes one *_keypoints.json per frame: name the frames that it ran on.",
        )
    first_file = next(iter(files))
    for (number, path), frame in zip(files.items(), numbers, strict=True):
        if number - first_file != frame - numbers[0]:
            raise BenchError(
                f"{path} does not match {frames}: its frame would be number {frame}.",
                hint="The numbers in the names of files and frames must have the same gaps.",
            )


# ---------------------------------------------------------------- the format


def _read_all(paths: Iterable[Path]) -> tuple[list[Keypoints], str]:
    """The people of every file, float32 [N, 75, 3] each, and the body format that all share."""
    people: list[Keypoints] = []
    n_points: int | None = None
    for path in paths:
        persons, body_points = read_people(path)
        if body_points is not None and n_points not in (None, body_points):
            raise BenchError(
                f"{path} holds {body_points} body points where the files before hold {n_points}.",
                hint="Use the files of one OpenPose execution.",
            )
        n_points = n_points or body_points
        people.append(persons)
    return people, _BODY_POINTS[n_points or 25]


def read_people(path: Path) -> tuple[Keypoints, int | None]:
    """The people of one file in our layout.

    Returns:
        float32 [N, 75, 3], leaving out people without any body point, and the number of points of their
        bodies (25 or 18; None without people). An empty list of body points is nobody.

    Raises:
        BenchError: The file is not in OpenPose's format.
    """
    try:
        document = json.loads(read_bytes(path).decode())
    except (ValueError, RecursionError) as error:  # invalid JSON or UTF-8
        raise _malformed_error(path, f"it is not JSON ({error})") from error
    persons = document.get("people") if isinstance(document, dict) else None
    if not isinstance(persons, list) or not all(isinstance(person, dict) for person in persons):
        raise _malformed_error(path, "it has no list of people")
    persons = [person for person in persons if person.get("pose_keypoints_2d") != []]
    sizes = {len(_read_triples(path, person, "pose_keypoints_2d", _BODY_POINTS)) for person in persons}
    if len(sizes) > 1:
        raise _malformed_error(path, "its people have bodies of both 25 and 18 points")
    layouts = [_to_layout(path, person) for person in persons]
    visible = [points for points in layouts if points[BODY, 2].any()]
    stacked = np.stack(visible) if visible else np.zeros((0, N_POINTS, 3), np.float32)
    return stacked, sizes.pop() if sizes else None


def _to_layout(path: Path, person: dict[str, Any]) -> Keypoints:
    points = np.zeros((N_POINTS, 3), np.float32)
    body = _read_triples(path, person, "pose_keypoints_2d", _BODY_POINTS)
    if len(body) == 25:
        points[BODY] = body
    else:
        points[_BODY_FROM_COCO] = body
        if points[R_HIP, 2] > 0 and points[L_HIP, 2] > 0:
            points[MID_HIP] = (points[R_HIP] + points[L_HIP]) / 2
    face = _read_triples(path, person, "face_keypoints_2d", (0, 70))
    if len(face):
        points[FACE] = face[_FACE_FROM_70]
    for key, (part, count) in _PARTS.items():
        hand = _read_triples(path, person, key, (0, count))
        if len(hand):
            points[part] = hand
    points[points[:, 2] <= 0] = 0
    return points


def _read_triples(path: Path, person: dict[str, Any], key: str, counts: Collection[int]) -> npt.NDArray[np.float64]:
    """A list x, y, confidence, x, y … as float64 [n, 3], n one of `counts`; a missing list has no points."""
    values = person.get(key) or []
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise _malformed_error(path, f"{key} is not a list of numbers")
    if len(values) not in {3 * count for count in counts}:
        expected = " or ".join(str(3 * count) for count in sorted(counts, reverse=True))
        raise _malformed_error(path, f"{key} holds {len(values)} numbers, not {expected}")
    try:
        triples = np.array(values, np.float64).reshape(-1, 3)
    except OverflowError:  # an integer too large for a float
        triples = np.full((len(values) // 3, 3), np.inf)
    if not np.isfinite(triples).all():
        raise _malformed_error(path, f"{key} holds a number that is not finite")
    return triples


def _malformed_error(path: Path, reason: str) -> BenchError:
    return BenchError(
        f"{path} is not an OpenPose keypoint file: {reason}.",
        hint="Expected people[].pose_keypoints_2d with the 75 numbers of BODY_25 or the 54 of COCO-18.",
    )


def _check_pixels(people: Sequence[Keypoints], paths: Sequence[Path], recording: FrameSource) -> None:
    """Refuse poses in normalised coordinates, or well outside the frame."""
    size = np.array([recording.width, recording.height])
    found_points = [persons[..., :2][persons[..., 2] > 0] for persons in people]  # [n, 2] a file
    all_points = np.concatenate(found_points)
    if len(all_points) and np.abs(all_points).max() <= 1:
        raise BenchError("The poses are in normalised coordinates (0 to 1), not in pixels.", hint=_SCALE_HINT)
    for path, points in zip(paths, found_points, strict=True):
        if ((points < -_MARGIN * size) | (points > (1 + _MARGIN) * size)).any():
            raise BenchError(
                f"{path} has a point well outside its frame of {recording.height}x{recording.width} (height x width).",
                hint=_SCALE_HINT,
            )


# ---------------------------------------------------------------- tracking one of several people


def follow_person(people: Sequence[Keypoints]) -> tuple[Keypoints, int]:
    """Track one person through all frames.

    In the first frame that shows anybody it is the most confident detection (the largest sum of the body's
    confidences), from then on the one nearest to the last pose (`pose_distances`).

    Args:
        people: float32 [N, 75, 3] per frame; N may be 0, which leaves the pose missing.

    Returns:
        float32 [T, 75, 3], and in how many frames there were several people.
    """
    poses = np.zeros((len(people), N_POINTS, 3), np.float32)
    last: Keypoints | None = None
    for t, persons in enumerate(people):
        if len(persons) == 0:
            continue
        distances = pose_distances(last, persons) if last is not None else np.full(len(persons), np.inf)
        confidence = persons[:, BODY, 2].sum(axis=-1)
        chosen = np.argmin(distances) if np.isfinite(distances).any() else np.argmax(confidence)
        poses[t] = last = persons[chosen]
    return poses, sum(len(persons) > 1 for persons in people)
