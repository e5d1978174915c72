"""Robustness: held-out videos scored under every perturbation, in parallel; adds its metrics to a run's record.

Scores are cached beside the detector, one table per perturbation, under a name with the hash of all that
determines them; so a killed run resumes, and nothing is scored twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dancebench.benchmark.jobs import Job, require_all, run_jobs
from dancebench.core.files import atomic_path, sha256_json
from dancebench.core.progress import ReportProgress
from dancebench.datasets.corpora.manifest import VideoRow, read_manifest
from dancebench.datasets.video.clips import describe_encoder
from dancebench.detect.evaluation.plots import plot_robustness
from dancebench.detect.evaluation.robustness import score_perturbed, summarise, tabulate_robustness
from dancebench.detect.inputs.perturbations import NONE, PERTURBATIONS
from dancebench.detect.protocol.card import load_detector
from dancebench.leaderboards import records

_FOLDER = _LEVEL = "perturbed"


@dataclass(frozen=True)
class _PerturbationJob:
    folder: Path
    manifest: Path
    name: str
    out: Path
    device: str


def score_perturbed_copies(
    record: records.RunRecord,
    folder: Path,
    manifest: Path,
    results: Path,
    *,
    device: str,
    workers: int,
    report: ReportProgress,
) -> records.RunRecord:
    """Score the held-out videos of a run under every perturbation, add the metrics to its record, and plot the curves.

    Args:
        record: Saved record of the run.
        folder: Folder of its detector.
        manifest: Manifest of its videos.
        results: Folder of its record and rows.
        device: `cpu` or `cuda`.
        workers: Number of worker processes.
        report: Progress.

    Raises:
        BenchError: The detector or the manifest cannot be read.
    """
    names = [NONE, *(name for name in PERTURBATIONS if name != NONE)]
    paths = {name: _locate_scores(folder, manifest, name) for name in names}
    jobs = [
        Job(
            f"{record.entry.name} under {name}",
            _score_perturbation,
            _PerturbationJob(folder, manifest, name, out, device),
        )
        for name, out in paths.items()
        if not out.exists()
    ]
    outcomes = run_jobs(jobs, workers=workers, report=report)
    require_all(outcomes)
    tables = [pd.read_parquet(paths[name]) for name in names]
    metrics = summarise(tables, load_detector(folder).card.thresholds)
    extended = record.model_copy(update={"metrics": record.metrics | metrics})
    rows = pd.read_parquet(results / f"{record.run.id}.parquet")
    perturbed = pd.concat(tables).drop(columns="logits").assign(level=_LEVEL)
    records.save_run(results, extended, pd.concat([rows[rows["level"] != _LEVEL], perturbed], ignore_index=True))
    plot_robustness(folder / "robustness.svg", tabulate_robustness(metrics, record.entry.name))
    return extended


def _select_held_out(manifest: Path, methods: Sequence[str]) -> list[VideoRow]:
    """The held-out videos: all reals, and fakes of the methods that the detector was trained on."""
    rows = [row for row in read_manifest(manifest) if row.split == "holdout"]
    return [row for row in rows if row.method is None or row.method in methods]


def _locate_scores(folder: Path, manifest: Path, name: str) -> Path:
    """Path of the cached scores under a perturbation."""
    card = load_detector(folder).card
    rows = sorted((row.video_id, row.sha256) for row in _select_held_out(manifest, card.clip_format.methods))
    inputs = [card.weights_sha256, card.config, card.aggregator, rows, describe_encoder()]
    return folder / _FOLDER / f"{name}-{sha256_json(inputs)[:12]}.parquet"


def _score_perturbation(job: _PerturbationJob, report: ReportProgress) -> None:
    loaded = load_detector(job.folder, device=job.device)
    rows = _select_held_out(job.manifest, loaded.card.clip_format.methods)
    table = score_perturbed(loaded.detector, job.manifest.parent, rows, job.name, loaded.card.rule, report)
    with atomic_path(job.out) as temporary:
        table.to_parquet(temporary, index=False)
