"""How far a detector's likelihood ratios can be believed: scores of held-out people in, metrics out.

    video_cllr, video_cllr_min, video_brier    of the videos' calibrated scores
    pair_brier, pair_ece                       of the pairs'

The calibration was fitted on validation people and is only measured here. Intervals are by person.
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
    ece,
    fit_calibration,
)
from dancebench.detect.evaluation.metrics import Labels, Level, Scores, Thresholds, pair_level, video_level
from dancebench.detect.evaluation.plots import reliability_plot, roc_plot, tippett_plot
from dancebench.detect.evaluation.score_tables import ScoreTables

Measure = Callable[[Labels, Scores], float]

_UNITS = {
    "cllr": "bits, 0 is best; 1 says nothing",
    "cllr_min": "bits; what the best monotone calibration of these very videos would leave",
    "brier": "mean squared error of the probability at even odds in [0, 1]; 0.25 says nothing",
    "ece": "expected calibration error in [0, 1], at even odds",
}


def fit_calibrations(validation: ScoreTables) -> Calibrations:
    """From validation people; where only videos are scored, pairs share theirs.

    Raises:
        BenchError: Reals or fakes are missing, or a score is not finite.
    """
    video, pair = video_level(validation), pair_level(validation)
    return Calibrations(video=_fit(video), pair=_fit(pair if len(pair.scores) else video))


def _fit(level: Level) -> Calibration:
    return fit_calibration(level.labels, level.scores, level.subjects.tolist())


def calibration_metrics(
    tables: ScoreTables, calibrations: Calibrations | None, unusable: str | None = None
) -> dict[str, Metric]:
    """The metrics named above.

    Args:
        tables: Scores of held-out people.
        calibrations: From validation people; None where they have no scores.
        unusable: Why likelihood ratios of these scores mean nothing, if they do not; then every metric is null.
    """
    if calibrations is None:
        unusable = "no scores of validation people, so no calibration"
    video, pair = video_level(tables), pair_level(tables)
    if calibrations is not None:
        video = video._replace(scores=calibrations.video.llr(video.scores))
        pair = pair._replace(scores=calibrations.pair.llr(pair.scores))
    return {
        "video_cllr": _metric(video, "cllr", cllr, unusable),
        "video_cllr_min": _metric(video, "cllr_min", cllr_min, unusable),
        "video_brier": _metric(video, "brier", brier, unusable),
        "pair_brier": _metric(pair, "brier", brier, unusable),
        "pair_ece": _metric(pair, "ece", ece, unusable),
    }


def _metric(level: Level, name: str, measure: Measure, unusable: str | None) -> Metric:
    labels, llrs, subjects = level
    n = len(labels)
    if not 0 < labels.sum() < n:
        unusable = "the held-out videos are of one kind" if n else "no video was scored"
    if unusable is not None:
        return Metric(value=None, reason=unusable, n=n, unit=_UNITS[name], higher_is_better=False)

    def over(chosen: Indices) -> float:
        kept = labels[chosen]
        return measure(kept, llrs[chosen]) if 0 < kept.sum() < len(kept) else math.nan

    interval = jackknife_interval(over, subjects.tolist(), scale="identity")
    return Metric(value=measure(labels, llrs), ci95=interval, n=n, unit=_UNITS[name], higher_is_better=False)


def overconfidence(calibrations: Calibrations) -> list[str]:
    """What a reader must know of the calibration, in words for the record and the leaderboard."""
    if not calibrations.video.separable:
        return []
    people = calibrations.video.subjects
    return [
        f"calibration: the {people} validation people were told apart without error, so how over-confident the "
        f"likelihood ratios are cannot be seen there; they end at {people + 1} : 1"
    ]


def save_figures(folder: Path, tables: ScoreTables, thresholds: Thresholds, calibrations: Calibrations) -> None:
    """`tippett.svg`, `roc.svg` (videos) and `reliability.svg` (pairs) of held-out people, if both kinds are there."""
    video, pair = video_level(tables), pair_level(tables)
    if not 0 < video.labels.sum() < len(video.labels):
        return
    tippett_plot(folder / "tippett.svg", video.labels, calibrations.video.llr(video.scores))
    roc_plot(folder / "roc.svg", video.labels, video.scores, thresholds.video)
    reliability_plot(folder / "reliability.svg", pair.labels, calibrations.pair.llr(pair.scores))
