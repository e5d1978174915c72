"""The drivers of the detection protocol's fakes, and the rows of the manifest."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dancebench.benchmark.presets import RunSettings
from dancebench.benchmark.runs.driving_motion import MotionSource
from dancebench.benchmark.runs.protocol_fakes import (
    FakePlan,
    assign_drivers,
    list_fake_jobs,
    list_video_rows,
    make_fakes,
)
from dancebench.benchmark.runs.transfer import AS_IS, make_driving_motion
from dancebench.core.errors import BenchError
from dancebench.core.progress import ignore_progress
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.catalogue import build_catalogue
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.records import FIRST_POSE_SOURCE
from dancebench.datasets.subjects.subject import Subject
from dancebench.detect.inputs.leak_audit import audit_leaks


def plan_in(root: Path, others: tuple[str, ...] = ()) -> FakePlan:
    workspace = Workspace(root)
    dataset = Dataset.open(workspace, "demo-tiny")
    return FakePlan(workspace, dataset, "fbf-ts", others, "tiny", RunSettings(trunk="off"))


@pytest.fixture
def workspace(tiny_demo: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_demo, tmp_path / "workspace"))


def test_the_drivers_of_the_held_out_set_are_unseen_in_training(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path).open()
    drivers = assign_drivers(Dataset.create(workspace, build_catalogue("demo", FIRST_POSE_SOURCE)))
    assert drivers["train"] == drivers["validation"] == ("driver01", "driver02")
    assert drivers["holdout"] == ("driver03", "driver04")


def test_one_driver_alone_is_not_used(tmp_path: Path) -> None:
    record = build_catalogue("demo", FIRST_POSE_SOURCE)
    subjects = tuple(each for each in record.subjects if each.role != "driver" or each.id == "driver01")
    dataset = Dataset.create(Workspace(tmp_path).open(), record.model_copy(update={"subjects": subjects}))
    assert set(assign_drivers(dataset).values()) == {()}


def test_baselines_and_other_methods_are_made_of_held_out_people_alone(tiny_demo: Path) -> None:
    jobs = list_fake_jobs(plan_in(tiny_demo, ("fbf", "nearest")))
    by_method = {
        method: [job for job in jobs if job.synthesis.method == method] for method in ("fbf-ts", "fbf", "nearest")
    }
    assert len(by_method["fbf-ts"]) == 5
    for method in ("fbf", "nearest"):
        assert [(job.synthesis.subject, job.drivers) for job in by_method[method]] == [
            ("holdout01", ()),
            ("holdout02", ()),
        ]


def test_every_fake_is_as_long_as_its_real_and_the_manifest_does_not_leak(workspace: Path) -> None:
    plan = plan_in(workspace)
    results = make_fakes(plan, workers=1, report=ignore_progress)
    fakes = [each for each in results if each.job.method == "fbf-ts"]
    rows = list_video_rows(plan.workspace, plan.dataset, fakes)
    audit_leaks(rows)
    assert {row.n_frames for row in rows} == {7}
    assert {row.video_id for row in rows if row.subject_id == "holdout01"} == {
        "holdout01/holdout01/real",
        "holdout01/holdout01/fbf-ts",
        "holdout01/driver02/fbf-ts",
    }
    assert {row.pictures for row in rows} == {"drawn"}
    by_id = {row.video_id: row for row in rows}
    assert by_id["train01/driver01/fbf-ts"].motion_sha256 == by_id["train02/driver01/fbf-ts"].motion_sha256
    assert by_id["train01/train01/real"].motion_sha256 == by_id["train01/train01/fbf-ts"].motion_sha256


def test_existing_fakes_are_reused(workspace: Path) -> None:
    make_fakes(plan_in(workspace), workers=1, report=ignore_progress)
    before = {path: path.stat().st_mtime_ns for path in workspace.rglob("fakes/**/*.mp4")}
    make_fakes(plan_in(workspace), workers=1, report=ignore_progress)
    assert {path: path.stat().st_mtime_ns for path in workspace.rglob("fakes/**/*.mp4")} == before


def source_of(subject: Subject, breaks: tuple[int, ...] = ()) -> MotionSource:
    count = subject.record.n_frames
    starts = np.zeros(count, np.bool_)
    starts[[0, *breaks]] = True
    return MotionSource(
        label="x", name="x", sha256="0" * 64, size=subject.size, fps=25.0, keypoints=subject.keypoints(),
        face_centres=np.zeros((count, 2), np.float32), starts_segment=starts, indices=range(count),
        frames=lambda: iter(()), recordings=frozenset(), decode_warnings=(),
    )  # fmt: skip


def test_the_end_of_a_motion_is_kept(walker: Subject) -> None:
    drive = make_driving_motion(source_of(walker), walker, AS_IS, shown=7)
    assert [len(segment.keypoints) for segment in drive.segments] == [8]  # the first of a segment is never shown
    assert drive.first_frame == 23
    np.testing.assert_allclose(drive.segments[0].keypoints, walker.keypoints()[22:], rtol=1e-6)


def test_a_motion_with_breaks_gives_as_many_frames_from_several_segments(walker: Subject) -> None:
    drive = make_driving_motion(source_of(walker, breaks=(25,)), walker, AS_IS, shown=7)
    assert [len(segment.keypoints) for segment in drive.segments] == [4, 5]
    assert drive.first_frame == 22
    np.testing.assert_allclose(drive.segments[0].keypoints, walker.keypoints()[21:25], rtol=1e-6)


def test_a_motion_that_is_too_short_is_refused(walker: Subject) -> None:
    with pytest.raises(BenchError, match="31 in one segment are needed"):
        make_driving_motion(source_of(walker), walker, AS_IS, shown=30)
