"""The report of a study: what was accepted, what is used and why not, what was found; and its run records.

In: a study's store, or imported votes. Out: `report.json`, `report.md` beside them, and one record of kind `perceptual`
for each method in `results/`, which the leaderboards are made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd

from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.study.exclusion import Used, apply_rules
from dancebench.benchmark.study.records import StudyFolder, StudyRecord
from dancebench.benchmark.study.store import Store
from dancebench.core.files import sha256_file, sha256_json, write_text
from dancebench.core.metric import Metric, MetricKey
from dancebench.core.schema import Document, Strict
from dancebench.core.workspace import Workspace
from dancebench.leaderboards import records
from dancebench.leaderboards.perceptual import report_page
from dancebench.leaderboards.perceptual.analysis import (
    BeliefResult,
    DetectorComparison,
    Estimate,
    QuestionResult,
    analyse_judgements,
    analyse_votes,
    compare_detectors,
)
from dancebench.leaderboards.perceptual.votes import (
    Judgement,
    Vote,
    is_judgement_file,
    read_judgements,
    read_votes,
)

_SHARE = "share in [0, 1], answers"


class Participation(Strict):
    """Who took part, and what of it is used."""

    enrolled: int
    erased: int
    """Withdrew, or were erased by the researcher: nothing of theirs is left."""
    finished: int
    screened_out: int
    used: int
    excluded: dict[str, int]
    """Reason to number of raters who are accepted and not used."""
    dropped: dict[str, int]
    """Reason to number of trials of used raters that are not used."""
    voided: dict[str, int]
    """Reason to number of trials whose video failed."""
    short_of_votes: dict[str, int]
    """Items with fewer votes than the one that has most, and how many they lack."""
    comments: tuple[str, ...]


class StudyReport(Document):
    """`report.json`."""

    SCHEMA_VERSION: ClassVar[int] = 1

    study: str
    study_sha256: str
    """Of study.json, or of the imported file."""
    rules: dict[str, Any] | None
    rules_sha256: str | None
    """Of the exclusion rules, which were fixed before the first vote; null of imported votes."""
    participation: Participation | None
    """Null of imported votes."""
    questions: tuple[QuestionResult, ...]
    belief: BeliefResult | None
    """Null where videos were compared with each other."""
    detectors: tuple[DetectorComparison, ...]


class Answers(Strict):
    """What a study's answers are, wherever they come from."""

    votes: tuple[Vote, ...]
    judgements: tuple[Judgement, ...]
    participation: Participation | None
    failures: tuple[records.Failure, ...] = ()
    n_accepted: int


def read_answers(folder: StudyFolder) -> tuple[StudyRecord | None, Answers]:
    """The answers that are used: of the store, or of an imported file.

    Raises:
        BenchError: There is no such study, or its files do not belong together.
    """
    if folder.votes_path.exists() and not folder.record_path.exists():
        return None, _read_imported(folder)
    study = folder.load()
    store = Store(folder.store_path, study)
    try:
        return study, collect_answers(study, store)
    finally:
        store.close()


def collect_answers(study: StudyRecord, store: Store) -> Answers:
    """The answers in a store, the exclusion rules applied."""
    raters, trials = store.list_raters(), store.list_trials()
    used = apply_rules(study, raters, trials)
    accepted = sum(trial.state == "answered" and study.item_of[trial.item].kind == "question" for trial in trials)
    states = Counter(rater.state for rater in raters)
    participation = Participation(
        enrolled=store.count("enrolled"),
        erased=store.count("erased"),
        finished=states["finished"],
        screened_out=states["screened"],
        used=len(used.raters),
        excluded=dict(Counter(used.excluded.values())),
        dropped=used.dropped,
        voided=used.voided,
        short_of_votes=_list_short(study, used),
        comments=tuple(rater.comment for rater in raters if rater.comment),
    )
    return Answers(
        votes=tuple(used.votes),
        judgements=tuple(used.judgements),
        participation=participation,
        failures=tuple(records.Failure(item=rater, reason=reason) for rater, reason in used.excluded.items()),
        n_accepted=accepted * len(study.questions),
    )


def make_report(
    name: str, study: StudyRecord | None, answers: Answers, identity: str, detectors: Mapping[str, Any] | None = None
) -> StudyReport:
    """Analyse the answers.

    Args:
        name: Of the study.
        study: Null of imported votes.
        answers: Of it.
        identity: SHA-256 of what the answers are about.
        detectors: By run id: a detector's name and its scores by video_id.
    """
    belief = analyse_judgements(answers.judgements) if answers.judgements else None
    return StudyReport(
        study=name,
        study_sha256=identity,
        rules=study.rules.model_dump(mode="json") if study else None,
        rules_sha256=study.rules_sha256 if study else None,
        participation=answers.participation,
        questions=tuple(analyse_votes(answers.votes)),
        belief=belief,
        detectors=tuple(compare_detectors(answers.judgements, detectors or {})),
    )


def report_study(workspace: Workspace, name: str, clock: RunClock) -> StudyReport:
    """Analyse a study, write its report, and record every method.

    Raises:
        BenchError: There is no such study, or a file cannot be written.
    """
    folder = StudyFolder(workspace, name)
    study, answers = read_answers(folder)
    identity = study.sha256 if study else sha256_file(folder.votes_path)
    report = make_report(name, study, answers, identity, _read_detectors(workspace, study))
    report.save(folder.path / "report.json")
    write_text(folder.path / "report.md", render_report(report))
    rows = _tabulate(answers)
    for method in _list_methods(report):
        records.save_run(workspace.results, _make_record(report, study, answers, method, clock), rows)
    return report


def render_report(report: StudyReport) -> str:
    """The report as Markdown."""
    blocks = [f"# Study {report_page.escape(report.study)}", f"Study `{report.study_sha256[:16]}`."]
    part = report.participation
    if part is not None:
        blocks += [
            f"Exclusion rules, fixed before the first vote (SHA-256 `{report.rules_sha256}`): "
            + ", ".join(f"{name} = {value}" for name, value in (report.rules or {}).items())
            + ".",
            f"{part.enrolled} raters enrolled, {part.finished} finished, {part.screened_out} were screened out, "
            f"{part.erased} withdrew and were erased; {part.used} are used.",
            *report_page.render_counts("Raters accepted and not used", part.excluded),
            *report_page.render_counts("Trials not used", part.dropped),
            *report_page.render_counts("Trials set aside: a video failed", part.voided),
        ]
    else:
        blocks.append("The votes were imported: who was excluded, and by which rules, is not known here.")
    if not report.questions and report.belief is None:
        blocks.append("There is no answer to analyse yet.")
    for question in report.questions:
        blocks += report_page.render_question(question)
    if report.belief is not None:
        blocks += report_page.render_belief(report.belief, report.detectors)
    if part is not None:
        blocks += report_page.render_counts("Short of votes: item, and how many it lacks", part.short_of_votes)
        if part.comments:
            blocks += ["### Comments", "\n".join(f"- {report_page.escape(text)}" for text in part.comments)]
    return "\n\n".join(blocks) + "\n"


def _read_imported(folder: StudyFolder) -> Answers:
    if is_judgement_file(folder.votes_path):
        judgements = tuple(read_judgements(folder.votes_path))
        return Answers(votes=(), judgements=judgements, participation=None, n_accepted=len(judgements))
    votes = tuple(read_votes(folder.votes_path))
    return Answers(votes=votes, judgements=(), participation=None, n_accepted=len(votes))


def _list_short(study: StudyRecord, used: Used) -> dict[str, int]:
    """By what an item shows: the votes that it lacks beside the item that has most."""
    most = max(used.per_item.values())
    clip_of = study.clip_of
    short = {}
    for item in study.items:
        lacking = most - used.per_item[item.id]
        if lacking:
            clips = [clip_of[clip] for clip in item.clips]
            shown = " against ".join(clip.method or "real" for clip in clips)
            short[f"{clips[0].subject}/{clips[0].source}: {shown}"] = lacking
    return short


def _read_detectors(workspace: Workspace, study: StudyRecord | None) -> dict[str, tuple[str, dict[str, float]]]:
    """The video scores of every detection run on the study's dataset, or of all for imported answers."""
    found = {}
    for record in records.load_runs(workspace.results)[0]:
        if record.run.kind != "detection" or (study and record.data.dataset_id != study.dataset_id):
            continue
        path = workspace.results / f"{record.run.id}.parquet"
        if not path.exists():
            continue
        rows = pd.read_parquet(path)
        videos = rows[(rows["level"] == "video") & (rows["status"] == "ok")]
        scores = {str(video): float(score) for video, score in zip(videos["video_id"], videos["score"], strict=True)}
        found[record.run.id] = (record.entry.name, scores)
    return found


def _tabulate(answers: Answers) -> pd.DataFrame:
    """Counts by what was asked: no rater stands in a record, which may be published and outlives a withdrawal."""
    if answers.judgements:
        judged = pd.DataFrame([each.model_dump() for each in answers.judgements])
        judged["method"] = judged["method"].fillna("real")
        groups = judged.groupby(["subject", "source", "method"], as_index=False)
        return groups.agg(n=("called_fake", "size"), called_fake=("called_fake", "sum"))
    counted: Counter[tuple[str, ...]] = Counter()
    for vote in answers.votes:
        options = "|".join(sorted(vote.options))
        counted[vote.question, vote.subject, vote.source, options, vote.choice or "tie"] += 1
    rows = [(*key, n) for key, n in sorted(counted.items())]
    return pd.DataFrame(rows, columns=["question", "subject", "source", "options", "choice", "n"])


def _list_methods(report: StudyReport) -> list[str]:
    if report.belief is not None:
        return [name for name in report.belief.methods if name != "real"]
    return sorted({method for question in report.questions for method in question.chosen})


def _make_record(
    report: StudyReport, study: StudyRecord | None, answers: Answers, method: str, clock: RunClock
) -> records.RunRecord:
    metrics, people = _measure_belief(report, method) if report.belief else _measure_preference(report, method)
    digest = sha256_json(["perceptual", report.study, report.study_sha256, method])
    n_used = len(answers.votes) + len(answers.judgements)
    return records.RunRecord(
        run=clock.run("perceptual", method, digest, seeds={"study": study.seed} if study else {}, device="none"),
        data=records.Data(
            dataset=f"study {report.study}",
            dataset_id=report.study_sha256,
            content_sha256=sha256_json(sorted(clip.sha256 for clip in study.clips)) if study else report.study_sha256,
            n_original=answers.n_accepted,
            n_effective=n_used,
        ),
        entry=records.Entry(
            name=method,
            preset=study.preset if study else "imported",
            weights_sha256={},
            parameters={},
            facts=records.PerceptualFacts(
                frame_size=study.frame_size if study else None, remarks=_list_remarks(report, study)
            ),
        ),
        metrics=metrics,
        per_subject=people,
        failures=list(answers.failures),
    )


def _list_remarks(report: StudyReport, study: StudyRecord | None) -> tuple[str, ...]:
    remarks = [f"asked: {question.text}" for question in study.questions] if study else []
    if report.rules_sha256 is not None:
        remarks.append(f"exclusion rules: SHA-256 {report.rules_sha256}")
    if report.participation is not None:
        part = report.participation
        remarks.append(f"raters: {part.enrolled} enrolled, {part.used} used")
    return tuple(remarks)


def _measure_preference(
    report: StudyReport, method: str
) -> tuple[dict[str, Metric], dict[str, dict[str, float | None]]]:
    """Of the last question, which is that of overall quality; every question's share stands under its name."""
    main = report.questions[-1]
    metrics = {"preference": _to_metric(main.chosen[method])}
    strength = main.strengths.get(method)
    for name, value in (("bradley_terry", strength and strength.logits), ("jod", strength and strength.jod)):
        metrics[name] = Metric(
            value=value,
            reason=None if value is not None else main.strengths_reason,
            ci95=strength.ci95 if strength and name == "bradley_terry" else None,
            n=main.n_votes,
            unit={"bradley_terry": "logits", "jod": "just-objectionable differences"}[name],
            higher_is_better=True,
        )
    key = MetricKey("preference")
    for pair in main.pairs:
        if method in (pair.method, pair.other):
            other = pair.other if method == pair.method else pair.method
            over = pair.total if method == pair.method else _turn(pair.total)
            metrics[str(key.under("over", other))] = _to_metric(over)
    if len(report.questions) > 1:
        for question in report.questions:
            metrics[str(key.under("question", question.question))] = _to_metric(question.chosen[method])
    subjects = sorted({name for people in main.chosen_per_subject.values() for name in people})
    own = main.chosen_per_subject[method]
    return metrics, {name: {"preference": own[name].value if name in own else None} for name in subjects}


def _measure_belief(report: StudyReport, method: str) -> tuple[dict[str, Metric], dict[str, dict[str, float | None]]]:
    assert report.belief is not None
    own = report.belief.methods[method]
    metrics = {
        "preference": Metric(
            value=None, reason="single videos were shown, not pairs", n=0, unit=_SHARE, higher_is_better=True
        ),
        "taken_for_real": _to_metric(own.taken_for_real),
        "d_prime": Metric(
            value=own.d_prime.value, reason=own.d_prime.reason, ci95=own.ci95, n=own.taken_for_real.n,
            unit="d', fakes against reals", higher_is_better=False,
        ),
    }  # fmt: skip
    people: dict[str, dict[str, float | None]] = {
        subject: {"taken_for_real": share.value} for subject, share in own.taken_per_subject.items()
    }
    return metrics, people


def _turn(share: Estimate) -> Estimate:
    """The share of the other method."""
    interval = share.ci95 and share.ci95.model_copy(update={"low": 1 - share.ci95.high, "high": 1 - share.ci95.low})
    return share.model_copy(update={"value": 1 - share.value, "ci95": interval})


def _to_metric(share: Estimate) -> Metric:
    return Metric(value=share.value, ci95=share.ci95, n=share.n, unit=_SHARE, higher_is_better=True)
