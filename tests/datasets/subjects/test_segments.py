"""Recordings that are cut, or whose clock jumps: no pose is tracked, and nothing is paired, across."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from extractors import always_open

from dancebench.core.opencv import cv2
from dancebench.core.workspace import Workspace
from dancebench.datasets.pose.skeleton import L_HIP, L_SHOULDER, MID_HIP, NECK, R_HIP, R_SHOULDER, Keypoints
from dancebench.datasets.subjects.dataset import Dataset, Subject
from dancebench.datasets.subjects.permission import state_permission
from dancebench.datasets.subjects.real_clips import list_shown_breaks, write_real
from dancebench.datasets.subjects.records import DatasetRecord, PoseSource, PrepareConfig, SubjectRecord

Picture = npt.NDArray[np.uint8]
SIZE = (128, 64)


def paint(seed: int) -> Picture:
    patches = np.random.default_rng(seed).integers(20, 235, (6, 4, 3), np.uint8)
    return np.asarray(cv2.resize(patches, SIZE[::-1], interpolation=cv2.INTER_CUBIC))


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replaces pose extraction by a figure that stands elsewhere in each tracking; returns their lengths."""
    lengths: list[int] = []

    def extract(frames: Iterable[Picture]) -> Iterator[Keypoints]:
        lengths.append(0)
        x = 10 + 20 * len(lengths)
        for _ in frames:
            lengths[-1] += 1
            points = np.zeros((75, 3), np.float32)
            for joint, y in {NECK: 10, R_SHOULDER: 10, L_SHOULDER: 10, R_HIP: 14, L_HIP: 14, MID_HIP: 14}.items():
                points[joint] = (x, y, 1)
            yield points

    monkeypatch.setattr(PoseSource, "open", always_open(extract))
    return lengths


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    prepare = PrepareConfig(height=128, width=64, fps=30)
    return Dataset.create(Workspace(tmp_path / "w"), DatasetRecord(name="d", licence="x", prepare=prepare))


def add(dataset: Dataset, recording: Path, role: str = "train") -> Subject:
    permission = state_permission(role, consent=None, legal_basis="yes")  # type: ignore[arg-type]
    return dataset.add("a", recording, role=role, licence="MIT", permission=permission)[1]  # type: ignore[arg-type]


def test_poses_are_tracked_anew_where_the_picture_is_cut_or_the_clock_jumps(
    dataset: Dataset, tracked: list[int], make_video: Callable[..., Path]
) -> None:
    frames = [paint(seed) for seed in (1, 1, 2) for _ in range(10)]
    stamps = [*range(10), *range(1000, 1020)]
    subject = add(dataset, make_video("cut.mkv", frames, stamps=stamps))
    assert tracked == [10, 10, 10]
    assert subject.record.breaks == (10, 20)
    stretches, cut = subject.record.decode_warnings
    assert stretches == "2 stretches, 33 s apart; no pair of frames was taken across"
    assert cut == "its picture is cut at 0.67 s; no pair of frames was taken across"
    assert SubjectRecord.load(subject.folder / "subject.json") == subject.record
    assert [list(part) for part in subject.segments(range(30))] == [list(range(k, k + 10)) for k in (0, 10, 20)]


def test_a_recording_without_either_is_one_segment(
    dataset: Dataset, tracked: list[int], make_video: Callable[..., Path]
) -> None:
    subject = add(dataset, make_video("whole.mp4", [np.roll(paint(1), t, axis=1) for t in range(20)]))
    assert (tracked, subject.record.breaks, subject.record.decode_warnings) == ([20], (), ())
    assert "breaks" not in json.dumps(subject.record.contents)  # content hashes of such clips stay what they were


def test_the_real_clip_tells_its_breaks(
    dataset: Dataset, tracked: list[int], make_video: Callable[..., Path], tmp_path: Path
) -> None:
    """80 frames train; of the 20 held out the first is left out, and the first after the cut."""
    frames = [paint(1)] * 90 + [paint(2)] * 10
    subject = add(dataset, make_video("cut.mp4", frames), role="holdout")
    record = write_real(subject, SIZE, tmp_path / "real.mp4")
    assert (record.n_frames, record.breaks) == (18, (9,))


def test_closed_form_breaks_of_shown_frames() -> None:
    assert list_shown_breaks([10]) == ()
    assert list_shown_breaks([10, 1, 4, 2]) == (9, 12)  # 9, none, 3 and 1 are shown
    assert list_shown_breaks([]) == ()
