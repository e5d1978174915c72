"""Records before version 4: detection runs get the one protocol that there was, other kinds none."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dancebench.core.errors import BenchError
from dancebench.leaderboards.record_versions.version3 import HOLDOUT_PROTOCOL
from dancebench.leaderboards.records import RunKind, RunRecord


@pytest.mark.parametrize(("kind", "protocol"), [("detection", HOLDOUT_PROTOCOL), ("synthesis", None)])
def test_only_detection_runs_get_a_protocol(
    make_record: Callable[..., RunRecord], tmp_path: Path, kind: RunKind, protocol: dict[str, str] | None
) -> None:
    data = make_record("fbf", {"video_auc": 0.5}, kind=kind).model_dump(mode="json") | {"schema_version": 3}
    del data["data"]["protocol"], data["data"]["videos_sha256"]
    (tmp_path / "a.json").write_text(json.dumps(data))
    record = RunRecord.load(tmp_path / "a.json")
    assert record.data.videos_sha256 is None
    assert (None if record.data.protocol is None else record.data.protocol.model_dump()) == protocol


def test_a_record_without_data_is_refused_by_name(make_record: Callable[..., RunRecord], tmp_path: Path) -> None:
    data = make_record("fbf", {"video_auc": 0.5}, kind="detection").model_dump(mode="json") | {"schema_version": 3}
    (tmp_path / "a.json").write_text(json.dumps(data | {"data": "demo"}))
    with pytest.raises(BenchError, match="is not a valid RunRecord file: data"):
        RunRecord.load(tmp_path / "a.json")
