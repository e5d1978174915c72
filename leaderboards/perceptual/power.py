"""Power: how many raters a study needs to find a preference, from how much subjects and raters differ.

The test is that of `intervals`: Student's t of the logit of a share p, whose slope is q = p (1 - p). Its variance with
S subjects and R raters with m answers each is (vₛ / S + vᵣ / R + (q - vₛ - vᵣ) / (R m)) / q², of the covariances vₛ and
vᵣ that `spread` says. More raters make the last two small and leave the first: with few subjects some preferences are
found by no number of raters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import scipy.special
import scipy.stats

from dancebench.leaderboards.perceptual.spread import Spread, predict_moments

MOST_RATERS: Final = 5000
"""More are not asked."""


@dataclass(frozen=True)
class Design:
    """Of a study, for one pair of methods.

    Attributes:
        subjects: S, at least 2.
        answers: m, of each rater about the pair; may be a fraction.
        spread: How much subjects and raters differ.
        alpha: Level of the two-sided test.
    """

    subjects: int
    answers: float
    spread: Spread
    alpha: float = 0.05

    def compute_power(self, preference: float, raters: int) -> float:
        """The probability that a preference (a share) is found, in its direction, with so many raters, at least 2."""
        slope, expected = preference * (1 - preference), predict_moments(preference, self.spread)
        chance = slope - expected.subjects - expected.raters
        alone = chance / (slope**2 * raters * self.answers)
        by_subject = expected.subjects / slope**2 / self.subjects + alone
        by_rater = expected.raters / slope**2 / raters + alone
        total = by_subject + by_rater - alone
        squares = by_subject**2 / (self.subjects - 1) + by_rater**2 / (raters - 1)
        freedom = max(total**2 / squares, min(self.subjects, raters) - 1)
        limit = scipy.stats.t.ppf(1 - self.alpha / 2, freedom)
        shift = abs(float(scipy.special.logit(preference))) / math.sqrt(total)
        return float(scipy.stats.nct.sf(limit, freedom, shift))

    def find_raters(self, preference: float, power: float = 0.8) -> int | None:
        """The least number of raters that finds a preference with this probability; None where no number does."""
        low, high = 2, MOST_RATERS
        if self.compute_power(preference, high) < power:
            return None
        while low < high:
            middle = (low + high) // 2
            if self.compute_power(preference, middle) >= power:
                high = middle
            else:
                low = middle + 1
        return high
