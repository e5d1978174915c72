"""The distance of poses whatever their place and size."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import waving
from hypothesis import given
from hypothesis import strategies as st

from dancebench.datasets.pose.distance import find_nearest_pose, measure_distance_to_nearest, normalised_pose_distances
from dancebench.datasets.pose.skeleton import NOSE, Keypoints


def make_poses(seed: int, count: int, joints: int = 25) -> Keypoints:
    poses = np.zeros((count, 75, 3), np.float32)
    poses[:, :joints, :2] = np.random.default_rng(seed).uniform(0, 100, (count, joints, 2))
    poses[:, :joints, 2] = 1
    return poses


@given(seed=st.integers(0, 99), scale=st.floats(0.3, 3), x=st.floats(-50, 50), y=st.floats(-50, 50))
def test_place_and_size_do_not_matter(seed: int, scale: float, x: float, y: float) -> None:
    poses = make_poses(seed, 4)
    moved = poses.copy()
    moved[:, :25, :2] = scale * poses[:, :25, :2] + np.array([x, y], np.float32)
    expected = normalised_pose_distances(poses[0], poses)
    assert expected[0] == pytest.approx(0, abs=1e-5)
    assert normalised_pose_distances(poses[0], moved) == pytest.approx(expected, abs=1e-4)
    assert find_nearest_pose(poses[2], moved, normalised_pose_distances) == 2


@given(seed=st.integers(0, 99))
def test_the_distance_is_symmetric(seed: int) -> None:
    one, other = make_poses(seed, 2)
    there = normalised_pose_distances(one, other[None])
    assert there == pytest.approx(normalised_pose_distances(other, one[None]))


def test_closed_form_a_turned_body_is_not_turned_back() -> None:
    poses = make_poses(0, 2, joints=4)
    square = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], np.float32)
    poses[:, :4, :2] = square, np.roll(square, 1, axis=0) + 50  # a quarter: each corner is where the next one was
    assert normalised_pose_distances(poses[0], poses[1:]) == pytest.approx([np.sqrt(2)])


def test_closed_form_joints_that_one_pose_lacks_are_left_out() -> None:
    poses = make_poses(3, 2)
    poses[1] = poses[0]
    poses[1, 7] = 0
    assert normalised_pose_distances(poses[0], poses[1:]) == pytest.approx([0], abs=1e-5)


def test_fewer_than_two_joints_or_coinciding_ones_have_no_distance() -> None:
    poses = make_poses(0, 4)
    poses[1, 1:] = 0
    poses[2, :25, :2] = 5
    poses[3] = 0
    assert np.isinf(normalised_pose_distances(poses[0], poses[1:])).all()


def test_closed_form_the_mean_is_over_the_nearest_poses_that_share_half_of_the_joints() -> None:
    pose = waving(0, (256, 128))
    others = np.stack([pose] * 14)
    others[:, :, 0] += np.arange(14, dtype=np.float32)[:, None] * (pose[:, 2] > 0)
    one_joint = np.zeros_like(pose)
    one_joint[NOSE] = pose[NOSE]  # its distance would be 0
    others = np.concatenate([others, np.zeros_like(others[:2]), one_joint[None]])
    assert measure_distance_to_nearest(pose, others, 10) == pytest.approx(np.arange(10).mean(), abs=1e-4)
    assert measure_distance_to_nearest(pose, others[1:4], 10) == pytest.approx(2, abs=1e-4)
    assert measure_distance_to_nearest(pose, one_joint[None], 10) == 0  # the best that there is
    assert np.isnan(measure_distance_to_nearest(np.zeros_like(pose), others, 10))
    assert np.isnan(measure_distance_to_nearest(pose, others[14:16], 10))
