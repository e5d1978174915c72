"""Weighted scores: their median, and the share of their weight below a limit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_ROUNDING = 1e-12


class Weighted(NamedTuple):
    """Scores (N,) and their weights (N,), at least one."""

    scores: Array
    weights: Array

    def median(self) -> float:
        """The least score up to which lies half of the weight."""
        order = np.argsort(self.scores, kind="stable")
        summed = np.cumsum(self.weights[order])
        return float(self.scores[order][np.searchsorted(summed, summed[-1] / 2 * (1 - _ROUNDING))])

    def share_up_to(self, limit: float) -> float:
        """The share of the weight at or below `limit`."""
        return float(self.weights[self.scores <= limit].sum() / self.weights.sum())
