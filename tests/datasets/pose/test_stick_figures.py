"""Stick figures and the keypoint layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.datasets.pose.skeleton import (
    BODY,
    FACE,
    LEFT_HAND,
    MID_HIP,
    N_POINTS,
    NECK,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
    RIGHT_HAND,
    compute_body_box,
    has_person,
    scale_keypoints,
)  # fmt: skip
from dancebench.datasets.pose.stick_figures import draw_stick_figure


def points(**at: tuple[float, float]) -> np.ndarray:
    keypoints = np.zeros((N_POINTS, 3), np.float32)
    for name, (x, y) in at.items():
        keypoints[int(name[1:])] = (x, y, 1)
    return keypoints


def test_closed_form_the_layout_has_75_points_in_four_parts() -> None:
    parts = [*range(75)[BODY], *range(75)[LEFT_HAND], *range(75)[RIGHT_HAND], *range(75)[FACE]]
    assert parts == list(range(75))
    assert [len(range(75)[part]) for part in (BODY, LEFT_HAND, RIGHT_HAND, FACE)] == [25, 21, 21, 8]


def test_nothing_found_draws_nothing() -> None:
    assert draw_stick_figure(points(), (512, 256), (128, 64)).max() == 0


def test_a_limb_is_drawn_between_its_ends_and_only_if_both_are_there() -> None:
    whole = points(_2=(60, 100), _3=(60, 300))
    picture = draw_stick_figure(whole, (512, 256), (512, 256))
    assert picture[200, 60].max() > 100
    assert picture[200, 120].max() == 0
    whole[R_ELBOW] = 0
    assert draw_stick_figure(whole, (512, 256), (512, 256))[200, 60].max() == 0


def test_every_limb_has_its_own_colour() -> None:
    upper = draw_stick_figure(points(_2=(60, 100), _3=(60, 300)), (512, 256), (512, 256))[200, 60]
    lower = draw_stick_figure(points(_3=(60, 100), _4=(60, 300)), (512, 256), (512, 256))[200, 60]
    assert not np.array_equal(upper, lower)


@pytest.mark.parametrize("size", [(64, 32), (128, 64), (512, 256), (1024, 512), (256, 256)])
def test_figures_scale_with_the_image(size: tuple[int, int]) -> None:
    source = (512, 256) if size[0] != size[1] else (512, 512)
    picture = draw_stick_figure(points(_2=(60, 100), _3=(60, 400), _4=(150, 400)), source, size)
    assert picture.shape == (*size, 3)
    rows, columns = np.nonzero(picture.max(axis=2) > 40)
    scale = size[0] / 512
    assert rows.min() == pytest.approx(100 * scale, abs=8 * scale + 2)
    assert columns.max() == pytest.approx(150 * scale, abs=8 * scale + 2)


def test_slow_motion_moves_the_figure_smoothly() -> None:
    def centre(x: float) -> float:
        picture = (
            draw_stick_figure(points(_2=(x, 100), _3=(x, 400)), (512, 256), (128, 64)).astype(float).sum(axis=(0, 2))
        )
        return float((picture * np.arange(64)).sum() / picture.sum())

    steps = np.diff([centre(60 + 0.5 * k) for k in range(9)])
    assert (steps > 0).all()
    assert steps.sum() == pytest.approx(1.0, abs=0.05)  # 4 source pixels are one here


def test_closed_form_body_box_grows_by_its_margin() -> None:
    box = compute_body_box(points(_2=(10, 20), _4=(30, 120)), margin=0.1)
    assert box is not None
    assert box.edges == pytest.approx((10, 130, 0, 40))
    assert compute_body_box(points()) is None


@given(st.floats(0.1, 8), st.floats(0.1, 8))
def test_scaling_by_a_factor_and_its_inverse_is_the_identity(fx: float, fy: float) -> None:
    keypoints = np.random.default_rng(0).uniform(0, 500, (4, 75, 3)).astype(np.float32)
    back = scale_keypoints(scale_keypoints(keypoints, fx, fy), 1 / fx, 1 / fy)
    assert np.allclose(back, keypoints, atol=0.01)


def test_a_person_needs_neck_and_hips() -> None:
    keypoints = np.zeros((3, 75, 3), np.float32)
    keypoints[0, [NECK, MID_HIP], 2] = 1
    keypoints[1, [NECK, R_SHOULDER, R_WRIST], 2] = 1
    assert has_person(keypoints).tolist() == [True, False, False]
