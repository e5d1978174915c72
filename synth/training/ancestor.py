"""Train an ancestor: a generator of everybody, from which the synthesizers of single people start.

    ancestors/METHOD/DATASET/SIDE/VARIANT/
        weights.safetensors   all networks of the training, see `inheritance`
        ancestor.json         method, config, people, side of the split, seeds; written last: it marks completion
        losses.jsonl, state.safetensors, tensorboard/   as of a synthesizer

It is trained like a synthesizer, by the same loop, on the training spans of several people (`pooled_clip`). What
belongs to one person alone, such as the background of a scene, is not handed down. The ancestor of a method with a
base method has the base's ancestor as its base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import torch
from safetensors.torch import load_file

from dancebench.core.artifacts import ArtifactRecord, find_existing
from dancebench.core.environment import collect_versions, read_code_version, seed_everything
from dancebench.core.errors import BenchError
from dancebench.core.files import lock_folder, sha256_file, sha256_json
from dancebench.core.nn.distributed import broadcast, is_main_process, world_size
from dancebench.core.nn.training import STATE
from dancebench.core.nn.trunks import Trunk
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.subjects.dataset import Subject
from dancebench.datasets.subjects.records import list_origins
from dancebench.synth.base import METHODS, LearnedMethod, Phase, SynthConfig, find_base_method
from dancebench.synth.clip import load_training_clip
from dancebench.synth.pooled_clip import pool_clips
from dancebench.synth.training.inheritance import (
    DISCRIMINATORS,
    NETWORKS,
    WEIGHTS,
    Ancestor,
    AncestorPerson,
    AncestorReference,
    Side,
    collect_weights,
    inherit,
    take_part,
)
from dancebench.synth.training.loop import (
    DEFAULT_OPTIONS,
    FinishedPhases,
    PhaseRecord,
    SynthTraining,
    TrainingOptions,
    run_phases,
)
from dancebench.synth.training.synthesizer import (
    BaseRecord,
    agree_on_trunk,
    count_parameters,
    lacked_trunk,
    save_weights,
    total_seconds,
    total_steps,
)

RECORD: Final = "ancestor.json"


class AncestorRecord(ArtifactRecord):
    """`ancestor.json`: what an ancestor is and how it was trained.

    Version 2 names the revision of the method.
    """

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2

    method: str
    revision: int = 1
    """Of the method's code, see `Method`."""
    preset: str
    dataset_id: str
    side: Side
    people: tuple[AncestorPerson, ...]
    config: dict[str, Any]
    """Fields of the method's own `Config`; its seed too."""
    train_frames: int
    base: BaseRecord | None
    """The ancestor of the base method."""
    phases: tuple[PhaseRecord, ...]
    parameters: dict[str, int]
    """Of the networks that are handed down, without discriminators."""
    trunk: str
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
        return [self.method, self.revision, self.config, [person.content_sha256 for person in self.people]]

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
class AncestorJob:
    """A method to train on several people; the results go to `folder`.

    Attributes:
        side: Of the split: whose synthesizers will start from it.
        subjects: Whom it is trained on.
        base: The job of the ancestor that this one builds on.
        options: How it is computed, which does not affect the result.
    """

    method: str
    preset: str
    config: SynthConfig
    dataset_id: str
    side: Side
    subjects: tuple[Subject, ...]
    folder: Path
    device: str = "cpu"
    base: AncestorJob | None = None
    options: TrainingOptions = DEFAULT_OPTIONS

    @property
    def label(self) -> str:
        return f"{self.method} on {len(self.subjects)} people"

    @property
    def key(self) -> Any:
        """As `AncestorRecord.key`."""
        contents = [subject.record.content_sha256 for subject in self.subjects]
        revision = METHODS[self.method].revision
        return [self.method, revision, self.config.model_dump(mode="json"), contents]


def train_ancestor(job: AncestorJob, *, report: ReportProgress = ignore_progress) -> Ancestor:
    """Train an ancestor, resume an interrupted training, or return a finished one.

    Raises:
        UnknownNameError: There is no such method.
        BenchError: The method is not trained; the people's frames cannot be pooled, or the training fails as that of a
            synthesizer does.
    """
    method_class = METHODS[job.method]
    if not issubclass(method_class, LearnedMethod):
        raise refuse_untrained([job.method])
    base = train_ancestor(job.base, report=report) if job.base else None
    with lock_folder(job.folder) if is_main_process() else nullcontext():
        finished = broadcast(find_finished_ancestor(job) if is_main_process() else None)
        if finished is None:
            _train(job, method_class, base, report)
        return open_ancestor(job.folder, job.method)


def find_finished_ancestor(job: AncestorJob) -> AncestorRecord | None:
    """The record of this job's training, if it was completed and would give the same result now."""
    record = find_existing(job.folder / RECORD, AncestorRecord, job.key)
    if record is None or lacked_trunk(record.trunk_reason, job.config):
        return None
    base = find_finished_ancestor(job.base) if job.base else None
    same = (base and base.weights_sha256) == (record.base and record.base.weights_sha256)
    return record if same else None


def open_ancestor(folder: Path, method: str) -> Ancestor:
    """A trained ancestor of a method, with that of its base method, whose folder lies in the same place.

    Raises:
        BenchError: There is none, it is of another method, or one of its files was changed.
    """
    path = folder / RECORD
    if not path.is_file():
        raise BenchError(
            f"{folder} holds no ancestor of {method}.", hint="Name its folder, or let --warm-start auto train one."
        )
    record = AncestorRecord.load(path)
    if record.method != method:
        raise BenchError(
            f"{folder} holds an ancestor of {record.method}, not of {method}.",
            hint=f"Add --method {record.method}, or let --warm-start auto train one of {method}.",
        )
    if record.revision != METHODS[method].revision:
        raise BenchError(
            f"{folder} was trained by revision {record.revision} of {method}, this is {METHODS[method].revision}.",
            hint="Let --warm-start auto train one again.",
        )
    base_method, base = find_base_method(method), None
    if base_method is not None and record.base is not None:
        base = open_ancestor(_locate_base(folder.resolve(), base_method), base_method)
        if base.reference.weights_sha256 != record.base.weights_sha256:
            raise BenchError(
                f"{base.folder} is not the ancestor that {folder} was built on.",
                hint="Remove both; --warm-start auto trains them again.",
            )
    reference = AncestorReference(
        weights_sha256=record.weights_sha256,
        side=record.side,
        dataset_id=record.dataset_id,
        people=tuple(person.subject for person in record.people),
    )
    ancestor = Ancestor(folder, f"The ancestor {folder}", reference, record.people, base)
    ancestor.require_unchanged()
    return ancestor


def refuse_untrained(methods: Sequence[str]) -> BenchError:
    """Say that none of these methods is trained."""
    learned = [each for each in METHODS.names() if issubclass(METHODS[each], LearnedMethod)]
    return BenchError(
        f"Nothing is trained of {', '.join(methods)}, so nothing can start from an ancestor.",
        hint=f"Leave --warm-start out, or choose among {', '.join(learned)}.",
    )


def _locate_base(folder: Path, base_method: str) -> Path:
    """METHOD/DATASET/SIDE/VARIANT of another method."""
    dataset = folder.parent.parent
    return dataset.parent.parent / base_method / dataset.name / folder.parent.name / folder.name


def _train(job: AncestorJob, method_class: type[LearnedMethod], base: Ancestor | None, report: ReportProgress) -> None:
    seed_everything(job.config.seed)
    sharing = job.options.sharing * len(job.subjects)
    clip = pool_clips([load_training_clip(subject, job.config.long_side, sharing) for subject in job.subjects])
    method = method_class(job.config, clip, torch.device(job.device))
    if base is not None:
        method.load_base(take_part(NETWORKS, base.load_weights(job.device)))
    trunk, trunk_reason = agree_on_trunk(job.config)
    key = sha256_json([job.key, trunk.sha256 if trunk else None, base and base.reference.weights_sha256])
    finished = _PhaseFiles(job.folder, job.label, method)
    training = SynthTraining(job.folder, job.label, key, job.config.seed, trunk, job.options, finished=finished)
    phases = run_phases(method, training, report)
    if is_main_process():
        weights = collect_weights(NETWORKS, method.inherited_networks()) | finished.collect_discriminators()
        save_weights(job.folder / WEIGHTS, weights)
        _make_record(job, method, base, len(clip), phases, trunk, trunk_reason).save(job.folder / RECORD)
        (job.folder / STATE).unlink(missing_ok=True)
        finished.remove()
    broadcast(None)  # worker ranks wait until the record is written


class _PhaseFiles(FinishedPhases):
    """A file for each phase that is done, until the training is.

    A checkpoint holds the networks of one phase: neither the discriminators of an earlier one, nor layers that only an
    earlier one uses.
    """

    def __init__(self, folder: Path, label: str, method: LearnedMethod) -> None:
        self._folder, self._label, self._method = folder, label, method

    def keep(self, name: str, phase: Phase) -> None:
        """Write what a phase leaves; a resumed training writes the same again."""
        weights = collect_weights(NETWORKS, self._method.inherited_networks())
        weights |= collect_weights(f"{DISCRIMINATORS}.{name}", phase.inherited_discriminators())
        if is_main_process():
            save_weights(self._path(name), weights)

    def restore(self, name: str) -> None:
        """Put the networks back as a phase left them."""
        inherit(NETWORKS, self._method.inherited_networks(), load_file(self._path(name)), self._label)

    def collect_discriminators(self) -> dict[str, torch.Tensor]:
        """Those of all phases."""
        return {
            key: value
            for name in self._method.list_phases()
            for key, value in load_file(self._path(name)).items()
            if key.startswith(f"{DISCRIMINATORS}.")
        }

    def remove(self) -> None:
        """Remove the files."""
        for name in self._method.list_phases():
            self._path(name).unlink(missing_ok=True)

    def _path(self, phase_name: str) -> Path:
        return self._folder / f"phase-{phase_name}.safetensors"


def _make_record(
    job: AncestorJob,
    method: LearnedMethod,
    base: Ancestor | None,
    train_frames: int,
    phases: Sequence[PhaseRecord],
    trunk: Trunk | None,
    trunk_reason: str | None,
) -> AncestorRecord:
    git_sha, dirty = read_code_version()
    return AncestorRecord(
        method=job.method,
        revision=method.revision,
        preset=job.preset,
        dataset_id=job.dataset_id,
        side=job.side,
        people=tuple(
            AncestorPerson(
                subject=subject.id,
                content_sha256=subject.record.content_sha256,
                origins=tuple(sorted(list_origins(subject.record.source))),
            )
            for subject in job.subjects
        ),
        config=job.config.model_dump(mode="json"),
        train_frames=train_frames,
        base=base and _describe_base(base),
        phases=tuple(phases),
        parameters=count_parameters(method.inherited_networks()),
        trunk=trunk.name if trunk else "off",
        trunk_sha256=trunk.sha256 if trunk else None,
        trunk_reason=trunk_reason,
        weights_sha256=sha256_file(job.folder / WEIGHTS),
        git_sha=git_sha,
        dirty=dirty,
        versions=collect_versions(),
        device=job.device,
        processes=world_size(),
    )


def _describe_base(base: Ancestor) -> BaseRecord:
    record = AncestorRecord.load(base.folder / RECORD)
    return BaseRecord(
        method=record.method, weights_sha256=record.weights_sha256, steps=record.steps, seconds=record.seconds
    )
