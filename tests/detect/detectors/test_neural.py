"""Networks in training: resumed under the same config, trained anew under another; one thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dancebench.core.errors import BenchError
from dancebench.core.nn import training
from dancebench.core.nn.checkpoint import load_checkpoint, save_checkpoint
from dancebench.core.nn.training import LOG, STATE
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.detect.detectors.pair_patch import PairPatch, PairPatchConfig
from dancebench.detect.inputs.pairs import PairPool, Pairs, PooledClip

CONFIG = PairPatchConfig(height=32, width=32, ndf=2, steps=6, batch=4, pairs=2)
OTHER = CONFIG.model_copy(update={"seed": 1})


def draw_pairs(n: int, seed: int = 0) -> Pairs:
    return np.random.default_rng(seed).integers(0, 256, (n, 2, 32, 32, 3), dtype=np.uint8)


POOL = PairPool([PooledClip("a", label, draw_pairs(3, label)[:, 0], np.arange(2)) for label in (0, 1)])


class Killed(BaseException):
    """An interruption from outside, like Ctrl-C."""


def fit(config: PairPatchConfig, state: Path, report: ReportProgress = ignore_progress) -> list[float]:
    """Train; returns the logits of some pairs."""
    detector = PairPatch(config)
    detector.fit(POOL, state, report)
    return detector.logits(draw_pairs(3, seed=2)).tolist()


def fit_and_kill_at(step: int, config: PairPatchConfig, state: Path) -> None:
    def report(what: str, done: int, total: int) -> None:
        if done == step:
            raise Killed

    with pytest.raises(Killed):
        fit(config, state, report)


def fit_and_count_steps(config: PairPatchConfig, state: Path) -> tuple[list[float], list[int]]:
    steps: list[int] = []
    return fit(config, state, lambda what, done, total: steps.append(done)), steps


@pytest.fixture
def save_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(training, "MIN_SAVE_INTERVAL_RATIO", 0.0)


@pytest.mark.usefixtures("save_always")
def test_a_killed_training_resumes_to_the_same_bits(tmp_path: Path) -> None:
    whole = fit(CONFIG, tmp_path / "whole")
    fit_and_kill_at(4, CONFIG, tmp_path / "killed")
    logits, steps = fit_and_count_steps(CONFIG, tmp_path / "killed")
    assert logits == whole
    assert steps == [4, 5, 6]
    assert (tmp_path / "killed" / LOG).read_text() == (tmp_path / "whole" / LOG).read_text()


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    """An ensemble trains its members one after the other, and may be killed at the last."""
    first = fit(CONFIG, tmp_path)
    assert fit_and_count_steps(CONFIG, tmp_path) == (first, [])


@pytest.mark.usefixtures("save_always")
def test_a_checkpoint_of_another_config_is_not_resumed(tmp_path: Path) -> None:
    fit_and_kill_at(4, OTHER, tmp_path / "used")
    logits, steps = fit_and_count_steps(CONFIG, tmp_path / "used")
    assert steps == [1, 2, 3, 4, 5, 6]
    assert logits == fit(CONFIG, tmp_path / "clean")
    assert (tmp_path / "used" / LOG).read_text() == (tmp_path / "clean" / LOG).read_text()


@pytest.mark.usefixtures("save_always")
def test_how_many_pairs_are_scored_makes_no_other_training(tmp_path: Path) -> None:
    fit_and_kill_at(4, CONFIG.model_copy(update={"pairs": 9}), tmp_path)
    assert fit_and_count_steps(CONFIG, tmp_path)[1] == [4, 5, 6]


def test_a_checkpoint_of_version_0_1_0_is_not_resumed(tmp_path: Path) -> None:
    detector = PairPatch(CONFIG)
    optimizer = torch.optim.Adam(detector.network.parameters())
    facts = {"seed": CONFIG.seed, "losses": [0.7, 0.6]}
    save_checkpoint(tmp_path / "used" / STATE, {"detector": detector.network}, {"detector": optimizer}, facts)
    (tmp_path / "used" / LOG).write_text('{"step": 0, "loss": 0.7}\n{"step": 1, "loss": 0.6}\n')
    logits, steps = fit_and_count_steps(CONFIG, tmp_path / "used")
    assert steps == [1, 2, 3, 4, 5, 6]
    assert logits == fit(CONFIG, tmp_path / "clean")


def test_training_leaves_the_number_of_threads_as_it_was(tmp_path: Path) -> None:
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        fit(CONFIG, tmp_path, lambda what, done, total: seen.append(torch.get_num_threads()))
        assert torch.get_num_threads() == 2
        assert set(seen) == {1}
    finally:
        torch.set_num_threads(before)


# --- bad input


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    fit(CONFIG, tmp_path)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:100])
    with pytest.raises(BenchError, match="cannot be used") as error:
        fit(CONFIG, tmp_path)
    assert error.value.hint == "Remove it to train from the start."


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"training the detector: loss is no longer a number at step \d"):
        fit(CONFIG.model_copy(update={"learning_rate": 1e30, "steps": 60, "decay_share": 0.0}), tmp_path)
    assert load_checkpoint(tmp_path / STATE) is None
