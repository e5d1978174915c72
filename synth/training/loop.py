"""The phases of a method, trained one after the other; the training can be killed and resumed at any time.

A phase starts from the seed, and a step's examples depend on (seed, phase, step) alone. The loop itself is
`core.nn.training`; here are a synthesizer's phases, their records and TensorBoard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from dancebench.core.environment import seed_everything
from dancebench.core.errors import BenchError
from dancebench.core.nn.checkpoint import Checkpoint
from dancebench.core.nn.distributed import broadcast, is_main_process, world_size
from dancebench.core.nn.training import Training, TrainingProgress, load_resumable, train
from dancebench.core.nn.trunks import Trunk
from dancebench.core.progress import ReportProgress
from dancebench.core.schema import Strict
from dancebench.synth.base import LearnedMethod, Phase
from dancebench.synth.clip import Batch
from dancebench.synth.gan.networks import checkpoint_activations
from dancebench.synth.training.batches import iterate_batches
from dancebench.synth.training.inheritance import DISCRIMINATORS, NETWORKS, Weights, inherit

LOG_EVERY_STEPS: Final = 10
SAMPLE_EVERY_STEPS: Final = 250


@dataclass(frozen=True)
class TrainingOptions:
    """How a training is computed; the weights are the same within rounding.

    Attributes:
        tensorboard: Loss curves and sample grids for TensorBoard.
        checkpointing: Gradient checkpointing: recompute activations of residual blocks to save memory.
        compiled: Compile the networks with torch.compile.
        sharing: Worker processes that hold a clip in this machine's memory at once.
    """

    tensorboard: bool = False
    checkpointing: bool = False
    compiled: bool = False
    sharing: int = 1


DEFAULT_OPTIONS: Final = TrainingOptions()


class FinishedPhases:
    """What becomes of phases that are done, beside the method's networks: nothing, unless a subclass keeps it."""

    def keep(self, name: str, phase: Phase) -> None:
        """Called when a phase is done."""

    def restore(self, name: str) -> None:
        """Called in a resumed training for a phase that was done before."""


KEEP_NOTHING: Final = FinishedPhases()


@dataclass(frozen=True)
class SynthTraining:
    """The training of a synthesizer: what determines it, and how it is computed.

    Attributes:
        folder: Folder of the checkpoint and the loss log.
        label: What is trained on whom, for messages.
        key: Identifies the training: a checkpoint with another key is not resumed.
        seed: Seed of all random numbers.
        trunk: For the perceptual losses.
        options: How it is computed.
        ancestor: What a warm start takes over; None for a start from nothing.
        finished: What becomes of phases that are done.
    """

    folder: Path
    label: str
    key: str
    seed: int
    trunk: Trunk | None
    options: TrainingOptions = DEFAULT_OPTIONS
    ancestor: Weights | None = None
    finished: FinishedPhases = KEEP_NOTHING


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


def run_phases(method: LearnedMethod, training: SynthTraining, report: ReportProgress) -> list[PhaseRecord]:
    """Train `method` through all its phases.

    Args:
        method: Holds the networks, which are trained in place.
        training: What is done.
        report: Progress.

    Raises:
        BenchError: Too few usable frames; a batch that cannot be divided among the processes; a loss that
            is no longer a number; a damaged checkpoint; networks with other layers than the ancestor's.
    """
    ancestor = training.ancestor
    if ancestor is not None:
        inherit(NETWORKS, method.inherited_networks(), ancestor, training.label)
    stored = load_resumable(training.folder, training.key)
    done = [PhaseRecord.model_validate(record) for record in stored.facts["phases"]] if stored else []
    board = _Board(training) if training.options.tensorboard and is_main_process() else None
    for number, name in enumerate(method.list_phases()):
        if number < len(done):
            training.finished.restore(name)
            continue
        seed_everything(training.seed)  # a phase begins the same way whether or not the training was resumed before
        phase = method.start_phase(name, training.trunk)
        if ancestor is not None:
            inherit(f"{DISCRIMINATORS}.{name}", phase.inherited_discriminators(), ancestor, training.label)
        done.append(_PhaseTrainer(phase, name, number, method.device, training, board).train(stored, done, report))
        training.finished.keep(name, phase)
        stored = None
    if board is not None:
        board.close()
    return done


@dataclass(frozen=True)
class _PhaseTrainer:
    """Trains one phase, from its checkpoint where there is one."""

    phase: Phase
    name: str
    number: int
    device: torch.device
    training: SynthTraining
    board: _Board | None

    def train(self, stored: Checkpoint | None, before: Sequence[PhaseRecord], report: ReportProgress) -> PhaseRecord:
        """Do the remaining steps."""
        batch = self.phase.schedule.batch
        if batch % world_size():
            raise BenchError(
                f"A batch of {batch} cannot be divided among {world_size()} processes.",
                hint=f"Add --batch {world_size()}, or a multiple of it.",
            )
        self._prepare(report)
        training = self._plan(before)
        try:
            progress = train(self.phase, training, stored, report, self._observe)
        except torch.OutOfMemoryError as error:
            raise BenchError(
                f"{self.training.label}: the GPU's memory does not suffice for the {self.name} phase.",
                hint="Try --jobs 1, --gradient-checkpointing, a smaller --batch or a smaller --preset.",
            ) from error
        return self._make_record(progress, training.steps)

    def _prepare(self, report: ReportProgress) -> None:
        self.phase.prepare(report)
        networks = self.phase.networks().values()
        if self.training.options.checkpointing and not sum(checkpoint_activations(network) for network in networks):
            raise BenchError(
                f"{self.training.label}: its networks have no residual blocks whose activations could be recomputed.",
                hint="Leave --gradient-checkpointing out.",
            )
        if self.training.options.compiled:
            for network in networks:
                network.compile()

    def _plan(self, before: Sequence[PhaseRecord]) -> Training[Batch]:
        schedule = self.phase.schedule
        return Training(
            what=f"{self.training.label}, {self.name}",
            folder=self.training.folder,
            key=self.training.key,
            phase=self.name,
            steps=schedule.count_steps(len(self.phase.example_starts)),
            learning_rate=schedule.learning_rate,
            decay_share=schedule.decay_share,
            batches=self._iterate_batches,
            device=self.device,
            log_every=LOG_EVERY_STEPS,
            phases_before=tuple(record.name for record in before),
            facts={"phases": [record.model_dump() for record in before]},
        )

    def _iterate_batches(self, steps: range) -> Iterator[Batch]:
        return iterate_batches(self.phase, (self.training.seed, self.number), steps, self.device)

    def _observe(self, step: int, losses: Sequence[Mapping[str, float]], batch: Batch) -> None:
        if self.board is not None:
            self.board.add(self.name, step, losses)
            if step // SAMPLE_EVERY_STEPS > (step - len(losses)) // SAMPLE_EVERY_STEPS:
                self.board.add_samples(self.name, step, self.phase.preview(batch))

    def _make_record(self, progress: TrainingProgress, steps: int) -> PhaseRecord:
        height, width = self.phase.clip.size
        return PhaseRecord(
            name=self.name,
            height=height,
            width=width,
            examples=len(self.phase.example_starts),
            steps=steps,
            seconds=broadcast(progress.seconds),
            losses=progress.mean_losses(),
            parameters={
                name: sum(value.numel() for value in network.parameters())
                for name, network in self.phase.networks().items()
            },
        )


class _Board:
    """TensorBoard logs of a training."""

    def __init__(self, training: SynthTraining) -> None:
        self._writer = _open_tensorboard(training.folder)

    def add(self, phase: str, step: int, losses: Sequence[Mapping[str, float]]) -> None:
        """Losses of the last steps, up to `step`."""
        for number, values in enumerate(losses, step + 1 - len(losses)):
            if number % LOG_EVERY_STEPS == 0:
                for name, value in values.items():
                    self._writer.add_scalar(f"{phase}/{name}", value, number)

    def add_samples(self, phase: str, step: int, images: torch.Tensor) -> None:
        """A grid of real and generated frames, (N, 3, H, W) in [-1, 1]."""
        self._writer.add_images(f"{phase}/samples", images.add(1).div(2).float().cpu(), step)

    def close(self) -> None:
        self._writer.close()


def _open_tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BenchError("TensorBoard is not installed.", hint="pip install 'dancebench[tensorboard]'") from error
    return SummaryWriter(str(folder / "tensorboard"))
