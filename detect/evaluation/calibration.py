"""Calibration of scores to likelihood ratios, and its quality: labels, scores and people in, a calibration out.

A log-likelihood ratio (LLR) is ln p(score | fake) - ln p(score | real), in nats; 0 is uninformative. It is linear
in the score, `(score - offset) / temperature`, and does not depend on the scores' unit or zero: a probability, the
same in percent and any a · score + b with a > 0 have the same LLRs. It is clipped at ±ln(n + 1): n people cannot
support more. Everything is measured at even prior odds: reals and fakes have the same weight however many there
are, and so have the people of a class, since videos of one person are not independent.

Cllr: Brümmer & du Preez, Application-independent evaluation of speaker detection, 2006. Smoothed targets:
Platt, Probabilistic outputs for support vector machines, 1999. Expected calibration error: Naeini et al. 2015.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.optimize
from pydantic import Field
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression

from dancebench.core.errors import BenchError
from dancebench.core.schema import MAX_COUNT, Strict

Array = npt.NDArray[np.float64]

MAX_SPREAD = 1e3
"""The temperature is at most this many standard deviations of the scores, where all LLRs are about 0, and at least
one standard deviation divided by it."""
UNINFORMATIVE = 1e300
"""The temperature where all scores are equal: they have no unit, and every LLR is 0."""


class Calibration(Strict):
    """A linear map from scores to LLRs, and the data that it was fitted on."""

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

    @property
    def bound(self) -> float:
        """The largest absolute LLR: by Laplace's rule of succession, that of an event seen in n of n people."""
        return math.log(self.subjects + 1)

    def llr(self, scores: npt.ArrayLike) -> Array:
        """Compute the natural-log likelihood ratio fake : real of each score, in the shape of `scores`; monotone."""
        linear = (np.asarray(scores, dtype=np.float64) - self.offset) / self.temperature
        return np.clip(linear, -self.bound, self.bound)


class Calibrations(Strict):
    """Calibrations of video and pair scores, fitted on the validation set."""

    video: Calibration
    pair: Calibration


# ---------------------------------------------------------------- fitting


def fit_calibration(labels: npt.ArrayLike, scores: npt.ArrayLike, subjects: Sequence[str]) -> Calibration:
    """Fit the calibration with the lowest class-balanced cross-entropy on the validation set.

    Targets are smoothed by the number n of people with that class of item, (n + 1)/(n + 2) for a fake and
    1/(n + 2) for a real: no fit gives its own items more than ln(n + 1), however well they separate. The offset
    stays within the scores. In (1 / temperature, offset / temperature) the problem is convex, so its solution
    is unique and does not depend on the starting point.

    Args:
        labels: (N,), 1 = fake, 0 = real.
        scores: (N,), finite.
        subjects: The person of each item.

    Raises:
        BenchError: One kind is missing, or a score is not finite.
        ValueError: Lengths differ.
    """
    labels, scores = np.asarray(labels, np.int64), np.asarray(scores, np.float64)  # (N,)
    weights, targets = balance_weights(labels, subjects), smooth_targets(labels, subjects)
    if not np.isfinite(scores).all():
        raise BenchError("Calibration needs finite scores.", hint="The detector's weights are unusable: train it.")
    centre = float(weights @ scores)
    spread = _standard_deviation(scores - centre, weights)
    people = {"subjects": len(set(subjects)), "items": len(scores)}
    if spread == 0:
        return Calibration(temperature=UNINFORMATIVE, offset=float(scores[0]), separable=False, **people)
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
    return Calibration(
        temperature=math.exp(solution[0]),
        offset=centre + spread * float(solution[1]),
        separable=bool(scores[labels == 0].max() < scores[labels == 1].min()),
        **people,
    )


def _standard_deviation(deviations: Array, weights: Array) -> float:
    """Weighted standard deviation of numbers of any magnitude, from their deviations; 0 only if all are equal."""
    if np.ptp(deviations) == 0:
        return 0.0
    _, exponent = math.frexp(float(np.abs(deviations).max()))
    scale = math.ldexp(1.0, exponent)  # a power of two changes no digit, and no square is too small or too large
    return scale * math.sqrt(weights @ (deviations / scale) ** 2)


def balance_weights(labels: npt.ArrayLike, subjects: Sequence[str]) -> Array:
    """Compute weights (N,) that sum to 1: half for each class, in it the same for each person, then for their items.

    Raises:
        BenchError: One kind is missing.
        ValueError: Lengths differ.
    """
    labels, people = np.asarray(labels), np.asarray(subjects, dtype=np.str_)
    if labels.shape != people.shape:
        raise ValueError(f"{labels.size} labels but {people.size} subjects")
    if not _has_both_classes(labels):
        raise BenchError(
            "Calibration needs real and fake videos of validation people.",
            hint="Give the manifest both kinds under split 'validation'.",
        )
    weights = np.empty(len(labels))
    for label in (0, 1):
        _, codes, counts = np.unique(people[labels == label], return_inverse=True, return_counts=True)
        weights[labels == label] = 0.5 / len(counts) / counts[codes]
    return weights


def smooth_targets(labels: npt.ArrayLike, subjects: Sequence[str]) -> Array:
    """Compute Platt's smoothed targets (N,) in (0, 1), counting the people of a class, not their items."""
    labels, people = np.asarray(labels), np.asarray(subjects, dtype=np.str_)
    reals, fakes = (len(np.unique(people[labels == label])) for label in (0, 1))
    return np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))


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

    The map is the isotonic regression of the labels at even prior (pool adjacent violators), fitted to the
    same items: `cllr - cllr_min` is the calibration loss. NaN for one class.
    """
    labels, llrs = np.asarray(labels), np.asarray(llrs, np.float64)
    if not _has_both_classes(labels):
        return float("nan")
    ranks = rankdata(llrs, method="dense")
    shares = IsotonicRegression(y_min=0, y_max=1).fit_transform(ranks, labels, sample_weight=_weigh_classes(labels))
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
    weights = _weigh_classes(labels)
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


def _weigh_classes(labels: npt.NDArray[np.generic]) -> Array:
    """Weights (N,) that sum to one half in each class."""
    fakes = int((labels == 1).sum())
    return np.where(labels == 1, 0.5 / fakes, 0.5 / (len(labels) - fakes))


def _mean_over_classes(labels: npt.NDArray[np.generic], costs: Array) -> float:
    if not _has_both_classes(labels):
        return float("nan")
    return float((costs[labels == 1].mean() + costs[labels == 0].mean()) / 2)
