"""Paired comparisons of AUCs: labels and two scores per video in; a difference with its p out.

Two tests stand side by side. The jackknife leaves out one person (or clip group) at a time and holds whatever videos of
one person have in common. DeLong's takes videos as independent: it is what the field reports, and right only where
no two videos share a person. Five detectors of equal AUC on people of unequal difficulty (two reals and four fakes
each, 400 data sets of 5, 8, 14 and 30 people): after Holm's adjustment the jackknife told some two apart in 2, 1, 2
and 4% of them, DeLong's test in 26, 36, 40 and 37%.

Both rest on placements: how many of the other class a score lies on
the right side of.

References: DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver operating
characteristic curves, Biometrics 44 (1988); Sun and Xu, Fast implementation of DeLong's algorithm, IEEE Signal
Processing Letters 21 (2014).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.stats

Labels = npt.NDArray[np.int64]
"""(N,), 1 = fake, 0 = real."""
Scores = npt.NDArray[np.float64]
"""(N,), higher = more likely fake."""


class DeLong(NamedTuple):
    """DeLong's comparison of two AUCs of the same videos."""

    difference: float
    standard_error: float
    p: float | None
    """Of equal AUCs, two-sided; None where the placements vary in neither class."""


def count_placements(labels: Labels, scores: Scores) -> npt.NDArray[np.float64]:
    """Count, for each fake, the reals that score lower, and for each real, the fakes that score higher (N,).

    Ties count half.
    """
    fakes, reals = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    below = (np.searchsorted(reals, scores, "left") + np.searchsorted(reals, scores, "right")) / 2
    above = len(fakes) - (np.searchsorted(fakes, scores, "left") + np.searchsorted(fakes, scores, "right")) / 2
    return np.where(labels == 1, below, above)


def jackknife_auc(labels: Labels, scores: Scores, units: npt.NDArray[np.str_]) -> tuple[float, Scores]:
    """Compute the AUC of all videos, and without each unit (units,), in the units' alphabetical order.

    A value is NaN where one class is missing. Ties count half.

    Args:
        labels: Of the videos.
        scores: Of the videos.
        units: The person, or the clip group, of each video.
    """
    names, codes = np.unique(units, return_inverse=True)
    placements = count_placements(labels, scores)
    fakes, reals = (np.bincount(codes[labels == label], minlength=len(names)) for label in (1, 0))
    ordered = float(placements[labels == 1].sum())  # pairs of a fake and a real in the right order
    touched = np.bincount(codes, weights=placements, minlength=len(names))  # counts pairs within a unit twice
    within = _count_ordered_within(labels, scores, codes, len(names))
    left = (fakes.sum() - fakes) * (reals.sum() - reals)  # (units,) pairs without the unit
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = np.where(left > 0, (ordered - touched + within) / left, np.nan)
    total = int(fakes.sum() * reals.sum())
    return (ordered / total if total else math.nan), replicates


def _count_ordered_within(labels: Labels, scores: Scores, codes: npt.NDArray[np.intp], count: int) -> Scores:
    """Count the pairs of a fake and a real of the same unit that are in the right order (units,); ties count half."""
    values, ranks = np.unique(scores, return_inverse=True)
    keys = codes * len(values) + ranks  # in the order of units, then of scores
    reals, fakes = np.sort(keys[labels == 0]), keys[labels == 1]
    first = np.searchsorted(reals, codes[labels == 1] * len(values), "left")  # of the unit's own reals
    below = (np.searchsorted(reals, fakes, "left") + np.searchsorted(reals, fakes, "right")) / 2 - first
    return np.bincount(codes[labels == 1], weights=below, minlength=count).astype(np.float64)


def delong(labels: Labels, scores: Scores, other_scores: Scores) -> DeLong:
    """Compare two AUCs of the same videos by DeLong's test.

    Args:
        labels: Of the videos; at least two of each class.
        scores: Of the first detector.
        other_scores: Of the second.

    Raises:
        ValueError: Fewer than two videos of a class.
    """
    n_fake, n_real = int((labels == 1).sum()), int((labels == 0).sum())
    if min(n_fake, n_real) < 2:
        raise ValueError("DeLong's test takes two videos of each class at least")
    placed = count_placements(labels, scores) - count_placements(labels, other_scores)
    fakes, reals = placed[labels == 1] / n_real, placed[labels == 0] / n_fake
    difference = float(fakes.mean())
    error = math.sqrt(float(fakes.var(ddof=1)) / n_fake + float(reals.var(ddof=1)) / n_real)
    p = 2 * float(scipy.stats.norm.sf(abs(difference) / error)) if error > 0 else None
    return DeLong(difference, error, p)
