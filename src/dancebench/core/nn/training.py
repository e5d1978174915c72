"""The training loop under synthesis and detection: it can be killed and resumed at any time.

    state.safetensors   checkpoint of networks and optimizers
    losses.jsonl        a line every few steps: {"phase": …, "step": steps done, NAME: loss, …}

Resume is exact: a step's batch depends on the seed and the step alone, and the checkpoint holds everything else.
So a training that was killed and resumed ends with the same weights as one that was not interrupted (one
thread, one machine). A checkpoint of another training, by its key, is not resumed: training starts anew.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import numpy as np
import torch

from dancebench.core.errors import BenchError
from dancebench.core.files import read_bytes, write_text
from dancebench.core.nn.checkpoint import Checkpoint, Networks, Optimizers, load_checkpoint, save_checkpoint
from dancebench.core.nn.distributed import average_values, is_main_process
from dancebench.core.progress import ReportProgress

STATE: Final = "state.safetensors"
LOG: Final = "losses.jsonl"
SAVE_EVERY_SECONDS: Final = 20.0
MIN_SAVE_INTERVAL_RATIO: Final = 20.0
"""Wait at least 20x the time that a checkpoint takes to write before the next one is written."""
READ_EVERY_STEPS: Final = 10
"""Steps between two reads of the losses on a GPU, since each waits until the GPU has done all that it was given."""
_FINAL_SHARE: Final = 0.1
"""Share of the steps, the last ones, whose mean losses are recorded."""

Batch = TypeVar("Batch")
_Consumed = TypeVar("_Consumed", contravariant=True)

Observe = Callable[[int, Sequence[Mapping[str, float]], Batch], None]
"""`observe(step, losses, batch)`: called when losses were read; `losses` of each step since the last call, the last of
which is the `step`-th (from 1) on `batch`."""


class Trainable(Protocol[_Consumed]):
    """Networks with their optimizers, and one update of them."""

    def networks(self) -> Networks:
        """All networks that are trained, by name."""

    def optimizers(self) -> Optimizers:
        """Their optimizers, by name."""

    def train_step(self, batch: _Consumed) -> dict[str, torch.Tensor]:
        """One update of all networks; returns the losses by name, detached scalars on the device.

        Under several processes, whose batches differ, it averages the gradients (`average_gradients`).
        """


@dataclass(frozen=True)
class Training(Generic[Batch]):
    """A training, or one phase of it.

    Attributes:
        what: What is trained, for progress and messages.
        folder: Folder of the checkpoint and the loss log.
        key: Identifies the training: a checkpoint with another key is not resumed.
        phase: Name of the phase in the loss log.
        steps: Number of steps of the whole phase.
        learning_rate: At the start.
        decay_share: Share of the steps, the last ones, over which the learning rate decays linearly to zero.
        batches: The batches of these steps (from 0), in order.
        device: Of the networks.
        log_every: Steps between two lines of the loss log.
        save_at_end: Write a checkpoint after the last step too: for whoever does other work before the result is saved.
        phases_before: The phases of this training that are done: their lines stay in the loss log.
        facts: What else the checkpoint holds, as JSON.
    """

    what: str
    folder: Path
    key: str
    phase: str
    steps: int
    learning_rate: float
    decay_share: float
    batches: Callable[[range], Iterable[Batch]]
    device: torch.device
    log_every: int
    save_at_end: bool = False
    phases_before: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class TrainingProgress:
    """Progress of a phase: steps done, seconds spent in them, the losses of the last tenth of all its steps."""

    step: int = 0
    seconds: float = 0.0
    recent: list[dict[str, float]] = field(default_factory=list)

    def mean_losses(self) -> dict[str, float]:
        """Means over the last tenth of the steps."""
        names = self.recent[0] if self.recent else {}
        return {name: float(np.mean([losses[name] for losses in self.recent])) for name in names}


def decay_linearly(learning_rate: float, share: float, step: int, steps: int) -> float:
    """Learning rate of step `step` (from 0) of `steps`: constant, then falling linearly to zero, as in pix2pixHD.

    Args:
        learning_rate: At the start.
        share: Share of the steps, the last ones, over which it falls; 0 keeps it constant.
        step: The step.
        steps: Number of all steps.
    """
    decay_steps = share * steps
    return learning_rate * min(1.0, (steps - step) / decay_steps) if decay_steps > 0 else learning_rate


def load_resumable(folder: Path, key: str) -> Checkpoint | None:
    """The checkpoint in `folder`; None where there is none, or one of another training, which is not resumed.

    Raises:
        BenchError: The file is damaged.
    """
    stored = load_checkpoint(folder / STATE)
    return stored if stored is not None and stored.facts.get("key") == key else None


def ignore_losses(step: int, losses: Sequence[Mapping[str, float]], batch: object) -> None:
    """Does nothing with them."""


def train(
    trained: Trainable[Batch],
    training: Training[Batch],
    stored: Checkpoint | None,
    report: ReportProgress,
    observe: Observe[Batch] = ignore_losses,
) -> TrainingProgress:
    """Do all steps, or those that remain after a checkpoint.

    Args:
        trained: Its networks are trained in place.
        training: What is done.
        stored: The checkpoint to resume from, from `load_resumable`; None to train from the start.
        report: Progress.
        observe: Gets the losses.

    Raises:
        BenchError: A loss is no longer finite; the checkpoint does not fit the networks.
    """
    progress = _restore(trained, stored)
    steps = range(progress.step, training.steps)
    every = 1 if training.device.type == "cpu" else READ_EVERY_STEPS
    saves = _Saves()
    pending: list[dict[str, torch.Tensor]] = []
    clock = time.perf_counter()
    with _LossLog(training, progress.step) as log:
        for step, batch in zip(steps, training.batches(steps), strict=True):
            rate = decay_linearly(training.learning_rate, training.decay_share, step, training.steps)
            _set_learning_rate(trained.optimizers(), rate)
            pending.append(average_values(trained.train_step(batch)))
            is_last = step + 1 == training.steps
            if (step + 1) % every and not is_last:
                continue
            read = _fetch_losses(pending)
            pending.clear()
            for losses in read:
                _check_finite(losses, training.what, progress.step + 1)
                _record(progress, losses, training.steps)
                log.add(progress.step, losses)
            now = time.perf_counter()
            progress.seconds, clock = progress.seconds + now - clock, now
            report(training.what, progress.step, training.steps)
            observe(progress.step, read, batch)
            if saves.is_due() or (is_last and training.save_at_end):
                _save(trained, training, progress)
                saves.restart()
    return progress


class _Saves:
    """When the next checkpoint is due."""

    def __init__(self) -> None:
        self._last = self._asked = time.perf_counter()
        self._duration = 0.0

    def is_due(self) -> bool:
        self._asked = time.perf_counter()
        return self._asked - self._last > max(SAVE_EVERY_SECONDS, MIN_SAVE_INTERVAL_RATIO * self._duration)

    def restart(self) -> None:
        """Count from now on, and take the time since `is_due` as that of writing a checkpoint."""
        self._last = time.perf_counter()
        self._duration = self._last - self._asked


def _restore(trained: Trainable[Any], stored: Checkpoint | None) -> TrainingProgress:
    if stored is None:
        return TrainingProgress()
    stored.restore(trained.networks(), trained.optimizers())
    facts = stored.facts
    return TrainingProgress(facts["step"], facts["seconds"], facts["recent"])


def _save(trained: Trainable[Any], training: Training[Any], progress: TrainingProgress) -> None:
    if not is_main_process() or not _has_finite_weights(trained.networks()):
        return
    facts = {"key": training.key, "step": progress.step, "seconds": progress.seconds, "recent": progress.recent}
    save_checkpoint(training.folder / STATE, trained.networks(), trained.optimizers(), {**training.facts, **facts})


def _has_finite_weights(networks: Networks) -> bool:
    """Whether all weights are finite: the losses of a step show it only for the step before."""
    return all(bool(torch.isfinite(value).all()) for network in networks.values() for value in network.parameters())


def _set_learning_rate(optimizers: Optimizers, rate: float) -> None:
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = rate


def _fetch_losses(pending: Sequence[Mapping[str, torch.Tensor]]) -> list[dict[str, float]]:
    """Losses of several steps, fetched from the device at once."""
    names = list(pending[0])
    values = torch.stack([torch.stack([losses[name].float() for name in names]) for losses in pending])
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]


def _check_finite(losses: Mapping[str, float], what: str, step: int) -> None:
    not_finite = [name for name, value in losses.items() if not math.isfinite(value)]
    if not_finite:
        raise BenchError(
            f"{what}: {', '.join(not_finite)} is no longer a number at step {step}.",
            hint="The last good checkpoint is kept; lower the learning rate, or start again with another --seed.",
        )


def _record(progress: TrainingProgress, losses: dict[str, float], steps: int) -> None:
    progress.step += 1
    if progress.step > (1 - _FINAL_SHARE) * steps:
        progress.recent.append(losses)


class _LossLog:
    """`losses.jsonl`, written by the main process (rank 0) alone; it begins as it was at step `step`."""

    def __init__(self, training: Training[Any], step: int) -> None:
        self._training = training
        self._handle = None
        if is_main_process():
            path = training.folder / LOG
            write_text(path, "".join(_keep_lines(path, training, step)))
            self._handle = path.open("a", encoding="utf-8", buffering=1)  # line-buffered

    def add(self, step: int, losses: Mapping[str, float]) -> None:
        if self._handle is not None and step % self._training.log_every == 0:
            rounded = {name: round(value, 6) for name, value in losses.items()}
            self._handle.write(json.dumps({"phase": self._training.phase, "step": step, **rounded}) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.close()


def _keep_lines(path: Path, training: Training[Any], step: int) -> list[str]:
    """The log's lines of the phases before and of this one up to `step`.

    Later lines belong to steps that will be repeated, or are truncated or damaged.
    """
    if not path.exists() or not (training.phases_before or step):
        return []
    kept = []
    for line in read_bytes(path).decode(errors="replace").splitlines(keepends=True):
        try:
            entry = json.loads(line) if line.endswith("}\n") else {}
        except (ValueError, RecursionError):
            break
        if not {"phase", "step"} <= entry.keys():
            break
        if entry["phase"] in training.phases_before or (entry["phase"] == training.phase and entry["step"] <= step):
            kept.append(line)
    return kept
