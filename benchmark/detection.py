"""The detection run: fakes of every forensic subject, a detector trained on some people, others held out.

dataset ──▶ a synthesizer per subject ──▶ fakes/ + reals/ ──▶ manifest ──▶ detector ──▶ results/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from dancebench.benchmark.evaluation import body_points
from dancebench.benchmark.metrics.image import measure_clips
from dancebench.benchmark.presets import Settings, configured, preset
from dancebench.benchmark.provenance import Clock
from dancebench.benchmark.runner import succeeded
from dancebench.benchmark.synthesis import SynthesisJob, Synthesized, draw_missing, synthesize_all
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json
from dancebench.core.metric import Metric
from dancebench.core.progress import Report
from dancebench.core.workspace import Workspace
from dancebench.datasets.manifest import Split, VideoRow, write_manifest
from dancebench.datasets.store import Dataset
from dancebench.datasets.video import EncoderSettings
from dancebench.detect.aggregate import DEFAULT_RULE, find_rule
from dancebench.detect.controls import NULL_SHIFT_LIMIT
from dancebench.detect.protocol import HoldoutResult, train_and_evaluate
from dancebench.detect.registry import DetectorConfig, configured_detector, detector_kind
from dancebench.leaderboards import records
from dancebench.synth.method import METHODS

SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "holdout")
BASELINES: Final = ("nearest", "mean-frame")
"""Methods that the quality of the fakes is shown against."""


@dataclass(frozen=True)
class DetectionJob:
    """Everything that decides a detection run."""

    workspace: Path
    dataset: str
    detector: str
    method: str
    preset: str
    settings: Settings
    device: str = "cpu"
    aggregator: str = DEFAULT_RULE


def forensic_jobs(job: DetectionJob) -> list[SynthesisJob]:
    """The synthesizers that the run needs: one for each forensic subject; baselines for the held-out ones.

    Raises:
        BenchError: The dataset lacks people for one of the splits.
    """
    dataset = Dataset.open(Workspace(job.workspace), job.dataset)
    missing = [split for split in SPLITS if not dataset.ids(split)]
    if missing:
        raise BenchError(
            f"Dataset '{job.dataset}' has no subject with the role {' or '.join(missing)}.",
            hint="Detection needs people to train on, others to choose the threshold on, and others held out.",
        )
    wanted = [(job.method, subject) for subject in dataset.ids(*SPLITS)]
    wanted += [(method, subject) for method in BASELINES for subject in dataset.ids("holdout")]
    return [
        SynthesisJob(
            job.workspace,
            job.dataset,
            subject,
            method,
            job.preset,
            configured(job.preset, method, job.settings),
            device=job.device,
        )
        for method, subject in dict.fromkeys(wanted)
    ]


def run_detection(
    job: DetectionJob, *, clock: Clock, workers: int, report: Report
) -> tuple[records.RunRecord, HoldoutResult]:
    """Make what is missing, train the detector, evaluate it on held-out people, and record it.

    Raises:
        BenchError: A fake could not be made, or the protocol refuses the data.
    """
    detector_kind(job.detector)  # unknown names fail here, not after an hour of fakes
    find_rule(job.aggregator)
    METHODS[job.method]
    wanted = forensic_jobs(job)
    workspace = Workspace(job.workspace)
    dataset = Dataset.open(workspace, job.dataset)
    draw_missing(workspace, dataset, dataset.ids(*SPLITS), workers, report)
    outcomes = synthesize_all(wanted, workers=workers, report=report)
    return record_detection(job, succeeded(outcomes), clock=clock, report=report)


def record_detection(
    job: DetectionJob, made: Sequence[Synthesized], *, clock: Clock, report: Report
) -> tuple[records.RunRecord, HoldoutResult]:
    """Train and evaluate on fakes that stand, and save the record of the run."""
    workspace = Workspace(job.workspace)
    dataset = Dataset.open(workspace, job.dataset)
    fakes = [each for each in made if each.job.method == job.method]
    rows = _manifest_rows(workspace, dataset, fakes)
    config = _detector_config(job, fakes[0])
    identity = {
        "detector": job.detector,
        "aggregator": job.aggregator,
        "config": config.model_dump(mode="json"),
        "method": job.method,
        "preset": job.preset,
        "synth": configured(job.preset, job.method, job.settings).model_dump(mode="json"),
        "dataset_id": dataset.record.dataset_id,
    }
    digest = sha256_json(identity)
    run_id = records.new_run_id("detection", job.detector, digest)
    manifest = workspace.root / f"{run_id}.manifest.jsonl"
    write_manifest(manifest, rows)
    folder = workspace.detector(job.detector, run_id)
    result = train_and_evaluate(
        manifest, job.detector, config, folder, report, aggregator=job.aggregator, device=job.device
    )
    seeds = {"detector": job.settings.seed, "synth": job.settings.seed}
    run = clock.run("detection", job.detector, digest, seeds=seeds, device=job.device)
    record = _record(job, dataset, made, rows, result, run)
    records.save_run(workspace.results, record, _rows_table(result))
    return record, result


def _detector_config(job: DetectionJob, fake: Synthesized) -> DetectorConfig:
    standard = preset(job.preset).detectors.get(job.detector.partition(":")[0])
    return configured_detector(
        job.detector, standard, height=fake.fake.height, width=fake.fake.width, seed=job.settings.seed
    )


def _manifest_rows(workspace: Workspace, dataset: Dataset, fakes: Sequence[Synthesized]) -> list[VideoRow]:
    """A real and a fake of each subject, from the same held-out time span."""
    rows = []
    for each in fakes:
        subject, split = each.job.subject, dataset.entry(each.job.subject).role
        for label, path, record in ((0, each.real_path, each.real), (1, each.fake_path, each.fake)):
            kind = each.job.method if label else "real"
            rows.append(
                VideoRow.model_validate(
                    {
                        "video_id": f"{subject}/{subject}/{kind}",
                        "path": path.relative_to(workspace.root).as_posix(),
                        "sha256": record.sha256,
                        "label": label,
                        "split": split,
                        "subject_id": subject,
                        "source_id": subject,
                        "method": each.job.method if label else None,
                        "fps": record.fps,
                        "n_frames": record.n_frames,
                        "codec": "h264",
                        "crf": EncoderSettings().crf,
                        "width": record.width,
                        "height": record.height,
                    }
                )
            )
    return rows


def fake_quality(dataset: Dataset, made: Sequence[Synthesized]) -> dict[str, float]:
    """Mean body SSIM over held-out subjects, per method: how hard the detector's fakes were."""
    held_out = set(dataset.ids("holdout"))
    values: dict[str, list[float]] = {}
    for each in made:
        if each.job.subject in held_out:
            rows = measure_clips(each.fake_path, each.real_path, body_points(each), lpips=None)
            values.setdefault(each.job.method, []).append(float(rows["body_ssim"].mean()))
    return {method: float(pd.Series(means).mean()) for method, means in values.items()}


def _record(
    job: DetectionJob,
    dataset: Dataset,
    made: Sequence[Synthesized],
    rows: Sequence[VideoRow],
    result: HoldoutResult,
    run: records.Run,
) -> records.RunRecord:
    held_out = [row for row in rows if row.split == "holdout"]
    subjects = sorted({row.subject_id for row in held_out})
    quality = fake_quality(dataset, made)
    failed = [failure for failure in result.failures if failure.item in {row.video_id for row in held_out}]
    notes: dict[str, Any] = {
        "fakes": f"{job.method}, preset {job.preset}",
        "fakes_body_ssim": quality[job.method],
        "fakes_body_ssim_nearest": quality["nearest"],
        "fakes_body_ssim_mean_frame": quality["mean-frame"],
        "frame_size": f"{held_out[0].height}x{held_out[0].width}",
        "aggregator": result.card.aggregator,
        "null_control": _null_control(result.metrics["null_shift"]),
    }
    notes |= {f"flag_{k}": flag for k, flag in enumerate(result.card.flags, start=1)}
    return records.RunRecord(
        run=run,
        data=records.Data(
            dataset=job.dataset,
            dataset_id=dataset.record.dataset_id,
            content_sha256=dataset.content_sha256(dataset.ids(*SPLITS)),
            n_original=len(held_out),
            n_effective=len(held_out) - len(failed),
        ),
        entry=records.Entry(
            name=job.detector,
            preset=job.preset,
            weights_sha256={"detector": result.card.weights_sha256},
            parameters={"detector": result.card.parameters},
            notes=notes,
        ),
        metrics=result.metrics,
        per_subject={
            subject: {metric: values.get(subject) for metric, values in result.per_subject.items()}
            for subject in subjects
        },
        failures=[records.Failure(item=each.item, reason=each.reason) for each in result.failures],
    )


def _null_control(shift: Metric) -> str:
    if shift.value is None:
        return f"not measured: {shift.reason}"
    return "ok" if shift.value <= NULL_SHIFT_LIMIT else "failed"


def _rows_table(result: HoldoutResult) -> pd.DataFrame:
    """Pair and video scores in one table, told apart by `level`."""
    return pd.concat([result.videos.assign(level="video"), result.pairs.assign(level="pair")], ignore_index=True)
