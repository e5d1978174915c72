"""Calibration metrics of a detector's likelihood ratios: scores of held-out people in, metrics out.

    video_cllr, video_cllr_min, video_brier    of the videos' calibrated scores
    pair_brier, pair_ece                       of the pairs'; expected calibration error

The calibration was fitted on the validation set and is only measured here. 95% confidence intervals are by person.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from dancebench.core.metric import Metric
from dancebench.core.stats import Indices, jackknife_interval
from dancebench.detect.evaluation.calibration import (
    Calibration,
    Calibrations,
    brier,
    cllr,
    cllr_min,
    expected_calibration_error,
    fit_calibration,
)
from dancebench.detect.evaluation.metrics import Labels, ScoredItems, Scores, Thresholds, collect_pairs, collect_videos
from dancebench.detect.evaluation.plots import plot_reliability, plot_roc, plot_tippett
from dancebench.detect.evaluation.score_tables import ScoreTables

Measure = Callable[[Labels, Scores], float]

_UNITS = {
    "cllr": "bits, 0 is best; 1 says nothing",
    "cllr_min": "bits; what the best monotone calibration of these very videos would leave",
    "brier": "mean squared error of the probability at even odds in [0, 1]; 0.25 says nothing",
    "ece": "expected calibration error in [0, 1], at even odds",
}


def fit_calibrations(validation: ScoreTables) -> Calibrations:
    """Fit on the validation set; if only videos are scored, pairs share the calibration of videos.

    Raises:
        BenchError: Reals or fakes are missing, or a score is not finite.
    """
    video, pair = collect_videos(validation), collect_pairs(validation)
    return Calibrations(video=_fit(video), pair=_fit(pair if len(pair.scores) else video))


def _fit(level: ScoredItems) -> Calibration:
    return fit_calibration(level.labels, level.scores, level.subjects.tolist())


def measure_calibration(
    tables: ScoreTables, calibrations: Calibrations | None, unusable: str | None = None
) -> dict[str, Metric]:
    """Compute the metrics named above.

    Args:
        tables: Scores of held-out people.
        calibrations: From the validation set; None if it has no scores.
        unusable: Why these scores have no valid likelihood ratios, if so; then every metric is null.
    """
    if calibrations is None:
        unusable = "no scores of validation people, so no calibration"
    video, pair = collect_videos(tables), collect_pairs(tables)
    if calibrations is not None:
        video = video._replace(scores=calibrations.video.llr(video.scores))
        pair = pair._replace(scores=calibrations.pair.llr(pair.scores))
    return {
        "video_cllr": _make_metric(video, "cllr", cllr, unusable),
        "video_cllr_min": _make_metric(video, "cllr_min", cllr_min, unusable),
        "video_brier": _make_metric(video, "brier", brier, unusable),
        "pair_brier": _make_metric(pair, "brier", brier, unusable),
        "pair_ece": _make_metric(pair, "ece", expected_calibration_error, unusable),
    }


def _make_metric(level: ScoredItems, name: str, measure: Measure, unusable: str | None) -> Metric:
    labels, llrs, subjects = level
    n = len(labels)
    if not 0 < labels.sum() < n:
        unusable = "the held-out videos are of one kind" if n else "no video was scored"
    if unusable is not None:
        return Metric(value=None, reason=unusable, n=n, unit=_UNITS[name], higher_is_better=False)

    def measure_subset(chosen: Indices) -> float:
        kept = labels[chosen]
        return measure(kept, llrs[chosen]) if 0 < kept.sum() < len(kept) else math.nan

    interval = jackknife_interval(measure_subset, subjects.tolist(), scale="identity")
    return Metric(value=measure(labels, llrs), ci95=interval, n=n, unit=_UNITS[name], higher_is_better=False)


def describe_overconfidence(calibrations: Calibrations) -> list[str]:
    """Warn if over-confidence could not be measured, in words for the record and the leaderboard."""
    if not calibrations.video.separable:
        return []
    people = calibrations.video.subjects
    return [
        f"calibration: the {people} validation people were told apart without error, so how over-confident the "
        f"likelihood ratios are cannot be seen there; they end at {people + 1} : 1"
    ]


def save_figures(folder: Path, tables: ScoreTables, thresholds: Thresholds, calibrations: Calibrations) -> None:
    """Plot `tippett.svg`, `roc.svg` (videos) and `reliability.svg` (pairs), if there are reals and fakes."""
    video, pair = collect_videos(tables), collect_pairs(tables)
    if not 0 < video.labels.sum() < len(video.labels):
        return
    plot_tippett(folder / "tippett.svg", video.labels, calibrations.video.llr(video.scores))
    plot_roc(folder / "roc.svg", video.labels, video.scores, thresholds.video)
    plot_reliability(folder / "reliability.svg", pair.labels, calibrations.pair.llr(pair.scores))
