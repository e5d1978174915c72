"""A measured number with what is needed to defend it, and the key under which it stands in a record."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, Self

from pydantic import model_validator

from dancebench.core.schema import Strict

Level = Literal["video", "pair"]
_LEVELS: Final[tuple[Level, ...]] = ("video", "pair")


class Condition(NamedTuple):
    """What a metric is restricted to: `perturbation=crf40`, `source=same`."""

    kind: str
    value: str


@dataclass(frozen=True)
class MetricKey:
    """The key of a metric in a record, written `LEVEL_NAME@KIND=VALUE`: `video_auc@perturbation=crf40`.

    Attributes:
        name: What is measured, e.g. `auc` or `body_ssim`.
        level: What a score belongs to; None where the metric has no level or its name holds none.
        condition: None for the metric over everything.
    """

    name: str
    level: Level | None = None
    condition: Condition | None = None

    @classmethod
    @functools.lru_cache(maxsize=4096)  # thousands of records hold the same few hundred keys
    def parse(cls, text: str) -> Self:
        """Read a key as records hold it; any text is one, and `str` gives it back."""
        base, _, rest = text.partition("@")
        kind, is_condition, value = rest.partition("=")
        condition = Condition(kind, value) if is_condition else None
        whole = base if is_condition else text
        for level in _LEVELS:
            if whole.startswith(f"{level}_"):
                return cls(whole.removeprefix(f"{level}_"), level, condition)
        return cls(whole, None, condition)

    def under(self, kind: str, value: str) -> Self:
        """The key of the same metric under a condition."""
        return replace(self, condition=Condition(kind, value))

    def __str__(self) -> str:
        level = "" if self.level is None else f"{self.level}_"
        condition = "" if self.condition is None else "@{}={}".format(*self.condition)
        return f"{level}{self.name}{condition}"


_RENAMED: Final = {"ece": "expected_calibration_error"}


def rename_metrics(values: dict[str, Any]) -> dict[str, Any]:
    """Values by the keys that metrics had in earlier releases, by those that they have now."""
    keys = {text: MetricKey.parse(text) for text in values}
    return {
        str(replace(key, name=_RENAMED[key.name])) if key.name in _RENAMED else text: values[text]
        for text, key in keys.items()
    }


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
