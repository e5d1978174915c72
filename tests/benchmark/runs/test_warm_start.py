"""Warm starts from the command line: one ancestor for each side of the split, named in every record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dancebench.benchmark.cli import app
from dancebench.benchmark.presets import RunSettings, configure_method
from dancebench.leaderboards.records import RunRecord, SynthesisFacts
from dancebench.synth.base import METHODS
from dancebench.synth.gan.method import GanConfig
from dancebench.synth.render import FakeRecord
from dancebench.synth.training.synthesizer import TrainRecord

SYNTH = ("synth", "--dataset", "demo-tiny", "--preset", "tiny", "--trunk", "off", "--jobs", "1", "--method", "fbf")


@pytest.fixture
def workspace(tiny_demo: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_demo, tmp_path / "workspace"))


def bench(workspace: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--workspace", str(workspace)])


def test_each_side_of_the_split_has_an_ancestor_that_records_and_fakes_name(workspace: Path) -> None:
    people = ("--subject", "train01", "--subject", "holdout01", "--subject", "1")
    result = bench(workspace, *SYNTH, *people, "--warm-start", "auto", "--set", "fbf.schedule.steps=3", "--json")
    assert result.exit_code == 0, result.output
    record = RunRecord.model_validate(json.loads(result.stdout))
    assert isinstance(record.entry.facts, SynthesisFacts)
    sides = {each.side: each for each in record.entry.facts.ancestors}
    assert {side: each.people for side, each in sides.items()} == {"train": ("train01",), "holdout": ("train02",)}
    assert record.entry.facts.remarks == ("the ancestor was trained on train01 too",)
    assert record.entry.steps == 3
    for subject, side in (("train01", "train"), ("holdout01", "holdout"), ("1", "holdout")):
        name = f"tiny-s0-warm-{sides[side].weights_sha256[:12]}"
        fake = FakeRecord.load(workspace / "fakes" / "fbf" / "demo-tiny" / subject / name / f"{subject}.json")
        assert fake.ancestor is not None
        assert (fake.ancestor.side, fake.ancestor.weights_sha256) == (side, sides[side].weights_sha256)
    assert "from an ancestor of 1 person" in (workspace / "leaderboards" / "synthesis.md").read_text()
    again = bench(workspace, "transfer", "--dataset", "demo-tiny", "--subject", "1", "--source", "train01",
                  "--method", "fbf", "--preset", "tiny", "--warm-start", "auto")  # fmt: skip
    assert again.exit_code == 0, again.output
    assert "-warm-" in again.stdout


def test_a_detection_run_is_marked_where_one_ancestor_is_on_both_sides(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And trains its synthesizers for the share of the steps that is known to do from an ancestor."""
    monkeypatch.setattr(METHODS["fbf"], "warm_shares", {"tiny": 0.25})
    detect = ("detect", "--holdout", "--dataset", "demo-tiny", "--preset", "tiny", "--method", "fbf", "--jobs", "1",
              "--detector", "spectrum", "--json")  # fmt: skip
    separate = bench(workspace, *detect, "--warm-start", "auto")
    assert separate.exit_code == 0, separate.output
    records = (workspace / "synths" / "fbf" / "demo-tiny").glob("*/tiny-s0-warm-*/train.json")
    whole = configure_method("tiny", "fbf", RunSettings())
    assert isinstance(whole, GanConfig)
    assert {TrainRecord.load(path).steps for path in records} == {round((whole.schedule.steps or 0) / 4)}
    record = RunRecord.model_validate(json.loads(separate.stdout))
    assert not [each for each in record.entry.facts.warnings if "share an ancestor" in each]
    folder = workspace / "ancestors" / "fbf" / "demo-tiny" / "train" / "tiny-s0"
    shared = bench(workspace, *detect, "--warm-start", str(folder))
    assert shared.exit_code == 0, shared.output
    marked = RunRecord.model_validate(json.loads(shared.stdout))
    assert [each for each in marked.entry.facts.warnings if "share an ancestor" in each]
    assert marked.run.id != record.run.id


def test_what_cannot_start_warm_is_refused_in_a_line_with_a_hint(workspace: Path, tmp_path: Path) -> None:
    for words, cause in (
        ((*SYNTH, "--subject", "1", "--warm-start", str(tmp_path / "none")), "holds no ancestor of fbf"),
        ((*SYNTH[:-1], "nearest", "--subject", "1", "--warm-start", "auto"), "Nothing is trained of nearest"),
        (("transfer", "--dataset", "demo-tiny", "--subject", "1", "--source", "train01", "--method", "fbf",
          "--preset", "tiny", "--warm-start", "auto"), "holds no ancestor of fbf"),
        (("detect", "--submit", "s.csv", "--name", "x", "--warm-start", "auto"), "are trained with --holdout"),
        (("detect", "--protocol", "unseen", "--dataset", "demo-tiny", "--preset", "tiny",
          "--warm-start", str(tmp_path / "none")), "holds no ancestor of fbf-ts"),
    ):  # fmt: skip
        result = bench(workspace, *words)
        assert result.exit_code != 0
        assert cause in " ".join(result.output.replace("│", " ").split()), result.output
