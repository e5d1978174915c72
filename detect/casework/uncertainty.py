"""Uncertainty of a video's score: pair logits in order of time in, an interval and the most suspicious pairs out.

The 95% confidence interval says how far the score would vary with other frames of the same video. It says
nothing of errors on unseen people; the error rates of the threshold do that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.stats

Floats = npt.NDArray[np.float64]

MIN_BLOCKS = 4
"""Fewer blocks do not show how blocks vary: Student's t with 2 degrees of freedom gives 4.3 standard errors."""
MAX_PAIRS = 4
MIN_APART = 0.5
"""Seconds between two suspicious pairs, so that one blink is not shown four times."""


class BlockInterval(NamedTuple):
    """A 95% confidence interval from blocks of time."""

    low: float
    high: float
    blocks: int


def count_blocks(n: int) -> int:
    """Count blocks of about the cube root of `n` pairs: they grow longer than neighbouring pairs correlate."""
    return n // max(1, round(math.cbrt(n)))


def block_jackknife(
    statistic: Callable[[Floats], float], values: Floats, confidence: float = 0.95
) -> BlockInterval | None:
    """Confidence interval of a statistic of a series: delete one block of time at a time, Student's t over the blocks.

    Neighbouring pairs are correlated, so whole blocks are left out (Künsch 1989; Politis, Romano and Wolf 1999,
    section 9.2): with B blocks and θ₍ᵢ₎ without block i, σ² = (B - 1) / B · Σ (θ₍ᵢ₎ - mean θ₍.₎)², and the
    interval is θ ± t(B - 1) · σ.

    Args:
        statistic: From values (n,), n >= 1, to a number.
        values: float64 (N,) in order of time.
        confidence: Nominal coverage of the interval.

    Returns:
        The interval, or None for fewer than `MIN_BLOCKS` blocks.
    """
    count = count_blocks(len(values))
    if count < MIN_BLOCKS:
        return None
    blocks = np.array_split(np.arange(len(values)), count)
    replicates = np.array([statistic(np.delete(values, block)) for block in blocks])  # (B,)
    standard_error = np.sqrt((count - 1) * replicates.var())
    half_width = float(scipy.stats.t.ppf((1 + confidence) / 2, count - 1) * standard_error)
    centre = statistic(values)
    return BlockInterval(centre - half_width, centre + half_width, count)


def find_most_suspicious(times: Floats, llrs: Floats, span: float) -> Sequence[int]:
    """Indices of at most `MAX_PAIRS` suspicious pairs, the highest first, that do not overlap in time.

    Args:
        times: When each pair is shown, in seconds (N,), increasing.
        llrs: Log likelihood ratios (N,); of equal ones the earlier comes first.
        span: How long a pair is shown, in seconds.
    """
    min_gap = max(span, MIN_APART)
    chosen: list[int] = []
    for index in np.argsort(-llrs, kind="stable").tolist():
        if all(abs(times[index] - times[other]) >= min_gap for other in chosen):
            chosen.append(index)
            if len(chosen) == MAX_PAIRS:
                break
    return chosen
