"""From the logits of a video's pairs to the video's one score.

`mean-logit` (the default) is the mean log-odds: videos of different lengths compare. `product` is the rule
of Everybody Dance Now (section 5): multiply the pairs' probabilities for fake and for real. Their ratio is
taken in log space, where it is the sum of the log-odds: as a product of float32 probabilities it is 0 for
both after some fifty pairs, and ties destroy the ROC. Its ranking depends on the number of pairs.
A new rule is a function and its line in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError, UnknownNameError

DEFAULT_RULE = "mean-logit"


Rule = Callable[[npt.NDArray[np.float64]], float]


def _mean(logits: npt.NDArray[np.float64]) -> float:
    return float(logits.mean())


def _sum(logits: npt.NDArray[np.float64]) -> float:
    return float(logits.sum())


RULES: dict[str, Rule] = {"mean-logit": _mean, "product": _sum}
"""Name to rule: float64 (N,) with N >= 1, sorted, to a score; higher = more likely fake."""


def find_rule(name: str) -> Rule:
    """A rule by name.

    Raises:
        UnknownNameError: There is no such rule.
    """
    if name not in RULES:
        raise UnknownNameError("aggregator", name, RULES)
    return RULES[name]


def aggregate(logits: npt.NDArray[np.floating[Any]] | Sequence[float], rule: str = DEFAULT_RULE) -> float:
    """The video's score.

    Args:
        logits: (N,) log-odds of its pairs, finite; their order does not matter.
        rule: A name of `RULES`.

    Raises:
        UnknownNameError: There is no such rule.
        BenchError: No pair, or a logit that is not finite.
    """
    apply = find_rule(rule)
    values = np.asarray(logits, dtype=np.float64)  # (N,)
    if values.size == 0:
        raise BenchError("A video without a scored pair has no score.", hint="It needs two frames or more.")
    if not np.isfinite(values).all():
        raise BenchError(
            f"{int((~np.isfinite(values)).sum())} of {values.size} pair logits are not finite.",
            hint="The detector's weights are unusable: train it again.",
        )
    return apply(np.sort(values))  # sorted: rounding then cannot depend on the order
