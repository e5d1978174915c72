"""Figures of how well likelihood ratios held."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.stats.likelihood_ratios import empirical_cross_entropy, pav_llr
from dancebench.detect.evaluation.calibration import cllr, cllr_min
from dancebench.detect.evaluation.likelihood_ratios.measures import (
    LabelledRatios,
    cllr_cal,
    collect_figures,
    count_misleading,
    devpav,
    draw_cross_entropy,
)

RATIOS = LabelledRatios(
    np.array([0, 0, 0, 0, 1, 1, 1]),
    np.log([200.0, 20.0, 1.0, 0.1, 0.005, 0.5, 9.0]),
    np.array(["a", "a", "b", "c", "a", "b", "c"]),
)


def test_closed_form_pav_pools_what_is_out_of_order() -> None:
    mapped = pav_llr([0, 1, 0, 1], [0.0, 1.0, 2.0, 3.0])
    assert mapped.tolist() == [-math.inf, 0.0, 0.0, math.inf]
    assert pav_llr([0, 1, 1, 0], [0.0, 1.0, 1.0, 1.0]).tolist() == pytest.approx([-math.inf] + [math.log(2)] * 3)


def test_closed_form_devpav_is_the_mean_distance() -> None:
    """Two blocks, of odds 1/2 and 2: ratios of these sizes do not deviate, ten times their logarithms do."""
    labels = np.array([0, 1, 0, 1, 0, 1])
    powers = np.array([-1, -1, -1, 1, 1, 1]) * math.log(2)
    assert devpav(labels, powers) == pytest.approx(0.0)
    assert devpav(labels, 10 * powers) == pytest.approx(9 * math.log10(2) / 2)
    assert devpav(labels, powers + math.log(10)) == pytest.approx(1.0)  # moved by a power of ten
    assert devpav([0, 1], [0.5, 0.5]) == pytest.approx(0.5 / math.log(10))


def test_devpav_has_no_value_where_reals_and_fakes_are_separated() -> None:
    assert math.isnan(devpav([0, 0, 1], [-1.0, 0.0, 1.0]))
    assert math.isnan(devpav([1, 1], [0.0, 1.0]))


def test_closed_form_cross_entropy_is_cllr_at_even_odds_and_the_entropy_of_the_prior_without_evidence() -> None:
    labels, llrs, _ = RATIOS
    assert empirical_cross_entropy(labels, llrs, [0.0])[0] == pytest.approx(cllr(labels, llrs))
    prior = 1 / 11
    entropy = -(prior * math.log2(prior) + (1 - prior) * math.log2(1 - prior))
    assert empirical_cross_entropy(labels, np.zeros(7), [-1.0, 1.0]) == pytest.approx([entropy, entropy])
    curve = draw_cross_entropy(labels, llrs, [-1.0, 0.0])
    assert curve.pav[1] == pytest.approx(cllr_min(labels, llrs))
    assert all(best <= system for best, system in zip(curve.pav, curve.system, strict=True))


def test_closed_form_misleading_evidence_is_strictly_beyond_and_counts_people() -> None:
    """A ratio of 1 misleads nobody."""
    counts = [count_misleading(RATIOS, "real", size) for size in (1, 10, 100)]
    assert [(each.items, each.people) for each in counts] == [(2, 1), (2, 1), (1, 1)]
    assert {(each.of_items, each.of_people) for each in counts} == {(4, 3)}
    counts = [count_misleading(RATIOS, "fake", size) for size in (1, 10, 100)]
    assert [(each.items, each.people) for each in counts] == [(2, 2), (1, 1), (1, 1)]
    assert {(each.of_items, each.of_people) for each in counts} == {(3, 3)}


def test_figures_of_one_kind_are_none() -> None:
    figures = collect_figures(RATIOS)
    assert figures is not None
    assert [(each.kind, each.size) for each in figures.misleading] == [
        (kind, size) for kind in ("real", "fake") for size in (1, 10, 100)
    ]
    assert collect_figures(LabelledRatios(np.ones(2, np.int64), np.zeros(2), np.array(["a", "b"]))) is None


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-40, 40)), min_size=2, max_size=25).filter(
        lambda items: len({label for label, _ in items}) == 2
    )
)
def test_no_monotone_map_costs_less_than_pav_at_any_prior(items: list[tuple[int, int]]) -> None:
    labels = np.array([label for label, _ in items])
    llrs: npt.NDArray[np.float64] = np.array([llr / 8 for _, llr in items])
    assert cllr_cal(labels, llrs) >= -1e-9
    curve = draw_cross_entropy(labels, llrs, [-2.0, 0.0, 1.0])
    for best, system, neutral in zip(curve.pav, curve.system, curve.neutral, strict=True):
        assert best <= min(system, neutral) + 1e-9
