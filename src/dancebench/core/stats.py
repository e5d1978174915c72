"""95% confidence intervals by person: from values (or a statistic) and the person behind each, to an interval.

The person is the unit of independence, never the video, the frame or the pair: many items of one person
tell little more than one. So intervals measure what changes when a whole person is left out, with Student's t
for the small number of persons. A percentile bootstrap over few subjects has far too low a coverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats

from dancebench.core.metric import Interval

RELIABLE_SUBJECTS = 10
"""With fewer subjects an interval is shown, marked unreliable, and the values per subject beside it."""

_ROUNDING = 1e-9  # values this close are the same

Indices = npt.NDArray[np.intp]
Labels = TypeVar("Labels", bound=np.generic)


def mean_interval(values: Sequence[float], subjects: Sequence[str], confidence: float = 0.95) -> Interval | None:
    """Confidence interval of the mean over subjects of each subject's mean: Student's t over subjects.

    Args:
        values: One finite number per item.
        subjects: The person behind each item.
        confidence: Coverage: the share of intervals that should contain the true mean.

    Returns:
        The interval, or None for fewer than two subjects.

    Raises:
        ValueError: Lengths differ, or a value is not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)  # (items,)
    codes, count = _number_subjects(subjects, len(numbers))
    if not np.isfinite(numbers).all():
        raise ValueError("values are finite; an item without a value is left out with its reason")
    if count < 2:
        return None
    means = np.bincount(codes, weights=numbers) / np.bincount(codes)  # (subjects,)
    half = _t_quantile(confidence, count) * float(means.std(ddof=1)) / math.sqrt(count)
    centre = float(means.mean())
    return _make_interval(centre - half, centre + half, "Student t over subjects", count)


def jackknife_interval(
    statistic: Callable[[Indices], float],
    subjects: Sequence[str],
    *,
    scale: Literal["logit", "identity"] = "logit",
    confidence: float = 0.95,
) -> Interval | None:
    """Jackknife confidence interval of any statistic: delete one subject at a time, Student's t over subjects.

    With θ from all items, θ₍ᵢ₎ without subject i and n subjects, the standard error is
    σ = sqrt((n-1)/n · Σ (θ₍ᵢ₎ - mean θ₍.₎)²) and the interval θ ± t(n-1) · σ. For AUC and shares it is
    computed on the logit scale, where σ becomes σ / (θ (1 - θ)), and mapped back: the limits stay in [0, 1].
    The standard error is taken before the logit, so a replicate at 0 or 1 needs no clipping, and a larger
    share has larger limits. At θ = 0 or 1 nothing varies, and the exact binomial interval (Clopper-Pearson)
    over subjects takes its place.

    Args:
        statistic: Maps the indices of the items included to the statistic; NaN where undefined.
        subjects: The person behind each item.
        scale: `logit` for a statistic in [0, 1], `identity` for one without bounds.
        confidence: Coverage: the share of intervals that should contain the true value.

    Returns:
        The interval, or None for fewer than two subjects, where the statistic is undefined for all items
        or without one of the subjects, or where no deletion changes a statistic inside (0, 1).

    Raises:
        ValueError: A statistic outside [0, 1] on the logit scale.
    """
    codes, count = _number_subjects(subjects, len(subjects))
    if count < 2:
        return None
    estimate = float(statistic(np.arange(len(codes))))
    replicates = np.array([float(statistic(np.flatnonzero(codes != left_out))) for left_out in range(count)])
    if not (math.isfinite(estimate) and np.isfinite(replicates).all()):
        return None
    half = _t_quantile(confidence, count) * math.sqrt((count - 1) * float(replicates.var()))
    if half == 0 and 0 < estimate < 1 and scale == "logit":
        return None  # no deletion changes the statistic: it is coarse, not certain
    if scale == "identity":
        return _make_interval(estimate - half, estimate + half, "jackknife-t", count)
    if not -_ROUNDING < estimate < 1 + _ROUNDING:
        raise ValueError("a statistic on the logit scale lies in [0, 1]")
    if min(estimate, 1 - estimate) < _ROUNDING:
        exact = scipy.stats.binomtest(round(estimate * count), count).proportion_ci(confidence, "exact")
        return _make_interval(float(exact.low), float(exact.high), "Clopper-Pearson over subjects", count)
    centre, half = scipy.special.logit(estimate), half / (estimate * (1 - estimate))
    bounds = np.asarray(scipy.special.expit([centre - half, centre + half]))
    return _make_interval(float(bounds[0]), float(bounds[1]), "jackknife-t (logit)", count)


def share_interval(hits: Sequence[bool], subjects: Sequence[str], *, confidence: float = 0.95) -> Interval | None:
    """Confidence interval of the share of hits (accuracy, preference): `jackknife_interval` of their mean.

    Raises:
        ValueError: Lengths differ.
    """
    numbers = np.asarray(hits, dtype=np.float64)  # (items,)
    _number_subjects(subjects, len(numbers))
    return jackknife_interval(lambda chosen: float(numbers[chosen].mean()), subjects, confidence=confidence)


def permutation_p(
    statistic: Callable[[npt.NDArray[Labels]], float],
    labels: npt.NDArray[Labels],
    subjects: Sequence[str],
    *,
    permutations: int,
    seed: int,
) -> tuple[float, float]:
    """Permutation test of a statistic against chance, with labels permuted within each subject.

    Permuting only within subjects keeps each person's number of items per label, so that what a person's items
    have in common cannot be mistaken for an effect.

    Args:
        statistic: From labels (items,) to a number; larger is more extreme.
        labels: The observed labels (items,).
        subjects: The person behind each item.
        permutations: Number of random permutations; the smallest p is 1 / (1 + permutations).
        seed: Seed of the permutations.

    Returns:
        The statistic's mean over the permutations (the chance level) and the one-sided
        p = (1 + permutations that reach the observed value) / (1 + permutations).

    Raises:
        ValueError: Lengths differ, or the statistic is undefined.
    """
    codes, _ = _number_subjects(subjects, len(labels))
    generator = np.random.default_rng(seed)
    grouped = np.argsort(codes, kind="stable")  # items grouped by subject
    chance = np.empty(permutations)
    for k in range(permutations):
        shuffled = np.empty_like(labels)
        shuffled[grouped] = labels[np.lexsort((generator.random(len(codes)), codes))]
        chance[k] = statistic(shuffled)
    observed = statistic(labels)
    if not (math.isfinite(observed) and np.isfinite(chance).all()):
        raise ValueError("the statistic is undefined for some labelling")
    n_extreme = int((chance >= observed - _ROUNDING).sum())
    return float(chance.mean()), (1 + n_extreme) / (1 + permutations)


def _number_subjects(subjects: Sequence[str], items: int) -> tuple[Indices, int]:
    """Encode the persons as integers: the code of each item (items,), and the number of persons."""
    if len(subjects) != items:
        raise ValueError(f"{items} items but {len(subjects)} subjects")
    names, codes = np.unique(np.asarray(subjects, dtype=np.str_), return_inverse=True)
    return codes.astype(np.intp), len(names)


def _t_quantile(confidence: float, count: int) -> float:
    return float(scipy.stats.t.ppf((1 + confidence) / 2, count - 1))


def _make_interval(low: float, high: float, method: str, count: int) -> Interval:
    return Interval(low=low, high=high, method=method, subjects=count, reliable=count >= RELIABLE_SUBJECTS)
