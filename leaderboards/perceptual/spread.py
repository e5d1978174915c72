"""How much people differ in a preference: standard deviations of subjects and of raters, in logits.

An answer is 1 with probability expit(μ + s + r), with s ~ N(0, σₛ²) of the subject and r ~ N(0, σᵣ²) of the rater. Two
answers about one subject by two raters have the covariance Var(E[p | s]), two of one rater about two subjects
Var(E[p | r]). Both are estimated without bias from quadratic forms of the answers, whoever answered about whom
(Henderson's first method, 1953), and the σ are those under which the model has them. Several pairs of methods give one
σ of all: their covariances are added before any is cut at zero.

Chosen because it is right on average. 200 simulated studies each of 3 pairs, 5 subjects and 30 raters of SD 0.3, who
answer about each pair of all subjects or of three; the mean estimate of σₛ (of σᵣ in brackets), by the true σₛ:

                                                            0.2            0.5            1
    median over pairs, SD of shares over slope, all / three   0.15, 0.15     0.37, 0.36     0.76, 0.78
    this one, all subjects                                    0.19 (0.28)    0.46 (0.27)    1.01 (0.30)
    this one, three                                           0.19 (0.31)    0.47 (0.32)    1.06 (0.31)

REML mends nothing here: where every rater answers about every subject its variances are these, but for the cut at zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.special

from dancebench.leaderboards.perceptual.intervals import encode

MOST: Final = 5.0
"""Logits: more cannot be told from answers that are all alike within a subject."""
_ROUNDS: Final = 60
_NODES, _WEIGHTS = scipy.special.roots_hermitenorm(31)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()

Array = npt.NDArray[np.float64]


class Spread(NamedTuple):
    """How much subjects and raters differ in a preference, standard deviations in logits."""

    subjects: float
    raters: float


class Moments(NamedTuple):
    """Of answers about one pair of methods.

    Attributes:
        share: Their mean.
        subjects: Covariance of two answers about one subject by two raters.
        raters: Covariance of two answers of one rater about two subjects.
    """

    share: float
    subjects: float
    raters: float


def estimate_spread(pairs: Iterable[Moments]) -> Spread | None:
    """The spread under which the model has the covariances of all pairs together; None without pairs."""
    known = list(pairs)
    if not known:
        return None
    found = np.array([sum(each.subjects for each in known), sum(each.raters for each in known)]).clip(0)
    spread = np.where(found > 0, 0.5, 0.0)
    for _ in range(_ROUNDS):
        model = np.sum([predict_moments(each.share, Spread(*spread))[1:] for each in known], axis=0)
        step = np.sqrt(np.divide(found, model, out=np.zeros(2), where=model > 0))
        spread = np.minimum(spread * step, MOST)
    return Spread(float(spread[0]), float(spread[1]))


def predict_moments(share: float, spread: Spread) -> Moments:
    """What the model says at a share in (0, 1) of all people about all people."""
    subjects, raters = spread.subjects * _NODES[:, None], spread.raters * _NODES[None, :]
    centre = float(scipy.special.logit(share))
    for _ in range(_ROUNDS):  # Newton's method: the location whose mean over people is the share
        shares = scipy.special.expit(centre + subjects + raters)  # (nodes, nodes)
        slope = float(_WEIGHTS @ (shares * (1 - shares)) @ _WEIGHTS)
        change = (share - float(_WEIGHTS @ shares @ _WEIGHTS)) / max(slope, 1e-6)
        centre += float(np.clip(change, -2, 2))
        if abs(change) < 1e-10:
            break
    of_subjects, of_raters = shares @ _WEIGHTS, _WEIGHTS @ shares
    return Moments(share, float(_WEIGHTS @ (of_subjects - share) ** 2), float(_WEIGHTS @ (of_raters - share) ** 2))


def measure_moments(hits: Sequence[float], subjects: Sequence[str], raters: Sequence[str]) -> Moments | None:
    """Unbiased covariances of crossed answers, which may be negative.

    Args:
        hits: 1, 0, or 0.5 for a tie, one per answer.
        subjects: Who was shown.
        raters: Who answered.

    Returns:
        The moments; None for fewer than two subjects or raters, or where all agree. Where no rater answered twice
        raters are not told from chance: their covariance is 0.
    """
    values, people, voters = np.asarray(hits, dtype=np.float64), encode(subjects), encode(raters)
    share = float(values.mean())
    if share in (0.0, 1.0) or min(int(people.max()), int(voters.max())) < 1:
        return None
    n, groups = len(values), (people, voters)
    measured = [*(_measure_means(values, codes) for codes in groups), float(((values - share) ** 2).sum())]
    # Of each: what subjects, raters and chance make of it, each of variance one.
    expected = [[*(_expect(codes, other) for other in groups), _expect_chance(codes)] for codes in groups]
    expected.append([*(n - float((np.bincount(codes) ** 2).sum()) / n for codes in groups), n - 1.0])
    system = np.array(expected)
    if np.linalg.matrix_rank(system) < len(system):
        of_subjects, _ = np.linalg.lstsq(system[:, [0, 2]], measured, rcond=None)[0]
        return Moments(share, float(of_subjects), 0.0)
    of_subjects, of_raters, _ = np.linalg.solve(system, measured)
    return Moments(share, float(of_subjects), float(of_raters))


def _measure_means(values: Array, codes: npt.NDArray[np.intp]) -> float:
    """Sum of squares of the means of groups."""
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    return float(((means - means.mean()) ** 2).sum())


def _expect(codes: npt.NDArray[np.intp], other: npt.NDArray[np.intp]) -> float:
    """The sum of squares of the means of groups, if each of the other groups adds an effect of variance one."""
    counts = np.zeros((int(codes.max()) + 1, int(other.max()) + 1))
    np.add.at(counts, (codes, other), 1)
    parts = counts / counts.sum(axis=1, keepdims=True)
    return float(((parts - parts.mean(axis=0)) ** 2).sum())


def _expect_chance(codes: npt.NDArray[np.intp]) -> float:
    """The same, if each answer adds one."""
    sizes = np.bincount(codes)
    return float((1 / sizes).sum() * (1 - 1 / len(sizes)))
