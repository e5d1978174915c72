"""Confidence intervals by person: closed forms, scipy's results, and coverage in a seeded simulation."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.stats import jackknife_interval, mean_interval, permutation_p, share_interval

PEOPLE = [f"s{number:02d}" for number in range(14)]


# closed form


def test_closed_form_t_interval_of_three_subjects() -> None:
    interval = mean_interval([1.0, 2.0, 3.0], ["a", "b", "c"])
    assert interval is not None
    half = 4.302652729911275 / math.sqrt(3)  # t(0.975, 2) from a table, standard deviation 1
    assert (interval.low, interval.high) == pytest.approx((2 - half, 2 + half))
    assert (interval.subjects, interval.reliable) == (3, False)


def test_closed_form_identity_jackknife_of_the_mean_is_the_t_interval() -> None:
    values = np.random.default_rng(0).normal(5, 2, 14)
    jackknife = jackknife_interval(lambda chosen: float(values[chosen].mean()), PEOPLE, scale="identity")
    student = mean_interval(values.tolist(), PEOPLE)
    assert jackknife is not None
    assert student is not None
    assert (jackknife.low, jackknife.high) == pytest.approx((student.low, student.high))


def test_closed_form_repeating_every_item_of_a_person_adds_no_certainty() -> None:
    values = np.random.default_rng(1).random(14)
    once = mean_interval(values.tolist(), PEOPLE)
    often = mean_interval(values.repeat(50).tolist(), [person for person in PEOPLE for _ in range(50)])
    assert once is not None
    assert often is not None
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_closed_form_person_with_more_items_weighs_no_more() -> None:
    balanced = mean_interval([0.0, 1.0], ["a", "b"])
    assert balanced is not None
    assert mean_interval([0.0, 1.0, 1.0, 1.0], ["a", "b", "b", "b"]) == balanced


def test_closed_form_all_hits_of_three_subjects() -> None:
    interval = share_interval([True] * 6, ["a", "a", "b", "b", "c", "c"])
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.025 ** (1 / 3), 1))  # three subjects, not six items
    assert interval.method == "Clopper-Pearson over subjects"


def test_closed_form_share_with_one_item_a_person() -> None:
    interval = share_interval([True] * 13 + [False], PEOPLE)
    assert interval is not None
    share = 13 / 14  # its jackknife variance is p(1-p)/(n-1), and 1/(p(1-p)) is the logit's slope
    centre, half = (
        math.log(share / (1 - share)),
        2.160368656 / math.sqrt(13 * share * (1 - share)),
    )  # t(0.975, 13)
    limits = [1 / (1 + math.exp(-(centre + sign * half))) for sign in (-1, 1)]
    assert [interval.low, interval.high] == pytest.approx(limits)


def test_closed_form_permutation_within_persons_of_one_label_changes_nothing() -> None:
    labels = np.array([1, 1, 0, 0])
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    mean, p = permutation_p(
        lambda permuted: float((scores * permuted).sum()), labels, ["a", "a", "b", "b"], permutations=50, seed=0
    )
    assert mean == pytest.approx(1.7)  # the label identifies the person, so the statistic proves nothing
    assert p == 1.0


def test_closed_form_permutation_of_one_pair_a_person() -> None:
    labels = np.array([0, 1] * 10)
    scores = np.array([0.0, 1.0] * 10)
    people = [f"s{number}" for number in range(10) for _ in range(2)]
    mean, p = permutation_p(lambda permuted: float((scores * permuted).sum()), labels, people, permutations=999, seed=0)
    assert mean == pytest.approx(5.0, abs=0.3)  # each of ten pairs is right half of the time
    assert 1 / 1000 <= p <= 6 / 1000  # the observed order has the chance 2^-10


# foreign reference


def test_foreign_reference_scipy_t_interval() -> None:
    values = np.random.default_rng(2).normal(0, 1, 14)
    interval = mean_interval(values.tolist(), PEOPLE, confidence=0.9)
    theirs = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high))


def test_foreign_reference_scipy_exact_binomial() -> None:
    interval = share_interval([False] * 14, PEOPLE)
    theirs = scipy.stats.binomtest(0, 14).proportion_ci(0.95, "exact")
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high))


def test_foreign_reference_scipy_permutation_test() -> None:
    scores = np.random.default_rng(3).normal(0, 1, 24)
    labels = np.tile([0, 1], 12)
    scores[labels == 1] += 0.4
    people = [f"s{number:02d}" for number in range(12) for _ in range(2)]

    def difference(permuted: npt.NDArray[np.int_]) -> float:
        return float(scores[permuted == 1].mean() - scores[permuted == 0].mean())

    theirs = scipy.stats.permutation_test(
        (scores[labels == 1], scores[labels == 0]),
        lambda first, second: first.mean() - second.mean(),
        permutation_type="samples",
        alternative="greater",
    )
    _, p = permutation_p(difference, labels, people, permutations=4000, seed=0)
    assert 0.05 < theirs.pvalue < 0.95
    assert p == pytest.approx(theirs.pvalue, abs=0.025)  # three standard errors of 4000 permutations


# coverage


@pytest.mark.parametrize(("items", "share"), [(1, 0.8), (6, 0.8), (6, 0.95)])
def test_intervals_cover_shares_of_14_subjects(items: int, share: float) -> None:
    generator = np.random.default_rng(4)
    people = [person for person in PEOPLE for _ in range(items)]
    covered = 0
    for _ in range(400):
        probabilities = generator.beta(4 * share, 4 * (1 - share), 14) if items > 1 else np.full(14, share)
        interval = share_interval((generator.random(14 * items) < probabilities.repeat(items)).tolist(), people)
        assert interval is not None
        covered += interval.low <= share <= interval.high
    assert covered / 400 >= 0.9


@given(st.lists(st.booleans(), min_size=14, max_size=14))
def test_share_interval_contains_its_share_and_stays_in_0_to_1(hits: list[bool]) -> None:
    narrow = share_interval(hits, PEOPLE, confidence=0.8)
    wide = share_interval(hits, PEOPLE, confidence=0.95)
    assert narrow is not None
    assert wide is not None
    assert 0 <= wide.low <= narrow.low <= np.mean(hits) + 1e-12
    assert np.mean(hits) - 1e-12 <= narrow.high <= wide.high <= 1


@given(st.lists(st.booleans(), min_size=14, max_size=14))
def test_share_interval_mirrors_when_hits_and_misses_are_swapped(hits: list[bool]) -> None:
    interval = share_interval(hits, PEOPLE)
    mirrored = share_interval([not hit for hit in hits], PEOPLE)
    assert interval is not None
    assert mirrored is not None
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - interval.high, 1 - interval.low))


def test_more_hits_move_both_limits_up() -> None:
    intervals = [share_interval([True] * hits + [False] * (14 - hits), PEOPLE) for hits in range(1, 14)]
    lows = [interval.low for interval in intervals if interval]
    highs = [interval.high for interval in intervals if interval]
    assert len(lows) == 13
    assert lows == sorted(lows)
    assert highs == sorted(highs)


# no interval, and bad input


@pytest.mark.parametrize("count", [2, 9, 10])
def test_reliable_from_ten_subjects(count: int) -> None:
    interval = share_interval([number % 2 == 0 for number in range(count)], PEOPLE[:count])
    assert interval is not None
    assert interval.reliable == (count >= 10)


def test_one_subject_has_no_interval() -> None:
    assert mean_interval([1.0, 2.0], ["a", "a"]) is None
    assert share_interval([True, False], ["a", "a"]) is None


def test_statistic_undefined_without_a_subject_has_no_interval() -> None:
    labels = np.array([1, 0, 0])

    def needs_both(chosen: npt.NDArray[np.intp]) -> float:
        return 1.0 if len(set(labels[chosen].tolist())) == 2 else math.nan

    assert jackknife_interval(needs_both, ["a", "b", "c"]) is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="2 items but 1 subjects"):
        mean_interval([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="2 items but 3 subjects"):
        share_interval([True, False], ["a", "b", "c"])
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, math.nan], ["a", "b"])
    with pytest.raises(ValueError, match="lies in"):
        jackknife_interval(lambda chosen: 1.5, ["a", "b"])
    with pytest.raises(ValueError, match="undefined"):
        permutation_p(lambda permuted: math.nan, np.array([0, 1]), ["a", "a"], permutations=3, seed=0)
