"""DDG on a subject made in a second: pairs, backgrounds, training and synthesis."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.distance import normalised_pose_distances
from dancebench.datasets.subjects.dataset import Subject
from dancebench.synth.base import LayeredMethod, Schedule
from dancebench.synth.clip import CachedFrames, Motion, TrainingClip, load_training_clip
from dancebench.synth.gan.method import LocalStage
from dancebench.synth.methods.ddg.background import average_background, number_scenes
from dancebench.synth.methods.ddg.method import Ddg, DdgBaseline, DdgConfig, TwoStageMethod
from dancebench.synth.methods.ddg.pairs import PersonFrames, list_history
from dancebench.synth.methods.ddg.phase import DdgPhase

CPU = torch.device("cpu")
TINY = DdgConfig(
    long_side=64, ngf=4, n_down=2, n_blocks=1, ndf=4, n_scales=1, schedule=Schedule(steps=4, batch=2), pixel_weight=10.0
)  # fmt: skip


@pytest.fixture
def clip(masked_walker: Subject) -> TrainingClip:
    return load_training_clip(masked_walker, 64)


def make_method(
    clip: TrainingClip, method_class: type[TwoStageMethod] = Ddg, config: DdgConfig = TINY
) -> TwoStageMethod:
    torch.manual_seed(0)
    return method_class(config, clip, CPU)


def make_phase(method: TwoStageMethod, name: str = "global") -> DdgPhase:
    phase = method.start_phase(name, None)
    assert isinstance(phase, DdgPhase)
    return phase


def step(phase: DdgPhase, seed: int = 0) -> dict[str, float]:
    index = phase.sample_examples(np.random.default_rng(seed))
    losses = phase.train_step(phase.clip.read_batch(index, CPU))
    return {name: float(value) for name, value in losses.items()}


def cut_at(clip: TrainingClip, frame: int) -> TrainingClip:
    """The clip with other pictures from a frame on."""
    starts = clip.starts_segment.copy()
    starts[frame] = True

    def read(index: list[int]) -> np.ndarray:
        pictures = clip.frames[np.array(index)]
        return np.stack([255 - p if t >= frame else p for t, p in zip(index, pictures, strict=True)])

    frames = CachedFrames(lambda index: read(list(index)), len(clip), cached=True)
    return dataclasses.replace(clip, frames=frames, starts_segment=starts)


def without_poses(clip: TrainingClip, kept: list[int]) -> TrainingClip:
    keypoints = np.zeros_like(clip.keypoints)
    keypoints[kept] = clip.keypoints[kept]
    return dataclasses.replace(clip, keypoints=keypoints)


def motion_of(clip: TrainingClip, keypoints: np.ndarray) -> Motion:
    return Motion(keypoints, clip.size, lambda _: iter(()), np.full((len(keypoints), 2), np.nan, np.float32))


# ---------------------------------------------------------------- pairs


def test_pairs_never_straddle_a_cut(clip: TrainingClip) -> None:
    people = PersonFrames(cut_at(clip, 10))
    pairs = people.sample_pairs(np.random.default_rng(0), 300, near_share=0.5)
    assert ((pairs < 10).sum(axis=1) != 1).all()
    assert (pairs < 10).any()
    assert (pairs >= 10).any()
    assert (pairs[:, 0] != pairs[:, 1]).all()


def test_a_scene_that_the_person_has_left_has_no_pairs(clip: TrainingClip) -> None:
    people = PersonFrames(cut_at(without_poses(clip, list(range(10))), 10))
    assert people.frames.tolist() == list(range(10))
    assert list(people.list_scenes()) == [0]


def test_a_motion_is_put_into_the_scene_that_it_fits(clip: TrainingClip) -> None:
    two = cut_at(clip, 10)
    keypoints = two.keypoints.copy()
    keypoints[:10, :, 0] += 8  # pixels to the right
    people = PersonFrames(dataclasses.replace(two, keypoints=keypoints))
    assert people.choose_scene(keypoints[2:6]) == 0
    assert people.choose_scene(keypoints[12:20]) == 1
    assert people.choose_scene(keypoints[2:6] - np.array([8, 0, 0], np.float32)) == 1
    for scene, own in enumerate((range(10), range(10, 24))):
        assert people.find_input(keypoints[3], scene) in own


def test_a_motion_that_cannot_be_compared_is_put_into_the_longest_scene(clip: TrainingClip) -> None:
    people = PersonFrames(cut_at(clip, 10))
    assert people.choose_scene(np.zeros_like(clip.keypoints[:3])) == 1


def test_each_motion_has_the_background_of_its_scene(clip: TrainingClip) -> None:
    two = cut_at(clip, 10)
    keypoints = two.keypoints.copy()
    keypoints[:10, :, 0] += 8
    method = make_method(dataclasses.replace(two, keypoints=keypoints))
    assert not np.array_equal(method.backgrounds[0], method.backgrounds[1])
    for scene, poses in ((0, keypoints[2:4]), (1, keypoints[15:17])):
        for layers in method.render_layers(motion_of(clip, poses)):
            corner = np.s_[:4, :4]  # where nobody is
            assert np.array_equal(layers.frame[corner], method.backgrounds[scene][corner])


def test_a_gap_without_a_cut_is_one_scene(clip: TrainingClip) -> None:
    starts = clip.starts_segment.copy()
    starts[10] = True
    assert not number_scenes(dataclasses.replace(clip, starts_segment=starts)).any()
    assert number_scenes(cut_at(clip, 10)).tolist() == [0] * 10 + [1] * 14


def test_near_inputs_are_near_in_pose_and_not_adjacent_in_time(clip: TrainingClip) -> None:
    people = PersonFrames(clip)
    near = people.find_near(2)
    others = np.arange(13, 24)  # more than ten frames away
    distances = normalised_pose_distances(clip.keypoints[2], clip.keypoints[others])
    assert near.tolist() == others[np.argsort(distances)][:10].tolist()


def test_the_input_of_a_training_pose_is_its_own_frame_wherever_it_is_shown(clip: TrainingClip) -> None:
    pose = clip.keypoints[7].copy()
    pose[:, :2] = 0.5 * pose[:, :2] + np.float32(9)
    assert PersonFrames(clip).find_input(pose, 0) == 7
    assert PersonFrames(clip).find_input(np.zeros_like(pose), 0) is None


def test_a_clip_with_fewer_than_two_people_is_refused_and_the_cut_is_named(clip: TrainingClip) -> None:
    with pytest.raises(BenchError, match=r"no two frames in which .* \(1 of 24 have them\)") as error:
        PersonFrames(without_poses(clip, [5]))
    assert error.value.hint is not None
    with pytest.raises(BenchError, match=r"no two frames within one scene \(it is cut at frame 10\)"):
        PersonFrames(without_poses(cut_at(clip, 10), [5, 15]))


def test_closed_form_a_history_stays_in_its_segment() -> None:
    starts = np.array([True, False, False, True, False])
    history = list_history(starts, np.array([0, 2, 3, 4]), 3)
    assert history.tolist() == [[0, 0, 0], [0, 1, 2], [3, 3, 3], [3, 3, 4]]


# ---------------------------------------------------------------- background


def test_closed_form_a_background_is_the_mean_of_what_is_uncovered() -> None:
    frames = [np.full((100, 60, 3), level, np.uint8) for level in (10, 20, 60)]
    masks = np.zeros((3, 100, 60), np.uint8)
    masks[0, :40] = 255  # covered in the first frame alone
    background = average_background(frames, masks)
    assert (background[:40] == 40).all()
    assert (background[42:] == 30).all()


def test_a_pixel_that_is_always_covered_is_inpainted() -> None:
    frames, masks = [np.full((100, 60, 3), 70, np.uint8)] * 2, np.zeros((2, 100, 60), np.uint8)
    masks[:, 40:60, 20:40] = 255
    frames[0][40:60, 20:40] = 255
    assert np.abs(average_background(frames, masks).astype(int) - 70).max() <= 4
    assert (average_background(frames, np.full_like(masks, 255)) == 128).all()


# ---------------------------------------------------------------- training


def test_both_networks_are_trained_and_supervised(clip: TrainingClip) -> None:
    phase = make_phase(make_method(clip))
    before = {name: value.clone() for name, value in phase.generator.state_dict().items()}
    step(phase)  # the last layers are zero at first: their gradient alone is not
    losses = step(phase, 1)
    stages = ("human", "frame")
    expected = {f"{kind}_{stage}" for kind in ("g_gan", "g_features", "g_pixels", "d", "d_penalty") for stage in stages}
    assert set(losses) == expected
    assert all(np.isfinite(value) for value in losses.values())
    changed = {name for name, value in phase.generator.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in changed} == {"human", "fusion"}
    assert any(name.startswith("human.1.") for name in changed), "the first layers too"


def test_the_baselines_person_has_no_loss_but_a_gradient(clip: TrainingClip) -> None:
    phase = make_phase(make_method(clip, DdgBaseline))
    before = phase.generator.human[-2].weight.clone()
    assert all(name.endswith("_frame") for name in step(phase))
    assert not torch.equal(phase.generator.human[-2].weight, before)
    assert set(phase.discriminators) == {"frame"}


def test_training_lowers_the_pixel_losses(clip: TrainingClip) -> None:
    config = TINY.model_copy(update={"schedule": Schedule(steps=1, batch=2, learning_rate=2e-3)})
    phase = make_phase(make_method(clip, config=config))
    losses = [step(phase, k) for k in range(60)]
    for stage in ("human", "frame"):
        values = [each[f"g_pixels_{stage}"] for each in losses]
        assert np.mean(values[-10:]) < 0.8 * np.mean(values[:10])


def test_a_step_that_is_done_again_is_the_same(clip: TrainingClip) -> None:
    first, second = (make_phase(make_method(clip)) for _ in range(2))
    for phase in (first, second):
        torch.manual_seed(len(phase.clip))
        for k in range(2):
            step(phase, k)
        torch.rand(3)
    assert step(first, 2) == step(second, 2)


def test_the_local_stage_trains_both_networks_at_the_full_size(clip: TrainingClip) -> None:
    local = LocalStage(schedule=Schedule(steps=1, batch=1), n_blocks=1, n_scales=1)
    method = make_method(clip, config=TINY.model_copy(update={"local": local}))
    assert make_phase(method, "global").clip.size == (32, 16)
    step(make_phase(method, "global"))
    phase = make_phase(method, "local")
    assert phase.clip.size == (64, 32)
    assert all(np.isfinite(value) for value in step(phase).values())
    assert len(list(method.render(motion_of(clip, clip.keypoints[:2])))) == 2


def test_u_nets_are_trained_like_the_papers_generators(clip: TrainingClip) -> None:
    config = TINY.model_copy(update={"generator": "unet"})
    method = make_method(clip, config=config)
    phase = make_phase(method)
    before = {name: value.clone() for name, value in phase.generator.state_dict().items()}
    for k in range(2):
        assert all(np.isfinite(value) for value in step(phase, k).values())
    assert not any(torch.equal(value, before[name]) for name, value in phase.generator.state_dict().items())
    assert len(list(method.render(motion_of(clip, clip.keypoints[:2])))) == 2


def test_a_local_stage_around_a_u_net_is_refused() -> None:
    local = LocalStage(schedule=Schedule(steps=1))
    with pytest.raises(ValidationError, match="a local stage enhances generators of pix2pixhd, not a unet"):
        DdgConfig(long_side=64, generator="unet", local=local)


def test_a_preview_shows_input_reference_person_and_frame(clip: TrainingClip) -> None:
    phase = make_phase(make_method(clip))
    batch = clip.read_batch(np.array([[2, 15]]), CPU)
    images = phase.preview(batch)
    assert images.shape == (4, 3, *clip.size)
    assert torch.equal(images[0], batch.frames[0, 0])
    assert torch.equal(images[1], batch.frames[0, 1])


# ---------------------------------------------------------------- synthesis


def test_an_untrained_method_pastes_the_parts_on_the_background(clip: TrainingClip) -> None:
    method = make_method(clip)
    (layers,) = method.render_layers(motion_of(clip, clip.keypoints[7:8]))  # fewer frames than K
    mask = clip.masks[np.array([7])][0]
    inside, outside = mask == 255, mask == 0
    assert layers.person[inside].mean() > 0.98
    assert not layers.person[outside].any()
    assert np.abs(layers.frame.astype(int) - clip.frames[np.array([7])][0])[inside].mean() < 4
    assert np.array_equal(layers.frame[outside], method.backgrounds[0][outside])


def test_loaded_weights_give_the_same_frames(clip: TrainingClip) -> None:
    method = make_method(clip)
    step(make_phase(method))
    other = make_method(clip)
    other.load_weights(method.weights())
    frames = [list(each.render(motion_of(clip, clip.keypoints[:3]))) for each in (method, other)]
    assert np.array_equal(*frames)
    assert frames[0][0].shape == (*clip.size, 3)


def test_a_moment_without_a_pose_repeats_the_frame_and_a_person_who_left_is_gone(clip: TrainingClip) -> None:
    method = make_method(clip)
    keypoints = clip.keypoints[:8].copy()
    keypoints[2:6] = 0  # K is 3: the third missing pose is the first with none before it
    layers = list(method.render_layers(motion_of(clip, keypoints)))
    for t in (2, 3):
        assert np.array_equal(layers[t].frame, layers[1].frame)
    for t in (4, 5):
        assert np.array_equal(layers[t].frame, method.backgrounds[0])
        assert not layers[t].person.any()
    assert layers[6].person.any()


def test_the_frames_are_those_of_the_layers(clip: TrainingClip) -> None:
    method = make_method(clip)
    assert isinstance(method, LayeredMethod)
    motion = motion_of(clip, clip.keypoints[:2])
    layers = [each.frame for each in method.render_layers(motion)]
    assert np.array_equal(list(method.render(motion)), layers)


def test_a_pose_is_read_in_whatever_size_it_comes(clip: TrainingClip, masked_walker: Subject) -> None:
    method = make_method(clip)
    large = Motion(masked_walker.keypoints()[:2], masked_walker.size, lambda _: iter(()), np.zeros((2, 2), np.float32))
    expected = np.array(list(method.render(motion_of(clip, clip.keypoints[:2])))).astype(int)
    assert np.abs(np.array(list(method.render(large))) - expected).mean() < 0.5
