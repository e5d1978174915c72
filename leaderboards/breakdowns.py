"""What stands beside a leaderboard's main table: its measures under conditions, one table per condition.

In: a section, whose records hold metrics named `measure@condition=value`, say `pair_accuracy@source=same`.
Out: tables with a line for each row and measure, and a column for each value, in the order of the records.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

from dancebench.core.metric import Metric, MetricKey
from dancebench.leaderboards.columns import Column
from dancebench.leaderboards.records import RunKind
from dancebench.leaderboards.tables import Row, Section


@dataclass(frozen=True)
class Breakdown:
    """A condition, and the measures that are shown under it."""

    condition: str
    title: str
    columns: tuple[Column, ...]
    remark: str


@dataclass(frozen=True)
class Line:
    """One row of the leaderboard under one measure; None where it was not measured under a value."""

    row: Row
    column: Column
    metrics: tuple[Metric | None, ...]


@dataclass(frozen=True)
class BreakdownTable:
    """A breakdown of one section."""

    breakdown: Breakdown
    values: tuple[str, ...]
    lines: tuple[Line, ...]


_ACCURACY: Final = (
    Column("pair_accuracy", "pair accuracy", True),
    Column("video_accuracy", "video accuracy", True),
    Column("pair_auc", "pair AUC", True),
    Column("video_auc", "video AUC", True),
)

BREAKDOWNS: Final[dict[RunKind, tuple[Breakdown, ...]]] = {
    "detection": (
        Breakdown(
            "source",
            "By the source of the motion (EDN Table 5)",
            _ACCURACY,
            "`same`: the person's own held-out motion; the other drivers are unseen: they drive no training fake. "
            "What the paper prints stands under Reference.",
        ),
        Breakdown(
            "method",
            "By synthesis method: fakes in the person's own motion",
            _ACCURACY,
            "The detector was trained on fakes of the method in its row's notes; the others it never saw.",
        ),
        Breakdown(
            "rule",
            "By rule of aggregation",
            (
                Column("video_auc", "video AUC", True),
                Column("length_shift", "shift of scores at a quarter of the pairs", False),
                Column("length_auc_fakes", "video AUC, fakes cut to a quarter", True),
                Column("length_auc_reals", "video AUC, reals cut to a quarter", True),
            ),
            "A shift is a share of the gap between reals and fakes. A rule whose AUC moves when videos are cut is "
            "sensitive to their length.",
        ),
        Breakdown(
            "perturbation",
            "Robustness: the held-out videos, perturbed",
            (
                Column("video_auc", "video AUC", True),
                Column("auc_loss", "loss of video AUC", False),
                Column("tpr", "true-positive rate", True),
                Column("fpr", "false-positive rate", False),
            ),
            "True- and false-positive rates (fakes found, reals called fake) at the frozen threshold.",
        ),
    ),
    "perceptual": (
        Breakdown(
            "over",
            "Chosen over each other method (EDN Tables 1 to 4)",
            (Column("preference", "chosen", True),),
            "Shares of answers, ties half to each. What the papers print stands under Reference.",
        ),
        Breakdown(
            "question",
            "By question (DDG Table 4)",
            (Column("preference", "chosen", True),),
            "The main table is of the last question.",
        ),
    ),
}


def make_breakdowns(section: Section) -> list[BreakdownTable]:
    """The breakdowns that some row of the section measured."""
    tables = []
    for breakdown in BREAKDOWNS.get(section.kind, ()):
        values = tuple(
            dict.fromkeys(
                condition.value
                for row in section.rows
                for name in row.record.metrics
                if (condition := MetricKey.parse(name).condition) and condition.kind == breakdown.condition
            )
        )
        lines = tuple(
            Line(row, column, metrics)
            for column in breakdown.columns
            for row in section.rows
            for metrics in [_read_metrics(row, column, breakdown.condition, values)]
            if any(metrics)
        )
        if lines:
            tables.append(BreakdownTable(breakdown, values, lines))
    return tables


def _read_metrics(row: Row, column: Column, condition: str, values: tuple[str, ...]) -> tuple[Metric | None, ...]:
    return tuple(row.record.metrics.get(_write_key(column.metric, condition, value)) for value in values)


@functools.lru_cache(maxsize=4096)  # thousands of rows ask for the same few hundred keys
def _write_key(metric: str, condition: str, value: str) -> str:
    return str(MetricKey.parse(metric).under(condition, value))
