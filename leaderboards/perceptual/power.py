"""Power: how many raters a study needs to find a preference, from how much subjects and raters differ.

The test is that of `intervals`: Student's t of the logit, whose variance is that of S subjects and R raters with
m answers each, at the preference p with slope q = p (1 - p): σₛ² / S + σᵣ² / R + 1 / (q R m). More raters make the last
two small and leave the first: with few subjects some preferences are found by no number of raters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import scipy.special
import scipy.stats

MOST_RATERS: Final = 5000
"""More are not asked."""


@dataclass(frozen=True)
class Design:
    """Of a study, for one pair of methods.

    Attributes:
        subjects: S, at least 2.
        answers: m, of each rater about the pair; may be a fraction.
        subject_sd: σₛ, in logits.
        rater_sd: σᵣ, in logits.
        alpha: Level of the two-sided test.
    """

    subjects: int
    answers: float
    subject_sd: float
    rater_sd: float
    alpha: float = 0.05

    def compute_power(self, preference: float, raters: int) -> float:
        """The probability that a preference (a share) is found, in its direction, with so many raters, at least 2."""
        slope = preference * (1 - preference)
        alone = 1 / (slope * raters * self.answers)
        by_subject, by_rater = self.subject_sd**2 / self.subjects + alone, self.rater_sd**2 / raters + alone
        total = by_subject + by_rater - alone
        spread = by_subject**2 / (self.subjects - 1) + by_rater**2 / (raters - 1)
        freedom = max(total**2 / spread, min(self.subjects, raters) - 1)
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
