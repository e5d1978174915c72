"""Curves: closed forms of small cases, and other libraries' answers."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import auc, det_curve, roc_auc_score

from dancebench.core.stats.likelihood_ratios import empirical_cross_entropy, pav_llr
from dancebench.detect.evaluation.calibration import cllr, cllr_min
from dancebench.leaderboards.site.curves import (
    CURVES,
    MAX_POINTS,
    Labels,
    Values,
    draw_det,
    draw_empirical_cross_entropy,
    draw_pav,
    draw_roc,
    draw_tippett,
)

LN10 = math.log(10)


@st.composite
def items(draw: st.DrawFn) -> tuple[Labels, Values]:
    """Labels of both classes, with scores that may tie."""
    labels = [0, 1, *draw(st.lists(st.integers(0, 1), max_size=30))]
    scores = draw(st.lists(st.integers(-8, 8), min_size=len(labels), max_size=len(labels)))
    return np.array(labels, np.int64), np.array(scores, np.float64) / 2


def test_closed_form_every_curve_is_there_in_one_order() -> None:
    assert list(CURVES) == ["roc", "det", "tippett", "ece", "pav"]


def test_closed_form_roc() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.0, 2.0, 1.0, 3.0])
    [trace] = draw_roc(labels, scores)
    assert trace.points == ((0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1))


@given(items())
def test_law_the_area_under_the_roc_is_the_auc(found: tuple[Labels, Values]) -> None:
    [trace] = draw_roc(*found)
    x, y = np.array(trace.points).T
    assert auc(x, y) == pytest.approx(roc_auc_score(*found), abs=1e-3)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()


def test_foreign_reference_det_has_the_rates_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    scores = rng.normal(size=80) + labels
    [trace] = draw_det(labels, scores)
    drawn = norm.cdf(np.array(trace.points))  # (N, 2)
    inside = drawn[((drawn > 0.01) & (drawn < 0.94)).all(axis=1)]
    expected = np.stack(det_curve(labels, scores)[:2], axis=1)
    assert len(inside) > 10
    for point in inside:
        assert np.abs(expected - point).sum(axis=1).min() < 1e-3


def test_closed_form_tippett() -> None:
    labels, llrs = np.array([1, 1, 0]), np.array([1.0, 2.0, -1.0]) * LN10
    fakes, reals = draw_tippett(labels, llrs)
    assert fakes.label == "fakes"
    assert fakes.points == ((-2.1, 1), (1, 1), (1, 0.5), (2, 0.5), (2, 0), (2.1, 0))
    assert reals.dashed
    assert reals.points == ((-2.1, 1), (-1, 1), (-1, 0), (2.1, 0))


@given(items())
def test_law_cross_entropy_at_even_odds_is_cllr(found: tuple[Labels, Values]) -> None:
    [even] = empirical_cross_entropy(*found, np.zeros(1))
    assert even == pytest.approx(cllr(*found), abs=1e-9)


@given(items())
def test_law_the_best_monotone_calibration_gives_the_least_cllr(found: tuple[Labels, Values]) -> None:
    labels, llrs = found
    best = pav_llr(labels, llrs)
    [least] = empirical_cross_entropy(labels, best, np.zeros(1))
    assert least == pytest.approx(cllr_min(labels, llrs), abs=1e-6)
    order = np.argsort(llrs)
    assert all(after >= before - 1e-9 for before, after in pairwise(best[order]))


def test_closed_form_cross_entropy_without_evidence_is_that_of_the_prior() -> None:
    labels = np.array([0, 1])
    _, _, none = draw_empirical_cross_entropy(labels, np.array([-1.0, 1.0]))
    for power, bits in none.points:
        share = 1 / (1 + 10**-power)
        assert bits == pytest.approx(-share * math.log2(share) - (1 - share) * math.log2(1 - share), abs=1e-3)


def test_closed_form_pav_pools_what_is_out_of_order() -> None:
    labels = np.array([0, 1, 0, 1])
    best = pav_llr(labels, np.array([0.0, 1.0, 2.0, 3.0]))
    assert best.tolist() == [-math.inf, pytest.approx(0), pytest.approx(0), math.inf]
    line, diagonal = draw_pav(labels, np.array([0.0, 1.0, 2.0, 3.0]))
    assert [y for _, y in line.points] == [0, 0]  # the infinite ends are left out
    assert diagonal.dashed


@pytest.mark.parametrize("name", list(CURVES))
def test_law_a_line_has_few_points_whatever_the_number_of_videos(name: str) -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 3000)
    traces = CURVES[name].draw(labels, rng.normal(size=3000) + labels)
    assert all(0 < len(trace.points) <= MAX_POINTS for trace in traces)
    assert all(math.isfinite(value) for trace in traces for point in trace.points for value in point)
