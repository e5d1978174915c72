"""Robustness of a detector to perturbations: held-out videos in; scores and metrics out.

Every held-out clip, real and fake alike, is perturbed, written by the one encoder, and scored like any clip;
under `none` the clip itself is scored. The perturbation follows an @ in a metric's name:

    video_auc@perturbation=crf40   with its 95% confidence interval by person; pair_auc@… over pairs
    auc_loss@perturbation=crf40    AUC of the untouched clips minus that of their perturbed copies, of videos scored
                                   both ways
    fpr@perturbation=beautified    false positive rate at the frozen threshold: share of reals called fake
    tpr@perturbation=beautified    true positive rate there: share of fakes called fake

Over fakes of methods, and under perturbations, that the detector was not trained on:

    video_auc_unseen               mean of the video AUC over every such method under every such perturbation

label 1 = fake; a higher score = more likely fake. The threshold is that of the unperturbed validation set.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.core.errors import BenchError
from dancebench.core.metric import Metric, MetricKey
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.stats.inference import Indices, jackknife_interval, share_interval
from dancebench.datasets.corpora.manifest import VideoRow, resolve_inside
from dancebench.datasets.video.clips import ENCODER, stream, write_clip
from dancebench.detect.detectors.base import Scorer
from dancebench.detect.evaluation.aggregation import LearnedRule, Rule, resolve_rule
from dancebench.detect.evaluation.metrics import Thresholds, auc
from dancebench.detect.evaluation.score_tables import ScoreTables, make_score_tables
from dancebench.detect.inputs.perturbations import NONE, PERTURBATIONS, Perturbation, find_perturbation
from dancebench.detect.inputs.video_set import VideoSet

COLUMNS = [
    "perturbation", "family", "strength", "kind", "video_id", "subject_id", "source_id", "method", "label",
    "score", "status", "reason", "n_pairs", "logits",
]  # fmt: skip
"""Columns of a table; `video_id` is the original's, `logits` those of the copy's pairs in order of time (list)."""
UNSEEN_AUC: Final = "video_auc_unseen"
"""Key of the mean AUC over methods and perturbations that the detector was not trained on."""
_VIDEO_AUC, _PAIR_AUC = MetricKey("auc", "video"), MetricKey("auc", "pair")
_AUC_LOSS, _FPR, _TPR = MetricKey("auc_loss"), MetricKey("fpr"), MetricKey("tpr")


class RobustnessResult(NamedTuple):
    """A detector on perturbed copies of videos."""

    table: pd.DataFrame
    """One row per perturbation and video, columns `COLUMNS`."""
    metrics: dict[str, Metric]


def evaluate_robustness(
    detector: Scorer,
    videos: VideoSet,
    rule: Rule | LearnedRule | str,
    thresholds: Thresholds,
    report: ReportProgress = ignore_progress,
    names: Sequence[str] | None = None,
) -> RobustnessResult:
    """Score the videos under every perturbation, one after the other, and compute the metrics.

    Args:
        detector: Trained.
        videos: The held-out ones.
        rule: Aggregation rule by which the thresholds were chosen.
        thresholds: From the validation set.
        report: Progress.
        names: Some of `PERTURBATIONS`; None for all. `none` is always among them.

    Raises:
        UnknownNameError: There is no such perturbation or rule.
    """
    chosen = list(dict.fromkeys([NONE, *(PERTURBATIONS if names is None else names)]))
    for name in chosen:
        find_perturbation(name)  # before any work
    tables = [score_perturbed(detector, videos, name, rule, report) for name in chosen]
    return RobustnessResult(pd.concat(tables, ignore_index=True), summarise(tables, thresholds))


# ---------------------------------------------------------------- scores


def score_perturbed(
    detector: Scorer,
    videos: VideoSet,
    name: str,
    rule: Rule | LearnedRule | str,
    report: ReportProgress = ignore_progress,
) -> pd.DataFrame:
    """Score every video under one perturbation; one that cannot be perturbed or scored is a row with its reason.

    It can run in a process of its own: then pass `rule` by name or fitted, since callables may not be pickled. Only
    one copy at a time is on disk.

    Args:
        detector: Trained.
        videos: The held-out ones.
        name: Of `PERTURBATIONS`.
        rule: Aggregation rule.
        report: Progress.

    Returns:
        One row per video, columns `COLUMNS`.

    Raises:
        UnknownNameError: There is no such perturbation or rule.
    """
    perturbation, scoring = find_perturbation(name), resolve_rule(rule)
    found = []
    for done, row in enumerate(videos):
        report(f"scoring under {name}", done, len(videos))
        found.append(_describe(row, perturbation) | _score_copy(detector, videos, row, perturbation, scoring))
    report(f"scoring under {name}", len(videos), len(videos))
    return pd.DataFrame(found, columns=COLUMNS)


def write_perturbed(videos: VideoSet, row: VideoRow, perturbation: Perturbation, folder: Path) -> VideoSet:
    """Write the perturbed copy of a video under `folder`, by the one encoder.

    Args:
        videos: The set of the video.
        row: The video.
        perturbation: The change that is applied.
        folder: Folder of the copies: `VIDEO_ID@PERTURBATION.mp4`.

    Returns:
        The copy alone, a set in `folder`; `derived_from` names the video, `perturbation` the change.

    Raises:
        BenchError: The video cannot be read, was changed since the manifest was written, or has no frame; or
            its identifier leads out of the folder.
    """
    video_id = f"{row.video_id}@{perturbation.name}"
    path = resolve_inside(folder, f"{video_id}.mp4")
    frames = (frame for _, frame in stream(videos.path(row)))
    info = write_clip(path, perturbation.apply(frames, row.known_fps), row.known_fps * perturbation.rate)
    copy = row.model_copy(
        update={
            "video_id": video_id,
            "path": path.relative_to(folder.resolve()).as_posix(),
            "sha256": info.sha256,
            "derived_from": row.video_id,
            "perturbation": perturbation.name,
            "fps": info.fps,
            "n_frames": info.n_frames,
            "breaks": _map_breaks(row.breaks, perturbation.rate, info.n_frames),
            "codec": "h264",
            "crf": ENCODER.crf,
            "width": info.width,
            "height": info.height,
        }
    )
    return VideoSet(folder, (copy,))


def _map_breaks(breaks: Sequence[int], rate: float, n_frames: int) -> tuple[int, ...]:
    """The frames that begin a segment, in a copy that holds `rate` of the frames, from the first on."""
    mapped = sorted({math.ceil(first * rate) for first in breaks})
    return tuple(first for first in mapped if 0 < first < n_frames)


def _describe(row: VideoRow, perturbation: Perturbation) -> dict[str, object]:
    return {
        "perturbation": perturbation.name,
        "family": perturbation.family,
        "strength": perturbation.strength,
        "kind": perturbation.kind,
        "video_id": row.video_id,
        "subject_id": row.subject_id,
        "source_id": row.source_id,
        "method": row.method,
        "label": row.label,
    }


def _score_copy(
    detector: Scorer, videos: VideoSet, row: VideoRow, perturbation: Perturbation, rule: Rule
) -> dict[str, object]:
    """Score the copy: the fields that `COLUMNS` lists from `score` on."""
    score, logits, reason = np.nan, np.zeros(0), None
    with tempfile.TemporaryDirectory(prefix="dancebench-") as name:
        folder = Path(name).resolve()
        try:
            tables = _make_tables(detector, videos, row, perturbation, folder)
            if tables.failures:
                reason = tables.failures[0].reason
            else:
                (logits,) = tables.logits_by_video().values()
                score = rule(logits)
        except BenchError as error:
            reason = error.message
    return {
        "score": score,
        "status": "ok" if reason is None else "failed",
        "reason": reason and reason.replace(f"{folder}/", ""),  # independent of the name of the temporary folder
        "n_pairs": len(logits),
        "logits": logits.tolist(),
    }


def _make_tables(
    detector: Scorer, videos: VideoSet, row: VideoRow, perturbation: Perturbation, folder: Path
) -> ScoreTables:
    if perturbation.name == NONE:
        return make_score_tables(detector, videos.select(lambda other: other is row))
    return make_score_tables(detector, write_perturbed(videos, row, perturbation, folder))


# ---------------------------------------------------------------- metrics


def summarise(tables: Sequence[pd.DataFrame], thresholds: Thresholds) -> dict[str, Metric]:
    """Compute `video_auc@…`, `pair_auc@…`, `auc_loss@…`, `fpr@…` and `tpr@…` of every perturbation in the tables.

    Args:
        tables: What `score_perturbed` returned, one per perturbation.
        thresholds: From the validation set.

    Returns:
        The metrics in the tables' order; `auc_loss` of `none` would be 0 and is left out.
    """
    everything = pd.concat(tables, ignore_index=True)
    by_name = {str(name): part for name, part in everything.groupby("perturbation", sort=False)}
    untouched = by_name.get(NONE, everything.iloc[:0])
    metrics = {}
    for name, table in by_name.items():
        scored = table[table["status"] == "ok"]
        pairs = scored.explode("logits")
        metrics[_write_key(_VIDEO_AUC, name)] = _make_auc_metric(scored, "score", "video")
        metrics[_write_key(_PAIR_AUC, name)] = _make_auc_metric(pairs, "logits", "pair")
        if name != NONE:
            metrics[_write_key(_AUC_LOSS, name)] = _make_auc_loss_metric(untouched[untouched["status"] == "ok"], scored)
        metrics[_write_key(_FPR, name)] = _make_called_fake_metric(scored, 0, thresholds.video)
        metrics[_write_key(_TPR, name)] = _make_called_fake_metric(scored, 1, thresholds.video)
    return metrics


def measure_unseen_auc(tables: Sequence[pd.DataFrame], methods: Collection[str]) -> dict[str, Metric]:
    """Compute `video_auc_unseen`: the unweighted mean of one AUC for each method under each perturbation of the tables.

    Each of these AUCs is of the perturbed fakes of that method and the reals under the same perturbation. The interval
    leaves out one person at a time, from all of them.

    Args:
        tables: What `score_perturbed` returned for reals and fakes, one per perturbation that is not trained under.
        methods: Whose fakes the detector was not trained on.

    Returns:
        The metric; null with its reason where there is no method, or an AUC of the mean cannot be had.
    """
    scored = pd.concat(tables, ignore_index=True).query("status == 'ok'")
    unit = "mean of video AUCs in [0, 1], chance 0.5"
    if not methods:
        reason = "there is no fake of a method that it was not trained on"
        return {UNSEEN_AUC: _make_null_metric(reason, 0, unit, True)}
    labels, scores = scored["label"].to_numpy(np.int64), scored["score"].to_numpy(np.float64)
    names = list(dict.fromkeys(name for table in tables for name in table["perturbation"]))
    cells = {
        (method, name): ((scored["perturbation"] == name) & ((scored["label"] == 0) | (scored["method"] == method)))
        .to_numpy(np.bool_)
        for method in sorted(methods)
        for name in names
    }  # fmt: skip

    def measure_cell(cell: npt.NDArray[np.bool_], chosen: Indices) -> float:
        inside = chosen[cell[chosen]]
        return auc(labels[inside], scores[inside])

    everything = np.arange(len(scored))
    for (method, name), cell in cells.items():
        if not np.isfinite(measure_cell(cell, everything)):
            reason = f"{method} under {name}: {_explain_missing(scored[cell], 'video')}"
            return {UNSEEN_AUC: _make_null_metric(reason, len(scored), unit, True)}

    def mean_auc(chosen: Indices) -> float:
        return float(np.mean([measure_cell(cell, chosen) for cell in cells.values()]))

    interval = jackknife_interval(mean_auc, scored["subject_id"].tolist(), scale="logit")
    metric = Metric(value=mean_auc(everything), ci95=interval, n=len(scored), unit=unit, higher_is_better=True)
    return {UNSEEN_AUC: metric}


def tabulate_robustness(metrics: dict[str, Metric], detector: str) -> pd.DataFrame:
    """Make the table of `plots.plot_robustness` for one detector: a row for each perturbation that was measured.

    Args:
        metrics: Of `summarise`; others are ignored.
        detector: Its name.

    Returns:
        Columns detector, family, strength, perturbation, auc, low and high (of its confidence interval) and
        false_positive_rate; NaN where there is none.
    """
    rows = []
    for name, perturbation in PERTURBATIONS.items():
        measured = metrics.get(_write_key(_VIDEO_AUC, name))
        if measured is None:
            continue
        interval = measured.ci95
        rows.append(
            {
                "detector": detector,
                "family": perturbation.family,
                "strength": perturbation.strength,
                "perturbation": name,
                "auc": _to_number(measured.value),
                "low": _to_number(interval.low if interval else None),
                "high": _to_number(interval.high if interval else None),
                "false_positive_rate": _to_number(metrics[_write_key(_FPR, name)].value),
            }
        )
    return pd.DataFrame(rows)


def _write_key(key: MetricKey, perturbation: str) -> str:
    return str(key.under("perturbation", perturbation))


def _to_number(value: float | None) -> float:
    return float("nan") if value is None else value


def _make_auc_metric(table: pd.DataFrame, column: str, item: str) -> Metric:
    labels, scores = table["label"].to_numpy(np.int64), table[column].to_numpy(np.float64)
    unit = f"AUC over {item}s in [0, 1], chance 0.5"
    value = auc(labels, scores)
    if not np.isfinite(value):
        return _make_null_metric(_explain_missing(table, item), len(table), unit, True)
    interval = jackknife_interval(
        lambda chosen: auc(labels[chosen], scores[chosen]), table["subject_id"].tolist(), scale="logit"
    )
    return Metric(value=value, ci95=interval, n=len(table), unit=unit, higher_is_better=True)


def _make_auc_loss_metric(untouched: pd.DataFrame, perturbed: pd.DataFrame) -> Metric:
    """Paired AUC loss: of the videos that were scored both ways, so that a failure is no loss."""
    both = untouched.merge(perturbed[["video_id", "score"]], on="video_id", suffixes=("", "_perturbed"))
    labels = both["label"].to_numpy(np.int64)
    before, after = both["score"].to_numpy(np.float64), both["score_perturbed"].to_numpy(np.float64)
    unit = "video AUC untouched minus perturbed, in [-1, 1]"

    def loss(chosen: Indices) -> float:
        return auc(labels[chosen], before[chosen]) - auc(labels[chosen], after[chosen])

    value = loss(np.arange(len(both)))
    if not np.isfinite(value):
        reason = _explain_missing(both, "video") if len(untouched) else "no untouched video was scored"
        return _make_null_metric(reason, len(both), unit, False)
    interval = jackknife_interval(loss, both["subject_id"].tolist(), scale="identity")
    if interval is not None:
        low, high = max(interval.low, -1.0), min(interval.high, 1.0)
        # of zero width where no person changes the AUC: it is coarse then, not certain
        interval = interval.model_copy(update={"low": low, "high": high}) if low < high else None
    return Metric(value=value, ci95=interval, n=len(both), unit=unit, higher_is_better=False)


def _make_called_fake_metric(table: pd.DataFrame, label: int, threshold: float) -> Metric:
    kind = table[table["label"] == label]
    what, better = ("fake", True) if label else ("real", False)
    unit = f"share of the {what} videos called fake at the frozen threshold"
    if kind.empty:
        return _make_null_metric(f"no {what} video was scored", 0, unit, better)
    called = kind["score"] > threshold
    interval = share_interval(called.tolist(), kind["subject_id"].tolist())
    return Metric(value=float(called.mean()), ci95=interval, n=len(kind), unit=unit, higher_is_better=better)


def _explain_missing(table: pd.DataFrame, item: str) -> str:
    return f"all scored {item}s are of one kind" if len(table) else f"no {item} was scored"


def _make_null_metric(reason: str, n: int, unit: str, better: bool) -> Metric:
    return Metric(value=None, reason=reason, n=n, unit=unit, higher_is_better=better)
