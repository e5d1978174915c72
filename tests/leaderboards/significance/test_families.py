"""Holm's rule against closed testing, and letters against what they promise."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.leaderboards.significance.families import adjust_holm, assign_letters

P = st.lists(st.floats(0, 1), max_size=6)


def test_foreign_reference_holm_of_a_textbook_example() -> None:
    """What R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") gives."""
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(P)
def test_foreign_reference_holm_is_closed_testing_with_bonferroni(p_values: list[float]) -> None:
    """The largest Bonferroni p of the sets of hypotheses that a hypothesis belongs to, over all sets."""
    places = range(len(p_values))
    sets = [chosen for size in range(1, len(p_values) + 1) for chosen in combinations(places, size)]
    bonferroni = {chosen: min(1.0, len(chosen) * min(p_values[at] for at in chosen)) for chosen in sets}
    expected = [max(bonferroni[chosen] for chosen in sets if at in chosen) for at in places]
    assert adjust_holm(p_values) == pytest.approx(expected)


def test_closed_form_letters() -> None:
    assert assign_letters(0, []) == []
    assert assign_letters(3, []) == ["a", "a", "a"]
    assert assign_letters(3, [(0, 1), (1, 2), (2, 0)]) == ["a", "b", "c"]
    assert assign_letters(3, [(0, 2)]) == ["a", "a,b", "b"]  # not told apart does not carry over
    assert assign_letters(4, [(0, 2), (0, 3), (1, 3)]) == ["a", "a,b", "b,c", "c"]


def test_letters_do_not_run_out() -> None:
    letters = assign_letters(30, list(combinations(range(30), 2)))
    assert letters[:2] == ["a", "b"]
    assert letters[25:28] == ["z", "a1", "b1"]


PAIRS = st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda pair: pair[0] < pair[1]))


@given(PAIRS)
def test_rows_share_a_letter_if_and_only_if_they_are_not_told_apart(told_apart: set[tuple[int, int]]) -> None:
    letters = [set(each.split(",")) for each in assign_letters(7, told_apart)]
    assert all(each != {""} for each in letters)
    for pair in combinations(range(7), 2):
        assert bool(letters[pair[0]] & letters[pair[1]]) == (pair not in told_apart)


@given(PAIRS)
def test_no_letter_is_contained_in_another(told_apart: set[tuple[int, int]]) -> None:
    letters = [set(each.split(",")) for each in assign_letters(7, told_apart)]
    members = {letter: {row for row in range(7) if letter in letters[row]} for letter in set().union(*letters)}
    assert all(not members[one] <= members[other] for one in members for other in members if one != other)
