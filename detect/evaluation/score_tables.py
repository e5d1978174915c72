"""Scores of many videos: a detector and the rows of a manifest in, score tables out.

    pair table    video_id, t (seconds), logit
    video table   video_id, subject_id, source_id, method, label, score, status, n_pairs, aggregator, reason;
                  where videos are looked at by a view, also what it is and how it was made; as recorded, also
                  llr, the likelihood ratio fake : real that a detector's own calibration gives

`n_pairs` windows were scored, evenly placed. label 1 = fake; a higher score = more likely fake.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.schema import Strict
from dancebench.detect.detectors.base import Scorer
from dancebench.detect.evaluation.aggregation import DEFAULT_RULE, LearnedRule, Rule, aggregate, fit_learned_rule
from dancebench.detect.evaluation.calibration import Calibration
from dancebench.detect.inputs.pairs import read_pairs
from dancebench.detect.inputs.video_set import VideoSet

PAIR_COLUMNS = ["video_id", "t", "logit"]
VIDEO_COLUMNS = [
    "video_id", "subject_id", "source_id", "method", "label",
    "score", "status", "n_pairs", "aggregator", "reason",
]  # fmt: skip

VIEW_COLUMNS = ["view", "looked_at", "found_in", "seen", "left_out", "padded"]
"""Further columns of a video table, fields of `ViewFacts`."""


class UnscoredVideo(Strict):
    """A video that could not be scored, and why."""

    item: str
    """Its video_id."""
    reason: str


class ScoreTables(NamedTuple):
    """Scores of many videos."""

    pairs: pd.DataFrame
    videos: pd.DataFrame

    @property
    def failures(self) -> list[UnscoredVideo]:
        """Videos without a score."""
        failed = self.videos[self.videos["status"] == "failed"]
        return [
            UnscoredVideo(item=video, reason=reason)
            for video, reason in zip(failed["video_id"], failed["reason"], strict=True)
        ]

    @property
    def scored(self) -> pd.DataFrame:
        """The rows of `videos` that have a score."""
        return self.videos[self.videos["status"] == "ok"]

    def select(self, chosen: pd.Series) -> ScoreTables:
        """Select the videos where `chosen`, a boolean column aligned with `videos`, is true, and their pairs."""
        videos = self.videos[chosen]
        return ScoreTables(self.pairs[self.pairs["video_id"].isin(videos["video_id"])], videos)

    def aggregate_by(self, rule: Rule, name: str) -> ScoreTables:
        """Score the videos of the same pairs by another rule."""
        logits = self.logits_by_video()
        scores = [rule(logits[video]) if video in logits else np.nan for video in self.videos["video_id"]]
        return ScoreTables(self.pairs, self.videos.assign(score=scores, aggregator=name))

    def logits_by_video(self) -> dict[str, npt.NDArray[np.float64]]:
        """video_id -> the logits of its pairs in order of time (N,)."""
        ordered = self.pairs.sort_values(["video_id", "t"])
        return {str(video): part["logit"].to_numpy(np.float64) for video, part in ordered.groupby("video_id")}

    def fit_rule(self) -> LearnedRule | None:
        """Fit the rule `learned` to these videos; None if reals or fakes are missing."""
        scored = self.scored
        if scored["label"].nunique() < 2:
            return None
        logits = self.logits_by_video()
        return fit_learned_rule(
            [logits[video] for video in scored["video_id"]], scored["label"].to_numpy(), scored["subject_id"].tolist()
        )

    def join_levels(self, calibration: Calibration | None = None) -> pd.DataFrame:
        """Join videos and pairs in one table, with the column `level`.

        Args:
            calibration: Of video scores; with it the videos have the column `llr`, natural logarithms of fake : real.
        """
        videos = self.videos if calibration is None else self.videos.assign(llr=calibration.llr(self.videos["score"]))
        parts = [videos.assign(level="video"), self.pairs.assign(level="pair")]
        return pd.concat([part for part in parts if len(part)], ignore_index=True)


# ---------------------------------------------------------------- scores


def make_score_tables(detector: Scorer, videos: VideoSet, report: ReportProgress = ignore_progress) -> ScoreTables:
    """Score the videos of a manifest by the mean logit of their pairs; one that cannot be read is a row with its
    reason.

    Args:
        detector: Trained.
        videos: What to score.
        report: Progress.

    >>> from dancebench import VideoSet, load_detector, make_score_tables
    >>> tables = make_score_tables(load_detector(folder).detector, VideoSet.open(manifest).split("validation"))
    >>> set(tables.videos["status"]), bool(tables.pairs["logit"].notna().all())
    ({'ok'}, True)
    """
    config = detector.config
    pairs: list[pd.DataFrame] = []
    scored = []
    for done, row in enumerate(videos):
        report("scoring", done, len(videos))
        fields: dict[str, Any] = {
            "video_id": row.video_id, "subject_id": row.subject_id, "source_id": row.source_id,
            "method": row.method, "label": row.label, "aggregator": DEFAULT_RULE,
        }  # fmt: skip
        try:
            times, frames = read_pairs(videos.path(row), config.size, config.count, detector.window, row.breaks)
            logits = detector.logits(frames)
            fields |= {
                "score": aggregate(logits),
                "status": "ok",
                "n_pairs": len(logits),
                "reason": None,
            }
            pairs.append(pd.DataFrame({"video_id": row.video_id, "t": times, "logit": logits}))
        except BenchError as error:
            fields |= {"score": np.nan, "status": "failed", "n_pairs": 0, "reason": error.message}
        facts = {} if row.view is None else {name: getattr(row.view, name) for name in VIEW_COLUMNS}
        scored.append(fields | facts)
    report("scoring", len(videos), len(videos))
    table = pd.concat(pairs, ignore_index=True) if pairs else pd.DataFrame(columns=PAIR_COLUMNS)
    columns = [*VIDEO_COLUMNS, *(VIEW_COLUMNS if any(row.view is not None for row in videos) else ())]
    return ScoreTables(table, pd.DataFrame(scored, columns=columns))
