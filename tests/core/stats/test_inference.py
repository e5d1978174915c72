"""Confidence intervals by person: closed forms, scipy's results, and coverage in a seeded simulation."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.stats.inference import (
    Difference,
    jackknife_difference,
    jackknife_interval,
    jackknife_share_interval,
    mean_interval,
    permutation_mean,
    share_interval,
    signed_rank_p,
)

Shares = npt.NDArray[np.float64]

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


def test_closed_form_share_of_people_who_differ() -> None:
    """Four people with 0, 1/2, 1/2 and all of 8 hits: 16 of 32, of the worth of 6 items by the definition."""
    people = [person for person in PEOPLE[:4] for _ in range(8)]
    hits = [place < of_person for of_person in (0, 4, 4, 8) for place in range(8)]
    interval = share_interval(hits, people)
    assert interval is not None
    variance = ((0.25 + 0 + 0 + 0.25) / 4 + 2 * 0.25 / 4) / (3 + 2)  # between people, and of the prior's two
    size = 0.25 / variance
    assert size == pytest.approx(5.0)
    low, high = scipy.stats.beta.ppf([0.025, 0.975], [2.5, 3.5], [3.5, 2.5])
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert interval.method == "Korn-Graubard over subjects"


def test_closed_form_people_who_are_all_hits_or_all_misses_count_as_one_item_each() -> None:
    hits = [number < 11 for number in range(14)]
    interval = share_interval(np.repeat(hits, 20).tolist(), [person for person in PEOPLE for _ in range(20)])
    theirs = scipy.stats.binomtest(11, 14).proportion_ci(0.95, "exact")
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high))


def test_closed_form_people_who_agree_are_worth_no_more_than_their_items() -> None:
    """Everybody hits with one of two: no deletion changes the share, and 28 items are what there is."""
    interval = share_interval([True, False] * 14, [person for person in PEOPLE for _ in range(2)])
    theirs = scipy.stats.binomtest(14, 28).proportion_ci(0.95, "exact")
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high))


def test_closed_form_only_the_counted_items_limit_a_share() -> None:
    """One counted item a person, among others: the worth of one item each."""
    people = [person for person in PEOPLE for _ in range(3)]
    hits = np.array([number < 11 for number in range(14) for _ in range(3)])
    counted = np.arange(len(people)) % 3 == 0
    interval = jackknife_share_interval(
        lambda chosen: float(hits[chosen][counted[chosen]].mean()), people, counted=counted
    )
    assert interval == share_interval(hits[counted].tolist(), PEOPLE)


def test_closed_form_a_person_with_most_of_the_items_leaves_few_people() -> None:
    """Of hits alone: 9 items of one and one of another person are worth 100 / 82 people."""
    interval = share_interval([True] * 10, ["a"] * 9 + ["b"])
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.025 ** (82 / 100), 1))


def test_closed_form_permutation_within_persons_of_one_label_changes_nothing() -> None:
    labels = np.array([1, 1, 0, 0])
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    mean = permutation_mean(
        lambda permuted: float((scores * permuted).sum()), labels, ["a", "a", "b", "b"], permutations=50, seed=0
    )
    assert mean == pytest.approx(1.7)  # the label identifies the person, so the statistic proves nothing


def test_closed_form_permutation_of_one_pair_a_person() -> None:
    labels = np.array([0, 1] * 10)
    scores = np.array([0.0, 1.0] * 10)
    people = [f"s{number}" for number in range(10) for _ in range(2)]
    mean = permutation_mean(lambda permuted: float((scores * permuted).sum()), labels, people, permutations=999, seed=0)
    assert mean == pytest.approx(5.0, abs=0.3)  # each of ten pairs is right half of the time


def test_closed_form_signed_ranks() -> None:
    assert signed_rank_p([3.0, 1.0, 2.0], permutations=999, seed=0) == 1 / 8
    assert signed_rank_p([3.0, -1.0, 2.0], permutations=999, seed=0) == 2 / 8  # sums of 6 and 4
    assert signed_rank_p([-3.0, -1.0, -2.0], permutations=999, seed=0) == 1.0
    assert signed_rank_p([1.0] * 10, permutations=999, seed=0) <= 6 / 1000  # all ten have the chance 2^-10


@pytest.mark.parametrize("differences", [[], [0.0], [0.0] * 14])
def test_closed_form_without_a_difference_p_is_one(differences: list[float]) -> None:
    assert signed_rank_p(differences, permutations=999, seed=0) == 1.0


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


@pytest.mark.parametrize("hits", range(15))
def test_foreign_reference_scipy_exact_binomial_of_one_item_a_person(hits: int) -> None:
    interval = share_interval([number < hits for number in range(14)], PEOPLE)
    theirs = scipy.stats.binomtest(hits, 14).proportion_ci(0.95, "exact")
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("people", [7, 9, 14, 30])
def test_foreign_reference_scipy_wilcoxon(people: int) -> None:
    for seed in range(5):
        differences = np.random.default_rng(seed).normal(0.3, 1, people)
        theirs = scipy.stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
        p = signed_rank_p(differences.tolist(), permutations=4000, seed=0)
        assert p == pytest.approx(theirs, abs=1e-12 if 2**people <= 4000 else 0.025)


def test_foreign_reference_scipy_wilcoxon_of_ties_and_zeros() -> None:
    differences = [2.0, 2.0, -1.0, 1.0, 0.0, 3.0, -3.0, 4.0, 5.0, 0.0]
    method = scipy.stats.PermutationMethod(n_resamples=np.inf)  # all
    theirs = scipy.stats.wilcoxon(differences, alternative="greater", method=method).pvalue
    assert signed_rank_p(differences, permutations=999, seed=0) == pytest.approx(theirs)


@given(st.lists(st.integers(-50, 50), max_size=9), st.sampled_from([0.001, 3.0, 100.0]))
def test_law_signed_ranks_have_no_unit(differences: list[int], scale: float) -> None:
    scaled = [difference * scale for difference in differences]
    expected = signed_rank_p(differences, permutations=999, seed=0)
    assert signed_rank_p(scaled, permutations=999, seed=0) == expected


# coverage


SHARES = (0.5, 0.8, 0.9, 0.95, 0.98)
UNEQUAL = (2, 4, 4, 8, 16)
"""Items of one person after the other, in turn."""


def draw_difficulties(kind: str, share: float, shape: tuple[int, int], generator: np.random.Generator) -> Shares:
    """Each person's probability of a hit, with the mean `share` over the population.

    `beta0.1` and so on: beta-distributed with that correlation of two items of one person; `hard0.25` and so on: that
    probability for the few hard persons, 1 for the others.
    """
    number = float(kind[4:])
    if kind.startswith("hard"):
        return np.where(generator.random(shape) < (1 - share) / (1 - number), number, 1.0)
    return generator.beta(share * (1 / number - 1), (1 - share) * (1 / number - 1), shape)


def measure_coverage(kind: str, share: float, items: int | None, people: int, simulations: int) -> tuple[float, float]:
    """Share of intervals that contain the true share, and their mean width; of None items, of unequal many."""
    generator = np.random.default_rng([people, items or 0, round(100 * share)])
    counts = np.resize(UNEQUAL, people) if items is None else np.full(people, items)
    names = [f"s{number:02d}" for number, count in enumerate(counts) for _ in range(count)]
    limits = []
    for difficulties in draw_difficulties(kind, share, (simulations, people), generator):
        interval = share_interval((generator.random(len(names)) < difficulties.repeat(counts)).tolist(), names)
        assert interval is not None
        limits.append((interval.low, interval.high))
    low, high = np.array(limits).T
    return float(((low <= share) & (share <= high)).mean()), float((high - low).mean())


@pytest.mark.parametrize("people", [5, 8, 14, 30])
@pytest.mark.parametrize(("kind", "share", "items"), [("beta0.3", 0.95, 4), ("hard0.25", 0.9, None)])
def test_intervals_of_shares_cover_people_of_unequal_difficulty(
    people: int, kind: str, share: float, items: int | None
) -> None:
    """Few and reduced; `make test-long` has 1,000 simulations of every kind."""
    assert measure_coverage(kind, share, items, people, 200)[0] >= 0.93


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("people", [5, 8, 14, 30])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", ["beta0.02", "beta0.1", "beta0.3", "beta0.6", "beta0.9", "hard0.0", "hard0.25"])
def test_intervals_of_shares_cover_in_1000_simulations(people: int, share: float, kind: str) -> None:
    for items in (1, 2, 4, 16, None):
        covered, width = measure_coverage(kind, share, items, people, 1000)
        print(f"{people} people, {items or 'unequal many'} items, {kind}, share {share}: {covered:.3f} in {width:.3f}")
        assert covered >= 0.93, items


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
    assert covered / 400 >= 0.93


def test_intervals_of_equal_people_grow_narrower_with_their_items() -> None:
    """Not wider than needed: 16 items a person of 30 equal people give half of the width of one item each."""
    few, many = (measure_coverage("beta0.0001", 0.8, items, 30, 100)[1] for items in (1, 16))
    assert many < 0.5 * few


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
    assert jackknife_share_interval(needs_both, ["a", "b", "c"]) is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="2 items but 1 subjects"):
        mean_interval([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="2 items but 3 subjects"):
        share_interval([True, False], ["a", "b", "c"])
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, math.nan], ["a", "b"])
    with pytest.raises(ValueError, match="lies in"):
        jackknife_interval(lambda chosen: 1.5, ["a", "b"])
    with pytest.raises(ValueError, match="lies in"):
        jackknife_share_interval(lambda chosen: 1.5, ["a", "b"])
    with pytest.raises(ValueError, match="undefined"):
        permutation_mean(lambda permuted: math.nan, np.array([0, 1]), ["a", "a"], permutations=3, seed=0)
    with pytest.raises(ValueError, match="finite"):
        signed_rank_p([1.0, math.nan], permutations=3, seed=0)


# paired differences


def compare_by_deletion(first: np.ndarray, second: np.ndarray, subjects: np.ndarray) -> Difference:
    """The jackknife of a difference of means, by leaving out each person."""
    kept = [subjects != name for name in np.unique(subjects)]
    return jackknife_difference(
        (float(first.mean()), np.array([first[each].mean() for each in kept])),
        (float(second.mean()), np.array([second[each].mean() for each in kept])),
    )


def test_closed_form_difference_of_means_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 9))
    found = compare_by_deletion(first, second, np.arange(9))
    expected = scipy.stats.ttest_rel(first, second)
    low, high = expected.confidence_interval()
    assert found.interval is not None
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert found.interval.subjects == 9
    assert not found.interval.reliable


def test_a_difference_that_no_deletion_changes_has_no_p() -> None:
    same = (0.75, np.array([0.5, 0.8, 0.9]))
    assert jackknife_difference(same, same) == Difference(0.0, None, None)


def test_a_difference_needs_two_people_and_defined_statistics() -> None:
    with pytest.raises(ValueError, match="two at least"):
        jackknife_difference((0.5, np.array([0.5])), (0.5, np.array([0.5])))
    with pytest.raises(ValueError, match="two at least"):
        jackknife_difference((0.5, np.array([0.5, 0.6])), (0.5, np.array([0.5])))
    with pytest.raises(ValueError, match="defined"):
        jackknife_difference((0.5, np.array([0.5, np.nan])), (0.5, np.array([0.5, 0.4])))


@pytest.mark.parametrize("people", [5, 8, 14, 30])
def test_equal_detectors_are_told_apart_in_at_most_7_percent(people: int) -> None:
    """400 data sets each: two detectors of equal AUC, people of unequal difficulty, a few of them hard for one only."""
    rng = np.random.default_rng(people)
    rejected = 0
    for _ in range(400):
        shared = rng.normal(0, 1, people)
        aucs = []
        for _ in range(2):
            own = shared - 3.0 * (rng.random(people) < 0.1) + rng.normal(0, 0.5, people)
            fakes = 2.0 + own[:, None] + rng.normal(size=(people, 3))
            reals = rng.normal(size=(people, 2)) + rng.normal(0, 0.7, (people, 1))
            wins = (fakes[:, None, :, None] > reals[None, :, None, :]).sum((2, 3))  # (people, people)
            left = wins.sum() - wins.sum(0) - wins.sum(1) + wins.diagonal()
            aucs.append((wins.sum() / (6 * people**2), left / (6 * (people - 1) ** 2)))
        found = jackknife_difference(*aucs)
        rejected += found.p is not None and found.p < 0.05
    assert rejected / 400 <= 0.07
