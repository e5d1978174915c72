"""Uncertainty of a calibration: what would change with other people and other methods, as a 95% confidence interval.

A calibration is fitted again without each person, and without each method. Its LLR before bounds is linear in the score,
so each of these fits maps the LLR l of the whole calibration to a + b · l, and the variance of what they say at l is
var a + 2 l cov(a, b) + l² var b. With n people and M methods and the variances of the jackknife (Student's t over each),

    half width² = t(n - 1)² · V_people + t(M - 1)² · (M + 1) · V_methods

Leaving methods out tells how much the mean over M methods would change, τ² / M where methods differ by τ. A case is of one
method that was never seen: it differs from that mean by τ² (1 + 1/M), M + 1 times as much. It is a prediction interval
for the method of the case, not a confidence interval of the mean over methods, for who made a fake by one method is not
helped by the mean over all.

Simulated with 29 people and 6 methods whose scores differ by 0, 0.5 and 1 (standard deviation, in log-odds) around an AUC
of 0.86, a case of a method that was not among them, the share of intervals that contained the true LLR of that method was
COVERAGE (nominal 0.95, 1,000 data sets each); tests/detect/evaluation/likelihood_ratios/test_uncertainty.py.

Künsch, The jackknife and the bootstrap for general stationary observations, 1989; Efron and Stein, The jackknife estimate
of variance, 1981.
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
        between = max(math.sqrt(count + 1) * self.methods.half_width(llr), moved)
        half = math.hypot(self.people.half_width(llr), between)
        return Limits(llr - half, llr + half)

    @property
    def described(self) -> str:
        """How it was made, in words."""
        return (
            f"jackknife over {self.people.units} people and {self.methods.units} methods, Student t, for a method that "
            "is none of them"
        )
