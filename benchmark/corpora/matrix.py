"""Detection runs on outside corpora: a protocol in; a detector of each training, measured on every test set, out.

    corpora, read where they lie → views of their videos → a training for each fold → thresholds and calibration
    from its validation people → every test set: metrics, negative controls, a run record each

The first test set of a fold stands in the detector's card. Where the protocol leaves something to each entry (view,
windows, aggregation rule), the job has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dancebench.benchmark.jobs import Job, require_all, run_jobs
from dancebench.benchmark.runs.detection import describe_outcome
from dancebench.benchmark.runs.robustness import score_perturbed_copies
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.views import (
    check_configuration,
    choose_view,
    configure_for_run,
    list_view_warnings,
    read_null_control,
    view_videos,
)
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json
from dancebench.core.progress import ReportProgress
from dancebench.core.schema import describe_fields
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import VideoRow, write_manifest
from dancebench.datasets.pose.extractors.base import find_default_extractor
from dancebench.detect.detectors.base import DetectorConfig, find_detector_class, label_detector
from dancebench.detect.evaluation.aggregation import DEFAULT_RULE, check_rule
from dancebench.detect.evaluation.calibration_metrics import describe_fakes
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.inputs.view import View, ViewRequest
from dancebench.detect.inputs.view_cache import choose_rate
from dancebench.detect.protocol.card import CARD, DetectorCard, load_detector
from dancebench.detect.protocol.definition import DATASET, OWN, Part, Protocol
from dancebench.detect.protocol.description import VideoSetRecord, describe_video_set
from dancebench.detect.protocol.export import export_trained
from dancebench.detect.protocol.holdout import HoldoutResult, evaluate_elsewhere, train_and_evaluate
from dancebench.detect.protocol.selection import CorpusCopy, FoldVideos, find_copy, select_fold
from dancebench.leaderboards import records


@dataclass(frozen=True)
class MatrixJob:
    """Everything that determines a detector's part of a matrix.

    Attributes:
        protocol: What is trained, validated and tested on.
        copies: The corpora of this disk.
        preset: Of the detector's settings.
        pairs: Windows scored of each video; None: the protocol's, else the preset's.
        view: What is looked at; None: the protocol's, else what the detector says itself.
        aggregator: Rule from window logits to a video's score; None: the protocol's, else the mean logit.
        robustness: Whether the test videos are also scored under perturbations.
        fields: Further fields of the detector's configuration, by path.
        export: Whether its network is also written as an ONNX file.
    """

    workspace: Workspace
    protocol: Protocol
    copies: tuple[CorpusCopy, ...]
    detector: str
    preset: str
    seed: int = 0
    device: str = "cpu"
    aggregator: str | None = None
    pairs: int | Literal["all"] | None = None
    view: ViewRequest | None = None
    robustness: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    export: bool = False

    @property
    def name(self) -> str:
        """What records, tables and folders call the detector."""
        return label_detector(self.detector)


@dataclass(frozen=True)
class MatrixResult:
    """A row of the matrix: a detector of one training."""

    folder: Path
    """Of the detector."""
    records: tuple[records.RunRecord, ...]
    """One for each test set."""
    exported: Path | None = None
    """Its network as an ONNX file, where that was asked for."""


@dataclass(frozen=True)
class _Test:
    """A test set beside the training and validation videos of its fold."""

    name: str
    videos: VideoSet
    description: VideoSetRecord


@dataclass(frozen=True)
class _Training:
    job: MatrixJob
    fold: str
    view: View
    config: DetectorConfig
    tests: tuple[_Test, ...]
    trained_on: str
    argv: tuple[str, ...]


def settle_job(job: MatrixJob) -> MatrixJob:
    """The job with what its protocol fixes.

    Raises:
        UnknownNameError: There is no such detector, preset, rule, or field of its configuration.
        BenchError: The job asks for something else than the protocol fixes, or the protocol needs a prepared dataset.
    """
    protocol = job.protocol
    if any(part.corpus == DATASET for _, part in protocol.parts()):
        raise BenchError(
            f"Protocol '{protocol.name}' is of a prepared dataset, and not of corpora.",
            hint="Use bench detect --holdout.",
        )
    check_configuration(job.detector, job.fields, export=job.export)
    view = job.view
    if protocol.view != OWN:
        if view is not None and view.name != protocol.view:
            raise _fixed_error(protocol, "view", protocol.view, "--view")
        view = view or ViewRequest(protocol.view)
    choose_view(view, job.detector, job.preset, as_they_are=False)
    pairs: int | Literal["all"] | None = job.pairs
    if protocol.windows != OWN:
        if pairs not in (None, protocol.windows):
            raise _fixed_error(protocol, "windows", protocol.windows, "--pairs")
        pairs = protocol.windows
    aggregator = job.aggregator
    if protocol.aggregation != OWN:
        if aggregator not in (None, protocol.aggregation):
            raise _fixed_error(protocol, "aggregation rule", protocol.aggregation, "--aggregator")
        aggregator = protocol.aggregation
    check_rule(aggregator or DEFAULT_RULE)
    return replace(job, view=view, pairs=pairs, aggregator=aggregator or DEFAULT_RULE)


def _fixed_error(protocol: Protocol, what: str, value: object, option: str) -> BenchError:
    return BenchError(f"Protocol '{protocol.name}' fixes the {what}: {value}.", hint=f"Leave {option} out.")


def run_matrix(
    jobs: Sequence[MatrixJob], *, argv: list[str], workers: int, report: ReportProgress
) -> list[MatrixResult]:
    """Train each detector on each fold of the protocol, measure it on every test set, and record that.

    Args:
        jobs: Detectors under one protocol.
        argv: The command, for the records.
        workers: Number of worker processes.
        report: Progress.

    Raises:
        BenchError: As `settle_job` and `select_fold`; no view of a kind of training video can be made; or a detector
            could not be trained.
    """
    settled = [settle_job(job) for job in jobs]
    first = settled[0]
    trainings = []
    for fold in first.protocol.folds:
        selected = select_fold(first.protocol, fold, first.copies)
        prepared: dict[View, tuple[_Test, ...]] = {}
        for job in settled:
            view = choose_view(job.view, job.detector, job.preset, as_they_are=False)
            assert view is not None
            if view not in prepared:
                prepared[view] = _prepare_tests(job, fold, selected, view, workers, report)
            trainings.append(_plan_training(job, fold, view, prepared[view], argv))
    named_jobs = [Job(f"{each.job.detector} on {each.trained_on}", _train_and_record, each) for each in trainings]
    outcomes = run_jobs(named_jobs, workers=workers, report=report)
    results = require_all(outcomes)
    return [
        _add_robustness(training, result, workers, report) if training.job.robustness else result
        for training, result in zip(trainings, results, strict=True)
    ]


# ---------------------------------------------------------------- videos


def _prepare_tests(
    job: MatrixJob, fold: str, selected: FoldVideos, view: View, workers: int, report: ReportProgress
) -> tuple[_Test, ...]:
    """The views of a fold's videos, a set for each of its tests, described."""
    parts = job.protocol.find_fold(fold)
    fps = choose_rate(VideoSet(Path(), tuple(row for videos in selected.train for row in videos)))

    def look_at(sets: Sequence[VideoSet], of: Sequence[Part]) -> list[VideoRow]:
        rows: list[VideoRow] = []
        for videos, part in zip(sets, of, strict=True):
            made = view_videos(videos, view, job.workspace, fps=fps, workers=workers, report=report)
            rows += _name_by_corpus(made, find_copy(part, job.copies).name)
        return rows

    learned = [*look_at(selected.train, parts.train), *look_at(selected.validation, parts.validation)]
    tests = []
    for name, sets in selected.tests.items():
        videos = VideoSet(job.workspace.root, (*learned, *look_at(sets, parts.tests[name])))
        description = describe_video_set(
            videos,
            job.workspace.video_set(videos.sha256),
            seed=job.seed,
            refuse_leaks=job.protocol.leaks == "refuse",
            report=report,
        )
        videos.hash_files()
        tests.append(_Test(name, videos, description))
    return tuple(tests)


def _name_by_corpus(videos: VideoSet, corpus: str) -> list[VideoRow]:
    """The rows with identifiers that no other corpus has; people keep theirs, who may be in several."""
    return [
        row.model_copy(
            update={
                "video_id": f"{corpus}/{row.video_id}",
                "real_of": None if row.real_of is None else f"{corpus}/{row.real_of}",
                "group": None if row.group is None else f"{corpus}/{row.group}",
            }
        )
        for row in videos
    ]


# ---------------------------------------------------------------- trainings


def _plan_training(job: MatrixJob, fold: str, view: View, tests: tuple[_Test, ...], argv: list[str]) -> _Training:
    settings: dict[str, Any] = {} if job.pairs is None else {"pairs": job.pairs}
    if "extractor" in find_detector_class(job.detector).Config.model_fields and (name := find_default_extractor()):
        settings["extractor"] = name
    config = configure_for_run(job.detector, job.preset, view, job.seed, settings, job.fields)
    parts = job.protocol.find_fold(fold).train
    trained_on = ", ".join(dict.fromkeys(find_copy(part, job.copies).name for part in parts))
    if len(job.protocol.folds) > 1 and fold != trained_on:
        trained_on = f"{trained_on} ({fold})"
    return _Training(job, fold, view, config, tests, trained_on, tuple(argv))


def _train_and_record(training: _Training, report: ReportProgress) -> MatrixResult:
    job, made = training.job, []
    folder = job.workspace.detector(job.name, _name_run(training, None))
    rule = job.aggregator or DEFAULT_RULE
    for number, test in enumerate(training.tests):
        clock = RunClock(list(training.argv))
        if number == 0:
            result = train_and_evaluate(
                test.videos, test.description, job.name, training.config, folder, report,
                aggregator=rule, device=job.device, count_all_methods=True,
            )  # fmt: skip
        else:
            result = evaluate_elsewhere(load_detector(folder, device=job.device), test.videos, test.description, report)
        run_id = _name_run(training, test)
        write_manifest(job.workspace.manifest(run_id), test.videos)
        run = clock.run("detection", job.name, _digest(training, test), seeds={"detector": job.seed}, device=job.device)
        record = _make_record(training, test, result, run)
        records.save_run(job.workspace.results, record, result.tables.join_levels(result.card.calibration.video))
        made.append(record)
    return MatrixResult(folder, tuple(made), export_trained(folder) if job.export else None)


def _digest(training: _Training, test: _Test | None) -> str:
    """Of all that a run's result depends on; without a test set, of all that the training depends on."""
    job = training.job
    learned = training.tests[0].videos.split("train", "validation")
    return sha256_json(
        {
            "detector": job.name,
            "aggregator": job.aggregator,
            "config": training.config.model_dump(mode="json"),
            "view": str(training.view),
            "protocol": job.protocol.sha256,
            "fold": training.fold,
            "videos": learned.sha256 if test is None else test.videos.sha256,
            "test": None if test is None else test.name,
        }
    )


def _name_run(training: _Training, test: _Test | None) -> str:
    return records.new_run_id("detection", training.job.name, _digest(training, test))


def _add_robustness(training: _Training, result: MatrixResult, workers: int, report: ReportProgress) -> MatrixResult:
    job = training.job
    extended = [
        score_perturbed_copies(
            record, result.folder, test.videos, job.workspace.results,
            kept_in=result.folder / "perturbed" / test.name, every_method=True,
            device=job.device, workers=workers, report=report,
        )
        for record, test in zip(result.records, training.tests, strict=True)
    ]  # fmt: skip
    return replace(result, records=tuple(extended))


# ---------------------------------------------------------------- record


def _make_record(training: _Training, test: _Test, result: HoldoutResult, run: records.Run) -> records.RunRecord:
    job, held_out = training.job, test.videos.split("holdout").rows
    card = DetectorCard.load(result.folder / CARD)
    subjects = sorted({row.subject_id for row in held_out})
    items = {row.video_id for row in held_out}
    failed = [failure for failure in result.failures if failure.item in items]
    leaks = [f"the splits leak: {leak}" for leak in test.description.leaks]
    facts = records.DetectionFacts(
        frame_size=f"{training.view.height}x{training.view.width}",
        aggregator=card.aggregator,
        null_control=read_null_control(result.metrics["null_shift"]),
        weights_from=card.origin,
        settings=describe_fields(job.fields) or None,
        view=str(training.view),
        windows=card.config["pairs"],
        trained_on=training.trained_on,
        tested_on=test.name,
        warnings=(*card.flags, *list_view_warnings(test.videos), *leaks),
        remarks=tuple(describe_fakes(card.calibration)),
    )
    return records.RunRecord(
        run=run,
        data=records.Data(
            dataset=test.name,
            dataset_id=sha256_json(sorted([row.video_id, row.subject_id, row.label] for row in held_out)),
            content_sha256=sha256_json(sorted([row.video_id, row.sha256] for row in held_out)),
            videos_sha256=test.videos.sha256,
            protocol=records.ProtocolReference(**job.protocol.key._asdict()),
            n_original=len(held_out),
            n_effective=len(held_out) - len(failed),
        ),
        entry=records.Entry(
            name=job.name,
            preset=job.preset,
            weights_sha256={"detector": card.weights_sha256},
            parameters={} if card.parameters is None else {"detector": card.parameters},
            facts=facts,
        ),
        **describe_outcome(result, subjects),
    )
