"""From scores to likelihood ratios, and how good these are: labels, scores and people in, a calibration out.

A log-likelihood ratio (LLR) is ln p(score | fake) - ln p(score | real), in nats; 0 says nothing. It is linear
in the score, `(score - offset) / temperature` with a temperature of at least 1: fitting may take confidence
from a detector, never add to it. It ends at ln(n + 1) to both sides: n people cannot support more. Everything
is judged at even prior odds: reals and fakes weigh the same however many there are, and so do a kind's people,
since videos of one person are not independent.

Cllr: Brümmer & du Preez, Application-independent evaluation of speaker detection, 2006. Smoothed targets:
Platt, Probabilistic outputs for support vector machines, 1999. ECE: Naeini et al. 2015.
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
from dancebench.core.schema import Strict

Array = npt.NDArray[np.float64]

MAX_SPREAD = 1e3
"""The temperature stays below this many standard deviations of the scores: of such scores all LLRs are about 0."""


class Calibration(Strict):
    """A line from scores to LLRs, and what it rests on."""

    temperature: float = Field(ge=1)
    offset: float
    """The score that says nothing."""
    subjects: int
    """How many people it was fitted on."""
    items: int
    """How many of their videos or pairs."""
    separable: bool
    """Every fake scored above every real: whether the LLRs are over-confident could not be seen."""

    @property
    def bound(self) -> float:
        """The largest LLR, either way: that of an event which n people out of n showed, by Laplace's rule."""
        return math.log(self.subjects + 1)

    def llr(self, scores: npt.ArrayLike) -> Array:
        """Natural-log likelihood ratio fake : real of each score, in the shape of `scores`; never falls with it."""
        linear = (np.asarray(scores, dtype=np.float64) - self.offset) / self.temperature
        return np.clip(linear, -self.bound, self.bound)


class Calibrations(Strict):
    """From scores to likelihood ratios, fitted on the validation people."""

    video: Calibration
    pair: Calibration


# ---------------------------------------------------------------- fitting


def fit_calibration(labels: npt.ArrayLike, scores: npt.ArrayLike, subjects: Sequence[str]) -> Calibration:
    """The calibration of least class-balanced cross-entropy on validation people.

    Targets are smoothed by the number n of people with that kind of item, (n + 1)/(n + 2) for a fake and
    1/(n + 2) for a real: no fit is surer of its items than ln(n + 1), however well they separate. The offset
    stays within the scores. In (1 / temperature, offset / temperature) the problem is convex, so its solution
    is one and does not depend on where the search starts.

    Args:
        labels: (N,), 1 = fake, 0 = real.
        scores: (N,), finite.
        subjects: The person behind each item.

    Raises:
        BenchError: One kind is missing, or a score is not finite.
        ValueError: Lengths differ.
    """
    labels, scores = np.asarray(labels, np.int64), np.asarray(scores, np.float64)  # (N,)
    weights, targets = balance_weights(labels, subjects), smooth_targets(labels, subjects)
    if not np.isfinite(scores).all():
        raise BenchError("Calibration needs finite scores.", hint="The detector's weights are unusable: train it.")
    centre = float(weights @ scores)
    spread = math.sqrt(weights @ (scores - centre) ** 2) or 1.0  # equal scores: any will do
    standard = (scores - centre) / spread

    def loss(point: Array) -> tuple[float, Array]:
        temperature, offset = math.exp(point[0]), point[1] * spread
        llrs = (spread * standard - offset) / temperature
        residuals = weights * (expit(llrs) - targets)  # (N,) derivative by each LLR
        slopes = np.array([-(residuals @ llrs), -residuals.sum() * spread / temperature])
        return float(weights @ (np.logaddexp(0, llrs) - targets * llrs)), slopes

    start = np.array([max(0.0, math.log(spread)), 0.0])
    reach = max(start[0], math.log(spread * MAX_SPREAD), 0.0)
    bounds = [(0.0, reach), (float(standard.min()), float(standard.max()))]
    found = scipy.optimize.minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}
    ).x
    return Calibration(
        temperature=math.exp(found[0]),
        offset=centre + spread * float(found[1]),
        subjects=len(set(subjects)),
        items=len(scores),
        separable=bool(scores[labels == 0].max() < scores[labels == 1].min()),
    )


def balance_weights(labels: npt.ArrayLike, subjects: Sequence[str]) -> Array:
    """Weights (N,) that sum to 1: half for each kind, within it the same for each person, then for their items.

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
    for kind in (0, 1):
        _, codes, counts = np.unique(people[labels == kind], return_inverse=True, return_counts=True)
        weights[labels == kind] = 0.5 / len(counts) / counts[codes]
    return weights


def smooth_targets(labels: npt.ArrayLike, subjects: Sequence[str]) -> Array:
    """Platt's targets (N,) in (0, 1), with the people of a kind counted, not their items."""
    labels, people = np.asarray(labels), np.asarray(subjects, dtype=np.str_)
    reals, fakes = (len(np.unique(people[labels == kind])) for kind in (0, 1))
    return np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))


# ---------------------------------------------------------------- measures


def cllr(labels: npt.ArrayLike, llrs: npt.ArrayLike) -> float:
    """Cost of the log-likelihood ratios, in bits: 0 is perfect, 1 says nothing, misleading ones exceed 1.

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
    """Cllr of the best rising map of these ratios, in [0, 1] bits: what of the cost is discrimination.

    The map is the isotonic regression of the labels at even prior (pool adjacent violators), fitted to these
    very items: `cllr - cllr_min` is what calibration costs. NaN for one class.
    """
    labels, llrs = np.asarray(labels), np.asarray(llrs, np.float64)
    if not _has_both_classes(labels):
        return float("nan")
    ranks = rankdata(llrs, method="dense")
    shares = IsotonicRegression(y_min=0, y_max=1).fit_transform(ranks, labels, sample_weight=_weigh_classes(labels))
    right = np.where(labels == 1, shares, 1 - shares)  # > 0: a block holds the item itself
    return _mean_over_classes(labels, -np.log2(right))


def brier(labels: npt.ArrayLike, llrs: npt.ArrayLike) -> float:
    """Brier score of the posterior at even prior, both kinds weighing the same: 0 is perfect, 1/4 says nothing.

    NaN for one class.
    """
    labels, llrs = np.asarray(labels), np.asarray(llrs, np.float64)
    return _mean_over_classes(labels, (expit(llrs) - labels) ** 2)


def expected_calibration_error(labels: npt.ArrayLike, llrs: npt.ArrayLike, bins: int = 15) -> float:
    """Expected calibration error (L1) of the posterior at even prior, both kinds weighing the same, in [0, 1].

    The distance of stated probability and share of fakes in bins of equal width. NaN for one class.
    """
    table = bin_reliability(labels, llrs, bins)
    return float("nan") if table is None else float(table.weights @ np.abs(table.stated - table.shares))


class Reliability(NamedTuple):
    """Stated probability against what came true, in the bins that hold an item."""

    stated: Array
    """(B,) mean posterior of being fake at even prior."""
    shares: Array
    """(B,) share of fakes, both kinds weighing the same."""
    weights: Array
    """(B,) share of the weight; they sum to 1."""
    counts: npt.NDArray[np.int64]
    """(B,) items."""
    places: npt.NDArray[np.intp]
    """(B,) which bins these are, from 0."""


def bin_reliability(labels: npt.ArrayLike, llrs: npt.ArrayLike, bins: int = 15) -> Reliability | None:
    """The items in bins of equal width over [0, 1]; None for one class."""
    labels, shares = np.asarray(labels), expit(np.asarray(llrs, np.float64))
    if not _has_both_classes(labels):
        return None
    weights = _weigh_classes(labels)
    places = np.minimum((shares * bins).astype(np.intp), bins - 1)  # (N,); 1 belongs to the last bin
    counts = np.bincount(places, minlength=bins)
    held = counts > 0
    total, stated, fakes = (
        np.bincount(places, part, bins).astype(np.float64) for part in (weights, weights * shares, weights * labels)
    )
    return Reliability(
        stated=stated[held] / total[held],
        shares=fakes[held] / total[held],
        weights=total[held],
        counts=counts[held],
        places=np.flatnonzero(held),
    )


def _has_both_classes(labels: npt.NDArray[np.generic]) -> bool:
    return set(np.unique(labels).tolist()) == {0, 1}


def _weigh_classes(labels: npt.NDArray[np.generic]) -> Array:
    """(N,) half for each kind."""
    fakes = int((labels == 1).sum())
    return np.where(labels == 1, 0.5 / fakes, 0.5 / (len(labels) - fakes))


def _mean_over_classes(labels: npt.NDArray[np.generic], costs: Array) -> float:
    if not _has_both_classes(labels):
        return float("nan")
    return float((costs[labels == 1].mean() + costs[labels == 0].mean()) / 2)
