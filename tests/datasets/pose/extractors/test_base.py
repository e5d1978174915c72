"""Pose extractors: which is the default, what is said where none can run, and that two are never mixed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.catalogue import TRUTH, build_catalogue, draw_subject, open_demo
from dancebench.datasets.pose.extractors.base import EXTRACTORS, find_default_extractor, open_extractor
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.prepare import read_poses
from dancebench.datasets.subjects.records import FIRST_POSE_SOURCE, DatasetRecord, PoseSource
from dancebench.leaderboards.records import load_runs


def bench(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def make_absent(monkeypatch: pytest.MonkeyPatch, **reasons: str | None) -> None:
    for name, reason in reasons.items():
        monkeypatch.setattr(EXTRACTORS[name], "explain_absence", classmethod(lambda _, reason=reason: reason))


def test_what_fits_the_machine_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    make_absent(monkeypatch, holistic=None)
    assert find_default_extractor() == "holistic"
    assert type(open_extractor()) is EXTRACTORS["holistic"]
    make_absent(monkeypatch, holistic="no wheel")
    assert find_default_extractor() != "holistic"
    with pytest.raises(BenchError, match="The pose extractor 'holistic' cannot run on this machine: no wheel"):
        open_extractor("holistic")
    with pytest.raises(UnknownNameError, match="Unknown pose extractor 'holistics'"):
        open_extractor("holistics")


def test_where_none_can_run_each_reason_is_given_and_dancers_keep_their_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [name for name, entry in EXTRACTORS.entries().items() if entry.priority is not None]
    make_absent(monkeypatch, **{name: f"no wheel of {name}" for name in others})
    with pytest.raises(BenchError, match=r"No pose extractor can run .*holistic: no wheel of holistic"):
        open_extractor()
    assert PoseSource.choose().extractor == "truth"
    with pytest.raises(BenchError, match=r"No pose extractor can run .*holistic: no wheel of holistic"):
        PoseSource.choose().open().extract([])
    rows = {row["extractor"]: row for row in json.loads(bench("list", "extractors", "--json"))}
    assert rows["holistic"]["what"] == "cannot run here: no wheel of holistic"
    assert rows["truth"]["what"] == "the drawn dancer's own keypoints"
    assert not any(row["default"] for row in rows.values())


def test_one_can_run_on_this_machine() -> None:
    """A machine that runs the tests has an extractor, so that everything that follows is tested."""
    default = find_default_extractor()
    assert default is not None
    source = PoseSource.choose()
    assert source.extractor == default
    assert source.description.startswith("mediapipe")
    assert source.models
    assert all(len(model.sha256) == 64 for model in source.models)
    assert source.open().describe() == source.description


def test_the_source_of_poses_is_part_of_what_a_dataset_is() -> None:
    ids = {
        build_catalogue("demo-tiny", source).dataset_id
        for source in (
            FIRST_POSE_SOURCE,
            PoseSource(extractor="tasks", description="mediapipe 0.10.33 tasks"),
            PoseSource(extractor="tasks", description="mediapipe 0.10.34 tasks"),
            PoseSource.choose("truth"),
        )
    }
    assert len(ids) == 4


def test_another_version_of_an_extractor_is_refused() -> None:
    source = PoseSource.choose().model_copy(update={"description": "mediapipe 0.1 holistic"})
    with pytest.raises(BenchError, match=r"These poses are of mediapipe 0\.1 holistic; this machine has mediapipe"):
        source.open()


def test_a_workspace_keeps_the_extractor_that_its_dancers_have(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path).open()
    first = open_demo(workspace, "demo-tiny", "truth")
    assert open_demo(workspace, "demo-tiny").record == first.record
    other = find_default_extractor()
    with pytest.raises(BenchError, match=f"'demo-tiny' has poses of truth, not of {other}") as caught:
        open_demo(workspace, "demo-tiny", other)
    assert caught.value.hint is not None
    assert "--workspace" in caught.value.hint


def test_true_keypoints_are_the_poses_and_none_that_are_found_compare_with_them(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path).open()
    dataset = open_demo(workspace, "demo-tiny", "truth")
    draw_subject(dataset, "1")
    subject = dataset.subject("1")
    assert subject.record.pose_extractor == "the drawn dancer's own keypoints"
    truth = read_poses(subject.folder / TRUTH)
    found = truth[..., 2] > 0
    np.testing.assert_allclose(subject.keypoints()[found], truth[found], atol=1e-3)
    bench("synth", "--dataset", "demo-tiny", "--subject", "1", "--method", "nearest", "--preset", "tiny",
          "--workspace", tmp_path, "--jobs", "1")  # fmt: skip
    [record], _ = load_runs(workspace.results)
    assert record.metrics["body_ssim"].value is not None
    for name in ("pose_distance", "pose_distance_true_real"):
        assert record.metrics[name].reason is not None
        assert record.metrics[name].reason.startswith("the input poses are the drawn dancer's own")


def test_a_recording_has_no_true_keypoints(tmp_path: Path, tiny_demo: Path) -> None:
    clip = tiny_demo / "datasets/demo-tiny/subjects/1/clip.mp4"
    result = CliRunner().invoke(
        app,
        ["data", "add", str(clip), "--subject", "a", "--licence", "MIT", "--consent", "yes", "--poses", "truth",
         "--workspace", str(tmp_path)],
    )  # fmt: skip
    assert result.exit_code == 1
    assert "error: Only drawn dancers have true keypoints" in result.stderr
    assert Workspace(tmp_path).list_datasets() == []


def test_the_extractor_is_said(tmp_path: Path, tiny_demo: Path) -> None:
    dataset = Dataset.open(Workspace(tiny_demo), "demo-tiny").record
    assert dataset.poses == PoseSource.choose()
    clip = tiny_demo / "datasets/demo-tiny/subjects/1/clip.mp4"
    said = bench("data", "add", clip, "--subject", "a", "--licence", "MIT", "--consent", "yes", "--workspace", tmp_path)
    assert f"poses: {dataset.poses.description}" in said
    assert DatasetRecord.load(tmp_path / "datasets/mine/dataset.json").poses == dataset.poses


def test_the_models_are_had_before_they_are_needed() -> None:
    said = bench("data", "models")
    source = PoseSource.choose()
    assert all(f"{model.name} " in said and model.sha256[:12] in said for model in source.models)
    assert f"{source.extractor}: {source.description}" in said
