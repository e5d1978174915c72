"""Robustness: held-out videos scored under every perturbation, in parallel; adds its metrics to a run's record.

Scores are kept beside the detector, one table per perturbation, with a record of all that determines them; so a
killed run resumes, and nothing is scored twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dancebench.benchmark.jobs import Job, require_all, run_jobs
from dancebench.core.artifacts import ArtifactRecord, find_existing
from dancebench.core.files import atomic_path, sha256_file
from dancebench.core.metric import Metric
from dancebench.core.progress import ReportProgress
from dancebench.datasets.video.clips import describe_encoder
from dancebench.detect.evaluation.plots import plot_robustness
from dancebench.detect.evaluation.robustness import (
    measure_unseen_auc,
    score_perturbed,
    summarise,
    tabulate_robustness,
)
from dancebench.detect.inputs.perturbations import NONE, PERTURBATIONS
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol.card import DetectorCard, load_detector
from dancebench.leaderboards import records

_FOLDER = _LEVEL = "perturbed"
_UNSEEN = records.UNSEEN_LEVEL
"""Folder and level of the rows that the mean over unseen methods and perturbations is of."""


class PerturbedScoresRecord(ArtifactRecord):
    """`perturbed/NAME.json`: what the scores beside it were made from."""

    made_from: tuple[Any, ...]
    """Weights, config, aggregation rule, encoder and videos."""
    scores_sha256: str

    @property
    def key(self) -> Any:
        return list(self.made_from)

    def files(self, path: Path) -> Mapping[Path, str]:
        """The table."""
        return {path.with_suffix(".parquet"): self.scores_sha256}


@dataclass(frozen=True)
class _PerturbationJob:
    folder: Path
    videos: VideoSet
    name: str
    record: Path
    key: tuple[Any, ...]
    device: str


def score_perturbed_copies(
    record: records.RunRecord,
    folder: Path,
    videos: VideoSet,
    results: Path,
    *,
    device: str,
    workers: int,
    report: ReportProgress,
    kept_in: Path | None = None,
    every_method: bool = False,
) -> records.RunRecord:
    """Score the held-out videos of a run under every perturbation, add the metrics to its record, and plot the curves.

    Args:
        record: Saved record of the run.
        folder: Folder of its detector.
        videos: Its videos.
        results: Folder of its record and rows.
        device: `cpu` or `cuda`.
        workers: Number of worker processes.
        report: Progress.
        kept_in: Folder of the scores; None: beside the detector.
        every_method: Whether fakes count whatever their method; else those of the methods trained on.

    Raises:
        BenchError: The detector cannot be read.
    """
    names = [NONE, *(name for name in PERTURBATIONS if name != NONE)]
    card = load_detector(folder).card
    held_out = videos.split("holdout") if every_method else _select_held_out(videos, card)
    tables = _score_copies(
        record,
        folder,
        card,
        held_out,
        names,
        kept_in or folder / _FOLDER,
        device=device,
        workers=workers,
        report=report,
    )
    metrics = summarise(tables, card.thresholds)
    extended = _add_to_run(record, results, metrics, tables, _LEVEL)
    plot_robustness((kept_in or folder) / "robustness.svg", tabulate_robustness(metrics, record.entry.name))
    return extended


def score_unseen_copies(
    record: records.RunRecord,
    folder: Path,
    videos: VideoSet,
    results: Path,
    names: Sequence[str],
    *,
    device: str,
    workers: int,
    report: ReportProgress,
) -> records.RunRecord:
    """Score held-out reals, and fakes of methods that a run's detector was not trained on, under the perturbations
    `names`, and add the mean of their AUCs to its record.

    Raises:
        BenchError: The detector cannot be read.
    """
    card = load_detector(folder).card
    trained = card.clip_format.methods
    held_out = videos.split("holdout").select(lambda row: row.method is None or row.method not in trained)
    tables = _score_copies(
        record, folder, card, held_out, names, folder / _UNSEEN, device=device, workers=workers, report=report
    )
    metrics = measure_unseen_auc(tables, {row.method for row in held_out if row.method is not None})
    return _add_to_run(record, results, metrics, tables, _UNSEEN)


def _score_copies(
    record: records.RunRecord, folder: Path, card: DetectorCard, held_out: VideoSet, names: Sequence[str],
    kept_in: Path, *, device: str, workers: int, report: ReportProgress,
) -> list[pd.DataFrame]:  # fmt: skip
    """A table for each perturbation; those that were made before from the same are read."""
    key = [card.weights_sha256, card.config, card.aggregator, describe_encoder(), held_out.sha256]
    paths = {name: kept_in / f"{name}.json" for name in names}
    jobs = [
        Job(
            f"{record.entry.name} under {name}",
            _score_perturbation,
            _PerturbationJob(folder, held_out, name, path, tuple(key), device),
        )
        for name, path in paths.items()
        if find_existing(path, PerturbedScoresRecord, key) is None
    ]
    outcomes = run_jobs(jobs, workers=workers, report=report)
    require_all(outcomes)
    return [pd.read_parquet(paths[name].with_suffix(".parquet")) for name in names]


def _add_to_run(
    record: records.RunRecord, results: Path, metrics: dict[str, Metric], tables: Sequence[pd.DataFrame], level: str
) -> records.RunRecord:
    """Save the run with these metrics, and these rows in place of those of the same level."""
    extended = record.model_copy(update={"metrics": record.metrics | metrics})
    rows = pd.read_parquet(results / f"{record.run.id}.parquet")
    perturbed = pd.concat(tables).drop(columns="logits").assign(level=level)
    records.save_run(results, extended, pd.concat([rows[rows["level"] != level], perturbed], ignore_index=True))
    return extended


def _select_held_out(videos: VideoSet, card: DetectorCard) -> VideoSet:
    """The held-out videos: all reals, and fakes of the methods that the detector was trained on."""
    methods = card.clip_format.methods
    return videos.split("holdout").select(lambda row: row.method is None or row.method in methods)


def _score_perturbation(job: _PerturbationJob, report: ReportProgress) -> None:
    loaded = load_detector(job.folder, device=job.device)
    scores = job.record.with_suffix(".parquet")
    table = score_perturbed(loaded.detector, job.videos, job.name, loaded.card.rule, report)
    with atomic_path(scores) as temporary:
        table.to_parquet(temporary, index=False)
    PerturbedScoresRecord(made_from=job.key, scores_sha256=sha256_file(scores)).save(job.record)
