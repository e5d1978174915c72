"""`holistic`: MediaPipe Holistic in tracking mode, converted to the 75-point layout.

MediaPipe is imported by its extractors alone, and only when poses are extracted: scoring a video needs none.
In tracking mode its results are bit-identical across processes, but depend on the previous frames:
a clip is always read from its first frame.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_once
from dancebench.datasets.pose.extractors._blazepose import PERSON, VISIBLE, convert_body, convert_face, convert_mark
from dancebench.datasets.pose.extractors._native import defer_signals, silence_native_stderr
from dancebench.datasets.pose.extractors.base import EXTRACTORS, Frame, Mask, PoseExtractor
from dancebench.datasets.pose.skeleton import BODY, FACE, LEFT_HAND, N_POINTS, RIGHT_HAND, Keypoints

VERSION: Final = "0.10.21"
"""The last release with Holistic whose wheel carries the models, so that nothing is downloaded."""
_MODEL_COMPLEXITY: Final = 1
_MODELS: Final = (
    "pose_detection/pose_detection.tflite",
    "pose_landmark/pose_landmark_full.tflite",
    "holistic_landmark/hand_recrop.tflite",
    "hand_landmark/hand_landmark_full.tflite",
    "face_detection/face_detection_short_range.tflite",
    "face_landmark/face_landmark.tflite",
)


@EXTRACTORS.register("holistic")
class HolisticExtractor(PoseExtractor):
    """MediaPipe Holistic: body, hands and face of one person. Its wheel carries the models."""

    priority = 2

    @classmethod
    def explain_absence(cls) -> str | None:
        try:
            version = importlib.metadata.version("mediapipe")
        except importlib.metadata.PackageNotFoundError:
            return f"MediaPipe is not installed; {VERSION} has it, for Python 3.11 and 3.12"
        return None if version == VERSION else f"MediaPipe {version} has no Holistic with its models; {VERSION} has"

    @classmethod
    def describe(cls) -> str:
        return f"mediapipe {VERSION} holistic complexity={_MODEL_COMPLEXITY} tracking visibility>={VISIBLE}"

    @classmethod
    def model_hashes(cls) -> Mapping[str, str]:
        wheel = importlib.metadata.distribution("mediapipe")
        paths = [Path(str(wheel.locate_file(f"mediapipe/modules/{name}"))) for name in _MODELS]
        return {path.name: sha256_once(path) for path in paths}

    def extract(self, frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Keypoints]:
        """As `PoseExtractor.extract`: BlazePose's visibility is the body's confidence (0 below 0.5), 1 that of found
        hands and face points.
        """
        for frame, result in _process(frames, segmentation=False):
            yield _to_layout(result, frame.shape[0], frame.shape[1])

    def segment(self, frames: Iterable[Frame]) -> Iterator[Mask]:
        """As `PoseExtractor.segment`: pixels that BlazePose takes for the person's rather than not."""
        for frame, result in _process(frames, segmentation=True):
            found = result.segmentation_mask
            yield np.zeros(frame.shape[:2], np.bool_) if found is None else np.asarray(found > PERSON, np.bool_)


def _process(frames: Iterable[Frame], *, segmentation: bool) -> Iterator[tuple[Frame, Any]]:
    """Each frame with what Holistic finds in it."""
    with contextlib.ExitStack() as quiet:
        # MediaPipe's threads still print start-up messages while the first frame is processed.
        quiet.enter_context(silence_native_stderr())
        with _open_holistic(segmentation=segmentation) as model:
            for frame in frames:
                with silence_native_stderr():
                    result = model.process(np.ascontiguousarray(frame))
                quiet.close()
                yield frame, result


def _to_layout(result: Any, height: int, width: int) -> Keypoints:
    points = np.zeros((N_POINTS, 3), np.float32)
    size = np.array([width, height], np.float64)
    if result.pose_landmarks:
        points[BODY] = convert_body(result.pose_landmarks.landmark, size)
    for part, landmarks in (
        (LEFT_HAND, result.left_hand_landmarks),
        (RIGHT_HAND, result.right_hand_landmarks),
    ):
        if landmarks:
            points[part] = [convert_mark(mark, size, 1.0) for mark in landmarks.landmark]
    if result.face_landmarks:
        points[FACE] = convert_face(result.face_landmarks.landmark, size)
    return points


@contextlib.contextmanager
def _open_holistic(*, segmentation: bool) -> Iterator[Any]:
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with defer_signals():
            import mediapipe
    except ImportError as error:
        raise BenchError(
            f"MediaPipe cannot be imported ({error}).",
            hint=f"pip install mediapipe=={VERSION}; "
            "on Debian also: apt-get install libgl1 libglib2.0-0 libegl1 libgles2",
        ) from error
    model = mediapipe.solutions.holistic.Holistic(
        static_image_mode=False,
        model_complexity=_MODEL_COMPLEXITY,
        refine_face_landmarks=False,
        enable_segmentation=segmentation,
        smooth_segmentation=False,  # moving limbs would leave a trail
    )
    with model:
        yield model
