"""The extractor `tasks`: which MediaPipe it runs with, its points, and poses of drawn and real people.

What needs its MediaPipe is skipped with the reason where another is installed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from dancebench.core.errors import BenchError
from dancebench.datasets.dancers.dancer import dance, make_dancer
from dancebench.datasets.pose.extractors.base import EXTRACTORS
from dancebench.datasets.pose.extractors.tasks import MODELS, TasksExtractor
from dancebench.datasets.pose.skeleton import BODY, FACE, LEFT_HAND, RIGHT_HAND, has_person, is_found

Frames = list[npt.NDArray[np.uint8]]


@pytest.fixture
def extractor() -> TasksExtractor:
    """The extractor with its models at hand, or a skip with the reason."""
    reason = TasksExtractor.explain_absence()
    if reason is not None:
        pytest.skip(reason)
    try:
        TasksExtractor.model_hashes()
    except BenchError as error:
        pytest.skip(error.message)
    return TasksExtractor()


def pretend(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    """Say that this MediaPipe is installed; None: that none is."""

    def tell(name: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", tell)


# ---- which MediaPipe


@pytest.mark.parametrize("version", ["0.10.30", "0.10.31", "0.10.33"])
def test_it_runs_with_these(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, version)
    assert TasksExtractor.explain_absence() is None
    assert TasksExtractor.describe() == (
        f"mediapipe {version} tasks pose=full hands=full face=mesh tracking visibility>=0.5"
    )


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (None, "not installed"),
        ("0.10.21", "the extractor 'holistic' uses"),
        ("0.9.3.0", "the extractor 'holistic' uses"),
        ("0.10.34", "not known to stay offline"),
        ("0.10.35", "calls a server of its maker"),
        ("0.11.0", "calls a server of its maker"),
        ("1.0.0", "calls a server of its maker"),
        ("1.2.3", "calls a server of its maker"),
    ],
)
def test_others_are_refused_by_name_and_reason(
    version: str | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, version)
    said = TasksExtractor.explain_absence()
    assert said is not None
    assert reason in said
    assert (version or "MediaPipe") in said
    assert "0.10.30 to 0.10.33" in said
    for attempt in (TasksExtractor.describe, lambda: list(TasksExtractor().extract([]))):
        with pytest.raises(BenchError, match="cannot run on this machine") as caught:
            attempt()
        assert said in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint == "pip install mediapipe==0.10.33"


def test_nothing_is_imported_to_tell() -> None:
    code = (
        "import sys; from dancebench.datasets.pose.extractors.tasks import TasksExtractor\n"
        "TasksExtractor.explain_absence(); sys.exit('mediapipe' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_it_is_registered_below_holistic() -> None:
    assert EXTRACTORS["tasks"] is TasksExtractor
    assert TasksExtractor.priority == 1


# ---- foreign reference


def read_frames(path: Path, count: int) -> Frames:
    """The first frames of a video, RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in itertools.islice(container.decode(video=0), count)]


@pytest.mark.parametrize("seed", [2, 5])
def test_foreign_reference_drawn_dancers_are_found_where_they_are_drawn(seed: int, extractor: TasksExtractor) -> None:
    drawn = list(dance(make_dancer(seed), n_frames=10))
    truth = np.stack([points for _, points in drawn])
    found = np.stack(list(extractor.extract(frame for frame, _ in drawn)))
    both = is_found(found) & is_found(truth)
    assert both[:, :19].all()  # the whole body but the feet, in every frame
    assert both[:, LEFT_HAND.start : RIGHT_HAND.stop].mean() > 0.4
    assert both[:, FACE].mean() > 0.8
    error = np.hypot(*np.moveaxis(found - truth, -1, 0)[:2])
    assert error[:, :15].mean() < 8  # pixels, of 512
    assert error[:, FACE][both[:, FACE]].mean() < 8


@pytest.mark.parametrize(("name", "share"), [("bodypose3d_cam0", 0.6), ("tfjs_pose_squats", 0.8)])  # some folded
def test_real_people_have_bodies_and_hands_at_their_wrists(
    name: str, share: float, real_clips: Path, extractor: TasksExtractor
) -> None:
    found = np.stack(list(extractor.extract(read_frames(real_clips / f"{name}.mp4", 30))))
    assert found.dtype == np.float32
    assert has_person(found).all()
    height = float(np.ptp(found[:, BODY, 1][is_found(found)[:, BODY]]))
    hands = is_found(found)[:, [LEFT_HAND.start, RIGHT_HAND.start]]
    assert hands.mean() > share
    for column, (hand, wrist) in enumerate(((LEFT_HAND.start, 7), (RIGHT_HAND.start, 4))):
        seen = hands[:, column] & is_found(found)[:, wrist]
        away = np.hypot(*np.moveaxis(found[seen, hand] - found[seen, wrist], -1, 0)[:2])
        assert np.median(away) < 0.04 * height


def test_poses_are_the_same_in_another_process_and_start_anew_with_each_clip(
    real_clips: Path, extractor: TasksExtractor, tmp_path: Path
) -> None:
    frames = read_frames(real_clips / "tfjs_pose_squats.mp4", 6)
    np.save(tmp_path / "frames.npy", np.stack(frames))
    code = (
        "import hashlib, sys, numpy as np\n"
        "from dancebench.datasets.pose.extractors.tasks import TasksExtractor\n"
        "found = np.stack(list(TasksExtractor().extract(np.load(sys.argv[1], allow_pickle=False))))\n"
        "print(hashlib.sha256(found.tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "frames.npy")]
    other = subprocess.run(command, capture_output=True, text=True, check=True)
    twice = [hashlib.sha256(np.stack(list(extractor.extract(frames))).tobytes()).hexdigest() for _ in range(2)]
    assert twice == [other.stdout.strip()] * 2
    assert other.stderr == ""  # MediaPipe's messages are kept back


def test_an_empty_picture_has_nobody(extractor: TasksExtractor) -> None:
    found = np.stack(list(extractor.extract([np.zeros((64, 48, 3), np.uint8)] * 2)))
    assert found.shape == (2, 75, 3)
    assert not found.any()
    assert not list(extractor.extract([]))


def test_models_are_named_with_their_hashes(extractor: TasksExtractor) -> None:
    hashes = TasksExtractor.model_hashes()
    assert list(hashes) == [model.name for model in MODELS]
    assert all(len(sha256) == 64 for sha256 in hashes.values())
