"""Poses from frames: MediaPipe Holistic in tracking mode, converted to the 75-point layout.

MediaPipe is imported here and nowhere else, and only when poses are extracted: scoring a video needs none.
In tracking mode its results are bit-identical across processes, but depend on the previous frames:
a clip is always read from its first frame.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.skeleton import (
    FACE,
    L_HIP,
    L_SHOULDER,
    LEFT_HAND,
    MID_HIP,
    N_POINTS,
    NECK,
    R_HIP,
    R_SHOULDER,
    RIGHT_HAND,
    Keypoints,
)  # fmt: skip

_MODEL_COMPLEXITY: Final = 1
_VISIBLE: Final = 0.5
"""BlazePose's visibility below which a body point counts as missing."""

# BODY_25 index ← BlazePose index. Neck and mid-hip are midpoints; BlazePose has no small toes.
_BODY_FROM_BLAZEPOSE: Final = {
    0: 0, 2: 12, 3: 14, 4: 16, 5: 11, 6: 13, 7: 15, 9: 24, 10: 26, 11: 28, 12: 23, 13: 25, 14: 27,
    15: 5, 16: 2, 17: 8, 18: 7, 19: 31, 21: 29, 22: 32, 24: 30,
}  # fmt: skip
# Face mesh vertices for bridge, tip, chin, right and left jaw end, base of the nose, right and left pupil.
# Without refined landmarks the mesh has no irises: a pupil is the middle of its eye's two corners.
_FACE_FROM_MESH: Final[tuple[tuple[int, ...], ...]] = (
    (168,), (1,), (152,), (234,), (454,), (2,), (33, 133), (263, 362),
)  # fmt: skip


def describe_extractor() -> str:
    """The pose extractor, with its version and settings, as recorded with every clip."""
    version = importlib.metadata.version("mediapipe")
    return f"mediapipe {version} holistic complexity={_MODEL_COMPLEXITY} tracking visibility>={_VISIBLE}"


def extract_poses(frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Keypoints]:
    """Extract the pose of the person in each frame, in order.

    Args:
        frames: uint8 RGB [H, W, 3], consecutive.

    Yields:
        float32 [75, 3] per frame: x, y in pixels of that frame (pixel centres are whole numbers) and the
        confidence: BlazePose's visibility for the body (0 below 0.5), 1 for found hands and face points.

    Raises:
        BenchError: MediaPipe cannot be imported.
    """
    with contextlib.ExitStack() as quiet:
        # MediaPipe's threads still print start-up messages while the first frame is processed.
        quiet.enter_context(_silence_native_stderr())
        with _open_holistic() as model:
            for frame in frames:
                with _silence_native_stderr():
                    result = model.process(np.ascontiguousarray(frame))
                quiet.close()
                yield _to_layout(result, frame.shape[0], frame.shape[1])


def _to_layout(result: Any, height: int, width: int) -> Keypoints:
    points = np.zeros((N_POINTS, 3), np.float32)
    size = np.array([width, height], np.float64)
    if result.pose_landmarks:
        raw = result.pose_landmarks.landmark
        for body, blaze in _BODY_FROM_BLAZEPOSE.items():
            if raw[blaze].visibility >= _VISIBLE:
                points[body] = _to_pixels(raw[blaze], size, raw[blaze].visibility)
        for middle, (a, b) in {NECK: (R_SHOULDER, L_SHOULDER), MID_HIP: (R_HIP, L_HIP)}.items():
            if points[a, 2] > 0 and points[b, 2] > 0:
                points[middle] = (points[a] + points[b]) / 2
    for part, landmarks in (
        (LEFT_HAND, result.left_hand_landmarks),
        (RIGHT_HAND, result.right_hand_landmarks),
    ):
        if landmarks:
            points[part] = [_to_pixels(mark, size, 1.0) for mark in landmarks.landmark]
    if result.face_landmarks:
        mesh = result.face_landmarks.landmark
        points[FACE] = [
            np.mean([_to_pixels(mesh[vertex], size, 1.0) for vertex in vertices], axis=0)
            for vertices in _FACE_FROM_MESH
        ]
    return points


def _to_pixels(mark: Any, size: npt.NDArray[np.float64], confidence: float) -> tuple[float, float, float]:
    return float(mark.x * size[0] - 0.5), float(mark.y * size[1] - 0.5), confidence


@contextlib.contextmanager
def _open_holistic() -> Iterator[Any]:
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _defer_signals():
            import mediapipe
    except ImportError as error:
        raise BenchError(
            f"MediaPipe cannot be imported ({error}).",
            hint="pip install mediapipe==0.10.21; on Debian also: apt-get install libgl1 libglib2.0-0 libegl1 libgles2",
        ) from error
    model = mediapipe.solutions.holistic.Holistic(
        static_image_mode=False, model_complexity=_MODEL_COMPLEXITY, refine_face_landmarks=False
    )
    with model:
        yield model


@contextlib.contextmanager
def _defer_signals() -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM: native libraries that are interrupted while loading report other errors."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda signal_number, _: received.append(signal_number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for signal_number in received:
        signal.raise_signal(signal_number)


@contextlib.contextmanager
def _silence_native_stderr() -> Iterator[None]:
    """MediaPipe's native code writes start-up messages to file descriptor 2 at any log level."""
    sys.stderr.flush()
    original = os.dup(2)
    try:
        with open(os.devnull, "w") as devnull:
            os.dup2(devnull.fileno(), 2)
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)
