"""DDG's body parts, pose maps and losses, against closed forms and other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from dancebench.datasets.pose.skeleton import (
    L_EAR,
    L_ELBOW,
    L_WRIST,
    MID_HIP,
    NECK,
    NOSE,
    R_ANKLE,
    R_EAR,
    R_ELBOW,
    R_KNEE,
    R_WRIST,
    RIGHT_HAND,
)  # fmt: skip
from dancebench.datasets.subjects.dataset import Subject
from dancebench.synth.clip import TrainingClip, load_training_clip, to_tensor
from dancebench.synth.gan.losses import Features
from dancebench.synth.gan.networks import MultiscaleDiscriminator
from dancebench.synth.methods.ddg.conditions import Conditions
from dancebench.synth.methods.ddg.losses import gradient_penalty, relativistic_loss
from dancebench.synth.methods.ddg.networks import GREEN, DdgNetworks, GeneratedImages, key_out_green
from dancebench.synth.methods.ddg.parts import (
    HEAD,
    N_PARTS,
    TORSO,
    fit_part_transforms,
    merge_parts,
    move_parts,
    segment_parts,
)
from dancebench.synth.methods.ddg.pose_maps import (
    N_MAPS,
    draw_landmark_maps,
    draw_part_maps,
    draw_pose_maps,
    smooth_disc,
    smooth_rectangle,
)
from dancebench.synth.methods.posewarp.limbs import LIMBS

CPU = torch.device("cpu")
R_FOREARM, L_FOREARM, R_SHANK = 3, 5, 7
SIZE = (128, 64)


@pytest.fixture
def clip(masked_walker: Subject) -> TrainingClip:
    """At the clip's own size."""
    return load_training_clip(masked_walker, 128)


@pytest.fixture
def pose(clip: TrainingClip) -> torch.Tensor:
    return torch.from_numpy(clip.keypoints[3:4].copy())


@pytest.fixture
def frame(clip: TrainingClip) -> torch.Tensor:
    return to_tensor(clip.frames[np.array([3])], CPU)


@pytest.fixture
def mask(clip: TrainingClip) -> torch.Tensor:
    return torch.from_numpy(clip.masks[np.array([3])]).float() / 255


# ---------------------------------------------------------------- body parts


def test_the_parts_sum_to_the_mask(pose: torch.Tensor) -> None:
    soft = torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(0))
    parts = segment_parts(soft, pose)
    assert parts.shape == (1, N_PARTS, *SIZE)
    assert torch.equal(parts.sum(1), soft)
    assert ((parts > 0).sum(1) <= 1).all(), "every pixel belongs to one part"


def test_every_pixel_belongs_to_the_nearest_part(pose: torch.Tensor) -> None:
    parts = segment_parts(torch.ones(1, *SIZE), pose)[0]
    joints = pose[0, :, :2]
    for part, place in (
        (HEAD, joints[NOSE]),
        (TORSO, (joints[NECK] + joints[MID_HIP]) / 2),
        (R_FOREARM, (joints[R_ELBOW] + 3 * joints[R_WRIST]) / 4),
        (L_FOREARM, (joints[L_ELBOW] + 3 * joints[L_WRIST]) / 4),
        (R_SHANK, (joints[R_KNEE] + joints[R_ANKLE]) / 2),
    ):
        x, y = place.round().long().tolist()
        assert parts[part, y, x] == 1, part


def test_an_arm_before_the_torso_is_the_arms(pose: torch.Tensor) -> None:
    chest = (pose[0, NECK] + pose[0, MID_HIP]) / 2
    pose[0, R_WRIST] = chest
    x, y = chest[:2].round().long().tolist()
    assert segment_parts(torch.ones(1, *SIZE), pose)[0, R_FOREARM, y, x] == 1


def test_a_part_whose_joints_are_missing_has_no_pixels(pose: torch.Tensor) -> None:
    pose[0, [R_WRIST]] = 0
    ones = torch.ones(1, *SIZE)
    parts = segment_parts(ones, pose)
    assert not parts[0, R_FOREARM].any()
    assert torch.equal(parts.sum(1), ones), "its neighbours have them"
    assert not segment_parts(ones, torch.zeros_like(pose)).any(), "no pose, no part"


def test_parts_moved_to_their_own_pose_are_the_person(
    frame: torch.Tensor, mask: torch.Tensor, pose: torch.Tensor
) -> None:
    moved = move_parts(frame, segment_parts(mask, pose), pose, pose)
    inside = mask[0] == 1
    assert inside.sum() > 200
    person, share = merge_parts(moved)
    error = (person - frame)[0][:, inside] / 2  # in [0, 1]
    assert -10 * error.square().mean().log10() >= 35
    assert torch.allclose(share[:, 0], mask, atol=1e-3)


def test_closed_form_parts_are_moved_with_their_limbs(
    frame: torch.Tensor, mask: torch.Tensor, pose: torch.Tensor
) -> None:
    target = pose.clone()
    target[..., 0] += 5 * (pose[..., 2] > 0)
    target[..., 1] -= 7 * (pose[..., 2] > 0)
    moved = move_parts(frame, segment_parts(mask, pose), pose, target).sum(1)
    still = move_parts(frame, segment_parts(mask, pose), pose, pose).sum(1)
    assert torch.allclose(moved[..., :-7, 5:], still[..., 7:, :-5], atol=1e-3)


def place_limb(pose: torch.Tensor, elbow: tuple[float, float], wrist: tuple[float, float]) -> torch.Tensor:
    """A pose of one right forearm alone."""
    placed = torch.zeros_like(pose)
    placed[0, R_ELBOW], placed[0, R_WRIST] = torch.tensor([[*elbow, 1.0], [*wrist, 1.0]])
    return placed


def test_closed_form_a_limb_is_stretched_along_and_keeps_the_bodies_scale_across(pose: torch.Tensor) -> None:
    source = place_limb(pose, (10, 10), (10, 30))
    target = place_limb(pose, (40, 20), (50, 20))
    for each, length in ((source, 40.0), (target, 50.0)):
        each[0, R_KNEE], each[0, R_ANKLE] = torch.tensor([[5.0, 50.0, 1.0], [5.0, 50.0 + length, 1.0]])
    scale = (20 + 40) / (10 + 50)  # of source to target, over both limbs
    found = fit_part_transforms(source, target)[0, R_FOREARM]
    # Along: 10 pixels to the right become 20 down. Across: down becomes left, scaled as the bodies are.
    assert found[:, :2] == pytest.approx(np.array([[0.0, -scale], [2.0, 0.0]]), abs=1e-5)
    for (x, y), end in (((40, 20), (10, 10)), ((50, 20), (10, 30))):
        assert (found @ torch.tensor([x, y, 1.0])).tolist() == pytest.approx(end, abs=1e-4)


@given(
    angle=st.floats(-3, 3),
    scale=st.floats(0.5, 2.0),
    x=st.floats(-20, 20),
    y=st.floats(-20, 20),
    seed=st.integers(0, 99),
)
def test_a_body_moved_as_a_whole_has_one_transform_in_all_parts(
    angle: float, scale: float, x: float, y: float, seed: int
) -> None:
    source = torch.ones(1, 75, 3)
    source[..., :2] = 100 * torch.rand(1, 75, 2, generator=torch.Generator().manual_seed(seed))
    ends = [[LIMBS[k].near[0], LIMBS[k].far[0]] for k in range(N_PARTS)]
    assume(all((source[0, near, :2] - source[0, far, :2]).norm() > 5 for near, far in ends))  # it has a direction
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    by = torch.tensor([[cos, -sin, x], [sin, cos, y]])
    target = source.clone()
    moved = torch.linalg.inv(by[:, :2]) @ (source[0, :, :2] - by[:, 2]).T
    target[0, :, :2] = moved.T
    for part in fit_part_transforms(source, target)[0]:
        assert torch.allclose(part, by, atol=3e-2)


def test_closed_form_a_limb_is_stretched_at_most_threefold(pose: torch.Tensor) -> None:
    source, target = place_limb(pose, (10, 10), (10, 12)), place_limb(pose, (20, 20), (20, 60))
    for each in (source, target):
        each[0, R_KNEE], each[0, R_ANKLE] = torch.tensor([[5.0, 50.0, 1.0], [5.0, 1050.0, 1.0]])
    scale = 1002 / 1040
    expected = np.array([[scale, 0, 10 - 20 * scale], [0, scale / 3, 11 - 40 * scale / 3]])
    assert fit_part_transforms(source, target)[0, R_FOREARM].numpy() == pytest.approx(expected, abs=1e-4)


def test_closed_form_a_nod_moves_the_head_with_its_ears_and_keeps_its_size(pose: torch.Tensor) -> None:
    source = pose.clone()
    source[0, R_EAR], source[0, L_EAR] = torch.tensor([[28.0, 18.0, 1.0], [36.0, 18.0, 1.0]])
    target = source.clone()
    target[0, NOSE, 1] += 6  # a nod
    target[0, [R_EAR, L_EAR], 1] += 2
    found = fit_part_transforms(source, target)[0, HEAD]
    assert (found @ torch.tensor([32.0, 20.0, 1.0])).tolist() == pytest.approx([32.0, 18.0], abs=1e-3)
    assert float(torch.linalg.det(found[:, :2])) == pytest.approx(1.0, abs=0.05)
    for each in (source, target):
        each[0, R_EAR] = 0
    nose = torch.tensor([*target[0, NOSE, :2].tolist(), 1.0])
    expected = source[0, NOSE, :2].tolist()
    assert (fit_part_transforms(source, target)[0, HEAD] @ nose).tolist() == pytest.approx(expected, abs=1e-3)


def test_closed_form_a_limb_of_no_length_has_the_scale_of_the_bodies(pose: torch.Tensor) -> None:
    source, target = place_limb(pose, (10, 10), (10, 10.5)), place_limb(pose, (40, 20), (50, 20))
    assert fit_part_transforms(source, target)[0, R_FOREARM].tolist() == [[1, 0, -35], [0, 1, -9.75]]
    for each, length in ((source, 40.0), (target, 20.0)):
        each[0, R_KNEE], each[0, R_ANKLE] = torch.tensor([[5.0, 50.0, 1.0], [5.0, 50.0 + length, 1.0]])
    for pair in ((source, target), (target, source)):
        scale = 2.0 if pair[0] is source else 0.5
        assert fit_part_transforms(*pair)[0, R_FOREARM, :, :2].tolist() == [[scale, 0], [0, scale]]


def test_a_part_that_is_missing_in_either_pose_contributes_nothing(
    frame: torch.Tensor, mask: torch.Tensor, pose: torch.Tensor
) -> None:
    without = pose.clone()
    without[0, [R_WRIST]] = 0
    parts = segment_parts(mask, pose)
    for source, target in ((pose, without), (without, pose)):
        moved = move_parts(frame, parts, source, target)
        assert not moved[0, R_FOREARM].any()
        assert moved[0, L_FOREARM].any()


def test_a_limb_of_no_length_is_moved_and_neither_turned_nor_scaled(
    frame: torch.Tensor, mask: torch.Tensor, pose: torch.Tensor
) -> None:
    target = pose.clone()
    target[0, R_WRIST] = target[0, R_ELBOW]  # towards the camera
    moved = move_parts(frame, segment_parts(mask, pose), pose, target)
    assert moved.isfinite().all()
    assert fit_part_transforms(pose, target)[0, R_FOREARM, :, :2].tolist() == [[1, 0], [0, 1]]
    assert segment_parts(mask, target).isfinite().all()
    assert draw_pose_maps(target, SIZE).isfinite().all()


def move_pixels() -> torch.Tensor:
    """Parts in a row of pixels: none, one, two that meet, and one that covers 0.6 and 0.4 of a pixel."""
    moved = torch.zeros(1, N_PARTS, 4, 1, 5)
    moved[0, 0, :, 0, 1:3] = torch.tensor([0.5, 0.5, 0.5, 1.0])[:, None]
    moved[0, 1, :, 0, 2] = torch.tensor([-0.5, 0.1, 0.0, 1.0])
    moved[0, 0, :, 0, 3] = 0.6 * torch.tensor([0.5, 0.1, -0.5, 1.0])
    moved[0, 0, :, 0, 4] = 0.4 * torch.tensor([0.5, 0.1, -0.5, 1.0])
    return moved


def test_closed_form_parts_mix_where_they_meet_and_keep_their_colour_at_the_edge() -> None:
    colour, share = merge_parts(move_pixels())
    assert share.flatten().tolist() == pytest.approx([0.0, 1.0, 1.0, 0.6, 0.4])
    assert colour[0, :, 0, 0].tolist() == [0.0, 0.0, 0.0]
    assert colour[0, :, 0, 1].tolist() == [0.5, 0.5, 0.5]
    assert colour[0, :, 0, 2].tolist() == pytest.approx([0.0, 0.3, 0.25])
    assert colour[0, :, 0, 3].tolist() == pytest.approx([0.5, 0.1, -0.5])
    assert colour[0, :, 0, 4].tolist() == pytest.approx([0.5, 0.1, -0.5])


class Constant(nn.Module):
    """A network that gives one value a channel, whatever goes in."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = torch.tensor(values).view(1, -1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.values.expand(len(x), -1, *x.shape[-2:])


def generate_pixels(*correction: float) -> GeneratedImages:
    networks = DdgNetworks(Constant(*correction), Constant(0.0, 0.0, 0.0), gains=(1.0, 1.0))
    grey = torch.full((1, 3, 1, 5), -0.2)
    images: GeneratedImages = networks(Conditions(move_pixels(), torch.zeros(1, N_MAPS, 1, 5), grey))
    return images


def test_closed_form_without_corrections_the_parts_are_before_green_and_on_the_background() -> None:
    images = generate_pixels(0.0, 0.0, 0.0, 0.0)
    green, shown = torch.tensor(GREEN), 1 / (1 + math.exp(-4))  # 0.98
    assert torch.allclose(images.human[0, :, 0, 0], shown * green, atol=1e-6)
    assert torch.allclose(images.human[0, :, 0, 1], shown * torch.tensor([0.5, 0.5, 0.5]) + (1 - shown) * green)
    assert images.mask[0, 0, 0, :3].tolist() == [0.0, 1.0, 1.0]
    assert images.combined[0, :, 0, 0].tolist() == pytest.approx([-0.2, -0.2, -0.2])
    assert images.combined[0, :, 0, 1].tolist() == [0.5, 0.5, 0.5]
    assert torch.equal(images.frame, images.combined)


def test_a_pixel_that_is_half_green_has_no_green_on_the_background() -> None:
    half = -math.atanh(0.5 / 0.75)  # where parts cover a pixel wholly, the outline is at one half
    images = generate_pixels(0.0, 0.0, 0.0, half)
    assert images.human[0, :, 0, 1].tolist() == pytest.approx([-0.25, 0.75, -0.25])
    assert 0 < images.mask[0, 0, 0, 1] < 1
    red, green, blue = images.combined[0, :, 0, 1].tolist()
    assert red == green == blue
    assert -0.2 < green < 0.5


def test_the_outline_removes_and_adds_what_it_is_told() -> None:
    assert not generate_pixels(0.0, 0.0, 0.0, -4.0).mask.any()
    added = generate_pixels(0.9, -0.9, 0.1, 4.0)
    assert (added.mask == 1).all()
    assert added.combined[0, :, 0, 0].tolist() == pytest.approx([0.9, -0.9, 0.1])


def test_closed_form_no_correction_takes_the_outline_to_where_it_has_no_gradient() -> None:
    """A person who was taken away wholly, in a few steps of a training, never came back."""
    images = generate_pixels(0.0, 0.0, 0.0, -100.0)
    left = 1 / (1 + math.exp(2))  # 0.12
    green = torch.tensor(GREEN)
    assert torch.allclose(images.human[0, :, 0, 1], left * torch.tensor([0.5, 0.5, 0.5]) + (1 - left) * green)


def test_closed_form_the_frame_is_the_combined_image_and_the_weighted_correction() -> None:
    networks = DdgNetworks(Constant(0.0, 0.0, 0.0, 0.0), Constant(0.4, -0.8, 0.0), gains=(1.0, 0.25))
    images = networks(Conditions(move_pixels(), torch.zeros(1, N_MAPS, 1, 5), torch.zeros(1, 3, 1, 5)))
    added = (images.frame - images.combined)[0, :, 0]
    assert torch.allclose(added, torch.tensor([0.1, -0.2, 0.0])[:, None].expand(3, 5))


def test_closed_form_green_is_keyed_out() -> None:
    colours = torch.tensor([GREEN, (-1, -1, -1), (1, 1, 1), (0.4, 0.1, -0.2), (-0.9, 0.95, -0.9)])
    assert key_out_green(colours[:, :, None, None]).flatten().tolist() == [0, 1, 1, 1, 0]


# ---------------------------------------------------------------- pose maps


def test_foreign_reference_a_rectangle_is_smoothed_as_scipy_does() -> None:
    corners = torch.tensor([[[20.0, 10.0], [20.0, 50.0]]])
    smooth = smooth_rectangle(corners[:, :, :][:, :1], corners[:, 1:], torch.tensor([[6.0]]), 2.0, (80, 48))
    solid = np.zeros((800, 480))
    solid[105:505, 145:265] = 1  # ten samples a pixel, whose centres are whole numbers
    expected = scipy.ndimage.gaussian_filter(solid, 20.0)[4::10, 4::10]
    assert np.abs(smooth[0, 0].numpy() - expected).max() < 0.02


def test_closed_form_a_rectangle_turns_with_its_segment() -> None:
    start, end, width = torch.tensor([[[10.0, 30.0]]]), torch.tensor([[[50.0, 30.0]]]), torch.tensor([[4.0]])
    lying = smooth_rectangle(start, end, width, 1.5, (61, 61))
    standing = smooth_rectangle(start.flip(-1), end.flip(-1), width, 1.5, (61, 61))
    assert torch.allclose(lying, standing.mT, atol=1e-6)
    assert lying[0, 0, 30, 30] == pytest.approx(math.erf(4 / (1.5 * math.sqrt(2))), abs=1e-5)


def test_closed_form_a_disc_is_one_within_half_at_its_edge_and_zero_outside() -> None:
    disc = smooth_disc(torch.tensor([[[20.0, 20.0]]]), torch.tensor([[8.0]]), 1.0, (41, 41))[0, 0]
    assert disc[20, 20] == 1
    assert disc[20, 28] == disc[12, 20] == 0.5
    assert disc[20, 34] < 1e-6


def test_there_are_15_maps_and_what_is_missing_has_an_empty_one(pose: torch.Tensor) -> None:
    maps = draw_pose_maps(pose, SIZE)
    assert maps.shape == (1, N_MAPS, *SIZE) == (1, 15, *SIZE)
    assert (maps >= 0).all()
    assert (maps <= 1).all()
    assert (maps[0, :N_PARTS].amax((1, 2)) > 0.7).all()
    assert not maps[0, 11].any(), "no left hand was found"
    pose[0, R_WRIST] = 0
    assert not draw_part_maps(pose, SIZE)[0, R_FOREARM].any()
    assert not draw_pose_maps(torch.zeros_like(pose), SIZE).any()


def test_closed_form_a_landmark_is_a_gaussian(pose: torch.Tensor) -> None:
    pose[0, RIGHT_HAND.start] = torch.tensor([30.0, 40.0, 1.0])
    hand = draw_landmark_maps(pose, SIZE)[0, 2]
    assert hand[40, 30] == 1
    assert hand[40, 33] == pytest.approx(math.exp(-(3**2) / (2 * 1.28**2)), rel=1e-4)


@given(x=st.integers(-6, 6), y=st.integers(-6, 6))
def test_maps_move_with_the_pose(x: int, y: int) -> None:
    keypoints = torch.zeros(1, 75, 3)
    keypoints[0, :25] = torch.rand(25, 3, generator=torch.Generator().manual_seed(0)) * 20 + 30
    moved = keypoints.clone()
    moved[0, :25, :2] += torch.tensor([x, y])
    before, after = draw_pose_maps(keypoints, (96, 96)), draw_pose_maps(moved, (96, 96))
    inner = slice(10, 86)
    assert torch.allclose(after[..., 10 + y : 86 + y, 10 + x : 86 + x], before[..., inner, inner], atol=1e-4)


# ---------------------------------------------------------------- losses


def scores(*values: float) -> Features:
    """One scale, whose map of scores holds these, one an image."""
    return [[torch.tensor(values).view(-1, 1, 1, 1)]]


def test_closed_form_the_relativistic_loss_has_the_printed_targets() -> None:
    assert relativistic_loss(scores(3.0), scores(3.0)) == pytest.approx(0.5)
    assert relativistic_loss(scores(1.0), scores(0.0)) == pytest.approx(0.5)  # 0 for the higher, 1 for the lower
    assert relativistic_loss(scores(0.5), scores(0.0)) == pytest.approx(0.25), "the least of all"


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6), st.lists(st.floats(-3, 3), min_size=2, max_size=6))
def test_foreign_reference_the_relativistic_loss_is_eq_4(real: list[float], fake: list[float]) -> None:
    y, x = np.array(real), np.array(fake)
    of_discriminator = 0.5 * np.mean((y - x.mean() - 1) ** 2) + 0.5 * np.mean((x - y.mean()) ** 2)
    of_generator = 0.5 * np.mean((x - y.mean() - 1) ** 2) + 0.5 * np.mean((y - x.mean()) ** 2)
    assert relativistic_loss(scores(*real), scores(*fake)) == pytest.approx(of_discriminator, rel=1e-4, abs=1e-5)
    assert relativistic_loss(scores(*fake), scores(*real)) == pytest.approx(of_generator, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("norm", "penalty"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_closed_form_the_gradient_penalty_is_zero_for_a_unit_gradient(norm: float, penalty: float) -> None:
    direction = torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(0))
    direction = norm * direction / direction.norm()
    real, fake = torch.randn(2, 3, 5, 4, 4, generator=torch.Generator().manual_seed(1))
    found = gradient_penalty(
        lambda x: [[(x * direction).sum((1, 2, 3)).view(-1, 1, 1, 1)]], real, fake, torch.tensor([0.1, 0.5, 1.0])
    )
    assert found.item() == pytest.approx(penalty, abs=1e-5)


def test_closed_form_the_gradient_penalty_does_not_depend_on_how_many_scores_a_map_has() -> None:
    real, fake = torch.randn(2, 3, 5, 4, 4, generator=torch.Generator().manual_seed(1))
    direction = torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(0))
    direction = direction / direction.norm()

    def discriminate(x: torch.Tensor, size: int) -> Features:
        return [[(x * direction).sum((1, 2, 3)).view(-1, 1, 1, 1).expand(-1, 1, size, 2 * size)]]

    for size in (1, 3, 11):
        found = gradient_penalty(lambda x, size=size: discriminate(x, size), real, fake, torch.tensor([0.1, 0.5, 1.0]))
        assert found.item() == pytest.approx(0.0, abs=1e-5)


def test_the_gradient_penalty_of_a_new_discriminator_is_of_order_one() -> None:
    torch.manual_seed(0)
    discriminator = MultiscaleDiscriminator(48, ndf=16, n_scales=2)
    real, fake = 2 * torch.rand(2, 2, 48, 128, 64) - 1
    found = gradient_penalty(discriminator, real, fake, torch.tensor([0.3, 0.6]))
    assert 0 < found.item() <= 2  # at most 1 a scale: no gradient is longer than the unit


def test_closed_form_the_penalty_is_measured_between_real_and_fake() -> None:
    real, fake = torch.full((1, 1, 1, 1), 4.0), torch.full((1, 1, 1, 1), 8.0)
    square = torch.nn.Parameter(torch.tensor(0.5))
    found = gradient_penalty(lambda x: [[square * x**2]], real, fake.requires_grad_(), torch.tensor([0.25]))
    assert found.item() == pytest.approx((7.0 - 1) ** 2)  # the slope of x²/2 at 0.25 * 4 + 0.75 * 8
    found.backward()
    assert square.grad == pytest.approx(2 * 6 * 14)
    assert fake.grad is None, "the generator has no part in it"
