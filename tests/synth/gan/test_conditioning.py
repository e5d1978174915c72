"""Conditioning by heatmaps: closed forms, every adversarial method, and no change where sticks are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dancebench.core.errors import BenchError
from dancebench.core.schema import set_fields
from dancebench.datasets.pose.skeleton import NECK, NOSE
from dancebench.datasets.subjects.subject import Subject
from dancebench.synth.base import METHODS, LearnedMethod
from dancebench.synth.clip import load_training_clip
from dancebench.synth.gan.conditioning import draw_heatmaps
from dancebench.synth.gan.method import GAN_PRESETS, GanConfig

SIZE = (64, 32)


# ---------------------------------------------------------------- closed form


def test_a_heatmap_is_one_at_its_point_and_falls_off_as_a_gaussian() -> None:
    keypoints = torch.zeros(2, 75, 3)
    keypoints[0, NOSE] = torch.tensor([10.0, 20.0, 1.0])
    keypoints[1, NECK] = torch.tensor([-400.0, 20.0, 1.0])  # outside: nothing is seen of it
    maps = draw_heatmaps(keypoints, SIZE)
    assert maps.shape == (2, 75, *SIZE)
    assert maps[0, NOSE, 20, 10] == 1
    for step in range(1, 4):
        expected = 2 * np.exp(-(step**2) / 2) - 1  # the standard deviation is one pixel at this size
        assert maps[0, NOSE, 20 + step, 10].item() == pytest.approx(expected, abs=1e-6)
        assert maps[0, NOSE, 20, 10 - step].item() == pytest.approx(expected, abs=1e-6)
    assert (maps[0, NECK] == -1).all()
    assert (maps[1] == -1).all()


def test_width_grows_with_the_frame() -> None:
    keypoints = torch.zeros(1, 75, 3)
    keypoints[0, NOSE] = torch.tensor([100.0, 100.0, 1.0])
    wide = draw_heatmaps(keypoints, (800, 400))[0, NOSE]  # a standard deviation of 10 pixels
    assert wide[100, 110].item() == pytest.approx(2 * np.exp(-0.5) - 1, abs=1e-6)


# ---------------------------------------------------------------- methods


@pytest.mark.parametrize("name", ["fbf", "fbf-ts", "fbf-ts-fg"])
def test_every_adversarial_method_trains_and_renders_by_heatmaps(walker: Subject, name: str) -> None:
    method_class = METHODS[name]
    field = "main.conditioning" if name == "fbf-ts-fg" else "conditioning"
    config = set_fields(name, method_class.presets["tiny"], {field: "heatmaps"}, {})
    clip = load_training_clip(walker, config.long_side)
    method = method_class(config, clip, torch.device("cpu"))
    assert isinstance(method, LearnedMethod)
    phase = method.start_phase(method.list_phases()[0], None)
    phase.prepare(lambda *_: None)
    batch = clip.read_batch(phase.sample_examples(np.random.default_rng(0)), torch.device("cpu"))
    before = {key: value.clone() for key, value in method.weights().items()}
    losses = phase.train_step(batch)
    assert all(torch.isfinite(value) for value in losses.values())
    assert any(not torch.equal(before[key], value) for key, value in method.weights().items())
    assert phase.preview(batch).shape[1] == 3
    frames = list(method.render(clip.make_motion(range(3))))
    assert [frame.shape for frame in frames] == [(*clip.size, 3)] * 3


def test_synthesis_sees_the_maps_of_training(walker: Subject) -> None:
    config = GAN_PRESETS["tiny"].model_copy(update={"conditioning": "heatmaps"})
    clip = load_training_clip(walker, config.long_side)
    method = METHODS["fbf"](config, clip, torch.device("cpu"))
    batch = method.set_pose_maps(clip.read_batch(np.arange(4)[:, None], torch.device("cpu")))  # type: ignore[attr-defined]
    drawn = [pose for pose, _ in method.generate_images(clip.make_motion(range(4)))]  # type: ignore[attr-defined]
    assert torch.equal(torch.cat(drawn), batch.pose_maps[:, 0])


# ---------------------------------------------------------------- configuration


def test_sticks_are_not_written_so_that_earlier_trainings_are_known() -> None:
    config = GAN_PRESETS["tiny"]
    assert "conditioning" not in config.model_dump()
    assert "conditioning" not in METHODS["fbf-ts-fg"].presets["tiny"].model_dump()["main"]
    heatmaps = config.model_copy(update={"conditioning": "heatmaps"})
    assert heatmaps.model_dump()["conditioning"] == "heatmaps"
    for each in (config, heatmaps):
        assert GanConfig.model_validate(each.model_dump(mode="json")) == each


def test_an_unknown_conditioning_is_refused_in_words() -> None:
    with pytest.raises(BenchError, match=r"fbf\.conditioning is refused"):
        set_fields("fbf", GAN_PRESETS["tiny"], {"conditioning": "masks"}, {})
