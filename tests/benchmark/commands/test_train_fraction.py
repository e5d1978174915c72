"""`--train-fraction`: what is trained and held out, what is recorded, and that rows of two splits never meet."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import make_dataset, write_masks_of
from typer.testing import CliRunner, Result

from dancebench.benchmark.cli import app
from dancebench.leaderboards.records import load_runs
from dancebench.leaderboards.tables import group_sections


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_masks_of(make_dataset(tmp_path, n_frames=40).subject("walker"))
    return tmp_path


def synth(workspace: Path, *more: str) -> Result:
    return bench(
        "synth", "--dataset", "toy", "--subject", "walker", "--method", "mean-frame", "--preset", "tiny", "--jobs", "1",
        "--workspace", workspace, *more,
    )  # fmt: skip


def test_rows_of_two_splits_stand_in_sections_of_their_own(workspace: Path) -> None:
    for more in ((), ("--train-fraction", "0.85"), ("--train-fraction", "0.8")):
        result = synth(workspace, *more)
        assert result.exit_code == 0, result.output
    records, skipped = load_runs(workspace / "results")
    assert not skipped
    found = {record.data.dataset: record for record in records}
    assert len(records) == len(found) == 2
    usual, other = found["toy"], found["toy.train-0.85"]
    assert (usual.data.train_fraction, other.data.train_fraction) == (0.8, 0.85)
    assert (usual.metrics["frame_mse"].n, other.metrics["frame_mse"].n) == (7, 5)
    assert usual.metrics["foreground_mse"].n == 7
    assert usual.data.dataset_id != other.data.dataset_id
    assert usual.data.content_sha256 == other.data.content_sha256
    assert len(group_sections(records, "synthesis")) == 2
    assert (workspace / "fakes/mean-frame/toy.train-0.85/walker/tiny-s0/walker.mp4").exists()
    page = (workspace / "leaderboards/synthesis.md").read_text()
    assert "## toy.train-0.85 ·" in page
    assert "foreground difference MSE ↓" in page


def test_transfer_finds_what_was_trained_on_that_split(workspace: Path) -> None:
    transfer = ("transfer", "--dataset", "toy", "--subject", "walker", "--source", "walker", "--method", "mean-frame",
                "--preset", "tiny", "--jobs", "1", "--workspace", workspace, "--train-fraction", "0.85")  # fmt: skip
    assert synth(workspace).exit_code == 0
    result = bench(*transfer)
    assert result.exit_code == 1
    assert result.stderr.count("hint:") == 1
    assert synth(workspace, "--train-fraction", "0.85").exit_code == 0
    result = bench(*transfer)
    assert result.exit_code == 0, result.output
    assert list((workspace / "transfers/mean-frame/toy.train-0.85").rglob("*.mp4"))


@pytest.mark.parametrize("fraction", ["0", "1", "nan", "most"])
def test_a_share_of_none_all_or_nothing_is_refused(workspace: Path, fraction: str) -> None:
    result = synth(workspace, "--train-fraction", fraction)
    assert result.exit_code == 2
    assert "--train-fraction" in result.output
    assert not (workspace / "results").exists()


def test_too_few_frames_left_are_refused_in_a_line_with_a_hint(workspace: Path) -> None:
    result = synth(workspace, "--train-fraction", "0.97")
    assert result.exit_code == 1
    assert "Only 1 of the 40 frames of 'walker' are held out" in result.output
    assert result.output.count("hint:") == 1
    assert not list((workspace / "results").glob("*.json"))


def test_a_run_on_outside_corpora_has_no_split_in_time(workspace: Path) -> None:
    result = bench("detect", "--protocol", "in-domain", "--train-fraction", "0.85", "--workspace", workspace)
    assert result.exit_code == 2
    assert "--train-fraction have no part" in " ".join(result.output.replace("│", " ").split())


def test_a_new_dataset_cannot_have_the_name_of_a_split(workspace: Path, tmp_path: Path) -> None:
    clip = workspace / "datasets/toy/subjects/walker/clip.mp4"
    result = bench(
        "data", "add", clip, "--subject", "a", "--dataset", "mine.train-0.85", "--licence", "MIT", "--role", "train",
        "--legal-basis", "public domain", "--workspace", workspace,
    )  # fmt: skip
    assert result.exit_code == 1
    assert "'mine.train-0.85' names the dataset 'mine' with 0.85 of each clip for training." in result.output.replace(
        "\n", " "
    )
    assert not (workspace / "datasets/mine.train-0.85").exists()
