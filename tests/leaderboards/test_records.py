"""Run records: written after their rows, read back unchanged, left out by name when unreadable."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from dancebench.core.errors import BenchError
from dancebench.leaderboards.facts import list_remarks
from dancebench.leaderboards.records import Data, NullControl, RunRecord, load_runs, new_run_id, save_run

MakeRecord = Callable[..., RunRecord]
ROWS = pd.DataFrame({"item": ["s00/s00/fbf"], "body_ssim": [0.8]})


def test_round_trip(tmp_path: Path, make_record: MakeRecord) -> None:
    facts = {"training_seeds": 3, "perceptual_trunk": None, "frame_size": "128x64", "remarks": ("–", "resumed")}
    record = make_record("fbf", {"body_ssim": 0.8}, entry={"parameters": {"generator": 10}}, facts=facts)
    path = save_run(tmp_path, record, ROWS)
    assert path == tmp_path / f"{record.run.id}.json"
    [loaded], skipped = load_runs(tmp_path)
    assert loaded == record
    assert {key: getattr(loaded.entry.facts, key) for key in facts} == facts
    assert skipped == []
    pd.testing.assert_frame_equal(pd.read_parquet(path.with_suffix(".parquet")), ROWS)


def test_record_never_stands_without_its_rows(
    tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full_disk)
    with pytest.raises(BenchError, match="No space left"):
        save_run(tmp_path, make_record("fbf", {"body_ssim": 0.8}), ROWS)
    assert list(tmp_path.iterdir()) == []


def test_rows_take_their_place_before_the_record(
    tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    replace = Path.replace

    def watch(self: Path, target: Path) -> Path:
        if not target.name.startswith(".partial-"):
            order.append(target.suffix)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    save_run(tmp_path, make_record("fbf", {"body_ssim": 0.8}), ROWS)
    assert order == [".parquet", ".json"]


def test_same_configuration_replaces_its_older_record(tmp_path: Path, make_record: MakeRecord) -> None:
    save_run(tmp_path, make_record("fbf", {"body_ssim": 0.1}), ROWS)
    save_run(tmp_path, make_record("fbf", {"body_ssim": 0.8}), ROWS)
    [record], _ = load_runs(tmp_path)
    assert record.metrics["body_ssim"].value == 0.8


def test_records_before_ancestors_are_read(tmp_path: Path, make_record: MakeRecord) -> None:
    record = make_record("fbf", {"body_ssim": 0.8})
    data = record.model_dump(mode="json") | {"schema_version": 5}
    del data["entry"]["facts"]["ancestors"]
    path = tmp_path / f"{record.run.id}.json"
    path.write_text(json.dumps(data))
    assert RunRecord.load(path) == record


def test_the_ancestor_of_a_warm_start_is_told(make_record: MakeRecord) -> None:
    ancestor = {"weights_sha256": "a" * 64, "side": "holdout", "people": ("train02", "train04")}
    record = make_record("fbf", {"body_ssim": 0.8}, facts={"ancestors": (ancestor,)})
    assert "warm_start: from an ancestor of 2 people (holdout side, aaaaaaaaaaaa)" in list_remarks(record)


def test_unreadable_files_are_named_and_left_out(tmp_path: Path, make_record: MakeRecord) -> None:
    good = save_run(tmp_path, make_record("fbf", {"body_ssim": 0.8}), ROWS)
    newer = json.loads(good.read_text()) | {"schema_version": 7, "novelty": True}
    (tmp_path / "newer.json").write_text(json.dumps(newer))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "copy.json").write_bytes(good.read_bytes())
    (tmp_path / ".partial-1-half.json").write_text("{")
    records, skipped = load_runs(tmp_path)
    assert [record.entry.name for record in records] == ["fbf"]
    assert [item.path.name for item in skipped] == ["broken.json", "copy.json", "newer.json"]
    assert "not valid JSON" in skipped[0].reason
    assert f"holds the run '{good.stem}'" in skipped[1].reason
    assert skipped[2].reason == "newer.json has schema version 7; this release reads up to 6."


def test_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert load_runs(tmp_path / "nowhere") == ([], [])


def test_closed_form_run_id() -> None:
    assert new_run_id("synthesis", "fbf-ts", "0123456789abcdef") == "synthesis-fbf-ts-0123456789ab"
    assert new_run_id("detection", "timm:resnet/18", "0" * 64) == "detection-timm_resnet_18-000000000000"


def test_run_id_of_a_long_name_is_still_a_name(make_record: MakeRecord) -> None:
    record = make_record("x" * 200, {"body_ssim": 0.8}, kind="perceptual")
    assert len(record.run.id) == 64


@pytest.mark.parametrize("digest", ["", "abc", "0123456789AB", "g" * 12, "../../../../../etc"])
def test_run_id_needs_a_digest(digest: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        new_run_id("synthesis", "fbf", digest)


def test_facts_are_of_the_run_s_kind(make_record: MakeRecord) -> None:
    with pytest.raises(ValidationError, match="a synthesis run has no detection facts"):
        make_record("fbf", {"body_ssim": 0.8}, facts={"kind": "detection"})


@pytest.mark.parametrize("control", [{"passed": None}, {"passed": True, "reason": "no real was scored"}])
def test_a_null_control_is_measured_or_null_with_its_reason(control: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="null with the reason"):
        NullControl.model_validate(control)


def test_no_more_items_than_there_were() -> None:
    with pytest.raises(ValidationError, match="n_effective"):
        Data(dataset="demo", dataset_id="a" * 64, content_sha256="c" * 64, n_original=1, n_effective=2)


@pytest.mark.parametrize("started", ["2025-01-31", "2025-01-31T09:30:00", "2025-01-31T09:30:00+02:00"])
def test_time_is_utc(make_record: MakeRecord, started: str) -> None:
    run = make_record("fbf", {"body_ssim": 0.8}).run.model_dump()
    with pytest.raises(ValidationError, match="started"):
        RunRecord.model_fields["run"].annotation.model_validate(run | {"started": started})  # type: ignore[union-attr]
