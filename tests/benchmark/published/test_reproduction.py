"""The list of published runs: its commands, its hours, and what is told of differences."""

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

from dancebench.benchmark.published import reproduction
from dancebench.benchmark.published.comparison import compare_runs
from dancebench.benchmark.published.reproduction import (
    DetectionPart,
    PlannedEntry,
    Reproduction,
    estimate_hours,
    require_clean_commit,
)
from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace
from dancebench.leaderboards.records import RunRecord, load_runs

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = ROOT / "leaderboards" / "published"
PLAN = Reproduction.model_validate(
    {
        "synthesis": [
            {"dataset": "demo", "subjects": ["1", "2"], "methods": ["fbf", "nearest"], "seeds": 3, "preset": "small"},
            {
                "dataset": "demo",
                "subjects": ["1"],
                "methods": ["ddg"],
                "seeds": 1,
                "preset": "tiny",
                "settings": ["a.b=1"],
                "warm_start": "auto",
            },
        ],
        "detection": [
            {"dataset": "demo", "protocol": "unseen", "detectors": ["spectrum"], "preset": "tiny", "robustness": True}
        ],
    }
)
WARM = DetectionPart(
    dataset="demo", protocol="unseen-warm", detectors=("spectrum", "npr"), preset="tiny", robustness=False,
    view="person", warm_start="auto",
)  # fmt: skip


def load_published() -> list[RunRecord]:
    return load_runs(PUBLISHED / "records")[0]


def change(record: RunRecord, **parts: dict[str, Any]) -> RunRecord:
    """The record with fields of its parts replaced."""
    data = record.model_dump(mode="json")
    for part, fields in parts.items():
        data[part] |= fields
    return RunRecord.model_validate(data)


def test_the_committed_list_names_what_there_is() -> None:
    from typer.testing import CliRunner

    from dancebench.benchmark.cli import app
    from dancebench.detect.detectors.base import find_detector_class
    from dancebench.detect.protocol.catalogue import load_built_in
    from dancebench.synth.base import METHODS

    plan = Reproduction.load(PUBLISHED / "reproduce.json")
    assert set(plan.synthesis[0].methods) == set(METHODS.names())
    assert len(plan.synthesis[0].subjects) == 5
    assert plan.synthesis[0].seeds == 3
    for part in plan.detection:
        load_built_in(part.protocol)
        for detector in part.detectors:
            find_detector_class(detector)
    for words in plan.list_commands():
        result = CliRunner().invoke(app, [*words, "--no-such-option"])
        assert "no-such-option" in result.output  # and nothing before it is unknown


def test_closed_form_the_commands_of_a_list() -> None:
    assert [" ".join(words) for words in PLAN.list_commands()] == [
        "synth --dataset demo --subject 1 --subject 2 --method fbf --method nearest --seeds 3 --preset small",
        "synth --dataset demo --subject 1 --method ddg --seeds 1 --preset tiny --set a.b=1 --warm-start auto",
        "detect --protocol unseen --dataset demo --detector spectrum --preset tiny --robustness",
    ]
    (words,) = Reproduction(detection=(WARM,)).list_commands()
    assert " ".join(words) == (
        "detect --protocol unseen-warm --dataset demo --detector spectrum --detector npr --preset tiny --view person "
        "--warm-start auto"
    )


def test_closed_form_hours_are_those_of_the_records_and_a_clock_that_ran_on_counts_once() -> None:
    """Records of one command began at one moment: the second one's seconds hold the first one's."""
    known = [
        each for each in load_published() if each.entry.name in ("fbf", "nearest") and each.entry.preset == "small"
    ]
    assert len(known) == 2
    started = {"started": "2025-01-31T09:30:00+00:00"}
    one, other = (change(each, run=started | {"seconds": s}) for each, s in zip(known, (1800, 3600), strict=True))
    assert estimate_hours(PLAN, [one, other]).hours == pytest.approx(1.0)
    later = change(other, run={"started": "2025-01-31T10:30:00+00:00"})
    found = estimate_hours(PLAN, [one, later])
    assert found.hours == pytest.approx(1.5)
    assert found.unknown == [
        PlannedEntry("synthesis", "demo", "ddg", "tiny"), PlannedEntry("detection", "demo", "spectrum", "tiny")
    ]  # fmt: skip


def test_the_same_numbers_are_no_difference() -> None:
    records = load_published()
    found = compare_runs(records, records)
    assert len(found) == len(records)
    assert all(each.same_machine and each.differences == () for each in found)


def test_the_tolerance_is_zero() -> None:
    record = load_published()[-1]
    name, metric = next(iter(record.metrics.items()))
    assert metric.value is not None
    moved = metric.model_copy(update={"value": metric.value + 1e-15})
    assert moved.value != metric.value
    [found] = compare_runs([record], [record.model_copy(update={"metrics": record.metrics | {name: moved}})])
    [line] = found.differences
    assert line.startswith(f"{name}: published {metric.value!r}, here {moved.value!r} (+")


def test_each_kind_of_difference_is_told_in_a_line() -> None:
    record = load_published()[-1]
    (first, one), (second, two), (third, _), *_ = record.metrics.items()
    metrics = dict(record.metrics) | {
        first: one.model_copy(update={"value": None, "reason": "lost"}), second: two.model_copy(update={"n": 1}),
        "new": one,
    }  # fmt: skip
    del metrics[third]
    other = change(record.model_copy(update={"metrics": metrics}), run={"hardware": {"cpu": "another"}},
                   data={"content_sha256": "f" * 64})  # fmt: skip
    [found] = compare_runs([record], [other])
    assert not found.same_machine
    lines = "\n".join(found.differences)
    assert f"{first}: published {one.value!r}, here null (lost)" in lines
    assert f"{second}: n published {two.n}, here 1" in lines
    assert f"{third}: not measured here" in lines
    assert "new: not published" in lines
    assert "content_sha256: published" in lines
    assert "hardware cpu: published" in lines


def test_a_run_that_one_side_lacks_is_a_difference() -> None:
    one, other, *_ = load_published()
    found = {each.run: each.differences for each in compare_runs([one], [other])}
    assert "was not made again" in found[one.run.id][0]
    assert found[other.run.id] == ("the run is not published",)


@pytest.mark.parametrize(("version", "words"), [((None, None), "is of none"), (("a" * 40, True), "was changed since")])
def test_only_a_clean_commit_repeats_them(
    monkeypatch: pytest.MonkeyPatch, version: tuple[str | None, bool | None], words: str
) -> None:
    monkeypatch.setattr(reproduction, "read_code_version", lambda: version)
    with pytest.raises(BenchError, match=words) as error:
        require_clean_commit()
    assert "Commit what was changed" in str(error.value.hint)


def test_a_list_that_is_damaged_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "reproduce.json").write_text(json.dumps({"schema_version": 1, "synthesis": [{"dataset": "demo"}]}))
    with pytest.raises(BenchError, match="is not a valid Reproduction file: synthesis"):
        Reproduction.load(tmp_path / "reproduce.json")


@pytest.mark.long
def test_a_list_of_one_target_is_repeated_without_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Preset tiny, from nothing, twice; then a published number that is another is told."""
    script = runpy.run_path(str(ROOT / "scripts" / "reproduce.py"))
    plan = Reproduction.model_validate(
        {
            "synthesis": [
                {"dataset": "demo-tiny", "subjects": ["1"], "methods": ["nearest", "fbf"], "seeds": 1,
                 "preset": "tiny"}
            ]
        }
    )  # fmt: skip
    first, again = tmp_path / "first", tmp_path / "again"
    for workspace in (first, again, again):  # the third goes on where all is done
        script["run_commands"](plan, workspace)
    published = load_runs(Workspace(first).results)[0]
    assert len(published) == 2
    assert script["tell_differences"](plan, published, again) is False
    assert capsys.readouterr().out.count("every number is the same") == 2
    name, metric = next(iter(published[0].metrics.items()))
    assert metric.value is not None
    other = metric.model_copy(update={"value": metric.value + 1e-9})
    published[0] = published[0].model_copy(update={"metrics": published[0].metrics | {name: other}})
    assert script["tell_differences"](plan, published, again) is True
    shutil.rmtree(again)
    with pytest.raises(BenchError, match="failed"):
        script["run_commands"](plan.model_copy(update={"synthesis": (
            plan.synthesis[0].model_copy(update={"subjects": ("nobody",)}),)}), again)  # fmt: skip
