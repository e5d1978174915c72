"""95% confidence intervals by person: from values (or a statistic) and the person behind each, to an interval.

The person is the unit of independence, never the video, the frame or the pair: many items of one person
tell little more than one. So intervals measure what changes when a whole person is left out, with Student's t
for the small number of persons. A percentile bootstrap over few subjects has far too low a coverage.

Of shares (accuracy, true- and false-positive rate) the jackknife alone covers too little: where most persons have no
miss at all, the few that are drawn say too little of how much persons differ. `jackknife_share_interval` therefore
takes exact binomial limits at an effective sample size. Simulated with persons of unequal difficulty (shares of 0.5
to 0.99, 1 to 64 items each, beta-distributed or a few hard persons, 1,000 data sets of each kind), the least coverage
of a nominal 95% over all kinds was, for 5, 8, 14 and 30 persons:

    jackknife-t on the logit       0.69  0.74  0.81  0.76
    Korn-Graubard                  0.78  0.72  0.81  0.79
    this one                       0.97  0.95  0.94  0.94    its mean width 1.05 to 1.11 times that of the first
    Clopper-Pearson over persons   0.97  0.96  0.97  0.94    1.14 to 1.37 times

Of equal persons with many items each the jackknife is right, and this one 2 to 6 times as wide: that hard persons exist
and none of them was drawn, few persons cannot exclude.

A difference of two statistics of the same items is tested on its own scale (`jackknife_difference`): where the
statistics are equal it is 0, far from its bounds, and errs to both sides alike. Simulated with two detectors of equal
AUC (0.5 to 0.99) that find the same or different persons hard, 1 to 8 items a person and class, the share of nominal
5% tests that reject was at most 0.05, 0.05, 0.06 and 0.06 for 5, 8, 14 and 30 persons; of differences of logits, the
scale of a single AUC, 0.17, 0.22, 0.19 and 0.13.

References: Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts
estimated from survey data, Survey Methodology 24 (1998); Kish, Survey sampling (1965); Agresti and Coull, Approximate
is better than "exact" for interval estimation of binomial proportions, The American Statistician 52 (1998).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats

from dancebench.core.metric import Interval

RELIABLE_SUBJECTS = 10
"""With fewer subjects an interval is shown, marked unreliable, and the values per subject beside it."""

JACKKNIFE_LOGIT = "jackknife-t (logit)"
SHARE_METHOD = "Korn-Graubard over subjects"
_PRIOR_PEOPLE = 2.0
"""How many persons the prior variance between persons is worth. With 1 the least coverage was 0.91, see above."""
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
    σ = sqrt((n-1)/n · Σ (θ₍ᵢ₎ - mean θ₍.₎)²) and the interval θ ± t(n-1) · σ. For an AUC it is computed on the
    logit scale, where σ becomes σ / (θ (1 - θ)), and mapped back: the limits stay in [0, 1]. The standard error
    is taken before the logit, so a replicate at 0 or 1 needs no clipping. At θ = 0 or 1 nothing varies, and the
    exact binomial interval (Clopper-Pearson) over subjects takes its place. Shares have intervals of their own.

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
    estimate, replicates = _jackknife(statistic, codes, count)
    if count < 2 or not (math.isfinite(estimate) and np.isfinite(replicates).all()):
        return None
    half = _t_quantile(confidence, count) * math.sqrt((count - 1) * float(replicates.var()))
    if half < _ROUNDING and _ROUNDING < estimate < 1 - _ROUNDING and scale == "logit":
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
    return _make_interval(float(bounds[0]), float(bounds[1]), JACKKNIFE_LOGIT, count)


def share_interval(hits: Sequence[bool], subjects: Sequence[str], *, confidence: float = 0.95) -> Interval | None:
    """Confidence interval of the share of hits (accuracy, preference): `jackknife_share_interval` of their mean.

    Raises:
        ValueError: Lengths differ.
    """
    numbers = np.asarray(hits, dtype=np.float64)  # (items,)
    _number_subjects(subjects, len(numbers))
    return jackknife_share_interval(lambda chosen: float(numbers[chosen].mean()), subjects, confidence=confidence)


def jackknife_share_interval(
    statistic: Callable[[Indices], float],
    subjects: Sequence[str],
    *,
    counted: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """Confidence interval of a share: exact binomial limits at the effective sample size (Korn and Graubard).

    With n subjects and the share θ, the jackknife's variance σ² (see `jackknife_interval`) is averaged with that of
    subjects who are all hits or all misses, which counts as two subjects: with k subjects' worth of items (Kish:
    k = (Σ mᵢ)² / Σ mᵢ² of mᵢ items each; k = n where all have as many) and the share π = (k θ + 1) / (k + 2) of
    Laplace's rule, v = ((n - 1) σ² + 2 π (1 - π) / k) / (n - 1 + 2). The effective sample size θ (1 - θ) / v is at
    most the number of items and at least k, for a subject tells as much as one item; less only where σ² itself says
    so, 1 + θ (1 - θ) / σ² < k, since a threshold varies with the subjects too. The limits are Clopper's and
    Pearson's with that size: of one item a subject, or of hits alone, exactly those over subjects.

    Args:
        statistic: Maps the indices of the items included to the share; NaN where undefined.
        subjects: The person behind each item.
        counted: Which items the share is of, say the fakes; None: all.
        confidence: Coverage: the share of intervals that should contain the true value.

    Returns:
        The interval, or None for fewer than two subjects, or where the share is undefined for all items or without
        one of the subjects.

    Raises:
        ValueError: A share outside [0, 1].
    """
    codes, count = _number_subjects(subjects, len(subjects))
    estimate, replicates = _jackknife(statistic, codes, count)
    if count < 2 or not (math.isfinite(estimate) and np.isfinite(replicates).all()):
        return None
    if not -_ROUNDING < estimate < 1 + _ROUNDING:
        raise ValueError("a share lies in [0, 1]")
    items = np.bincount(codes if counted is None else codes[np.asarray(counted, dtype=np.bool_)])  # (subjects,)
    people = float(items.sum() ** 2 / (items**2).sum())
    variance = (count - 1) * float(replicates.var())
    return make_share_interval(estimate, variance, count, people, int(items.sum()), confidence=confidence)


def make_share_interval(
    share: float, variance: float, subjects: int, people: float, items: int, *, confidence: float = 0.95
) -> Interval:
    """The interval of `jackknife_share_interval`, from what it depends on.

    Args:
        share: θ, in [0, 1].
        variance: σ² of the jackknife.
        subjects: n, at least two.
        people: k, how many subjects' worth of items there are.
        items: How many items the share is of.
        confidence: Coverage: the share of intervals that should contain the true value.
    """
    if min(share, 1 - share) < _ROUNDING:
        low, high = _exact_limits(round(share), people, confidence)
        return _make_interval(low, high, "Clopper-Pearson over subjects", subjects)
    size = _effective_size(share, variance, subjects, people, items)
    low, high = _exact_limits(share, size, confidence)
    return _make_interval(low, high, SHARE_METHOD, subjects)


def _effective_size(share: float, variance: float, count: int, people: float, items: int) -> float:
    """How many independent items a share inside (0, 1) is worth, see `jackknife_share_interval`."""
    binomial, smoothed = share * (1 - share), (people * share + 1) / (people + 2)
    prior = smoothed * (1 - smoothed) / people
    averaged = ((count - 1) * variance + _PRIOR_PEOPLE * prior) / (count - 1 + _PRIOR_PEOPLE)
    least = min(people, 1 + binomial / variance) if variance > 0 else people
    return min(max(binomial / averaged, least), items)


def _exact_limits(share: float, size: float, confidence: float) -> tuple[float, float]:
    """Clopper's and Pearson's limits of a share of `size` items, which need not be whole."""
    hits, misses, tail = share * size, (1 - share) * size, (1 - confidence) / 2
    low = 0.0 if hits <= 0 else float(scipy.stats.beta.ppf(tail, hits, misses + 1))
    high = 1.0 if misses <= 0 else float(scipy.stats.beta.ppf(1 - tail, hits + 1, misses))
    return low, high


class Difference(NamedTuple):
    """A difference of two statistics of the same items."""

    value: float
    interval: Interval | None
    """None where no deletion of a subject changes the difference: it is coarse, not certain."""
    p: float | None
    """Of equal statistics, two-sided; None without an interval."""


def jackknife_difference(
    first: tuple[float, npt.NDArray[np.float64]],
    second: tuple[float, npt.NDArray[np.float64]],
    *,
    confidence: float = 0.95,
) -> Difference:
    """Compare two statistics of the same items: the jackknife of their difference, Student's t over subjects.

    What both have in common of a subject cancels, so the interval is narrower than those of the two would suggest.

    Args:
        first: A statistic in [0, 1] of all items, and without each of the subjects (subjects,).
        second: The other statistic, without the same subjects in the same order.
        confidence: Coverage: the share of intervals that should contain the true difference.

    Raises:
        ValueError: Fewer than two subjects, not the same number, or a value that is not finite.
    """
    (estimate, replicates), (other_estimate, other_replicates) = first, second
    count = len(replicates)
    if count < 2 or replicates.shape != other_replicates.shape:
        raise ValueError("both statistics leave out the same subjects, two at least")
    difference, left_out = estimate - other_estimate, replicates - other_replicates  # (), (subjects,)
    if not (math.isfinite(difference) and np.isfinite(left_out).all()):
        raise ValueError("the statistics are defined for all items and without each subject")
    error = math.sqrt((count - 1) * float(left_out.var()))
    if error < _ROUNDING:
        return Difference(difference, None, None)
    half = _t_quantile(confidence, count) * error
    low, high = max(-1.0, difference - half), min(1.0, difference + half)
    p = 2 * float(scipy.stats.t.sf(abs(difference) / error, count - 1))
    return Difference(difference, _make_interval(low, high, "jackknife-t of the difference", count), p)


def permutation_mean(
    statistic: Callable[[npt.NDArray[Labels]], float],
    labels: npt.NDArray[Labels],
    subjects: Sequence[str],
    *,
    permutations: int,
    seed: int,
) -> float:
    """Mean of a statistic over label permutations within each subject: its chance level.

    Permuting only within subjects keeps each person's number of items per label, so that what a person's items
    have in common cannot be mistaken for an effect. How many of these permutations reach the observed value is no p
    where a person's items of one label have more in common than their person: see `signed_rank_p`.

    Args:
        statistic: From labels (items,) to a number.
        labels: The observed labels (items,).
        subjects: The person behind each item.
        permutations: Number of random permutations.
        seed: Seed of the permutations.

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
    if not np.isfinite(chance).all():
        raise ValueError("the statistic is undefined for some labelling")
    return float(chance.mean())


def signed_rank_p(differences: Sequence[float], *, permutations: int, seed: int) -> float:
    """Wilcoxon's signed-rank test by person: are the differences between two labels above 0?

    All items of a person under one label are swapped with those under the other, as one block: the sign of that
    person's difference. Persons are exchangeable so; their single items are not, since what changes one fake of a
    person (that person's synthesizer, say) changes all of them. In simulations without an effect, in which the fakes
    of a person share up to twice the deviation of a video, permuting items gave p of 0.05 and less in up to 20% of the
    cases, this test in 5%.

    Args:
        differences: One finite number per person: under the one label minus under the other.
        permutations: All swaps of `2 ** people` are made if they are no more than this, else so many random ones.
        seed: Seed of the random swaps.

    Returns:
        The one-sided p: the share of swaps whose sum of signed ranks reaches the observed one, which is among them.
        Differences of 0 have no sign and add nothing; without others p is 1.

    Raises:
        ValueError: A difference is not finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a difference is not finite")
    values = values[values != 0]
    signed = np.sign(values) * scipy.stats.rankdata(np.abs(values))
    if 2 ** len(signed) <= permutations:
        signs = np.array(list(itertools.product([1.0, -1.0], repeat=len(signed))))
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(permutations + 1, len(signed)))
        signs[0] = 1
    return float(np.mean(signs @ signed >= signed.sum() - _ROUNDING))


def _jackknife(
    statistic: Callable[[Indices], float], codes: Indices, count: int
) -> tuple[float, npt.NDArray[np.float64]]:
    """The statistic of all items, and without each of the subjects (subjects,); not computed for fewer than two."""
    if count < 2:
        return math.nan, np.zeros(0)
    replicates = [float(statistic(np.flatnonzero(codes != left_out))) for left_out in range(count)]
    return float(statistic(np.arange(len(codes)))), np.array(replicates)


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
