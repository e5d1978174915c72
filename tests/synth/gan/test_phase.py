"""The shared adversarial update: the gradients of the plain loop, in any precision within its rounding."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from speed.plain import plain_step

from dancebench.datasets.subjects.dataset import Subject
from dancebench.synth.acceleration import has_bf16
from dancebench.synth.base import METHODS, Schedule, SynthConfig
from dancebench.synth.clip import TrainingClip, load_training_clip
from dancebench.synth.gan.method import GanConfig, GanPhase
from dancebench.synth.gan.networks import GlobalGenerator, MultiscaleDiscriminator, checkpoint_activations

CPU = torch.device("cpu")
CONFIG = GanConfig(long_side=64, ngf=8, n_down=2, n_blocks=2, ndf=8, n_scales=2, schedule=Schedule(steps=1, batch=2))
BF16_TOLERANCE = 0.03
"""Of every loss, relative, over a few steps: bfloat16 keeps 8 bits, 0.4% of a value, and layers add up."""


def make_phase(clip: TrainingClip, config: SynthConfig = CONFIG) -> GanPhase:
    torch.manual_seed(0)
    phase = METHODS["fbf-ts"](config, clip, CPU).start_phase("global", None)  # type: ignore[attr-defined]
    assert isinstance(phase, GanPhase)
    return phase


def train_steps(phase: GanPhase, steps: int) -> list[dict[str, float]]:
    batch = phase.clip.read_batch(np.array([[0, 1], [5, 6]]), CPU)
    return [{name: float(value) for name, value in phase.train_step(batch).items()} for _ in range(steps)]


def test_foreign_reference_the_update_is_that_of_the_plain_loop(walker: Subject) -> None:
    phase = make_phase(load_training_clip(walker, 64))
    generator, discriminator = copy.deepcopy(phase.generator), copy.deepcopy(phase.discriminator)
    assert isinstance(generator, GlobalGenerator)
    assert isinstance(discriminator, MultiscaleDiscriminator)
    plain = plain_step(generator, discriminator, CONFIG.schedule.learning_rate)
    batch = phase.clip.read_batch(np.array([[0, 1], [5, 6]]), CPU)
    for _ in range(3):
        ours, theirs = phase.train_step(batch), plain(batch.pose_maps, batch.frames)
        assert {name: float(value) for name, value in ours.items()} == pytest.approx(theirs, rel=1e-4)
    for our_network, plain_network in ((phase.generator, generator), (phase.discriminator, discriminator)):
        for a, b in zip(our_network.parameters(), plain_network.parameters(), strict=True):
            # Adam's first steps are as long as the learning rate whatever the gradient's size, so where a
            # gradient is only rounding error (biases before an instance norm) the sign may differ.
            assert (a - b).abs().max().item() <= 6.1 * CONFIG.schedule.learning_rate
            if a.ndim > 1:
                assert torch.quantile((a - b).abs().flatten()[:1_000_000], 0.95) < 2e-5


def test_bf16_gives_the_same_losses_within_its_tolerance(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    exact = train_steps(make_phase(clip), 3)
    rounded = train_steps(make_phase(clip, CONFIG.model_copy(update={"precision": "bf16"})), 3)
    for a, b in zip(exact, rounded, strict=True):
        assert b == pytest.approx(a, rel=BF16_TOLERANCE)
    assert exact != rounded  # bfloat16 was used


def test_bf16_leaves_weights_and_moments_in_float32(walker: Subject) -> None:
    phase = make_phase(load_training_clip(walker, 64), CONFIG.model_copy(update={"precision": "bf16"}))
    train_steps(phase, 1)
    kept = [*phase.generator.parameters(), *phase.discriminator.parameters()]
    for optimizer in phase.optimizers().values():
        kept += [value for moments in optimizer.state.values() for value in moments.values()]
    assert {value.dtype for value in kept} == {torch.float32}


def test_checkpointing_gives_the_same_numbers(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    kept, computed_again = make_phase(clip), make_phase(clip)
    checkpoint_activations(computed_again.generator)
    assert train_steps(kept, 2) == train_steps(computed_again, 2)
    for a, b in zip(kept.generator.parameters(), computed_again.generator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_processor_says_whether_it_computes_in_bf16() -> None:
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    assert has_bf16(CPU) == bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
