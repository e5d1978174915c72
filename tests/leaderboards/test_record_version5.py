"""Records before version 6: nobody wrote down which share of each clip trained, and the foreground was not measured."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dancebench.leaderboards.board import rebuild
from dancebench.leaderboards.records import RunRecord, load_runs, save_run


def test_they_are_read_and_stand_beside_later_ones(make_record: Callable[..., RunRecord], tmp_path: Path) -> None:
    frame = {"body_ssim": 0.5, "frame_mse": 700.0}
    earlier = make_record("fbf", frame).model_dump(mode="json")
    del earlier["data"]["train_fraction"]
    path = tmp_path / f"{earlier['run']['id']}.json"
    path.write_text(json.dumps(earlier | {"schema_version": 5}))
    record = RunRecord.load(path)
    assert (record.schema_version, record.data.train_fraction) == (6, None)
    assert record.metrics["frame_mse"].value == 700
    save_run(tmp_path, make_record("ddg", frame | {"foreground_mse": 170.0}), pd.DataFrame({"item": ["a"]}))
    assert load_runs(tmp_path)[1] == []
    rebuild(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "synthesis.md").read_text()
    assert "| row | frame MSE ↓ | foreground MSE ↓ |" in page
    assert "| fbf (tiny) | **700.0** [" in page
    assert "– (1) |" in page
    assert "(1) not measured by this run" in page
