"""How much people differ: moments without bias, and the model's spread that has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from dancebench.leaderboards.perceptual.spread import Moments, Spread, estimate_spread, measure_moments, predict_moments

SUBJECTS, RATERS = 5, 30


def draw_moments(generator: np.random.Generator, mean: float, spread: Spread, about: int) -> Moments:
    """Of one simulated study, in which each rater answers about some of the subjects."""
    logits = mean + generator.normal(size=(SUBJECTS, 1)) * spread.subjects
    logits = logits + generator.normal(size=(1, RATERS)) * spread.raters
    asked = [(s, r) for r in range(RATERS) for s in generator.permutation(SUBJECTS)[:about]]
    hits = [float(generator.random() < expit(logits[pair])) for pair in asked]
    moments = measure_moments(hits, [f"s{s}" for s, _ in asked], [f"r{r}" for _, r in asked])
    assert moments is not None
    return moments


def test_closed_form_moments_of_complete_answers_are_those_of_an_analysis_of_variance() -> None:
    table = np.array([[1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 1, 0]], dtype=float)  # (subjects, raters)
    names = [(f"s{s}", f"r{r}") for s in range(3) for r in range(4)]
    found = measure_moments(table.ravel().tolist(), [s for s, _ in names], [r for _, r in names])
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    chance = (residual**2).sum() / (2 * 3)
    assert found is not None
    assert found.subjects == pytest.approx(np.var(table.mean(axis=1), ddof=1) - chance / 4)
    assert found.raters == pytest.approx(np.var(table.mean(axis=0), ddof=1) - chance / 3)


@pytest.mark.parametrize("about", [SUBJECTS, 3])
def test_moments_are_those_of_the_model_on_average_whoever_answers_about_whom(about: int) -> None:
    generator, spread = np.random.default_rng(0), Spread(0.8, 0.5)
    drawn = [draw_moments(generator, 0.0, spread, about) for _ in range(600)]
    expected = predict_moments(0.5, spread)
    assert np.mean([each.subjects for each in drawn]) == pytest.approx(expected.subjects, abs=0.004)
    assert np.mean([each.raters for each in drawn]) == pytest.approx(expected.raters, abs=0.002)


def test_closed_form_the_model_s_moments_are_those_of_many_people() -> None:
    generator, spread = np.random.default_rng(0), Spread(0.9, 0.4)
    subjects, raters = generator.normal(size=400_000) * 0.9, generator.normal(size=(2, 400_000)) * 0.4
    one, other = expit(0.7 + subjects + raters[0]), expit(0.7 + subjects + raters[1])
    found = predict_moments(float(one.mean()), spread)
    assert found.subjects == pytest.approx(np.cov(one, other)[0, 1], abs=2e-4)
    assert predict_moments(0.3, Spread(0.0, 0.0))[1:] == pytest.approx((0, 0), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 2), st.floats(0, 2), st.lists(st.floats(0.1, 0.9), min_size=1, max_size=3))
def test_the_spread_comes_back_from_its_moments(subjects: float, raters: float, shares: list[float]) -> None:
    found = estimate_spread(predict_moments(share, Spread(subjects, raters)) for share in shares)
    assert found is not None
    assert found == pytest.approx((subjects, raters), abs=0.02)


@pytest.mark.parametrize("sd", [0.5, 1.0])
def test_closed_form_the_spread_of_simulated_people_is_found_without_a_bias_of_a_fifth(sd: float) -> None:
    generator = np.random.default_rng(0)
    found = [
        estimate_spread(draw_moments(generator, mean, Spread(sd, 0.3), SUBJECTS) for mean in (0.3, 0.8, -0.5))
        for _ in range(100)
    ]
    assert np.mean([each.subjects for each in found if each]) == pytest.approx(sd, rel=0.12)
    assert np.mean([each.raters for each in found if each]) == pytest.approx(0.3, rel=0.12)


def test_what_tells_nothing() -> None:
    assert measure_moments([1, 1], ["a", "b"], ["x", "y"]) is None
    assert measure_moments([1, 0], ["a", "a"], ["x", "y"]) is None
    assert estimate_spread([]) is None
    once = measure_moments([1, 0, 1, 1], ["a", "a", "b", "b"], ["w", "x", "y", "z"])
    assert once is not None
    assert once.raters == 0, "raters who answer once are not told from chance"
    assert estimate_spread([Moments(0.5, -0.1, -0.2)]) == Spread(0, 0)
    assert estimate_spread([Moments(0.5, 0.25, 0.0)]) == pytest.approx((5.0, 0.0))
