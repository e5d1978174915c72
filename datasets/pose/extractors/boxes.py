"""Boxes of the people, and of the faces, in a frame: MediaPipe's pose landmarker and face detector, frame by frame.

Unlike the extractors these follow nobody from frame to frame: equal pixels give equal boxes. People are found at the
size of the whole frame, faces there and again within a square around the head of each person, where a small face is
large enough. The networks are those of the extractors; nothing is downloaded where MediaPipe's wheel carries them.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.extractors._hands import cut_square
from dancebench.datasets.pose.extractors._models import ModelFile, read_models
from dancebench.datasets.pose.extractors._native import defer_signals, silence_native_stderr
from dancebench.datasets.pose.extractors.base import Frame
from dancebench.datasets.pose.extractors.holistic import HolisticExtractor
from dancebench.datasets.pose.extractors.tasks import (
    FACE_DETECTION,
    MODELS,
    TasksExtractor,
    make_bundles,
)

Subject = Literal["person", "face"]
FindBoxes = Callable[[Frame], list[Box[float]]]
"""From a frame, uint8 RGB (H, W, 3), to boxes within it."""

MAX_PEOPLE: Final = 4
"""Whose boxes are looked for in a frame."""
_VISIBLE: Final = 0.5
"""Of a pose's points, those at least so visible bound the person."""
_FEWEST_POINTS: Final = 4
_SAME: Final = 0.4
"""Intersection over the smaller of two boxes from which on they show the same."""
_HEAD: Final = slice(0, 11)
"""BlazePose's points of the face."""
_HEAD_SQUARE: Final = 0.35
"""Side of the square in which a face is looked for, as a share of the person's larger side."""
_ROOM: Final = 2.5
"""Side of the square in which a face is looked for again, over the larger side of its box."""
_SMALLEST_SQUARE: Final = 32
"""Side of either square in pixels, at least."""


def open_finder(subject: Subject) -> FindBoxes:
    """The function that finds people or faces in a frame; its networks are read once in a process.

    Raises:
        BenchError: MediaPipe is missing or does not fit, or a model cannot be had.
    """
    networks = _open_networks()
    return networks.find_people if subject == "person" else networks.find_faces


def describe_finder() -> str:
    """Library with version, networks and settings: equal texts mean equal boxes.

    Raises:
        BenchError: MediaPipe is missing or does not fit.
    """
    _check_presence()
    version = importlib.metadata.version("mediapipe")
    return f"mediapipe {version} pose=full people<={MAX_PEOPLE} visibility>={_VISIBLE} face=short-range+head-squares"


def _check_presence() -> None:
    reasons = [each.explain_absence() for each in (HolisticExtractor, TasksExtractor)]
    if None not in reasons:
        raise BenchError(
            f"People and faces cannot be found on this machine: {reasons[1]}.",
            hint="bench doctor shows which MediaPipe fits; the view 'frame' needs none.",
        )


def _read_networks() -> dict[str, bytes]:
    """The networks by name: from the installed wheel if it carries them, else as the extractor `tasks` gets them."""
    _check_presence()
    if HolisticExtractor.explain_absence() is not None:
        return read_models(MODELS)
    wheel = importlib.metadata.distribution("mediapipe")
    return {model.name: _read_member(Path(str(wheel.locate_file(model.member))), model) for model in MODELS}


def _read_member(path: Path, model: ModelFile) -> bytes:
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != model.sha256:
        raise BenchError(f"{path} is missing or is not MediaPipe's.", hint="Install MediaPipe again.")
    return data


@functools.cache
def _open_networks() -> _Networks:
    return _Networks(_read_networks())


class _Networks:
    """The pose landmarker and the face detector, each for single pictures."""

    def __init__(self, models: dict[str, bytes]) -> None:
        os.environ.setdefault("GLOG_minloglevel", "2")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        try:
            with defer_signals(), silence_native_stderr():
                import mediapipe
                from mediapipe.tasks.python import BaseOptions, vision

                self._mediapipe = mediapipe
                pose, _, _ = make_bundles(models)
                pose_options = vision.PoseLandmarkerOptions(
                    BaseOptions(model_asset_buffer=pose), vision.RunningMode.IMAGE, num_poses=MAX_PEOPLE
                )
                face_options = vision.FaceDetectorOptions(BaseOptions(model_asset_buffer=models[FACE_DETECTION.name]))
                self._pose: Any = vision.PoseLandmarker.create_from_options(pose_options)
                self._face: Any = vision.FaceDetector.create_from_options(face_options)
        except (ImportError, OSError) as error:
            raise BenchError(
                f"MediaPipe cannot be loaded ({error}).",
                hint="On Debian: apt-get install libgl1 libglib2.0-0 libegl1 libgles2",
            ) from error

    def find_people(self, frame: Frame) -> list[Box[float]]:
        """Boxes around the visible points of each pose, the largest first."""
        boxes = [bound_points(points, frame.shape[:2]) for points in self._find_poses(frame)]
        return drop_repeated([box for box in boxes if box is not None])

    def find_faces(self, frame: Frame) -> list[Box[float]]:
        """Boxes of the faces, the largest first. Within a person's box a face counts at the person's head alone."""
        poses = self._find_poses(frame)
        people = [box for points in poses if (box := bound_points(points, frame.shape[:2])) is not None]
        heads = [look_at_head(points, frame.shape[:2]) for points in poses]
        anywhere = [
            face
            for face in self._detect_faces(frame, (0, 0))
            if not any(_holds_centre(person, face) for person in people)
            or any(_holds_centre(head, face) for head in heads)
        ]
        faces = [face for face in anywhere if self._is_confirmed(frame, face)]
        for head in heads:
            faces += self._detect_within(frame, head)
        inside = [face.clip((frame.shape[0], frame.shape[1])) for face in faces]
        return drop_repeated([face for face in inside if face.height > 0 and face.width > 0])

    def _is_confirmed(self, frame: Frame, face: Box[float]) -> bool:
        """Whether a face is found again within a square around it: pictures of anything else rarely are."""
        again = self._detect_within(frame, _square_around(face))
        return any(_measure_overlap(face, other) >= _SAME for other in again)

    def _detect_within(self, frame: Frame, square: Box[float]) -> list[Box[float]]:
        centre = np.array([square.left + square.right, square.top + square.bottom]) / 2
        pixels, corner = cut_square(frame, centre, round(square.height))
        return self._detect_faces(pixels, (float(corner[0]), float(corner[1])))

    def _find_poses(self, frame: Frame) -> list[npt.NDArray[np.float64]]:
        """Of each person (33, 3): x, y in pixels, and the visibility."""
        with silence_native_stderr():
            poses = self._pose.detect(self._wrap(frame)).pose_landmarks
        size = np.array([frame.shape[1], frame.shape[0], 1.0])
        return [np.array([[mark.x, mark.y, mark.visibility] for mark in pose]) * size for pose in poses]

    def _detect_faces(self, frame: Frame, corner: tuple[float, float]) -> list[Box[float]]:
        with silence_native_stderr():
            found = self._face.detect(self._wrap(frame)).detections
        boxes = [each.bounding_box for each in found]
        left, top = corner
        return [
            Box(
                top + box.origin_y, top + box.origin_y + box.height,
                left + box.origin_x, left + box.origin_x + box.width,
            )
            for box in boxes
        ]  # fmt: skip

    def _wrap(self, frame: Frame) -> Any:
        return self._mediapipe.Image(self._mediapipe.ImageFormat.SRGB, np.ascontiguousarray(frame))


def look_at_head(points: npt.NDArray[np.float64], size: Sequence[int]) -> Box[float]:
    """The square around the head of a pose (33, 3), in a frame of `size` (height, width)."""
    side = round(_HEAD_SQUARE * float(np.ptp(points[:, :2], axis=0).max()))
    side = max(min(side, *size), _SMALLEST_SQUARE)
    x, y = points[_HEAD, :2].mean(axis=0).tolist()
    return Box(y - side / 2, y + side / 2, x - side / 2, x + side / 2)


def _square_around(face: Box[float]) -> Box[float]:
    half = max(_ROOM * max(face.height, face.width), _SMALLEST_SQUARE) / 2
    x, y = (face.left + face.right) / 2, (face.top + face.bottom) / 2
    return Box(y - half, y + half, x - half, x + half)


def _holds_centre(box: Box[float], other: Box[float]) -> bool:
    x, y = (other.left + other.right) / 2, (other.top + other.bottom) / 2
    return box.left <= x <= box.right and box.top <= y <= box.bottom


def bound_points(points: npt.NDArray[np.float64], size: Sequence[int]) -> Box[float] | None:
    """The box around the visible points of a pose (33, 3), within a frame of `size` (height, width); None if few are
    visible.
    """
    visible = points[points[:, 2] >= _VISIBLE, :2]
    if len(visible) < _FEWEST_POINTS:
        return None
    (left, top), (right, bottom) = visible.min(axis=0).tolist(), visible.max(axis=0).tolist()
    box = Box(float(top), float(bottom), float(left), float(right)).clip((size[0], size[1]))
    return box if box.height > 0 and box.width > 0 else None


def drop_repeated(boxes: Sequence[Box[float]]) -> list[Box[float]]:
    """The boxes, the largest first, without those that mostly lie in a larger one or hold most of it."""
    kept: list[Box[float]] = []
    for box in sorted(boxes, key=lambda each: each.height * each.width, reverse=True):
        if all(_measure_overlap(box, other) < _SAME for other in kept):
            kept.append(box)
    return kept


def _measure_overlap(first: Box[float], second: Box[float]) -> float:
    """Intersection over the area of the smaller one."""
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    width = min(first.right, second.right) - max(first.left, second.left)
    smaller = min(first.height * first.width, second.height * second.width)
    return max(height, 0.0) * max(width, 0.0) / smaller if smaller > 0 else 0.0
