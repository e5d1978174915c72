"""Records before version 5: the expected calibration error had a name that is the empirical cross-entropy's."""

import json
from collections.abc import Callable
from pathlib import Path

from dancebench.leaderboards.records import RunRecord


def test_the_expected_calibration_error_is_spelled_out(make_record: Callable[..., RunRecord], tmp_path: Path) -> None:
    values = {"video_auc": 0.5, "pair_ece": 0.1, "pair_ece@method=fbf": 0.2, "video_cllr": 0.7}
    data = make_record("m", values, kind="detection").model_dump(mode="json") | {"schema_version": 4}
    (tmp_path / "a.json").write_text(json.dumps(data))
    record = RunRecord.load(tmp_path / "a.json")
    assert {name: metric.value for name, metric in record.metrics.items()} == {
        "video_auc": 0.5,
        "pair_expected_calibration_error": 0.1,
        "pair_expected_calibration_error@method=fbf": 0.2,
        "video_cllr": 0.7,
    }
