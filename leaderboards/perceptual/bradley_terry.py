"""Bradley-Terry: from choices to a strength of every method, in logits that sum to zero.

Of the options S the method i is chosen with probability exp(θᵢ) / Σ exp(θⱼ): Bradley and Terry's model for two, Luce's
for more. Ties of two are a further outcome of utility δ + (θᵢ + θⱼ) / 2 (Davidson 1970, ν = exp δ), estimated where
there are any, never split or dropped. The ridge adds λ/2 Σ (θᵢ - θⱼ)² over the pairs that were compared, so that what
was not compared is not pulled together; λ = 0 is maximum likelihood, which is infinite where a method never lost.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.sparse.csgraph
import scipy.special

from dancebench.core.errors import BenchError
from dancebench.leaderboards.perceptual.votes import Vote

RIDGE: Final = 0.1
"""Weak: a normal prior of variance 10 on each compared difference."""
JOD_LOGITS: Final = math.log(3)
"""One just-objectionable difference: three of four people choose the better."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BradleyTerry:
    """Fitted strengths.

    Attributes:
        strengths: θ in logits by method; their sum is zero.
        tie: Davidson's δ in logits; None without ties.
        ridge: λ of the fit.
    """

    strengths: dict[str, float]
    tie: float | None
    ridge: float

    def predict(self, method: str, other: str) -> float:
        """The probability that `method` is chosen over `other`, ties aside."""
        return float(scipy.special.expit(self.strengths[method] - self.strengths[other]))


@dataclass(frozen=True)
class _Comparison:
    """All votes among one set of options."""

    utilities: Array
    """(outcomes, parameters): what each outcome's utility is a linear function of."""
    counts: Array
    """(outcomes,)"""


def fit_bradley_terry(votes: Iterable[Vote], *, ridge: float = RIDGE) -> BradleyTerry:
    """Fit the model to votes on one question.

    Args:
        votes: All of them.
        ridge: λ, at least 0.

    Raises:
        BenchError: The methods fall into groups that were never compared with each other, or, without a ridge, some
            method never lost or never won against the others.
    """
    chosen = list(votes)
    methods = sorted({method for vote in chosen for method in vote.options})
    _require_connected(chosen, methods, strongly=ridge == 0)
    has_ties = any(vote.choice is None for vote in chosen)
    comparisons = _count_outcomes(chosen, methods, has_ties)
    penalty = ridge * _make_laplacian(chosen, methods, has_ties)
    fitted = _minimise(comparisons, penalty, len(methods) + has_ties)
    strengths = fitted[: len(methods)] - fitted[: len(methods)].mean()
    values = {method: float(value) for method, value in zip(methods, strengths, strict=True)}
    return BradleyTerry(values, float(fitted[-1]) if has_ties else None, ridge)


def _require_connected(votes: Sequence[Vote], methods: Sequence[str], *, strongly: bool) -> None:
    """An arrow from every method that lost to the one chosen; a tie points both ways."""
    index = {method: at for at, method in enumerate(methods)}
    graph = np.zeros((len(methods), len(methods)))
    for vote in votes:
        for winner in [vote.choice] if vote.choice is not None else vote.options:
            for loser in vote.options:
                graph[index[loser], index[winner]] += loser != winner
    count, labels = scipy.sparse.csgraph.connected_components(graph, connection="weak")
    if count > 1:
        groups = [", ".join(name for name, at in zip(methods, labels, strict=True) if at == k) for k in range(count)]
        raise BenchError(
            f"Strengths of methods that were never compared do not exist: {' | '.join(groups)}.",
            hint="Ask about pairs that connect these groups.",
        )
    if strongly and scipy.sparse.csgraph.connected_components(graph, connection="strong")[0] > 1:
        raise BenchError(
            "Without a ridge some strengths are infinite: a method never lost, or never won.", hint="Use a ridge."
        )


def _count_outcomes(votes: Sequence[Vote], methods: Sequence[str], has_ties: bool) -> list[_Comparison]:
    index = {method: at for at, method in enumerate(methods)}
    grouped: dict[tuple[str, ...], Counter[str | None]] = defaultdict(Counter)
    for vote in votes:
        grouped[tuple(sorted(vote.options))][vote.choice] += 1
    comparisons = []
    for options, counted in sorted(grouped.items()):
        tied = has_ties and len(options) == 2
        utilities = np.zeros((len(options) + tied, len(methods) + has_ties))
        for row, method in enumerate(options):
            utilities[row, index[method]] = 1
        if tied:
            utilities[-1, [index[method] for method in options]] = 0.5
            utilities[-1, -1] = 1
        counts = [float(counted[method]) for method in options] + [float(counted[None])] * tied
        comparisons.append(_Comparison(utilities, np.array(counts)))
    return comparisons


def _make_laplacian(votes: Sequence[Vote], methods: Sequence[str], has_ties: bool) -> Array:
    """L with θᵀ L θ = Σ (θᵢ - θⱼ)² over the compared pairs; the tie's parameter is free."""
    index = {method: at for at, method in enumerate(methods)}
    laplacian = np.zeros((len(methods) + has_ties,) * 2)
    pairs = {pair for vote in votes for pair in itertools.combinations(sorted(vote.options), 2)}
    for one, other in pairs:
        i, j = index[one], index[other]
        laplacian[[i, j], [i, j]] += 1
        laplacian[[i, j], [j, i]] -= 1
    return laplacian


def _minimise(comparisons: Sequence[_Comparison], penalty: Array, size: int) -> Array:
    def evaluate(parameters: Array) -> tuple[float, Array]:
        """Penalised negative log-likelihood, and its gradient."""
        loss, gradient = 0.5 * float(parameters @ penalty @ parameters), penalty @ parameters
        for each in comparisons:
            utilities = each.utilities @ parameters
            log_shares = scipy.special.log_softmax(utilities)
            loss -= float(each.counts @ log_shares)
            gradient = gradient - each.utilities.T @ (each.counts - each.counts.sum() * np.exp(log_shares))
        return loss, gradient

    def differentiate(parameters: Array) -> Array:
        """The Hessian; a small multiple of one fixes the free sum of the strengths."""
        hessian = penalty + 1e-9 * np.eye(size)
        for each in comparisons:
            shares = scipy.special.softmax(each.utilities @ parameters)
            inner = np.diag(shares) - np.outer(shares, shares)
            hessian = hessian + each.counts.sum() * each.utilities.T @ inner @ each.utilities
        return hessian

    found = scipy.optimize.minimize(
        evaluate, np.zeros(size), jac=True, hess=differentiate, method="trust-exact", options={"gtol": 1e-9}
    )
    result: Array = found.x
    return result
