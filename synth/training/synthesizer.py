"""Train a synthesizer of a subject: a folder with weights, a loss log and a record.

    synths/METHOD/DATASET/SUBJECT/VARIANT/
        weights.safetensors   what synthesis needs
        train.json            config, data, phases with steps and losses, seeds; written last: it marks completion
        losses.jsonl          a line every few steps
        tensorboard/          loss curves and sample grids, where requested
        state.safetensors     checkpoint of networks and optimizers; removed when training is done

A method with a base method has the base trained first, in the base's own folder, from which it is reused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dancebench.core.artifacts import ArtifactRecord, find_existing
from dancebench.core.environment import collect_versions, read_code_version, seed_everything
from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_path, lock_folder, sha256_file, sha256_json
from dancebench.core.nn.distributed import broadcast, is_main_process, world_size
from dancebench.core.nn.training import STATE
from dancebench.core.nn.trunks import Trunk, TrunkUnavailableError, load_trunk
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.schema import Strict
from dancebench.datasets.subjects.dataset import Subject
from dancebench.synth.base import METHODS, LearnedMethod, Method, SynthConfig
from dancebench.synth.clip import load_training_clip
from dancebench.synth.training.inheritance import WEIGHTS, Ancestor, AncestorReference
from dancebench.synth.training.loop import DEFAULT_OPTIONS, PhaseRecord, SynthTraining, TrainingOptions, run_phases


class BaseRecord(Strict):
    """The trained base method that another one builds on."""

    method: str
    weights_sha256: str
    steps: int
    seconds: float


def total_steps(phases: Sequence[PhaseRecord], base: BaseRecord | None) -> int:
    """Number of updates of a training, including those of its base."""
    return sum(phase.steps for phase in phases) + (base.steps if base else 0)


def total_seconds(phases: Sequence[PhaseRecord], base: BaseRecord | None) -> float:
    """Time of a training, including that of its base."""
    return sum(phase.seconds for phase in phases) + (base.seconds if base else 0.0)


class TrainRecord(ArtifactRecord):
    """`train.json`: what a synthesizer is and how it was trained.

    Version 3 names the ancestor of a warm start; earlier trainings started from nothing. Version 4 names the method's
    revision.
    """

    SCHEMA_VERSION: ClassVar[int] = 4
    schema_version: int = 4

    method: str
    revision: int = 1
    """Of the method's code, see `Method`."""
    preset: str
    dataset_id: str
    subject: str
    content_sha256: str
    config: dict[str, Any]
    """Fields of the method's own `Config`."""
    train_frames: int
    base: BaseRecord | None
    ancestor: AncestorReference | None = None
    """What it started from; null for nothing."""
    phases: tuple[PhaseRecord, ...]
    """Empty for methods without steps."""
    parameters: dict[str, int]
    """Of the networks that synthesis uses."""
    trunk: str
    """The perceptual trunk that was used, or `off`."""
    trunk_sha256: str | None
    trunk_reason: str | None
    """Why the configured trunk was not used."""
    weights_sha256: str
    git_sha: str | None
    dirty: bool | None
    versions: dict[str, str]
    device: str
    processes: int

    @property
    def key(self) -> Any:
        """What determines the result, besides the trunk and the base."""
        made_of = [self.method, self.revision, self.config, self.content_sha256]
        return made_of if self.ancestor is None else [*made_of, self.ancestor.weights_sha256]

    def files(self, path: Path) -> Mapping[Path, str]:
        """The weights."""
        return {path.parent / WEIGHTS: self.weights_sha256}

    @property
    def steps(self) -> int:
        """Number of updates, including those of the base."""
        return total_steps(self.phases, self.base)

    @property
    def seconds(self) -> float:
        """Training time, including that of the base."""
        return total_seconds(self.phases, self.base)


@dataclass(frozen=True)
class TrainJob:
    """A method to train on a subject; the results go to `folder`.

    Attributes:
        base: The job of the method that this one builds on.
        ancestor: What the training starts from; None: from nothing.
        options: How it is computed, which does not affect the result.
    """

    method: str
    preset: str
    config: SynthConfig
    dataset_id: str
    subject: Subject
    folder: Path
    device: str = "cpu"
    base: TrainJob | None = None
    ancestor: Ancestor | None = None
    options: TrainingOptions = DEFAULT_OPTIONS

    @property
    def weights_path(self) -> Path:
        return self.folder / WEIGHTS


def train(job: TrainJob, *, report: ReportProgress = ignore_progress) -> TrainRecord:
    """Train a synthesizer, resume an interrupted training, or return the record of a finished one.

    Raises:
        UnknownNameError: There is no such method.
        BenchError: The clip has too few usable frames, or a loss became NaN or infinite (the message
            says at which step; the last good checkpoint is kept). The ancestor was trained on this person, who is no
            training person, or its networks have other layers.
    """
    if job.ancestor is not None:
        job.ancestor.require_unseen(job.subject.record)
    method_class = METHODS[job.method]
    base = train(job.base, report=report) if job.base else None
    with lock_folder(job.folder) if is_main_process() else nullcontext():
        finished = broadcast(find_finished(job) if is_main_process() else None)
        if finished is not None:
            return finished
        seed_everything(job.config.seed)
        clip = load_training_clip(job.subject, job.config.long_side, job.options.sharing)
        method = method_class(job.config, clip, torch.device(job.device))
        if job.base is not None and base is not None and isinstance(method, LearnedMethod):
            method.load_base(_load_checked_weights(job.base, base))
        trunk, trunk_reason = None, None
        phases: list[PhaseRecord] = []
        if isinstance(method, LearnedMethod):
            trunk, trunk_reason = agree_on_trunk(job.config)
            label = f"{job.method} on {job.subject.id}"
            key = sha256_json([_training_identity(job), trunk.sha256 if trunk else None, base and base.weights_sha256])
            ancestor = None if job.ancestor is None else job.ancestor.load_weights(job.device)
            training = SynthTraining(job.folder, label, key, job.config.seed, trunk, job.options, ancestor)
            phases = run_phases(method, training, report)
        if is_main_process():
            save_weights(job.weights_path, method.weights())
            _make_record(job, method, len(clip), base, phases, trunk, trunk_reason).save(job.folder / "train.json")
            (job.folder / STATE).unlink(missing_ok=True)
        broadcast(None)  # worker ranks wait until the record is written
        return TrainRecord.load(job.folder / "train.json")


def save_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write tensors by name, whole or not at all."""
    with atomic_path(path) as temporary:
        save_file({name: value.contiguous() for name, value in weights.items()}, temporary)


def find_finished(job: TrainJob) -> TrainRecord | None:
    """The record of this job's training, if it was completed and would give the same result now."""
    record = find_intact(job)
    if record is not None and lacked_trunk(record.trunk_reason, job.config):
        return None
    return record if job.base is None or find_finished(job.base) is not None else None


def find_intact(job: TrainJob) -> TrainRecord | None:
    """The record of this job's training, if it was completed and its files have not changed since."""
    record = find_existing(job.folder / "train.json", TrainRecord, _training_identity(job))
    if record is None or job.base is None:
        return record
    base = find_intact(job.base)
    same = base is not None and record.base is not None and base.weights_sha256 == record.base.weights_sha256
    return record if same else None


def load_method(job: TrainJob, record: TrainRecord) -> Method:
    """A trained synthesizer, ready to render.

    Raises:
        BenchError: The record is of another method or configuration, or the weights are not those that it
            names.
    """
    if _training_identity(job)[:3] != [record.method, record.revision, record.config]:
        raise BenchError(
            f"{job.folder} holds a {record.method} of preset {record.preset}, trained with another configuration or "
            f"revision than the requested {job.method} of preset {job.preset}.",
            hint="Remove the folder and train again: bench synth.",
        )
    clip = load_training_clip(job.subject, job.config.long_side, job.options.sharing)
    method = METHODS[job.method](job.config, clip, torch.device(job.device))
    method.load_weights(_load_checked_weights(job, record))
    return method


def _training_identity(job: TrainJob) -> list[Any]:
    """What determines the result, besides the trunk and the base."""
    revision = METHODS[job.method].revision
    made_of = [job.method, revision, job.config.model_dump(mode="json"), job.subject.record.content_sha256]
    return made_of if job.ancestor is None else [*made_of, job.ancestor.reference.weights_sha256]


def _load_checked_weights(job: TrainJob, record: TrainRecord) -> dict[str, torch.Tensor]:
    if sha256_file(job.weights_path) != record.weights_sha256:
        raise BenchError(
            f"{job.weights_path} was changed after training.", hint="Remove its folder and train again: bench synth."
        )
    weights: dict[str, torch.Tensor] = load_file(job.weights_path, device=job.device)
    return weights


def agree_on_trunk(config: SynthConfig) -> tuple[Trunk | None, str | None]:
    """The configured trunk, or None and why not: one answer for all processes, rank 0 looks for the worker ranks.

    Raises:
        BenchError: A worker rank does not find what rank 0 found.
    """
    trunk, reason = _find_trunk(config, download=True) if is_main_process() else (None, None)
    sha256, reason = broadcast((trunk.sha256 if trunk else None, reason))
    if sha256 is not None and not is_main_process():
        trunk, _ = _find_trunk(config, download=False)
        if trunk is None or trunk.sha256 != sha256:
            raise BenchError(
                "The processes do not find the same trunk.", hint="Put it where BENCH_WEIGHTS points on all machines."
            )
    return trunk, reason


def lacked_trunk(reason: str | None, config: SynthConfig) -> bool:
    """Whether a trunk that was missing then, with this reason, is available now: the result would differ."""
    return reason is not None and _find_trunk(config, download=True)[0] is not None


def _find_trunk(config: SynthConfig, *, download: bool) -> tuple[Trunk | None, str | None]:
    """The configured trunk, or None and why not: the perceptual loss is then off, and recorded as off."""
    if config.trunk == "off":
        return None, None
    try:
        return load_trunk(config.trunk, download=download), None
    except TrunkUnavailableError as error:
        return None, error.message


def count_parameters(networks: Mapping[str, nn.Module]) -> dict[str, int]:
    """Number of parameters of each network."""
    return {name: sum(value.numel() for value in network.parameters()) for name, network in networks.items()}


def _make_record(
    job: TrainJob,
    method: Method,
    train_frames: int,
    base: TrainRecord | None,
    phases: list[PhaseRecord],
    trunk: Trunk | None,
    trunk_reason: str | None,
) -> TrainRecord:
    networks = method.inference_networks() if isinstance(method, LearnedMethod) else {}
    git_sha, dirty = read_code_version()
    return TrainRecord(
        method=job.method,
        revision=method.revision,
        preset=job.preset,
        dataset_id=job.dataset_id,
        subject=job.subject.id,
        content_sha256=job.subject.record.content_sha256,
        config=job.config.model_dump(mode="json"),
        train_frames=train_frames,
        base=base
        and BaseRecord(method=base.method, weights_sha256=base.weights_sha256, steps=base.steps, seconds=base.seconds),
        ancestor=job.ancestor and job.ancestor.reference,
        phases=tuple(phases),
        parameters=count_parameters(networks),
        trunk=trunk.name if trunk else "off",
        trunk_sha256=trunk.sha256 if trunk else None,
        trunk_reason=trunk_reason,
        weights_sha256=sha256_file(job.weights_path),
        git_sha=git_sha,
        dirty=dirty,
        versions=collect_versions(),
        device=job.device,
        processes=world_size(),
    )
