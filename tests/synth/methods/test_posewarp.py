"""PoseWarp: its geometry against closed forms, and the method's behaviour on a subject made in a second."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn

from dancebench.core.nn.trunks import Trunk
from dancebench.datasets.pose.skeleton import L_HIP, L_SHOULDER, NECK, NOSE, R_ELBOW, R_SHOULDER, R_WRIST
from dancebench.datasets.subjects.dataset import Subject
from dancebench.synth.base import Phase, Schedule
from dancebench.synth.clip import Motion, TrainingClip, load_training_clip
from dancebench.synth.methods.posewarp.limbs import (
    JOINTS,
    LIMBS,
    draw_heatmaps,
    fit_limb_transforms,
    fit_similarity,
    log_prior,
    warp,
)  # fmt: skip
from dancebench.synth.methods.posewarp.method import (
    PosePairs,
    PoseWarp,
    PoseWarpConfig,
    ScaledPerceptualLoss,
    WarpPhase,
)
from dancebench.synth.methods.posewarp.networks import PoseWarpNetworks, UNet

CPU = torch.device("cpu")
TINY = PoseWarpConfig(
    long_side=64, width=4, n_down=3, schedule=Schedule(steps=4, batch=2, learning_rate=2e-3), ndf=4
)  # fmt: skip
HEAD, TORSO, R_UPPER_ARM, R_FOREARM = 0, 1, 2, 3
EVERY = [True, True, True, True]


def make_posewarp(clip: TrainingClip, config: PoseWarpConfig = TINY) -> PoseWarp:
    torch.manual_seed(0)
    return PoseWarp(config, clip, CPU)


@pytest.fixture
def clip(walker: Subject) -> TrainingClip:
    return load_training_clip(walker, 64)


@pytest.fixture
def pose(clip: TrainingClip) -> torch.Tensor:
    """(1, 75, 3), all 14 joints found, at 64x32."""
    return torch.from_numpy(clip.keypoints[3:4].copy())


def similarity(angle: float, scale: float, shift: tuple[float, float]) -> torch.Tensor:
    """(1, 2, 3)."""
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return torch.tensor([[[c, -s, shift[0]], [s, c, shift[1]]]])


def transform_points(points: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """(B, N, 2) points, each transformed by (B, 2, 3)."""
    return points @ by[..., :2].mT + by[..., 2][:, None]


SQUARE = torch.tensor([[[0.0, 0.0], [4.0, 0.0], [4.0, 6.0], [0.0, 6.0]]])


@pytest.mark.parametrize("count", [2, 3, 4])
def test_closed_form_a_similarity_is_recovered_from_its_points(count: int) -> None:
    known = similarity(0.7, 1.8, (3.0, -5.0))
    valid = torch.tensor([[k < count for k in range(4)]])
    fitted = fit_similarity(SQUARE, transform_points(SQUARE, known), valid)
    assert torch.allclose(fitted, known, atol=1e-5)


def test_closed_form_the_torsos_fit_is_least_squares() -> None:
    noise = torch.randn(1, 4, 2, generator=torch.Generator().manual_seed(0))
    end = transform_points(SQUARE, similarity(-0.4, 0.6, (1.0, 2.0))) + noise
    # The same fit as a linear system in (a, b, u, v): x' = a x - b y + u, y' = b x + a y + v.
    rows = [row for x, y in SQUARE[0].tolist() for row in ([x, -y, 1, 0], [y, x, 0, 1])]
    a, b, u, v = np.linalg.lstsq(np.array(rows), end.reshape(-1).numpy(), rcond=None)[0]
    fitted = fit_similarity(SQUARE, end, torch.tensor([EVERY]))
    assert fitted[0].numpy() == pytest.approx(np.array([[a, -b, u], [b, a, v]]), abs=1e-5)


def test_points_that_are_not_valid_are_ignored() -> None:
    known = similarity(0.2, 1.1, (0.0, 1.0))
    end = transform_points(SQUARE, known)
    end[0, 2] = 1000.0
    fitted = fit_similarity(SQUARE, end, torch.tensor([[True, True, False, True]]))
    assert torch.allclose(fitted, known, atol=1e-5)


def test_closed_form_a_limb_shorter_than_a_pixel_is_only_translated() -> None:
    short = torch.tensor([[[5.0, 5.0], [5.0, 5.5]]])
    long = torch.tensor([[[8.0, 1.0], [8.0, 9.0]]])
    both = torch.tensor([[True, True]])
    assert fit_similarity(short, long, both).tolist() == [[[1, 0, 3], [0, 1, -0.25]]]
    assert fit_similarity(long, short, both).tolist() == [[[1, 0, -3], [0, 1, 0.25]]]
    assert fit_similarity(long, long * 0.125, both)[0, 0, 0] == pytest.approx(0.125)  # just a pixel long


def test_fewer_than_two_points_give_the_identity() -> None:
    fitted = fit_similarity(SQUARE, SQUARE + 7, torch.tensor([[True, False, False, False]]))
    assert fitted.tolist() == [[[1, 0, 0], [0, 1, 0]]]


def test_closed_form_a_warp_moves_each_pixel_as_its_transform_says() -> None:
    image = torch.zeros(1, 2, 1, 12, 8)
    image[..., 5, 2] = 1  # x = 2, y = 5
    quarter_turn = similarity(math.pi / 2, 1.0, (4.0, 3.0))  # (x, y) → (4 - y, 3 + x)
    shift = similarity(0.0, 1.0, (-3.0, 4.0))
    result = warp(image, torch.stack([quarter_turn, shift], dim=1))
    # The transforms map the result to the input image: (2, 5) comes to (2, 2) in the first, (5, 1) in the second.
    assert result[0, 0, 0].argmax() == 2 * 8 + 2
    assert result[0, 1, 0].argmax() == 1 * 8 + 5
    assert result.flatten(2).max(dim=-1).values == pytest.approx(torch.ones(1, 2), abs=1e-4)


def test_closed_form_the_transforms_map_the_targets_limb_to_the_sources(pose: torch.Tensor) -> None:
    other = pose.clone()
    other[..., :2] = transform_points(pose[..., :2], similarity(0.5, 0.8, (2.0, -1.0)))
    maps = fit_limb_transforms(pose, other)
    for limb, by in zip(LIMBS, maps.unbind(1), strict=True):
        joints = limb.near + limb.far
        assert torch.allclose(transform_points(other[:, joints, :2], by), pose[:, joints, :2], atol=1e-4)


def test_closed_form_a_heatmap_is_one_on_its_joint() -> None:
    pose = torch.zeros(1, 75, 3)
    pose[0, R_WRIST] = torch.tensor([9.0, 20.0, 1.0])
    maps = draw_heatmaps(pose, (64, 32))
    assert maps.shape == (1, 14, 64, 32)
    wrist = JOINTS.index(R_WRIST)
    assert maps[0, wrist, 20, 9] == 1
    assert maps[0, wrist].sum() == pytest.approx(2 * math.pi * (0.02 * 64) ** 2, rel=1e-3)
    assert maps.sum() == maps[0, wrist].sum()  # missing joints add nothing


def test_the_prior_peaks_on_the_limb_and_leaves_the_rest_to_the_background(pose: torch.Tensor) -> None:
    size = (64, 32)
    prior = log_prior(pose, size).exp()
    assert prior.shape == (1, len(LIMBS) + 1, *size)
    for limb, limb_prior in zip(LIMBS, prior[0], strict=False):
        near, far = (pose[0, joints, :2].mean(dim=0) for joints in (limb.near, limb.far))
        x, y = ((near + far) / 2).round().int().tolist()
        assert limb_prior[y, x] > 0.8 * limb_prior.max()
        assert limb_prior[y, x] > 0.5
    assert prior[0, -1, 0, 0] == pytest.approx(1.0, abs=1e-3)  # a corner
    assert (prior[0, :-1].amax(0) + prior[0, -1]).numpy() == pytest.approx(np.ones(size), abs=1e-5)


def test_an_absent_limb_has_no_prior_and_does_not_move(pose: torch.Tensor) -> None:
    broken, other = pose.clone(), pose.clone()
    broken[0, [R_WRIST, NOSE]] = 0
    other[..., :2] += 5
    prior, maps = log_prior(broken, (64, 32)).exp(), fit_limb_transforms(broken, other)
    for limb in (R_FOREARM, HEAD):
        assert prior[0, limb].max() < 1e-6
        assert maps[0, limb].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert prior[0, R_UPPER_ARM].max() > 0.8
    assert maps[0, R_UPPER_ARM, :, 2].tolist() == pytest.approx([-5, -5], abs=1e-4)


def test_a_torso_with_two_corners_still_has_a_place(pose: torch.Tensor) -> None:
    for missing in ([L_SHOULDER, L_HIP], [R_SHOULDER, L_SHOULDER]):
        broken = pose.clone()
        broken[0, missing] = 0
        assert log_prior(broken, (64, 32)).exp()[0, TORSO].max() > 0.8
        assert torch.allclose(fit_limb_transforms(broken, pose)[0, TORSO], torch.eye(2, 3), atol=1e-5)


def test_a_pose_without_any_joint_is_all_background() -> None:
    prior = torch.softmax(log_prior(torch.zeros(1, 75, 3), (64, 32)), dim=1)
    assert prior[0, -1].min() > 0.999


@pytest.mark.parametrize("size", [(64, 32), (64, 64), (32, 96), (45, 30)])
def test_the_networks_take_any_size_and_their_masks_sum_to_one(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = PoseWarpNetworks(width=4, n_down=4, room=4.0)
    nn.init.normal_(network.masks.last.weight)
    pose = torch.rand(2, 75, 3) * torch.tensor([size[1], size[0], 1.0])
    redrawn = network(torch.rand(2, 3, *size) * 2 - 1, pose, pose.flip(0))
    assert redrawn.image.shape == (2, 3, *size)
    assert redrawn.masks.shape == (2, 11, *size)
    assert torch.allclose(redrawn.masks.sum(1), torch.ones(2, *size), atol=1e-5)


def test_closed_form_a_u_net_has_the_parameters_of_its_layers() -> None:
    network = UNet(17, 11, width=8, n_down=3)  # 8, 16, 32, 32 channels
    down = [8 * 16 * 16 + 16, 16 * 16 * 32 + 32, 32 * 16 * 32 + 32]
    up = [64 * 9 * 32 + 32, 48 * 9 * 16 + 16, 24 * 9 * 8 + 8]
    up[0] = (32 + 32) * 9 * 32 + 32
    rest = 17 * 9 * 8 + 8 + 32 * 9 * 32 + 32 + 8 * 9 * 11 + 11
    assert sum(value.numel() for value in network.parameters()) == sum(down) + sum(up) + rest


def test_untrained_networks_leave_the_limbs_of_an_identity_as_they_were(clip: TrainingClip) -> None:
    method = make_posewarp(clip)
    batch = clip.read_batch(np.array([[4, 4]]), CPU)
    with torch.no_grad():
        redrawn = method.redraw(batch)
    cut = redrawn.masks[:, :-1, None] * batch.frames[:, :1]  # (1, 10, 3, H, W)
    assert torch.allclose(redrawn.limbs, cut, atol=1e-4)
    prior = torch.softmax(log_prior(batch.keypoints[:, 0], clip.size), dim=1)
    assert torch.allclose(redrawn.masks, prior, atol=1e-6)  # before training the masks are their prior
    shown = 1 - torch.softmax(log_prior(batch.keypoints[:, 1], clip.size), dim=1)[:, -1:]
    assert torch.allclose(redrawn.blend, shown, atol=1e-5)  # and the blending is that of the target's pose


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_no_training_empties_the_limbs_or_leaves_the_body(clip: TrainingClip, sign: float) -> None:
    network = make_posewarp(clip).generator
    nn.init.constant_(network.masks.last.bias, sign * 1e6)
    nn.init.constant_(network.masks.last.bias[-1:], -sign * 1e6)
    nn.init.constant_(network.foreground.last.bias, sign * 1e6)
    batch = clip.read_batch(np.array([[4, 9]]), CPU)
    with torch.no_grad():
        redrawn = network(batch.frames[:, 0], batch.keypoints[:, 0], batch.keypoints[:, 1])
    source, target = (log_prior(batch.keypoints[:, k], clip.size).exp()[:, -1:] for k in (0, 1))  # the background's
    assert redrawn.masks[:, -1:][source < 1e-4].max() < 0.5
    assert redrawn.blend[target < 1e-4].min() > 0.5
    assert redrawn.blend[target > 1 - 1e-4].max() < 0.5


def test_closed_form_before_training_the_limbs_are_blended_over_the_rest_of_the_source(clip: TrainingClip) -> None:
    batch = clip.read_batch(np.array([[4, 9]]), CPU)
    with torch.no_grad():
        redrawn = make_posewarp(clip).redraw(batch)
    rest = redrawn.masks[:, -1:] * batch.frames[:, 0]
    expected = redrawn.blend * redrawn.limbs.sum(1) + (1 - redrawn.blend) * rest
    assert torch.allclose(redrawn.image, expected, atol=1e-5)


@pytest.mark.parametrize("network", ["foreground", "background"])
def test_no_colour_is_so_far_off_that_no_gradient_brings_it_back(clip: TrainingClip, network: str) -> None:
    method = make_posewarp(clip)
    last: nn.Conv2d = getattr(method.generator, network).last
    nn.init.constant_(last.bias[:3], 100.0)  # far beyond white
    batch = clip.read_batch(np.array([[4, 9]]), CPU)
    method.redraw(batch).image.mean().backward()
    assert last.bias.grad is not None
    assert (last.bias.grad[:3] > 1e-2).all()


def train_warp_phase(method: PoseWarp, steps: int) -> Phase:
    phase = method.start_phase("warp", None)
    for step in range(steps):
        index = phase.sample_examples(np.random.default_rng([0, step]))
        losses = phase.train_step(method.clip.read_batch(index, CPU))
        assert set(losses) == {"g_pixels"}
    return phase


@pytest.mark.parametrize("limit", [1e-3, 1e6])
def test_a_gradient_is_shortened_to_the_norm_allowed(clip: TrainingClip, limit: float) -> None:
    method = make_posewarp(clip, TINY.model_copy(update={"max_gradient_norm": limit}))
    train_warp_phase(method, 1)
    gradients = [weight.grad for weight in method.generator.parameters() if weight.grad is not None]
    norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
    assert norm == pytest.approx(limit, rel=1e-3) if limit < 1 else 1e-3 < norm < limit


def error(method: PoseWarp, index: list[list[int]]) -> float:
    batch = method.clip.read_batch(np.array(index), CPU)
    with torch.no_grad():
        return float((method.redraw(batch).image - batch.frames[:, 1]).abs().mean())


def test_training_learns_the_toy_and_the_identity_reproduces_the_input_approximately(clip: TrainingClip) -> None:
    method = make_posewarp(clip, TINY.model_copy(update={"width": 8}))
    pairs, same = [[t, (t + 7) % 24] for t in range(24)], [[t, t] for t in range(24)]
    before = error(method, pairs)
    train_warp_phase(method, 60)
    assert error(method, pairs) < min(0.5 * before, 0.05)  # of a range of 2
    mean = torch.from_numpy(clip.frames[np.arange(24)]).float().div(127.5).sub(1).mean(0)
    copied = error(method, same)
    assert copied < 0.08  # of a range of 2
    assert copied < (clip.read_batch(np.array(same), CPU).frames[:, 0] - mean.movedim(-1, 0)).abs().mean()


def test_a_frame_is_generated_from_the_training_frame_of_the_nearest_pose(clip: TrainingClip) -> None:
    method = make_posewarp(clip)
    requested = clip.keypoints[[5, 11]].copy()
    requested[:, :, 0] += 0.01
    frames = list(method.render(make_motion(clip, requested)))
    assert [frame.shape for frame in frames] == [(64, 32, 3)] * 2
    assert frames[0].dtype == np.uint8
    for t, pose, frame in zip((5, 11), requested, frames, strict=True):
        batch = clip.read_batch(np.array([[t, t]]), CPU)
        with torch.no_grad():
            image = method.generator(batch.frames[:, 0], batch.keypoints[:, 0], torch.from_numpy(pose)[None]).image
        assert np.abs(image[0].permute(1, 2, 0).numpy() - (frame / 127.5 - 1)).max() < 0.01


def make_motion(clip: TrainingClip, keypoints: np.ndarray) -> Motion:
    return Motion(keypoints, clip.size, lambda size: iter(()), np.full((len(keypoints), 2), np.nan, np.float32))


def test_a_frame_without_a_pose_keeps_the_picture_before_it(clip: TrainingClip) -> None:
    requested = clip.keypoints[[8, 8, 2]].copy()
    requested[1] = 0
    frames = list(make_posewarp(clip).render(make_motion(clip, requested)))
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[1], frames[2])
    requested[0] = 0  # not even a first pose
    assert len(list(make_posewarp(clip).render(make_motion(clip, requested)))) == 3


def test_a_driving_pose_may_lack_joints(clip: TrainingClip) -> None:
    requested = clip.keypoints[[8]].copy()
    requested[0, [R_ELBOW, R_WRIST, NECK]] = 0
    assert np.isfinite(next(make_posewarp(clip).render(make_motion(clip, requested)))).all()


def test_pairs_are_of_frames_with_a_person_and_as_near_as_asked_for(clip: TrainingClip) -> None:
    keypoints = np.tile(clip.keypoints, (4, 1, 1))  # every pose repeats after 24 frames
    keypoints[[3, 40]] = 0
    longer = dataclasses.replace(clip, keypoints=keypoints, starts_segment=np.tile(clip.starts_segment, 4))
    random, near = (PosePairs(longer, share).sample_examples(np.random.default_rng(0), 300) for share in (0.0, 1.0))
    assert random.shape == near.shape == (300, 2)
    assert {3, 40}.isdisjoint(random.ravel())
    assert {3, 40}.isdisjoint(near.ravel())
    assert np.abs(near[:, 0] - near[:, 1]).min() > 10  # adjacent frames show nearly the same image
    joints = keypoints[:, JOINTS, :2]

    def distance(pairs: np.ndarray) -> float:
        return float(np.linalg.norm(joints[pairs[:, 0]] - joints[pairs[:, 1]], axis=-1).mean())

    assert distance(near) < 0.5 * distance(random)


def test_a_clip_too_short_for_distant_frames_still_has_pairs(clip: TrainingClip) -> None:
    short = dataclasses.replace(clip, keypoints=clip.keypoints[:3], starts_segment=clip.starts_segment[:3])
    assert PosePairs(short, 1.0).sample_examples(np.random.default_rng(0), 5).shape == (5, 2)


def test_phases_cover_all_that_is_trained(clip: TrainingClip) -> None:
    method = make_posewarp(clip, TINY.model_copy(update={"gan": Schedule(steps=2, batch=2)}))
    assert list(method.list_phases()) == ["warp", "gan"]
    for name in method.list_phases():
        phase = method.start_phase(name, None)
        covered = {id(value) for network in phase.networks().values() for value in network.parameters()}
        groups = [group for optimizer in phase.optimizers().values() for group in optimizer.param_groups]
        assert covered == {id(value) for group in groups for value in group["params"]}
        assert {id(value) for value in method.generator.parameters()} <= covered
        before = copy_states(phase.networks())
        for step in range(2):  # the masks' last layer starts at zero, so no gradient passes it in the first step
            losses = phase.train_step(clip.read_batch(phase.sample_examples(np.random.default_rng(step)), CPU))
        assert all(value.ndim == 0 and not value.requires_grad for value in losses.values())
        after = copy_states(phase.networks())
        changed = [not torch.equal(before[key], after[key]) for key in before]
        assert sum(changed) > 0.9 * len(changed)
        assert phase.preview(clip.read_batch(np.array([[0, 5]]), CPU)).shape == (4, 3, 64, 32)
    assert {"g_gan", "g_pixels", "d_real", "d_fake"} == set(losses)


def copy_states(networks: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }


def test_loaded_weights_give_the_same_frames(clip: TrainingClip) -> None:
    method = make_posewarp(clip)
    train_warp_phase(method, 3)
    torch.manual_seed(1)
    other = PoseWarp(TINY, clip, CPU)
    other.load_weights(method.weights())
    requested = make_motion(clip, clip.keypoints[:3])
    assert all(np.array_equal(a, b) for a, b in zip(method.render(requested), other.render(requested), strict=True))
    assert set(method.inference_networks()) == {"masks", "foreground", "background"}
    assert all(sum(value.numel() for value in network.parameters()) for network in method.inference_networks().values())


def test_geometry_is_exact_under_autocast(pose: torch.Tensor) -> None:
    other = pose + torch.tensor([3.0, -2.0, 0.0])
    image = torch.rand(1, 10, 3, 64, 32)
    exact = warp(image, fit_limb_transforms(pose, other)), draw_heatmaps(pose, (64, 32)), log_prior(pose, (64, 32))
    with torch.autocast("cpu", torch.bfloat16):
        cast = warp(image, fit_limb_transforms(pose, other)), draw_heatmaps(pose, (64, 32)), log_prior(pose, (64, 32))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(exact, cast, strict=True))


def test_training_runs_in_bf16(clip: TrainingClip) -> None:
    phase = make_posewarp(clip, TINY.model_copy(update={"precision": "bf16"})).start_phase("warp", None)
    losses = phase.train_step(clip.read_batch(phase.sample_examples(np.random.default_rng(0)), CPU))
    assert losses["g_pixels"].dtype == torch.float32
    assert torch.isfinite(losses["g_pixels"])


def test_closed_form_every_layer_of_the_perceptual_loss_has_the_same_weight() -> None:
    torch.manual_seed(0)
    layers = [layer for _ in range(5) for layer in (nn.Conv2d(3, 3, 1), nn.Identity(), nn.Identity())]
    squeeze = Trunk("squeeze", nn.Sequential(*layers).requires_grad_(False), "0" * 64)
    images = torch.rand(4, 3, 8, 8)
    loss = ScaledPerceptualLoss(squeeze, images)
    features = loss._normalise(images)
    for weight, stage in zip(loss.weights, loss.stages, strict=True):
        features = stage(features)
        assert weight * float(features.std()) == pytest.approx(1 / 5)
    assert loss(images, images) == 0


def test_a_phase_samples_pairs_from_the_seed_alone(clip: TrainingClip) -> None:
    phase = make_posewarp(clip).start_phase("warp", None)
    assert isinstance(phase, WarpPhase)
    first, again = (phase.sample_examples(np.random.default_rng([0, 1])) for _ in range(2))
    assert first.shape == (2, 2)
    assert np.array_equal(first, again)
    assert set(first.ravel()) <= set(phase.example_starts)
