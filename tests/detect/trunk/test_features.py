"""Pooled features, and where in a picture they are measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dancebench.datasets.pose.box import Box
from dancebench.detect.trunk.features import (
    PATCH,
    SIZE,
    STAGES,
    find_content,
    lay_patches,
    measure_pictures,
    slice_stages,
)
from dancebench.detect.trunk.network import CHANNELS


def make_picture(seed: int, height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_closed_form_the_stages_part_a_vector() -> None:
    parts = slice_stages()
    assert list(parts) == list(STAGES)
    assert [part.stop - part.start for part in parts.values()] == [2 * CHANNELS[stage] for stage in STAGES.values()]
    assert sorted(index for part in parts.values() for index in range(SIZE)[part]) == list(range(SIZE))


def test_closed_form_spreads_are_not_negative_and_all_is_finite() -> None:
    found = measure_pictures([make_picture(0), make_picture(1, 1, 1)])
    assert found.shape == (2, SIZE)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()
    for part in slice_stages().values():
        assert (found[:, (part.start + part.stop) // 2 : part.stop] >= 0).all()


def test_each_picture_is_measured_alone_whatever_the_order_and_size() -> None:
    pictures = [make_picture(seed, height) for seed, height in enumerate((40, 40, 24, 40))]
    together = measure_pictures(pictures)
    alone = np.concatenate([measure_pictures([each]) for each in pictures])
    assert np.allclose(together, alone, atol=1e-5)
    assert measure_pictures([]).shape == (0, SIZE)


# --- where to look


def test_closed_form_of_the_content_between_bars() -> None:
    frames = np.zeros((2, 90, 120, 3), np.uint8)
    frames[:, 20:70, 10:110] = 128
    assert find_content(frames) == Box(20, 70, 10, 110)


@pytest.mark.parametrize("level", [0, 10])
def test_a_black_clip_is_all_content(level: int) -> None:
    assert find_content(np.full((1, 40, 50, 3), level, np.uint8)) == Box(0, 40, 0, 50)


@settings(max_examples=60)
@given(st.integers(1, 1500), st.integers(1, 1500), st.integers(0, 40), st.integers(0, 40))
def test_patches_cover_the_content_and_stay_within(height: int, width: int, top: int, left: int) -> None:
    content = Box(top, top + height, left, left + width)
    covered = np.zeros((top + height, left + width), bool)
    for box in lay_patches(content):
        assert 1 <= box.height <= PATCH
        assert 1 <= box.width <= PATCH
        assert box.top >= top
        assert box.left >= left
        assert box.bottom <= content.bottom
        assert box.right <= content.right
        covered[box.rows, box.columns] = True
    assert covered[top:, left:].all()
