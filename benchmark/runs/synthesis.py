"""Synthesis: train on each subject, generate its held-out part, cut the real clip to match.

(dataset, subject, method, preset, seed) ──▶ synths/ ──▶ fakes/ + reals/
A warm start has the ancestors of both sides of the split trained first, on training people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dancebench.benchmark.ancestors import (
    AUTO,
    AncestorPlan,
    configure_ancestor,
    configure_warm,
    find_ancestor,
    list_people,
    make_ancestor,
)
from dancebench.benchmark.jobs import Job, JobFailure, require_all, run_jobs
from dancebench.benchmark.presets import RunSettings, configure_method
from dancebench.core.errors import BenchError
from dancebench.core.nn import distributed
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.schema import Document, describe_fields
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.catalogue import SELECTIONS, build_catalogue, draw_subject, open_demo
from dancebench.datasets.subjects.dataset import Dataset, Subject, read_split_name
from dancebench.datasets.subjects.real_clips import RealRecord, list_shown_frames, write_real
from dancebench.datasets.subjects.records import DrawnSource, PoseSource
from dancebench.synth.base import METHODS, LearnedMethod, SynthConfig
from dancebench.synth.clip import scale_to_long_side
from dancebench.synth.render import FakeRecord, render_fake, take_held_out_motion
from dancebench.synth.training.ancestor import refuse_untrained
from dancebench.synth.training.inheritance import Ancestor, Side, find_side
from dancebench.synth.training.loop import DEFAULT_OPTIONS, TrainingOptions
from dancebench.synth.training.synthesizer import TrainJob, TrainRecord, train

MIN_SHOWN_FRAMES: Final = 2
"""A frame pair needs two."""


@dataclass(frozen=True)
class SynthesisJob:
    """One subject, one method: everything that determines the result.

    Attributes:
        changes: What in `config` was set for this run, in words for the record; empty where nothing was.
        ancestor: What the training starts from; None: from nothing.
    """

    workspace: Workspace
    dataset: Dataset
    subject: str
    method: str
    preset: str
    config: SynthConfig
    device: str = "cpu"
    options: TrainingOptions = DEFAULT_OPTIONS
    changes: str = ""
    ancestor: Ancestor | None = None

    @property
    def variant(self) -> str:
        """Name of the folder: one method may be trained on a subject in several ways."""
        return name_variant(self.preset, self.config.seed, self.ancestor)

    def sharing_memory(self, processes: int) -> SynthesisJob:
        """The same job beside others: so many processes hold a clip in this machine's memory at once."""
        return replace(self, options=replace(self.options, sharing=processes))

    def locate_fake(self, source: str) -> Path:
        """Where the fake lies that is driven by `source`."""
        return self.workspace.fake(self.method, self.dataset.name, self.subject, self.variant, source=source)


def name_variant(preset: str, seed: int, ancestor: Ancestor | None) -> str:
    """Name of the folder of a synthesizer and its fakes, among the others of its method and subject."""
    name = f"{preset}-s{seed}"
    return name if ancestor is None else f"{name}-warm-{ancestor.reference.weights_sha256[:12]}"


RANKS: Final = distributed.RankRendezvous["SynthesisJob | AncestorPlan"]()
"""The ranks that torchrun started: all take part in every training."""


def plan_jobs(
    workspace: Workspace,
    dataset: Dataset,
    subjects: Sequence[str],
    method: str,
    preset: str,
    settings: RunSettings,
    *,
    seeds: int = 1,
    device: str = "cpu",
    options: TrainingOptions = DEFAULT_OPTIONS,
) -> list[SynthesisJob]:
    """The jobs of one method: every subject with every seed, from the settings' seed on.

    A method that is not trained does not depend on the seed and runs once.

    Raises:
        UnknownNameError: There is no such method, preset or trunk.
    """
    count = seeds if issubclass(METHODS[method], LearnedMethod) else 1
    changes = describe_fields(settings.fields.get(method, {}))
    return [
        SynthesisJob(workspace, dataset, subject, method, preset, config, device, options, changes)
        for seed in range(settings.seed, settings.seed + count)
        for config in (configure_method(preset, method, replace(settings, seed=seed)),)
        for subject in subjects
    ]


def start_warm(
    jobs: Sequence[SynthesisJob], warm_start: str | None, *, workers: int, report: ReportProgress
) -> list[SynthesisJob]:
    """The jobs with what their trainings start from, and shorter where a method then needs less; others are unchanged.

    Args:
        jobs: Of one dataset, whose people are drawn; of several methods, maybe.
        warm_start: `auto`, the folder of an ancestor, or None for no warm start.
        workers: Number of worker processes.
        report: Progress.

    Raises:
        BenchError: None of the methods is trained, an ancestor cannot be trained or opened, or it was trained on a
            person who is no training person.
    """
    if warm_start is None:
        return list(jobs)
    plans = _plan_ancestors(jobs)
    if not plans:
        raise refuse_untrained(list(dict.fromkeys(job.method for job in jobs)))
    if warm_start == AUTO:
        people = [each for side in {plan.side for plan in plans} for each in list_people(jobs[0].dataset, side)]
        draw_missing(jobs[0].dataset, sorted(people), workers, report)
        sharing = min(workers, len(plans))
        named = [
            Job(f"{plan.method}, ancestor of the {plan.side} side", _make_ancestor, plan.sharing_memory(sharing))
            for plan in plans
        ]
        outcomes = run_jobs(named, workers=workers, report=report)
        found = require_all(outcomes)
    else:
        found = [find_ancestor(warm_start, plan) for plan in plans]
    ancestors = {(plan.method, plan.side): ancestor for plan, ancestor in zip(plans, found, strict=True)}
    return [_start_from(ancestors.get((job.method, _find_side_of(job))), job) for job in jobs]


def _start_from(ancestor: Ancestor | None, job: SynthesisJob) -> SynthesisJob:
    if ancestor is None:
        return job
    ancestor.require_unseen(job.dataset.subject(job.subject).record)
    return replace(job, ancestor=ancestor, config=configure_warm(job.preset, job.method, job.config))


def _find_side_of(job: SynthesisJob) -> Side:
    return find_side(job.dataset.entry(job.subject).role)


def _plan_ancestors(jobs: Sequence[SynthesisJob]) -> list[AncestorPlan]:
    """Those of each trained method and side, with the first seed of the jobs."""
    first: dict[tuple[str, Side], SynthesisJob] = {}
    for job in jobs:
        if issubclass(METHODS[job.method], LearnedMethod):
            first.setdefault((job.method, _find_side_of(job)), job)
    return [
        AncestorPlan(
            job.workspace, job.dataset, side, method, job.preset,
            configure_ancestor(job.preset, method, job.config), job.device, job.options,
        )
        for (method, side), job in first.items()
    ]  # fmt: skip


def _make_ancestor(plan: AncestorPlan, report: ReportProgress) -> Ancestor:
    RANKS.announce(plan)
    return make_ancestor(plan, report)


@dataclass(frozen=True)
class SynthesisResult:
    """The results of a job."""

    job: SynthesisJob
    trained: TrainRecord
    fake_path: Path
    fake: FakeRecord
    real_path: Path
    real: RealRecord


def open_dataset(workspace: Workspace, name: str, train_fraction: float | None = None) -> Dataset:
    """Open a dataset of the workspace; a demo catalogue is created if it is not there.

    Args:
        workspace: Where it is.
        name: As for `Dataset.open`.
        train_fraction: The share of each clip that trains; None: as the name or else the dataset says.

    Raises:
        UnknownNameError: There is none of that name.
    """
    undivided, named = read_split_name(name)
    if undivided not in SELECTIONS:
        dataset = Dataset.open(workspace, name)
    else:
        dataset = open_demo(workspace, undivided)
        dataset = dataset if named is None else dataset.divide(named)
    return dataset if train_fraction is None else dataset.divide(train_fraction)


def choose_subjects(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """The ids of these subjects, each once; of all targets for `all` alone.

    Raises:
        UnknownNameError: The dataset lists none of a name.
        BenchError: It has no target.
    """
    if list(names) != ["all"]:
        return [dataset.entry(name).id for name in dict.fromkeys(names)]
    targets = dataset.ids("target")
    if not targets:
        raise BenchError(f"Dataset '{dataset.name}' has no target.", hint="bench data add --role target adds one.")
    return targets


def view_dataset(workspace: Workspace, name: str) -> Dataset:
    """As `open_dataset`, but nothing is written: a demo catalogue that is not there is what it would be."""
    undivided, named = read_split_name(name)
    if undivided in SELECTIONS and undivided not in workspace.list_datasets():
        dataset = Dataset(workspace.dataset(undivided), build_catalogue(undivided, PoseSource.choose(None)))
        return dataset if named is None else dataset.divide(named)
    return Dataset.open(workspace, name)


def draw_missing(dataset: Dataset, ids: Sequence[str], workers: int, report: ReportProgress) -> None:
    """Draw and prepare those demo dancers among `ids` that are not there yet."""
    jobs = [
        Job(f"drawing {subject_id}", _draw_subject, (dataset, subject_id))
        for subject_id in ids
        if isinstance(dataset.entry(subject_id).source, DrawnSource) and not dataset.is_prepared(subject_id)
    ]
    for outcome in run_jobs(jobs, workers=workers, report=report):
        if isinstance(outcome, JobFailure):
            raise outcome.to_error()


def _draw_subject(config: tuple[Dataset, str], report: ReportProgress) -> None:
    dataset, subject_id = config
    draw_subject(dataset, subject_id, report=report)


def open_synthesizable(dataset: Dataset, subject_id: str) -> Subject:
    """A subject who may be synthesized and has frames held out, with the files that were prepared.

    Raises:
        BenchError: The subject is a driver, its files were changed, or too few frames are held out.
    """
    subject = dataset.subject(subject_id)
    if subject.record.role == "driver":
        raise BenchError(
            f"'{subject.id}' is a driver: the motion may be used, the likeness may not.",
            hint="A person is synthesized as a target, with consent, or as a forensic subject.",
        )
    subject.require_unchanged()
    if len(list_shown_frames(subject)) < MIN_SHOWN_FRAMES:
        raise BenchError(
            f"Only {len(subject.test)} of the {subject.record.n_frames} frames of '{subject.id}' are held out, in "
            f"{len(subject.segments(subject.test))} segment(s): without the first of each, {MIN_SHOWN_FRAMES} are "
            "needed.",
            hint="Use a longer clip, or a smaller --train-fraction.",
        )
    return subject


def synthesize(job: SynthesisJob, report: ReportProgress) -> SynthesisResult:
    """Train, generate the held-out part, and cut the real clip to match; existing results are kept.

    Raises:
        BenchError: The subject is a driver, or a stage fails.
    """
    subject = open_synthesizable(job.dataset, job.subject)
    training = make_training_job(job, subject)
    RANKS.announce(job)
    trained = _train_with_workers(training, report)
    fake_path = job.locate_fake(job.subject)
    fake = render_fake(training, trained, take_held_out_motion(subject), fake_path, report=report)
    size = scale_to_long_side(subject.size, job.config.long_side)
    real_path = job.workspace.real(job.dataset.name, job.subject, job.config.long_side)
    return SynthesisResult(job, trained, fake_path, fake, real_path, write_real(subject, size, real_path))


def make_training_job(job: SynthesisJob, subject: Subject) -> TrainJob:
    """The training job of a synthesis, with that of its base method."""
    method_class = METHODS[job.method]
    base = None
    if issubclass(method_class, LearnedMethod) and method_class.base is not None:
        base_config = method_class.get_base_config(job.config)
        base_ancestor = job.ancestor and job.ancestor.base
        base_job = replace(job, method=method_class.base, config=base_config, ancestor=base_ancestor)
        base = make_training_job(base_job, subject)
    return TrainJob(
        method=job.method,
        preset=job.preset,
        config=job.config,
        dataset_id=job.dataset.record.dataset_id,
        subject=subject,
        folder=job.workspace.synth(job.method, job.dataset.name, job.subject, job.variant),
        device=job.device,
        base=base,
        ancestor=job.ancestor,
        options=job.options,
    )


def _train_with_workers(training: TrainJob, report: ReportProgress) -> TrainRecord:
    """Train; under torchrun, a failure of rank 0 ends all ranks, because they cannot be notified of it."""
    try:
        return train(training, report=report)
    except BenchError as error:
        if distributed.world_size() > 1:
            raise SystemExit(f"error: {error.message}\nhint: {error.hint}") from error
        raise


def run_worker_rank() -> None:
    """Run a worker rank under torchrun: it takes part in every training and does nothing else."""
    for job in RANKS.follow():
        if isinstance(job, AncestorPlan):
            make_ancestor(job, ignore_progress)
        else:
            train(make_training_job(job, job.dataset.subject(job.subject)))


def plan_synthesizing(jobs: Sequence[SynthesisJob], workers: int) -> list[Job[SynthesisJob, SynthesisResult]]:
    """A job for each, of which `workers` run at once, that gives its result (`synthesize`)."""
    sharing = min(workers, len(jobs))
    return [Job(f"{job.method} on {job.subject}", synthesize, job.sharing_memory(sharing)) for job in jobs]


def synthesize_all(
    jobs: Sequence[SynthesisJob], *, workers: int, report: ReportProgress
) -> list[SynthesisResult | JobFailure]:
    """Run all jobs; returns the result of each, in order, or why it failed."""
    return run_jobs(plan_synthesizing(jobs, workers), workers=workers, report=report)


class FakeDocument(Document):
    """A record about one synthesized clip."""

    method: str
    preset: str
    seed: int
    dataset: str
    dataset_id: str
    subject: str
    fake_sha256: str


def identify_fake(result: SynthesisResult) -> dict[str, Any]:
    """The fields of `FakeDocument` of a synthesized clip."""
    job = result.job
    return {
        "method": job.method,
        "preset": job.preset,
        "seed": job.config.seed,
        "dataset": job.dataset.name,
        "dataset_id": job.dataset.record.dataset_id,
        "subject": job.subject,
        "fake_sha256": result.fake.sha256,
    }
