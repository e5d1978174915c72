"""Uncertainty of a calibration: what would change with other people and another method, as a 95% interval.

A calibration is fitted again without each person, and without each method. Its LLR before bounds is linear in the
score, so each of these fits maps the LLR l of the whole calibration to a + b · l, and the variance of what they say at
l is V(l) = var a + 2 l cov(a, b) + l² var b. With the variances of the jackknife, n people, M methods, Student's t over
each, and the standard deviation s between the methods' mean LLRs,

    half width² = t(n - 1)² · V_people + t(M - 1)² · ((M + 1) · V_methods + (1 + 1 / M) · s²)

Leaving methods out tells how far the mean over M methods would move, τ² / M where methods differ by τ. The method of a
case was never seen: from that mean it differs by τ² (1 + 1/M), M + 1 times as much. So this is a prediction interval
for the method of the case: a mean over methods is no comfort to the one whose video is by none of them. Where the
scores of a method lie higher as a whole, the ratio of all scores between reals and fakes may move by as much, though
V_methods is small there; hence s. The larger of both terms alone covered the moved LLR (below) in 0.91 for SD 1.

Coverage of a nominal 0.95, simulated with 29 people (whose scores vary by 0.5), 6 methods whose scores vary by SD, all
in log-odds, an AUC of 0.84 and a case by a seventh method (1,000 data sets each): the share of intervals that contained
the true LLR of that method at that score, and the LLR of the mean method moved by as much as that method's scores are.

                   true LLR        moved LLR
                   fake    real    fake    real
    SD 1.0         0.99    0.96    0.94    0.95

With s in LLRs of the line of all methods, which is smaller, SD 0 and 0.5 had at least 0.98 and 0.96, SD 1 0.93.

On jackknives: Efron and Stein, The jackknife estimate of variance, The Annals of Statistics 9 (1981).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import scipy.stats
from pydantic import Field

from dancebench.core.schema import MAX_COUNT, Strict

CONFIDENCE = 0.95
UNTOLD = "an earlier release did not tell it"
"""Why a card or a report has no such interval."""


class JackknifeVariance(Strict):
    """Variance and covariance of the coefficients a and b of `a + b · LLR`, by leaving one unit out at a time."""

    units: int = Field(ge=2, le=MAX_COUNT)
    """How many people or methods."""
    intercept: float = Field(ge=0)
    slope: float = Field(ge=0)
    covariance: float

    @classmethod
    def of_fits(cls, fits: Sequence[tuple[float, float]]) -> Self:
        """The jackknife's variance (n - 1) / n · Σ (θ₍ᵢ₎ - mean θ₍.₎)², of fits (a, b) without each of n units."""
        deviations = np.asarray(fits) - np.mean(fits, axis=0)  # (n, 2)
        count = len(fits)
        matrix = (count - 1) / count * deviations.T @ deviations  # (2, 2)
        return cls(
            units=count, intercept=float(matrix[0, 0]), slope=float(matrix[1, 1]), covariance=float(matrix[0, 1])
        )

    def half_width(self, llr: float) -> float:
        """Student's t times the standard error at this LLR."""
        variance = self.intercept + 2 * llr * self.covariance + llr**2 * self.slope
        return _t_quantile(self.units) * math.sqrt(max(variance, 0.0))


def _t_quantile(units: int) -> float:
    return float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, units - 1))


class Limits(NamedTuple):
    """Of an interval of log-likelihood ratios, before bounds."""

    low: float
    high: float


class CalibrationUncertainty(Strict):
    """What a calibration would say with other people, and of another method."""

    people: JackknifeVariance
    methods: JackknifeVariance
    method_spread: float = Field(ge=0)
    """Standard deviation of the methods' mean LLRs, before bounds."""

    def interval(self, llr: float) -> Limits:
        """The 95% confidence interval of an LLR before bounds, for the method of the case."""
        count = self.methods.units
        moved = _t_quantile(count) * math.sqrt(1 + 1 / count) * self.method_spread
        half = math.hypot(self.people.half_width(llr), math.sqrt(count + 1) * self.methods.half_width(llr), moved)
        return Limits(llr - half, llr + half)

    @property
    def described(self) -> str:
        """How it was made, in words."""
        return (
            f"jackknife over {self.people.units} people and {self.methods.units} methods, Student t, for a method that "
            "is none of them"
        )
