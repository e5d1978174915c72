"""`pair-patch`, the paper's detector."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dancebench.core.errors import BenchError
from dancebench.core.nn.training import LOG
from dancebench.core.progress import ignore_progress
from dancebench.detect.detectors.pair_patch import PairPatch, PairPatchConfig, high_pass_residual
from dancebench.detect.inputs.pairs import PairPool, Pairs, PooledClip

CONFIG = PairPatchConfig(height=32, width=32, ndf=4, steps=6, batch=4, pairs=2)
PLAIN = CONFIG.model_copy(update={"norm": "instance", "high_pass": 0.0, "learning_rate": 5e-4, "decay_share": 0.0})
"""The discriminator's own layers on the frames themselves, at a constant rate."""
FROZEN = {
    "plain": [0.70426, 0.69884, 0.69928, 0.69823, 0.70063, 0.70284],
    "default": [0.65544, 0.6454, 0.60961, 0.62157, 0.60828, 0.56916],
}


def pairs(n: int, seed: int = 0) -> Pairs:
    return np.random.default_rng(seed).integers(0, 256, (n, 2, 32, 32, 3), dtype=np.uint8)


def pool() -> PairPool:
    """Reals of coarse noise, fakes of fine noise."""
    coarse = pairs(3)[:, 0, ::4, ::4].repeat(4, axis=1).repeat(4, axis=2)
    fine = pairs(3, seed=1)[:, 0]
    return PairPool([PooledClip("a", label, frames, np.arange(2)) for label, frames in ((0, coarse), (1, fine))])


# --- closed form


def test_closed_form_parameters_of_the_papers_width() -> None:
    """One scale of the discriminator, 2,767,809, with its last layer (8,193) replaced by a linear layer (513)."""
    assert PairPatch(PLAIN.model_copy(update={"ndf": 64})).parameters == 2_767_809 - 8_193 + 513
    normalised = 128 + 256 + 512  # channels, each with a scale and a shift
    assert PairPatch(CONFIG.model_copy(update={"ndf": 64})).parameters == 2_767_809 - 8_193 + 513 + 2 * normalised


def test_closed_form_the_residual_of_a_ramp_is_zero_and_of_a_dot_its_neighbourhood() -> None:
    ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    assert high_pass_residual(ramp, 10.0)[..., 1:-1].abs().max() < 1e-5  # a mean of three in a row is the middle one
    dot = torch.zeros(1, 1, 5, 5)
    dot[..., 2, 2] = 0.09
    found = high_pass_residual(dot, 10.0)[0, 0]
    assert found[2, 2] == pytest.approx(np.tanh(0.8))
    assert found[1, 1] == pytest.approx(np.tanh(-0.1))
    assert found[0, 0] == 0


def test_closed_form_without_weights_in_the_head_every_logit_is_its_bias() -> None:
    detector = PairPatch(CONFIG)
    torch.nn.init.zeros_(detector.network.head.weight)
    torch.nn.init.constant_(detector.network.head.bias, 1.5)
    np.testing.assert_array_equal(detector.logits(pairs(3)), np.full(3, 1.5, np.float32))


# --- laws


def test_a_logit_depends_on_its_own_pair_alone() -> None:
    detector, many = PairPatch(CONFIG), pairs(37)
    together = detector.logits(many)
    assert together.dtype == np.float32
    alone = np.concatenate([detector.logits(many[index : index + 1]) for index in range(len(many))])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)
    assert detector.logits(many[:0]).shape == (0,)


def test_the_order_of_the_two_frames_matters() -> None:
    detector, some = PairPatch(CONFIG), pairs(4)
    assert not np.allclose(detector.logits(some), detector.logits(some[:, ::-1]))


def test_initial_weights_follow_from_the_seed_and_leave_the_global_random_state_unchanged() -> None:
    before = torch.random.get_rng_state()
    first, again = PairPatch(CONFIG), PairPatch(CONFIG)
    other = PairPatch(CONFIG.model_copy(update={"seed": 1}))
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(first.logits(pairs(2)), again.logits(pairs(2)))
    assert not np.allclose(first.logits(pairs(2)), other.logits(pairs(2)))


def test_a_saved_and_loaded_detector_gives_the_same_logits(tmp_path: Path) -> None:
    detector = PairPatch(CONFIG)
    detector.fit(pool(), tmp_path / "state", ignore_progress)
    detector.save(tmp_path)
    again = PairPatch.load(tmp_path, CONFIG)
    np.testing.assert_array_equal(detector.logits(pairs(3)), again.logits(pairs(3)))


# --- frozen


@pytest.mark.parametrize(("name", "config"), [("plain", PLAIN), ("default", CONFIG)])
def test_frozen_losses(tmp_path: Path, name: str, config: PairPatchConfig) -> None:
    PairPatch(config).fit(pool(), tmp_path, ignore_progress)
    losses = [json.loads(line)["loss"] for line in (tmp_path / LOG).read_text().splitlines()]
    assert losses == pytest.approx(FROZEN[name], rel=1e-3)


# --- bad input


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    PairPatch(CONFIG).save(tmp_path)
    with pytest.raises(BenchError, match="does not hold the weights"):
        PairPatch.load(tmp_path, CONFIG.model_copy(update={"ndf": 8}))


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / PairPatch.WEIGHTS)
    with pytest.raises(BenchError, match="does not hold the weights"):
        PairPatch.load(tmp_path, CONFIG)
