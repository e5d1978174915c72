"""Records before version 3: intervals of shares, made again from the jackknife's that they held.

In: the metrics of a record, as JSON. Out: the same, with intervals of shares that cover (`core.stats`). A record keeps
no scores, but its old interval tells the jackknife's variance, and with the number of items of each person, that is all
the new interval depends on. A record does not say that number: where the items cannot have been spread evenly over the
people (their number is no multiple), and where an old limit has lost its digits, the old interval stays.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import scipy.special
import scipy.stats
from pydantic import ValidationError

from dancebench.core.metric import Interval, MetricKey
from dancebench.core.stats.inference import JACKKNIFE_LOGIT, SHARE_METHOD, make_share_interval

REMADE: Final = f"{SHARE_METHOD}, from the jackknife's of an earlier release"
_MEANS: Final = ("accuracy", "fpr", "tpr", "abstained")
_AT_A_RATE: Final = ("tpr_fpr1", "tpr_fpr5")
_REALS: Final = re.compile(r"; (\d+) reals allow steps")


def remake_share_intervals(metrics: dict[str, Any], people: int) -> dict[str, Any]:
    """The metrics with new intervals of shares; what is no metric is left for validation to refuse.

    Args:
        metrics: By name, as JSON.
        people: Number of the record's people.
    """
    return {name: _remake(MetricKey.parse(name).name, metric, people) for name, metric in metrics.items()}


def _remake(name: str, metric: Any, people: int) -> Any:
    if name not in (*_MEANS, *_AT_A_RATE) or not isinstance(metric, dict):
        return metric
    share, items, old = metric.get("value"), _count_items(name, metric), metric.get("ci95")
    if not isinstance(share, float) or not 0 < share < 1 or items is None:
        return metric
    subjects, variance = people, 0.0  # no deletion changed the share
    if old is not None:
        interval = _read_interval(old)
        if interval is None or interval.method != JACKKNIFE_LOGIT:
            return metric
        subjects, variance = interval.subjects, _read_variance(share, interval)
    elif name not in _MEANS:
        return metric
    if math.isnan(variance) or subjects < 2 or items % subjects:
        return metric
    remade = make_share_interval(share, variance, subjects, float(subjects), items)
    return metric | {"ci95": remade.model_dump(mode="json") | {"method": REMADE}}


def _read_interval(data: Any) -> Interval | None:
    try:
        return Interval.model_validate(data)
    except ValidationError:
        return None


def _count_items(name: str, metric: dict[str, Any]) -> int | None:
    """How many items the share is of; of a true-positive rate at a false-positive rate, the fakes."""
    total = metric.get("n")
    if not isinstance(total, int):
        return None
    reals = _REALS.search(str(metric.get("unit"))) if name in _AT_A_RATE else None
    if name in _AT_A_RATE and reals is None:
        return None
    items = total - int(reals[1]) if reals else total
    return items if items > 0 else None


def _read_variance(share: float, interval: Interval) -> float:
    """The jackknife's variance, from an interval on the logit scale; NaN where it cannot be read from the limits."""
    if interval.subjects < 2 or not 0 <= interval.low <= interval.high <= 1:
        return math.nan
    limits = [limit for limit in scipy.special.logit([interval.low, interval.high]) if math.isfinite(limit)]
    if not limits:
        return math.nan
    precise = min(limits, key=abs)  # near 0 and 1 digits are lost
    half = abs(precise - scipy.special.logit(share))
    quantile = scipy.stats.t.ppf(0.975, interval.subjects - 1)
    return float((half * share * (1 - share) / quantile) ** 2)
