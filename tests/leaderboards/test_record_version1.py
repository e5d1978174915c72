"""Records of version 1: every note is found again, as a typed fact, a warning or a remark."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.leaderboards.facts import list_remarks, list_warnings
from dancebench.leaderboards.record_versions.version1 import read_notes
from dancebench.leaderboards.record_versions.version2 import REMADE
from dancebench.leaderboards.record_versions.version3 import HOLDOUT_PROTOCOL
from dancebench.leaderboards.records import (
    DetectionFacts,
    Fakes,
    NullControl,
    PerceptualFacts,
    RunRecord,
    SubmittedScores,
    SynthesisFacts,
    save_run,
)

MakeRecord = Callable[..., RunRecord]
RECORDS = Path(__file__).resolve().parents[2] / "leaderboards" / "published" / "records"
PUBLISHED = [path for path in sorted(RECORDS.glob("*.json")) if json.loads(path.read_text())["schema_version"] == 1]
FAKES = {
    "fakes": "fbf-ts, preset tiny",
    "fakes_body_ssim": 0.75,
    "fakes_body_ssim_nearest": 0.5,
    "fakes_body_ssim_mean_frame": 0.25,
    "fakes_body_ssim_fbf": 0.625,
}


def write_version1(path: Path, record: RunRecord, notes: Any) -> Path:
    """The record as the first release wrote it, under `notes`."""
    data = record.model_dump(mode="json") | {"schema_version": 1}
    del data["entry"]["facts"]
    data["entry"]["notes"] = notes
    path.write_text(json.dumps(data))
    return path


def flatten(value: Any) -> list[Any]:
    """All single values in a nest of dictionaries and lists."""
    if isinstance(value, dict):
        return [inner for each in value.values() for inner in flatten(each)]
    return [inner for each in value for inner in flatten(each)] if isinstance(value, (list, tuple)) else [value]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_records_lose_nothing(path: Path) -> None:
    raw = json.loads(path.read_text())
    record = RunRecord.load(path)
    facts = record.entry.facts
    assert (record.schema_version, facts.kind, facts.remarks) == (6, raw["run"]["kind"], ())
    notes = dict(raw["entry"]["notes"])
    if isinstance(facts, DetectionFacts):
        assert facts.fakes is not None
        assert notes.pop("fakes") == f"{facts.fakes.method}, preset {facts.fakes.preset}"
        assert notes.pop("null_control") == "ok"
        assert facts.null_control == NullControl(passed=True)
    values = flatten(facts.model_dump())
    assert all(value in values for value in notes.values())
    rest = record.model_dump(mode="json", exclude={"schema_version": True, "entry": {"facts"}})
    del raw["schema_version"], raw["entry"]["notes"]
    assert rest["data"].pop("videos_sha256") is None  # version 4
    assert rest["data"].pop("protocol") == (HOLDOUT_PROTOCOL if facts.kind == "detection" else None)
    assert rest["data"].pop("train_fraction") is None  # version 6
    if facts.kind == "detection":  # version 5
        raw["metrics"]["pair_expected_calibration_error"] = raw["metrics"].pop("pair_ece")
    for name, metric in rest["metrics"].items():
        if metric["ci95"] is not None and metric["ci95"]["method"] == REMADE:
            metric["ci95"] = raw["metrics"][name]["ci95"]  # see test_record_version2
    assert rest == raw


def test_an_upgraded_record_is_written_and_read_as_version_5(tmp_path: Path) -> None:
    record = RunRecord.load(PUBLISHED[0])
    path = save_run(tmp_path, record, pd.DataFrame({"item": ["a"]}))
    assert json.loads(path.read_text())["schema_version"] == 6
    assert RunRecord.load(path) == record


def test_closed_form_synthesis() -> None:
    spread = "body_ssim by training seed: 0.8000, 0.8100"
    notes = {
        "frame_size": "128x64", "perceptual_trunk": "squeeze", "perceptual_trunk_reason": None, "precision": "bf16",
        "training_seeds": 2, "seed_spread": spread,
    }  # fmt: skip
    assert SynthesisFacts.model_validate(read_notes(notes, "synthesis")) == SynthesisFacts(
        frame_size="128x64", perceptual_trunk="squeeze", precision="bf16", training_seeds=2, seed_spread=spread
    )


def test_closed_form_detection() -> None:
    notes = {
        **FAKES, "aggregator": "product", "weights_from": "timm", "flag_1": "leaks", "null_control": "failed",
    }  # fmt: skip
    quality = {"fbf-ts": 0.75, "nearest": 0.5, "mean-frame": 0.25, "fbf": 0.625}
    assert DetectionFacts.model_validate(read_notes(notes, "detection")) == DetectionFacts(
        fakes=Fakes(method="fbf-ts", preset="tiny", body_ssim=quality),
        aggregator="product",
        weights_from="timm",
        null_control=NullControl(passed=False),
        warnings=("leaks",),
    )


def test_closed_form_submission() -> None:
    notes = {
        "submitted": True, "scores_sha256": "0" * 64, "missing_holdout": 1, "missing_validation": 2,
        "thresholds": "none, since scores of validation people are not in the file",
        "remark_1": "the column label was ignored", "flag_1": "shortcut", "warning_missing": "1 of 4 had no score",
    }  # fmt: skip
    assert DetectionFacts.model_validate(read_notes(notes, "detection")) == DetectionFacts(
        submitted=SubmittedScores(
            sha256="0" * 64,
            missing_holdout=1,
            missing_validation=2,
            thresholds_reason="scores of validation people are not in the file",
        ),
        warnings=("shortcut", "1 of 4 had no score"),
        remarks=("the column label was ignored",),
    )


@pytest.mark.parametrize(
    ("note", "control"),
    [
        (True, NullControl(passed=True)),
        (False, NullControl(passed=False)),
        ("not measured: no real was scored", NullControl(passed=None, reason="no real was scored")),
    ],
)
def test_closed_form_null_control(note: bool | str, control: NullControl) -> None:
    facts = DetectionFacts.model_validate(read_notes({"null_control": note}, "detection"))
    assert facts.null_control == control


def test_unknown_notes_are_remarks_and_marking_ones_warnings(tmp_path: Path, make_record: MakeRecord) -> None:
    notes = {
        "calibration": "validation", "rate": 0.123456789, "warning_resumed": True, "warning_slow": False,
        "flag_shortcut": "p = 0.004", "flags": 2, "null_control": "ok",
    }  # fmt: skip
    facts = RunRecord.load(write_version1(tmp_path / "a.json", make_record("fbf", {}), notes)).entry.facts
    assert facts.warnings == ("p = 0.004", "flags: 2", "warning_resumed")
    assert facts.remarks == ("calibration: validation", "null_control: ok", "rate: 0.123456789", "warning_slow: False")


@pytest.mark.parametrize(
    "notes",
    [
        {"null_control": "perhaps"},
        {"fakes_body_ssim": 0.5},
        {"fakes": "of somebody else"},
        {"aggregator": 3},
        {"submitted": True},
        {"submitted": True, "scores_sha256": "0" * 64, "missing_holdout": -1, "missing_validation": 0},
        {"submitted": True, "scores_sha256": "unknown", "missing_holdout": 1, "missing_validation": 0},
    ],
)
def test_a_note_whose_value_does_not_fit_is_a_remark(notes: dict[str, Any]) -> None:
    facts = DetectionFacts.model_validate(read_notes(notes, "detection"))
    assert facts == DetectionFacts(remarks=tuple(sorted(f"{key}: {value}" for key, value in notes.items())))


KEYS = st.one_of(
    st.sampled_from(
        [*FAKES, "null_control", "submitted", "scores_sha256", "thresholds", "training_seeds", "precision"]
    ),
    st.text(max_size=8),
    st.text(max_size=3).map("flag".__add__),
)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())


@given(st.dictionaries(KEYS, VALUES), st.sampled_from(["synthesis", "detection", "perceptual"]))
def test_any_notes_become_facts(notes: dict[str, Any], kind: str) -> None:
    kinds = {"synthesis": SynthesisFacts, "detection": DetectionFacts, "perceptual": PerceptualFacts}
    before = dict(notes)
    facts = kinds[kind].model_validate(read_notes(notes, kind))
    assert notes == before
    told = facts.model_dump(exclude_defaults=True)
    silent = [key for key, value in notes.items() if value is None]  # a null fact says nothing
    assert len(flatten(told)) >= len(notes) - len(silent)


def test_the_tables_say_the_same_in_the_same_order(tmp_path: Path, make_record: MakeRecord) -> None:
    notes = {**FAKES, "aggregator": "product", "weights_from": "timm", "flag_1": "leaks", "null_control": False}
    path = write_version1(tmp_path / "a.json", make_record("pair-patch", {}, kind="detection", n_effective=59), notes)
    record = RunRecord.load(path)
    assert list_remarks(record) == [
        "aggregator: product", "fakes: fbf-ts, preset tiny", "fakes_body_ssim_fbf: 0.625", "weights_from: timm",
    ]  # fmt: skip
    assert list_warnings(record) == [
        "leaks", "the null control failed: reals encoded once more moved", "1 of 60 items could not be measured",
    ]  # fmt: skip


def test_the_tables_say_what_was_submitted(tmp_path: Path, make_record: MakeRecord) -> None:
    notes = {
        "submitted": True, "scores_sha256": "0" * 64, "missing_holdout": 1, "missing_validation": 2,
        "thresholds": "none, since nothing is known", "remark_1": "the column label was ignored",
    }  # fmt: skip
    record = RunRecord.load(write_version1(tmp_path / "a.json", make_record("theirs", {}, kind="detection"), notes))
    assert list_remarks(record) == [
        "missing_holdout: 1", "missing_validation: 2", f"scores_sha256: {'0' * 64}", "submitted: True",
        "thresholds: none, since nothing is known", "the column label was ignored",
    ]  # fmt: skip


def test_a_record_without_notes_has_no_facts(tmp_path: Path, make_record: MakeRecord) -> None:
    path = write_version1(tmp_path / "a.json", make_record("fbf", {}), {})
    data = json.loads(path.read_text())
    del data["entry"]["notes"]
    path.write_text(json.dumps(data))
    assert RunRecord.load(path).entry.facts == SynthesisFacts()


@pytest.mark.parametrize("change", [{"run": 3}, {"entry": []}, {"entry": {"name": "fbf", "notes": ["a"]}}])
def test_what_is_no_record_is_refused_in_words(tmp_path: Path, make_record: MakeRecord, change: dict[str, Any]) -> None:
    path = write_version1(tmp_path / "a.json", make_record("fbf", {}), {})
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BenchError, match="is not a valid RunRecord file") as refused:
        RunRecord.load(path)
    assert refused.value.hint
