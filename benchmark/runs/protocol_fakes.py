"""The fakes of the detection protocol: who is synthesized, by which method, in whose motion (EDN Table 5).

dataset ──▶ a synthesizer per person ──▶ fakes/: own motion, and that of drivers ──▶ rows of a video manifest

A person's held-out part drives the first fake; drivers drive the others. Half of the drivers drive the training
and validation people, the other half the held-out ones, so that no motion of the test was seen before. Every
fake has as many frames as its real: its length must not tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dancebench.benchmark.jobs import Job, require_all, run_jobs
from dancebench.benchmark.presets import RunSettings, configure_method
from dancebench.benchmark.runs.driving_motion import find_motion_source
from dancebench.benchmark.runs.synthesis import (
    SynthesisJob,
    SynthesisResult,
    draw_missing,
    make_training_job,
    synthesize,
)
from dancebench.benchmark.runs.transfer import make_driving_motion
from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import Split, VideoRow
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.video.clips import EncoderSettings
from dancebench.synth.render import render_fake

SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "holdout")
BASELINES: Final = ("nearest", "mean-frame")
"""Methods that the quality of the fakes is shown against."""
NORMALISATION: Final = "robust"
"""How a driver's poses are fitted to the person."""


@dataclass(frozen=True)
class FakePlan:
    """Which fakes a detection run needs.

    Attributes:
        method: What training, validation and held-out fakes are made by.
        others: Further methods, whose held-out fakes in their own motion show how the detector generalises.
    """

    workspace: Path
    dataset: str
    method: str
    others: tuple[str, ...]
    preset: str
    settings: RunSettings
    device: str = "cpu"


@dataclass(frozen=True)
class FakeJob:
    """One person, one method, and whose motion drives beside the person's own."""

    synthesis: SynthesisJob
    drivers: tuple[str, ...]


def assign_drivers(dataset: Dataset) -> dict[Split, tuple[str, ...]]:
    """Who drives the fakes of each split; fewer than two drivers drive nobody."""
    everyone = dataset.ids("driver")
    if len(everyone) < 2:
        return dict.fromkeys(SPLITS, ())
    half = (len(everyone) + 1) // 2
    first, second = tuple(everyone[:half]), tuple(everyone[half:])
    return {"train": first, "validation": first, "holdout": second}


def list_fake_jobs(plan: FakePlan) -> list[FakeJob]:
    """The synthesizers that the run needs: one for each forensic subject; the other methods for the held-out ones.

    Raises:
        BenchError: The dataset lacks people for one of the splits.
    """
    dataset = Dataset.open(Workspace(plan.workspace), plan.dataset)
    missing = [split for split in SPLITS if not dataset.ids(split)]
    if missing:
        raise BenchError(
            f"Dataset '{plan.dataset}' has no subject with the role {' or '.join(missing)}.",
            hint="Detection needs people to train on, others to choose the threshold on, and others held out.",
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
    """Make what is missing; what stands is used again.

    Raises:
        BenchError: The dataset lacks people, or a fake could not be made.
    """
    jobs = list_fake_jobs(plan)
    workspace = Workspace(plan.workspace)
    dataset = Dataset.open(workspace, plan.dataset)
    driving = {driver for job in jobs for driver in job.drivers}
    draw_missing(workspace, dataset, [*dataset.ids(*SPLITS), *sorted(driving)], workers, report)
    named = [Job(f"{job.synthesis.method} on {job.synthesis.subject}", synthesize_driven, job) for job in jobs]
    outcomes = run_jobs(named, workers=workers, report=report)
    return [made for each in require_all(outcomes) for made in each]


def synthesize_driven(job: FakeJob, report: ReportProgress) -> list[SynthesisResult]:
    """The person's fake in the own motion, then one for each driver; keeps what stands already.

    Raises:
        BenchError: As `synthesize`; or a driver's clip is shorter than the person's held-out part.
    """
    own = synthesize(job.synthesis, report)
    return [own, *(_synthesize_driven(own, driver, report) for driver in job.drivers)]


def _synthesize_driven(own: SynthesisResult, driver: str, report: ReportProgress) -> SynthesisResult:
    job, workspace = own.job, Workspace(own.job.workspace)
    dataset = Dataset.open(workspace, job.dataset)
    subject = dataset.subject(job.subject)
    source = find_motion_source(workspace, dataset, driver, fps=subject.record.fps, report=report)
    drive = make_driving_motion(source, subject, NORMALISATION, shown=own.real.n_frames)
    path = workspace.fake(job.method, job.dataset, job.subject, job.variant, source=f"{driver}-{NORMALISATION}-cut")
    training = make_training_job(job, workspace, dataset, subject)
    fake = render_fake(training, own.trained, drive, path, report=report)
    return replace(own, fake_path=path, fake=fake)


def list_video_rows(workspace: Workspace, dataset: Dataset, made: Sequence[SynthesisResult]) -> list[VideoRow]:
    """A row for each fake, and one for the real of each person, all of the same time span or length."""
    rows = {}
    for each in made:
        subject = each.job.subject
        rows[f"{subject}/{subject}/real"] = _make_row(workspace, dataset, each, fake=False)
        rows[f"{subject}/{each.fake.source}/{each.job.method}"] = _make_row(workspace, dataset, each, fake=True)
    return [row.model_copy(update={"video_id": video_id}) for video_id, row in rows.items()]


def _make_row(workspace: Workspace, dataset: Dataset, made: SynthesisResult, *, fake: bool) -> VideoRow:
    subject = made.job.subject
    path, record = (made.fake_path, made.fake) if fake else (made.real_path, made.real)
    own = dataset.subject(subject).record.content_sha256
    return VideoRow.model_validate(
        {
            "video_id": "",
            "path": path.relative_to(workspace.root).as_posix(),
            "sha256": record.sha256,
            "label": int(fake),
            "split": dataset.entry(subject).role,
            "subject_id": subject,
            "source_id": made.fake.source if fake else subject,
            "method": made.job.method if fake else None,
            "motion_sha256": made.fake.source_sha256 if fake else own,
            "fps": record.fps,
            "n_frames": record.n_frames,
            "codec": "h264",
            "crf": EncoderSettings().crf,
            "width": record.width,
            "height": record.height,
        }
    )
