"""Scores of a detector from elsewhere: a CSV and the rows of a manifest in; score tables and metrics out.

    video table   video_id, score          with or without status, reason, n_pairs, aggregator
    pair table    video_id, t (seconds), logit

A file with a logit column is a pair table. A higher score = more likely fake, on any scale; labels come from
the manifest alone. The held-out people are measured. A score of theirs that is missing or no finite number
counts as the worst one: a fake gets less than every score in the file, a real more, so that leaving a hard
video out never pays. The validation people's scores, where there are any, choose thresholds and calibration
as they do for our own detectors; of these a missing one is only named.
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
"""A score beyond it is none: sums and intervals of it would overflow."""
SUPPLIED = "given"  # the aggregator of videos that were handed in with their scores
_KNOWN = {*VIDEO_COLUMNS, *PAIR_COLUMNS, "split", "level"}
_SHOWN = 3


@dataclass(frozen=True)
class Submission:
    """What a file says, checked against the manifest.

    Attributes:
        name: Of the file.
        level: Whether it scores videos or their pairs.
        table: `video_id`, `t` (seconds; NaN for videos), `value` (NaN where there is none), `reason` (why there
            is none); validation and held-out videos only.
        remarks: What was ignored, in words.
    """

    name: str
    level: ScoreLevel
    table: pd.DataFrame
    remarks: tuple[str, ...]


class SubmittedTables(NamedTuple):
    """A submission in the shape of our own detectors' scores."""

    validation: ScoreTables
    """Videos without a score are failures."""
    holdout: ScoreTables
    """Every video has a score: the worst one where none was handed in, as its `reason` says."""
    missing: tuple[UnscoredVideo, ...]
    """The held-out videos that were given the worst score, and why."""
    failures: tuple[UnscoredVideo, ...]
    """These, and the validation videos without a score if others have one."""


# ---------------------------------------------------------------- reading


def read_submission(path: Path, rows: Sequence[VideoRow]) -> Submission:
    """Read and check a file of scores.

    Args:
        path: CSV in UTF-8 with a header.
        rows: Of the manifest that says which videos were asked for.

    Raises:
        BenchError: The file cannot be read as such a table, a video or one of its times stands twice, a video
            is not in the manifest, or a score or a time is not a number. The message names the first three.
    """
    header, lines = _read_csv(path)
    level = _detect_level(path, header)
    table = pd.DataFrame(lines, columns=header, dtype=object)
    column = "score" if level == "video" else "logit"
    values = _parse_numbers(path, table, column)
    times = _parse_numbers(path, table, "t") if level == "pair" else np.full(len(table), np.nan)
    if level == "pair":
        _refuse(path, "has a t that is no number of seconds", table["video_id"][~np.isfinite(times)])
    repeated = table.assign(t=times).duplicated(["video_id", "t"])
    _refuse(path, "scores a video or a pair twice", table["video_id"][repeated], hint="Keep one row of each.")
    of_split = table["video_id"].map({row.video_id: row.split for row in rows})
    _refuse(path, "scores videos that the manifest does not list", table["video_id"][of_split.isna()], hint=_IDS)
    checked = pd.DataFrame(
        {"video_id": table["video_id"], "t": times, "value": values, "reason": _list_reasons(table, column, values)}
    )
    checked.loc[checked["reason"].notna(), "value"] = np.nan
    kept = checked[of_split != "train"].reset_index(drop=True)
    return Submission(path.name, level, kept, _list_remarks(header, of_split, table["video_id"]))


_IDS = "Use the video_ids of the manifest, one row for each video of split holdout and validation."
_SHAPE = "Expected UTF-8 text, comma-separated, with the columns video_id, score or video_id, t, logit."


def _read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows, cells stripped, blank lines left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            numbered = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror}.", hint="Name a CSV of scores.") from error
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
    lacking = [name for name in required if name not in header]
    if lacking:
        raise BenchError(f"{path.name} has no column {' and no column '.join(lacking)}.", hint=_SHAPE)
    if {"logit", "score"} <= set(header):
        raise BenchError(
            f"{path.name} has both score and logit.", hint="Hand in the videos' scores or their pairs' logits."
        )
    strange = [name for name in header if name not in _KNOWN or header.count(name) > 1]
    _refuse(path, "has unknown or repeated columns", strange, hint=_SHAPE)
    return level


def _parse_numbers(path: Path, table: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """A column as numbers (N,), NaN where the cell is empty."""
    numbers = pd.to_numeric(table[column].replace("", "nan"), errors="coerce").to_numpy(np.float64)
    strange = table[np.isnan(numbers) & ~table[column].str.lower().str.lstrip("+-").isin(["", "nan"])]
    named = [f"{video} ('{text}')" for video, text in zip(strange["video_id"], strange[column], strict=True)]
    _refuse(path, f"has a {column} that is not a number", named)
    return numbers


def _list_reasons(table: pd.DataFrame, column: str, values: npt.NDArray[np.float64]) -> list[str | None]:
    """Why a row has no score; None where it has one."""
    given = table.reindex(columns=["status", "reason"], fill_value="")
    return [
        _explain_missing(column, *cells)
        for cells in zip(values, table[column], given["status"], given["reason"], strict=True)
    ]


def _explain_missing(column: str, value: float, text: str, status: str, reason: str) -> str | None:
    if status not in ("", "ok"):
        return f"its status is '{status}'" + (f": {reason}" if reason else "")
    if abs(value) <= LARGEST:
        return None
    return f"its {column} is {text or 'empty'}"


def _list_remarks(header: Sequence[str], of_split: pd.Series, video_ids: pd.Series) -> tuple[str, ...]:
    remarks = []
    labels = [name for name in ("label", "split") if name in header]
    if labels:
        remarks.append(f"the column {' and '.join(labels)} was ignored: the manifest says what is fake")
    training = video_ids[of_split == "train"].nunique()
    if training:
        remarks.append(f"the scores of {training} training videos were ignored")
    return tuple(remarks)


def _refuse(path: Path, problem: str, items: Collection[str] | pd.Series, hint: str = "Mend the file.") -> None:
    """Raise if there are such items, with the first few of them."""
    named = list(dict.fromkeys(items))
    if named:
        more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        raise BenchError(f"{path.name} {problem}: {', '.join(named[:_SHOWN])}{more}.", hint=hint)


# ---------------------------------------------------------------- tables


def tabulate_submission(
    submission: Submission, rows: Sequence[VideoRow], aggregator: str = DEFAULT_RULE
) -> SubmittedTables:
    """Bring a submission into the shape that `evaluate` and its neighbours take.

    Args:
        submission: Checked against these rows.
        rows: Of the manifest.
        aggregator: Rule from pair logits to a video's score; `learned` is fitted on the validation people.

    Raises:
        UnknownNameError: There is no such rule.
        BenchError: No held-out video has a score; or the videos have scores already, so that there is nothing
            to aggregate; or the validation people do not allow `learned`.
    """
    check_rule(aggregator)
    if submission.level == "video" and aggregator != DEFAULT_RULE:
        raise BenchError(
            f"{submission.name} has one score per video, so there is nothing to aggregate.",
            hint="Leave --aggregator out, or hand in the logits of the pairs.",
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
    """The scores of these videos; one without is a failure."""
    parts = {str(video): part for video, part in submission.table.groupby("video_id")}
    nothing = submission.table.iloc[:0]
    videos = [_make_video_row(submission, row, parts.get(row.video_id, nothing)) for row in rows]
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
        "score": aggregate(values) if reason is None else math.nan,  # of one score it is that score
        "status": "ok" if reason is None else "failed",
        "n_pairs": len(part) if pairs else 0,
        "aggregator": DEFAULT_RULE if pairs else SUPPLIED,
        "reason": reason,
    }  # fmt: skip


def _fill_with_worst(tables: ScoreTables, validation: ScoreTables) -> ScoreTables:
    """The same tables, every failure scored so that any other score would be better.

    It gets as many pairs as the file has of it; where the file does not name it, as many as any video has.
    """
    videos, failed = tables.videos, tables.videos["status"] == "failed"
    worst = _worst_scores(videos["label"], tables.scored["score"], validation.scored["score"])
    words = [f"counted as the worst score: {reason}" if reason else None for reason in videos["reason"]]
    reasons = pd.Series(words, index=videos.index, dtype=object)
    filled = videos.assign(score=videos["score"].where(~failed, worst), status="ok", reason=reasons)
    if tables.pairs.empty:
        return ScoreTables(tables.pairs, filled)
    lost = videos[failed]
    lost = lost.loc[lost.index.repeat(lost["n_pairs"].replace(0, videos["n_pairs"].max()))]
    lost = lost.assign(t=math.nan, logit=_worst_scores(lost["label"], tables.pairs["logit"], validation.pairs["logit"]))
    kept = [part for part in (tables.pairs, lost[PAIR_COLUMNS]) if len(part)]
    return ScoreTables(pd.concat(kept, ignore_index=True), filled)


def _worst_scores(labels: pd.Series, *known: pd.Series) -> npt.NDArray[np.float64]:
    """Below every known number for a fake, above for a real: so also beyond any threshold between them (N,).

    No two are equal: average precision flatters ties.
    """
    numbers = np.concatenate([series.to_numpy(np.float64) for series in known])
    low, high = numbers.min(), numbers.max()
    steps = 1 + np.arange(len(labels)) / len(labels)  # (N,) in [1, 2)
    return np.where(labels == 1, low - max(1.0, abs(low)) * steps, high + max(1.0, abs(high)) * steps)


# ---------------------------------------------------------------- metrics


class SubmissionResult(NamedTuple):
    """A submission on the held-out people."""

    metrics: dict[str, Metric]
    per_subject: dict[str, dict[str, float | None]]
    """Metric -> subject -> value."""
    thresholds: Thresholds | None
    """None without scores of both kinds of validation videos."""
    flags: tuple[str, ...]


def measure_submission(submitted: SubmittedTables, rows: Sequence[VideoRow]) -> SubmissionResult:
    """The metrics that our own detectors get, as far as scores alone give them.

    The fakes are those of the methods that the manifest's training people have, as for our own detectors; where
    it has no training people, all.

    Args:
        submitted: See `tabulate_submission`.
        rows: Of the manifest.
    """
    made = [(row.method, row.split) for row in rows if row.method is not None]
    known = {method for method, split in made if split == "train"} or {method for method, _ in made}
    holdout = select_methods(submitted.holdout, known)
    missing = {failure.item for failure in submitted.missing} & set(holdout.videos["video_id"])
    validation = submitted.validation
    thresholds = _choose_thresholds(validation)
    calibrations = None if thresholds is None else fit_calibrations(validation)
    why = f"{len(missing)} held-out videos have no score, and no likelihood ratio is the worst" if missing else None
    metrics = {
        **evaluate(holdout, thresholds),
        **measure_calibration(holdout, calibrations, why),
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
    return Thresholds(video=threshold, pair=threshold)  # no pair is there to be judged by the second
