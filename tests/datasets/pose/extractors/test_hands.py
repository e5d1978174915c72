"""Whose hand is whose, and the squares in which hands are looked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.datasets.pose.extractors._hands import assign_hands, cut_square
from dancebench.datasets.pose.skeleton import Keypoints

WRISTS = {25: np.array([100.0, 100.0]), 46: np.array([200.0, 100.0])}
HEIGHT = 400.0  # of the body: hands are in reach within 40 pixels of a wrist


def hand_at(x: float, y: float, *, side: float = 20) -> Keypoints:
    """A hand whose wrist is there, and whose fingers go up."""
    steps = np.linspace(0, 1, 21)
    return np.stack([x + side / 2 * steps, y - side * steps, np.ones(21)], axis=1).astype(np.float32)


# ---- closed form


def test_closed_form_each_hand_goes_to_the_nearer_wrist() -> None:
    right, left = hand_at(195, 110), hand_at(104, 90)
    assigned = assign_hands([right, left], WRISTS, HEIGHT)
    assert assigned[25] is left
    assert assigned[46] is right


def test_closed_form_of_two_hands_at_one_wrist_the_nearer_has_it() -> None:
    wrists = {25: np.array([100.0, 100.0]), 46: np.array([130.0, 100.0])}
    near, far = hand_at(101, 100), hand_at(112, 100, side=10)
    assigned = assign_hands([far, near], wrists, HEIGHT)
    assert assigned[25] is near
    assert assigned[46] is far  # the wrist that is left
    assert assign_hands([far, near], {25: wrists[25]}, HEIGHT) == {25: near}


def test_closed_form_a_hand_out_of_reach_is_nobodys() -> None:
    assert list(assign_hands([hand_at(100, 139)], WRISTS, HEIGHT)) == [25]
    assert assign_hands([hand_at(100, 141)], WRISTS, HEIGHT) == {}
    assert assign_hands([], WRISTS, HEIGHT) == {}


def test_closed_form_a_hand_that_is_found_twice_is_one() -> None:
    wrists = {25: np.array([100.0, 100.0]), 46: np.array([110.0, 100.0])}  # folded hands
    once, again, other = hand_at(101, 100), hand_at(103, 100), hand_at(115, 100)
    assert list(assign_hands([once, again], wrists, HEIGHT)) == [25]
    both = assign_hands([once, again, other], wrists, HEIGHT)
    assert both[25] is once
    assert both[46] is other


POSITIONS = st.lists(st.tuples(st.floats(0, 300), st.floats(0, 200)), max_size=4, unique=True)


@given(POSITIONS, st.randoms())
def test_no_hand_is_used_twice_and_their_order_does_not_matter(positions: list[tuple[float, float]], random) -> None:
    hands = [hand_at(*position) for position in positions]
    assigned = assign_hands(hands, WRISTS, HEIGHT)
    assert len({id(hand) for hand in assigned.values()}) == len(assigned)
    for part, hand in assigned.items():
        assert np.hypot(*(hand[0, :2] - WRISTS[part])) <= HEIGHT / 10
    distances = [np.hypot(*(hand[0, :2] - wrist)) for hand in hands for wrist in WRISTS.values()]
    if len(set(distances)) == len(distances):  # of two that are equally near, the first is taken
        shuffled = random.sample(hands, len(hands))
        again = assign_hands(shuffled, WRISTS, HEIGHT)
        assert {part: id(hand) for part, hand in again.items()} == {part: id(hand) for part, hand in assigned.items()}


@given(x=st.floats(-60, 160), y=st.floats(-60, 140), side=st.integers(1, 90))
def test_a_square_shows_the_frame_where_it_says(x: float, y: float, side: int) -> None:
    frame = np.random.default_rng(0).integers(1, 256, (80, 100, 3), np.uint8)
    square, corner = cut_square(frame, np.array([x, y]), side)
    assert square.shape == (side, side, 3)
    assert np.abs(corner + (side - 1) / 2 - (x, y)).max() <= 0.5 + 1e-9
    columns, rows = (np.arange(side) + int(start) for start in corner)
    inside = ((rows >= 0) & (rows < 80))[:, None] & ((columns >= 0) & (columns < 100))
    np.testing.assert_array_equal(square[inside], frame[rows.clip(0, 79)][:, columns.clip(0, 99)][inside])
    assert not square[~inside].any()


@pytest.mark.parametrize("centre", [(-500.0, 40.0), (50.0, 9000.0)])
def test_a_square_beside_the_frame_is_black(centre: tuple[float, float]) -> None:
    square, _ = cut_square(np.full((80, 100, 3), 255, np.uint8), np.array(centre), 30)
    assert not square.any()
