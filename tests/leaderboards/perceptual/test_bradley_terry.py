"""Bradley-Terry against choix, logistic regressions and a numerical optimum of the stated likelihood."""

from __future__ import annotations

import itertools
import math

import choix
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from dancebench.core.errors import BenchError
from dancebench.leaderboards.perceptual.bradley_terry import fit_bradley_terry
from dancebench.leaderboards.perceptual.votes import Vote

METHODS = ("a", "b", "c", "d")
TRUE = np.array([0.0, 0.6, -0.4, 1.2])
SKIPPED = ("a", "d")
"""Never compared: the design is incomplete."""


def vote(options: tuple[str, ...], choice: str | None) -> Vote:
    return Vote(rater="r", subject="s", source="s", question="q", options=options, choice=choice)


def draw_votes(seed: int, count: int = 400, ties: float = 0.0) -> list[Vote]:
    generator = np.random.default_rng(seed)
    pairs = [pair for pair in itertools.combinations(range(4), 2) if (METHODS[pair[0]], METHODS[pair[1]]) != SKIPPED]
    votes = []
    for _ in range(count):
        i, j = pairs[int(generator.integers(len(pairs)))]
        winner = i if generator.random() < 1 / (1 + math.exp(TRUE[j] - TRUE[i])) else j
        choice = None if generator.random() < ties else METHODS[winner]
        votes.append(vote((METHODS[i], METHODS[j]), choice))
    return votes


def read_strengths(votes: list[Vote], ridge: float) -> np.ndarray:
    fitted = fit_bradley_terry(votes, ridge=ridge).strengths
    return np.array([fitted[name] for name in METHODS])


def make_rows(votes: list[Vote]) -> tuple[np.ndarray, np.ndarray]:
    """Design (votes, methods) with 1 for the first and -1 for the second option, and whether the first was chosen."""
    design = np.zeros((len(votes), len(METHODS)))
    for row, each in enumerate(votes):
        design[row, METHODS.index(each.options[0])] = 1
        design[row, METHODS.index(each.options[1])] = -1
    return design, np.array([each.choice == each.options[0] for each in votes])


@pytest.mark.parametrize("seed", range(3))
def test_foreign_reference_without_ridge_it_is_choix(seed: int) -> None:
    votes = draw_votes(seed)
    index = {name: at for at, name in enumerate(METHODS)}
    data = [
        (index[each.choice or ""], index[next(name for name in each.options if name != each.choice)]) for each in votes
    ]
    theirs = choix.opt_pairwise(4, data, alpha=0, method="Newton-CG", tol=1e-12)
    assert np.abs(read_strengths(votes, 0) - (theirs - theirs.mean())).max() < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_foreign_reference_without_ridge_it_is_an_unpenalised_logistic_regression(seed: int) -> None:
    votes = draw_votes(seed)
    design, first = make_rows(votes)
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-12, max_iter=10_000, solver="newton-cg")
    theirs.fit(design[:, 1:], first)  # the first method is the reference
    strengths = np.concatenate([[0.0], theirs.coef_[0]])
    assert np.abs(read_strengths(votes, 0) - (strengths - strengths.mean())).max() < 1e-6


@pytest.mark.parametrize("ridge", [0.1, 1.0, 20.0])
def test_foreign_reference_with_ridge_it_is_the_logistic_regression_of_that_penalty(ridge: float) -> None:
    votes = draw_votes(5)
    design, first = make_rows(votes)
    laplacian = np.zeros((4, 4))
    for one, other in {(each.options[0], each.options[1]) for each in votes}:
        difference = (np.array(METHODS) == one).astype(float) - (np.array(METHODS) == other)
        laplacian += np.outer(difference, difference)
    values, vectors = np.linalg.eigh(laplacian)
    back = vectors[:, 1:] / np.sqrt(values[1:])  # θ = back w, so that |w|² = θᵀ L θ; the first eigenvalue is zero
    theirs = LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-12, max_iter=10_000, solver="newton-cg")
    theirs.fit(design @ back, first)
    assert np.abs(read_strengths(votes, ridge) - back @ theirs.coef_[0]).max() < 1e-6


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_with_ties_it_is_the_optimum_of_davidson_s_likelihood(ridge: float) -> None:
    votes = draw_votes(7, ties=0.2)
    pairs = {each.options for each in votes}

    def loss(parameters: np.ndarray) -> float:
        strength, nu = np.exp(parameters[:4]), math.exp(parameters[4])
        total = 0.0
        for each in votes:
            first, second = (strength[METHODS.index(name)] for name in each.options)
            tied = nu * math.sqrt(first * second)
            chosen = tied if each.choice is None else strength[METHODS.index(each.choice)]
            total -= math.log(chosen / (first + second + tied))
        squares = ((parameters[METHODS.index(one)] - parameters[METHODS.index(two)]) ** 2 for one, two in pairs)
        return total + ridge / 2 * sum(squares) + 1e-9 * float(parameters[:4].sum() ** 2)

    found = scipy.optimize.minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-7, "maxiter": 500}).x
    fitted = fit_bradley_terry(votes, ridge=ridge)
    ours = np.array([fitted.strengths[name] for name in METHODS])
    assert np.abs(ours - (found[:4] - found[:4].mean())).max() < 1e-4
    assert fitted.tie == pytest.approx(found[4], abs=1e-4)
    assert loss(np.append(ours, fitted.tie)) <= loss(found) + 1e-8


def test_foreign_reference_choices_among_four_are_choix_s_top_1_lists() -> None:
    generator = np.random.default_rng(2)
    shares = np.exp(TRUE) / np.exp(TRUE).sum()
    winners = generator.choice(4, 300, p=shares)
    theirs = choix.opt_top1(4, [(int(w), [k for k in range(4) if k != w]) for w in winners], tol=1e-12)
    ours = read_strengths([vote(METHODS, METHODS[w]) for w in winners], 0)
    assert np.abs(ours - (theirs - theirs.mean())).max() < 1e-6
    assert ours - ours[0] == pytest.approx(np.log(np.bincount(winners) / np.bincount(winners)[0]), abs=1e-6)


def test_closed_form_two_methods() -> None:
    votes = [vote(("a", "b"), "a")] * 3 + [vote(("b", "a"), "b")]
    fitted = fit_bradley_terry(votes, ridge=0)
    assert fitted.strengths["a"] - fitted.strengths["b"] == pytest.approx(math.log(3), abs=1e-6)
    assert fitted.predict("a", "b") == pytest.approx(0.75)
    assert fitted.tie is None


def test_methods_that_were_never_compared_are_refused() -> None:
    votes = [vote(("a", "b"), "a"), vote(("c", "d"), "d")]
    with pytest.raises(BenchError, match=r"a, b \| c, d") as caught:
        fit_bradley_terry(votes)
    assert caught.value.hint


def test_a_method_that_never_lost_needs_a_ridge() -> None:
    votes = [vote(("a", "b"), "a")] * 5
    with pytest.raises(BenchError, match="infinite") as caught:
        fit_bradley_terry(votes, ridge=0)
    assert caught.value.hint == "Use a ridge."
    strengths = fit_bradley_terry(votes, ridge=0.1).strengths
    assert 0 < strengths["a"] < 10


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_the_order_of_votes_and_of_sides_does_not_matter(seed: int) -> None:
    votes = draw_votes(seed, count=60, ties=0.1)
    mirrored = [each.model_copy(update={"options": each.options[::-1]}) for each in reversed(votes)]
    assert read_strengths(votes, 0.1) == pytest.approx(read_strengths(mirrored, 0.1), abs=1e-9)
    assert sum(fit_bradley_terry(votes).strengths.values()) == pytest.approx(0, abs=1e-9)
