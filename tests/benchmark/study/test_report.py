"""Reports and records: from a study's store or a file from elsewhere to the leaderboard."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.special
from study_site import Site, plan_study

from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.study.make import make_study
from dancebench.benchmark.study.records import StudyFolder, StudyRecord
from dancebench.benchmark.study.report import (
    StudyReport,
    collect_answers,
    make_report,
    read_answers,
    render_report,
    report_study,
)
from dancebench.benchmark.study.store import Store
from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.leaderboards.board import rebuild
from dancebench.leaderboards.perceptual.votes import Judgement, Vote, read_votes, write_judgements, write_votes
from dancebench.leaderboards.records import load_runs

STRENGTH = {"fbf": 0.0, "fbf-ts": 1.0, "nearest": -1.0}


def fill(store: Store, study: StudyRecord, raters: int, seed: int = 0) -> None:
    """Attentive raters who choose by `STRENGTH`."""
    generator = np.random.default_rng(seed)
    for _ in range(raters):
        rater = store.enrol({}, {}).rater
        for trial in store.list_trials(rater.id):
            item = study.item_of[trial.item]
            strengths = [STRENGTH[study.clip_of[clip].method or ""] for clip in item.arrange(trial.order)]
            limits = np.cumsum(scipy.special.softmax(strengths))[:-1]
            choice = item.answers[int(np.searchsorted(limits, generator.random(), side="right"))]
            if item.kind != "question":
                choice = item.find_expected(trial.order)
            play = {"ended": True, "played_s": 0.24, "wall_s": 0.24, "dropped": 0, "frames": 6}
            log = {"playback": dict.fromkeys(item.answers, play), "reaction_ms": 700}
            store.answer(rater.id, trial.position, {question.id: choice for question in study.questions}, log)
        store.set_state(rater.id, "finished")


@pytest.fixture
def own(toys: tuple[Workspace, Dataset], tmp_path: Path) -> tuple[Workspace, Dataset]:
    """The fakes of `toys` in a workspace of its own."""
    workspace, dataset = toys
    other = Workspace(tmp_path / "w").open()
    for name in ("fakes", "reals", "datasets"):
        (other.root / name).symlink_to(workspace.root / name)
    return other, dataset


def report_filled(own: tuple[Workspace, Dataset], task: Any = "edn", raters: int = 20) -> tuple[Workspace, StudyReport]:
    workspace, dataset = own
    study = make_study(plan_study(workspace, dataset, "pilot", task))
    store = Store(StudyFolder(workspace, "pilot").store_path, study)
    fill(store, study, raters)
    left = store.enrol({"id": "panel"}, {}).rater
    store.void(left.id, 0, "not decoded")
    store.set_comment(left.id, "<script>alert(1)</script> | *bold*")
    store.close()
    return workspace, report_study(workspace, "pilot", RunClock(["bench", "study", "report"]))


def test_a_study_s_report_says_who_took_part_and_what_was_found(own: tuple[Workspace, Dataset]) -> None:
    workspace, report = report_filled(own)
    part = report.participation
    assert part is not None
    assert (part.enrolled, part.finished, part.used) == (21, 20, 20)
    assert part.excluded == {"did not come to the end": 1}
    assert part.voided == {"not decoded": 1}
    assert part.short_of_votes == {}
    [question] = report.questions
    assert question.n_votes == 20 * 15
    assert sum(pair.total.n for pair in question.pairs) == question.n_votes
    order = sorted(question.strengths, key=lambda name: question.strengths[name].logits)
    assert order == ["nearest", "fbf", "fbf-ts"]
    best = question.strengths["fbf-ts"]
    assert best.ci95 is not None
    assert best.ci95.low < best.logits < best.ci95.high
    assert question.alpha.value is not None
    assert [row.preference for row in question.power] == [0.55, 0.6, 0.65, 0.7, 0.75]
    path = StudyFolder(workspace, "pilot").path / "report.json"
    assert StudyReport.load(path) == report


def test_the_page_shows_the_rules_hash_and_no_markup_of_a_rater(own: tuple[Workspace, Dataset]) -> None:
    workspace, report = report_filled(own)
    page = (StudyFolder(workspace, "pilot").path / "report.md").read_text()
    assert page == render_report(report)
    assert report.rules_sha256 is not None
    assert report.rules_sha256 in page
    assert "<script>" not in page
    assert "&lt;script>alert(1)&lt;/script> \\| \\*bold\\*" in page
    assert "panel" not in page
    for heading in ("Preferred, % of answers", "Methods", "Raters that a preference needs"):
        assert f"### {heading}" in page


def test_records_of_a_study_are_ranked_on_the_leaderboard_beside_the_papers(own: tuple[Workspace, Dataset]) -> None:
    workspace, report = report_filled(own)
    records, skipped = load_runs(workspace.results)
    assert skipped == []
    assert {record.entry.name for record in records} == set(STRENGTH)
    assert {record.run.kind for record in records} == {"perceptual"}
    rebuild(workspace.results, workspace.leaderboards)
    page = (workspace.leaderboards / "perceptual.md").read_text()
    ranked = [line.split("|")[2].strip() for line in page.splitlines() if line.startswith(("| 1 |", "| 2 |", "| 3 |"))]
    assert ranked == ["fbf-ts", "fbf", "nearest"]
    assert "Chosen over each other method" in page
    assert "Reference: as printed in the papers" in page
    assert "95.9" in page
    record = next(record for record in records if record.entry.name == "fbf-ts")
    one, other = record.metrics["preference@over=fbf"], record.metrics["preference@over=nearest"]
    pairs = {(pair.method, pair.other): pair.total for pair in report.questions[0].pairs}
    assert one.value == pytest.approx(1 - pairs["fbf", "fbf-ts"].value)
    assert other.value == pytest.approx(pairs["fbf-ts", "nearest"].value)
    assert set(record.per_subject) == {"1", "2", "3", "4", "5"}
    rows = pd.read_parquet(workspace.results / f"{record.run.id}.parquet")
    assert rows["n"].sum() == 20 * 15
    assert not [name for name in rows.columns if "rater" in name]


def test_the_same_report_again_takes_the_place_of_its_records(own: tuple[Workspace, Dataset]) -> None:
    workspace, first = report_filled(own)
    again = report_study(workspace, "pilot", RunClock([]))
    assert again == first
    assert len(load_runs(workspace.results)[0]) == 3


def test_five_questions_are_a_breakdown_and_the_last_one_ranks(own: tuple[Workspace, Dataset]) -> None:
    workspace, report = report_filled(own, "ddg", raters=6)
    assert [question.question for question in report.questions] == ["body", "face", "isolation", "stability", "overall"]
    record = load_runs(workspace.results)[0][0]
    assert record.metrics["preference"] == record.metrics["preference@question=overall"]
    rebuild(workspace.results, workspace.leaderboards)
    assert "### By question (DDG Table 4)" in (workspace.leaderboards / "perceptual.md").read_text()


def test_votes_from_elsewhere_are_reported_and_exported_as_they_came(own: tuple[Workspace, Dataset]) -> None:
    workspace, _ = own
    votes = [
        Vote(rater=f"r{k % 7}", subject=f"s{k % 3}", source="x", question="q", options=pair, choice=pair[k % 4 == 0])
        for k, pair in zip(range(120), itertools.cycle((("a", "b"), ("b", "c"))), strict=False)
    ]
    folder = StudyFolder(workspace, "elsewhere")
    write_votes(folder.votes_path, votes)
    report = report_study(workspace, "elsewhere", RunClock([]))
    assert (report.participation, report.rules_sha256) == (None, None)
    assert report.questions[0].n_votes == 120
    assert "is not known here" in render_report(report)
    study, answers = read_answers(folder)
    assert study is None
    assert list(answers.votes) == read_votes(folder.votes_path) == votes
    with pytest.raises(BenchError, match="has no page") as caught:
        folder.load()
    assert "bench study report elsewhere" in (caught.value.hint or "")


def test_methods_that_were_never_compared_have_preferences_and_no_strengths(own: tuple[Workspace, Dataset]) -> None:
    workspace, _ = own
    votes = [
        Vote(rater=f"r{k}", subject=f"s{k % 2}", source="x", question="q", options=pair, choice=pair[0])
        for k in range(4)
        for pair in (("a", "b"), ("c", "d"))
    ]
    write_votes(StudyFolder(workspace, "apart").votes_path, votes)
    report = report_study(workspace, "apart", RunClock([]))
    assert report.questions[0].strengths == {}
    assert "never compared" in (report.questions[0].strengths_reason or "")
    metric = load_runs(workspace.results)[0][0].metrics["bradley_terry"]
    assert (metric.value, "never compared" in (metric.reason or "")) == (None, True)
    assert "No strengths: " in render_report(report)


def test_a_study_without_answers_has_a_report_that_says_so(own: tuple[Workspace, Dataset]) -> None:
    workspace, dataset = own
    make_study(plan_study(workspace, dataset, "empty"))
    report = report_study(workspace, "empty", RunClock([]))
    assert report.questions == ()
    assert "There is no answer to analyse yet." in render_report(report)
    assert load_runs(workspace.results)[0] == []
    with pytest.raises(BenchError, match="There is no study"):
        report_study(workspace, "none", RunClock([]))


def test_people_and_detectors_on_the_same_videos(own: tuple[Workspace, Dataset]) -> None:
    workspace, _ = own
    generator = np.random.default_rng(0)
    judgements = [
        Judgement(
            rater=f"r{rater}", subject=f"s{subject}", source=f"s{subject}", method=method,
            called_fake=bool(generator.random() < (0.8 if method else 0.3)),
        )
        for rater in range(8)
        for subject in range(6)
        for method in ("fbf", None)
    ]  # fmt: skip
    write_judgements(StudyFolder(workspace, "believed").votes_path, judgements)
    _, answers = read_answers(StudyFolder(workspace, "believed"))
    scores = {each.video_id: float(each.method is not None) for each in judgements}
    report = make_report("believed", None, answers, "f" * 64, {"detection-x-1": ("spectrum", scores)})
    [compared] = report.detectors
    assert (compared.detector, compared.detector_auc, compared.n_videos) == ("spectrum", 1.0, 12)
    assert report.belief is not None
    assert report.belief.d_prime.value is not None
    assert report.belief.d_prime.value > 0.5
    assert "People against detectors" in render_report(report)
    report_study(workspace, "believed", RunClock([]))
    [record] = load_runs(workspace.results)[0]
    assert record.metrics["preference"].value is None
    assert record.metrics["taken_for_real"].value == pytest.approx(report.belief.methods["fbf"].taken_for_real.value)
    rebuild(workspace.results, workspace.leaderboards)
    assert "taken for real" in (workspace.leaderboards / "perceptual.md").read_text()


def test_pairs_short_of_votes_are_listed(serve: Callable[..., Site]) -> None:
    site = serve(trials=4)
    fill(site.store, site.study, 1)
    answers = collect_answers(site.study, site.store)
    assert answers.participation is not None
    short = answers.participation.short_of_votes
    assert len(short) == len(site.study.items) - 4
    assert set(short.values()) == {1}
    assert all(" against " in name for name in short)
