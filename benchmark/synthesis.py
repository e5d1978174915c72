"""The synthesis run: train on each subject, draw its held-out motion, measure it, keep a record.

(dataset, subject, method, preset, seed) ──▶ synths/ ──▶ fakes/ + reals/ ──▶ rows ──▶ results/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from dancebench.benchmark.metrics.clips import measure_fake
from dancebench.benchmark.metrics.per_subject import frames_behind, null_reason, subject_values
from dancebench.benchmark.metrics.perceptual import Lpips
from dancebench.benchmark.metrics.registry import METRICS
from dancebench.benchmark.provenance import Clock
from dancebench.benchmark.runner import Failure, Job, run_jobs, succeeded
from dancebench.core import distributed
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json
from dancebench.core.metric import Metric
from dancebench.core.progress import Report, silent
from dancebench.core.stats import mean_interval
from dancebench.core.trunks import TrunkUnavailableError
from dancebench.core.workspace import Workspace
from dancebench.datasets.demo import SELECTIONS, TRUTH, draw_subject, open_demo
from dancebench.datasets.models import DrawnSource
from dancebench.datasets.prepare import read_poses
from dancebench.datasets.reals import RealRecord, shown_frames, write_real
from dancebench.datasets.skeleton import Keypoints, scaled
from dancebench.datasets.store import Dataset, Subject
from dancebench.leaderboards import records
from dancebench.synth.clip import training_size
from dancebench.synth.loop import PLAIN, Options
from dancebench.synth.method import METHODS, LearnedMethod, SynthConfig
from dancebench.synth.render import FakeRecord, held_out, render_fake
from dancebench.synth.training import TrainJob, TrainRecord, train

MIN_TEST_FRAMES: Final = 3
"""The first is dropped, and a pair needs two."""


@dataclass(frozen=True)
class SynthesisJob:
    """One subject, one method: everything that decides the outcome."""

    workspace: Path
    dataset: str
    subject: str
    method: str
    preset: str
    config: SynthConfig
    device: str = "cpu"
    options: Options = PLAIN

    @property
    def variant(self) -> str:
        """Names the folder: one method may be trained on a subject in several ways."""
        return f"{self.preset}-s{self.config.seed}"


@dataclass(frozen=True)
class Synthesized:
    """What a job left."""

    job: SynthesisJob
    trained: TrainRecord
    fake_path: Path
    fake: FakeRecord
    real_path: Path
    real: RealRecord


def open_dataset(workspace: Workspace, name: str) -> Dataset:
    """A dataset of the workspace; the demo catalogues are there without being asked for."""
    return open_demo(workspace, name) if name in SELECTIONS else Dataset.open(workspace, name)


def draw_missing(workspace: Workspace, dataset: Dataset, ids: Sequence[str], workers: int, report: Report) -> None:
    """Draw and prepare those demo dancers among `ids` that are not there yet."""
    jobs = [
        Job(f"drawing {subject_id}", _draw, (workspace.root, dataset.record.name, subject_id))
        for subject_id in ids
        if isinstance(dataset.entry(subject_id).source, DrawnSource) and not dataset.is_prepared(subject_id)
    ]
    for outcome in run_jobs(jobs, workers=workers, report=report):
        if isinstance(outcome, Failure):
            raise outcome.error()


def _draw(config: tuple[Path, str, str], report: Report) -> None:
    root, name, subject_id = config
    draw_subject(Dataset.open(Workspace(root), name), subject_id, report=report)


def synthesize(job: SynthesisJob, report: Report) -> Synthesized:
    """Train, draw the held-out motion, and cut the real side to match; keeps what stands already.

    Raises:
        BenchError: The subject is a driver, or a stage fails.
    """
    workspace = Workspace(job.workspace)
    dataset = Dataset.open(workspace, job.dataset)
    subject = dataset.subject(job.subject)
    if subject.record.role == "driver":
        raise BenchError(
            f"'{subject.id}' is a driver: the motion may be used, the likeness may not.",
            hint="A person is synthesized as a target, with consent, or as a forensic subject.",
        )
    changed = subject.changed_files()
    if changed:
        raise BenchError(f"{changed[0]}.", hint="Restore it, or remove the subject's folder and prepare it again.")
    if len(subject.test) < MIN_TEST_FRAMES:
        raise BenchError(
            f"Only {len(subject.test)} of the {subject.record.n_frames} frames of '{subject.id}' are held out; "
            f"{MIN_TEST_FRAMES} are needed.",
            hint="Use a longer clip, or a dataset with a smaller --train-fraction.",
        )
    training = training_job(job, workspace, dataset, subject)
    distributed.shared(None)  # whoever assists may read the clip now
    trained = train(training, report=report)
    fake_path = workspace.fake(job.method, job.dataset, job.subject, job.variant, source=job.subject)
    fake = render_fake(training, trained, held_out(subject), fake_path, report=report)
    size = training_size(subject.size, job.config.long_side)
    real_path = workspace.real(job.dataset, job.subject, job.config.long_side)
    return Synthesized(job, trained, fake_path, fake, real_path, write_real(subject, size, real_path))


def training_job(job: SynthesisJob, workspace: Workspace, dataset: Dataset, subject: Subject) -> TrainJob:
    """The training behind a synthesis, with that of the method that it builds on."""
    make = METHODS[job.method]
    base = None
    if issubclass(make, LearnedMethod) and make.base is not None:
        base_config = make.base_config(job.config)
        base = training_job(replace(job, method=make.base, config=base_config), workspace, dataset, subject)
    return TrainJob(
        method=job.method,
        preset=job.preset,
        config=job.config,
        dataset_id=dataset.record.dataset_id,
        subject=subject,
        folder=workspace.synth(job.method, job.dataset, job.subject, job.variant),
        device=job.device,
        base=base,
        options=job.options,
    )


def assist(jobs: Sequence[SynthesisJob]) -> None:
    """What the processes beside the first do under torchrun: their share of each training, and no more.

    They wait until the first has prepared the clips, which it does before it begins to train.
    """
    for job in jobs:
        distributed.shared(None)
        workspace = Workspace(job.workspace)
        dataset = Dataset.open(workspace, job.dataset)
        train(training_job(job, workspace, dataset, dataset.subject(job.subject)))


def synthesize_all(jobs: Sequence[SynthesisJob], *, workers: int, report: Report) -> list[Synthesized | Failure]:
    """What each job left, in order, or why it failed."""
    named = [Job(f"{job.method} on {job.subject}", synthesize, job) for job in jobs]
    return run_jobs(named, workers=workers, report=report)


def body_points(made: Synthesized) -> Keypoints:
    """Poses of the real frames, float32 [T, 75, 3] in pixels of the fake: they drove it and define the regions."""
    return _in_fake(made, _subject(made).keypoints())


def true_points(made: Synthesized) -> Keypoints | None:
    """The true keypoints of a drawn dancer, as `body_points`; None of a recording."""
    path = _subject(made).folder / TRUTH
    return _in_fake(made, read_poses(path)) if path.exists() else None


def _subject(made: Synthesized) -> Subject:
    return Dataset.open(Workspace(made.job.workspace), made.job.dataset).subject(made.job.subject)


def _in_fake(made: Synthesized, keypoints: Keypoints) -> Keypoints:
    subject = _subject(made)
    factors = made.real.width / subject.size[1], made.real.height / subject.size[0]
    return scaled(keypoints[shown_frames(subject)], *factors)


def measure_synthesized(made: Synthesized, report: Report = silent) -> pd.DataFrame:
    """Per-frame rows of one subject: the fake against the real."""
    shown = shown_frames(_subject(made))
    rows = measure_fake(
        made.fake_path,
        made.real_path,
        body_points(made),
        truth=true_points(made),
        starts=np.diff(shown, prepend=shown[0] - 2) != 1,
        lpips=perceptual_judge()[0],
        report=report,
    )
    item = f"{made.job.subject}/{made.job.subject}/{made.job.method}"
    return rows.assign(item=item, subject=made.job.subject)


def measure_all(made: Sequence[Synthesized], *, workers: int, report: Report) -> pd.DataFrame:
    """The rows of all of them, one after the other.

    Raises:
        BenchError: One cannot be measured.
    """
    jobs = [Job(f"measuring {each.job.method} on {each.job.subject}", measure_synthesized, each) for each in made]
    outcomes = run_jobs(jobs, workers=workers, report=report)
    return pd.concat(succeeded(outcomes), ignore_index=True)


def run_synthesis(
    jobs: Sequence[SynthesisJob], *, clock: Clock, workers: int, report: Report
) -> tuple[records.RunRecord, list[Synthesized]]:
    """Run one method on one or more subjects of a dataset, measure it and save the record.

    Raises:
        BenchError: Not one subject could be synthesized; says why the first could not.
    """
    outcomes = synthesize_all(jobs, workers=workers, report=report)
    return record_synthesis(jobs, outcomes, clock=clock, workers=workers, report=report)


def record_synthesis(
    jobs: Sequence[SynthesisJob],
    outcomes: Sequence[Synthesized | Failure],
    *,
    clock: Clock,
    workers: int,
    report: Report,
) -> tuple[records.RunRecord, list[Synthesized]]:
    """Measure what the jobs of one method left, and save the record of the run.

    Raises:
        BenchError: No job left anything.
    """
    made = [outcome for outcome in outcomes if isinstance(outcome, Synthesized)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if not made:
        raise failed[0].error()
    rows = measure_all(made, workers=workers, report=report)
    values = subject_values(rows)
    lpips_reason = perceptual_judge()[1]
    record = records.RunRecord(
        run=_run(jobs, clock),
        data=_data(jobs, made),
        entry=_entry(made),
        metrics={str(name): _metric(str(name), rows, values, lpips_reason) for name in values},
        per_subject={
            str(subject): {str(name): None if pd.isna(value) else float(value) for name, value in row.items()}
            for subject, row in values.iterrows()
        },
        failures=[records.Failure(item=each.label, reason=each.message) for each in failed],
    )
    records.save_run(Workspace(jobs[0].workspace).results, record, rows)
    return record, made


def perceptual_judge() -> tuple[Lpips | None, str | None]:
    """LPIPS if its trunk is at hand, else None and why; nothing is downloaded to judge."""
    try:
        return Lpips("squeeze"), None
    except TrunkUnavailableError as error:
        return None, error.message


def _metric(name: str, rows: pd.DataFrame, values: pd.DataFrame, lpips_reason: str | None) -> Metric:
    """The mean over subjects of each one's value, with its interval by subject."""
    info = METRICS[name]
    there = values[name].dropna()
    if there.empty:
        reason = lpips_reason if "lpips" in name and lpips_reason else null_reason(rows, name)
        return Metric(value=None, reason=reason, n=0, unit=info.unit, higher_is_better=info.higher_is_better)
    return Metric(
        value=float(there.mean()),
        ci95=mean_interval(there.tolist(), [str(subject) for subject in there.index]),
        n=frames_behind(rows, name),
        unit=f"{info.unit}, frames",
        higher_is_better=info.higher_is_better,
    )


def _run(jobs: Sequence[SynthesisJob], clock: Clock) -> records.Run:
    job = jobs[0]
    identity = {
        "method": job.method,
        "preset": job.preset,
        "config": _deciding(job),
        "dataset_id": Dataset.open(Workspace(job.workspace), job.dataset).record.dataset_id,
        "subjects": sorted(each.subject for each in jobs),
    }
    seeds = {"training": job.config.seed}
    return clock.run("synthesis", job.method, sha256_json(identity), seeds=seeds, device=job.device)


def _deciding(job: SynthesisJob) -> dict[str, Any]:
    """What of the configuration a method's outcome depends on: retrieval knows no seed and no trunk."""
    learned = issubclass(METHODS[job.method], LearnedMethod)
    return job.config.model_dump(mode="json") if learned else {"long_side": job.config.long_side}


def _data(jobs: Sequence[SynthesisJob], made: Sequence[Synthesized]) -> records.Data:
    dataset = Dataset.open(Workspace(jobs[0].workspace), jobs[0].dataset)
    return records.Data(
        dataset=jobs[0].dataset,
        dataset_id=dataset.record.dataset_id,
        content_sha256=dataset.content_sha256([each.job.subject for each in made]),
        n_original=len(jobs),
        n_effective=len(made),
    )


def _entry(made: Sequence[Synthesized]) -> records.Entry:
    first = made[0]
    learned = first.trained.steps > 0
    return records.Entry(
        name=first.job.method,
        preset=first.job.preset,
        weights_sha256={each.job.subject: each.trained.weights_sha256 for each in made},
        parameters=first.trained.parameters,
        steps=first.trained.steps if learned else None,
        seconds_training=round(sum(each.trained.seconds for each in made), 1) if learned else None,
        notes={
            "frame_size": f"{first.real.height}x{first.real.width}",
            "perceptual_trunk": first.trained.trunk,
            "perceptual_trunk_reason": first.trained.trunk_reason,
            "precision": first.job.config.precision if learned else None,
        },
    )
