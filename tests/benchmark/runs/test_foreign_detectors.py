"""Detectors from elsewhere through every command, on the tiny demo's people."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.benchmark.runs import robustness
from dancebench.core.files import sha256_file
from dancebench.detect.inputs.perturbations import PERTURBATIONS
from dancebench.detect.protocol import holdout
from dancebench.leaderboards.records import DetectionFacts, RunRecord

README = (Path(__file__).parents[3] / "README.md").read_text()
[ENERGY] = re.findall(r"^```python\n# energy.py\n(.*?)^```$", README, flags=re.M | re.S)
NAME = "energy:Energy"
VIDEO = "fakes/fbf-ts/demo-tiny/holdout01/tiny-s0/holdout01.mp4"


@pytest.fixture
def workspace(tiny_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny demo's workspace; the folder beside it, where commands are called, holds the module."""
    root = Path(shutil.copytree(tiny_demo, tmp_path / "workspace"))
    (tmp_path / "energy.py").write_text(ENERGY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_WORKSPACE", str(root))
    monkeypatch.setitem(sys.modules, "energy", None)  # so that it is put back
    monkeypatch.delitem(sys.modules, "energy")
    few = {name: PERTURBATIONS[name] for name in ("none", "blur1")}
    monkeypatch.setattr(robustness, "PERTURBATIONS", few)
    monkeypatch.setattr(holdout, "save_figures", lambda *_: None)  # drawn by the demo; slow
    return root


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def detect(*arguments: str) -> list[RunRecord]:
    fixed = ["--dataset", "demo-tiny", "--preset", "tiny", "--jobs", "1", "--json"]
    result = bench("detect", "--holdout", *arguments, *fixed)
    assert result.exit_code == 0, result.output
    found: Any = json.loads(result.stdout)
    return [RunRecord.model_validate(each) for each in (found if isinstance(found, list) else [found])]


def read_scores(workspace: Path, record: RunRecord) -> pd.Series:
    rows = pd.read_parquet(workspace / "results" / f"{record.run.id}.parquet")
    return rows[rows["level"] == "video"].set_index("video_id")["score"].astype(float)


def test_a_detector_of_ten_lines_runs_through_every_command(workspace: Path, tmp_path: Path) -> None:
    assert sum(bool(line.strip()) for line in ENERGY.splitlines()) < 10
    [record] = detect("--detector", NAME, "--robustness", "--pairs", "5")
    assert (record.entry.name, record.entry.parameters) == (NAME, {})
    facts = record.entry.facts
    assert isinstance(facts, DetectionFacts)
    assert str(facts.weights_from).startswith("trained elsewhere, on what is not known; Python module")
    for metric in ("video_auc", "pair_auc", "shortcut_auc", "permutation_auc", "video_auc@perturbation=blur1"):
        assert record.metrics[metric].value is not None, metric
    [folder] = (workspace / "detectors" / "energy_Energy").iterdir()
    card = json.loads((folder / "card.json").read_text())
    assert (card["detector"], card["parameters"], card["config"]["pairs"]) == (NAME, None, 5)
    assert card["thresholds"]["video"] is not None
    assert card["calibration"]["video"]["subjects"] >= 1

    report = tmp_path / "report.json"
    scored = bench("score", str(workspace / VIDEO), "--detector", NAME, "--format", "json")
    assert scored.exit_code == 0, scored.output
    report.write_text(scored.stdout)
    [video] = json.loads(scored.stdout)["videos"]
    assert (video["status"], video["n_pairs"]) == ("abstained", 5)
    assert video["llr"] is not None
    assert "its threshold and calibration come from drawn people" in " ".join(video["abstained_because"])
    verified = bench("score", "--verify", str(report), "--detector", NAME)
    assert verified.exit_code == 0, verified.output
    page = bench("score", str(workspace / VIDEO), "--detector", NAME, "--format", "html", "--out", str(tmp_path / "p"))
    assert page.exit_code == 0, page.output

    board = bench("leaderboard")
    assert board.exit_code == 0, board.output
    assert NAME in (workspace / "leaderboards" / "detection.md").read_text()
    assert "MODULE:FACTORY" in bench("list", "detectors").stdout


def test_a_card_that_names_code_runs_it_only_where_the_command_names_it(workspace: Path) -> None:
    detect("--detector", NAME)
    [folder] = (workspace / "detectors" / "energy_Energy").iterdir()
    refused = bench("score", str(workspace / VIDEO), "--detector", str(folder))
    assert refused.exit_code == 1
    assert f"names Python code to run, '{NAME}'" in " ".join(refused.stderr.split())


def test_code_that_changed_gets_new_thresholds_and_its_old_ones_are_refused(workspace: Path, tmp_path: Path) -> None:
    detect("--detector", NAME)
    (tmp_path / "energy.py").write_text(ENERGY.replace("return -", "return 2 * -"))
    sys.modules.pop("energy")
    refused = bench("score", str(workspace / VIDEO), "--detector", NAME, "--jobs", "1")
    assert refused.exit_code == 1
    assert "was changed since its thresholds were fixed" in " ".join(refused.stderr.split())
    detect("--detector", NAME)
    assert bench("score", str(workspace / VIDEO), "--detector", NAME, "--jobs", "1").exit_code == 0


def test_pair_patch_through_onnx_gives_the_same_scores(workspace: Path, tmp_path: Path) -> None:
    for library in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(library, reason=f"{library} is not installed: pip install 'dancebench[onnx]'")
    [record] = detect("--detector", "pair-patch", "--export", "onnx")
    folder = workspace / "detectors" / "pair-patch" / record.run.id
    (tmp_path / "elsewhere").mkdir()
    for name in ("pair-patch.onnx", "pair-patch.toml"):
        shutil.copy(folder / name, tmp_path / "elsewhere")
    network = tmp_path / "elsewhere" / "pair-patch.onnx"
    [foreign] = detect("--detector", f"onnx:{network}", "--pairs", "6")
    assert foreign.entry.name == "onnx:pair-patch.onnx"
    assert foreign.entry.weights_sha256 == {"detector": sha256_file(network)}
    ours, theirs = read_scores(workspace, record), read_scores(workspace, foreign)
    assert len(ours) > 3
    np.testing.assert_allclose(theirs.loc[ours.index], ours, atol=1e-4)
    assert foreign.metrics["video_auc"].value == record.metrics["video_auc"].value
    shutil.rmtree(tmp_path / "elsewhere")  # the copy beside the card is what scores
    scored = bench("score", str(workspace / VIDEO), "--detector", "onnx:pair-patch.onnx", "--format", "json")
    assert scored.exit_code == 0, scored.output
    [video] = json.loads(scored.stdout)["videos"]
    direct = bench("score", str(workspace / VIDEO), "--detector", "pair-patch", "--format", "json")
    [same] = json.loads(direct.stdout)["videos"]
    assert video["score"] == pytest.approx(same["score"], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--detector", "nowhere:make"], "neither a detector 'nowhere' nor a Python module"),
        (["--detector", "onnx:nowhere.onnx"], "nowhere.onnx does not exist"),
        (["--detector", NAME, "--set", f"{NAME}.pairs=3"], "was trained elsewhere and has no settings here"),
        (["--detector", NAME, "--export", "onnx"], "no torch network (FactoryDetector) cannot be exported"),
        (["--detector", NAME, "--view", "face"], f"'{NAME}' was trained elsewhere and looks at frame:128x64 alone"),
        (["--detector", NAME, "--view", "frame:64x64"], "looks at frame:128x64 alone"),
        (["--export", "pickle"], "Networks are not exported as 'pickle'"),
        (["--tune", "head"], "--tune is for detectors with a timm backbone"),
        (["--detector", "timm:test_vit", "--tune", "tail"], "Unknown choice of --tune 'tail'"),
        (["--detector", "timm:test_vit", "--set", "timm:test_vit.tune=head"], "It is set by --tune"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_made(
    workspace: Path, arguments: list[str], reason: str
) -> None:
    before = sorted(path for path in workspace.rglob("*") if path.is_file())
    result = bench("detect", "--holdout", *arguments, "--dataset", "demo-tiny", "--preset", "tiny")
    assert result.exit_code == 1
    assert reason in " ".join(result.stderr.split())
    assert sorted(path for path in workspace.rglob("*") if path.is_file()) == before
