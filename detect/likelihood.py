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
from dancebench.detect.calibration import brier, cllr, cllr_min, ece
from dancebench.detect.card import Calibrations
from dancebench.detect.evaluate import Labels, Level, Scores, ScoreTables, Thresholds, pair_level, video_level
from dancebench.detect.plots import reliability_plot, roc_plot, tippett_plot

Measure = Callable[[Labels, Scores], float]

_UNITS = {
    "cllr": "bits, 0 is best; 1 says nothing",
    "cllr_min": "bits; what the best monotone calibration of these very videos would leave",
    "brier": "mean squared error of the probability at even odds in [0, 1]; 0.25 says nothing",
    "ece": "expected calibration error in [0, 1], at even odds",
}


def calibration_metrics(tables: ScoreTables, calibrations: Calibrations) -> dict[str, Metric]:
    """The metrics named above.

    Args:
        tables: Scores of held-out people.
        calibrations: From validation people.
    """
    video, pair = video_level(tables), pair_level(tables)
    of_videos = video._replace(scores=calibrations.video.llr(video.scores))
    of_pairs = pair._replace(scores=calibrations.pair.llr(pair.scores))
    return {
        "video_cllr": _metric(of_videos, "cllr", cllr),
        "video_cllr_min": _metric(of_videos, "cllr_min", cllr_min),
        "video_brier": _metric(of_videos, "brier", brier),
        "pair_brier": _metric(of_pairs, "brier", brier),
        "pair_ece": _metric(of_pairs, "ece", ece),
    }


def _metric(level: Level, name: str, measure: Measure) -> Metric:
    labels, llrs, subjects = level
    n = len(labels)
    if not 0 < labels.sum() < n:
        reason = "the held-out videos are of one kind" if n else "no video was scored"
        return Metric(value=None, reason=reason, n=n, unit=_UNITS[name], higher_is_better=False)

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
