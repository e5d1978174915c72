"""Flicker of the background and warp error: closed forms, gaps, nulls with their reasons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from dancebench.benchmark.metrics import flicker
from dancebench.benchmark.metrics.chunks import FakeAndReal, start_once
from dancebench.benchmark.metrics.flicker import hide_moving, measure_flicker
from dancebench.benchmark.metrics.per_subject import average_per_subject, explain_null
from dancebench.benchmark.metrics.warp import POINTS_PER_LIMB, measure_warp
from dancebench.core.opencv import cv2
from dancebench.datasets.pose.skeleton import L_ELBOW, L_WRIST, NECK, NOSE, R_ELBOW, R_WRIST, Keypoints

SIZE = (64, 48)
Frames = npt.NDArray[np.uint8]


def body_at_the_left(n: int) -> Keypoints:
    """Two points whose bounding box, grown by a tenth, covers x from 2 to 12 and y from 6 to 54."""
    keypoints = np.zeros((n, 75, 3), np.float32)
    keypoints[:, NOSE], keypoints[:, 11] = (6, 10, 1), (8, 50, 1)
    return keypoints


def grey(levels: list[int]) -> Frames:
    """A flat frame of each level."""
    return np.stack([np.full((*SIZE, 3), level, np.uint8) for level in levels])


def textured(n: int, seed: int = 0, sigma: float = 3) -> Frames:
    """The same smooth pattern `n` times."""
    noise = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    return np.repeat(cv2.GaussianBlur(noise, (0, 0), sigma)[None], n, axis=0)


def background(fake: Frames, real: Frames, keypoints: Keypoints | None = None, starts: object = None) -> pd.DataFrame:
    points = body_at_the_left(len(real)) if keypoints is None else keypoints
    segment_starts = start_once(len(real)) if starts is None else np.asarray(starts)
    return hide_moving(measure_flicker(FakeAndReal(fake, real, points, starts=segment_starts)))


# flicker


def test_closed_form_flicker_is_the_amplitude() -> None:
    rows = background(grey([100, 107, 100, 107]), grey([100, 102, 100, 102]))
    assert np.isnan(rows["background_flicker"][0])
    assert rows["background_flicker"][1:].tolist() == [7.0] * 3
    assert rows["background_flicker_real"][1:].tolist() == [2.0] * 3
    assert rows["background_flicker_excess"][1:].tolist() == [5.0] * 3
    assert average_per_subject(rows.assign(subject="a")).loc["a", "background_flicker_ratio"] == 3.5


def test_closed_form_flicker_does_not_wrap_round() -> None:
    rows = background(grey([255, 0, 255]), grey([100, 101, 100]))
    assert rows["background_flicker"][1:].tolist() == [255.0] * 2


def test_closed_form_an_untouched_copy_has_ratio_one_and_no_excess() -> None:
    rng = np.random.default_rng(0)
    real = np.clip(textured(5) + rng.normal(0, 2, (5, *SIZE, 3)), 0, 255).astype(np.uint8)
    rows = background(real, real)
    assert (rows["background_flicker_excess"][1:] == 0).all()
    values = average_per_subject(rows.assign(subject="a")).loc["a"]
    assert values["background_flicker"] > 1
    assert values["background_flicker_ratio"] == 1.0


def test_blur_lowers_the_ratio_and_has_an_excess() -> None:
    rng = np.random.default_rng(0)
    real = np.clip(textured(5) + rng.normal(0, 3, (5, *SIZE, 3)), 0, 255).astype(np.uint8)
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in real])
    values = average_per_subject(background(blurred, real).assign(subject="a")).loc["a"]
    assert values["background_flicker_ratio"] < 0.5
    assert values["background_flicker_excess"] > 1


def test_the_body_is_no_background_in_either_of_two_frames() -> None:
    real = grey([100, 100, 100])
    fake = real.copy()
    fake[1, 6:55, 2:13] = 200  # where the body is in frame 1
    keypoints = body_at_the_left(3)
    keypoints[2, :, 0] += 30  # in frame 2 it is elsewhere
    assert background(fake, real, keypoints)["background_flicker"][1:].tolist() == [0.0, 0.0]
    fake[1, 6:55, 13] = 200
    assert (background(fake, real, keypoints)["background_flicker"][1:] > 0).all()


def test_no_previous_frame_is_null_with_its_reason() -> None:
    rows = background(grey([0, 9, 200, 209]), grey([0, 1, 200, 201]), starts=[True, False, True, False])
    assert rows["background_flicker"].isna().tolist() == [True, False, True, False]
    assert rows["background_flicker"].dropna().tolist() == [9.0, 9.0]
    assert rows["background_reason"][2] == flicker.NO_FRAME_BEFORE
    assert rows["background_reason"][1] is None


def test_a_body_that_fills_the_frame_leaves_no_background() -> None:
    keypoints = body_at_the_left(4)
    keypoints[:, 12] = (47, 63, 1)
    keypoints[:, 13] = (0, 0, 1)
    rows = background(grey([100, 101, 100, 101]), grey([100, 101, 100, 101]), keypoints)
    assert rows["background_flicker"].isna().all()
    assert explain_null(rows, "background_flicker_ratio") == "the background is under 5% of the frame"


def test_without_a_pose_the_background_is_unknown() -> None:
    keypoints = body_at_the_left(5)
    keypoints[2] = 0
    rows = background(grey([1] * 5), grey([1] * 5), keypoints)
    assert rows["background_flicker"].isna().tolist() == [True, False, True, True, False]
    assert rows["background_reason"][2] == rows["background_reason"][3] == flicker.NO_POSE


def test_one_flash_of_the_real_is_null_and_the_others_are_not() -> None:
    real = grey([100, 101, 100, 101, 200, 201, 200])
    rows = background(real, real)
    assert np.flatnonzero(rows["background_flicker"].isna()).tolist() == [0, 4]
    assert rows["background_reason"][4] == flicker.MOVING


@pytest.mark.parametrize("pan", [1, 2])
def test_a_camera_that_pans_slowly_over_a_smooth_background_is_not_still(pan: int) -> None:
    real = np.stack([np.roll(frame, pan * t, axis=1) for t, frame in enumerate(textured(6))])
    assert measure_flicker(FakeAndReal(real, real, body_at_the_left(6)))["background_flicker"].max() < 12
    rows = background(real, real)
    assert rows["background_flicker"].isna().all()
    assert explain_null(rows, "background_flicker") == "the background moves: the camera is not still"


@pytest.mark.parametrize("right", [10, 36])  # the latter leaves four columns
def test_a_noisy_still_background_is_still_however_few_its_pixels(right: int) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 4, (30, *SIZE, 3))
    keypoints = body_at_the_left(30)
    keypoints[:, 12] = (right, 30, 1)
    keypoints[:, 13] = (2, 63, 1)
    keypoints[:, 10] = (2, 0, 1)
    for plain in (np.full_like(noise, 128), textured(30)):
        real = np.clip(plain + noise, 0, 255).astype(np.uint8)
        assert background(real, real, keypoints)["background_flicker"][1:].notna().all()


def test_closed_form_the_ratio_is_of_means_and_not_a_mean_of_ratios() -> None:
    rows = background(grey([10, 12, 22, 12]), grey([10, 11, 21, 11]))  # 2, 10, 10 against 1, 10, 10
    values = average_per_subject(rows.assign(subject="a")).loc["a"]
    assert values["background_flicker_ratio"] == pytest.approx(22 / 21)


def test_a_real_clip_without_any_change_has_no_ratio() -> None:
    rows = background(grey([1, 2, 3]), grey([1, 1, 1])).assign(subject="a")
    assert np.isnan(average_per_subject(rows).loc["a", "background_flicker_ratio"])
    assert explain_null(rows, "background_flicker_ratio") == "nothing changes in the real clip"


# warp error


def arm(n: int, step: tuple[float, float]) -> Keypoints:
    """One limb, elbow to wrist, that moves by `step` a frame."""
    truth = np.zeros((n, 75, 3), np.float32)
    for t in range(n):
        truth[t, R_ELBOW] = (12 + step[0] * t, 20 + step[1] * t, 1)
        truth[t, R_WRIST] = (22 + step[0] * t, 33 + step[1] * t, 1)
    return truth


def measure_moving(
    fake: Frames, real: Frames, truth: Keypoints | None, *, starts: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    return measure_warp(FakeAndReal(fake, real, np.zeros((len(real), 75, 3), np.float32), truth, starts))


def moving(n: int, step: tuple[int, int]) -> Frames:
    """A pattern that moves by `step` (x, y) a frame."""
    return np.stack([np.roll(f, (step[1] * t, step[0] * t), axis=(0, 1)) for t, f in enumerate(textured(n))])


def test_closed_form_a_texture_that_moves_with_the_limb_has_no_warp_error() -> None:
    real, truth = moving(4, (2, 1)), arm(4, (2, 1))
    rows = measure_moving(np.repeat(real[:1], 4, axis=0), real, truth, starts=start_once(4))
    assert np.isnan(rows["warp_error_real"][0])
    assert (rows["warp_error_real"][1:] < 1e-9).all()
    assert (rows["warp_error"][1:] > 1).all()  # a static copy


def test_closed_form_warp_error_of_half_a_pixel_is_bilinear() -> None:
    ramp = np.broadcast_to(4 * np.arange(48)[None, :, None], (*SIZE, 3)).astype(np.uint8)
    rows = measure_moving(np.stack([ramp, ramp]), np.stack([ramp, ramp]), arm(2, (0.5, 0.25)), starts=start_once(2))
    assert rows["warp_error"][1] == pytest.approx(2.0)  # half of the slope of 4 levels a pixel


def test_closed_form_warp_error_does_not_wrap_round() -> None:
    rows = measure_moving(grey([255, 0, 255]), grey([0, 255, 0]), arm(3, (1, 1)), starts=start_once(3))
    assert rows["warp_error"][1:].tolist() == pytest.approx([255.0] * 2)


def test_closed_form_every_limb_counts_the_same_however_long() -> None:
    frames = grey([100, 100])
    frames[1, :10] = 110  # the short limb lies here
    truth = arm(2, (0, 0))
    truth[:, L_ELBOW], truth[:, L_WRIST] = (30, 4, 1), (32, 4, 1)
    assert measure_moving(frames, frames, truth, starts=start_once(2))["warp_error"][1] == pytest.approx(5.0)


def test_warp_error_is_null_at_a_start_and_without_the_truth() -> None:
    real, truth = moving(4, (2, 1)), arm(4, (2, 1))
    starts = np.array([True, False, True, False])
    assert measure_moving(real, real, truth, starts=starts)["warp_error"].isna().tolist() == starts.tolist()
    rows = measure_moving(real, real, None, starts=starts)
    assert rows.isna().all(axis=None)
    assert explain_null(rows, "warp_error_ratio") == "the true motion is not known"


def test_only_points_known_and_inside_in_both_frames_count() -> None:
    real, truth = moving(2, (0, 0)), arm(2, (0, 0))
    truth[1, R_WRIST, 2] = 0
    assert np.isnan(measure_moving(real, real, truth, starts=start_once(2))["warp_error"][1])
    outside = arm(2, (200, 0))
    assert np.isnan(measure_moving(real, real, outside, starts=start_once(2))["warp_error"][1])
    partly = np.zeros((2, 75, 3), np.float32)
    partly[:, NECK], partly[:, NOSE] = (-10, 10, 1), (10, 10, 1)  # half of it outside
    assert measure_moving(real, real, partly, starts=start_once(2))["warp_error"][1] == 0


def test_frozen_points_per_limb() -> None:
    assert POINTS_PER_LIMB == 8  # another number makes other values
