"""`--set NAME.KEY=VALUE`: what may be set, what is recorded, and what is refused in a line with a hint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dancebench.benchmark.cli import app
from dancebench.benchmark.commands.options import parse_settings
from dancebench.core.errors import BenchError
from dancebench.leaderboards.records import RunRecord


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def workspace(tiny_demo: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_demo, tmp_path / "workspace"))


def test_values_are_json_or_text_and_names_may_hold_dots() -> None:
    names = ["timm:resnet18.a1", "timm:resnet18", "top-k"]
    assert parse_settings(None, names) == {}
    assert parse_settings(
        ["timm:resnet18.a1.steps=3", "timm:resnet18.lr=1e-3", "top-k.share=NaN", 'top-k.a={"b": [1]}', "top-k.t=a=b"],
        names,
    ) == {
        "timm:resnet18.a1": {"steps": 3},
        "timm:resnet18": {"lr": 1e-3},
        "top-k": {"share": "NaN", "a": {"b": [1]}, "t": "a=b"},
    }


@pytest.mark.parametrize("text", ["top-k", "top-k=3", "=", "top-k.share"])
def test_what_sets_nothing_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="sets nothing") as caught:
        parse_settings([text], ["top-k"])
    assert caught.value.hint == "Write NAME.KEY=VALUE, like top-k.KEY=VALUE."


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("fbg.ngf=8", "Unknown method, detector or aggregator of this run 'fbg'", "Did you mean 'fbf'? "),
        ("fbf.ngff=8", "Unknown setting of 'fbf' 'ngff'", "Did you mean 'ngf'? "),
        ("fbf.schedule.stepz=8", "Unknown setting of 'fbf' 'stepz'", "Did you mean 'steps'? "),
        ("fbf.ngf.steps=8", "'fbf.ngf.steps': 'ngf' has no fields", "It is 8."),
        ("fbf.ngf=wide", "fbf.ngf is refused: Input should be a valid integer", "Set for 'fbf': ngf=\"wide\"."),
        ("fbf.schedule.epochs=2", "fbf.schedule is refused", "schedule.epochs=2"),
        ("fbf.seed=2", "'fbf.seed' is not set here", "It is set by --seed."),
    ],
)
def test_synth_refuses_unknown_keys_and_values(tmp_path: Path, setting: str, message: str, hint: str) -> None:
    result = bench(
        "synth", "--subject", "1", "--method", "fbf", "--preset", "tiny", "--set", setting, "--workspace", tmp_path
    )
    assert result.exit_code == 1, result.output
    error, second = (line for line in result.stderr.splitlines() if line.startswith(("error:", "hint:")))
    assert message in error
    assert hint in second


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("pair-patch.stepz=8", "Unknown setting of 'pair-patch' 'stepz'", "Did you mean 'steps'? "),
        ("pair-patch.steps=0", "pair-patch.steps is refused", "Set for 'pair-patch': steps=0."),
        ("pair-patch.pairs=3", "'pair-patch.pairs' is not set here", "It is set by --pairs."),
        (
            "pair-patch.height=64",
            "'pair-patch.height' is not set here",
            "It is set by --view and the size of the fakes.",
        ),
        ("top-k.shares=0.5", "Unknown option of the aggregator 'top-k' 'shares'", "Did you mean 'share'? "),
        ("top-k.share=2", "top-k.share=2 is refused: Input should be less than or equal to 1", "Its default is 0.25."),
        (
            "spectrum.windows=8",
            "Unknown method, detector or aggregator of this run 'spectrum'",
            "Available: pair-patch",
        ),
    ],
)
def test_detect_refuses_unknown_keys_and_values(tmp_path: Path, setting: str, message: str, hint: str) -> None:
    result = bench("detect", "--holdout", "--aggregator", "top-k", "--set", setting, "--workspace", tmp_path)
    assert result.exit_code == 1, result.output
    error, second = (line for line in result.stderr.splitlines() if line.startswith(("error:", "hint:")))
    assert message in error
    assert hint in second


def test_what_is_set_is_in_the_identity_and_in_the_record(workspace: Path) -> None:
    before = {RunRecord.load(path).run.id for path in (workspace / "results").glob("*.json")}
    command = (
        "synth", "--dataset", "demo-tiny", "--subject", "1", "--method", "fbf", "--preset", "tiny", "--trunk", "off",
        "--workspace", workspace, "--jobs", "1", "--json",
    )  # fmt: skip
    result = bench(*command, "--set", "fbf.schedule.steps=3", "--set", "fbf.ndf=4")
    assert result.exit_code == 0, result.output
    record = RunRecord.model_validate(json.loads(result.stdout))
    assert record.run.id not in before
    assert record.entry.steps == 3
    assert record.entry.facts.settings == "ndf=4, schedule.steps=3"
    assert "settings: ndf=4, schedule.steps=3" in (workspace / "leaderboards" / "synthesis.md").read_text()
    standard = RunRecord.model_validate(json.loads(bench(*command).stdout))
    assert standard.entry.facts.settings is None
    same = bench(*command, "--set", "fbf.schedule.steps=12")  # as in the preset
    assert json.loads(same.stdout)["run"]["id"] == standard.run.id
