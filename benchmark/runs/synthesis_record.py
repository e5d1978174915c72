"""Measuring what synthesis left, and the record of a run.

Synthesized clips ──▶ per-frame rows ──▶ values per subject ──▶ results/

A run may train each subject under several seeds: a subject's value is then the mean over them, and the
record says how far the seeds lie apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from dancebench.benchmark.jobs import Job, JobFailure, require_all, run_jobs
from dancebench.benchmark.metrics.base import METRICS
from dancebench.benchmark.metrics.fake_clip import measure_fake
from dancebench.benchmark.metrics.per_subject import average_per_subject, count_frames, explain_null
from dancebench.benchmark.metrics.perceptual import Lpips
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.runs.synthesis import SynthesisJob, SynthesisResult, synthesize_all
from dancebench.core.files import sha256_json
from dancebench.core.metric import Metric
from dancebench.core.nn.trunks import TrunkUnavailableError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.stats import mean_interval
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.catalogue import TRUTH
from dancebench.datasets.pose.skeleton import Keypoints, scale_keypoints
from dancebench.datasets.subjects.dataset import Dataset, Subject
from dancebench.datasets.subjects.prepare import read_poses
from dancebench.datasets.subjects.real_clips import list_shown_frames
from dancebench.leaderboards import records
from dancebench.leaderboards.tables import COLUMNS
from dancebench.synth.base import METHODS, LearnedMethod

_PRIMARY: Final = COLUMNS["synthesis"][0].metric


def read_body_points(made: SynthesisResult) -> Keypoints:
    """Poses of the real frames, float32 [T, 75, 3] in pixels of the fake: they drove it and define the regions."""
    return _scale_to_fake(made, _open_subject(made).keypoints())


def read_true_points(made: SynthesisResult) -> Keypoints | None:
    """The true keypoints of a drawn dancer, as `read_body_points`; None of a recording."""
    path = _open_subject(made).folder / TRUTH
    return _scale_to_fake(made, read_poses(path)) if path.exists() else None


def _open_subject(made: SynthesisResult) -> Subject:
    return Dataset.open(Workspace(made.job.workspace), made.job.dataset).subject(made.job.subject)


def _scale_to_fake(made: SynthesisResult, keypoints: Keypoints) -> Keypoints:
    subject = _open_subject(made)
    factors = made.real.width / subject.size[1], made.real.height / subject.size[0]
    return scale_keypoints(keypoints[list_shown_frames(subject)], *factors)


def measure_synthesized(made: SynthesisResult, report: ReportProgress = ignore_progress) -> pd.DataFrame:
    """Per-frame rows of one subject: the fake against the real."""
    shown = list_shown_frames(_open_subject(made))
    rows = measure_fake(
        made.fake_path,
        made.real_path,
        read_body_points(made),
        truth=read_true_points(made),
        starts=np.diff(shown, prepend=shown[0] - 2) != 1,
        lpips=load_lpips()[0],
        report=report,
    )
    item = f"{made.job.subject}/{made.job.subject}/{made.job.method}"
    return rows.assign(item=item, subject=made.job.subject, seed=made.job.config.seed)


def measure_all(made: Sequence[SynthesisResult], *, workers: int, report: ReportProgress) -> pd.DataFrame:
    """The rows of all of them, one after the other.

    Raises:
        BenchError: One cannot be measured.
    """
    jobs = [Job(f"measuring {each.job.method} on {each.job.subject}", measure_synthesized, each) for each in made]
    outcomes = run_jobs(jobs, workers=workers, report=report)
    return pd.concat(require_all(outcomes), ignore_index=True)


def run_synthesis(
    jobs: Sequence[SynthesisJob], *, clock: RunClock, workers: int, report: ReportProgress
) -> tuple[records.RunRecord, list[SynthesisResult]]:
    """Run one method on one or more subjects of a dataset, measure it and save the record.

    Raises:
        BenchError: Not one subject could be synthesized; says why the first could not.
    """
    outcomes = synthesize_all(jobs, workers=workers, report=report)
    return record_synthesis(jobs, outcomes, clock=clock, workers=workers, report=report)


def record_synthesis(
    jobs: Sequence[SynthesisJob],
    outcomes: Sequence[SynthesisResult | JobFailure],
    *,
    clock: RunClock,
    workers: int,
    report: ReportProgress,
) -> tuple[records.RunRecord, list[SynthesisResult]]:
    """Measure what the jobs of one method left, and save the record of the run.

    Raises:
        BenchError: No job left anything.
    """
    made = [outcome for outcome in outcomes if isinstance(outcome, SynthesisResult)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, JobFailure)]
    if not made:
        raise failed[0].to_error()
    rows = measure_all(made, workers=workers, report=report)
    values = average_per_subject(rows)  # over the frames of all seeds
    lpips_reason = load_lpips()[1]
    record = records.RunRecord(
        run=_describe_run(jobs, clock),
        data=_describe_data(jobs, made),
        entry=_describe_entry(made, rows),
        metrics={str(name): _make_metric(str(name), rows, values, lpips_reason) for name in values},
        per_subject={
            str(subject): {str(name): None if pd.isna(value) else float(value) for name, value in row.items()}
            for subject, row in values.iterrows()
        },
        failures=[records.Failure(item=each.label, reason=each.message) for each in failed],
    )
    records.save_run(Workspace(jobs[0].workspace).results, record, rows)
    return record, made


def load_lpips() -> tuple[Lpips | None, str | None]:
    """LPIPS if its trunk is at hand, else None and why; nothing is downloaded to judge."""
    try:
        return Lpips("squeeze"), None
    except TrunkUnavailableError as error:
        return None, error.message


def _make_metric(name: str, rows: pd.DataFrame, values: pd.DataFrame, lpips_reason: str | None) -> Metric:
    """The mean over subjects of each one's value, with its interval by subject."""
    info = METRICS[name]
    there = values[name].dropna()
    if there.empty:
        reason = lpips_reason if "lpips" in name and lpips_reason else explain_null(rows, name)
        return Metric(value=None, reason=reason, n=0, unit=info.unit, higher_is_better=info.higher_is_better)
    return Metric(
        value=float(there.mean()),
        ci95=mean_interval(there.tolist(), [str(subject) for subject in there.index]),
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
        "dataset_id": Dataset.open(Workspace(job.workspace), job.dataset).record.dataset_id,
        "subjects": sorted({each.subject for each in jobs}),
    }
    seeds = _list_seeds(jobs)
    if len(seeds) > 1:
        identity["seeds"] = seeds
    named = {f"training {k}": seed for k, seed in enumerate(seeds)} if len(seeds) > 1 else {"training": seeds[0]}
    return clock.run("synthesis", job.method, sha256_json(identity), seeds=named, device=job.device)


def _list_seeds(jobs: Sequence[SynthesisJob]) -> list[int]:
    return sorted({job.config.seed for job in jobs})


def _select_deciding_config(job: SynthesisJob) -> dict[str, Any]:
    """What of the configuration a method's outcome depends on: retrieval knows no seed and no trunk."""
    learned = issubclass(METHODS[job.method], LearnedMethod)
    return job.config.model_dump(mode="json") if learned else {"long_side": job.config.long_side}


def _describe_data(jobs: Sequence[SynthesisJob], made: Sequence[SynthesisResult]) -> records.Data:
    dataset = Dataset.open(Workspace(jobs[0].workspace), jobs[0].dataset)
    return records.Data(
        dataset=jobs[0].dataset,
        dataset_id=dataset.record.dataset_id,
        content_sha256=dataset.content_sha256(sorted({each.job.subject for each in made})),
        n_original=len(jobs),
        n_effective=len(made),
    )


def _describe_entry(made: Sequence[SynthesisResult], rows: pd.DataFrame) -> records.Entry:
    first = made[0]
    learned = first.trained.steps > 0
    seeds = _list_seeds([each.job for each in made])
    return records.Entry(
        name=first.job.method,
        preset=first.job.preset,
        weights_sha256={
            each.job.subject if len(seeds) == 1 else f"{each.job.subject}, seed {each.job.config.seed}": (
                each.trained.weights_sha256
            )
            for each in made
        },
        parameters=first.trained.parameters,
        steps=first.trained.steps if learned else None,
        seconds_training=round(sum(each.trained.seconds for each in made), 1) if learned else None,
        notes={
            "frame_size": f"{first.real.height}x{first.real.width}",
            # One that was used by any: it must not judge the others either.
            "perceptual_trunk": max((each.trained.trunk for each in made), key=lambda trunk: trunk != "off"),
            "perceptual_trunk_reason": first.trained.trunk_reason,
            "precision": first.job.config.precision if learned else None,
            "training_seeds": min(_count_seeds(made).values()) if learned else None,
            "seed_spread": _describe_seed_spread(rows) if len(seeds) > 1 else None,
        },
    )


def _count_seeds(made: Sequence[SynthesisResult]) -> Counter[str]:
    """Under how many seeds each subject was trained and measured."""
    return Counter(each.job.subject for each in made)


def _describe_seed_spread(rows: pd.DataFrame) -> str:
    """The leaderboard's first metric under each seed, so that a lead can be held against luck."""
    by_seed = {int(str(seed)): average_per_subject(part)[_PRIMARY].mean() for seed, part in rows.groupby("seed")}
    return f"{_PRIMARY} by training seed: " + ", ".join(f"{value:.4f}" for _, value in sorted(by_seed.items()))
