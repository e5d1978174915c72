"""Submitted scores of another system: a CSV and the rows of a manifest in; score tables and metrics out.

    video table   video_id, score          optional: status, reason, n_pairs, aggregator
    pair table    video_id, t (seconds), logit

A file with a logit column is a pair table. A higher score = more likely fake, on any scale; labels come from
the manifest alone. Metrics are those of the held-out people. A held-out score that is missing or not finite
is replaced by the worst one: a fake gets less than every score in the file, a real more, so that leaving out a
hard video never improves a metric. Scores of the validation set, if there are any, fix thresholds and
calibration as for our own detectors; a missing one among them is only reported.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

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

ScoreLevel = Literal["video", "pair"]

LARGEST = 1e100
"""A score of larger magnitude counts as missing: sums and 95% confidence intervals of it would overflow."""
SUPPLIED = "given"  # recorded as the aggregator of videos whose scores were submitted
_KNOWN = {*VIDEO_COLUMNS, *PAIR_COLUMNS, "split", "level"}
_SHOWN = 3


@dataclass(frozen=True)
class Submission:
    """A file of scores, checked against the manifest.

    Attributes:
        name: The name of the file.
        level: Whether it scores videos or pairs of frames.
        table: `video_id`, `t` (seconds; NaN for videos), `value` (NaN where there is none), `reason` (why there
            is none); validation and held-out videos only.
        remarks: What was ignored, in words.
    """

    name: str
    level: ScoreLevel
    table: pd.DataFrame
    remarks: tuple[str, ...]


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


# ---------------------------------------------------------------- reading


def read_submission(path: Path, rows: Sequence[VideoRow]) -> Submission:
    """Read and check a file of scores.

    Args:
        path: CSV in UTF-8 with a header.
        rows: Of the manifest, which lists the videos to be scored.

    Raises:
        BenchError: The file cannot be read as such a table, a video or one of its times occurs twice, a video
            is not in the manifest, or a score or a time is not a number. The message names the first three.
    """
    header, lines = _read_csv(path)
    level = _detect_level(path, header)
    table = pd.DataFrame(lines, columns=header, dtype=object)
    column = "score" if level == "video" else "logit"
    values = _parse_numbers(path, table, column)
    times = _parse_numbers(path, table, "t") if level == "pair" else np.full(len(table), np.nan)
    if level == "pair":
        _refuse(path, "has a t that is not a finite number of seconds", table["video_id"][~np.isfinite(times)])
    repeated = table.assign(t=times).duplicated(["video_id", "t"])
    _refuse(path, "scores a video or a pair twice", table["video_id"][repeated], hint="Keep one row of each.")
    splits = table["video_id"].map({row.video_id: row.split for row in rows})
    _refuse(path, "scores videos that the manifest does not list", table["video_id"][splits.isna()], hint=_IDS)
    checked = pd.DataFrame(
        {"video_id": table["video_id"], "t": times, "value": values, "reason": _list_reasons(table, column, values)}
    )
    checked.loc[checked["reason"].notna(), "value"] = np.nan
    kept = checked[splits != "train"].reset_index(drop=True)
    return Submission(path.name, level, kept, _list_remarks(header, splits, table["video_id"]))


_IDS = "Use the video_ids of the manifest, one row for each video of split holdout and validation."
_SHAPE = "Expected UTF-8 text, comma-separated, with the columns video_id, score or video_id, t, logit."


def _read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows, cells stripped, blank lines left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            numbered = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror}.", hint="Give a CSV of scores.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{path} is not a CSV in UTF-8 ({error}).", hint=_SHAPE) from error
    if len(numbered) < 2:
        raise BenchError(f"{path} holds no {'scores' if numbered else 'text'}.", hint=_SHAPE)
    (_, header), *lines = numbered
    for number, cells in lines:
        if len(cells) != len(header):
            raise BenchError(f"{path.name}:{number} has {len(cells)} columns, not {len(header)}.", hint=_SHAPE)
    return header, [cells for _, cells in lines]


def _detect_level(path: Path, header: Sequence[str]) -> ScoreLevel:
    """Which table this is, by its columns."""
    level: ScoreLevel = "pair" if "logit" in header else "video"
    required = PAIR_COLUMNS if level == "pair" else ["video_id", "score"]
    missing = [name for name in required if name not in header]
    if missing:
        raise BenchError(f"{path.name} has no column {' and no column '.join(missing)}.", hint=_SHAPE)
    if {"logit", "score"} <= set(header):
        raise BenchError(
            f"{path.name} has both score and logit.", hint="Submit the videos' scores or their pairs' logits."
        )
    unusable = [name for name in header if name not in _KNOWN or header.count(name) > 1]
    _refuse(path, "has unknown or repeated columns", unusable, hint=_SHAPE)
    return level


def _parse_numbers(path: Path, table: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """A column as numbers (N,), NaN where the cell is empty."""
    numbers = pd.to_numeric(table[column].replace("", "nan"), errors="coerce").to_numpy(np.float64)
    unparsed = table[np.isnan(numbers) & ~table[column].str.lower().str.lstrip("+-").isin(["", "nan"])]
    named = [f"{video} ('{text}')" for video, text in zip(unparsed["video_id"], unparsed[column], strict=True)]
    _refuse(path, f"has a {column} that is not a number", named)
    return numbers


def _list_reasons(table: pd.DataFrame, column: str, values: npt.NDArray[np.float64]) -> list[str | None]:
    """Why a row has no score; None where it has one."""
    optional = table.reindex(columns=["status", "reason"], fill_value="")
    return [
        _explain_missing(column, *cells)
        for cells in zip(values, table[column], optional["status"], optional["reason"], strict=True)
    ]


def _explain_missing(column: str, value: float, text: str, status: str, reason: str) -> str | None:
    if status not in ("", "ok"):
        return f"its status is '{status}'" + (f": {reason}" if reason else "")
    if abs(value) <= LARGEST:
        return None
    return f"its {column} is {text or 'empty'}"


def _list_remarks(header: Sequence[str], splits: pd.Series, video_ids: pd.Series) -> tuple[str, ...]:
    remarks = []
    labels = [name for name in ("label", "split") if name in header]
    if labels:
        remarks.append(f"the column {' and '.join(labels)} was ignored: the manifest says what is fake")
    training = video_ids[splits == "train"].nunique()
    if training:
        remarks.append(f"the scores of {training} training videos were ignored")
    return tuple(remarks)


def _refuse(path: Path, problem: str, items: Collection[str] | pd.Series, hint: str = "Correct the file.") -> None:
    """Raise an error that names the first few items, if there are any."""
    unique = list(dict.fromkeys(items))
    if unique:
        more = f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
        raise BenchError(f"{path.name} {problem}: {', '.join(unique[:_SHOWN])}{more}.", hint=hint)


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
        raise BenchError(f"{submission.name} scores none of the held-out videos{first}.", hint=_IDS)
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
    calibrations = None if thresholds is None else fit_calibrations(validation)
    no_ratio = f"{len(missing)} held-out videos have no score, and there is no worst likelihood ratio for them"
    metrics = {
        **evaluate(holdout, thresholds),
        **measure_calibration(holdout, calibrations, no_ratio if missing else None),
        **permute_labels(holdout, seed=0),
    }
    if thresholds is not None:
        metrics |= break_down_by_source(holdout, thresholds) | break_down_by_method(submitted.holdout, thresholds)
    flags = () if calibrations is None else tuple(describe_overconfidence(calibrations))
    for name, unit in _NEEDS_DETECTOR.items():
        metrics[name] = Metric(value=None, reason=NOT_HERE, n=0, unit=unit, higher_is_better=False)
    return SubmissionResult(metrics, evaluate_per_subject(holdout, thresholds), thresholds, flags)


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
