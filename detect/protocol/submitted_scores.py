"""Submitted scores of another system: a checked file and the rows of a manifest in; score tables and metrics out.

A higher score = more likely fake, on any scale: no metric depends on the scores' unit. Labels come from
the manifest alone. Metrics are those of the held-out people. A held-out score that is missing or not finite
is replaced by the worst one: a fake gets less than every score in the file, a real more, so that leaving out a
hard video never improves a metric. Scores of the validation set, if there are any, fix thresholds and
calibration as for our own detectors; a missing one among them is only reported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.core.errors import BenchError
from dancebench.core.metric import Metric
from dancebench.datasets.corpora.manifest import VideoRow
from dancebench.detect.evaluation.aggregation import (
    DEFAULT_RULE,
    aggregate,
    check_rule,
    find_rule,
)
from dancebench.detect.evaluation.breakdowns import break_down_by_method, break_down_by_source, select_methods
from dancebench.detect.evaluation.calibration_metrics import (
    describe_overconfidence,
    fit_calibrations,
    measure_calibration,
)
from dancebench.detect.evaluation.controls import permute_labels
from dancebench.detect.evaluation.metrics import (
    Thresholds,
    choose_threshold,
    choose_thresholds,
    collect_videos,
    evaluate,
    evaluate_per_subject,
)
from dancebench.detect.evaluation.score_tables import PAIR_COLUMNS, VIDEO_COLUMNS, ScoreTables, UnscoredVideo
from dancebench.detect.inputs.leak_audit import describe_shared_ancestors
from dancebench.detect.protocol.score_file import IDS, Submission

SUPPLIED = "given"  # recorded as the aggregator of videos whose scores were submitted


class SubmittedTables(NamedTuple):
    """A submission as score tables like those of our own detectors."""

    validation: ScoreTables
    """Videos without a score are failures."""
    holdout: ScoreTables
    """Every video has a score: the worst one if none was submitted, as its `reason` says."""
    missing: tuple[UnscoredVideo, ...]
    """The held-out videos that got the worst score, and why."""
    failures: tuple[UnscoredVideo, ...]
    """`missing`, and the validation videos without a score, if any validation video has one."""


# ---------------------------------------------------------------- tables


def tabulate_submission(
    submission: Submission, rows: Sequence[VideoRow], aggregator: str = DEFAULT_RULE
) -> SubmittedTables:
    """Convert a submission into the score tables that `evaluate` and the other metrics take.

    Args:
        submission: Checked against these rows.
        rows: Of the manifest.
        aggregator: Rule from pair logits to a video's score; `learned` is fitted on the validation set.

    Raises:
        UnknownNameError: There is no such rule.
        BenchError: No held-out video has a score; or the videos have scores already, so that there is nothing
            to aggregate; or `learned` cannot be fitted on the validation set.
    """
    check_rule(aggregator)
    if submission.level == "video" and aggregator != DEFAULT_RULE:
        raise BenchError(
            f"{submission.name} has one score per video, so there is nothing to aggregate.",
            hint="Leave --aggregator out, or submit the logits of the pairs.",
        )
    validation, holdout = (
        _make_tables(submission, [row for row in rows if row.split == split]) for split in ("validation", "holdout")
    )
    if holdout.scored.empty:
        first = f": {holdout.failures[0].item}: {holdout.failures[0].reason}" if holdout.failures else ""
        raise BenchError(f"{submission.name} scores none of the held-out videos{first}.", hint=IDS)
    if aggregator != DEFAULT_RULE:
        rule = find_rule(aggregator, validation.fit_rule())
        validation, holdout = (tables.aggregate_by(rule, aggregator) for tables in (validation, holdout))
    missing = tuple(holdout.failures)
    unvalidated = validation.failures if len(validation.scored) else []
    return SubmittedTables(validation, _fill_with_worst(holdout, validation), missing, (*unvalidated, *missing))


def _make_tables(submission: Submission, rows: Sequence[VideoRow]) -> ScoreTables:
    """Score tables of these videos; one without a score is a failure."""
    parts = {str(video): part for video, part in submission.table.groupby("video_id")}
    no_rows = submission.table.iloc[:0]
    videos = [_make_video_row(submission, row, parts.get(row.video_id, no_rows)) for row in rows]
    table = pd.DataFrame(videos, columns=VIDEO_COLUMNS)
    if submission.level == "video":
        return ScoreTables(pd.DataFrame(columns=PAIR_COLUMNS), table)
    scored = submission.table["video_id"].isin(table["video_id"][table["status"] == "ok"])
    pairs = submission.table[scored].rename(columns={"value": "logit"})
    return ScoreTables(pairs[PAIR_COLUMNS].reset_index(drop=True), table)


def _make_video_row(submission: Submission, row: VideoRow, part: pd.DataFrame) -> dict[str, Any]:
    """One row of the video table."""
    pairs = submission.level == "pair"
    values, reasons = part["value"].to_numpy(np.float64), part["reason"].dropna()
    reason = None if len(part) else "it is not in the file"
    if len(reasons):
        reason = f"{len(reasons)} of {len(part)} pairs: {reasons.iloc[0]}" if pairs else reasons.iloc[0]
    return {
        "video_id": row.video_id, "subject_id": row.subject_id, "source_id": row.source_id,
        "method": row.method, "label": row.label,
        "score": aggregate(values) if reason is None else math.nan,  # the mean of one score is that score
        "status": "ok" if reason is None else "failed",
        "n_pairs": len(part) if pairs else 0,
        "aggregator": DEFAULT_RULE if pairs else SUPPLIED,
        "reason": reason,
    }  # fmt: skip


def _fill_with_worst(tables: ScoreTables, validation: ScoreTables) -> ScoreTables:
    """The same tables with the worst score for every failure.

    A failure gets as many pairs as the file has of it; if the file does not list it, as many as any video has.
    """
    videos, failed = tables.videos, tables.videos["status"] == "failed"
    worst = _worst_scores(videos["label"], tables.scored["score"], validation.scored["score"])
    texts = [f"counted as the worst score: {reason}" if reason else None for reason in videos["reason"]]
    reasons = pd.Series(texts, index=videos.index, dtype=object)
    filled = videos.assign(score=videos["score"].where(~failed, worst), status="ok", reason=reasons)
    if tables.pairs.empty:
        return ScoreTables(tables.pairs, filled)
    rows = videos[failed]
    rows = rows.loc[rows.index.repeat(rows["n_pairs"].replace(0, videos["n_pairs"].max()))]  # one for each pair
    rows = rows.assign(t=math.nan, logit=_worst_scores(rows["label"], tables.pairs["logit"], validation.pairs["logit"]))
    kept = [part for part in (tables.pairs, rows[PAIR_COLUMNS]) if len(part)]
    return ScoreTables(pd.concat(kept, ignore_index=True), filled)


def _worst_scores(labels: pd.Series, *known: pd.Series) -> npt.NDArray[np.float64]:
    """Scores (N,) below every known one for a fake, above for a real: so beyond any threshold between them.

    No two are equal, because ties raise the average precision.
    """
    numbers = np.concatenate([series.to_numpy(np.float64) for series in known])
    low, high = numbers.min(), numbers.max()
    steps = 1 + np.arange(len(labels)) / len(labels)  # (N,) in [1, 2)
    scores: npt.NDArray[np.float64]
    scores = np.where(labels == 1, low - max(1.0, abs(low)) * steps, high + max(1.0, abs(high)) * steps)
    return scores


# ---------------------------------------------------------------- metrics


class SubmissionResult(NamedTuple):
    """A submission on the held-out people."""

    metrics: dict[str, Metric]
    per_subject: dict[str, dict[str, float | None]]
    """Metric -> subject -> value."""
    thresholds: Thresholds | None
    """None unless both real and fake validation videos have scores."""
    flags: tuple[str, ...]


def measure_submission(submitted: SubmittedTables, rows: Sequence[VideoRow]) -> SubmissionResult:
    """Compute the metrics of our own detectors, as far as they need only scores.

    As for our own detectors, only fakes of methods in the manifest's training set count; all fakes count if it
    has no training set.

    Args:
        submitted: See `tabulate_submission`.
        rows: Of the manifest.
    """
    fakes = [(row.method, row.split) for row in rows if row.method is not None]
    methods = {method for method, split in fakes if split == "train"} or {method for method, _ in fakes}
    holdout = select_methods(submitted.holdout, methods)
    missing = {failure.item for failure in submitted.missing} & set(holdout.videos["video_id"])
    validation = submitted.validation
    thresholds = _choose_thresholds(validation)
    calibrations = None if thresholds is None else fit_calibrations(validation, methods)
    no_ratio = f"{len(missing)} held-out videos have no score, and there is no worst likelihood ratio for them"
    metrics = {
        **evaluate(holdout, thresholds),
        **measure_calibration(holdout, calibrations, no_ratio if missing else None),
        **permute_labels(holdout, seed=0),
    }
    if thresholds is not None:
        metrics |= break_down_by_source(holdout, thresholds) | break_down_by_method(submitted.holdout, thresholds)
    overconfident = describe_overconfidence(calibrations) if calibrations else []
    flags = [*_question_polarity(metrics), *overconfident, *describe_shared_ancestors(rows)]
    for name, unit in _NEEDS_DETECTOR.items():
        metrics[name] = Metric(value=None, reason=NOT_HERE, n=0, unit=unit, higher_is_better=False)
    return SubmissionResult(metrics, evaluate_per_subject(holdout, thresholds), thresholds, tuple(flags))


def _question_polarity(metrics: dict[str, Metric]) -> list[str]:
    """Ask in words whether the scores have the right sign, if they rank reals above fakes."""
    area = metrics["video_auc"].value
    if area is None or area >= 0.5:
        return []
    return [
        f"polarity: the video AUC is {area:.3f}, below chance: is the polarity right? A higher score must mean more "
        f"likely fake; with the sign reversed it would be {1 - area:.3f}"
    ]


NOT_HERE = "a submitted score file: the detector is not here"
_NEEDS_DETECTOR = {
    "null_shift": "share of the gap between reals and fakes",
    "abstained": "share of the held-out videos that lie outside the training domain",
}


def _choose_thresholds(validation: ScoreTables) -> Thresholds | None:
    if validation.scored["label"].nunique() < 2:
        return None
    if len(validation.pairs):
        return choose_thresholds(validation)
    level = collect_videos(validation)
    threshold = choose_threshold(level.labels, level.scores)
    return Thresholds(video=threshold, pair=threshold)  # there are no pairs, so the second is not used
