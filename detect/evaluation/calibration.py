"""Calibration of scores to likelihood ratios, and its quality: labelled scores in, a calibration out.

A log-likelihood ratio (LLR) is ln p(score | fake) - ln p(score | real), in nats; 0 is uninformative. It answers
"synthesized by any method : real": where there are fakes of methods that the detector did not see, it is fitted on
them alone, since a method that was seen is found more easily. It is linear in the score, `(score - offset) /
temperature`, and does not depend on the scores' unit or zero: a probability, the same in percent and any a · score + b
with a > 0 have the same LLRs. It ends at bounds (`likelihood_ratios.bounds`). Everything is measured at even prior
odds: reals and fakes have the same weight however many there are, and so have the people of the reals, the methods of
the fakes and in each method its people, since videos of one person or method are not independent.

Why a line and not pooled adjacent violators (PAV): two parameters can be fitted on ten people, and their uncertainty
can be told; a free monotone map gives infinite ratios at its ends and follows its own few items. PAV is the reference
that the line is measured against (`cllr_min`).

Cllr: Brümmer & du Preez, Application-independent evaluation of speaker detection, 2006. Smoothed targets:
Platt, Probabilistic outputs for support vector machines, 1999. Expected calibration error: Naeini et al. 2015.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.optimize
from pydantic import Field
from scipy.special import expit

from dancebench.core.schema import MAX_COUNT, Strict
from dancebench.core.stats.likelihood_ratios import pool_adjacent_violators, weigh_classes
from dancebench.detect.evaluation.likelihood_ratios.bounds import Bounds, choose_bounds, share_like_reals
from dancebench.detect.evaluation.likelihood_ratios.items import (
    CalibrationItems,
    balance_weights,
    share_evenly,
    smooth_targets,
)
from dancebench.detect.evaluation.likelihood_ratios.uncertainty import CalibrationUncertainty, JackknifeVariance
from dancebench.detect.evaluation.likelihood_ratios.weighted import Weighted

Array = npt.NDArray[np.float64]

MAX_SPREAD = 1e3
"""The temperature is at most this many standard deviations of the scores, where all LLRs are about 0, and at least
one standard deviation divided by it."""
UNINFORMATIVE = 1e300
"""The temperature where all scores are equal: they have no unit, and every LLR is 0."""


class Calibration(Strict):
    """A linear map from scores to LLRs with bounds, and the data that it was fitted on."""

    temperature: float = Field(gt=0)
    """In the scores' unit."""
    offset: float
    """The score whose LLR is 0."""
    subjects: int = Field(ge=1, le=MAX_COUNT)
    """Number of people that it was fitted on."""
    items: int = Field(ge=1, le=MAX_COUNT)
    """Number of their videos or pairs."""
    separable: bool
    """Every fake scored above every real: over-confidence of the LLRs could not be measured."""
    methods: tuple[str, ...] | None
    """Of the fakes that it was fitted on, by name; None where that was not recorded."""
    unseen_methods: tuple[str, ...] | None
    """Those of them that the detector did not see: all, or none where there were no such fakes."""
    bounds: Bounds

    def unbounded_llr(self, scores: npt.ArrayLike) -> Array:
        """Compute the LLR before bounds, in the shape of `scores`."""
        return (np.asarray(scores, dtype=np.float64) - self.offset) / self.temperature

    def llr(self, scores: npt.ArrayLike) -> Array:
        """Compute the natural-log likelihood ratio fake : real of each score, in the shape of `scores`; monotone."""
        return np.clip(self.unbounded_llr(scores), self.bounds.real.llr, self.bounds.synthesized.llr)


class Calibrations(Strict):
    """Calibrations of video and pair scores, fitted on the validation set."""

    video: Calibration
    pair: Calibration
    uncertainty: CalibrationUncertainty | None
    """Of the calibration of videos; None where it cannot be told."""
    uncertainty_reason: str | None
    """Why not."""


# ---------------------------------------------------------------- fitting


def fit_calibration(items: CalibrationItems) -> Calibration:
    """Fit the calibration with the lowest class-balanced cross-entropy on the validation set, and choose its bounds.

    >>> from dancebench.detect.evaluation.calibration import fit_calibration
    >>> from dancebench.detect.evaluation.likelihood_ratios.items import collect_items
    >>> people, methods = ["a", "a", "b", "b"], ["", "x", "", "x"]
    >>> fitted = fit_calibration(collect_items([0, 1, 0, 1], [-2, 1, -1, 3], people, methods, seen=["x"]))
    >>> fitted.unseen_methods, fitted.bounds.real.set_by
    ((), 'unseen-methods')
    """
    line = fit_line(items)
    labels, scores = items.labels, items.scores
    methods = tuple(np.unique(items.methods[labels == 1]).tolist())
    shares = _measure_look_alikes(items) if items.unseen else []
    return Calibration(
        temperature=line.temperature,
        offset=line.offset,
        subjects=len(np.unique(items.subjects)),
        items=len(scores),
        separable=bool(scores[labels == 0].max() < scores[labels == 1].min()),
        methods=methods,
        unseen_methods=methods if items.unseen else (),
        bounds=choose_bounds(labels, (scores - line.offset) / line.temperature, items.subjects.tolist(), shares),
    )


class Line(NamedTuple):
    """The map from scores to LLRs before bounds: `(score - offset) / temperature`."""

    temperature: float
    offset: float


def fit_line(items: CalibrationItems) -> Line:
    """Fit temperature and offset.

    Targets are smoothed by the number n of people with that class of item, (n + 1)/(n + 2) for a fake and
    1/(n + 2) for a real: no fit gives its own items more than ln(n + 1), however well they separate. The offset
    stays within the scores. In (1 / temperature, offset / temperature) the problem is convex, so its solution
    is unique and does not depend on the starting point.
    """
    labels, scores = items.labels, items.scores  # (N,)
    weights = balance_weights(labels, items.subjects.tolist(), items.methods.tolist())
    targets = smooth_targets(labels, items.subjects.tolist())
    centre = float(weights @ scores)
    spread = _standard_deviation(scores - centre, weights)
    if spread == 0:
        return Line(UNINFORMATIVE, float(scores[0]))
    standard = (scores - centre) / spread

    def loss(point: Array) -> tuple[float, Array]:
        temperature, offset = math.exp(point[0]), point[1] * spread
        llrs = (spread * standard - offset) / temperature
        residuals = weights * (expit(llrs) - targets)  # (N,) derivative by each LLR
        slopes = np.array([-(residuals @ llrs), -residuals.sum() * spread / temperature])
        return float(weights @ (np.logaddexp(0, llrs) - targets * llrs)), slopes

    start = np.array([math.log(spread), 0.0])
    limit = math.log(MAX_SPREAD)
    bounds = [(start[0] - limit, start[0] + limit), (float(standard.min()), float(standard.max()))]
    solution = scipy.optimize.minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}
    ).x
    return Line(math.exp(solution[0]), centre + spread * float(solution[1]))


def _measure_look_alikes(items: CalibrationItems) -> list[float]:
    """Of each method, the share of its fakes that look just like reals; people weigh alike."""
    weights = balance_weights(items.labels, items.subjects.tolist(), items.methods.tolist())
    real = items.labels == 0
    reals = Weighted(items.scores[real], weights[real])
    found = []
    for method in np.unique(items.methods[~real]):
        of_method = ~real & (items.methods == method)
        found.append(share_like_reals(reals, Weighted(items.scores[of_method], weights[of_method])))
    return found


def measure_uncertainty(items: CalibrationItems) -> CalibrationUncertainty | str:
    """Fit the line again without each person and without each method; where that cannot be done, why."""
    real, methods = items.labels == 0, np.unique(items.methods[items.labels == 1])
    if len(methods) < 2:
        return f"how far methods differ cannot be told from the fakes of {len(methods)} method"
    if min(len(np.unique(items.subjects[kind])) for kind in (real, ~real)) < 2:
        return "how far people differ cannot be told where the reals or the fakes are of one person"
    line = fit_line(items)
    people = [items.subjects != person for person in np.unique(items.subjects)]
    return CalibrationUncertainty(
        people=JackknifeVariance.of_fits([_relate(line, fit_line(items.select(kept))) for kept in people]),
        methods=JackknifeVariance.of_fits(
            [_relate(line, fit_line(items.select(real | (items.methods != method)))) for method in methods]
        ),
        method_spread=_measure_method_spread(items),
    )


def _measure_method_spread(items: CalibrationItems) -> float:
    """Standard deviation between methods of the mean LLR of their fakes; people weigh alike.

    The unit is that of a line fitted to fakes that are moved to one mean: where methods differ the line of all is
    flatter, and would make their differences look smaller.
    """
    moved, means = items.scores.copy(), []
    for method in np.unique(items.methods[items.labels == 1]):
        chosen = (items.labels == 1) & (items.methods == method)
        means.append(float(share_evenly(items.subjects[chosen]) @ items.scores[chosen]))
        moved[chosen] -= means[-1]
    moved[items.labels == 1] += np.mean(means)
    within = fit_line(items._replace(scores=moved))
    return float(np.std(means, ddof=1)) / within.temperature


def _relate(line: Line, other: Line) -> tuple[float, float]:
    """The coefficients a and b with which the LLRs of `other` are a + b · LLR of `line`: they have no unit."""
    return (line.offset - other.offset) / other.temperature, line.temperature / other.temperature


def _standard_deviation(deviations: Array, weights: Array) -> float:
    """Weighted standard deviation of numbers of any magnitude, from their deviations; 0 only if all are equal."""
    if np.ptp(deviations) == 0:
        return 0.0
    _, exponent = math.frexp(float(np.abs(deviations).max()))
    scale = math.ldexp(1.0, exponent)  # a power of two changes no digit, and no square is too small or too large
    return scale * math.sqrt(weights @ (deviations / scale) ** 2)


# ---------------------------------------------------------------- measures


def cllr(labels: npt.ArrayLike, llrs: npt.ArrayLike) -> float:
    """Compute Cllr, the log-likelihood-ratio cost in bits: 0 is perfect, 1 uninformative, above 1 misleading.

    Half the mean of log2(1 + exp(-LLR)) over fakes and half that of log2(1 + exp(LLR)) over reals.

    Args:
        labels: (N,), 1 = fake, 0 = real.
        llrs: (N,) natural logarithms.

    Returns:
        NaN for one class.
    """
    labels, llrs = np.asarray(labels), np.asarray(llrs, np.float64)
    return _mean_over_classes(labels, np.logaddexp(0, np.where(labels == 1, -llrs, llrs)) / math.log(2))


def cllr_min(labels: npt.ArrayLike, llrs: npt.ArrayLike) -> float:
    """Compute Cllr after the best monotone map of these ratios, in [0, 1] bits: the cost due to discrimination.

    The map is `pool_adjacent_violators`, fitted to the same items: `cllr - cllr_min` is the calibration loss. NaN for
    one class.
    """
    labels = np.asarray(labels)
    if not _has_both_classes(labels):
        return float("nan")
    shares = pool_adjacent_violators(labels, llrs)
    correct = np.where(labels == 1, shares, 1 - shares)  # > 0: a block holds the item itself
    return _mean_over_classes(labels, -np.log2(correct))


def brier(labels: npt.ArrayLike, llrs: npt.ArrayLike) -> float:
    """Compute the class-balanced Brier score of the posterior at even prior: 0 is perfect, 1/4 uninformative.

    NaN for one class.
    """
    labels, llrs = np.asarray(labels), np.asarray(llrs, np.float64)
    return _mean_over_classes(labels, (expit(llrs) - labels) ** 2)


def expected_calibration_error(labels: npt.ArrayLike, llrs: npt.ArrayLike, bins: int = 15) -> float:
    """Compute the class-balanced expected calibration error (L1) of the posterior at even prior, in [0, 1].

    Mean distance of predicted probability and share of fakes in bins of equal width. NaN for one class. Written in
    full, since in forensics ECE means empirical cross-entropy.
    """
    table = bin_reliability(labels, llrs, bins)
    return float("nan") if table is None else float(table.weights @ np.abs(table.stated - table.shares))


class Reliability(NamedTuple):
    """Reliability diagram: predicted probability and share of fakes, in the bins that hold an item."""

    stated: Array
    """(B,) mean posterior of being fake at even prior."""
    shares: Array
    """(B,) share of fakes, both classes weighted equally."""
    weights: Array
    """(B,) share of the weight; they sum to 1."""
    counts: npt.NDArray[np.int64]
    """(B,) items."""
    places: npt.NDArray[np.intp]
    """(B,) indices of these bins, from 0."""


def bin_reliability(labels: npt.ArrayLike, llrs: npt.ArrayLike, bins: int = 15) -> Reliability | None:
    """Sort the items into bins of equal width over [0, 1]; None for one class."""
    labels, posteriors = np.asarray(labels), expit(np.asarray(llrs, np.float64))
    if not _has_both_classes(labels):
        return None
    weights = weigh_classes(labels)
    bin_of = np.minimum((posteriors * bins).astype(np.intp), bins - 1)  # (N,); 1 belongs to the last bin
    counts = np.bincount(bin_of, minlength=bins)
    occupied = counts > 0
    total, stated, fakes = (
        np.bincount(bin_of, part, bins).astype(np.float64) for part in (weights, weights * posteriors, weights * labels)
    )
    return Reliability(
        stated=stated[occupied] / total[occupied],
        shares=fakes[occupied] / total[occupied],
        weights=total[occupied],
        counts=counts[occupied],
        places=np.flatnonzero(occupied),
    )


def _has_both_classes(labels: npt.NDArray[np.generic]) -> bool:
    return set(np.unique(labels).tolist()) == {0, 1}


def _mean_over_classes(labels: npt.NDArray[np.generic], costs: Array) -> float:
    if not _has_both_classes(labels):
        return float("nan")
    return float((costs[labels == 1].mean() + costs[labels == 0].mean()) / 2)
