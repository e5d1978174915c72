"""The training loop: the phases of a method, one after the other; it can be killed and resumed at any time.

Resume is exact: a phase starts from the seed, a step's examples depend on (seed, phase, step) alone, and
the checkpoint on disk holds everything else. So a training that was killed and resumed ends with the same
weights as one that was not interrupted (one thread, one machine).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from dancebench.core.environment import seed_everything
from dancebench.core.errors import BenchError
from dancebench.core.files import write_text
from dancebench.core.nn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from dancebench.core.nn.distributed import average_values, broadcast, is_main_process, world_size
from dancebench.core.nn.trunks import Trunk
from dancebench.core.progress import ReportProgress
from dancebench.core.schema import Strict
from dancebench.synth.base import LearnedMethod, Phase
from dancebench.synth.clip import Batch
from dancebench.synth.gan.networks import checkpoint_activations
from dancebench.synth.training.batches import iterate_batches

SAVE_EVERY_SECONDS: Final = 20.0
MIN_SAVE_INTERVAL_RATIO: Final = 20.0
"""Wait at least 20x the time that a checkpoint takes to write before the next one is written."""
LOG_EVERY_STEPS: Final = 10
SAMPLE_EVERY_STEPS: Final = 250
_FINAL_SHARE: Final = 0.1
"""Share of a phase's steps, the last ones, whose mean losses are recorded."""


@dataclass(frozen=True)
class TrainingOptions:
    """How a training is computed; the weights are the same within rounding.

    Attributes:
        tensorboard: Loss curves and sample grids for TensorBoard.
        checkpointing: Gradient checkpointing: recompute activations of residual blocks to save memory.
        compiled: Compile the networks with torch.compile.
    """

    tensorboard: bool = False
    checkpointing: bool = False
    compiled: bool = False


DEFAULT_OPTIONS: Final = TrainingOptions()


class PhaseRecord(Strict):
    """The record of one phase of a training."""

    name: str
    height: int
    width: int
    examples: int
    """Number of training examples of the phase."""
    steps: int
    seconds: float
    losses: dict[str, float]
    """Means over the last tenth of the steps."""
    parameters: dict[str, int]


@dataclass
class _Progress:
    """Progress of a phase: steps done, seconds spent in them, the last losses."""

    step: int = 0
    seconds: float = 0.0
    recent: list[dict[str, float]] = field(default_factory=list)

    def losses(self) -> dict[str, float]:
        names = self.recent[0] if self.recent else {}
        return {name: float(np.mean([losses[name] for losses in self.recent])) for name in names}


def run_phases(
    method: LearnedMethod,
    folder: Path,
    label: str,
    key: str,
    seed: int,
    trunk: Trunk | None,
    options: TrainingOptions,
    report: ReportProgress,
) -> list[PhaseRecord]:
    """Train `method` through all its phases.

    Args:
        method: Holds the networks, which are trained in place.
        folder: Folder of the checkpoint and the loss log.
        label: What is trained on whom, for messages.
        key: Identifies the training: a checkpoint with another key is not resumed.
        seed: Seed of all random numbers.
        trunk: For the perceptual losses.
        options: How it is computed.
        report: Progress.

    Raises:
        BenchError: Too few usable frames; a batch that cannot be divided among the processes; a loss that
            is no longer a number; a damaged checkpoint.
    """
    stored = load_checkpoint(folder / "state.safetensors")
    if stored is not None and stored.facts["key"] != key:
        stored = None
    done = [PhaseRecord.model_validate(record) for record in stored.facts["phases"]] if stored else []
    log = _Log(folder, len(done), stored.facts["step"] if stored else 0, options)
    for number, name in enumerate(method.list_phases()):
        if number < len(done):
            continue
        seed_everything(seed)  # a phase begins the same way whether or not the training was resumed before
        phase = method.start_phase(name, trunk)
        trainer = _PhaseTrainer(
            phase, name, number, folder / "state.safetensors", label, key, seed, method.device, options, log
        )
        done.append(trainer.train_to_end(stored, done, report))
        stored = None
    log.close()
    return done


@dataclass
class _PhaseTrainer:
    """Trains one phase, from its checkpoint where there is one."""

    phase: Phase
    name: str
    number: int
    state: Path
    label: str
    key: str
    seed: int
    device: torch.device
    options: TrainingOptions
    log: _Log

    def train_to_end(
        self, stored: Checkpoint | None, before: Sequence[PhaseRecord], report: ReportProgress
    ) -> PhaseRecord:
        """Do the remaining steps."""
        phase, schedule = self.phase, self.phase.schedule
        steps = schedule.count_steps(len(phase.example_starts))
        if schedule.batch % world_size():
            raise BenchError(
                f"A batch of {schedule.batch} cannot be divided among {world_size()} processes.",
                hint=f"Add --batch {world_size()}, or a multiple of it.",
            )
        progress = self._restore(stored)
        self._prepare(report)
        every = 1 if self.device.type == "cpu" else LOG_EVERY_STEPS  # reading a loss synchronises with the GPU
        pending: list[dict[str, torch.Tensor]] = []
        clock = last_save = time.perf_counter()
        save_seconds = 0.0
        first = progress.step
        for step, batch in zip(range(first, steps), self._iterate_batches(first, steps), strict=True):
            self._set_learning_rate(schedule.learning_rate_at(step, steps))
            pending.append(average_values(self._step(batch)))
            if (step + 1) % every and step + 1 < steps:
                continue
            for offset, losses in enumerate(_fetch_losses(pending)):
                self._check(losses, step + 2 - len(pending) + offset)
                self._record_step(progress, losses, steps)
            pending.clear()
            now = time.perf_counter()
            progress.seconds, clock = progress.seconds + now - clock, now
            report(f"{self.label}, {self.name}", progress.step, steps)
            if (step + 1) % SAMPLE_EVERY_STEPS < every:
                self.log.add_samples(self.name, step + 1, phase, batch)
            if now - last_save > max(SAVE_EVERY_SECONDS, MIN_SAVE_INTERVAL_RATIO * save_seconds):
                self._save(progress, before)
                last_save = time.perf_counter()
                save_seconds = last_save - now
        return self._make_record(progress, steps)

    def _step(self, batch: Batch) -> dict[str, torch.Tensor]:
        try:
            return self.phase.train_step(batch)
        except torch.OutOfMemoryError as error:
            raise BenchError(
                f"{self.label}: the GPU's memory does not suffice for the {self.name} phase.",
                hint="Try --jobs 1, --gradient-checkpointing, a smaller --batch or a smaller --preset.",
            ) from error

    def _iterate_batches(self, first: int, steps: int) -> Any:
        return iterate_batches(self.phase, (self.seed, self.number), range(first, steps), self.device)

    def _restore(self, stored: Checkpoint | None) -> _Progress:
        if stored is None:
            return _Progress()
        stored.restore(self.phase.networks(), self.phase.optimizers())
        facts = stored.facts
        return _Progress(facts["step"], facts["seconds"], facts["recent"])

    def _prepare(self, report: ReportProgress) -> None:
        self.phase.prepare(report)
        networks = self.phase.networks().values()
        if self.options.checkpointing and not sum(checkpoint_activations(network) for network in networks):
            raise BenchError(
                f"{self.label}: its networks have no residual blocks whose activations could be recomputed.",
                hint="Leave --gradient-checkpointing out.",
            )
        if self.options.compiled:
            for network in networks:
                network.compile()

    def _set_learning_rate(self, rate: float) -> None:
        for optimizer in self.phase.optimizers().values():
            for group in optimizer.param_groups:
                group["lr"] = rate

    def _check(self, losses: dict[str, float], step: int) -> None:
        not_finite = [name for name, value in losses.items() if not math.isfinite(value)]
        if not_finite:
            raise BenchError(
                f"Training {self.label} stopped: {', '.join(not_finite)} is no longer a number at step {step} "
                f"of the {self.name} phase.",
                hint="The last good checkpoint is kept; lower the learning rate, or start again with another --seed.",
            )

    def _record_step(self, progress: _Progress, losses: dict[str, float], steps: int) -> None:
        progress.step += 1
        if progress.step > (1 - _FINAL_SHARE) * steps:
            progress.recent.append(losses)
        self.log.add(self.name, progress.step, losses)

    def _save(self, progress: _Progress, before: Sequence[PhaseRecord]) -> None:
        if not is_main_process() or not self._has_finite_weights():
            return
        facts = {
            "key": self.key,
            "phases": [record.model_dump() for record in before],
            "step": progress.step,
            "seconds": progress.seconds,
            "recent": progress.recent,
        }
        save_checkpoint(self.state, self.phase.networks(), self.phase.optimizers(), facts)

    def _has_finite_weights(self) -> bool:
        """Whether all weights are finite: the losses of a step show it only for the step before."""
        return all(
            bool(torch.isfinite(value).all())
            for network in self.phase.networks().values()
            for value in network.parameters()
        )

    def _make_record(self, progress: _Progress, steps: int) -> PhaseRecord:
        height, width = self.phase.clip.size
        return PhaseRecord(
            name=self.name,
            height=height,
            width=width,
            examples=len(self.phase.example_starts),
            steps=steps,
            seconds=broadcast(progress.seconds),
            losses=progress.losses(),
            parameters={
                name: sum(value.numel() for value in network.parameters())
                for name, network in self.phase.networks().items()
            },
        )


def _fetch_losses(pending: Sequence[dict[str, torch.Tensor]]) -> list[dict[str, float]]:
    """Losses of several steps, fetched from the device at once."""
    names = list(pending[0])
    values = torch.stack([torch.stack([losses[name].float() for name in names]) for losses in pending])
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]


class _Log:
    """`losses.jsonl`, and TensorBoard logs where requested; written by the main process (rank 0) alone."""

    def __init__(self, folder: Path, phases: int, step: int, options: TrainingOptions) -> None:
        self._handle = self._board = None
        if not is_main_process():
            return
        path = folder / "losses.jsonl"
        write_text(path, "".join(_keep_lines_up_to(path, phases, step)))
        self._handle = path.open("a", encoding="utf-8", buffering=1)  # line-buffered
        self._board = _open_tensorboard(folder) if options.tensorboard else None

    def add(self, phase: str, step: int, losses: dict[str, float]) -> None:
        if self._handle is None or step % LOG_EVERY_STEPS:
            return
        line = {"phase": phase, "step": step} | {name: round(value, 6) for name, value in losses.items()}
        self._handle.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in losses.items():
                self._board.add_scalar(f"{phase}/{name}", value, step)

    def add_samples(self, phase: str, step: int, trained: Phase, batch: Batch) -> None:
        """A grid of pose maps, real frames and generated frames."""
        if self._board is not None:
            images = trained.preview(batch).add(1).div(2).float().cpu()  # (N, 3, H, W) in [0, 1]
            self._board.add_images(f"{phase}/samples", images, step)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()
        if self._board is not None:
            self._board.close()


def _keep_lines_up_to(path: Path, phases: int, step: int) -> list[str]:
    """The log up to `step` of the phase after `phases` finished ones.

    Later lines belong to steps that will be repeated, or are truncated.
    """
    if (phases, step) == (0, 0) or not path.exists():
        return []
    kept, seen = [], []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("}\n"):
            break
        entry = json.loads(line)
        if entry["phase"] not in seen:
            seen.append(entry["phase"])
        if len(seen) <= phases or (len(seen) == phases + 1 and entry["step"] <= step):
            kept.append(line)
    return kept


def _open_tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BenchError("TensorBoard is not installed.", hint="pip install 'dancebench[tensorboard]'") from error
    return SummaryWriter(str(folder / "tensorboard"))
