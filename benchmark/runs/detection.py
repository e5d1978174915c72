"""The detection run: fakes of every forensic subject, a detector trained on some people and tested on held-out ones.

dataset ──▶ a synthesizer per subject ──▶ fakes/ + reals/ ──▶ manifest ──▶ detector ──▶ results/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from dancebench.benchmark.jobs import Job, JobFailure, require_all, run_jobs
from dancebench.benchmark.metrics.image import measure_clips
from dancebench.benchmark.presets import configure_method
from dancebench.benchmark.runs.protocol_fakes import SPLITS, FakePlan, list_video_rows, make_fakes
from dancebench.benchmark.runs.robustness import score_perturbed_copies, score_unseen_copies
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.runs.synthesis import SynthesisResult
from dancebench.benchmark.runs.synthesis_record import list_ancestors, read_body_points
from dancebench.benchmark.views import (
    check_configuration,
    choose_view,
    configure_for_run,
    list_view_warnings,
    read_null_control,
    view_videos,
)
from dancebench.core.files import sha256_json
from dancebench.core.progress import ReportProgress
from dancebench.core.schema import describe_fields
from dancebench.datasets.corpora.manifest import write_manifest
from dancebench.datasets.pose.extractors.base import find_default_extractor
from dancebench.datasets.pose.extractors.truth import TRUTH_EXTRACTOR
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.detect.detectors.base import (
    DetectorConfig,
    find_detector_class,
    label_detector,
)
from dancebench.detect.evaluation.aggregation import DEFAULT_RULE, check_rule
from dancebench.detect.evaluation.calibration_metrics import describe_fakes
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.inputs.view import View, ViewRequest
from dancebench.detect.protocol.catalogue import HOLDOUT, load_built_in
from dancebench.detect.protocol.definition import Protocol
from dancebench.detect.protocol.description import VideoSetRecord, describe_video_set
from dancebench.detect.protocol.export import export_trained
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
        view: What of the clips it looks at; None: what it says itself.
        fields: Further fields of the detector's configuration, by path.
        export: Whether its network is also written as an ONNX file.
        protocol: Which the record names; what it fixes of methods stands in `fakes`. None: `table-5`.
    """

    fakes: FakePlan
    detector: str
    aggregator: str = DEFAULT_RULE
    pairs: int | Literal["all"] | None = None
    robustness: bool = False
    view: ViewRequest | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    export: bool = False
    protocol: Protocol | None = None

    @property
    def settled_protocol(self) -> Protocol:
        """The protocol of the run."""
        return self.protocol or load_built_in(HOLDOUT)


@dataclass(frozen=True)
class DetectionResult:
    """What a detection run produced."""

    record: records.RunRecord
    folder: Path
    """Folder of the detector."""
    manifest: Path
    exported: Path | None = None
    """Its network as an ONNX file, where that was asked for."""


def check_names(jobs: Sequence[DetectionJob]) -> None:
    """Refuse unknown names at once, not after an hour of synthesis.

    Raises:
        UnknownNameError: There is no such detector, field of its configuration, rule, method or preset.
        BenchError: A detector's name lacks its variant, the value of a field is refused, or it cannot be exported.
    """
    for job in jobs:
        check_configuration(job.detector, job.fields, export=job.export)
        choose_view(job.view, job.detector, job.fakes.preset, as_they_are=True)
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
    """Describe the videos once, then train and evaluate every detector on them, and save a record of each."""
    planned = plan_detectors(jobs, fakes, argv=argv, workers=workers, report=report)
    outcomes: list[DetectionResult | JobFailure] = run_jobs(planned, workers=workers, report=report)
    return [
        replace(each, record=_add_perturbed(made.config.job, each, made.config.videos, workers, report))
        for made, each in zip(planned, require_all(outcomes), strict=True)
    ]


def plan_detectors(
    jobs: Sequence[DetectionJob],
    fakes: Sequence[SynthesisResult],
    *,
    argv: list[str],
    workers: int,
    report: ReportProgress,
) -> list[Job[Recording, DetectionResult]]:
    """Describe the videos once; returns for each detector the job that trains, evaluates and records it.

    It measures no perturbed copies: `run_detectors` adds them.
    """
    plan = jobs[0].fakes
    methods = (plan.method, *plan.others)
    rows = list_video_rows(plan.workspace, plan.dataset, [fake for fake in fakes if fake.job.method in methods])
    videos = VideoSet(plan.workspace.root, tuple(rows))
    compared = _select_own_motion(plan.dataset, fakes)
    described: dict[View | None, tuple[VideoSet, VideoSetRecord]] = {}
    views = [choose_view(job.view, job.detector, plan.preset, as_they_are=True) for job in jobs]
    for view in dict.fromkeys(views):
        looked_at = videos
        if view is not None:
            looked_at = view_videos(videos, view, plan.workspace, workers=workers, report=report)
        description = describe_video_set(
            looked_at,
            plan.workspace.video_set(looked_at.sha256),
            seed=plan.settings.seed,
            fakes_sha256=sha256_json([[fake.job.method, fake.fake.sha256, fake.real.sha256] for fake in compared]),
            measure_quality=partial(_measure_quality, compared),
            report=report,
        )
        looked_at.hash_files()
        described[view] = looked_at, description
    ancestors = list_ancestors([fake.job for fake in fakes])
    recordings = [
        Recording(job, *described[view], view, tuple(argv), ancestors) for job, view in zip(jobs, views, strict=True)
    ]
    return [Job(each.job.detector, _record_detection, each) for each in recordings]


def _add_perturbed(
    job: DetectionJob, detected: DetectionResult, videos: VideoSet, workers: int, report: ReportProgress
) -> records.RunRecord:
    """The record with what is measured on perturbed copies: what the protocol leads with, and what was asked for."""
    record, results, device = detected.record, job.fakes.workspace.results, job.fakes.device
    if names := job.settled_protocol.perturbations:
        record = score_unseen_copies(
            record, detected.folder, videos, results, names, device=device, workers=workers, report=report
        )
    if job.robustness:
        record = score_perturbed_copies(
            record, detected.folder, videos, results, device=device, workers=workers, report=report
        )
    return record


@dataclass(frozen=True)
class Recording:
    """A detector to be trained, evaluated and recorded, and the videos, described, that this is done on."""

    job: DetectionJob
    videos: VideoSet
    description: VideoSetRecord
    view: View | None
    """None: clips as they are."""
    argv: tuple[str, ...]
    ancestors: tuple[records.AncestorFacts, ...]
    """Of the synthesizers of the fakes."""


def _record_detection(recording: Recording, report: ReportProgress) -> DetectionResult:
    job, clock = recording.job, RunClock(list(recording.argv))
    plan = job.fakes
    config = _configure_detector(job, recording.description, recording.view)
    name = label_detector(job.detector)
    identity = {
        "detector": name,
        "aggregator": job.aggregator,
        "config": config.model_dump(mode="json"),
        "method": plan.method,
        "others": sorted(plan.others),
        "preset": plan.preset,
        "synth": configure_method(plan.preset, plan.method, plan.settings).model_dump(mode="json"),
        "dataset_id": plan.dataset.record.dataset_id,
    }
    if job.protocol is not None:
        identity["protocol"] = job.protocol.sha256
    if recording.ancestors:
        identity["ancestors"] = [each.weights_sha256 for each in recording.ancestors]
    digest = sha256_json(identity)
    run_id = records.new_run_id("detection", name, digest)
    manifest = plan.workspace.manifest(run_id)
    write_manifest(manifest, recording.videos)
    folder = plan.workspace.detector(name, run_id)
    result = train_and_evaluate(
        recording.videos, recording.description, name, config, folder, report,
        aggregator=job.aggregator, device=plan.device,
    )  # fmt: skip
    seeds = {"detector": plan.settings.seed, "synth": plan.settings.seed}
    run = clock.run("detection", name, digest, seeds=seeds, device=plan.device)
    record = _make_record(recording, result, run)
    records.save_run(plan.workspace.results, record, result.tables.join_levels(result.card.calibration.video))
    return DetectionResult(record, folder, manifest, export_trained(folder) if job.export else None)


def _configure_detector(job: DetectionJob, description: VideoSetRecord, view: View | None) -> DetectorConfig:
    settings: dict[str, Any] = {} if job.pairs is None else {"pairs": job.pairs}
    if "extractor" in find_detector_class(job.detector).Config.model_fields:
        settings["extractor"] = _choose_extractor(job.fakes.dataset)
    looked_at = View("frame", description.clip_height, description.clip_width) if view is None else view
    seed = job.fakes.settings.seed
    return configure_for_run(job.detector, job.fakes.preset, looked_at, seed, settings, job.fields)


def _choose_extractor(dataset: Dataset) -> str:
    """The dataset's own, as far as it finds poses in frames; else this machine's default."""
    own = dataset.record.poses.extractor
    return (find_default_extractor() or own) if own == TRUTH_EXTRACTOR else own


def _select_own_motion(dataset: Dataset, fakes: Sequence[SynthesisResult]) -> list[SynthesisResult]:
    """Fakes of held-out subjects in their own motion: there is a real of the same frames to compare them with."""
    held_out = set(dataset.ids("holdout"))
    return [each for each in fakes if each.job.subject in held_out and each.fake.source == each.job.subject]


def _measure_quality(fakes: Sequence[SynthesisResult]) -> dict[str, float]:
    """Mean body SSIM over subjects, per method: how good the fakes are."""
    values: dict[str, list[float]] = {}
    for result in fakes:
        rows = measure_clips(result.fake_path, result.real_path, read_body_points(result), only=["body_ssim"])
        values.setdefault(result.job.method, []).append(float(rows["body_ssim"].mean()))
    return {method: float(pd.Series(means).mean()) for method, means in values.items()}


def _make_record(recording: Recording, result: HoldoutResult, run: records.Run) -> records.RunRecord:
    held_out = recording.videos.split("holdout").rows
    subjects = sorted({row.subject_id for row in held_out})
    job, quality = recording.job, recording.description.quality
    plan, dataset = job.fakes, job.fakes.dataset
    failed = [failure for failure in result.failures if failure.item in {row.video_id for row in held_out}]
    facts = records.DetectionFacts(
        frame_size=f"{held_out[0].height}x{held_out[0].width}",
        fakes=records.Fakes(method=plan.method, preset=plan.preset, body_ssim=quality, ancestors=recording.ancestors),
        aggregator=result.card.aggregator,
        null_control=read_null_control(result.metrics["null_shift"]),
        weights_from=result.card.origin,
        settings=describe_fields(job.fields) or None,
        view=None if recording.view is None else str(recording.view),
        windows=result.card.config["pairs"],
        warnings=(*result.card.flags, *list_view_warnings(recording.videos)),
        remarks=tuple(describe_fakes(result.card.calibration)),
    )
    return records.RunRecord(
        run=run,
        data=records.Data(
            dataset=dataset.name,
            dataset_id=dataset.record.dataset_id,
            content_sha256=dataset.content_sha256(dataset.ids(*SPLITS)),
            videos_sha256=recording.videos.sha256,
            protocol=records.ProtocolReference(**job.settled_protocol.key._asdict()),
            train_fraction=dataset.record.split.train_fraction,
            n_original=len(held_out),
            n_effective=len(held_out) - len(failed),
        ),
        entry=records.Entry(
            name=result.card.detector,
            preset=plan.preset,
            weights_sha256={"detector": result.card.weights_sha256},
            parameters={} if result.card.parameters is None else {"detector": result.card.parameters},
            facts=facts,
        ),
        **describe_outcome(result, subjects),
    )


def describe_outcome(result: HoldoutResult, subjects: Sequence[str]) -> dict[str, Any]:
    """The fields of a run record that tell what was measured, for each of the subjects too, and what failed."""
    return {
        "metrics": result.metrics,
        "per_subject": {
            subject: {metric: values.get(subject) for metric, values in result.per_subject.items()}
            for subject in subjects
        },
        "failures": [records.Failure(item=each.item, reason=each.reason) for each in result.failures],
    }
