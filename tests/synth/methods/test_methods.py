"""The behaviour of each method, on a subject made in a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import UnknownNameError
from dancebench.datasets.pose.distance import find_nearest_pose, pose_distances
from dancebench.datasets.pose.skeleton import BODY, NOSE
from dancebench.datasets.pose.stick_figures import draw_stick_figure
from dancebench.datasets.subjects.dataset import Subject
from dancebench.synth.base import METHODS, Schedule
from dancebench.synth.clip import (
    Motion,
    TrainingClip,
    load_training_clip,
    locate_noses,
    scale_to_long_side,
    to_pixels,
    to_tensor,
)
from dancebench.synth.gan.method import GanConfig, GanMethod, GanPhase

CPU = torch.device("cpu")
TINY = GanConfig(long_side=64, ngf=4, n_down=2, n_blocks=1, ndf=4, n_scales=1, schedule=Schedule(steps=4, batch=2))


def make_gan(name: str, clip: TrainingClip, config: GanConfig = TINY) -> tuple[GanMethod, GanPhase]:
    torch.manual_seed(0)
    method = METHODS[name](config, clip, CPU)
    assert isinstance(method, GanMethod)
    phase = method.start_phase("global", None)
    assert isinstance(phase, GanPhase)
    return method, phase


def examples(starts: np.ndarray, window: int) -> np.ndarray:
    return starts[:, None] + np.arange(window)


def make_motion(keypoints: np.ndarray, size: tuple[int, int]) -> Motion:
    def draw_pose_maps(requested: tuple[int, int]) -> Iterator[np.ndarray]:
        return (draw_stick_figure(points, size, requested) for points in keypoints)

    return Motion(keypoints, size, draw_pose_maps, locate_noses(keypoints))


def test_the_registry_lists_the_methods_and_suggests_the_nearest_name() -> None:
    assert {"fbf", "fbf-ts", "nearest", "mean-frame"} <= set(METHODS.names())
    with pytest.raises(UnknownNameError) as error:
        METHODS["fbff"]
    assert error.value.hint is not None
    assert "Did you mean 'fbf'?" in error.value.hint


def test_closed_form_pose_distance_is_eq_6() -> None:
    pose, other = np.zeros((75, 3), np.float32), np.zeros((1, 75, 3), np.float32)
    pose[BODY, 2] = other[:, BODY, 2] = 1
    other[0, BODY, :2] = (3, 4)
    assert pose_distances(pose, other) == pytest.approx([5.0])


def test_closed_form_pose_distance_runs_over_shared_joints_only() -> None:
    pose, other = np.zeros((75, 3), np.float32), np.zeros((2, 75, 3), np.float32)
    pose[:2, 2] = 1
    other[0, :1, 2] = 1
    other[0, 0, :2] = (0, 7)
    distances = pose_distances(pose, other)
    assert distances[0] == pytest.approx(7.0)
    assert np.isinf(distances[1])


def test_nearest_returns_a_training_frame_for_its_own_pose(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    method = METHODS["nearest"](TINY, clip, CPU)
    frames = list(method.render(make_motion(clip.keypoints[[5, 11]], clip.size)))
    assert np.array_equal(frames, clip.frames[np.array([5, 11])])


def test_nearest_does_not_depend_on_the_size_that_the_motion_comes_in(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    method = METHODS["nearest"](TINY, clip, CPU)
    full = make_motion(walker.keypoints()[:8], walker.size)
    assert np.array_equal(list(method.render(full)), clip.frames[np.arange(8)])


def test_nearest_repeats_the_previous_frame_where_no_pose_is_found(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    method = METHODS["nearest"](TINY, clip, CPU)
    keypoints = clip.keypoints[[9, 9]].copy()
    keypoints[1] = 0
    frames = list(method.render(make_motion(keypoints, clip.size)))
    assert np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[0], clip.frames[np.array([9])][0])


def test_closed_form_a_candidate_with_one_near_joint_is_not_the_nearest() -> None:
    pose, others = np.zeros((75, 3), np.float32), np.zeros((2, 75, 3), np.float32)
    pose[:6, 2] = others[0, :1, 2] = others[1, :5, 2] = 1
    others[1, :5, 0] = 3  # five joints, 3 pixels off; the other has one joint in place
    assert pose_distances(pose, others) == pytest.approx([0.0, 3.0])
    assert find_nearest_pose(pose, others) == 1
    assert find_nearest_pose(pose, others[:1]) == 0  # the only candidate, so better than none
    assert find_nearest_pose(np.zeros_like(pose), others) is None


def test_mean_frame_is_the_mean_whatever_the_pose(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    frames = list(METHODS["mean-frame"](TINY, clip, CPU).render(make_motion(clip.keypoints[:3], clip.size)))
    assert np.abs(frames[0] - clip.frames[np.arange(24)].astype(float).mean(axis=0)).max() <= 0.5
    assert np.array_equal(frames[0], frames[2])


def test_a_step_of_temporal_smoothing_sends_the_gradient_through_the_first_frame(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    method, _ = make_gan("fbf-ts", clip)
    poses = clip.read_batch(np.array([[3, 4]]), CPU).pose_maps.requires_grad_()
    method.generate_window(method.generator, poses)[:, 1].sum().backward()
    assert poses.grad is not None
    assert poses.grad[:, 0].abs().sum() > 0


def test_the_second_frame_is_conditioned_on_the_first_output(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    method, _ = make_gan("fbf-ts", clip)
    batch = clip.read_batch(np.array([[0, 1]]), CPU)
    with torch.no_grad():
        images = method.generate_window(method.generator, batch.pose_maps)
        alone = method.generator(method.build_condition(batch.pose_maps[:, 1], torch.zeros_like(batch.pose_maps[:, 1])))
        again = method.generator(method.build_condition(batch.pose_maps[:, 1], images[:, 0]))
    assert torch.equal(images[:, 1], again)
    assert not torch.allclose(images[:, 1], alone, atol=1e-4)


def test_synthesis_is_autoregressive(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    method, _ = make_gan("fbf-ts", clip)
    motion = make_motion(clip.keypoints[:3], clip.size)
    frames = list(method.render(motion))
    previous = torch.zeros(1, 3, *clip.size)
    with torch.no_grad():
        for t in range(3):
            previous = method.generator(method.build_condition(to_tensor(clip.pose_maps[np.array([t])], CPU), previous))
            assert np.array_equal(frames[t], to_pixels(previous[0]))


@pytest.mark.parametrize(("name", "channels"), [("fbf", 6), ("fbf-ts", 12)])
def test_the_discriminator_sees_poses_and_images(walker: Subject, name: str, channels: int) -> None:
    _, phase = make_gan(name, load_training_clip(walker, 64))
    first = next(phase.discriminator.parameters())
    assert first.shape[1] == channels


@pytest.mark.parametrize("name", ["fbf", "fbf-ts"])
def test_training_learns_the_toy(walker: Subject, name: str) -> None:
    clip = load_training_clip(walker, 64)
    config = TINY.model_copy(update={"ngf": 8, "schedule": Schedule(steps=4, batch=2, learning_rate=1e-3)})
    method, phase = make_gan(name, clip, config)
    rng = np.random.default_rng(0)

    def error() -> float:
        batch = clip.read_batch(examples(phase.example_starts, method.window), CPU)
        with torch.no_grad():
            return float((method.generate_window(method.generator, batch.pose_maps) - batch.frames).abs().mean())

    before = error()
    for _ in range(150):
        losses = phase.train_step(clip.read_batch(phase.sample_examples(rng), CPU))
    assert set(losses) == {"g_gan", "g_features", "d_real", "d_fake"}
    assert error() < 0.5 * before


def test_a_step_updates_both_networks_and_leaves_the_discriminator_trainable(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    _, phase = make_gan("fbf", clip)
    before = [value.clone() for network in phase.networks().values() for value in network.parameters()]
    phase.train_step(clip.read_batch(np.array([[0], [1]]), CPU))
    after = [value for network in phase.networks().values() for value in network.parameters()]
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert sum(changed) > 0.9 * len(changed)
    assert all(weight.requires_grad for weight in phase.discriminator.parameters())


def test_examples_never_contain_a_frame_without_a_pose(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    keypoints = clip.keypoints.copy()
    keypoints[[7, 15]] = 0
    broken = replace(clip, keypoints=keypoints)
    assert set(broken.list_example_starts(2).tolist()) == set(range(23)) - {6, 7, 14, 15}


def test_examples_never_cross_a_segment_boundary(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    starts_segment = clip.starts_segment.copy()
    starts_segment[10] = True
    broken = replace(clip, starts_segment=starts_segment)
    assert set(broken.list_example_starts(2).tolist()) == set(range(23)) - {9}
    assert broken.segments() == [range(10), range(10, 24)]


def test_a_missing_nose_does_not_drop_a_frame(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    keypoints = clip.keypoints.copy()
    keypoints[7, NOSE] = 0
    assert 7 in replace(clip, keypoints=keypoints).list_example_starts(1)


@given(st.integers(0, 255))
def test_closed_form_pixels_survive_the_way_to_tensors_and_back(level: int) -> None:
    pixels = np.full((2, 3, 3), level, np.uint8)
    tensor = to_tensor(pixels, CPU)
    assert tensor.min() >= -1
    assert tensor.max() <= 1
    assert np.array_equal(to_pixels(tensor), pixels)


@pytest.mark.parametrize(
    ("size", "side", "expected"), [((512, 256), 128, (128, 64)), ((256, 512), 128, (64, 128)), ((64, 64), 32, (32, 32))]
)
def test_closed_form_training_size_keeps_the_aspect(
    size: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    assert scale_to_long_side(size, side) == expected
