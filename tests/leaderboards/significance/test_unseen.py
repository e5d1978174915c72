"""Sections of the protocol that leads with the mean over unseen methods and perturbations."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dancebench.core.metric import Metric
from dancebench.leaderboards.board import make_screen_tables, rebuild
from dancebench.leaderboards.records import RunRecord, load_runs, save_run
from dancebench.leaderboards.significance.differences import Differences, SectionDifferences, compare_rows
from dancebench.leaderboards.significance.paired_auc import jackknife_auc
from dancebench.leaderboards.tables import Section, group_sections

MakeRecord = Callable[..., RunRecord]
PEOPLE, VIDEOS = 12, "d" * 64
PROTOCOL = {"name": "unseen", "sha256": "5" * 64}
METHODS, PERTURBATIONS = ("ddg", "posewarp"), ("blur1", "noise5", "jpeg20")


def make_rows(separation: float, seed: int = 0) -> pd.DataFrame:
    """Rows of a run: under each perturbation a real of each person, and a fake of each method."""
    rng = np.random.default_rng(seed)
    rows = [
        {"level": "unseen", "perturbation": perturbation, "video_id": f"s{person:02d}/{method or 'real'}",
         "subject_id": f"s{person:02d}", "method": method, "label": int(method is not None),
         "score": rng.normal(separation if method else 0), "status": "ok"}
        for perturbation in PERTURBATIONS
        for method in (None, *METHODS)
        for person in range(PEOPLE)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def list_cells(rows: pd.DataFrame) -> list[float]:
    """The AUC of each method under each perturbation."""
    found = []
    for perturbation in PERTURBATIONS:
        for method in METHODS:
            chosen = rows[(rows["perturbation"] == perturbation) & ((rows["label"] == 0) | (rows["method"] == method))]
            labels, scores = chosen["label"].to_numpy(np.int64), chosen["score"].to_numpy(np.float64)
            found.append(jackknife_auc(labels, scores, chosen["subject_id"].to_numpy(np.str_))[0])
    return found


@pytest.fixture
def save(make_record: MakeRecord, tmp_path: Path) -> Callable[..., RunRecord]:
    """`save(name, rows, value=…)`: a run of the protocol on disk, under `results/`."""

    def save_detection(name: str, rows: pd.DataFrame, **fields: object) -> RunRecord:
        value = Metric(value=float(np.mean(list_cells(rows))), n=len(rows), unit="AUC", higher_is_better=True)
        metrics = {"video_auc": 1.0, "video_accuracy": 0.9, "video_cllr": 0.2, "pair_auc": 0.9, "pair_accuracy": 0.8}
        given = {"videos_sha256": VIDEOS, "protocol": PROTOCOL} | fields
        unseen = given.pop("unseen", value)
        record = make_record(
            name, metrics | {"video_auc_unseen": unseen}, kind="detection", subjects=PEOPLE, **given
        )  # fmt: skip
        save_run(tmp_path / "results", record, rows)
        return record

    return save_detection


def read_section(tmp_path: Path) -> tuple[Section, SectionDifferences]:
    [section] = group_sections(load_runs(tmp_path / "results")[0], "detection")
    return section, compare_rows(section, tmp_path / "results")


def test_rows_are_ranked_and_compared_by_the_unseen_auc(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    good, bad = make_rows(2.0), make_rows(0.4, seed=1)
    near = good.assign(score=good["score"] + np.random.default_rng(2).normal(0, 0.05, len(good)))
    for name, rows in (("bad", bad), ("good", good), ("near", near)):
        save(name, rows)
    section, found = read_section(tmp_path)
    assert section.columns[0].metric == found.metric == "video_auc_unseen"
    assert section.rows[-1].record.entry.name == "bad"
    assert {each.name: each.letters for each in found.standings} == {
        "good (tiny)": "a", "near (tiny)": "a", "bad (tiny)": "b",
    }  # fmt: skip
    for pair in found.pairs:
        assert pair.n == PEOPLE * 3 * len(PERTURBATIONS)
        assert pair.p_delong is None  # it is of one AUC


def test_closed_form_the_difference_is_that_of_the_means(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    one, other = make_rows(1.0), make_rows(0.5, seed=3)
    save("one", one)
    save("other", other)
    [pair] = read_section(tmp_path)[1].pairs
    assert abs(pair.difference or 0) == pytest.approx(abs(np.mean(list_cells(one)) - np.mean(list_cells(other))))


def test_closed_form_with_one_auc_p_is_that_of_its_own_comparison(save: Callable[..., RunRecord]) -> None:
    """A mean of six equal AUCs is compared like one of them: the same copies under six names."""
    from dancebench.leaderboards.significance.scores import VideoScores, jackknife_mean

    rows = make_rows(1.0)
    chosen = rows[(rows["perturbation"] == "blur1") & (rows["method"] != "ddg")].sort_values("video_id")
    cell = VideoScores(
        chosen["video_id"].to_numpy(np.str_), chosen["label"].to_numpy(np.int64),
        chosen["score"].to_numpy(np.float64), chosen["subject_id"].to_numpy(np.str_),
    )  # fmt: skip
    value, without = jackknife_auc(cell.labels, cell.scores, cell.units)
    mean, mean_without = jackknife_mean({str(at): cell for at in range(6)})
    assert mean == pytest.approx(value)
    assert mean_without == pytest.approx(without)


def test_a_person_who_is_not_in_one_auc_leaves_it_as_it_is() -> None:
    from dancebench.leaderboards.significance.scores import VideoScores, jackknife_mean

    def make(people: list[str], scores: list[float]) -> VideoScores:
        ids = np.array([f"{at}" for at in range(len(people))])
        return VideoScores(ids, np.array([0, 1] * (len(people) // 2)), np.array(scores), np.array(people))

    everybody = make(["a", "a", "b", "b", "c", "c"], [0, 1, 0, 1, 2, 1])
    fewer = make(["a", "a", "b", "b"], [0, 1, 2, 1])
    value, without = jackknife_mean({"one": everybody, "two": fewer})
    own, own_without = jackknife_auc(everybody.labels, everybody.scores, everybody.units)
    assert value == pytest.approx((own + jackknife_auc(fewer.labels, fewer.scores, fewer.units)[0]) / 2)
    assert without[2] == pytest.approx((own_without[2] + 0.5) / 2)


@pytest.mark.parametrize("count", [2, 3])
def test_groups_stand_beside_the_leading_column_even_if_it_is_one(
    save: Callable[..., RunRecord], tmp_path: Path, count: int
) -> None:
    rows = make_rows(1.0)
    for at in range(count):
        save(f"d{at}", rows.assign(score=rows["score"] + np.random.default_rng(at).normal(0, 0.01, len(rows))))
    rebuild(tmp_path / "results", tmp_path / "out")
    page = (tmp_path / "out" / "detection.md").read_text()
    table = page.split("## demo")[1].split("\n- ")[0].splitlines()[2:]
    assert table[0].startswith("| # | detector | preset | unseen AUC ↑ | video AUC ↑ |")
    assert table[0].count("|") - 1 == 9
    assert [line.split(" | ")[3].endswith("· group a") for line in table[2:]] == [True] * count
    assert "- rows that share a group are not told apart by unseen AUC" in page
    assert "Rank is by unseen AUC ↑;" in page
    document = Differences.load(tmp_path / "out" / "detection_differences.json")
    assert [section.metric for section in document.sections] == ["video_auc_unseen"]
    [screen] = make_screen_tables(load_runs(tmp_path / "results")[0], results_dir=tmp_path / "results")
    assert "not told apart by unseen AUC" in str(screen.caption)


def test_rows_of_another_hash_never_meet(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    save("one", make_rows(1.0))
    save("other", make_rows(1.0, seed=1), protocol={"name": "unseen", "sha256": "6" * 64})
    records = load_runs(tmp_path / "results")[0]
    assert [len(section.rows) for section in group_sections(records, "detection")] == [1, 1]


def test_a_row_without_it_stands_last_with_its_reason(save: Callable[..., RunRecord], tmp_path: Path) -> None:
    reason = "there is no fake of a method that it was not trained on"
    unknown = Metric(value=None, reason=reason, n=0, unit="AUC", higher_is_better=True)
    save("a", make_rows(1.0), unseen=unknown)
    save("b", make_rows(1.0))
    section, found = read_section(tmp_path)
    assert [(row.record.entry.name, row.rank) for row in section.rows] == [("b", 1), ("a", None)]
    assert found.standings[1].reason == "it has no unseen AUC"
    rebuild(tmp_path / "results", tmp_path / "out")
    assert f"(1) {reason}" in (tmp_path / "out" / "detection.md").read_text()


def test_the_differences_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    document = """{"schema_version": 1, "metric": "video_auc", "level": 0.05, "adjustment": "Holm",
      "sections": [{"dataset": "demo", "dataset_id": "x", "protocol": null, "title": "t",
       "standings": [], "pairs": []}]}"""
    (tmp_path / "d.json").write_text(document)
    [section] = Differences.load(tmp_path / "d.json").sections
    assert section.metric == "video_auc"
