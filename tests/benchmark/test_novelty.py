"""Quality over how new the poses are: closed forms, the record, the plot and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import make_dataset, waving
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.benchmark.novelty import NEAREST, NoveltyRecord, correlate, measure_novelty, plot_novelty


def test_closed_form_the_distance_is_the_mean_over_the_nearest_training_poses() -> None:
    pose = waving(0, (256, 128))
    training = np.stack([pose] * 14)
    training[:, :, 0] += np.arange(14, dtype=np.float32)[:, None] * (pose[:, 2] > 0)
    training = np.concatenate([training, np.zeros_like(training[:2])])  # frames without a person count for nothing
    (found,) = measure_novelty(pose[None], training)
    assert found == pytest.approx(np.arange(NEAREST).mean(), abs=1e-4)
    (few,) = measure_novelty(pose[None], training[:3])
    assert few == pytest.approx(1, abs=1e-4)
    assert np.isnan(measure_novelty(np.zeros_like(pose)[None], training)).all()
    assert np.isnan(measure_novelty(pose[None], training[-2:])).all()


def test_closed_form_rank_correlation_or_the_reason_why_there_is_none() -> None:
    distances = np.array([1.0, 2.0, 3.0, np.nan, 4.0])
    assert correlate(distances, np.exp(-np.array([1.0, 2.0, 3.0, 9.0, 4.0]))) == (pytest.approx(-1), None)
    assert correlate(distances[:3], distances[:3]) == (pytest.approx(1), None)
    assert correlate(distances[2:], distances[2:]) == (None, "2 frame(s) have a distance: 3 or more are needed")
    assert correlate(np.ones(4), np.arange(4.0))[0] is None


def test_the_command_writes_record_and_plot_and_the_plot_is_the_same_again(tmp_path: Path) -> None:
    make_dataset(tmp_path / "ws", n_frames=40, missing=(36,))
    arguments = ["synth", "--dataset", "toy", "--subject", "all", "--method", "mean-frame", "--preset", "tiny"]
    result = CliRunner().invoke(app, [*arguments, "--jobs", "1", "--novelty", "--workspace", str(tmp_path / "ws")])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "ws/novelty/mean-frame/toy/walker/tiny-s0"
    record = NoveltyRecord.load(folder / "novelty.json")
    assert [point.frame for point in record.points] == list(range(33, 40))
    assert [point.distance is None for point in record.points] == [frame == 36 for frame in range(33, 40)]
    assert (record.n, record.reason) == (6, None)
    assert record.spearman is not None
    plot_novelty(tmp_path / "again.svg", record)
    assert (tmp_path / "again.svg").read_bytes() == (folder / "novelty.svg").read_bytes()
    assert str(folder / "novelty.svg") in result.output.replace("\n", "")
