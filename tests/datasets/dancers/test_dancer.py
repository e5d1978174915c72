"""The demo dancers: closed form (laws of the generator), foreign reference (OpenCV, MediaPipe), frozen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.datasets.dancers.body import (
    ARM_JOINTS,
    DISTANCE,
    LEG_JOINTS,
    MISSING,
    Skeleton,
    build_skeleton,
    project_keypoints,
)
from dancebench.datasets.dancers.choreography import Choreography
from dancebench.datasets.dancers.dancer import HEIGHT, WIDTH, Dancer, dance, make_dancer
from dancebench.datasets.pose.extractors.base import find_default_extractor, open_extractor
from dancebench.datasets.pose.skeleton import L_ANKLE, L_WRIST, N_POINTS, NOSE, R_ANKLE, R_WRIST

SEEDS = (0, 4, 11, 26)


def film(
    dancer: Dancer, n_frames: int, motion_seed: int | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    pairs = list(dance(dancer, n_frames, motion_seed=motion_seed))
    return np.stack([frame for frame, _ in pairs]), np.stack([points for _, points in pairs])


def postures(dancer: Dancer, n_frames: int, every: int = 1) -> list[Skeleton]:
    choreography = Choreography(dancer.style, dancer.seed)
    times = np.arange(0, n_frames, every) / 25
    return [build_skeleton(dancer.body, dancer.camera, choreography.pose(float(time))) for time in times]


def motion(dancer: Dancer, n_frames: int, every: int = 1) -> npt.NDArray[np.float32]:
    """Keypoints without rendering frames."""
    return np.stack([project_keypoints(dancer.camera, posture) for posture in postures(dancer, n_frames, every)])


# ---- closed form


def test_closed_form_same_seed_same_pixels() -> None:
    first, second = film(make_dancer(3), 3), film(make_dancer(3), 3)
    assert make_dancer(3) == make_dancer(3)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_closed_form_a_clip_starts_the_same_whatever_its_length() -> None:
    dancer = make_dancer(5)
    short, long = film(dancer, 2), film(dancer, 6)
    np.testing.assert_array_equal(short[0], long[0][:2])
    np.testing.assert_array_equal(short[1], long[1][:2])


def test_closed_form_frames_and_keypoints_have_their_shapes_and_ranges() -> None:
    frames, points = film(make_dancer(1), 2)
    assert frames.shape == (2, HEIGHT, WIDTH, 3)
    assert frames.dtype == np.uint8
    assert frames.std() > 20
    assert points.shape == (2, N_POINTS, 3)
    assert points.dtype == np.float32
    missing = np.isin(np.arange(N_POINTS), MISSING)
    assert (points[:, missing] == 0).all()
    assert (points[:, ~missing, 2] == 1).all()


def test_closed_form_no_frames_is_an_empty_clip() -> None:
    assert list(dance(make_dancer(0), 0)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_closed_form_the_whole_person_stays_in_the_picture(seed: int) -> None:
    points = motion(make_dancer(seed), 1200, every=4)
    present = points[points[..., 2] > 0]
    assert (present[:, :2] > 2).all()
    assert (present[:, 0] < WIDTH - 3).all()
    assert (present[:, 1] < HEIGHT - 3).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_closed_form_the_dancer_walks_in_depth(seed: int) -> None:
    points = motion(make_dancer(seed), 250, every=2)
    ankles = points[:, [L_ANKLE, R_ANKLE], 1].max(axis=1)
    assert np.ptp(ankles) > 20
    scales = [posture.world[NOSE, 2] for posture in postures(make_dancer(seed), 250, every=2)]
    sizes = 1 / (DISTANCE - np.array(scales))
    assert 1.10 < sizes.max() / sizes.min() < 1.35


@pytest.mark.parametrize("seed", SEEDS)
def test_closed_form_bones_keep_their_length(seed: int) -> None:
    """Legs always; arms come out shorter only where they would leave the picture."""
    dancer = make_dancer(seed)
    half_leg, arm = dancer.body.to_metres(dancer.body.leg) / 2, dancer.body.to_metres(dancer.body.arm)
    for posture in postures(dancer, 400, every=4):
        for hip, knee, ankle in LEG_JOINTS:
            for a, b in ((hip, knee), (knee, ankle)):
                assert np.linalg.norm(posture.world[a] - posture.world[b]) == pytest.approx(half_leg, rel=0.02)
        for shoulder, elbow, wrist in ARM_JOINTS:
            for a, b, share in ((shoulder, elbow, 0.52), (elbow, wrist, 0.48)):
                length = np.linalg.norm(posture.world[a] - posture.world[b]) / (share * arm)
                assert 0.6 < length < 1.0 + 1e-9


def test_closed_form_dance_is_smooth_and_quick_enough() -> None:
    steps = np.diff(motion(make_dancer(7), 200)[:, [R_WRIST, L_WRIST], :2], axis=0)
    speeds = np.hypot(steps[..., 0], steps[..., 1])  # pixels a frame
    assert speeds.max() < 30
    assert speeds.mean() > 1


def test_closed_form_motion_does_not_repeat() -> None:
    """No later second repeats the first one."""
    points = motion(make_dancer(2), 1000)[..., :2]
    first = points[:25]
    distances = [np.abs(points[t : t + 25] - first).mean() for t in range(25, 975)]
    assert min(distances) > 2
    assert max(np.abs(points[t] - points[t + 1]).mean() for t in range(100)) < 8


def test_closed_form_people_and_dances_differ() -> None:
    frames = [film(make_dancer(seed), 1)[0][0].astype(float) for seed in (0, 1, 2)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(frames[a] - frames[b]).mean() > 15
    dancer = make_dancer(0)
    same, other = film(dancer, 1, motion_seed=0), film(dancer, 1, motion_seed=9)
    np.testing.assert_array_equal(same[0][0], frames[0])
    assert np.abs(same[1] - other[1]).max() > 10


def test_closed_form_only_the_dancer_and_a_little_noise_move() -> None:
    frames, _ = film(make_dancer(4), 2)
    corner = frames[:, :40, :60].astype(float)
    difference = corner[1] - corner[0]
    assert 0.8 < difference.std() / np.sqrt(2) < 2.5
    assert abs(difference.mean()) < 0.2


@pytest.mark.parametrize(
    ("n_frames", "fps", "motion_seed"), [(-1, 25.0, None), (1, 0.0, None), (1, float("nan"), None), (1, 25.0, -1)]
)
def test_closed_form_bad_input_is_refused(n_frames: int, fps: float, motion_seed: int | None) -> None:
    with pytest.raises(BenchError):
        dance(make_dancer(0), n_frames, fps, motion_seed)


def test_closed_form_negative_seed_is_refused() -> None:
    with pytest.raises(BenchError, match="seed"):
        make_dancer(-1)


# ---- foreign reference


def test_foreign_reference_opencv_projects_alike() -> None:
    camera = make_dancer(0).camera
    world = np.random.default_rng(0).uniform(-0.8, 0.8, (20, 3)) + np.array([0, 1, 0])
    matrix = np.array([[camera.focal, 0, WIDTH / 2 - 0.5], [0, camera.focal, camera.horizon], [0, 0, 1]])
    facing = np.diag([1.0, -1.0, -1.0])  # OpenCV looks along +z with y down
    shift = -facing @ np.array([0, camera.height, DISTANCE])
    expected, _ = cv2.projectPoints(world, cv2.Rodrigues(facing)[0], shift, matrix, None)
    np.testing.assert_allclose(camera.project(world), expected[:, 0], atol=1e-6)


@pytest.mark.parametrize("seed", [2, 5])
def test_foreign_reference_mediapipe_finds_them(seed: int) -> None:
    if find_default_extractor() is None:
        pytest.skip("no pose extractor can run on this machine")
    frames, truth = film(make_dancer(seed), 10)
    found = np.stack(list(open_extractor().extract(iter(frames))))
    both = (found[..., 2] > 0) & (truth[..., 2] > 0)
    assert both[:, :19].all()  # the whole body but the feet, in every frame
    assert both[:, 67:].mean() > 0.8  # face
    assert both[:, 25:67].mean() > 0.4  # hands
    error = np.hypot(*np.moveaxis(found - truth, -1, 0)[:2])
    assert error[:, :15].mean() < 8  # pixels, of 512


# ---- frozen

FROZEN = (146.62, 154.38, 46.23, 232.34, 153.04, 451.66, 128.48, 135.09, 139.74)


def test_frozen_a_known_dancer() -> None:
    """Notices a change of the frames: raise GENERATOR_VERSION with it."""
    frames, points = film(make_dancer(3), 11)
    measured = np.concatenate([points[10, [NOSE, R_WRIST, L_ANKLE], :2].ravel(), frames[10].mean(axis=(0, 1))])
    np.testing.assert_allclose(measured, FROZEN, atol=0.3)
