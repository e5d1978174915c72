"""Shares of crossed answers: closed forms, and the coverage that the method was chosen for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from dancebench.leaderboards.perceptual.intervals import (
    METHOD,
    adjust_holm,
    estimate_share,
    jackknife_both,
)

SUBJECTS, RATERS = 5, 30


def cross(subjects: int, raters: int, each: int = 1) -> tuple[list[str], list[str]]:
    """Every rater answers about every subject so many times."""
    pairs = [(f"s{s}", f"r{r}") for s in range(subjects) for r in range(raters) for _ in range(each)]
    return [s for s, _ in pairs], [r for _, r in pairs]


def draw_study(
    generator: np.random.Generator, mean: float, subject_sd: float, rater_sd: float, each: int
) -> list[float]:
    logits = mean + generator.normal(size=(SUBJECTS, 1)) * subject_sd + generator.normal(size=(1, RATERS)) * rater_sd
    chosen = generator.random((SUBJECTS, RATERS, each)) < expit(logits)[:, :, None]
    return chosen.astype(float).ravel().tolist()


@pytest.mark.parametrize("subject_sd", [0.2, 0.5, 1.0])
@pytest.mark.parametrize(("mean", "rater_sd", "each"), [(0.0, 0.3, 1), (1.0, 0.5, 3)])
def test_closed_form_coverage_of_1000_studies_is_93_percent_or_more(
    mean: float, rater_sd: float, each: int, subject_sd: float
) -> None:
    generator = np.random.default_rng(0)
    people = np.random.default_rng(1).normal(size=400_000)
    true = float(expit(mean + people * math.hypot(subject_sd, rater_sd)).mean())
    subjects, raters = cross(SUBJECTS, RATERS, each)
    covered = 0
    for _ in range(1000):
        interval = estimate_share(draw_study(generator, mean, subject_sd, rater_sd, each), subjects, raters).interval
        assert interval is not None
        covered += interval.low <= true <= interval.high
    assert covered >= 930


def test_closed_form_the_variance_is_the_sum_of_both_less_what_they_share() -> None:
    hits = [1.0, 0, 1, 1, 1, 0, 0, 1]
    subjects, raters = ["a", "a", "b", "b", "c", "c", "d", "d"], ["x", "y"] * 4
    found = estimate_share(hits, subjects, raters)
    share, n = 5 / 8, 8
    # Of balanced groups the jackknife's variance is that of the means of groups over their number.
    by_subject = np.var([0.5, 1, 0.5, 0.5], ddof=1) / 4
    by_rater = np.var([3 / 4, 2 / 4], ddof=1) / 2
    alone = share * (1 - share) / (n - 1)
    total = max(by_subject + by_rater - alone, by_subject, by_rater, alone)
    freedom = max(total**2 / (by_subject**2 / 3 + by_rater**2 / 1), 1)
    half = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(total) / (share * (1 - share))
    assert found.interval is not None
    assert found.interval.low == pytest.approx(expit(logit(share) - half))
    assert found.interval.high == pytest.approx(expit(logit(share) + half))
    assert (found.interval.method, found.n) == (METHOD, 8)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(2, 8))
def test_the_other_side_of_a_share_has_the_mirrored_interval(seed: int, n_subjects: int, n_raters: int) -> None:
    subjects, raters = cross(n_subjects, n_raters)
    hits = np.random.default_rng(seed).integers(0, 3, len(subjects)) / 2
    share, other = (
        estimate_share(hits.tolist(), subjects, raters),
        estimate_share((1 - hits).tolist(), subjects, raters),
    )
    assert share.value + other.value == pytest.approx(1)
    if share.interval is None or other.interval is None:
        assert set(hits) == {0.5}
        return
    assert share.interval.low == pytest.approx(1 - other.interval.high, abs=1e-9)
    assert share.p == pytest.approx(other.p)
    outside = not share.interval.low <= 0.5 <= share.interval.high
    assert share.p is not None
    assert outside == (share.p < 0.05)


def test_closed_form_where_all_agree_the_interval_is_exact_over_the_fewer() -> None:
    subjects, raters = cross(5, 12)
    found = estimate_share([1.0] * 60, subjects, raters)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(0.025 ** (1 / 5))
    assert found.interval.high == 1
    assert found.p == pytest.approx(2 * 0.5**5)


def test_one_subject_or_one_rater_has_no_interval() -> None:
    assert estimate_share([1, 0], ["a", "a"], ["x", "y"]).interval is None
    assert estimate_share([1, 0], ["a", "b"], ["x", "x"]).p is None
    with pytest.raises(ValueError, match="as many"):
        estimate_share([], [], [])
    with pytest.raises(ValueError, match="as many"):
        estimate_share([1.0], ["a", "b"], ["x", "y"])


def test_closed_form_what_is_tested_is_chance() -> None:
    subjects, raters = cross(4, 8)
    hits = [float((s + r) % 4 == 0) for s in range(4) for r in range(8)]
    quarter, half = (estimate_share(hits, subjects, raters, chance=chance) for chance in (0.25, 0.5))
    assert (quarter.value, quarter.p) == (0.25, pytest.approx(1))
    assert half.interval == quarter.interval
    assert half.p is not None
    assert half.p < 0.05
    assert estimate_share([1.0] * 32, subjects, raters, chance=0.25).p == pytest.approx(0.25**4)


def test_closed_form_holm() -> None:
    assert adjust_holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert adjust_holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert adjust_holm({}) == {}


@given(st.dictionaries(st.text(min_size=1), st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_p_and_bonferroni(p_values: dict[str, float]) -> None:
    adjusted = adjust_holm(p_values)
    assert list(adjusted) == list(p_values)
    for name, p in p_values.items():
        assert p <= adjusted[name] <= min(1.0, len(p_values) * max(p_values.values()))


def test_closed_form_both_jackknives_of_a_mean() -> None:
    values = np.array([1.0, 2, 3, 4, 6, 8])
    subjects, raters = ["a", "a", "b", "b", "c", "c"], ["x", "y"] * 3
    interval = jackknife_both(lambda chosen: float(values[chosen].mean()), subjects, raters)
    variance = np.var([1.5, 3.5, 7], ddof=1) / 3 + np.var([10 / 3, 14 / 3], ddof=1) / 2
    assert interval is not None
    assert interval.high - interval.low == pytest.approx(2 * scipy.stats.t.ppf(0.975, 1) * math.sqrt(variance))
    assert jackknife_both(lambda _: math.nan, subjects, raters) is None
    assert jackknife_both(lambda _: 1.0, ["a"] * 6, raters) is None
