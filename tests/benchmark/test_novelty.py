"""Quality over how new the poses are: closed forms, the record, the plot and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import make_dataset
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.benchmark.novelty import NoveltyRecord, correlate, plot_novelty


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
