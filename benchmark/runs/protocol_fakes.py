"""The fakes of the detection protocol: of whom, by which method, in whose motion (EDN Table 5).

dataset ──▶ a synthesizer per person ──▶ fakes/: own motion, and drivers' motion ──▶ rows of a video manifest

A person's held-out part drives the first fake; driver subjects drive the others. Half of the drivers drive the
fakes of the training and validation sets, the other half those of the held-out set: these other drivers are
unseen, they drive no training fake. Every fake has as many frames as its real: length must not be a shortcut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from dancebench.benchmark.jobs import Job, require_all, run_jobs
from dancebench.benchmark.presets import RunSettings, configure_method
from dancebench.benchmark.runs.driving_motion import find_motion_source
from dancebench.benchmark.runs.synthesis import (
    SynthesisJob,
    SynthesisResult,
    draw_missing,
    make_training_job,
    start_warm,
    synthesize,
)
from dancebench.benchmark.runs.transfer import make_driving_motion
from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import Split, VideoRow, name_people
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.video.clips import EncoderSettings
from dancebench.synth.render import render_fake

SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "holdout")
BASELINES: Final = ("nearest", "mean-frame")
"""Baseline methods that the quality of the fakes is compared with."""
NORMALISATION: Final = "robust"
"""How a driver's poses are fitted to the person."""


@dataclass(frozen=True)
class FakePlan:
    """Which fakes a detection run needs.

    Attributes:
        method: Synthesis method of the training, validation and held-out fakes.
        others: Further methods, unseen in training; their held-out fakes, in own motion, show how the detector
            generalises.
        warm_start: What the synthesizers start from, as for `start_warm`.
    """

    workspace: Workspace
    dataset: Dataset
    method: str
    others: tuple[str, ...]
    preset: str
    settings: RunSettings
    device: str = "cpu"
    warm_start: str | None = None


@dataclass(frozen=True)
class FakeJob:
    """One person, one method, and the drivers besides the person's own motion."""

    synthesis: SynthesisJob
    drivers: tuple[str, ...]


def assign_drivers(dataset: Dataset) -> dict[Split, tuple[str, ...]]:
    """The drivers of each split's fakes; none if the dataset has fewer than two drivers."""
    everyone = dataset.ids("driver")
    if len(everyone) < 2:
        return dict.fromkeys(SPLITS, ())
    half = (len(everyone) + 1) // 2
    first, second = tuple(everyone[:half]), tuple(everyone[half:])
    return {"train": first, "validation": first, "holdout": second}


def list_fake_jobs(plan: FakePlan) -> list[FakeJob]:
    """The synthesizers that the run needs: one for each forensic subject; other methods for held-out ones alone.

    Raises:
        BenchError: The dataset lacks people for one of the splits.
    """
    dataset = plan.dataset
    missing = [split for split in SPLITS if not dataset.ids(split)]
    if missing:
        raise BenchError(
            f"Dataset '{dataset.name}' has no subject with the role {' or '.join(missing)}.",
            hint="Detection needs people to train on, others as validation set for the threshold, and held-out ones.",
        )
    drivers = assign_drivers(dataset)
    wanted = [(plan.method, subject, drivers[split]) for split in SPLITS for subject in dataset.ids(split)]
    others = [method for method in dict.fromkeys((*plan.others, *BASELINES)) if method != plan.method]
    wanted += [(method, subject, ()) for method in others for subject in dataset.ids("holdout")]
    return [
        FakeJob(
            SynthesisJob(
                plan.workspace,
                plan.dataset,
                subject,
                method,
                plan.preset,
                configure_method(plan.preset, method, plan.settings),
                device=plan.device,
            ),
            driving,
        )
        for method, subject, driving in wanted
    ]


def make_fakes(plan: FakePlan, *, workers: int, report: ReportProgress) -> list[SynthesisResult]:
    """Make the missing fakes; existing ones are reused.

    Raises:
        BenchError: The dataset lacks people, or a fake could not be made.
    """
    wanted = list_fake_jobs(plan)
    dataset = plan.dataset
    driving = {driver for job in wanted for driver in job.drivers}
    draw_missing(dataset, [*dataset.ids(*SPLITS), *sorted(driving)], workers, report)
    sharing = min(workers, len(wanted))
    syntheses = start_warm([job.synthesis for job in wanted], plan.warm_start, workers=workers, report=report)
    jobs = [
        replace(job, synthesis=synthesis.sharing_memory(sharing))
        for job, synthesis in zip(wanted, syntheses, strict=True)
    ]
    named_jobs = [Job(f"{job.synthesis.method} on {job.synthesis.subject}", synthesize_driven, job) for job in jobs]
    outcomes = run_jobs(named_jobs, workers=workers, report=report)
    return [fake for fakes in require_all(outcomes) for fake in fakes]


def synthesize_driven(job: FakeJob, report: ReportProgress) -> list[SynthesisResult]:
    """Make a person's fake in their own motion, then one for each driver; existing ones are kept.

    Raises:
        BenchError: As `synthesize`; or a driver's clip is shorter than the person's held-out part.
    """
    in_own_motion = synthesize(job.synthesis, report)
    return [in_own_motion, *(_render_driven(in_own_motion, driver, report) for driver in job.drivers)]


def _render_driven(in_own_motion: SynthesisResult, driver: str, report: ReportProgress) -> SynthesisResult:
    job = in_own_motion.job
    subject = job.dataset.subject(job.subject)
    source = find_motion_source(job.workspace, job.dataset, driver, fps=subject.record.fps, report=report)
    drive = make_driving_motion(source, subject, NORMALISATION, shown=in_own_motion.real.n_frames)
    path = job.locate_fake(f"{driver}-{NORMALISATION}-cut")
    training = make_training_job(job, subject)
    fake = render_fake(training, in_own_motion.trained, drive, path, report=report)
    return replace(in_own_motion, fake_path=path, fake=fake)


def list_video_rows(workspace: Workspace, dataset: Dataset, results: Sequence[SynthesisResult]) -> list[VideoRow]:
    """A row for each fake, and one for the real of each person, all of the same time span or length."""
    rows = {}
    for result in results:
        subject = result.job.subject
        rows[f"{subject}/{subject}/real"] = _make_row(workspace, dataset, result, fake=False)
        rows[f"{subject}/{result.fake.source}/{result.job.method}"] = _make_row(workspace, dataset, result, fake=True)
    return [row.model_copy(update={"video_id": video_id}) for video_id, row in rows.items()]


def _make_row(workspace: Workspace, dataset: Dataset, result: SynthesisResult, *, fake: bool) -> VideoRow:
    subject = result.job.subject
    path, record = (result.fake_path, result.fake) if fake else (result.real_path, result.real)
    own_motion = dataset.subject(subject).record.content_sha256
    return VideoRow.model_validate(
        {
            "video_id": "",
            "path": path.relative_to(workspace.root).as_posix(),
            "sha256": record.sha256,
            "label": int(fake),
            "split": dataset.entry(subject).role,
            "people": name_people(subject, result.fake.source if fake else None),
            "method": result.job.method if fake else None,
            "pictures": dataset.entry(subject).pictures,
            "ancestor": result.fake.ancestor.weights_sha256 if fake and result.fake.ancestor else None,
            "motion_sha256": result.fake.source_sha256 if fake else own_motion,
            "fps": record.fps,
            "n_frames": record.n_frames,
            "breaks": record.breaks,
            "codec": "h264",
            "crf": EncoderSettings().crf,
            "width": record.width,
            "height": record.height,
        }
    )
