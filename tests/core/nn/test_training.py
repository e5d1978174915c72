"""Training that is deterministic and survives a kill."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dancebench.core.errors import BenchError
from dancebench.core.nn.checkpoint import load_checkpoint
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.detect.detectors._training import LOG, STATE, train


class Killed(BaseException):
    """An interruption from outside, like Ctrl-C."""


def kill_at(at: int) -> ReportProgress:
    def report(what: str, done: int, total: int) -> None:
        if done == at:
            raise Killed

    return report


def train_small(
    state: Path, steps: int = 12, seed: int = 0, report: ReportProgress = ignore_progress, every: float = 0.0
) -> list[Tensor]:
    """Train a small network on random targets; returns its weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 1))

    def step_loss(generator: np.random.Generator) -> Tensor:
        x = torch.from_numpy(generator.normal(size=(4, 1, 8, 8)).astype(np.float32))
        return nn.functional.mse_loss(network(x).squeeze(1), x.mean(dim=(1, 2, 3)))

    train(
        network, step_loss, steps=12, learning_rate=1e-2, decay_share=0.5, seed=seed, state=state, report=report,
        checkpoint_seconds=every,
    )  # fmt: skip
    return [parameter.detach() for parameter in network.parameters()]


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("at", [1, 5, 11])
def test_a_killed_training_resumes_to_the_same_bits(tmp_path: Path, at: int) -> None:
    whole = train_small(tmp_path / "whole")
    with pytest.raises(Killed):
        train_small(tmp_path / "killed", report=kill_at(at))
    assert len((tmp_path / "killed" / LOG).read_text().splitlines()) == at  # it had started
    assert equal(train_small(tmp_path / "killed"), whole)
    assert (tmp_path / "killed" / LOG).read_text() == (tmp_path / "whole" / LOG).read_text()


def test_work_since_the_last_checkpoint_is_repeated(tmp_path: Path) -> None:
    whole = train_small(tmp_path / "whole")
    with pytest.raises(Killed):
        train_small(tmp_path / "killed", report=kill_at(5))
    with pytest.raises(Killed):
        train_small(tmp_path / "killed", report=kill_at(9), every=3600)  # leaves the checkpoint of step 5
    assert equal(train_small(tmp_path / "killed"), whole)


def test_two_trainings_of_one_seed_agree_and_of_two_seeds_do_not(tmp_path: Path) -> None:
    first, again, other = train_small(tmp_path / "a"), train_small(tmp_path / "b"), train_small(tmp_path / "c", seed=1)
    assert equal(first, again)
    assert not equal(first, other)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = train_small(tmp_path)
    steps: list[int] = []
    assert equal(train_small(tmp_path, report=lambda what, done, total: steps.append(done)), first)
    assert steps == [12]


def test_the_log_holds_every_step_once(tmp_path: Path) -> None:
    train_small(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(12))
    state = load_checkpoint(tmp_path / STATE)
    assert state is not None
    assert state.facts["losses"] == [line["loss"] for line in lines]


def test_training_leaves_the_number_of_threads_as_it_was(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    train_small(tmp_path)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


# --- bad input


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    train_small(tmp_path)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:100])
    with pytest.raises(BenchError, match="cannot be used"):
        train_small(tmp_path)


def test_the_state_of_another_seed_is_refused(tmp_path: Path) -> None:
    train_small(tmp_path)
    with pytest.raises(BenchError, match="another training"):
        train_small(tmp_path, seed=1)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    network = nn.Linear(1, 1)
    with pytest.raises(BenchError, match="loss is nan at step 0"):
        train(
            network,
            lambda generator: network(torch.full((1, 1), torch.nan)).sum(),
            steps=1,
            learning_rate=1.0,
            decay_share=0.0,
            seed=0,
            state=tmp_path,
            report=ignore_progress,
        )
    assert not (tmp_path / STATE).exists()
