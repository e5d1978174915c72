"""The holdout protocol: a manifest in; a trained detector, its card and its metrics on held-out people out.

    leak audit → train on the training set → freeze threshold and calibration on the validation set
               → measure on the held-out set → negative controls

A detector that was trained elsewhere goes the same way without training; its training set describes the clips and
methods that its threshold is for.

Called again with the same config and videos it only measures; killed while it trains, it resumes.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args

from dancebench.core.artifacts import find_existing
from dancebench.core.files import sha256_file, sha256_json
from dancebench.core.metric import Metric
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.stats.inference import share_interval
from dancebench.datasets.corpora.manifest import Split
from dancebench.datasets.video.clips import describe_encoder
from dancebench.detect.detectors.base import Detector, DetectorConfig, add_revision, find_detector_class
from dancebench.detect.evaluation.aggregation import DEFAULT_RULE, LearnedRule, Rule, check_rule, find_rule
from dancebench.detect.evaluation.breakdowns import (
    break_down_by_method,
    break_down_by_rule,
    break_down_by_source,
    select_methods,
)
from dancebench.detect.evaluation.calibration import Calibrations
from dancebench.detect.evaluation.calibration_metrics import (
    collect_ratio_figures,
    describe_overconfidence,
    fit_calibrations,
    keep_calibration_scores,
    measure_calibration,
    save_figures,
)
from dancebench.detect.evaluation.controls import list_flags, measure_null_shift, permute_labels
from dancebench.detect.evaluation.metrics import (
    Thresholds,
    choose_thresholds,
    evaluate,
    evaluate_per_subject,
    measure_error_rates,
)
from dancebench.detect.evaluation.score_tables import ScoreTables, UnscoredVideo, make_score_tables
from dancebench.detect.evaluation.training_domain import TrainingDomain, fit_training_domain
from dancebench.detect.inputs.leak_audit import describe_shared_ancestors, require_one_size
from dancebench.detect.inputs.pairs import load_pool
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.inputs.view import ViewName
from dancebench.detect.protocol.card import (
    CARD,
    NO_TRAINING_DOMAIN,
    ClipFormat,
    DetectorCard,
    LoadedDetector,
    SplitData,
    load_weights,
)
from dancebench.detect.protocol.description import VideoSetRecord

_STATE = "training-"


@dataclass(frozen=True)
class HoldoutResult:
    """A trained detector and its results on the held-out people."""

    folder: Path
    card: DetectorCard
    metrics: dict[str, Metric]
    """Those of the card: `video_…` and `pair_…`, with 95% confidence intervals by person, and the controls."""
    per_subject: dict[str, dict[str, float | None]]
    """Metric -> held-out subject -> value."""
    tables: ScoreTables
    """Scores of the held-out videos, including fakes of methods that were not trained on."""
    failures: list[UnscoredVideo]
    """Training videos that could not be looked at, validation and held-out videos without a score."""


def train_and_evaluate(
    videos: VideoSet,
    description: VideoSetRecord,
    detector_name: str,
    config: DetectorConfig,
    folder: Path,
    report: ReportProgress = ignore_progress,
    *,
    aggregator: str = DEFAULT_RULE,
    device: str = "cpu",
    count_all_methods: bool = False,
) -> HoldoutResult:
    """Train a detector, freeze its thresholds on the validation set, measure it on held-out people, write its card.

    Args:
        videos: With splits train, validation and holdout.
        description: Of the same videos, which were audited for it.
        detector_name: Its name in the registry.
        config: Of the detector's `Config` class.
        folder: Where weights, loss log and card are written.
        report: Progress.
        aggregator: Rule from pair logits to a video's score.
        device: `cpu` or `cuda`.
        count_all_methods: Whether held-out fakes count whatever their method; else those of the methods trained on.

    Raises:
        UnknownNameError: No such detector or aggregator.
        BenchError: Training or validation lack a kind of video, or a training video cannot be read.
        ValueError: The description is of other videos.
    """
    check_rule(aggregator)  # before hours of training
    _require_description(videos, description)
    training, held_out = videos.split("train").select(lambda row: row.problem is None), videos.split("holdout")
    training_id = _make_training_id(detector_name, config, training)
    detector = _load_or_train(detector_name, config, training_id, folder, training, device, report)
    training_domain = fit_training_domain(
        [description.features[row.video_id] for row in training], [row.subject_id for row in training]
    )
    validation = make_score_tables(detector, videos.split("validation"), report)
    frozen = _freeze_on_validation(validation, aggregator, training.methods)
    tested = _measure_on_test(
        detector, frozen, training_domain, None if count_all_methods else training.methods, held_out, description,
        config.seed, report,
    )  # fmt: skip
    metrics, holdout = tested.metrics, tested.counted
    card = DetectorCard(
        detector=detector_name,
        revision=detector.REVISION,
        config=config.model_dump(mode="json"),
        parameters=detector.parameters,
        weights_sha256=sha256_file(folder / detector.WEIGHTS),
        origin=detector.origin,
        training_id=training_id,
        data={split: _describe_split(videos.split(split)) for split in get_args(Split)},
        pictures=training.real_pictures,
        clip_format=_describe_clip_format(training, config.view),
        training_domain=training_domain,
        aggregator=aggregator,
        learned=frozen.learned,
        thresholds=frozen.thresholds,
        calibration=frozen.calibration,
        metrics=metrics,
        error_rates=measure_error_rates(holdout, frozen.thresholds.video),
        ratios=collect_ratio_figures(holdout, frozen.calibration),
        flags=(
            *list_flags(metrics),
            *describe_overconfidence(frozen.calibration),
            *describe_shared_ancestors(videos.rows),
        ),
    )
    keep_calibration_scores(folder, validation.aggregate_by(frozen.rule, aggregator), training.methods)
    save_figures(folder, holdout, frozen.thresholds, frozen.calibration)
    card.save(folder / CARD)
    _remove_states(folder)
    return HoldoutResult(
        folder, card, metrics, tested.per_subject, tested.tables,
        [*_list_unseen(videos.split("train")), *frozen.failures, *tested.tables.failures],
    )  # fmt: skip


def evaluate_elsewhere(
    loaded: LoadedDetector, videos: VideoSet, description: VideoSetRecord, report: ReportProgress = ignore_progress
) -> HoldoutResult:
    """Measure a trained detector on another test set: its training, thresholds and calibration stay as they are.

    Args:
        loaded: The detector.
        videos: The training and validation videos that it has, and others as held-out ones; fakes of every method
            count.
        description: Of the same videos.
        report: Progress.

    Raises:
        ValueError: The description is of other videos.
    """
    card = loaded.card
    _require_description(videos, description)
    frozen = _FrozenDecisions(card.aggregator, card.learned, card.rule, card.thresholds, card.calibration, [])
    tested = _measure_on_test(
        loaded.detector, frozen, card.training_domain, None, videos.split("holdout"), description,
        loaded.detector.config.seed, report,
    )  # fmt: skip
    return HoldoutResult(
        loaded.folder, card, tested.metrics, tested.per_subject, tested.tables, list(tested.tables.failures)
    )


class _TestResult(NamedTuple):
    """What was measured on held-out videos."""

    metrics: dict[str, Metric]
    per_subject: dict[str, dict[str, float | None]]
    counted: ScoreTables
    """Of the videos behind the metrics."""
    tables: ScoreTables
    """Of all held-out videos."""


def _measure_on_test(
    detector: Detector, frozen: _FrozenDecisions, training_domain: TrainingDomain | None,
    methods: Collection[str] | None, held_out: VideoSet, description: VideoSetRecord, seed: int, report: ReportProgress,
) -> _TestResult:  # fmt: skip
    """Score held-out videos and measure; fakes of `methods` count (None: of all), the others are broken down alone."""
    tables = make_score_tables(detector, held_out, report).aggregate_by(frozen.rule, frozen.aggregator)
    counted = tables if methods is None else select_methods(tables, methods)
    scored = set(counted.scored["video_id"])
    measured = held_out.select(lambda row: row.video_id in scored)
    metrics = {
        **_measure_scores(counted, tables, frozen, seed),
        "abstained": _measure_abstentions(measured, description, training_domain),
        "null_shift": measure_null_shift(detector, measured, counted, frozen.rule, report),
        **description.controls,
    }
    return _TestResult(metrics, evaluate_per_subject(counted, frozen.thresholds), counted, tables)


def _require_description(videos: VideoSet, description: VideoSetRecord) -> None:
    if description.videos_sha256 != videos.sha256:
        raise ValueError("the description is of other videos: describe_video_set makes that of these")


def _list_unseen(training: VideoSet) -> list[UnscoredVideo]:
    """The training videos of which there is no view: nothing was learned from them."""
    return [UnscoredVideo(item=row.video_id, reason=row.problem) for row in training if row.problem is not None]


@dataclass(frozen=True)
class _FrozenDecisions:
    """What is frozen on the validation set, before any held-out video is scored."""

    aggregator: str
    learned: LearnedRule | None
    rule: Rule
    thresholds: Thresholds
    calibration: Calibrations
    failures: list[UnscoredVideo]


def _freeze_on_validation(validation: ScoreTables, aggregator: str, seen: Collection[str]) -> _FrozenDecisions:
    """Fit the learned rule, the decision thresholds and the calibrations on the validation set alone.

    Where it has fakes of methods other than those `seen` in training, the calibrations are of these.
    """
    learned = validation.fit_rule()
    rule = find_rule(aggregator, learned)
    tables = validation.aggregate_by(rule, aggregator)
    return _FrozenDecisions(
        aggregator, learned, rule, choose_thresholds(tables), fit_calibrations(tables, seen), tables.failures
    )


def _measure_scores(
    holdout: ScoreTables, all_methods: ScoreTables, frozen: _FrozenDecisions, seed: int
) -> dict[str, Metric]:
    """The metrics that need only scores; `all_methods` also has the fakes of methods that were not trained on."""
    return {
        **evaluate(holdout, frozen.thresholds),
        **measure_calibration(holdout, frozen.calibration),
        **permute_labels(holdout, seed=seed),
        **break_down_by_source(holdout, frozen.thresholds),
        **break_down_by_method(all_methods, frozen.thresholds),
        **break_down_by_rule(holdout, frozen.learned),
    }


def _load_or_train(
    name: str, config: DetectorConfig, training_id: str, folder: Path, training: VideoSet,
    device: str, report: ReportProgress,
) -> Detector:  # fmt: skip
    """The detector of this training id: loaded if its training is finished, resumed if it was interrupted.

    One that was trained elsewhere is only copied.
    """
    card = find_existing(folder / CARD, DetectorCard, training_id)
    if card is not None:
        return load_weights(folder, card, config, device=device)
    (folder / CARD).unlink(missing_ok=True)  # it describes weights that are about to be replaced
    state = folder / f"{_STATE}{training_id[:16]}"  # so that no other training resumes from it
    detector = find_detector_class(name)(config, device)
    if detector.LEARNS:
        pool = load_pool(
            training, config.size, report,
            window=detector.window, degraded=config.degraded, copies=config.copies, seed=config.seed,
            reals_alone=detector.REALS_ALONE,
        )  # fmt: skip
        detector.fit(pool, state, report)
    detector.save(folder)
    return detector


def _measure_abstentions(
    videos: VideoSet, description: VideoSetRecord, training_domain: TrainingDomain | None
) -> Metric:
    """Share of the clips that are out of distribution, so that the detector abstains on them."""
    unit = "share of the held-out videos that lie outside the training domain"
    if training_domain is None:
        return Metric(value=None, reason=NO_TRAINING_DOMAIN, n=0, unit=unit, higher_is_better=False)
    known = videos.select(lambda row: row.video_id in description.features)
    outside = [training_domain.compare(description.features[row.video_id]).outside for row in known]
    if not outside:
        return Metric(value=None, reason="no video was scored", n=0, unit=unit, higher_is_better=False)
    interval = share_interval(outside, [row.subject_id for row in known])
    return Metric(value=sum(outside) / len(outside), ci95=interval, n=len(outside), unit=unit, higher_is_better=False)


def _remove_states(folder: Path) -> None:
    """Delete the resumable state of a finished training, except for its loss log."""
    for state in folder.glob(f"{_STATE}*"):
        for log in state.glob("*.jsonl"):
            log.replace(folder / log.name)
        shutil.rmtree(state)


def _make_training_id(name: str, config: DetectorConfig, training: VideoSet) -> str:
    settings = config.model_dump(mode="json", exclude={"pairs"})  # how many pairs are scored changes no weight
    made_of = [name, settings, _describe_split(training).sha256]
    return sha256_json(add_revision(made_of, find_detector_class(name).REVISION))


def _describe_split(rows: VideoSet) -> SplitData:
    entries = sorted([row.video_id, row.subject_id, row.label, row.sha256] for row in rows)
    subjects = tuple(sorted({row.subject_id for row in rows}))
    return SplitData(sha256=sha256_json(entries), n_videos=len(rows), subjects=subjects)


def _describe_clip_format(training: VideoSet, view: ViewName) -> ClipFormat:
    height, width = require_one_size(training.rows)
    return ClipFormat(
        clip_height=height,
        clip_width=width,
        view=view,
        fps_min=min(row.known_fps for row in training),
        fps_max=max(row.known_fps for row in training),
        methods=tuple(sorted(training.methods)),
        encoder=describe_encoder(),
    )
