"""Rows compare on the same videos alone, and what cannot be compared says why."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dancebench.core.metric import Metric
from dancebench.leaderboards.board import check, make_screen_tables, rebuild
from dancebench.leaderboards.records import RunRecord, load_runs, save_run
from dancebench.leaderboards.significance import differences
from dancebench.leaderboards.significance.differences import (
    Differences,
    SectionDifferences,
    compare_rows,
    compare_sections,
    tabulate_differences,
)
from dancebench.leaderboards.significance.paired_auc import jackknife_auc
from dancebench.leaderboards.tables import group_sections

MakeRecord = Callable[..., RunRecord]
PEOPLE, VIDEOS = 14, "d" * 64


def make_scores(separation: float, seed: int = 0) -> pd.DataFrame:
    """Rows of a run: two reals and four fakes of each person, fakes of another method, and the pairs of a video."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(PEOPLE):
        difficulty = rng.normal(0, 0.3)
        for at, method in enumerate([None, None, "fbf", "fbf", "fbf", "fbf", "posewarp"]):
            score = rng.normal(difficulty + (separation if method else 0))
            rows.append(
                {"level": "video", "video_id": f"s{person:02d}/{at}", "subject_id": f"s{person:02d}", "method": method,
                 "label": int(method is not None), "score": score, "status": "ok"}
            )  # fmt: skip
    return pd.DataFrame([*rows, {"level": "pair", "video_id": "s00/0", "logit": 1.0}])


def measure(rows: pd.DataFrame) -> float:
    """The AUC of the reals and the fakes that were trained on."""
    chosen = rows[(rows["status"] == "ok") & (rows["method"] != "posewarp")]
    labels, scores = chosen["label"].to_numpy(np.int64), chosen["score"].to_numpy(np.float64)
    return jackknife_auc(labels, scores, chosen["subject_id"].to_numpy(np.str_))[0]


@pytest.fixture
def save(make_record: MakeRecord, tmp_path: Path) -> Callable[..., RunRecord]:
    """`save(name, rows, videos_sha256=…)`: a detection run on disk, under `results/`."""

    def save_detection(name: str, rows: pd.DataFrame, **fields: object) -> RunRecord:
        value = Metric(value=measure(rows), n=84, unit="AUC", higher_is_better=True)
        fakes = {"fakes": {"method": "fbf", "preset": "tiny", "body_ssim": {}}}
        given = {"videos_sha256": VIDEOS, "metrics": {"video_auc": value}} | fields
        record = make_record(name, given.pop("metrics"), kind="detection", facts=fakes, subjects=PEOPLE, **given)
        save_run(tmp_path / "results", record, rows)
        return record

    return save_detection


def compare(tmp_path: Path) -> SectionDifferences:
    [section] = group_sections(load_runs(tmp_path / "results")[0], "detection")
    return compare_rows(section, tmp_path / "results")


def test_better_and_worse_are_told_apart_and_alike_are_not(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    good = make_scores(2.5)
    near = good.assign(score=good["score"] + np.random.default_rng(1).normal(0, 0.1, len(good)))
    for name, rows in (("good", good), ("near", near), ("bad", make_scores(0.3, seed=2))):
        save(name, rows)
    found = compare(tmp_path)
    assert len(found.pairs) == 3
    letters = {standing.name: standing.letters for standing in found.standings}
    assert letters == {"good (tiny)": "a", "near (tiny)": "a", "bad (tiny)": "b"}
    for pair in found.pairs:
        assert pair.n == PEOPLE * 6
        assert pair.ci95 is not None
        assert pair.p_holm is not None
        assert pair.p is not None
        assert pair.ci95.low <= pair.difference <= pair.ci95.high
        assert (pair.ci95.low > 0 or pair.ci95.high < 0) == (pair.p < 0.05)
        assert pair.p <= pair.p_holm
        assert pair.told_apart == (pair.p_holm < 0.05)
        assert pair.reason is None


def test_closed_form_the_difference_is_that_of_the_recorded_values(
    save: Callable[..., RunRecord], tmp_path: Path
) -> None:
    records = [save("one", make_scores(1.0)), save("two", make_scores(0.5, seed=3))]
    values = {record.run.id: record.metrics["video_auc"].value for record in records}
    [pair] = compare(tmp_path).pairs
    assert pair.difference == pytest.approx(values[pair.first] - values[pair.second])


def test_two_detectors_without_error_are_not_told_apart(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        save(name, make_scores(50.0, seed=seed))
    found = compare(tmp_path)
    [pair] = found.pairs
    assert (pair.difference, pair.p, pair.p_delong, pair.told_apart) == (0.0, None, None, False)
    assert pair.reason == "no deletion of a person changes the difference"
    assert [standing.letters for standing in found.standings] == ["a", "a"]


def test_a_video_that_one_of_them_could_not_score_is_left_out_of_both(
    save: Callable[..., RunRecord], tmp_path: Path
) -> None:
    rows = make_scores(1.0, seed=4)
    save("one", make_scores(1.0))
    save("two", rows.assign(status=rows["status"].where(rows["video_id"] != "s03/2", "failed")))
    [pair] = compare(tmp_path).pairs
    assert pair.n == PEOPLE * 6 - 1


def test_other_videos_are_not_compared(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    save("one", make_scores(1.0))
    save("two", make_scores(0.0), videos_sha256="e" * 64)
    found = compare(tmp_path)
    [pair] = found.pairs
    assert (pair.difference, pair.n, pair.reason) == (None, 0, "they were measured on different videos")
    assert [standing.letters for standing in found.standings] == [None, None]
    assert [standing.reason for standing in found.standings] == ["they were measured on different videos"] * 2


def test_what_is_missing_is_said_of_its_row(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    results = tmp_path / "results"
    unknown = Metric(value=None, reason="no fakes", n=0, unit="AUC", higher_is_better=True)
    wrong = Metric(value=0.123, n=84, unit="AUC", higher_is_better=True)
    for name, fields in (
        ("fine", {}), ("also", {}), ("earlier", {"videos_sha256": None}), ("null", {"metrics": {"video_auc": unknown}}),
        ("other", {"metrics": {"video_auc": wrong}}), ("lost", {}), ("damaged", {}), ("columns", {}),
    ):  # fmt: skip
        save(name, make_scores(1.0, seed=len(name)), **fields)
    next(results.glob("detection-lost-*.parquet")).unlink()
    next(results.glob("detection-damaged-*.parquet")).write_bytes(b"PAR1 and no more")
    pd.DataFrame({"item": ["a"]}).to_parquet(next(results.glob("detection-columns-*.parquet")))
    found = compare(tmp_path)
    assert {standing.name.split()[0]: standing.reason for standing in found.standings} == {
        "fine": None,
        "also": None,
        "earlier": "it was recorded by an earlier release, which did not say which videos it scored",
        "null": "it has no video AUC",
        "other": "its scores per video do not give the AUC of its record",
        "lost": "its scores per video do not lie beside its record",
        "damaged": "its scores per video cannot be read",
        "columns": "its scores per video cannot be read",
    }
    assert len([pair for pair in found.pairs if pair.difference is not None]) == 1


def test_a_person_with_all_reals_leaves_no_jackknife(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        rows = make_scores(1.0, seed)
        save(name, rows.assign(subject_id=rows["subject_id"].where(rows["label"] == 1, "everybody")))
    [pair] = compare(tmp_path).pairs
    assert pair.reason == "without one of the people, only reals or only fakes are left"


def test_files_tell_the_same_and_are_the_same_every_time(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "out"
    for name, rows in (("good", make_scores(2.5)), ("bad", make_scores(0.3, seed=2)), ("lost", make_scores(1.0))):
        save(name, rows)
    next(results.glob("detection-lost-*.parquet")).unlink()
    rebuild(results, out)
    assert check(results, out) == []
    document = Differences.load(out / "detection_differences.json")
    assert document == compare_sections(group_sections(load_runs(results)[0], "detection"), results)
    assert json.loads((out / "detection_differences.json").read_text())["schema_version"] == 2
    table = pd.read_csv(out / "detection_differences.csv")
    assert table["difference"].tolist() == pytest.approx(
        tabulate_differences(document)["difference"].tolist(), nan_ok=True
    )
    assert table["told_apart"].tolist().count(True) == 1
    page = (out / "detection.md").read_text().split("### Paired differences of video AUC\n")[1]
    assert "| row | video AUC ↑ | group |" in page
    assert "| good (tiny) | bad (tiny) | +0." in page
    assert "lost: its scores per video do not lie beside its record" in page


def test_a_table_without_scores_says_so_once(make_record: MakeRecord, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save_run(
            tmp_path, make_record(name, {"video_auc": 0.9}, kind="detection"), pd.DataFrame({"item": ["x"]})
        )  # fmt: skip
    rebuild(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "detection.md").read_text()
    assert "- Rows are not compared: all rows: it was recorded by an earlier release" in page
    assert "group" not in page.split("### Paired differences")[1].split("\n#")[0]


def test_the_screen_names_who_is_not_told_apart(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    good = make_scores(2.5)
    near = good.assign(score=good["score"] + np.random.default_rng(1).normal(0, 0.1, len(good)))
    records = [save("good", good), save("near", near), save("bad", make_scores(0.3, seed=2))]
    [table] = make_screen_tables(records, results_dir=tmp_path / "results")
    text = str(table.caption)
    names = text.split("adjusted p ≥ 0.05): ")[1].splitlines()[0]
    assert set(names.split(", ")) == {"good (tiny)", "near (tiny)"}
    assert text.count("not told apart") == 1


def test_of_a_long_table_the_best_rows_are_compared(
    save: Callable[..., RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(differences, "MAX_ROWS", 2)
    for number in range(4):
        save(f"d{number}", make_scores(1.0 + number, number))
    found = compare(tmp_path)
    assert len(found.pairs) == 1
    assert [standing.reason for standing in found.standings[2:]] == [
        "only the best 2 rows of a section are compared"
    ] * 2
    assert all(standing.letters for standing in found.standings[:2])
