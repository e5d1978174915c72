"""Cross-fitting: looks in; scores of people, sources and methods left out of the fit, and ratios left out of theirs.

The members learn from reals alone, so every method is unseen; a reconstruction is scored by a member that did not learn
from its last stage (the auto-encoders themselves, which are thrown away, learn from patches of all sources). Threshold,
calibration and figures are of matched videos, fakes and the reals that they were made from, of one size, rate and
encoder: else these would tell them apart. Videos of one source share places and cameras: a source is left out whole,
with all of its people. The fusion of a fake's score knows neither its source nor its method.
What a likelihood ratio is worth is measured on people, sources and methods that have no part in its calibration either:

    ratios of a fake     calibrated without its source and without its method
    ratios of a real     calibrated without its source
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.core.errors import BenchError
from dancebench.core.metric import Metric
from dancebench.detect.detectors.base import Detector
from dancebench.detect.detectors.ensemble import Ensemble, Fusion, fit_fusion
from dancebench.detect.detectors.traces.detector import Traces
from dancebench.detect.detectors.traces.pairs import PairVectors
from dancebench.detect.detectors.typicality.detector import Typicality
from dancebench.detect.evaluation.aggregation import DEFAULT_RULE, aggregate
from dancebench.detect.evaluation.calibration import Calibration, Calibrations, fit_calibration
from dancebench.detect.evaluation.likelihood_ratios.bounds import Bound, Bounds
from dancebench.detect.evaluation.likelihood_ratios.items import collect_items
from dancebench.detect.evaluation.metrics import (
    ScoredItems,
    Thresholds,
    choose_thresholds,
    collect_pairs,
    collect_videos,
    evaluate,
)
from dancebench.detect.evaluation.score_tables import PAIR_COLUMNS, VIDEO_COLUMNS, ScoreTables
from dancebench.detect.shipped.last_stages import MaterialPairs
from dancebench.detect.shipped.material import Member, WatchedVideo, Windows, find_member

BaseScores = dict[str, npt.NDArray[np.float64]]
"""(N, members) of the windows of each video, by its id: what is fused."""
TYPICALITY: Final = "typicality"
TRACES: Final = "traces"

FEWEST_SOURCES: Final = 3
"""One may be left out, and something is left to calibrate on."""
_UNBOUNDED: Final = Bound(llr=0.0, set_by="people", n=0)


def select_matched(watched: Sequence[WatchedVideo]) -> list[WatchedVideo]:
    """The fakes, and the reals that they were made from.

    Raises:
        BenchError: The real of a fake is not among the videos, or there are too few sources to leave out.
    """
    fakes = [video for video in watched if video.row.label == 1]
    by_id = {video.row.video_id: video for video in watched if video.row.label == 0}
    for video in fakes:
        if video.row.real_of not in by_id:
            raise BenchError(
                f"The real that {video.row.video_id} was made from is not in the list.",
                hint="Name it in the column real_of: without it size or encoder would tell fakes from reals.",
            )
    sources = {video.source for video in fakes}
    if len(sources) < FEWEST_SOURCES:
        raise BenchError(
            f"The material has fakes of {len(sources)} sources; {FEWEST_SOURCES} are needed.",
            hint="Sources are left out in turn: add videos of others.",
        )
    made_from = {video.row.real_of for video in fakes}
    return [video for video in watched if video.row.label == 1 or video.row.video_id in made_from]


def fit_typicality(ensemble: Ensemble, watched: Sequence[WatchedVideo]) -> Typicality:
    """The member that knows the reals of these videos."""
    member = find_member(ensemble, Typicality)
    fitted = Typicality(member.config, member.device)
    reals = [video for video in watched if video.row.label == 0]
    looks = [
        (look, video.row.subject_id)
        for video in reals
        for window in video.windows[TYPICALITY]
        for inside in window
        for look in inside
    ]
    fitted.fit_to([look for look, _ in looks], [person for _, person in looks])
    return fitted


def fit_traces(ensemble: Ensemble, pairs: PairVectors) -> Traces:
    """The member that learned from these pairs."""
    member = find_member(ensemble, Traces)
    fitted = Traces(member.config, member.device)
    fitted.fit_to(pairs)
    return fitted


class Candidate(NamedTuple):
    """What may ship: one member alone, or all of them fused.

    Attributes:
        members: Their names.
        tables: Scores of people, sources and methods left out.
        auc: Over their videos.
    """

    members: tuple[str, ...]
    tables: ScoreTables
    auc: Metric


def list_candidates(ensemble: Ensemble, watched: Sequence[WatchedVideo], base: BaseScores) -> list[Candidate]:
    """Each member alone, and all of them fused, the best first; of equal ones the simpler.

    A fusion that does not beat its parts on people, sources and methods left out comes after them.
    """
    names = ensemble.config.members
    found = []
    for members in dict.fromkeys([*((name,) for name in names), names]):
        columns = [names.index(name) for name in members]
        tables = fuse_left_out(watched, {video: scores[:, columns] for video, scores in base.items()})
        found.append(Candidate(members, tables, evaluate(tables, None, ("auc",))["video_auc"]))
    return sorted(found, key=lambda candidate: -(candidate.auc.value or 0.0))


def fit_whole(
    ensemble: Ensemble, members: Sequence[str], watched: Sequence[WatchedVideo], pairs: MaterialPairs, base: BaseScores
) -> Ensemble:
    """The ensemble that ships: members that know all reals, fused by scores that were left out of their fits.

    Args:
        ensemble: Of all that may be a member.
        members: Names of those that ship.
        watched: All videos.
        pairs: All pairs.
        base: As `score_members` gave.
    """
    config = ensemble.config
    chosen = {"members": tuple(members), "configs": {name: config.configs[name] for name in members}}
    fitted = Ensemble(config.model_copy(update=chosen), ensemble.device)
    fit: dict[str, Callable[[], Detector]] = {
        TYPICALITY: lambda: fit_typicality(ensemble, watched),
        TRACES: lambda: fit_traces(ensemble, pairs.leave_out(None)),
    }
    fitted.members = [fit[name]() for name in members]
    columns = [config.members.index(name) for name in members]
    fitted.fusion = _fuse({video: scores[:, columns] for video, scores in base.items()}, select_matched(watched))
    return fitted


def score_members(ensemble: Ensemble, watched: Sequence[WatchedVideo], pairs: MaterialPairs) -> BaseScores:
    """Score the windows of each matched video by members that know nothing of its source and its last stage.

    Returns:
        (N, members) of the windows of each video, by its id.

    Raises:
        BenchError: As `select_matched`.
    """
    base: BaseScores = {}
    matched = select_matched(watched)
    for source in sorted({video.source for video in matched}):
        typicality = fit_typicality(ensemble, [video for video in watched if video.source != source])
        of_source = [video for video in matched if video.source == source]
        for method in sorted({video.row.method or "" for video in of_source}):
            traces = fit_traces(ensemble, pairs.leave_out(source, method))
            for video in (video for video in of_source if (video.row.method or "") == method):
                base[video.row.video_id] = np.stack(
                    [_score_windows(typicality, video.windows[TYPICALITY]),
                     _score_windows(traces, video.windows[TRACES])], axis=1,
                )  # fmt: skip
    return base


def fuse_left_out(watched: Sequence[WatchedVideo], base: BaseScores) -> ScoreTables:
    """Scores of each matched video by a fusion that knows neither its source nor its method."""
    matched = select_matched(watched)
    pairs, videos = [], []
    for source in sorted({video.source for video in matched}):
        others = [video for video in matched if video.source != source]
        of_source = [video for video in matched if video.source == source]
        for method in sorted({video.row.method or "" for video in of_source}):
            fusion = _fuse(base, [video for video in others if not method or video.row.method != method])
            for video in (video for video in of_source if (video.row.method or "") == method):
                logits = fusion.logits(base[video.row.video_id])
                pairs.append(pd.DataFrame({"video_id": video.row.video_id, "t": video.seconds, "logit": logits}))
                videos.append(_describe(video, logits))
    return ScoreTables(
        pd.concat(pairs, ignore_index=True)[PAIR_COLUMNS], pd.DataFrame(videos, columns=[*VIDEO_COLUMNS, "source"])
    )


def _fuse(base: BaseScores, videos: Sequence[WatchedVideo]) -> Fusion:
    """The fusion by the mean scores of videos; one member alone is not fused."""
    if next(iter(base.values())).shape[1] == 1:
        return Fusion.average(1)
    means = np.stack([base[video.row.video_id].mean(axis=0) for video in videos])
    return fit_fusion(means, [video.row.label for video in videos])


def _score_windows(member: Member, windows: Windows) -> npt.NDArray[np.float64]:
    """The member's mean logit over its own windows inside each window of the ensemble (N,), as `Ensemble` has it."""
    logits = [np.array([member.combine_looks(looks) for looks in inside], np.float32) for inside in windows]
    return np.array([each.mean(dtype=np.float64) for each in logits])


def _describe(video: WatchedVideo, logits: npt.NDArray[np.float32]) -> dict[str, object]:
    row = video.row
    return {
        "video_id": row.video_id, "subject_id": row.subject_id, "source_id": row.source_id, "method": row.method,
        "label": row.label, "score": aggregate(logits), "status": "ok", "n_pairs": len(logits),
        "aggregator": DEFAULT_RULE, "reason": None, "source": video.source,
    }  # fmt: skip


class LeftOut(NamedTuple):
    """Decisions about videos that had no part in them.

    Attributes:
        ratios: Tables whose scores are log-likelihood ratios, within the bounds of each one's calibration.
        margins: Tables whose scores are how far they lie above the threshold.
    """

    ratios: ScoreTables
    margins: ScoreTables


def decide_left_out(tables: ScoreTables) -> LeftOut:
    """Calibrate and choose thresholds for each source, and for each method in it, on the others alone."""
    ratios, margins = [], []
    videos = tables.videos
    for source in sorted(videos["source"].unique()):
        of_source = videos["source"] == source
        for method in ["", *sorted(videos["method"].dropna().unique())]:
            chosen = of_source & (videos["method"].fillna("") == method)
            if chosen.any():
                others = tables.select(~of_source & (videos["method"].fillna("") != method) if method else ~of_source)
                questioned = tables.select(chosen)
                ratios.append(_to_ratios(questioned, others))
                margins.append(_to_margins(questioned, choose_thresholds(others)))
    return LeftOut(_join(ratios), _join(margins))


def _to_ratios(tables: ScoreTables, others: ScoreTables) -> ScoreTables:
    video, pair = (_calibrate(level) for level in (collect_videos(others), collect_pairs(others)))
    return ScoreTables(
        tables.pairs.assign(logit=pair.llr(tables.pairs["logit"])),
        tables.videos.assign(score=video.llr(tables.videos["score"])),
    )


def _calibrate(level: ScoredItems) -> Calibration:
    return fit_calibration(
        collect_items(level.labels, level.scores, level.subjects.tolist(), level.methods.tolist(), seen=())
    )


def _to_margins(tables: ScoreTables, thresholds: Thresholds) -> ScoreTables:
    return ScoreTables(
        tables.pairs.assign(logit=tables.pairs["logit"] - thresholds.pair),
        tables.videos.assign(score=tables.videos["score"] - thresholds.video),
    )


def _join(parts: Sequence[ScoreTables]) -> ScoreTables:
    return ScoreTables(
        pd.concat([part.pairs for part in parts], ignore_index=True),
        pd.concat([part.videos for part in parts], ignore_index=True),
    )


def keep_ratios(calibrations: Calibrations) -> Calibrations:
    """Calibrations that leave scores as they are: for tables whose scores are ratios already."""
    limit = math.log(np.finfo(np.float64).max)
    bounds = Bounds(
        real=_UNBOUNDED.model_copy(update={"llr": -limit}), synthesized=_UNBOUNDED.model_copy(update={"llr": limit})
    )

    def keep(calibration: Calibration) -> Calibration:
        return calibration.model_copy(update={"temperature": 1.0, "offset": 0.0, "bounds": bounds})

    return calibrations.model_copy(update={"video": keep(calibrations.video), "pair": keep(calibrations.pair)})
