"""Boxes: rows [top, bottom) and columns [left, right) of a frame."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dancebench.datasets.pose.box import Box

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
EDGES = st.integers(-20, 60)
BOXES = st.builds(Box, EDGES, EDGES, EDGES, EDGES)


def test_closed_form() -> None:
    image = np.arange(24).reshape(4, 6)
    box = Box(1, 3, 2, 6)
    assert (box.height, box.width) == (2, 4)
    assert image[box.rows, box.columns].tolist() == [[8, 9, 10, 11], [14, 15, 16, 17]]


def test_closed_form_clip() -> None:
    assert Box(-3.0, 70.5, 0.25, 64.0).clip((64, 32)) == Box(0, 64, 0.25, 32)
    assert Box(200.0, 300.0, 3.0, 4.0).clip((64, 32)).height < 0


def test_no_number_stays_none() -> None:
    assert all(math.isnan(edge) for edge in Box(math.nan, math.nan, math.nan, math.nan).clip((64, 32)).edges)


@given(BOXES, SIZES)
def test_a_clipped_box_holds_the_pixels_inside_the_frame(box: Box[int], size: tuple[int, int]) -> None:
    clipped = box.clip(size)
    assert clipped.clip(size) == clipped
    inside = np.zeros(size, np.bool_)
    for y in range(size[0]):
        for x in range(size[1]):
            inside[y, x] = box.top <= y < box.bottom and box.left <= x < box.right
    if clipped.height > 0 and clipped.width > 0:
        assert clipped.height * clipped.width == inside.sum()
        assert inside[clipped.rows, clipped.columns].all()
    else:
        assert not inside.any()
