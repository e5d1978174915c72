"""Making of the shipped detector: material that is named in; its folder, whole and sealed, out.

    material → pairs of reals and themselves through last stages (kept) → reconstructions (kept) → looks (kept)
             → scores, members and fusion left out of their fits → the best of members and fusion by these
             → threshold, calibration, metrics → the same fitted to all people → card, sources, model card → hashes

On one machine the same material gives the same files, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dancebench.core.files import atomic_folder, sha256_file, sha256_json, write_text
from dancebench.core.metric import Metric
from dancebench.core.progress import ReportProgress
from dancebench.datasets.video.clips import describe_encoder
from dancebench.detect.detectors.ensemble import Ensemble, EnsembleConfig
from dancebench.detect.detectors.traces.detector import Traces
from dancebench.detect.evaluation.aggregation import DEFAULT_RULE
from dancebench.detect.evaluation.breakdowns import break_down_by_method
from dancebench.detect.evaluation.calibration import Calibrations
from dancebench.detect.evaluation.calibration_metrics import (
    collect_ratio_figures,
    fit_calibrations,
    keep_calibration_scores,
    measure_calibration,
)
from dancebench.detect.evaluation.metrics import Thresholds, choose_thresholds, evaluate, measure_error_rates
from dancebench.detect.evaluation.score_tables import ScoreTables
from dancebench.detect.evaluation.training_domain import fit_training_domain
from dancebench.detect.protocol.card import CARD, ClipFormat, DetectorCard, SplitData
from dancebench.detect.shipped.crossfit import (
    TRACES,
    TYPICALITY,
    Candidate,
    LeftOut,
    decide_left_out,
    fit_whole,
    keep_ratios,
    list_candidates,
    score_members,
    select_matched,
)
from dancebench.detect.shipped.files import MODEL_CARD, seal
from dancebench.detect.shipped.last_stages import RECONSTRUCTIONS, make_reconstructions, measure_material_pairs
from dancebench.detect.shipped.material import RATE, WatchedVideo, find_member, make_views, read_material, watch
from dancebench.detect.shipped.model_card import TRIED, describe_detector
from dancebench.detect.shipped.sources import FILE as SOURCES
from dancebench.detect.shipped.sources import list_sources

DETECTOR: Final = "ensemble"
CONFIG: Final = EnsembleConfig(
    view="native",
    height=640,
    width=640,
    pairs=8,
    degraded=0.0,
    members=(TYPICALITY, TRACES),
    configs={
        TYPICALITY: {"patches": 6, "parts": ["patches", "whole"]},
        TRACES: {"frames": 6, "patches": 6, "drawn": 1},
    },
)
"""Of all that may ship: a member alone or all of them fused."""
_LEFT_OUT: Final = (
    "measured by cross-fitting: no score is of a fit that knew its source, and no ratio of a calibration that knew its "
    "source or method; there are no further held-out people"
)
_HELD_OUT_MEASURES: Final = ("auc", "eer", "ap", "tpr_fpr1", "tpr_fpr5")


def make_detector(
    folder: Path,
    table: Path,
    work: Path,
    target: Path,
    report: ReportProgress,
    config: EnsembleConfig = CONFIG,
    reconstructions: Sequence[str] = RECONSTRUCTIONS,
) -> DetectorCard:
    """Make the detector that ships.

    Args:
        folder: Of the videos.
        table: Their list.
        work: Where stages are kept, so that a killed making goes on.
        target: Folder of the detector, written whole or not at all; an earlier one is replaced.
        report: Progress.
        config: Its settings.
        reconstructions: Last stages that the reals of fakes go through whole.

    Raises:
        BenchError: The list lacks something, a video cannot be read, or there are too few people or sources.
    """
    videos = read_material(folder, table)
    ensemble = Ensemble(config)
    traces = find_member(ensemble, Traces)
    views = make_views(videos, ensemble, work, report)
    pairs, learn = measure_material_pairs(views, ensemble, traces, work, report)
    made_again = make_reconstructions(videos, reconstructions, traces, learn, work, report)
    watched = watch(views, ensemble, report) + watch(make_views(made_again, ensemble, work, report), ensemble, report)
    base = score_members(ensemble, watched, pairs)
    candidates = list_candidates(ensemble, watched, base)
    fitted = fit_whole(ensemble, candidates[0].members, watched, pairs, base)
    with atomic_folder(target) as made:
        fitted.save(made)
        card = _make_card(fitted, watched, candidates, sha256_file(made / fitted.WEIGHTS))
        card.save(made / CARD)
        keep_calibration_scores(made, candidates[0].tables, ())
        sources = list_sources(videos.rows)
        sources.save(made / SOURCES)
        write_text(made / MODEL_CARD, describe_detector(card, sources))
        seal(made)
    return card


def _make_card(
    fitted: Ensemble, watched: Sequence[WatchedVideo], candidates: Sequence[Candidate], weights_sha256: str
) -> DetectorCard:
    tables = candidates[0].tables
    calibrations = fit_calibrations(tables, ())
    left_out = decide_left_out(tables)
    learned_from = [video for video in watched if video.row.label == 0]
    reals = _describe_split(learned_from)
    matched = _describe_split(select_matched(watched))
    config = fitted.config.model_dump(mode="json")
    rates = [video.row.known_fps for video in watched]
    return DetectorCard(
        detector=DETECTOR,
        config=config,
        parameters=fitted.parameters,
        weights_sha256=weights_sha256,
        origin=fitted.origin,
        training_id=sha256_json([DETECTOR, config, _describe_split(watched).sha256]),
        data={"train": reals, "validation": matched, "holdout": matched},
        pictures=("camera",),
        clip_format=ClipFormat(
            clip_height=fitted.config.height,
            clip_width=fitted.config.width,
            view=fitted.config.view,
            fps_min=min(rates),
            fps_max=RATE,
            methods=(),
            encoder=describe_encoder(),
        ),
        training_domain=fit_training_domain(
            [video.features for video in learned_from], [video.row.subject_id for video in learned_from]
        ),
        aggregator=DEFAULT_RULE,
        learned=None,
        thresholds=choose_thresholds(tables),
        calibration=calibrations,
        metrics=_measure(tables, left_out, calibrations)
        | {TRIED + "+".join(each.members): each.auc for each in candidates},
        error_rates=measure_error_rates(left_out.margins, 0.0),
        ratios=collect_ratio_figures(left_out.ratios, keep_ratios(calibrations)),
        flags=(_LEFT_OUT,),
    )


def _measure(tables: ScoreTables, left_out: LeftOut, calibrations: Calibrations) -> dict[str, Metric]:
    """Metrics of scores, of ratios and of decisions about videos that were left out of each."""
    decided = Thresholds(video=0.0, pair=0.0)
    return {
        **evaluate(tables, None, _HELD_OUT_MEASURES),
        **evaluate(left_out.margins, decided, ("accuracy",)),
        **measure_calibration(left_out.ratios, keep_ratios(calibrations)),
        **{name: metric for name, metric in break_down_by_method(tables, None).items() if "_auc@" in name},
    }


def _describe_split(watched: Sequence[WatchedVideo]) -> SplitData:
    rows = [video.row for video in watched]
    entries = sorted([row.video_id, row.subject_id, row.label, row.sha256] for row in rows)
    return SplitData(
        sha256=sha256_json(entries), n_videos=len(rows), subjects=tuple(sorted({row.subject_id for row in rows}))
    )
