"""Calibration of scores to likelihood ratios, and its measures."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from outside_files import make_calibration
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from dancebench.core.errors import BenchError
from dancebench.core.nn import torchvision_ops
from dancebench.detect.evaluation.calibration import (
    MAX_SPREAD,
    Calibration,
    bin_reliability,
    brier,
    cllr,
    cllr_min,
    expected_calibration_error,
)
from dancebench.detect.evaluation.calibration import fit_calibration as fit_items
from dancebench.detect.evaluation.likelihood_ratios.items import balance_weights, collect_items, smooth_targets

torchvision_ops.declare_missing_ops()

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def fit_calibration(labels: npt.ArrayLike, scores: npt.ArrayLike, subjects: list[str]) -> Calibration:
    """Fit on fakes of one method, which the detector saw."""
    return fit_items(collect_items(labels, scores, subjects, ["blur"] * len(subjects), seen=["blur"]))


def people(items: int, count: int) -> list[str]:
    """The person of each item: `count` people in turn, each with reals and fakes."""
    return [f"p{item // 2 % count}" for item in range(items)]


def true_llrs(items: int, mean: float, seed: int) -> tuple[Labels, Array]:
    """Normal scores that are their own LLR: means ±m, variance 2m."""
    labels = np.tile([0, 1], items // 2)
    quantiles = (np.random.default_rng(seed).permutation(items // 2) + 0.5) / (items // 2)
    noise = scipy.stats.norm.ppf(np.repeat(quantiles, 2))
    return labels, mean * (2 * labels - 1) + math.sqrt(2 * mean) * noise


# --- closed form: measures


def test_closed_form_measures_of_uninformative_ratios() -> None:
    labels = np.array([0, 1, 1, 1])
    assert cllr(labels, np.zeros(4)) == pytest.approx(1.0)
    assert cllr_min(labels, np.zeros(4)) == pytest.approx(1.0)
    assert brier(labels, np.zeros(4)) == pytest.approx(0.25)
    assert expected_calibration_error(labels, np.zeros(4)) == pytest.approx(
        0.0
    )  # p = 1/2, and half of the weight is fake


def test_closed_form_measures_of_perfect_ratios() -> None:
    labels, llrs = np.array([0, 0, 1]), np.array([-900.0, -800.0, 900.0])
    assert [measure(labels, llrs) for measure in (cllr, cllr_min, brier, expected_calibration_error)] == pytest.approx(
        [0.0] * 4
    )


def test_closed_form_measures_of_misleading_ratios() -> None:
    labels, llrs = np.array([0, 1]), np.array([700.0, -700.0])
    assert cllr(labels, llrs) == pytest.approx(700 / math.log(2))
    assert cllr_min(labels, llrs) == pytest.approx(1.0)  # the best monotone map is a constant
    assert brier(labels, llrs) == pytest.approx(1.0)
    assert expected_calibration_error(labels, llrs) == pytest.approx(1.0)


def test_closed_form_cllr_weighs_both_kinds_the_same() -> None:
    """Odds of 3 : 1 for the right side cost log2(4/3) bits, whatever the counts."""
    labels, llrs = np.array([0, 1, 1, 1, 1]), math.log(3) * np.array([-1, 1, 1, 1, 1])
    assert cllr(labels, llrs) == pytest.approx(math.log2(4 / 3))
    assert brier(labels, llrs) == pytest.approx(1 / 16)
    assert expected_calibration_error(labels, llrs) == pytest.approx(1 / 4)


def test_closed_form_cllr_min_pools_what_is_out_of_order() -> None:
    """Reals at 0 and 2, fakes at 1 and 3: the middle couple becomes one block of 1/2 and costs 1 bit each."""
    assert cllr_min(np.array([0, 1, 0, 1]), np.arange(4.0)) == pytest.approx(0.5)
    assert cllr_min(np.array([0, 1, 0, 1]), np.array([-np.inf, 0.0, 0.0, np.inf])) == pytest.approx(0.5)


def test_closed_form_reliability_counts_items() -> None:
    labels, shares = np.array([0, 0, 1, 1]), np.array([0.12, 0.14, 0.12, 0.93])
    table = bin_reliability(labels, logit(shares), bins=10)
    assert table is not None
    assert table.counts.tolist() == [3, 1]
    assert table.shares == pytest.approx([1 / 3, 1.0])
    assert table.stated == pytest.approx([(0.12 + 0.14 + 0.12) / 3, 0.93])
    assert table.weights == pytest.approx([0.75, 0.25])


# --- closed form: fitting


def test_closed_form_weights_and_targets_count_people() -> None:
    """Person a has three fakes, b one; the one real is b's."""
    labels, subjects = [1, 1, 1, 1, 0], ["a", "a", "a", "b", "b"]
    assert balance_weights(labels, subjects) == pytest.approx([1 / 12, 1 / 12, 1 / 12, 1 / 4, 1 / 2])
    assert smooth_targets(labels, subjects) == pytest.approx([3 / 4] * 4 + [1 / 3])


@pytest.mark.parametrize("mean", [0.5, 2.0])
def test_closed_form_calibrated_ratios_are_unchanged(mean: float) -> None:
    labels, llrs = true_llrs(4000, mean, seed=0)
    found = fit_calibration(labels, llrs, people(4000, 2000))
    assert found.temperature == pytest.approx(1.0, abs=0.02)
    assert found.offset == pytest.approx(0.0, abs=0.02)
    assert (found.subjects, found.items, found.separable) == (2000, 4000, False)


def test_closed_form_scaled_and_shifted_ratios_are_recovered() -> None:
    labels, llrs = true_llrs(4000, 1.0, seed=0)
    found = fit_calibration(labels, 7 * llrs + 30, people(4000, 2000))
    assert found.temperature == pytest.approx(7.0, rel=0.02)
    assert found.offset == pytest.approx(30.0, abs=0.2)
    assert found.unbounded_llr(7 * llrs + 30) == pytest.approx(llrs, abs=0.15)


def test_closed_form_shrunk_ratios_are_recovered() -> None:
    labels, llrs = true_llrs(4000, 1.0, seed=0)
    found = fit_calibration(labels, llrs / 5 - 3, people(4000, 2000))
    assert found.temperature == pytest.approx(1 / 5, rel=0.02)
    assert found.offset == pytest.approx(-3.0, abs=0.01)


@pytest.mark.parametrize(("scale", "shift"), [(100, 0), (1e-3, 0), (3, -7), (1e-200, 0), (1e90, 0), (1, 1e6)])
def test_closed_form_the_unit_of_scores_does_not_matter(scale: float, shift: float) -> None:
    labels, llrs = true_llrs(60, 1.5, seed=4)
    scores = expit(llrs)
    first = fit_calibration(labels, scores, people(60, 10))
    other = fit_calibration(labels, scale * scores + shift, people(60, 10))
    assert other.unbounded_llr(scale * scores + shift) == pytest.approx(first.unbounded_llr(scores), abs=1e-6)
    assert other.temperature == pytest.approx(scale * first.temperature, rel=1e-5)


def test_closed_form_equal_scores_say_nothing_of_others() -> None:
    found = fit_calibration([0, 1, 0, 1], [0.1] * 4, ["a", "a", "b", "b"])
    assert found.unbounded_llr([0.1, 0.2, 1e9]).tolist() == pytest.approx([0.0] * 3)
    assert not found.separable


@pytest.mark.parametrize("count", [2, 8, 50])
def test_closed_form_separable_scores_reach_the_smoothed_odds(count: int) -> None:
    """All fakes at 40, all reals at -20: n people allow odds of n + 1."""
    labels = np.tile([0, 1], count)
    scores = 60.0 * labels - 20
    found = fit_calibration(labels, scores, people(2 * count, count))
    assert found.separable
    assert found.offset == pytest.approx(10.0, abs=1e-3)
    assert found.unbounded_llr([40.0, -20.0]) == pytest.approx([math.log(count + 1), -math.log(count + 1)], rel=1e-4)


def test_closed_form_more_videos_of_the_same_people_give_no_confidence() -> None:
    labels = np.tile([0, 1], 4)
    once, often = (fit_calibration(np.tile(labels, n), np.tile(labels * 40.0, n), people(8, 4) * n) for n in (1, 25))
    assert often.temperature == pytest.approx(once.temperature, rel=1e-4)


def test_closed_form_scores_without_information_give_ratios_of_about_zero() -> None:
    labels, llrs = true_llrs(40, 2.0, seed=0)
    for scores in (-llrs, np.full(40, 5.0)):
        found = fit_calibration(labels, scores, people(40, 20))
        assert np.abs(found.llr(scores)).max() < 0.01
        assert not found.separable


def test_closed_form_ratios_keep_the_shape() -> None:
    found = make_calibration(temperature=2, offset=1, subjects=8)
    assert found.llr([[1.0, 5.0]]).tolist() == [[0.0, 2.0]]
    assert found.llr(np.float32(3)) == 1.0


def test_no_ratio_exceeds_what_its_people_support() -> None:
    found = make_calibration(temperature=1.0, offset=0.0, subjects=8)
    assert found.llr([-1e6, -1.0, 1e6]) == pytest.approx([-math.log(9), -1.0, math.log(9)])
    assert found.unbounded_llr([-1e6, 1e6]).tolist() == [-1e6, 1e6]


# --- foreign reference


def test_foreign_reference_torchmetrics() -> None:
    """Theirs weights items equally: with as many reals as fakes that is the same."""
    from torchmetrics.functional import classification as theirs

    labels, llrs = true_llrs(3000, 1.5, seed=0)
    llrs = 1.7 * llrs + 0.4
    shares, target = torch.from_numpy(expit(llrs)), torch.from_numpy(labels)
    for bins in (10, 15):
        expected = theirs.binary_calibration_error(shares, target, n_bins=bins, norm="l1").item()
        assert expected_calibration_error(labels, llrs, bins) == pytest.approx(expected, abs=1e-6)


def test_foreign_reference_scikit_learn() -> None:
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import brier_score_loss, log_loss

    labels, llrs = true_llrs(600, 1.0, seed=3)
    labels, llrs = labels[:500], 2 * llrs[:500]
    assert brier(labels, llrs) == pytest.approx(brier_score_loss(labels, expit(llrs)))
    assert cllr(labels, llrs) == pytest.approx(log_loss(labels, expit(llrs)) / math.log(2))
    shares, stated = calibration_curve(labels, expit(llrs), n_bins=10)
    table = bin_reliability(labels, llrs, bins=10)
    assert table is not None
    assert table.shares == pytest.approx(shares)
    assert table.stated == pytest.approx(stated)


def test_foreign_reference_the_fit_is_a_logistic_regression() -> None:
    """With many people the targets are hardly smoothed."""
    labels, llrs = true_llrs(6000, 1.0, seed=1)
    scores = np.sign(llrs) * np.abs(llrs) ** 1.5 * 4 + 2
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(scores[:, None], labels)
    found = fit_calibration(labels, scores, people(6000, 3000))
    assert 1 / found.temperature == pytest.approx(theirs.coef_[0, 0], rel=0.01)
    assert found.offset == pytest.approx(-theirs.intercept_[0] / theirs.coef_[0, 0], abs=0.01)


# --- laws

items = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.integers(-80, 80), st.sampled_from("abcdef")), min_size=2, max_size=30
).filter(lambda given_items: len({label for label, _, _ in given_items}) == 2)


def columns(given_items: list[tuple[int, int, str]]) -> tuple[Labels, Array, list[str]]:
    labels, scores, subjects = zip(*given_items, strict=True)
    return np.array(labels, np.int64), np.array(scores) / 4, list(subjects)


def measure_spread(labels: Labels, scores: Array, subjects: list[str]) -> float:
    """Weighted standard deviation."""
    weights = balance_weights(labels, subjects)
    return 0.0 if np.ptp(scores) == 0 else float(np.sqrt(weights @ (scores - weights @ scores) ** 2))


@settings(max_examples=60)
@given(items)
def test_a_fit_is_bounded_by_its_people_and_keeps_the_order(given_items: list[tuple[int, int, str]]) -> None:
    labels, scores, subjects = columns(given_items)
    found = fit_calibration(labels, scores, subjects)
    spread = measure_spread(labels, scores, subjects)
    assert found.temperature >= spread / MAX_SPREAD * (1 - 1e-9)
    assert np.abs(found.llr(scores)).max() <= math.log(len(set(subjects)) + 1)
    assert scores.min() - 1e-9 <= found.offset <= scores.max() + 1e-9
    assert (np.diff(found.unbounded_llr(np.unique(scores))) > 0).all()
    llrs = found.llr(np.unique(scores))
    assert (np.diff(llrs) >= 0).all()
    assert (found.bounds.real.llr <= llrs).all()
    assert (llrs <= found.bounds.synthesized.llr).all()
    assert fit_calibration(labels, scores, subjects) == found


@settings(max_examples=60)
@given(items, st.floats(-6, 6), st.integers(-30, 30))
def test_a_fit_does_not_depend_on_unit_and_zero(
    given_items: list[tuple[int, int, str]], exponent: float, shift: int
) -> None:
    labels, scores, subjects = columns(given_items)
    moved = 10**exponent * (scores + shift)
    first, other = (fit_calibration(labels, each, subjects) for each in (scores, moved))
    assert other.unbounded_llr(moved) == pytest.approx(first.unbounded_llr(scores), abs=1e-4)
    costs = [cllr(labels, fit.unbounded_llr(values)) for fit, values in ((other, moved), (first, scores))]
    assert costs[0] == pytest.approx(costs[1], abs=1e-6)


@settings(max_examples=60)
@given(items)
@example([(0, 80, "b"), (1, 79, "b")])  # the wrong way round: the least cost is at the bound
def test_no_other_line_has_a_lower_cost(given_items: list[tuple[int, int, str]]) -> None:
    labels, scores, subjects = columns(given_items)
    weights, targets = balance_weights(labels, subjects), smooth_targets(labels, subjects)

    def cost(temperature: float, offset: float) -> float:
        llrs = (scores - offset) / temperature
        return float(weights @ (np.logaddexp(0, llrs) - targets * llrs))

    found = fit_calibration(labels, scores, subjects)
    least = cost(found.temperature, found.offset)
    spread = measure_spread(labels, scores, subjects) or 1
    for temperature in np.geomspace(spread / MAX_SPREAD, spread * MAX_SPREAD, 25):
        for offset in np.linspace(scores.min(), scores.max(), 9):
            assert least <= cost(temperature, offset) + 1e-5


@given(items)
def test_measures_lie_in_their_ranges_and_do_not_depend_on_names(given_items: list[tuple[int, int, str]]) -> None:
    labels, llrs, _ = columns(given_items)
    assert 0 <= cllr_min(labels, llrs) <= min(cllr(labels, llrs), 1) + 1e-9
    assert 0 <= brier(labels, llrs) <= 1
    assert 0 <= expected_calibration_error(labels, llrs) <= 1
    for measure in (cllr, brier):
        assert measure(1 - labels, -llrs) == pytest.approx(measure(labels, llrs))
        assert measure(np.tile(labels, 3), np.tile(llrs, 3)) == pytest.approx(measure(labels, llrs))


# --- bad input


def test_one_class_has_no_measure() -> None:
    labels, llrs = np.ones(3, np.int64), np.arange(3.0)
    assert all(math.isnan(measure(labels, llrs)) for measure in (cllr, cllr_min, brier, expected_calibration_error))
    assert bin_reliability(labels, llrs) is None
    assert math.isnan(cllr([], []))


def test_a_fit_needs_both_kinds() -> None:
    with pytest.raises(BenchError, match="real and fake videos of validation people"):
        fit_calibration([1, 1], [0.0, 1.0], ["a", "b"])


def test_a_fit_needs_finite_scores_of_known_people() -> None:
    with pytest.raises(BenchError, match="finite scores"):
        fit_calibration([0, 1], [0.0, math.nan], ["a", "b"])
    with pytest.raises(ValueError, match="2 labels but 1 subjects"):
        fit_calibration([0, 1], [0.0, 1.0], ["a"])
