"""The detection run: fakes of every forensic subject, a detector trained on some people and tested on held-out ones.

dataset ──▶ a synthesizer per subject ──▶ fakes/ + reals/ ──▶ manifest ──▶ detector ──▶ results/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from dancebench.benchmark.jobs import Job, require_all, run_jobs
from dancebench.benchmark.metrics.image import measure_clips
from dancebench.benchmark.presets import configure_method, find_preset
from dancebench.benchmark.runs.protocol_fakes import SPLITS, FakePlan, list_video_rows, make_fakes
from dancebench.benchmark.runs.robustness import score_perturbed_copies
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.runs.synthesis import SynthesisResult
from dancebench.benchmark.runs.synthesis_record import read_body_points
from dancebench.core.files import sha256_json
from dancebench.core.metric import Metric
from dancebench.core.progress import ReportProgress
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import VideoRow, write_manifest
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.detect.detectors.base import DetectorConfig, configure_detector
from dancebench.detect.evaluation.aggregation import DEFAULT_RULE, check_rule
from dancebench.detect.evaluation.controls import NULL_SHIFT_LIMIT
from dancebench.detect.protocol.holdout import HoldoutResult, train_and_evaluate
from dancebench.leaderboards import records
from dancebench.synth.base import METHODS


@dataclass(frozen=True)
class DetectionJob:
    """Everything that determines a detection run.

    Attributes:
        fakes: The fakes to train and evaluate on.
        pairs: Number of pairs scored of each video; None keeps the preset's.
        robustness: Whether the held-out videos are also scored under perturbations.
    """

    fakes: FakePlan
    detector: str
    aggregator: str = DEFAULT_RULE
    pairs: int | Literal["all"] | None = None
    robustness: bool = False


@dataclass(frozen=True)
class DetectionResult:
    """What a detection run produced."""

    record: records.RunRecord
    folder: Path
    """Folder of the detector."""
    manifest: Path


def check_names(jobs: Sequence[DetectionJob]) -> None:
    """Refuse unknown names at once, not after an hour of synthesis.

    Raises:
        UnknownNameError: There is no such detector, rule, method or preset.
        BenchError: A detector's name lacks its variant.
    """
    for job in jobs:
        configure_detector(job.detector)
        check_rule(job.aggregator)
        for method in (job.fakes.method, *job.fakes.others):
            METHODS[method]
            configure_method(job.fakes.preset, method, job.fakes.settings)


def run_detection(
    jobs: Sequence[DetectionJob], *, argv: list[str], workers: int, report: ReportProgress
) -> list[DetectionResult]:
    """Make what is missing, train each detector, evaluate it on held-out people, and record it.

    Args:
        jobs: Detectors on the same fakes.
        argv: The command, for the records.
        workers: Number of worker processes.
        report: Progress.

    Raises:
        BenchError: A fake could not be made, or the protocol refuses the data.
    """
    check_names(jobs)
    fakes = make_fakes(jobs[0].fakes, workers=workers, report=report)
    return run_detectors(jobs, fakes, argv=argv, workers=workers, report=report)


def run_detectors(
    jobs: Sequence[DetectionJob],
    fakes: Sequence[SynthesisResult],
    *,
    argv: list[str],
    workers: int,
    report: ReportProgress,
) -> list[DetectionResult]:
    """Train and evaluate every detector on existing fakes, and save a record of each."""
    quality = measure_fake_quality(jobs[0].fakes, fakes)
    recordings = [_Recording(job, tuple(fakes), quality, tuple(argv)) for job in jobs]
    named_jobs = [Job(each.job.detector, _record_detection, each) for each in recordings]
    outcomes = run_jobs(named_jobs, workers=workers, report=report)
    detected = require_all(outcomes)
    return [
        replace(each, record=_add_robustness(job, each, workers, report)) if job.robustness else each
        for job, each in zip(jobs, detected, strict=True)
    ]


def _add_robustness(
    job: DetectionJob, detected: DetectionResult, workers: int, report: ReportProgress
) -> records.RunRecord:
    results = Workspace(job.fakes.workspace).results
    return score_perturbed_copies(
        detected.record, detected.folder, detected.manifest, results,
        device=job.fakes.device, workers=workers, report=report,
    )  # fmt: skip


@dataclass(frozen=True)
class _Recording:
    job: DetectionJob
    fakes: tuple[SynthesisResult, ...]
    quality: dict[str, float]
    argv: tuple[str, ...]


def _record_detection(recording: _Recording, report: ReportProgress) -> DetectionResult:
    job, fakes, clock = recording.job, recording.fakes, RunClock(list(recording.argv))
    plan = job.fakes
    workspace = Workspace(plan.workspace)
    dataset = Dataset.open(workspace, plan.dataset)
    methods = (plan.method, *plan.others)
    rows = list_video_rows(workspace, dataset, [fake for fake in fakes if fake.job.method in methods])
    config = _configure_detector(job, fakes[0])
    identity = {
        "detector": job.detector,
        "aggregator": job.aggregator,
        "config": config.model_dump(mode="json"),
        "method": plan.method,
        "others": sorted(plan.others),
        "preset": plan.preset,
        "synth": configure_method(plan.preset, plan.method, plan.settings).model_dump(mode="json"),
        "dataset_id": dataset.record.dataset_id,
    }
    digest = sha256_json(identity)
    name = job.detector.replace(":", "-")
    run_id = records.new_run_id("detection", name, digest)
    manifest = workspace.root / f"{run_id}.manifest.jsonl"
    write_manifest(manifest, rows)
    folder = workspace.detector(job.detector, run_id)
    result = train_and_evaluate(
        manifest, job.detector, config, folder, report, aggregator=job.aggregator, device=plan.device
    )
    seeds = {"detector": plan.settings.seed, "synth": plan.settings.seed}
    run = clock.run("detection", name, digest, seeds=seeds, device=plan.device)
    record = _make_record(job, dataset, recording.quality, rows, result, run)
    records.save_run(workspace.results, record, result.tables.join_levels())
    return DetectionResult(record, folder, manifest)


def _configure_detector(job: DetectionJob, fake: SynthesisResult) -> DetectorConfig:
    standard = find_preset(job.fakes.preset).detectors.get(job.detector.partition(":")[0])
    settings: dict[str, Any] = {} if job.pairs is None else {"pairs": job.pairs}
    return configure_detector(
        job.detector,
        standard,
        height=fake.fake.height,
        width=fake.fake.width,
        seed=job.fakes.settings.seed,
        **settings,
    )


def measure_fake_quality(plan: FakePlan, fakes: Sequence[SynthesisResult]) -> dict[str, float]:
    """Mean body SSIM over held-out subjects in their own motion, per method: how good the fakes are."""
    held_out = set(Dataset.open(Workspace(plan.workspace), plan.dataset).ids("holdout"))
    values: dict[str, list[float]] = {}
    for result in fakes:
        if result.job.subject in held_out and result.fake.source == result.job.subject:
            rows = measure_clips(result.fake_path, result.real_path, read_body_points(result), lpips=None)
            values.setdefault(result.job.method, []).append(float(rows["body_ssim"].mean()))
    return {method: float(pd.Series(means).mean()) for method, means in values.items()}


def _make_record(
    job: DetectionJob,
    dataset: Dataset,
    quality: dict[str, float],
    rows: Sequence[VideoRow],
    result: HoldoutResult,
    run: records.Run,
) -> records.RunRecord:
    held_out = [row for row in rows if row.split == "holdout"]
    subjects = sorted({row.subject_id for row in held_out})
    plan = job.fakes
    failed = [failure for failure in result.failures if failure.item in {row.video_id for row in held_out}]
    facts = records.DetectionFacts(
        frame_size=f"{held_out[0].height}x{held_out[0].width}",
        fakes=records.Fakes(method=plan.method, preset=plan.preset, body_ssim=quality),
        aggregator=result.card.aggregator,
        null_control=_read_null_control(result.metrics["null_shift"]),
        weights_from=result.card.origin,
        warnings=result.card.flags,
    )
    return records.RunRecord(
        run=run,
        data=records.Data(
            dataset=plan.dataset,
            dataset_id=dataset.record.dataset_id,
            content_sha256=dataset.content_sha256(dataset.ids(*SPLITS)),
            n_original=len(held_out),
            n_effective=len(held_out) - len(failed),
        ),
        entry=records.Entry(
            name=job.detector,
            preset=plan.preset,
            weights_sha256={"detector": result.card.weights_sha256},
            parameters={"detector": result.card.parameters},
            facts=facts,
        ),
        metrics=result.metrics,
        per_subject={
            subject: {metric: values.get(subject) for metric, values in result.per_subject.items()}
            for subject in subjects
        },
        failures=[records.Failure(item=each.item, reason=each.reason) for each in result.failures],
    )


def _read_null_control(shift: Metric) -> records.NullControl:
    passed = None if shift.value is None else shift.value <= NULL_SHIFT_LIMIT
    return records.NullControl(passed=passed, reason=shift.reason)
