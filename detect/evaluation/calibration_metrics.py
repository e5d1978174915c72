"""Calibration metrics of a detector's likelihood ratios: scores of held-out people in, metrics out.

    video_cllr, video_cllr_min, video_cllr_cal    cost of the videos' ratios, and its parts: discrimination, calibration
    video_devpav                                  their distance from the best monotone calibration
    video_brier                                   of the probability at even odds
    video_misleading_real, …_10, …_100            share of reals with a ratio above 1, 10, 100
    video_misleading_fake, …_10, …_100            share of fakes with a ratio below 1, 1/10, 1/100
    pair_brier, pair_expected_calibration_error   of the pairs'

The calibration was fitted on the validation set and is only measured here. 95% confidence intervals are by person.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Final, get_args

from dancebench.core.metric import Metric
from dancebench.core.stats.inference import Indices, jackknife_interval, jackknife_share_interval
from dancebench.detect.evaluation.calibration import (
    Calibration,
    Calibrations,
    brier,
    cllr,
    cllr_min,
    expected_calibration_error,
    fit_calibration,
    measure_uncertainty,
)
from dancebench.detect.evaluation.likelihood_ratios.items import CalibrationItems, collect_items
from dancebench.detect.evaluation.likelihood_ratios.kept_scores import FILE as CALIBRATION_SCORES
from dancebench.detect.evaluation.likelihood_ratios.kept_scores import CalibrationScores
from dancebench.detect.evaluation.likelihood_ratios.measures import (
    SIZES,
    Kind,
    LabelledRatios,
    LikelihoodRatioFigures,
    cllr_cal,
    collect_figures,
    count_misleading,
    devpav,
    find_misleading,
)
from dancebench.detect.evaluation.likelihood_ratios.plots import plot_cross_entropy, plot_det, plot_pav
from dancebench.detect.evaluation.metrics import Labels, ScoredItems, Scores, Thresholds, collect_pairs, collect_videos
from dancebench.detect.evaluation.plots import plot_reliability, plot_roc, plot_tippett
from dancebench.detect.evaluation.score_tables import ScoreTables

Measure = Callable[[Labels, Scores], float]

_UNITS = {
    "cllr": "bits, 0 is best; 1 says nothing",
    "cllr_min": "bits; what the best monotone calibration of these very videos would leave",
    "cllr_cal": "bits; what the best monotone calibration of these very videos would save",
    "devpav": "powers of ten between the ratios and those of the best monotone calibration of these very videos",
    "brier": "mean squared error of the probability at even odds in [0, 1]; 0.25 says nothing",
    "expected_calibration_error": "expected calibration error in [0, 1], at even odds",
}
_SEPARATED: Final = "reals and fakes are separated without error: the best calibration has no finite ratio"


def fit_calibrations(validation: ScoreTables, seen: Collection[str]) -> Calibrations:
    """Fit on the validation set; if only videos are scored, pairs share the calibration of videos.

    Args:
        validation: Scores of validation people.
        seen: Methods that the detector saw in training.

    Raises:
        BenchError: Reals or fakes are missing, or a score is not finite.
    """
    video, pair = (_collect_items(level, seen) for level in (collect_videos(validation), collect_pairs(validation)))
    fitted = fit_calibration(video)
    uncertainty = measure_uncertainty(video)
    unknown = uncertainty if isinstance(uncertainty, str) else None
    return Calibrations(
        video=fitted,
        pair=fit_calibration(pair) if len(pair.scores) else fitted,
        uncertainty=None if isinstance(uncertainty, str) else uncertainty,
        uncertainty_reason=unknown,
    )


def keep_calibration_scores(folder: Path, validation: ScoreTables, seen: Collection[str]) -> None:
    """Write the scores of the videos that `fit_calibrations` fits to, so that it can be fitted to other reals."""
    CalibrationScores.of_items(_collect_items(collect_videos(validation), seen)).save(folder / CALIBRATION_SCORES)


def _collect_items(level: ScoredItems, seen: Collection[str]) -> CalibrationItems:
    return collect_items(level.labels, level.scores, level.subjects.tolist(), level.methods.tolist(), seen)


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
    kinds: tuple[Kind, ...] = get_args(Kind)
    return {
        "video_cllr": _make_metric(video, "cllr", cllr, unusable),
        "video_cllr_min": _make_metric(video, "cllr_min", cllr_min, unusable),
        "video_cllr_cal": _make_metric(video, "cllr_cal", cllr_cal, unusable),
        "video_devpav": _make_metric(video, "devpav", devpav, unusable),
        **{
            f"video_misleading_{kind}{'' if size == 1 else f'_{size}'}": _measure_misleading(
                video, kind, size, unusable
            )
            for kind in kinds
            for size in SIZES
        },
        "video_brier": _make_metric(video, "brier", brier, unusable),
        "pair_brier": _make_metric(pair, "brier", brier, unusable),
        "pair_expected_calibration_error": _make_metric(
            pair, "expected_calibration_error", expected_calibration_error, unusable
        ),
    }


def _make_metric(level: ScoredItems, name: str, measure: Measure, unusable: str | None) -> Metric:
    labels, llrs, subjects, _ = level
    n = len(labels)
    null = partial(Metric, value=None, n=n, unit=_UNITS[name], higher_is_better=False)
    if reason := unusable or _explain_one_kind(level):
        return null(reason=reason)
    value = measure(labels, llrs)
    if not math.isfinite(value):
        return null(reason=_SEPARATED)

    def measure_subset(chosen: Indices) -> float:
        kept = labels[chosen]
        return measure(kept, llrs[chosen]) if 0 < kept.sum() < len(kept) else math.nan

    interval = jackknife_interval(measure_subset, subjects.tolist(), scale="identity")
    return Metric(value=value, ci95=interval, n=n, unit=_UNITS[name], higher_is_better=False)


def _explain_one_kind(level: ScoredItems) -> str | None:
    if 0 < level.labels.sum() < len(level.labels):
        return None
    return "the held-out videos are of one kind" if len(level.labels) else "no video was scored"


def _measure_misleading(level: ScoredItems, kind: Kind, size: int, unusable: str | None) -> Metric:
    """The share of items of one kind whose ratio is against the truth by more than `size`."""
    beyond = f"above {size}" if kind == "real" else f"below {'1' if size == 1 else f'1/{size}'}"
    unit = f"share of {kind} videos with a likelihood ratio {beyond}"
    if reason := unusable or _explain_one_kind(level):
        return Metric(value=None, reason=reason, n=0, unit=unit, higher_is_better=False)
    ratios = _to_ratios(level)
    counts, misled = count_misleading(ratios, kind, size), find_misleading(ratios, kind, size)
    of_kind = level.labels == (kind == "fake")

    def measure_subset(chosen: Indices) -> float:
        total = of_kind[chosen].sum()
        return float(misled[chosen].sum() / total) if total else math.nan

    return Metric(
        value=counts.items / counts.of_items,
        ci95=jackknife_share_interval(measure_subset, level.subjects.tolist(), counted=of_kind),
        n=counts.of_items,
        unit=f"{unit}: {counts.items} of {counts.of_items}, of {counts.people} of {counts.of_people} people",
        higher_is_better=False,
    )


def _to_ratios(level: ScoredItems) -> LabelledRatios:
    return LabelledRatios(level.labels, level.scores, level.subjects)


def collect_ratio_figures(tables: ScoreTables, calibrations: Calibrations) -> LikelihoodRatioFigures | None:
    """Collect what a card tells of the videos' ratios beside its metrics; None if all are of one kind."""
    video = collect_videos(tables)
    return collect_figures(_to_ratios(video._replace(scores=calibrations.video.llr(video.scores))))


def describe_overconfidence(calibrations: Calibrations) -> list[str]:
    """Warn if over-confidence could not be measured, in words for the record and the leaderboard."""
    if not calibrations.video.separable:
        return []
    return [
        f"calibration: the {calibrations.video.subjects} validation people were told apart without error, so how "
        "over-confident the likelihood ratios are cannot be seen there; they end at "
        f"{_describe_ends(calibrations.video)}"
    ]


def describe_fakes(calibrations: Calibrations) -> list[str]:
    """Remark on which fakes ratios were calibrated, if none is of a method that the detector did not see."""
    if calibrations.video.unseen_methods or calibrations.video.methods is None:
        return []
    return [
        "likelihood ratios: calibrated on fakes of methods seen in training "
        f"({', '.join(calibrations.video.methods)}); nothing is known of others, so no ratio supports a real and Cllr "
        "is at least 0.5"
    ]


def _describe_ends(calibration: Calibration) -> str:
    low, high = calibration.bounds.real.llr, calibration.bounds.synthesized.llr
    return f"{math.exp(high):.3g} : 1 for synthesized and {math.exp(-low):.3g} : 1 for real"


def save_figures(folder: Path, tables: ScoreTables, thresholds: Thresholds, calibrations: Calibrations) -> None:
    """Plot the videos' scores (`roc.svg`, `det.svg`), their ratios (`tippett.svg`, `cross_entropy.svg`, `pav.svg`) and
    the pairs' ratios (`reliability.svg`), if there are reals and fakes.
    """
    video, pair = collect_videos(tables), collect_pairs(tables)
    if not 0 < video.labels.sum() < len(video.labels):
        return
    llrs = calibrations.video.llr(video.scores)
    plot_tippett(folder / "tippett.svg", video.labels, llrs)
    plot_cross_entropy(folder / "cross_entropy.svg", video.labels, llrs)
    plot_pav(folder / "pav.svg", video.labels, llrs)
    plot_det(folder / "det.svg", video.labels, video.scores, thresholds.video)
    plot_roc(folder / "roc.svg", video.labels, video.scores, thresholds.video)
    plot_reliability(folder / "reliability.svg", pair.labels, calibrations.pair.llr(pair.scores))
