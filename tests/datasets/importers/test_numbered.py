"""Frames by the numbers in their names: the stride, and where a segment ends."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.datasets.importers.numbered import find_stride, split_segments


@pytest.mark.parametrize(
    ("numbers", "stride", "lengths"),
    [
        ([], 1, [0]),
        ([7], 1, [1]),
        ([7, 8], 1, [2]),
        ([7, 11], 4, [2]),
        ([0, 1, 2, 5, 6], 1, [3, 2]),
        ([20001, 20005, 20009, 20017, 20021, 20025], 4, [3, 3]),
        ([0, 4, 6, 10, 14], 4, [2, 3]),  # a smaller step is no stride either
        ([0, 4, 8, 9, 10], 1, [1, 1, 3]),  # as common as the other: the smaller
        ([0, 2, 5, 9], 1, [1, 1, 1, 1]),  # no step is common
    ],
)
def test_closed_form_strides_and_segments(numbers: Sequence[int], stride: int, lengths: Sequence[int]) -> None:
    assert find_stride(numbers) == stride
    assert [len(segment) for segment in split_segments(numbers)] == lengths


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 9), st.integers(0, 10**6), st.integers(2, 5))
def test_segments_are_those_that_were_written(lengths: list[int], stride: int, first: int, gap: int) -> None:
    """Segments of a stride with gaps of a multiple of it; the stride must be the most common step."""
    numbers, expected, number = [], [], first
    for length in [*lengths, len(lengths) + 3]:
        numbers += [number + stride * k for k in range(length)]
        expected.append(length)
        number = numbers[-1] + stride * gap
    assert find_stride(numbers) == stride
    segments = split_segments(numbers)
    assert [len(segment) for segment in segments] == expected
    assert all(numbers[b] - numbers[a] == stride for segment in segments for a, b in pairwise(segment))
