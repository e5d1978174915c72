"""Where the support of a calibration ends: its items and their log-likelihood ratios in, two bounds out.

    support for synthesized    ln(n + 1) of the n people behind the reals; ELUB
    support for real           fakes of unseen methods that look just like reals; ln(n + 1) of the n people behind the
                               fakes; ELUB

On each side the bound closest to 0 holds, and is named. Absence of traces is no evidence for a real: if a share π of
the fakes of any method is distributed like reals, p(score | fake) ≥ π p(score | real) at every score, so no ratio
fake : real is below π. Of method m, π is estimated by `share_like_reals`, and over M methods that the detector did
not see by (Σ π_m + 1) / (M + 1): one more method, which looks just like reals, is counted with those that were seen to
differ. So M methods support a real by M + 1 : 1 at most, as n people a fake by n + 1 : 1, and without any such method
nothing supports a real.

ELUB, empirical lower and upper bound: Vergeer, van Es, de Jongh, Alberink and Stoel, Numerical likelihood ratios
outputted by LR systems are often based on extrapolation: when to stop extrapolating?, Science & Justice 56 (2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dancebench.core.schema import MAX_COUNT, Strict
from dancebench.detect.evaluation.likelihood_ratios.weighted import Weighted

Array = npt.NDArray[np.float64]

BoundName = Literal["people", "elub", "unseen-methods"]

_STEP: Final = 0.01
"""Of the thresholds that ELUB tries, in log10."""
_REACH: Final = 9.0
"""ELUB takes ratios beyond this power of ten for this power."""


class Bound(Strict):
    """The largest support for one of the propositions, and what sets it."""

    llr: float
    """Natural logarithm of the ratio fake : real; at most 0 on the side of real, at least 0 on that of synthesized."""
    set_by: BoundName
    n: int = Field(ge=0, le=MAX_COUNT)
    """How many people, or methods that the detector did not see, it rests on."""


class Bounds(Strict):
    """Where likelihood ratios end."""

    real: Bound
    synthesized: Bound

    def find_holding(self, llr: float) -> Bound | None:
        """The bound that a ratio before bounds reaches or passes; None for one between them."""
        if llr <= self.real.llr:
            return self.real
        return self.synthesized if llr >= self.synthesized.llr else None


def bound_by_people(real_people: int, fake_people: int) -> Bounds:
    """Bound both sides by the number n of people, by Laplace's rule of succession: what happens in n of n of them."""
    return Bounds(
        real=Bound(llr=-math.log(fake_people + 1), set_by="people", n=fake_people),
        synthesized=Bound(llr=math.log(real_people + 1), set_by="people", n=real_people),
    )


def choose_bounds(
    labels: npt.NDArray[np.int64], llrs: Array, subjects: Sequence[str], shares: Sequence[float]
) -> Bounds:
    """Choose the bound closest to 0 on each side.

    Args:
        labels: (N,), 1 = fake, 0 = real.
        llrs: (N,) natural logarithms, before bounds.
        subjects: The person of each item.
        shares: Of each method that the detector did not see, the share of its fakes that look just like reals.
    """
    people = np.asarray(subjects, dtype=np.str_)
    counts = [len(np.unique(people[labels == label])) for label in (0, 1)]
    by_people = bound_by_people(*counts)
    low, high = elub(labels, llrs, _weigh_people(labels, people))
    unseen = Bound(llr=math.log(pool_shares(shares)), set_by="unseen-methods", n=len(shares))
    return Bounds(
        real=max(unseen, by_people.real, Bound(llr=low, set_by="elub", n=counts[1]), key=lambda bound: bound.llr),
        synthesized=min(
            by_people.synthesized, Bound(llr=high, set_by="elub", n=counts[0]), key=lambda bound: bound.llr
        ),
    )


def pool_shares(shares: Sequence[float]) -> float:
    """The share of look-alikes over methods, with one more method that looks just like reals: in (0, 1]."""
    return (sum(shares) + 1) / (len(shares) + 1)


def share_like_reals(reals: Weighted, fakes: Weighted) -> float:
    """Estimate the share of fakes that look just like reals: a mixture of reals' scores and of higher ones.

    It is the share of fakes below the median real over the share of reals there, at most 1: fakes that look like reals
    lie below it half of the time, others hardly ever.
    """
    median = reals.median()
    return min(1.0, fakes.share_up_to(median) / reals.share_up_to(median))


def _weigh_people(labels: npt.NDArray[np.int64], people: npt.NDArray[np.str_]) -> Array:
    """Weights (N,): each person counts as one item in each class."""
    weights = np.empty(len(labels))
    for label in (0, 1):
        _, codes, counts = np.unique(people[labels == label], return_inverse=True, return_counts=True)
        weights[labels == label] = 1 / counts[codes]
    return weights


def elub(labels: npt.ArrayLike, llrs: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[float, float]:
    """Find the empirical lower and upper bound: how far decisions by these ratios are better than by none.

    At a threshold t on the ratio, deciding costs the share of fakes at or below t, and t times the share of reals above
    it; one misleading item is added on each side. Beyond the bounds this costs more than to decide without evidence.

    Args:
        labels: (N,), 1 = fake, 0 = real; both are there.
        llrs: (N,) natural logarithms.
        weights: (N,) how many items each counts as; None: one each.

    Returns:
        Natural logarithms, the first at most 0 and the second at least 0, in steps of 0.01 in log10.
    """
    labels = np.asarray(labels)
    powers = np.clip(np.asarray(llrs, np.float64) / math.log(10), -_REACH, _REACH)  # (N,)
    counts = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    reals, fakes = (Weighted(powers[labels == label], counts[labels == label]) for label in (0, 1))
    least = max(float(powers.min()), -math.log10(fakes.weights.sum() + 1))
    most = min(float(powers.max()), math.log10(reals.weights.sum() + 1))
    first, last = min(0, int(least // _STEP)), max(0, int(most // _STEP) + 1)
    steps = np.linspace(first * _STEP, last * _STEP, last - first + 1)  # (T,) in log10
    thresholds = 10**steps  # once for both sides: a power of an array and of a number may differ in the last bit
    costs = np.array([_cost_of_deciding(fakes, reals, threshold) for threshold in thresholds])
    neutral = np.where(steps < 0, thresholds, 1.0)
    worse = neutral / costs < 1
    low = float(np.max(steps[(steps <= 0) & worse] + _STEP, initial=steps[0]))
    high = float(np.min(steps[(steps >= 0) & worse] - _STEP, initial=steps[-1]))
    return round(min(low, 0.0), 9) * math.log(10), round(max(high, 0.0), 9) * math.log(10)


def _cost_of_deciding(fakes: Weighted, reals: Weighted, threshold: float) -> float:
    missed = (fakes.weights[_lies_up_to(fakes, threshold)].sum() + 1) / (fakes.weights.sum() + 1)
    taken = (reals.weights[~_lies_up_to(reals, threshold)].sum() + 1) / (reals.weights.sum() + 1)
    return float(missed + threshold * taken)


def _lies_up_to(items: Weighted, threshold: float) -> npt.NDArray[np.bool_]:
    return np.asarray(10**items.scores <= threshold)
