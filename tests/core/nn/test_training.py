"""The training loop: deterministic, survives a kill, logs every step once, never saves what is not finite."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dancebench.core.errors import BenchError
from dancebench.core.nn import training as module
from dancebench.core.nn.checkpoint import load_checkpoint, save_checkpoint
from dancebench.core.nn.training import (
    LOG,
    STATE,
    Training,
    TrainingProgress,
    decay_linearly,
    load_resumable,
    train,
)
from dancebench.core.progress import ReportProgress, ignore_progress

STEPS = 12


class Killed(BaseException):
    """An interruption from outside, like Ctrl-C."""


def kill_at(at: int) -> ReportProgress:
    def report(what: str, done: int, total: int) -> None:
        if done == at:
            raise Killed

    return report


class Regression:
    """A small network on random targets."""

    def __init__(self, seed: int = 0) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 1))
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1.0)
        self.rates: list[float] = []

    def networks(self) -> Mapping[str, nn.Module]:
        return {"n": self.network}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"n": self.optimizer}

    def train_step(self, batch: Tensor) -> dict[str, Tensor]:
        loss = nn.functional.mse_loss(self.network(batch).squeeze(1), batch.mean(dim=(1, 2, 3)))
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        return {"loss": loss.detach()}

    def weights(self) -> list[Tensor]:
        return [parameter.detach() for parameter in self.network.parameters()]


def draw_batches(steps: range) -> Iterator[Tensor]:
    for step in steps:
        yield torch.from_numpy(np.random.default_rng((0, step)).normal(size=(4, 1, 8, 8)).astype(np.float32))


def plan(folder: Path, key: str = "k") -> Training[Tensor]:
    return Training(
        what="a regression",
        folder=folder,
        key=key,
        phase="only",
        steps=STEPS,
        learning_rate=1e-2,
        decay_share=0.5,
        batches=draw_batches,
        device=torch.device("cpu"),
        log_every=1,
    )


def run(training: Training[Tensor], report: ReportProgress = ignore_progress, seed: int = 0) -> Regression:
    """Train, from the checkpoint if there is one."""
    regression = Regression(seed)
    train(regression, training, load_resumable(training.folder, training.key), report)
    return regression


def read_log(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def equal(first: Regression, second: Regression) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.weights(), second.weights(), strict=True))


@pytest.fixture
def save_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(module, "MIN_SAVE_INTERVAL_RATIO", 0.0)


# --- closed form


def test_closed_form_the_rate_is_constant_and_then_falls_linearly_to_zero() -> None:
    assert [decay_linearly(2.0, 0.5, step, 8) for step in range(8)] == [2, 2, 2, 2, 2, 1.5, 1, 0.5]
    assert [decay_linearly(2.0, 0.0, step, 8) for step in range(8)] == [2] * 8


@given(st.floats(1e-6, 1), st.floats(0, 1), st.integers(1, 500))
def test_the_rate_never_rises_and_is_never_zero(rate: float, share: float, steps: int) -> None:
    rates = [decay_linearly(rate, share, step, steps) for step in range(steps)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == rate
    assert rates[-1] > 0


@pytest.mark.usefixtures("save_always")
def test_every_step_has_the_rate_of_the_schedule_also_after_a_kill(tmp_path: Path) -> None:
    expected = [decay_linearly(1e-2, 0.5, step, STEPS) for step in range(STEPS)]
    assert run(plan(tmp_path / "whole")).rates == expected
    with pytest.raises(Killed):
        run(plan(tmp_path / "killed"), kill_at(9))
    assert run(plan(tmp_path / "killed")).rates == expected[8:]


@pytest.mark.parametrize(("duration", "due"), [(0, [21, 42]), (1, [21, 43]), (3, [21, 85])])
def test_closed_form_checkpoints_are_20_seconds_and_20_writing_times_apart(
    monkeypatch: pytest.MonkeyPatch, duration: int, due: list[int]
) -> None:
    """Steps of one second; a checkpoint takes `duration` seconds to write."""
    clock = [0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    saves, found = module._Saves(), []
    while len(found) < 2:
        clock[0] += 1
        if saves.is_due():
            found.append(clock[0])
            clock[0] += duration
            saves.restart()
    assert found == due


def test_closed_form_mean_losses_are_those_of_the_last_tenth(tmp_path: Path) -> None:
    progress = TrainingProgress()
    for value in range(30):
        module._record(progress, {"a": float(value)}, 30)
    assert progress.step == 30
    assert progress.mean_losses() == {"a": 28.0}  # of 27, 28 and 29
    assert TrainingProgress().mean_losses() == {}


# --- laws


@pytest.mark.usefixtures("save_always")
@pytest.mark.parametrize("at", [1, 5, 11])
def test_a_killed_training_resumes_to_the_same_bits(tmp_path: Path, at: int) -> None:
    whole = run(plan(tmp_path / "whole"))
    with pytest.raises(Killed):
        run(plan(tmp_path / "killed"), kill_at(at))
    assert len(read_log(tmp_path / "killed")) == at  # it had started
    resumed = run(plan(tmp_path / "killed"))
    assert len(resumed.rates) == STEPS - at + 1  # the killed step had no checkpoint yet
    assert equal(resumed, whole)
    assert (tmp_path / "killed" / LOG).read_text() == (tmp_path / "whole" / LOG).read_text()


def test_work_since_the_last_checkpoint_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(plan(tmp_path / "whole"))
    with monkeypatch.context() as patched:
        patched.setattr(module, "SAVE_EVERY_SECONDS", 0.0)
        patched.setattr(module, "MIN_SAVE_INTERVAL_RATIO", 0.0)
        with pytest.raises(Killed):
            run(plan(tmp_path / "killed"), kill_at(5))
    with pytest.raises(Killed):
        run(plan(tmp_path / "killed"), kill_at(9))  # leaves the checkpoint of step 4
    resumed = run(plan(tmp_path / "killed"))
    assert len(resumed.rates) == STEPS - 4
    assert equal(resumed, whole)
    assert (tmp_path / "killed" / LOG).read_text() == (tmp_path / "whole" / LOG).read_text()


def test_two_trainings_of_one_seed_agree_and_of_two_seeds_do_not(tmp_path: Path) -> None:
    first, again, other = run(plan(tmp_path / "a")), run(plan(tmp_path / "b")), run(plan(tmp_path / "c"), seed=1)
    assert equal(first, again)
    assert not equal(first, other)


def test_a_finished_training_is_not_repeated_where_its_end_was_saved(tmp_path: Path) -> None:
    training = replace(plan(tmp_path), save_at_end=True)
    first, again = run(training), run(training)
    assert (len(first.rates), len(again.rates)) == (STEPS, 0)
    assert equal(first, again)
    run(plan(tmp_path / "other"))
    assert not (tmp_path / "other" / STATE).exists()


def test_the_log_holds_every_step_once(tmp_path: Path) -> None:
    seen: list[float] = []

    def observe(step: int, losses: Sequence[Mapping[str, float]], batch: Tensor) -> None:
        assert len(losses) == 1
        seen.append(losses[0]["loss"])

    train(Regression(), plan(tmp_path), None, ignore_progress, observe)
    lines = read_log(tmp_path)
    assert [(line["phase"], line["step"]) for line in lines] == [("only", step) for step in range(1, STEPS + 1)]
    assert [line["loss"] for line in lines] == [round(value, 6) for value in seen]


def test_the_log_may_hold_some_steps_and_keeps_earlier_phases(tmp_path: Path) -> None:
    run(replace(plan(tmp_path), phase="first", log_every=5))
    run(replace(plan(tmp_path), phase="second", log_every=4, phases_before=["first"]))
    expected = [("first", 5), ("first", 10), ("second", 4), ("second", 8), ("second", 12)]
    assert [(line["phase"], line["step"]) for line in read_log(tmp_path)] == expected
    with (tmp_path / LOG).open("a") as log:
        log.write('{"phase": "second", "st')  # a line that a kill cut short
    run(replace(plan(tmp_path), phase="third", log_every=12, phases_before=["first", "second"]))
    assert [(line["phase"], line["step"]) for line in read_log(tmp_path)] == [*expected, ("third", 12)]


def test_on_a_gpu_losses_are_read_every_ten_steps_and_none_is_lost(tmp_path: Path) -> None:
    """The reads follow from the device named; the networks themselves may be anywhere."""
    reads: list[tuple[int, int]] = []

    def observe(step: int, losses: Sequence[Mapping[str, float]], batch: Tensor) -> None:
        reads.append((step, len(losses)))

    training = replace(plan(tmp_path / "gpu"), device=torch.device("cuda"))
    train(Regression(), training, None, ignore_progress, observe)
    assert reads == [(10, 10), (12, 2)]
    run(plan(tmp_path / "cpu"))
    assert (tmp_path / "gpu" / LOG).read_text() == (tmp_path / "cpu" / LOG).read_text()


def test_losses_are_averaged_over_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "average_values", lambda losses: {name: torch.tensor(7.0) for name in losses})
    run(plan(tmp_path))
    assert {line["loss"] for line in read_log(tmp_path)} == {7.0}


@pytest.mark.usefixtures("save_always")
def test_worker_ranks_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_main_process", lambda: False)
    run(replace(plan(tmp_path), save_at_end=True))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("save_always")
@pytest.mark.parametrize("facts", [{"key": "other", "step": 3}, {"seed": 0, "losses": [0.5]}, {}])
def test_the_checkpoint_of_another_training_or_of_an_earlier_format_is_not_resumed(
    tmp_path: Path, facts: dict[str, object]
) -> None:
    other = Regression(seed=3)
    save_checkpoint(tmp_path / STATE, other.networks(), other.optimizers(), facts)
    (tmp_path / LOG).write_text('{"step": 0, "loss": 0.5}\n')
    assert load_resumable(tmp_path, "k") is None
    anew = run(plan(tmp_path))
    assert len(anew.rates) == STEPS
    assert equal(anew, run(plan(tmp_path / "clean")))
    assert len(read_log(tmp_path)) == STEPS


# --- bad input


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    training = replace(plan(tmp_path), save_at_end=True)
    run(training)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:100])
    with pytest.raises(BenchError, match="cannot be used") as error:
        run(training)
    assert error.value.hint == "Remove it to train from the start."


def break_at(step: int, spoil: Callable[[Regression], None]) -> Regression:
    """A regression that is spoiled before the step with this number (from 1)."""
    regression = Regression()
    original = regression.train_step

    def train_step(batch: Tensor) -> dict[str, Tensor]:
        if len(regression.rates) + 1 == step:
            spoil(regression)
        return original(batch)

    regression.train_step = train_step  # type: ignore[method-assign]
    return regression


def fill_with_nan(regression: Regression) -> None:
    regression.weights()[0].fill_(torch.nan)


@pytest.mark.usefixtures("save_always")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_loss_that_is_not_finite_stops_the_training_and_the_good_checkpoint_stays(
    tmp_path: Path, device: str
) -> None:
    training = replace(plan(tmp_path), device=torch.device(device))
    with pytest.raises(BenchError, match=r"a regression: loss is no longer a number at step 12\.") as error:
        train(break_at(STEPS, fill_with_nan), training, None, ignore_progress)
    assert error.value.hint is not None
    assert "checkpoint is kept" in error.value.hint
    stored = load_checkpoint(tmp_path / STATE)
    assert stored is not None
    assert stored.facts["step"] == (11 if device == "cpu" else 10)
    assert all(torch.isfinite(value).all() for value in stored.tensors.values())
    assert [line["step"] for line in read_log(tmp_path)] == list(range(1, 12))


@pytest.mark.usefixtures("save_always")
def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    def observe(step: int, losses: Sequence[Mapping[str, float]], batch: Tensor) -> None:
        if step == 4:
            fill_with_nan(regression)

    regression = Regression()
    with pytest.raises(BenchError, match="no longer a number at step 5"):
        train(regression, plan(tmp_path), None, ignore_progress, observe)
    stored = load_checkpoint(tmp_path / STATE)
    assert stored is not None
    assert stored.facts["step"] == 3
