"""Scores of outside videos as tables: for a terminal, with the explanation it needs, and for CSV."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from dancebench.core.errors import escape_unprintable
from dancebench.detect.detectors.base import find_detector_class

if TYPE_CHECKING:
    from dancebench.detect.casework.score import ScoreReport, VideoScore
    from dancebench.detect.evaluation.calibration import Calibration
    from dancebench.detect.protocol.card import DetectorCard

CSV_COLUMNS: Final = (
    "path", "sha256", "bytes", "status", "reason", "abstained_because", "container", "codec", "width", "height", "fps",
    "n_frames", "duration_s", "start_s", "decode_warnings", "score", "llr", "llr_low", "llr_high",
    "llr_calibration_low", "llr_calibration_high", "llr_bound", "llr_without_reference", "threshold",
    "above_threshold", "n_pairs", "aggregator", "ood_distance", "ood_limit", "credentials",
)  # fmt: skip
"""Of the CSV; what is the same for all videos of a call is in the JSON."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_MIN_PATH: Final = 18
"""Minimum width of the path column in characters; other columns are dropped for it, except for the first few."""
_MIN_COLUMNS: Final = 2
_EDGES: Final = 2
"""Characters beside the first and the last column."""


def make_csv_row(each: VideoScore) -> dict[str, Any]:
    """Flatten the score of one video; a text that a spreadsheet would take for a formula begins with an apostrophe."""
    flat: dict[str, Any] = {name: getattr(each, name) for name in CSV_COLUMNS if name in type(each).model_fields}
    row = flat | {
        "abstained_because": "; ".join(each.abstained_because),
        "decode_warnings": "; ".join(each.decode_warnings),
        "llr_low": each.llr_interval.low if each.llr_interval else None,
        "llr_high": each.llr_interval.high if each.llr_interval else None,
        "llr_calibration_low": each.calibration_interval.low if each.calibration_interval else None,
        "llr_calibration_high": each.calibration_interval.high if each.calibration_interval else None,
        "llr_bound": each.bound.set_by if each.bound else None,
        "llr_without_reference": each.reference.llr_without if each.reference else None,
        "ood_distance": each.out_of_distribution.distance if each.out_of_distribution else None,
        "ood_limit": each.out_of_distribution.limit if each.out_of_distribution else None,
        "credentials": each.credentials.status if each.credentials else None,
    }
    return {name: _show_formula(cell) for name, cell in row.items()}


def _show_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def make_score_table(scores: Sequence[VideoScore], *, width: int = 80) -> Table:
    """Make a row for each video, with as many columns as fit in `width` characters; all are in JSON and CSV."""
    columns = [
        ["status", *(score.status for score in scores)],
        ["log10 LR", *(_format_ratio(score) for score in scores)],
        ["distance\n/ limit", *(_format_distance(score) for score in scores)],
        ["threshold", *(_name_side(score) for score in scores)],
        ["pairs", *(str(score.n_pairs) for score in scores)],
    ]
    while (room := width - _EDGES - sum(map(_measure_column, columns))) < _MIN_PATH and len(columns) > _MIN_COLUMNS:
        columns.pop()
    room = max(room, _MIN_PATH)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("video", overflow="fold", max_width=room)
    for title, *_ in columns:
        table.add_column(title, no_wrap=True)
    for number, score in enumerate(scores, start=1):
        table.add_row(Text(_break_path(escape_unprintable(score.path), room)), *(column[number] for column in columns))
    return table


def _measure_column(column: Sequence[str]) -> int:
    """Count the characters of a column and of the gap before it."""
    return 3 + max(cell_len(line) for cell in column for line in cell.split("\n"))


def _break_path(path: str, width: int) -> str:
    """Break a path into lines of at most `width` characters, after slashes and between the words of a name."""
    lines = [""]
    for part in re.findall(r"[^/ _.-]*[/ _.-]|[^/ _.-]+", path):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _name_side(score: VideoScore) -> str:
    return "" if score.above_threshold is None else "above" if score.above_threshold else "below"


def _format_distance(score: VideoScore) -> str:
    found = score.out_of_distribution
    return "" if found is None else f"{found.distance:.2f}\n/ {found.limit:.2f}"


def list_remarks(scores: Sequence[VideoScore]) -> list[str]:
    """Why a video failed or was abstained from, and its decode warnings: one line for each."""
    remarks = []
    for score in scores:
        reasons = [f"abstained: {reason}" for reason in score.abstained_because]
        lines = filter(None, [score.reason, *reasons, _describe_effect(score), *score.decode_warnings])
        remarks += [f"{score.path}: {line}" for line in lines]
    return remarks


def _describe_effect(score: VideoScore) -> str | None:
    """What a reference changed."""
    if score.reference is None or score.llr is None:
        return None
    before, now = (llr / math.log(10) for llr in (score.reference.llr_without, score.llr))
    return f"by the {score.reference.recordings} recordings of the reference log10 LR {now:+.2f}, without {before:+.2f}"


def _format_ratio(score: VideoScore) -> str:
    if score.llr is None:
        return ""
    ten = math.log(10)
    interval = score.llr_interval
    brackets = f"\n[{interval.low / ten:+.2f}, {interval.high / ten:+.2f}]" if interval else ""
    ends = f"\nends: {score.bound.set_by}" if score.bound else ""
    return f"{score.llr / ten:+.2f}{brackets}{ends}"


def explain_scores(report: ScoreReport, card: DetectorCard, folder: Path) -> str:
    """Explain the table: what a likelihood ratio means, and what the detector was trained and tested on."""
    rates, calibration = card.error_rates, card.calibration.video
    caution = " Their reals and fakes were separated without error: over-confidence cannot be excluded."
    return (
        f"Detector {folder.name}. LR compares how probable such a score is for videos synthesized by any method and "
        "for real ones; it is not the probability that a video is synthesized, and not a verdict. In brackets: 95% "
        "confidence interval, from the variation between the video's own pairs; that of the calibration is in JSON, "
        "CSV and on the case page. Where an LR ends at a bound, that is named.\n"
        f"Calibrated on {calibration.subjects} validation people{_name_methods(calibration)}."
        f"{caution if calibration.separable else ''} "
        f"Threshold: score {card.thresholds.video:+.3f}, frozen on them. On held-out people it took "
        f"{_format_share(rates.false_positive_rate, rates.n_real)} real clips for synthesized and "
        f"{_format_share(rates.false_negative_rate, rates.n_fake)} synthesized ones for real.\n"
        f"{_describe_training(card, report.dataset)}: on other kinds of video these numbers say little."
    )


def _describe_training(card: DetectorCard, dataset: str | None) -> str:
    """What it was trained on, in words; a dataset that is not known is said to be so."""
    clips, detector = card.clip_format, find_detector_class(card.detector)
    where = f"{clips.clip_height}x{clips.clip_width} at {clips.fps_min:g} to {clips.fps_max:g} fps"
    if not clips.methods:
        people = len(card.data["train"].subjects)
        return f"Trained on real recordings of {people} people alone, {clips.view} view of {where}"
    learned = "Trained on" if detector.LEARNS else "Threshold and calibration are of"
    return f"{learned} {', '.join(clips.methods)} fakes of {where}, of dataset {dataset or 'unknown'}"


def _name_methods(calibration: Calibration) -> str:
    if calibration.methods is None:
        return ""
    if calibration.unseen_methods:
        return f" and fakes of {len(calibration.unseen_methods)} methods that the detector had not seen"
    return " and fakes of methods that the detector had seen alone: no LR supports a real"


def _format_share(rate: float | None, n: int) -> str:
    return f"{round((rate or 0.0) * n)} of {n}"
