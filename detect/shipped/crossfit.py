"""Cross-fitting: looks in; scores of people and sources left out of the fit, and ratios left out of theirs, out.

The detector learns from reals alone, so every method is unseen. Threshold, calibration and figures are of matched
videos, fakes and the reals that they were made from, of one size, rate and encoder: else these would tell them apart.
Videos of one source share places and cameras: a source is left out whole, with all of its people. What a likelihood
ratio is worth is measured on people, sources and methods that have no part in its calibration either:

    ratios of a fake     calibrated without its source and without its method
    ratios of a real     calibrated without its source
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.core.errors import BenchError
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
)
from dancebench.detect.evaluation.score_tables import PAIR_COLUMNS, VIDEO_COLUMNS, ScoreTables
from dancebench.detect.shipped.material import WatchedVideo

FEWEST_SOURCES: Final = 3
FEWEST_METHODS: Final = 2
"""One may be left out, and something is left to calibrate on."""
_UNBOUNDED: Final = Bound(llr=0.0, set_by="people", n=0)


def select_matched(watched: Sequence[WatchedVideo]) -> list[WatchedVideo]:
    """The fakes, and the reals that they were made from.

    Raises:
        BenchError: The real of a fake is not among the videos, or there are too few sources or methods to leave out.
    """
    fakes = [video for video in watched if video.row.label == 1]
    by_id = {video.row.video_id: video for video in watched if video.row.label == 0}
    for video in fakes:
        if video.row.real_of not in by_id:
            raise BenchError(
                f"The real that {video.row.video_id} was made from is not in the list.",
                hint="Name it in the column real_of: without it size or encoder would tell fakes from reals.",
            )
    for what, found, needed in (
        ("sources", {video.source for video in fakes}, FEWEST_SOURCES),
        ("methods", {video.row.method for video in fakes}, FEWEST_METHODS),
    ):
        if len(found) < needed:
            raise BenchError(
                f"The material has fakes of {len(found)} {what}; {needed} are needed.",
                hint=f"{what.capitalize()} are left out in turn: add videos of others.",
            )
    made_from = {video.row.real_of for video in fakes}
    return [video for video in watched if video.row.label == 1 or video.row.video_id in made_from]


def fit_to_reals(detector: Typicality, watched: Sequence[WatchedVideo]) -> Typicality:
    """A detector of the same settings that knows the reals of these videos."""
    fitted = Typicality(detector.config, detector.device)
    reals = [video for video in watched if video.row.label == 0]
    looks = [(look, video.row.subject_id) for video in reals for window in video.windows for look in window]
    fitted.fit_to([look for look, _ in looks], [person for _, person in looks])
    return fitted


def cross_fit(detector: Typicality, watched: Sequence[WatchedVideo]) -> ScoreTables:
    """Score each matched video by a detector that knows nothing of its source.

    Raises:
        BenchError: As `select_matched`.
    """
    pairs, videos = [], []
    matched = select_matched(watched)
    for source in sorted({video.source for video in matched}):
        fitted = fit_to_reals(detector, [video for video in watched if video.source != source])
        for video in (video for video in matched if video.source == source):
            logits = np.array([fitted.combine_looks(window) for window in video.windows], np.float32)
            pairs.append(pd.DataFrame({"video_id": video.row.video_id, "t": video.seconds, "logit": logits}))
            videos.append(_describe(video, logits))
    return ScoreTables(
        pd.concat(pairs, ignore_index=True)[PAIR_COLUMNS], pd.DataFrame(videos, columns=[*VIDEO_COLUMNS, "source"])
    )


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
