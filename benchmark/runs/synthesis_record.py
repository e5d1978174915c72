"""Measure the synthesized clips, and write the record of a run.

Synthesized clips ──▶ per-frame rows ──▶ values per subject ──▶ results/

A run may train each subject with several seeds: a subject's value is then the mean over them, and the
record also has the value of each seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from dancebench.benchmark.jobs import Job, JobFailure, require_all, run_jobs
from dancebench.benchmark.metrics.base import METRICS
from dancebench.benchmark.metrics.chunks import FakeAndReal
from dancebench.benchmark.metrics.fake_clip import measure_fake
from dancebench.benchmark.metrics.per_subject import average_per_subject, count_frames, explain_null
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.runs.synthesis import SynthesisJob, SynthesisResult, synthesize_all
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json
from dancebench.core.metric import Metric
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.stats.inference import mean_interval
from dancebench.datasets.dancers.catalogue import TRUTH
from dancebench.datasets.pose.extractors.base import PoseExtractor
from dancebench.datasets.pose.extractors.truth import TRUTH_EXTRACTOR
from dancebench.datasets.pose.skeleton import Keypoints, scale_keypoints
from dancebench.datasets.subjects.dataset import Dataset, Subject
from dancebench.datasets.subjects.masks import PersonMasks, find_person_masks
from dancebench.datasets.subjects.prepare import read_poses
from dancebench.datasets.subjects.real_clips import RealRecord, list_shown_frames
from dancebench.datasets.subjects.records import DatasetRecord
from dancebench.leaderboards import records
from dancebench.leaderboards.columns import COLUMNS
from dancebench.synth.base import METHODS, LearnedMethod, SynthConfig

_PRIMARY: Final = COLUMNS["synthesis"][0].metric


def read_body_points(result: SynthesisResult) -> Keypoints:
    """Poses of the real frames, float32 [T, 75, 3] in pixels of the fake: they drove it and define the regions."""
    subject = result.job.dataset.subject(result.job.subject)
    return _scale_shown(subject, subject.keypoints(), result.real)


def _scale_shown(subject: Subject, keypoints: Keypoints, real: RealRecord) -> Keypoints:
    """Keypoints of the shown frames, float32 [T, 75, 3] in pixels of the real clip."""
    factors = real.width / subject.size[1], real.height / subject.size[0]
    return scale_keypoints(keypoints[list_shown_frames(subject)], *factors)


def measure_held_out(
    dataset: Dataset,
    subject_id: str,
    fake: Path,
    real: Path,
    record: RealRecord,
    report: ReportProgress = ignore_progress,
) -> pd.DataFrame:
    """Measure a fake of a subject's held-out part against the real clip of the same frames.

    Args:
        dataset: Of the subject.
        subject_id: Who is shown.
        fake: Clip file of the frames that `list_shown_frames` lists.
        real: That of the recording.
        record: The real clip's record.
        report: Progress.

    Returns:
        One row per frame, as `measure_fake`.

    Raises:
        BenchError: As `measure_fake`.
    """
    clips = pair_held_out(dataset, subject_id, fake, real, record)
    return measure_fake(replace(clips, masks=_find_shown_masks(dataset.subject(subject_id), report)), report)


def pair_held_out(dataset: Dataset, subject_id: str, fake: Path, real: Path, record: RealRecord) -> FakeAndReal[Path]:
    """A fake of a subject's held-out part beside the real clip, with what is known of both; as `measure_held_out`."""
    subject = dataset.subject(subject_id)
    shown = list_shown_frames(subject)
    truth = subject.folder / TRUTH  # of a drawn dancer
    return FakeAndReal(
        fake,
        real,
        _scale_shown(subject, subject.keypoints(), record),
        truth=_scale_shown(subject, read_poses(truth), record) if truth.exists() else None,
        starts=np.diff(shown, prepend=shown[0] - 2) != 1,
        extractor=_open_extractor(dataset.record, subject),
    )


def _find_shown_masks(subject: Subject, report: ReportProgress) -> PersonMasks | str:
    """The person masks of the shown frames, or why there are none."""
    try:
        return find_person_masks(subject, report).take(list_shown_frames(subject))
    except BenchError as error:
        return error.message


def measure_synthesized(result: SynthesisResult, report: ReportProgress = ignore_progress) -> pd.DataFrame:
    """Per-frame rows of one subject: the fake against the real."""
    job = result.job
    rows = measure_held_out(job.dataset, job.subject, result.fake_path, result.real_path, result.real, report)
    item = f"{job.subject}/{job.subject}/{job.method}"
    return rows.assign(item=item, subject=job.subject, seed=job.config.seed)


def _open_extractor(dataset: DatasetRecord, subject: Subject) -> PoseExtractor | str:
    """The extractor that the subject's own poses are of, or why this machine has none."""
    supplied = subject.record.pose_extractor
    if dataset.poses.extractor == TRUTH_EXTRACTOR:
        return "the input poses are the drawn dancer's own: none that are found in frames compare with them"
    if supplied != dataset.poses.description:
        return f"the input poses are of {supplied}, which cannot find any in the fake"
    try:
        return dataset.poses.open()
    except BenchError as error:
        return error.message


def plan_measuring(results: Sequence[SynthesisResult]) -> list[Job[SynthesisResult, pd.DataFrame]]:
    """A job for each result, of one or more methods, that gives its rows (`measure_synthesized`)."""
    return [Job(f"measuring {each.job.method} on {each.job.subject}", measure_synthesized, each) for each in results]


def plan_masks(dataset: Dataset, subjects: Sequence[str]) -> list[Job[Any, None]]:
    """A job for each subject that finds what measuring needs of the recording: the first to measure need not do it."""
    return [Job(f"person masks of {each}", _find_masks, (dataset, each)) for each in subjects]


def _find_masks(config: tuple[Dataset, str], report: ReportProgress) -> None:
    dataset, subject_id = config
    _find_shown_masks(dataset.subject(subject_id), report)


def run_synthesis(
    jobs: Sequence[SynthesisJob], *, clock: RunClock, workers: int, report: ReportProgress
) -> tuple[records.RunRecord, list[SynthesisResult]]:
    """Run one method on one or more subjects of a dataset, measure it and save the record.

    Raises:
        BenchError: No subject could be synthesized; gives the reason of the first failure.
    """
    outcomes = synthesize_all(jobs, workers=workers, report=report)
    results = [outcome for outcome in outcomes if isinstance(outcome, SynthesisResult)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, JobFailure)]
    if not results:
        raise failed[0].to_error()
    rows: list[pd.DataFrame | JobFailure] = run_jobs(plan_measuring(results), workers=workers, report=report)
    return record_synthesis(jobs, results, require_all(rows), failed, clock=clock), results


def record_synthesis(
    jobs: Sequence[SynthesisJob],
    results: Sequence[SynthesisResult],
    rows_of_results: Sequence[pd.DataFrame],
    failed: Sequence[JobFailure] = (),
    *,
    clock: RunClock,
) -> records.RunRecord:
    """Save the record of the run of one method's jobs.

    Args:
        jobs: All of them.
        results: Of those that did not fail.
        rows_of_results: What `plan_measuring`'s jobs gave for each.
        failed: Of the others.
        clock: Of the run.
    """
    rows = pd.concat(rows_of_results, ignore_index=True)
    values = average_per_subject(rows)  # over the frames of all seeds
    record = records.RunRecord(
        run=_describe_run(jobs, clock),
        data=_describe_data(jobs, results),
        entry=_describe_entry(results, rows),
        metrics={str(name): make_metric(str(name), rows, values) for name in values},
        per_subject=list_per_subject(values),
        failures=[records.Failure(item=each.label, reason=each.message) for each in failed],
    )
    records.save_run(jobs[0].workspace.results, record, rows)
    return record


def list_per_subject(values: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """What `average_per_subject` gives, as a record holds it."""
    return {
        str(subject): {str(name): None if pd.isna(value) else float(value) for name, value in row.items()}
        for subject, row in values.iterrows()
    }


def make_metric(name: str, rows: pd.DataFrame, values: pd.DataFrame) -> Metric:
    """The mean over subjects of their values, with its 95% confidence interval over subjects."""
    info = METRICS[name].info
    known = values[name].dropna()
    if known.empty:
        reason = explain_null(rows, name)
        return Metric(value=None, reason=reason, n=0, unit=info.unit, higher_is_better=info.higher_is_better)
    return Metric(
        value=float(known.mean()),
        ci95=mean_interval(known.tolist(), [str(subject) for subject in known.index]),
        n=count_frames(rows, name),
        unit=f"{info.unit}, frames",
        higher_is_better=info.higher_is_better,
    )


def _describe_run(jobs: Sequence[SynthesisJob], clock: RunClock) -> records.Run:
    job = jobs[0]
    identity: dict[str, Any] = {
        "method": job.method,
        "preset": job.preset,
        "config": _select_deciding_config(job),
        "dataset_id": job.dataset.record.dataset_id,
        "subjects": sorted({each.subject for each in jobs}),
    }
    if ancestors := list_ancestors(jobs):
        identity["ancestors"] = [each.weights_sha256 for each in ancestors]
    seeds = _list_seeds(jobs)
    if len(seeds) > 1:
        identity["seeds"] = seeds
    named = {f"training {k}": seed for k, seed in enumerate(seeds)} if len(seeds) > 1 else {"training": seeds[0]}
    return clock.run("synthesis", job.method, sha256_json(identity), seeds=named, device=job.device)


def _list_seeds(jobs: Sequence[SynthesisJob]) -> list[int]:
    return sorted({job.config.seed for job in jobs})


def _select_deciding_config(job: SynthesisJob) -> dict[str, Any]:
    """The part of the configuration that a method's result depends on: retrieval has no seed and no trunk."""
    learned = issubclass(METHODS[job.method], LearnedMethod)
    unused = set() if learned else set(SynthConfig.model_fields) - {"long_side"}
    return job.config.model_dump(mode="json", exclude=unused)


def _describe_data(jobs: Sequence[SynthesisJob], results: Sequence[SynthesisResult]) -> records.Data:
    dataset = jobs[0].dataset
    return records.Data(
        dataset=dataset.name,
        dataset_id=dataset.record.dataset_id,
        content_sha256=dataset.content_sha256(sorted({each.job.subject for each in results})),
        train_fraction=dataset.record.split.train_fraction,
        n_original=len(jobs),
        n_effective=len(results),
    )


def _describe_entry(results: Sequence[SynthesisResult], rows: pd.DataFrame) -> records.Entry:
    first = results[0]
    learned = first.trained.steps > 0
    seeds = _list_seeds([each.job for each in results])
    return records.Entry(
        name=first.job.method,
        preset=first.job.preset,
        weights_sha256={
            each.job.subject if len(seeds) == 1 else f"{each.job.subject}, seed {each.job.config.seed}": (
                each.trained.weights_sha256
            )
            for each in results
        },
        parameters=first.trained.parameters,
        steps=first.trained.steps if learned else None,
        seconds_training=round(sum(each.trained.seconds for each in results), 1) if learned else None,
        facts=records.SynthesisFacts(
            frame_size=f"{first.real.height}x{first.real.width}",
            # A trunk that any subject was trained with: it must not evaluate the others either.
            perceptual_trunk=max((each.trained.trunk for each in results), key=lambda trunk: trunk != "off"),
            perceptual_trunk_reason=first.trained.trunk_reason,
            precision=first.job.config.precision if learned else None,
            training_seeds=min(_count_seeds(results).values()) if learned else None,
            seed_spread=_describe_seed_spread(rows) if len(seeds) > 1 else None,
            settings=first.job.changes or None,
            ancestors=list_ancestors([each.job for each in results]),
            remarks=tuple(_describe_seen(results)),
        ),
    )


def list_ancestors(jobs: Sequence[SynthesisJob]) -> tuple[records.AncestorFacts, ...]:
    """What the synthesizers of a run started from, each once; none where they started from nothing."""
    references = {job.ancestor.reference for job in jobs if job.ancestor is not None}
    return tuple(
        records.AncestorFacts(weights_sha256=each.weights_sha256, side=each.side, people=each.people)
        for each in sorted(references, key=lambda reference: reference.weights_sha256)
    )


def _describe_seen(results: Sequence[SynthesisResult]) -> list[str]:
    """Whose ancestor was trained on them too: training people alone, all others are refused."""
    jobs = {each.job.subject: each.job for each in results}
    seen = [
        subject
        for subject, job in sorted(jobs.items())
        if job.ancestor is not None and job.ancestor.has_seen(job.dataset.subject(subject).record)
    ]
    return [f"the ancestor was trained on {', '.join(seen)} too"] if seen else []


def _count_seeds(results: Sequence[SynthesisResult]) -> Counter[str]:
    """Number of seeds that each subject was trained and measured with."""
    return Counter(each.job.subject for each in results)


def _describe_seed_spread(rows: pd.DataFrame) -> str:
    """The leaderboard's first metric for each seed, so that a lead can be compared with seed variance."""
    by_seed = {int(str(seed)): average_per_subject(part)[_PRIMARY].mean() for seed, part in rows.groupby("seed")}
    return f"{_PRIMARY} by training seed: " + ", ".join(f"{value:.4f}" for _, value in sorted(by_seed.items()))
