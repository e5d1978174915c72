"""Metric values with their confidence interval, sample size and unit."""

from __future__ import annotations

import math
from typing import Self

from pydantic import model_validator

from dancebench.core.schema import Strict


class Interval(Strict):
    """A 95% confidence interval whose unit of independence is the person."""

    low: float
    high: float
    method: str
    """How it was computed, e.g. `jackknife-t (logit)` or `Clopper-Pearson over subjects`."""
    subjects: int
    reliable: bool
    """False below 10 subjects: show the values per subject instead."""


class Metric(Strict):
    """One number of a run record; null with its reason where it cannot be computed."""

    value: float | None
    reason: str | None = None
    ci95: Interval | None = None
    n: int
    """Sample size: how many items the value is the mean (or statistic) of."""
    unit: str
    """What the value is measured in, with its range, e.g. `SSIM in [-1, 1]`, `dB`, `share`."""
    higher_is_better: bool | None
    """None where neither direction is better."""

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> Self:
        if (self.value is None) != (self.reason is not None):
            raise ValueError("a metric has a value, or null and the reason, never both or neither")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"a metric's value is finite, not {self.value}")
        return self
