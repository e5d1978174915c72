"""Tracks of boxes: closed forms of the rules, and laws that hold for any boxes."""

import itertools

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dancebench.datasets.pose.box import Box
from dancebench.detect.inputs.tracks import (
    FACE_REACH,
    LOOK_EVERY,
    Follower,
    Look,
    LookTimer,
    choose_tracks,
    link_boxes,
    remember,
)


def at(x: float, y: float = 100, side: float = 40) -> Box[float]:
    return Box(y - side / 2, y + side / 2, x - side / 2, x + side / 2)


def look(seconds: float, *boxes: Box[float], segment: int = 0) -> Look:
    return Look(seconds, segment, boxes)


def test_at_most_two_looks_are_taken_in_a_second() -> None:
    timer = LookTimer()
    looked = [index / 30 for index in range(91) if timer(index / 30)]
    assert looked == [0, 0.5, 1, 1.5, 2, 2.5, 3]


@given(st.lists(st.floats(0.001, 2), min_size=1, max_size=60))
def test_looks_are_never_closer_than_half_a_second(steps: list[float]) -> None:
    timer = LookTimer()
    looked = [seconds for seconds in np.cumsum(steps) if timer(float(seconds))]
    assert looked[0] == np.cumsum(steps)[0]
    assert all(after - before >= LOOK_EVERY - 1e-5 for before, after in itertools.pairwise(looked))


def test_a_box_is_interpolated_between_looks_and_held_for_a_quarter_of_a_second() -> None:
    (track,) = link_boxes([look(1, at(100)), look(1.5, at(120))])
    assert track.box_at(1.25) == at(110)
    assert track.box_at(0.75) == at(100)
    assert track.box_at(1.75) == at(120)
    assert track.box_at(0.74) is None
    assert track.box_at(1.76) is None


def test_one_look_may_miss_and_two_end_a_track() -> None:
    assert len(link_boxes([look(0, at(0)), look(0.5), look(1, at(5))])) == 1
    assert len(link_boxes([look(0, at(0)), look(0.5), look(1), look(1.5, at(5))])) == 2


def test_a_segment_ends_every_track() -> None:
    tracks = choose_tracks([look(0, at(0)), look(0.5, at(0), segment=1)])
    assert sorted(tracks) == [0, 1]


def test_who_is_far_or_of_another_size_is_somebody_else() -> None:
    assert len(link_boxes([look(0, at(0)), look(0.5, at(59))])) == 1
    assert len(link_boxes([look(0, at(0)), look(0.5, at(61))])) == 2
    assert len(link_boxes([look(0, at(0)), look(0.5, at(0, side=81))])) == 2
    assert len(link_boxes([look(0, at(0)), look(0.5, at(159))], FACE_REACH)) == 1


def test_two_people_keep_their_own_boxes() -> None:
    looks = [look(number / 2, at(100 + 4 * number), at(180 - 4 * number)) for number in range(5)]
    tracks = link_boxes(looks)
    assert [track.edges[:, 2].tolist() for track in tracks] == [
        [80, 84, 88, 92, 96], [160, 156, 152, 148, 144],
    ]  # fmt: skip


def test_the_largest_by_area_times_duration_is_taken() -> None:
    brief_and_large = [look(0, at(300, side=60), at(0)), look(0.5, at(0)), look(1, at(0)), look(1.5, at(0))]
    assert choose_tracks(brief_and_large)[0].edges[0].tolist() == list(at(0).edges)  # 4 x 40² over 60²
    large = [look(0, at(300, side=90), at(0)), *brief_and_large[1:]]
    assert choose_tracks(large)[0].edges[0].tolist() == list(at(300, side=90).edges)  # 90² over 4 x 40²


def test_nobody_gives_no_track() -> None:
    assert choose_tracks([look(0), look(0.5)]) == {}
    assert choose_tracks([]) == {}


boxes = st.builds(at, st.floats(0, 500), st.floats(0, 500), st.floats(1, 200))


@given(st.lists(st.lists(boxes, max_size=4), max_size=12))
def test_every_box_is_of_exactly_one_track(found: list[list[Box[float]]]) -> None:
    looks = [look(number / 2, *each) for number, each in enumerate(found)]
    tracks = link_boxes(looks)
    kept = sorted(tuple(edges) for track in tracks for edges in track.edges)
    assert kept == sorted(box.edges for each in found for box in each)
    for track in tracks:
        assert (np.diff(track.seconds) > 0).all()


@given(st.lists(boxes, min_size=2, max_size=6), st.floats(0, 1))
def test_an_interpolated_box_lies_between_its_neighbours(found: list[Box[float]], share: float) -> None:
    looks = [look(number / 2, each) for number, each in enumerate(found)]
    for track in link_boxes(looks):
        seconds = float(track.seconds[0] + share * (track.seconds[-1] - track.seconds[0]))
        box = track.box_at(seconds)
        assert box is not None
        low, high = track.edges.min(axis=0), track.edges.max(axis=0)
        assert all(a - 1e-9 <= edge <= b + 1e-9 for a, edge, b in zip(low, box.edges, high, strict=True))
        assert track.presence == pytest.approx(sum((e[1] - e[0]) * (e[3] - e[2]) for e in track.edges))


# --- between the looks


def make_noise(seed: int, height: int = 120, width: int = 160) -> npt.NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


@given(down=st.integers(-20, 20), right=st.integers(-20, 20))
@settings(max_examples=30, deadline=None)
def test_a_box_follows_a_picture_that_is_shifted(down: int, right: int) -> None:
    """To within what it may be off before it is moved, 8 % of its side, and a pixel of the small picture."""
    picture, box = make_noise(1), Box(40.0, 80.0, 60.0, 100.0)
    follower = Follower(choose_tracks([look(0, box)])[0], {(0.0, box): remember(picture, box)})
    found = follower.find(0.1, np.roll(picture, (down, right), (0, 1)))
    assert found is not None
    assert abs(found.top - box.top - down) <= 0.08 * 40 + 1
    assert abs(found.left - box.left - right) <= 0.08 * 40 + 1
    assert (found.height, found.width) == pytest.approx((box.height, box.width))


@pytest.mark.parametrize("shown", [make_noise(2), np.zeros((120, 160, 3), np.uint8)])
def test_a_box_stays_where_nothing_is_like_what_it_showed(shown: npt.NDArray[np.uint8]) -> None:
    picture, box = make_noise(1), Box(40.0, 80.0, 60.0, 100.0)
    follower = Follower(choose_tracks([look(0, box)])[0], {(0.0, box): remember(picture, box)})
    assert follower.find(0.1, shown) == box


def test_a_box_of_one_colour_stays_and_one_that_leaves_the_picture_is_followed() -> None:
    flat, box = np.full((120, 160, 3), 90, np.uint8), Box(-10.0, 30.0, -10.0, 30.0)
    follower = Follower(choose_tracks([look(0, box)])[0], {(0.0, box): remember(flat, box)})
    assert follower.find(0.1, flat) == box
    assert follower.find(0.0, flat) == box
    picture = make_noise(1)
    follower = Follower(choose_tracks([look(0, box)])[0], {(0.0, box): remember(picture, box)})
    found = follower.find(0.1, np.roll(picture, (20, 0), (0, 1)))
    assert found is not None
    assert abs(found.top - box.top - 20) <= 4
