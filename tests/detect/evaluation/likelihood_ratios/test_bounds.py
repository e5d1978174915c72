"""Where the support of a calibration ends."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.detect.evaluation.calibration import fit_calibration
from dancebench.detect.evaluation.likelihood_ratios.bounds import (
    bound_by_people,
    choose_bounds,
    elub,
    pool_shares,
    share_like_reals,
)
from dancebench.detect.evaluation.likelihood_ratios.items import CalibrationItems, collect_items
from dancebench.detect.evaluation.likelihood_ratios.weighted import Weighted

PEOPLE = [f"p{index}" for index in range(30)]


def collect(of_methods: dict[str, float], seen: tuple[str, ...] = (), spread: float = 1.0) -> CalibrationItems:
    """A real of each person around 0, and a fake by each method around its own mean; equal quantiles for all."""
    quantiles = spread * np.array([math.sqrt(2) * math.erf(2 * (k + 0.5) / 30 - 1) for k in range(30)])
    scores, labels, methods = list(quantiles), [0] * 30, [""] * 30
    for name, mean in of_methods.items():
        scores += list(mean + quantiles)
        labels += [1] * 30
        methods += [name] * 30
    return collect_items(labels, scores, PEOPLE * (1 + len(of_methods)), methods, seen)


# --- closed form


def test_closed_form_unseen_methods_count_one_more_that_looks_just_like_reals() -> None:
    assert pool_shares([]) == 1
    assert pool_shares([0.0]) == 1 / 2
    assert pool_shares([0.0] * 6) == pytest.approx(1 / 7)
    assert pool_shares([1.0] * 6) == 1
    assert pool_shares([0.5, 0.25, 0.0]) == pytest.approx(1.75 / 4)


def test_closed_form_fakes_like_reals_lie_below_the_median_real_as_often() -> None:
    reals = Weighted(np.arange(10.0), np.ones(10))
    assert share_like_reals(reals, Weighted(np.arange(10.0), np.ones(10))) == 1
    assert share_like_reals(reals, Weighted(np.array([0.0, 1.0, 20.0, 30.0]), np.ones(4))) == 1  # half lie below
    assert share_like_reals(reals, Weighted(np.array([0.0, 20.0, 30.0, 40.0]), np.ones(4))) == 1 / 2
    assert share_like_reals(reals, Weighted(np.array([0.0, 20.0]), np.array([0.1, 0.9]))) == pytest.approx(0.2)
    assert share_like_reals(reals, Weighted(np.array([20.0]), np.ones(1))) == 0


def test_closed_form_bounds_of_people() -> None:
    bounds = bound_by_people(29, 12)
    assert (bounds.synthesized.llr, bounds.real.llr) == (math.log(30), -math.log(13))
    assert (bounds.synthesized.n, bounds.real.n, bounds.real.set_by) == (29, 12, "people")
    assert bounds.find_holding(0.0) is None
    assert bounds.find_holding(9.0) == bounds.synthesized
    assert bounds.find_holding(-9.0) == bounds.real


def test_closed_form_elub_of_perfect_ratios_is_just_below_the_number_of_items() -> None:
    """Deciding costs 1 / (n + 1) + t / (n + 1): less than 1, without evidence, up to t = n."""
    labels = np.repeat([0, 1], 100)
    low, high = elub(labels, np.where(labels == 1, 50.0, -50.0))
    assert math.log(100) - 0.02 * math.log(10) <= high <= math.log(100)
    assert low == pytest.approx(-high, abs=0.02 * math.log(10))


def test_closed_form_elub_of_ratios_without_information_is_nothing() -> None:
    labels = np.tile([0, 1], 100)
    assert elub(labels, np.repeat(np.linspace(-3, 3, 100), 2)) == (0, 0)


def test_closed_form_weights_of_elub_are_numbers_of_items() -> None:
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.repeat([0, 1], 20))
    llrs, counts = generator.normal(3 * labels - 1.5, 1.5), generator.integers(1, 4, 40)
    repeated = elub(np.repeat(labels, counts), np.repeat(llrs, counts))
    assert elub(labels, llrs, counts) == pytest.approx(repeated)


# --- the calibration names what holds


def test_without_an_unseen_method_nothing_supports_a_real() -> None:
    fitted = fit_calibration(collect({"gan": 6.0, "warp": 6.0}, seen=("gan", "warp")))
    assert (fitted.methods, fitted.unseen_methods) == (("gan", "warp"), ())
    assert (fitted.bounds.real.llr, fitted.bounds.real.set_by, fitted.bounds.real.n) == (0, "unseen-methods", 0)
    assert fitted.llr([-100.0]).tolist() == [0.0]
    assert fitted.bounds.synthesized.llr > 2


def test_unseen_methods_that_are_found_bound_the_support_for_real_by_their_number() -> None:
    fitted = fit_calibration(collect({f"m{k}": 8.0 for k in range(6)}))
    assert fitted.bounds.real.set_by == "unseen-methods"
    assert fitted.bounds.real.llr == pytest.approx(-math.log(7))
    assert fitted.unseen_methods == tuple(f"m{k}" for k in range(6))


def test_a_method_that_looks_just_like_reals_takes_the_support_for_real() -> None:
    found, missed = {f"m{k}": 8.0 for k in range(3)}, {f"x{k}": 0.0 for k in range(3)}
    fitted = fit_calibration(collect(found | missed))
    assert fitted.bounds.real.llr >= -math.log(7 / 4) - 1e-9
    assert fitted.llr([-100.0])[0] >= -math.log(7 / 4) - 1e-9


def test_fakes_of_seen_methods_are_left_out_where_there_are_others() -> None:
    both, alone = collect({"gan": 9.0, "warp": 2.0}, seen=("gan",)), collect({"warp": 2.0})
    assert fit_calibration(both) == fit_calibration(alone)
    assert both.unseen


def test_methods_weigh_alike_however_many_fakes_they_have() -> None:
    items = collect({"gan": 5.0, "warp": 2.0})
    twice = items.select(np.repeat(np.arange(90), np.where(items.methods == "gan", 3, 1)))
    once, often = fit_calibration(items), fit_calibration(twice)
    assert often.temperature == pytest.approx(once.temperature, rel=1e-4)
    assert often.offset == pytest.approx(once.offset, rel=1e-4)


# --- laws


@given(st.lists(st.floats(0, 1), max_size=12))
def test_a_share_of_look_alikes_is_never_below_that_of_a_further_method(shares: list[float]) -> None:
    assert 1 / (len(shares) + 1) - 1e-12 <= pool_shares(shares) <= 1 + 1e-12
    assert pool_shares([*shares, 0.0]) <= pool_shares(shares)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(-30, 30)), min_size=2, max_size=20).filter(
        lambda items: len({label for label, _ in items}) == 2
    )
)
def test_bounds_lie_on_their_sides(items: list[tuple[int, float]]) -> None:
    labels, llrs = np.array([label for label, _ in items]), np.array([llr for _, llr in items])
    bounds = choose_bounds(labels, llrs, [f"p{k % 5}" for k in range(len(items))], [0.5])
    assert -math.log(6) <= bounds.real.llr <= 0 <= bounds.synthesized.llr <= math.log(6)


# --- bad input


def test_lengths_and_scores_are_checked() -> None:
    from dancebench.core.errors import BenchError

    with pytest.raises(ValueError, match="2 labels but 2 subjects and 1 methods"):
        collect_items([0, 1], [0.0, 1.0], ["a", "b"], ["x"])
    with pytest.raises(BenchError, match="finite scores"):
        collect_items([0, 1], [0.0, math.inf], ["a", "b"], ["", "x"])
    with pytest.raises(BenchError, match="real and fake videos"):
        fit_calibration(collect_items([1, 1], [0.0, 1.0], ["a", "b"], ["x", "x"]))
