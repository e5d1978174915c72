"""Poses from frames: the landmarkers of MediaPipe's Tasks interface in tracking mode.

The networks are those of `holistic`; on newer Pythons there is no MediaPipe that runs Holistic itself. The body comes
from the pose landmarker. One landmarker for each hand and one for the face look into squares around their places in the
pose: in the whole frame they overlook the hands and the face of a person who is small.

As with Holistic, results are bit-identical across processes, but depend on the previous frames: a clip is always read
from its first frame. Nothing here opens a connection; the models are fetched once, by pip (`_models`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.extractors._blazepose import PERSON, VISIBLE, convert_body, convert_face, convert_mark
from dancebench.datasets.pose.extractors._bundles import add_normalisation, pack_bundle, select_output
from dancebench.datasets.pose.extractors._hands import assign_hands, cut_square
from dancebench.datasets.pose.extractors._models import ModelFile, read_models
from dancebench.datasets.pose.extractors._native import defer_signals, silence_native_stderr
from dancebench.datasets.pose.extractors.base import EXTRACTORS, Frame, Mask, PoseExtractor
from dancebench.datasets.pose.skeleton import BODY, FACE, LEFT_HAND, N_POINTS, RIGHT_HAND, Keypoints

Points = npt.NDArray[np.float64]
"""(n, 2): x, y in pixels."""

_FIRST, _LAST, _CALLS_HOME = (0, 10, 30), (0, 10, 33), (0, 10, 35)
"""Releases of MediaPipe: the first without Holistic, the last that may run here, the first that calls home."""
_FITTING: Final = "0.10.30 to 0.10.33 fit"
_INSTALL: Final = "pip install mediapipe==0.10.33"

_POSE_DETECTION: Final = ModelFile(
    "mediapipe/modules/pose_detection/pose_detection.tflite",
    "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
)
_POSE_LANDMARKS: Final = ModelFile(
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
)
_PALM_DETECTION: Final = ModelFile(
    "mediapipe/modules/palm_detection/palm_detection_full.tflite",
    "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
)
_HAND_LANDMARKS: Final = ModelFile(
    "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
    "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
)
FACE_DETECTION: Final = ModelFile(
    "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
_FACE_LANDMARKS: Final = ModelFile(
    "mediapipe/modules/face_landmark/face_landmark.tflite",
    "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
)
MODELS: Final = (_POSE_DETECTION, _POSE_LANDMARKS, _PALM_DETECTION, _HAND_LANDMARKS, FACE_DETECTION, _FACE_LANDMARKS)

_FRAMES_PER_SECOND: Final = 30
"""Of the time stamps that the landmarkers' smoothing is given, whatever the clip's rate: as Holistic makes them up."""

# BlazePose's wrist, and knuckles of the small and the index finger, by where the hand's points begin.
_WRISTS: Final = {LEFT_HAND.start: 15, RIGHT_HAND.start: 16}
_KNUCKLES: Final = {LEFT_HAND.start: (17, 19), RIGHT_HAND.start: (18, 20)}
_HEAD: Final = slice(0, 11)
"""BlazePose's points of the face."""
_HAND_SQUARE, _FACE_SQUARE = 0.45, 0.3
"""Sides of the squares in which a hand and the face are looked for, as shares of the body's larger side."""
# The face landmarker reads 478 vertices of (x, y, z): 468 of the mesh and ten of the irises. The wheel's network has no
# irises, and its numbers would be taken for pairs. The corners of the eyes stand in for the irises; nothing reads them.
_MESH_VERTICES: Final = 468
_IRIS_STAND_INS: Final = (33,) * 5 + (263,) * 5


@EXTRACTORS.register("tasks")
class TasksExtractor(PoseExtractor):
    """MediaPipe's pose, hand and face landmarkers, for Pythons that have no MediaPipe with Holistic."""

    priority: ClassVar[int | None] = 1

    @classmethod
    def explain_absence(cls) -> str | None:
        """Why it cannot run on this machine: no MediaPipe, or one that does not fit; MediaPipe is not imported."""
        try:
            version = importlib.metadata.version("mediapipe")
        except importlib.metadata.PackageNotFoundError:
            return f"MediaPipe is not installed; {_FITTING}"
        release = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
        if release < _FIRST:
            return f"MediaPipe {version} has another interface, which the extractor 'holistic' uses; {_FITTING}"
        if release >= _CALLS_HOME:
            return f"MediaPipe {version} calls a server of its maker when it runs, and has no switch for it; {_FITTING}"
        if release > _LAST:
            return f"MediaPipe {version} is not known to stay offline; {_FITTING}"
        return None

    @classmethod
    def describe(cls) -> str:
        """Version, models and settings."""
        _check_presence()
        version = importlib.metadata.version("mediapipe")
        return f"mediapipe {version} tasks pose=full hands=full face=mesh tracking visibility>={VISIBLE}"

    @classmethod
    def model_hashes(cls) -> Mapping[str, str]:
        """SHA-256 of the TFLite files of which the landmarkers' bundles are made.

        Raises:
            BenchError: A file cannot be had, or is another one.
        """
        read_models(MODELS)
        return {model.name: model.sha256 for model in MODELS}

    def extract(self, frames: Iterable[Frame]) -> Iterator[Keypoints]:
        """See `PoseExtractor.extract`. Confidences: BlazePose's visibility for the body, 1 for found hands and face."""
        _check_presence()
        with contextlib.ExitStack() as stack:
            landmarkers = _Landmarkers(*self._bundles, stack)
            for index, frame in enumerate(frames):
                yield landmarkers.find(frame, index * 1000 // _FRAMES_PER_SECOND)

    def segment(self, frames: Iterable[Frame]) -> Iterator[Mask]:
        """See `PoseExtractor.segment`: pixels that BlazePose takes for the person's rather than not."""
        _check_presence()
        with contextlib.ExitStack() as stack:
            segmenter = _Segmenter(self._bundles[0], stack)
            for index, frame in enumerate(frames):
                yield segmenter.find(frame, index * 1000 // _FRAMES_PER_SECOND)

    @functools.cached_property
    def _bundles(self) -> tuple[bytes, bytes, bytes]:
        return make_bundles(read_models(MODELS))


def make_bundles(models: Mapping[str, bytes]) -> tuple[bytes, bytes, bytes]:
    """The bundles of the landmarkers of pose, hand and face, from the content of `MODELS` by name."""
    vertices = (*range(_MESH_VERTICES), *_IRIS_STAND_INS)
    pose = {
        "pose_detector.tflite": models[_POSE_DETECTION.name],
        "pose_landmarks_detector.tflite": add_normalisation(models[_POSE_LANDMARKS.name], mean=0, std=255),
    }
    hand = {
        "hand_detector.tflite": models[_PALM_DETECTION.name],
        "hand_landmarks_detector.tflite": models[_HAND_LANDMARKS.name],
    }
    face = {
        "face_detector.tflite": models[FACE_DETECTION.name],
        "face_landmarks_detector.tflite": select_output(
            models[_FACE_LANDMARKS.name], [3 * vertex + axis for vertex in vertices for axis in range(3)]
        ),
    }
    return pack_bundle(pose), pack_bundle(hand), pack_bundle(face)


class _Landmarkers:
    """The landmarkers of the pose, of each hand and of the face, opened for one clip and closed with `stack`."""

    def __init__(self, pose: bytes, hand: bytes, face: bytes, stack: contextlib.ExitStack) -> None:
        with _load_mediapipe() as self._mediapipe:
            from mediapipe.tasks.python import BaseOptions, vision

            tracking = vision.RunningMode.VIDEO
            pose_options = vision.PoseLandmarkerOptions(BaseOptions(model_asset_buffer=pose), tracking)
            hand_options = vision.HandLandmarkerOptions(BaseOptions(model_asset_buffer=hand), tracking)
            both_options = vision.HandLandmarkerOptions(BaseOptions(model_asset_buffer=hand), num_hands=len(_WRISTS))
            # In a square that follows the head, tracking the face from frame to frame finds it more rarely.
            face_options = vision.FaceLandmarkerOptions(BaseOptions(model_asset_buffer=face))
            self._pose = stack.enter_context(vision.PoseLandmarker.create_from_options(pose_options))
            self._hands = {
                part: stack.enter_context(vision.HandLandmarker.create_from_options(hand_options)) for part in _WRISTS
            }
            self._both_hands = stack.enter_context(vision.HandLandmarker.create_from_options(both_options))
            self._face = stack.enter_context(vision.FaceLandmarker.create_from_options(face_options))

    def find(self, frame: Frame, milliseconds: int) -> Keypoints:
        """The pose in a frame that follows the one before; see `PoseExtractor.extract`."""
        points = np.zeros((N_POINTS, 3), np.float32)
        with silence_native_stderr():  # MediaPipe's threads still print while the first frames are processed
            poses = self._pose.detect_for_video(self._wrap(frame), milliseconds).pose_landmarks
            if not poses:
                return points
            size = np.array([frame.shape[1], frame.shape[0]], np.float64)
            points[BODY] = convert_body(poses[0], size)
            body = np.array([convert_mark(mark, size, 0)[:2] for mark in poses[0]])  # (33, 2), seen or not
            points[FACE] = self._find_face(frame, body)
            for part, hand in self._find_hands(frame, body, milliseconds).items():
                points[part : part + len(hand)] = hand
        return points

    def _find_hands(self, frame: Frame, body: Points, milliseconds: int) -> dict[int, Keypoints]:
        """Hands by where their points begin, in pixels of the frame: float32 [21, 3] each."""
        wrists, side = {part: body[wrist] for part, wrist in _WRISTS.items()}, _measure_side(body)
        squares = {part: _look_at(frame, body, body[list(_KNUCKLES[part])], _HAND_SQUARE) for part in _WRISTS}
        found = {
            part: _place_hands(
                landmarker.detect_for_video(self._wrap(squares[part].pixels), milliseconds), squares[part]
            )
            for part, landmarker in self._hands.items()
        }
        assigned = assign_hands([hand for hands in found.values() for hand in hands], wrists, side)
        for part, square in squares.items():
            if found[part] and part not in assigned:  # folded hands: its square shows the other one too
                both = _place_hands(self._both_hands.detect(self._wrap(square.pixels)), square)
                return assign_hands([*assigned.values(), *both], wrists, side)
        return assigned

    def _find_face(self, frame: Frame, body: Points) -> Keypoints:
        """The eight face points in pixels of the frame, float32 [8, 3]; zeros where no face was found."""
        square = _look_at(frame, body, body[_HEAD], _FACE_SQUARE)
        faces = self._face.detect(self._wrap(square.pixels)).face_landmarks
        if not faces:
            return np.zeros((FACE.stop - FACE.start, 3), np.float32)
        return (convert_face(faces[0], square.size) + square.corner).astype(np.float32)

    def _wrap(self, frame: Frame) -> Any:
        return _wrap(self._mediapipe, frame)


class _Segmenter:
    """The landmarker of the pose with its mask of the person, opened for one clip and closed with `stack`."""

    def __init__(self, pose: bytes, stack: contextlib.ExitStack) -> None:
        with _load_mediapipe() as self._mediapipe:
            from mediapipe.tasks.python import BaseOptions, vision

            options = vision.PoseLandmarkerOptions(
                BaseOptions(model_asset_buffer=pose), vision.RunningMode.VIDEO, output_segmentation_masks=True
            )
            self._pose = stack.enter_context(vision.PoseLandmarker.create_from_options(options))

    def find(self, frame: Frame, milliseconds: int) -> Mask:
        """The mask in a frame that follows the one before; see `PoseExtractor.segment`."""
        with silence_native_stderr():
            masks = self._pose.detect_for_video(_wrap(self._mediapipe, frame), milliseconds).segmentation_masks
        if not masks:
            return np.zeros(frame.shape[:2], np.bool_)
        return np.asarray(masks[0].numpy_view().reshape(frame.shape[:2]) > PERSON, np.bool_)


@contextlib.contextmanager
def _load_mediapipe() -> Iterator[Any]:
    """Import MediaPipe for the block, in which landmarkers are made: its library is loaded with the first of them.

    Raises:
        BenchError: It cannot be loaded.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with defer_signals(), silence_native_stderr():
            import mediapipe

            yield mediapipe
    except (ImportError, OSError) as error:
        raise BenchError(
            f"MediaPipe cannot be loaded ({error}).",
            hint=f"{_INSTALL}; on Debian also: apt-get install libegl1 libgles2",
        ) from error


def _wrap(mediapipe: Any, frame: Frame) -> Any:
    return mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(frame))


@dataclass(frozen=True)
class _Square:
    """A part of a frame."""

    pixels: Frame
    corner: Points
    """What its points are moved by to be in the frame: (x, y, 0)."""
    size: Points
    """(width, height) in pixels."""


def _look_at(frame: Frame, body: Points, around: Points, share: float) -> _Square:
    """The square around points of a body whose side is a share of the body's."""
    side = max(round(share * _measure_side(body)), 1)
    pixels, corner = cut_square(frame, around.mean(axis=0), side)
    return _Square(pixels, np.array([*corner, 0]), np.array([side, side], np.float64))


def _place_hands(result: Any, square: _Square) -> list[Keypoints]:
    """Hands found in a square, in pixels of the frame: float32 [21, 3] each."""
    hands = (np.array([convert_mark(mark, square.size, 1.0) for mark in marks]) for marks in result.hand_landmarks)
    return [(hand + square.corner).astype(np.float32) for hand in hands]


def _measure_side(body: Points) -> float:
    """The larger side of the box around a body's points, in pixels."""
    return float(np.ptp(body, axis=0).max())


def _check_presence() -> None:
    reason = TasksExtractor.explain_absence()
    if reason is not None:
        raise BenchError(f"The pose extractor 'tasks' cannot run on this machine: {reason}.", hint=_INSTALL)
