"""Scores of outside videos as tables: for a terminal, with what must be read beside it, and for CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from dancebench.detect.casework.score import ScoreReport, VideoScore
    from dancebench.detect.protocol.card import DetectorCard

CSV_COLUMNS: Final = (
    "path", "sha256", "bytes", "status", "reason", "abstained_because", "container", "codec", "width", "height", "fps",
    "n_frames", "duration_s", "decode_warnings", "score", "llr", "llr_low", "llr_high", "threshold", "above_threshold",
    "n_pairs", "aggregator", "ood_distance", "ood_limit", "credentials",
)  # fmt: skip
"""Of the CSV; what holds for all videos of a call is in the JSON."""


def make_csv_row(each: VideoScore) -> dict[str, Any]:
    """One video, flat."""
    flat: dict[str, Any] = {name: getattr(each, name) for name in CSV_COLUMNS if name in type(each).model_fields}
    return flat | {
        "abstained_because": "; ".join(each.abstained_because),
        "decode_warnings": "; ".join(each.decode_warnings),
        "llr_low": each.llr_interval.low if each.llr_interval else None,
        "llr_high": each.llr_interval.high if each.llr_interval else None,
        "ood_distance": each.out_of_distribution.distance if each.out_of_distribution else None,
        "ood_limit": each.out_of_distribution.limit if each.out_of_distribution else None,
        "credentials": each.credentials.status if each.credentials else None,
    }


def score_table(scores: Sequence[VideoScore]) -> Table:
    table = Table()
    for title in ("video", "status", "log10 LR", "threshold", "distance / limit", "pairs"):
        table.add_column(title, overflow="fold")
    for each in scores:
        side = "" if each.above_threshold is None else ("above" if each.above_threshold else "below")
        far = (
            ""
            if each.out_of_distribution is None
            else f"{each.out_of_distribution.distance:.2f} / {each.out_of_distribution.limit:.2f}"
        )
        table.add_row(escape(each.path), each.status, _format_ratio(each), side, far, str(each.n_pairs))
    return table


def list_remarks(scores: Sequence[VideoScore]) -> list[str]:
    """Why a video failed or was abstained from, and what is odd about it: a line each."""
    told = []
    for each in scores:
        reasons = [f"abstained: {because}" for because in each.abstained_because]
        told += [f"{each.path}: {remark}" for remark in filter(None, [each.reason, *reasons, *each.decode_warnings])]
    return told


def _format_ratio(each: VideoScore) -> str:
    if each.llr is None:
        return ""
    ten = math.log(10)
    interval = each.llr_interval
    around = f" [{interval.low / ten:+.2f}, {interval.high / ten:+.2f}]" if interval else ""
    return f"{each.llr / ten:+.2f}{around}"


def explain_scores(report: ScoreReport, card: DetectorCard, folder: Path) -> str:
    """What must be read with the table."""
    rates, found, clips = card.error_rates, card.calibration.video, card.clip_format
    caution = " They were told apart without error: over-confidence cannot be excluded." if found.separable else ""
    return (
        f"Detector {folder.name}. LR compares how probable such a score is for synthesized and for real videos of "
        "the detector's own kind; it is not the probability that a video is synthesized, and not a verdict. In "
        "brackets: 95%, by how far the video's own pairs vary.\n"
        f"Calibrated on {found.subjects} validation people.{caution} Threshold: score {card.thresholds.video:+.3f}, "
        "frozen on them. On held-out people it took "
        f"{_format_share(rates.false_positive_rate, rates.n_real)} real clips for synthesized and "
        f"{_format_share(rates.false_negative_rate, rates.n_fake)} synthesized ones for real.\n"
        f"Trained on {', '.join(clips.methods)} fakes of {clips.clip_height}x{clips.clip_width} at "
        f"{clips.fps_min:g} to {clips.fps_max:g} fps, of dataset {report.dataset or 'unknown'}: on other kinds "
        "of video all this says little."
    )


def _format_share(rate: float | None, n: int) -> str:
    return f"{round((rate or 0.0) * n)} of {n}"
