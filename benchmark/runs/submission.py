"""Submitted scores of another system, ranked next to ours: a CSV in, a run record of kind detection out.

scores.csv ──▶ the manifest of a detection run ──▶ metrics on its held-out people ──▶ results/

The record names the same data as that run's, so both appear in one section of the leaderboard. What describes
the videos themselves (quality of the fakes, shortcut baselines) was measured once, for all detectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from dancebench.benchmark.runs.protocol_fakes import SPLITS
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file, sha256_json
from dancebench.core.metric import Metric
from dancebench.core.schema import Name
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.detect.detectors.base import DETECTORS
from dancebench.detect.evaluation.aggregation import DEFAULT_RULE
from dancebench.detect.evaluation.controls import list_flags
from dancebench.detect.inputs.leak_audit import audit_leaks, require_one_size
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol.catalogue import HOLDOUT, load_built_in
from dancebench.detect.protocol.description import SHORTCUTS, VideoSetRecord, find_description
from dancebench.detect.protocol.score_file import Submission, read_submission
from dancebench.detect.protocol.submitted_scores import (
    SubmissionResult,
    SubmittedTables,
    measure_submission,
    tabulate_submission,
)
from dancebench.leaderboards import records

PRESET: Final = "submitted"


@dataclass(frozen=True)
class RequestedVideos:
    """The videos to be scored.

    Attributes:
        videos: All splits of the manifest.
        run: The detection run that made them; None if its record is not found.
        description: What a detection run measured of them; None if none of this release did.
    """

    videos: VideoSet
    run: records.RunRecord | None
    description: VideoSetRecord | None

    @property
    def controls(self) -> dict[str, Metric]:
        """The negative controls that no detector has a part in; a run of an earlier release has them in its record."""
        if self.description is not None:
            return dict(self.description.controls)
        return (
            {} if self.run is None else {name: self.run.metrics[name] for name in SHORTCUTS if name in self.run.metrics}
        )


def run_submission(
    workspace: Workspace,
    dataset: Dataset,
    scores: Path,
    name: str,
    manifest: Path | None = None,
    *,
    aggregator: str = DEFAULT_RULE,
    argv: list[str],
) -> records.RunRecord:
    """Validate a file of scores, evaluate it on the held-out people, and save its record.

    A name identifies one system: if it is submitted again for the same videos, its scores replace the older ones.

    Args:
        workspace: Workspace of the dataset.
        dataset: Whose people the videos show.
        scores: CSV, see `score_file`.
        name: Name of the system.
        manifest: Manifest of the videos; None: that of the dataset's newest detection run.
        aggregator: Rule from pair logits to a video's score, for pair tables.
        argv: The command, for the record.

    Raises:
        UnknownNameError: There is no such aggregator.
        BenchError: The name is taken or invalid, the manifest is missing, of another dataset or leaks, or the
            scores are refused.
    """
    clock = RunClock(argv)
    _check_name(name)
    requested = _find_requested(workspace, dataset, manifest)
    rows = requested.videos.rows
    submission = read_submission(scores, rows)
    submitted = tabulate_submission(submission, rows, aggregator)
    digest = sha256_json(
        {
            "submitted": name,
            "aggregator": aggregator,
            "videos": sorted([row.video_id, row.sha256] for row in rows),
            "dataset_id": dataset.record.dataset_id,
        }
    )
    measured = measure_submission(submitted, rows)
    run = clock.run("detection", name, digest, seeds={}, device="none")
    record = _make_record(name, dataset, requested, sha256_file(scores), submission, submitted, measured, run)
    records.save_run(workspace.results, record, submitted.holdout.join_levels())
    return record


def _check_name(name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise BenchError(
            f"'{name}' cannot be the name of a system.",
            hint="Use up to 64 letters, digits, dots, dashes and underscores.",
        ) from error
    if name.casefold() in DETECTORS.names():
        raise BenchError(f"'{name}' is a detector of this release.", hint="Give the submitted scores another --name.")


# ---------------------------------------------------------------- manifest


def _find_requested(workspace: Workspace, dataset: Dataset, manifest: Path | None) -> RequestedVideos:
    runs = {run.run.id: run for run in records.load_runs(workspace.results)[0]}
    path = manifest or _find_newest_manifest(workspace, dataset, list(runs.values()))
    videos = VideoSet.open(path)
    held_out = {row.subject_id for row in videos.split("holdout")}
    unknown = sorted(held_out - set(dataset.ids("holdout")))
    if unknown or not held_out:
        what = f"'{unknown[0]}'" if unknown else "nobody"
        raise BenchError(
            f"{path.name} holds out {what}, but dataset '{dataset.record.name}' holds out other people.",
            hint="Name the --dataset and the --manifest of one detection run.",
        )
    audit_leaks(videos.rows)
    run = runs.get(path.name.removesuffix(".jsonl").removesuffix(".manifest"))
    return RequestedVideos(videos, run, find_description(videos, workspace.video_set(videos.sha256)))


def _find_newest_manifest(workspace: Workspace, dataset: Dataset, runs: Sequence[records.RunRecord]) -> Path:
    """The manifest of the dataset's newest detection run."""
    found = [
        (run.run.started, run.run.id)
        for run in runs
        if run.run.kind == "detection"
        and run.data.dataset_id == dataset.record.dataset_id
        and workspace.manifest(run.run.id).is_file()
    ]
    if not found:
        raise BenchError(
            f"No detection run of dataset '{dataset.record.name}' defines which videos to score.",
            hint=f"bench detect --holdout --dataset {dataset.record.name} makes them; or name a --manifest.",
        )
    return workspace.manifest(max(found)[1])


# ---------------------------------------------------------------- record


def _make_record(
    name: str,
    dataset: Dataset,
    requested: RequestedVideos,
    scores_sha256: str,
    submission: Submission,
    submitted: SubmittedTables,
    measured: SubmissionResult,
    run: records.Run,
) -> records.RunRecord:
    held_out = requested.videos.split("holdout").rows
    metrics = measured.metrics | requested.controls
    return records.RunRecord(
        run=run,
        data=records.Data(
            dataset=dataset.name,
            dataset_id=dataset.record.dataset_id,
            content_sha256=dataset.content_sha256(dataset.ids(*SPLITS)),
            videos_sha256=requested.videos.sha256,
            protocol=_find_protocol(requested.run),
            train_fraction=dataset.record.split.train_fraction,
            n_original=len(held_out),
            n_effective=len(held_out) - len(submitted.missing),
        ),
        entry=records.Entry(
            name=name,
            preset=PRESET,
            weights_sha256={},
            parameters={},
            facts=records.DetectionFacts(
                frame_size="{}x{}".format(*require_one_size(held_out)),
                fakes=_copy_fakes(requested.run),
                aggregator=str(submitted.holdout.videos["aggregator"].iloc[0]),
                submitted=_describe_scores(scores_sha256, submitted, measured),
                warnings=_list_warnings(submitted, measured, metrics),
                remarks=submission.remarks,
            ),
        ),
        metrics=metrics,
        per_subject={
            subject: {metric: values.get(subject) for metric, values in measured.per_subject.items()}
            for subject in sorted({row.subject_id for row in held_out})
        },
        failures=[records.Failure(item=each.item, reason=each.reason) for each in submitted.failures],
    )


def _describe_scores(sha256: str, submitted: SubmittedTables, measured: SubmissionResult) -> records.SubmittedScores:
    validation = submitted.validation
    problem = "of one class only" if len(validation.scored) else "not in the file"
    return records.SubmittedScores(
        sha256=sha256,
        missing_holdout=len(submitted.missing),
        missing_validation=len(validation.videos) - len(validation.scored),
        thresholds_reason=f"scores of validation people are {problem}" if measured.thresholds is None else None,
    )


def _list_warnings(
    submitted: SubmittedTables, measured: SubmissionResult, metrics: dict[str, Metric]
) -> tuple[str, ...]:
    found = list_flags(metrics) if "shortcut_p" in metrics else []
    missing, total = len(submitted.missing), len(submitted.holdout.videos)
    unscored = [f"{missing} of {total} held-out videos had no score and count as the worst"] if missing else []
    return (*found, *measured.flags, *unscored)


def _find_protocol(run: records.RunRecord | None) -> records.ProtocolReference | None:
    """That of the run that made the videos; where its record is not found, that of `bench detect --holdout`."""
    if run is not None:
        return run.data.protocol
    return records.ProtocolReference(**load_built_in(HOLDOUT).key._asdict())


def _copy_fakes(run: records.RunRecord | None) -> records.Fakes | None:
    """The fakes and their quality, from the record of the run that made them."""
    facts = None if run is None else run.entry.facts
    return facts.fakes if isinstance(facts, records.DetectionFacts) else None
