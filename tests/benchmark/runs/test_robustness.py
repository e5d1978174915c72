"""The robustness grid of a recorded run: its record gains metrics, and nothing is scored twice."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dancebench.benchmark.runs import robustness
from dancebench.benchmark.runs.robustness import score_perturbed_copies
from dancebench.core.progress import ignore_progress
from dancebench.core.workspace import Workspace
from dancebench.detect.inputs.perturbations import PERTURBATIONS
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.leaderboards.board import rebuild
from dancebench.leaderboards.records import RunRecord


@pytest.fixture
def workspace(tiny_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny demo's workspace, and a grid of two."""
    few = {name: PERTURBATIONS[name] for name in ("none", "crf40", "beautified")}
    monkeypatch.setattr(robustness, "PERTURBATIONS", few)
    return Path(shutil.copytree(tiny_demo, tmp_path / "workspace"))


def perturbed(workspace: Path) -> RunRecord:
    (path,) = (workspace / "results").glob("detection-spectrum-*.json")
    record = RunRecord.load(path)
    folder = workspace / "detectors" / "spectrum" / record.run.id
    videos = VideoSet.open(Workspace(workspace).manifest(record.run.id))
    return score_perturbed_copies(
        record, folder, videos, workspace / "results", device="cpu", workers=1, report=ignore_progress
    )  # fmt: skip


def test_the_record_gains_the_grid_and_the_board_shows_it(workspace: Path) -> None:
    record = perturbed(workspace)
    assert record.metrics["video_auc@perturbation=none"].value == record.metrics["video_auc"].value
    assert {name for name in record.metrics if name.endswith("=crf40")} == {
        f"{measure}@perturbation=crf40" for measure in ("video_auc", "pair_auc", "auc_loss", "fpr", "tpr")
    }
    saved = workspace / "results" / f"{record.run.id}"
    assert json.loads(saved.with_suffix(".json").read_text()) == record.model_dump(mode="json")
    rows = pd.read_parquet(saved.with_suffix(".parquet"))
    assert set(rows["level"]) == {"video", "pair", "perturbed"}
    assert set(rows["perturbation"].dropna()) == {"none", "crf40", "beautified"}
    assert (workspace / "detectors" / "spectrum" / record.run.id / "robustness.svg").stat().st_size > 1000
    rebuild(workspace / "results", workspace / "leaderboards")
    page = (workspace / "leaderboards" / "detection.md").read_text()
    assert "### Robustness: the held-out videos, perturbed" in page


def test_existing_scores_are_reused(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = perturbed(workspace)
    rows = workspace / "results" / f"{first.run.id}.parquet"
    before = len(pd.read_parquet(rows))
    monkeypatch.setattr(robustness, "score_perturbed", lambda *_: pytest.fail("it was scored again"))
    assert perturbed(workspace).metrics == first.metrics
    assert len(pd.read_parquet(rows)) == before
