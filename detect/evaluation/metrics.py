"""Detection metrics: score tables in, metrics with 95% confidence intervals by person out.

label 1 = fake; a higher score = more likely fake; a video is called fake if its score is above the
threshold, which was chosen on the validation set. ROC, AUC and average precision are scikit-learn's; the
equal error rate is where the linearly interpolated ROC meets FPR = FNR.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from dancebench.core.errors import BenchError
from dancebench.core.metric import Metric
from dancebench.core.schema import Strict
from dancebench.core.stats.inference import Indices, jackknife_interval, jackknife_share_interval
from dancebench.detect.evaluation.score_tables import ScoreTables

Labels = npt.NDArray[np.int64]
"""(N,), 1 = fake, 0 = real."""
Scores = npt.NDArray[np.float64]
"""(N,), higher = more likely fake."""


_ROUNDING = 1e-9
"""Widths of gaps between scores that differ relatively by less are equal."""


class Thresholds(Strict):
    """Scores above which a video or a pair is called fake."""

    video: float
    pair: float


class ErrorRates(Strict):
    """Error rates at the threshold on held-out people; None if there is no such video."""

    false_positive_rate: float | None
    """Share of reals called fake."""
    n_real: int
    false_negative_rate: float | None
    """Share of fakes called real."""
    n_fake: int


# ---------------------------------------------------------------- statistics


def auc(labels: Labels, scores: Scores) -> float:
    """Compute the area under the ROC curve in [0, 1]; ties count half; NaN for one class."""
    return float(roc_auc_score(labels, scores)) if _has_both_classes(labels) else float("nan")


def average_precision(labels: Labels, scores: Scores) -> float:
    """Compute the average precision in [0, 1], fakes positive; chance is their share; NaN for one class."""
    return float(average_precision_score(labels, scores)) if _has_both_classes(labels) else float("nan")


def equal_error_rate(labels: Labels, scores: Scores) -> float:
    """Find where FPR = FNR on the linearly interpolated ROC, in [0, 1]; NaN for one class."""
    if not _has_both_classes(labels):
        return float("nan")
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    return float(np.interp(0.0, fpr - (1 - tpr), fpr))  # FPR - FNR rises strictly from -1 to 1


def tpr_at_fpr(labels: Labels, scores: Scores, limit: float) -> float:
    """Find the largest true-positive rate at a false-positive rate of at most `limit`; NaN for one class.

    No interpolation: with n reals the false-positive rate moves in steps of 1/n, and below the first step the
    threshold is the highest real. So few reals place the threshold too low, which no interval of the rate can know:
    in simulations of 8 to 30 people with one or two reals each, 95% intervals covered 89 to 99%.
    """
    if not _has_both_classes(labels):
        return float("nan")
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    return float(tpr[fpr <= limit + 1e-12].max())


def choose_threshold(labels: Labels, scores: Scores) -> float:
    """Choose the threshold of highest balanced accuracy; of ties, the middle of the widest gap between scores.

    Only gaps between distinct scores are candidates, so the threshold is finite even where the detector is
    worse than chance; if all scores are equal, it is that score and none is above it.

    Raises:
        BenchError: One class is missing.
    """
    if not _has_both_classes(labels):
        raise BenchError(
            "A threshold needs real and fake videos of validation people.",
            hint="Give the manifest both kinds under split 'validation'.",
        )
    values = np.unique(scores)  # (V,) rising
    if len(values) == 1:
        return float(values[0])
    order = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    fakes, reals = (np.searchsorted(kind, values[:-1], side="right") / len(kind) for kind in order)
    balanced = (1 - fakes + reals) / 2  # (V - 1,) of a threshold in each gap
    best = np.flatnonzero(balanced >= balanced.max() - 1e-12)
    widths = np.diff(values)[best]
    gap = best[np.flatnonzero(widths >= widths.max() * (1 - _ROUNDING))[0]]  # in any unit the same of equal widths
    return float((values[gap] + values[gap + 1]) / 2)


def _has_both_classes(labels: Labels) -> bool:
    return 0 < int(np.sum(labels)) < len(labels)


# ---------------------------------------------------------------- metrics


def choose_thresholds(tables: ScoreTables) -> Thresholds:
    """Choose thresholds from the scores of the validation set.

    Raises:
        BenchError: One class is missing, or could not be scored.
    """
    if not _has_both_classes(tables.scored["label"].to_numpy()) and tables.failures:
        first = tables.failures[0]
        raise BenchError(
            f"Too few validation videos could be scored: {first.item}: {first.reason}",
            hint="A threshold needs real and fake videos of validation people.",
        )
    video, pair = collect_videos(tables), collect_pairs(tables)
    return Thresholds(
        video=choose_threshold(video.labels, video.scores), pair=choose_threshold(pair.labels, pair.scores)
    )


MEASURES = ("auc", "accuracy", "eer", "ap", "tpr_fpr1", "tpr_fpr5")
"""What is measured at each level; `tpr_fpr1` is the true-positive rate at 1% false positives."""
_COUNTED: Final[dict[str, Callable[[Labels], npt.NDArray[np.bool_]]]] = {
    "accuracy": lambda labels: np.ones(len(labels), dtype=np.bool_),
    "tpr_fpr1": lambda labels: labels == 1,
    "tpr_fpr5": lambda labels: labels == 1,
}
"""The measures that are shares, and the items that they are shares of."""


def evaluate(
    tables: ScoreTables, thresholds: Thresholds | None, measures: Sequence[str] = MEASURES
) -> dict[str, Metric]:
    """Compute `video_…` and `pair_…` measures with 95% confidence intervals by subject.

    Args:
        tables: Scores of held-out people.
        thresholds: From the validation set; without them there is no accuracy.
        measures: Some of `MEASURES`.

    >>> from dancebench import VideoSet, evaluate, load_detector, make_score_tables
    >>> loaded = load_detector(folder)
    >>> tables = make_score_tables(loaded.detector, VideoSet.open(manifest).split("holdout"))
    >>> metrics = evaluate(tables, loaded.card.thresholds)
    >>> metrics["video_auc"].value == loaded.card.metrics["video_auc"].value
    True
    """
    return {
        f"{name}_{measure}": _make_metric(level, measure, _statistics_at(threshold)[measure], name, threshold is None)
        for name, level, threshold in _collect_levels(tables, thresholds)
        for measure in measures
    }


def evaluate_per_subject(tables: ScoreTables, thresholds: Thresholds | None) -> dict[str, dict[str, float | None]]:
    """Compute the same auc and accuracy for each person: metric -> subject -> value, None for one class."""
    values: dict[str, dict[str, float | None]] = {}
    for name, level, threshold in _collect_levels(tables, thresholds):
        statistics = _statistics_at(threshold)
        for measure in ("auc", "accuracy"):
            by_subject = values.setdefault(f"{name}_{measure}", {})
            for subject in np.unique(level.subjects):
                chosen = level.subjects == subject
                value = statistics[measure](level.labels[chosen], level.scores[chosen])
                by_subject[str(subject)] = value if np.isfinite(value) else None
    return values


def measure_error_rates(tables: ScoreTables, threshold: float) -> ErrorRates:
    """Measure the error rates of the video scores at `threshold`."""
    level = collect_videos(tables)
    called_fake = level.scores > threshold
    reals, fakes = called_fake[level.labels == 0], called_fake[level.labels == 1]
    return ErrorRates(
        false_positive_rate=float(reals.mean()) if len(reals) else None,
        n_real=len(reals),
        false_negative_rate=float(1 - fakes.mean()) if len(fakes) else None,
        n_fake=len(fakes),
    )


NO_THRESHOLD = "no scores of validation people, so no threshold"


class ScoredItems(NamedTuple):
    """Scored videos or pairs: labels, scores, and the person and method of each (N,); reals have no method."""

    labels: Labels
    scores: Scores
    subjects: npt.NDArray[np.str_]
    methods: npt.NDArray[np.str_]


_Statistic = Callable[[Labels, Scores], float]


def collect_videos(tables: ScoreTables) -> ScoredItems:
    """Collect the videos that have a score."""
    return _collect(tables.scored, "score")


def collect_pairs(tables: ScoreTables) -> ScoredItems:
    """Collect the pairs of these videos, by logit."""
    return _collect(tables.pairs.merge(tables.scored, on="video_id", validate="many_to_one"), "logit")


def _collect(table: pd.DataFrame, column: str) -> ScoredItems:
    return ScoredItems(
        table["label"].to_numpy(np.int64),
        table[column].to_numpy(np.float64),
        table["subject_id"].to_numpy(np.str_),
        table["method"].fillna("").to_numpy(np.str_),
    )


def _collect_levels(tables: ScoreTables, thresholds: Thresholds | None) -> list[tuple[str, ScoredItems, float | None]]:
    return [
        ("video", collect_videos(tables), thresholds.video if thresholds else None),
        ("pair", collect_pairs(tables), thresholds.pair if thresholds else None),
    ]


def _statistics_at(threshold: float | None) -> dict[str, _Statistic]:
    def accuracy(labels: Labels, scores: Scores) -> float:
        if threshold is None or not len(labels):
            return float("nan")
        return float(((scores > threshold) == (labels == 1)).mean())

    return {
        "auc": auc,
        "accuracy": accuracy,
        "eer": equal_error_rate,
        "ap": average_precision,
        "tpr_fpr1": lambda labels, scores: tpr_at_fpr(labels, scores, 0.01),
        "tpr_fpr5": lambda labels, scores: tpr_at_fpr(labels, scores, 0.05),
    }


def _make_metric(level: ScoredItems, measure: str, statistic: _Statistic, item: str, no_threshold: bool) -> Metric:
    labels, scores, subjects, _ = level
    n = len(labels)
    prevalence = f"{labels.mean():.3f} of the {item}s fake" if n else f"no {item}s"
    reals = int((labels == 0).sum())
    steps = f"{reals} reals allow steps of {1 / reals:.3f}" if reals else "no reals"
    unit = {
        "auc": f"AUC over {item}s in [0, 1], chance 0.5",
        "accuracy": f"share of {item}s called right at the validation threshold, {prevalence}",
        "eer": f"equal error rate over {item}s in [0, 1]",
        "ap": f"average precision over {item}s in [0, 1], {prevalence}",
        "tpr_fpr1": f"share of fake {item}s found at a false-positive rate of at most 0.01; {steps}",
        "tpr_fpr5": f"share of fake {item}s found at a false-positive rate of at most 0.05; {steps}",
    }[measure]
    better = measure != "eer"
    value = statistic(labels, scores)
    if not np.isfinite(value):
        one_kind = f"all scored {item}s are of one kind"
        undefined = NO_THRESHOLD if measure == "accuracy" and no_threshold else one_kind
        reason = undefined if n else f"no {item} was scored"
        return Metric(value=None, reason=reason, n=n, unit=unit, higher_is_better=better)

    def measure_subset(chosen: Indices) -> float:
        return statistic(labels[chosen], scores[chosen])

    if measure in _COUNTED:
        interval = jackknife_share_interval(measure_subset, subjects.tolist(), counted=_COUNTED[measure](labels))
    else:
        interval = jackknife_interval(measure_subset, subjects.tolist(), scale="logit")
    return Metric(value=value, ci95=interval, n=n, unit=unit, higher_is_better=better)
