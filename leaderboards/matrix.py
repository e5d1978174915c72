"""Matrices of detection runs on outside corpora: a row for each detector and training, a column for each test set.

In: run records alone. Out: matrices, one for each protocol hash, as a page of Markdown, a long table and tables for a
terminal. Cells have 95% confidence intervals by person; thresholds and calibrations are of the training's own
validation people.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from dancebench.core.metric import Metric
from dancebench.leaderboards.columns import Column
from dancebench.leaderboards.markdown import escape
from dancebench.leaderboards.records import DetectionFacts, ProtocolReference, RunRecord
from dancebench.leaderboards.tables import LEGEND, NOTHING, UNRELIABLE, Footnotes, format_interval, format_value

MEASURES: Final = (
    Column("video_auc", "video AUC", True),
    Column("pair_auc", "pair AUC", True),
    Column("video_accuracy", "video accuracy", True),
    Column("pair_accuracy", "pair accuracy", True),
)
"""A table each: ranking first, then decisions at the thresholds of the training's validation people."""


@dataclass(frozen=True)
class MatrixRow:
    """A detector of one training."""

    detector: str
    preset: str
    view: str
    trained_on: str
    cells: dict[str, RunRecord]
    """Test set -> the run on it."""

    @property
    def key(self) -> tuple[str, ...]:
        return self.trained_on, self.detector, self.view, self.preset


@dataclass(frozen=True)
class Matrix:
    """Rows under one protocol."""

    protocol: ProtocolReference
    tests: tuple[str, ...]
    rows: tuple[MatrixRow, ...]

    @property
    def title(self) -> str:
        return f"{self.protocol.name} · {self.protocol.sha256[:12]}"


def group_matrices(records: Iterable[RunRecord]) -> list[Matrix]:
    """The matrices of the runs on outside corpora, by protocol; of two runs of one cell the later stands in it."""
    protocols: dict[str, ProtocolReference] = {}
    rows: dict[str, dict[tuple[str, str, str, str], dict[str, RunRecord]]] = {}
    for record in sorted(records, key=lambda each: (each.run.started, each.run.id)):
        facts, protocol = record.entry.facts, record.data.protocol
        if not isinstance(facts, DetectionFacts) or facts.tested_on is None or protocol is None:
            continue
        known = protocols.get(protocol.sha256)
        protocols[protocol.sha256] = protocol if known is None or protocol.name < known.name else known
        key = (record.entry.name, record.entry.preset, facts.view or "", facts.trained_on or "")
        rows.setdefault(protocol.sha256, {}).setdefault(key, {})[facts.tested_on] = record
    matrices = []
    for sha256, found in rows.items():
        made = sorted((MatrixRow(*key, cells) for key, cells in found.items()), key=lambda row: row.key)
        tests = tuple(sorted({test for row in made for test in row.cells}))
        matrices.append(Matrix(protocols[sha256], tests, tuple(made)))
    return sorted(matrices, key=lambda matrix: (matrix.protocol.name, matrix.protocol.sha256))


def render_matrices(matrices: Sequence[Matrix]) -> str:
    """The page of all matrices, in Markdown."""
    blocks = [
        "# Training by test set",
        "Each row is one training; columns are test sets. Values have their 95% confidence intervals, whose unit is "
        "the person, and n videos or pairs. Thresholds and calibrations come from validation people of the training "
        "corpus, never from a test set. Rows compare within one protocol, by its hash.",
    ]
    for matrix in matrices:
        blocks.append(f"## {escape(matrix.title)}")
        for column in MEASURES:
            footnotes = Footnotes()
            lines = [_render_line(row, matrix.tests, column, footnotes) for row in matrix.rows]
            header = ["trained on", "detector", "view", "preset", *map(escape, matrix.tests)]
            table = [_join(header), _join(["---"] * len(header)), *map(_join, lines)]
            notes = (
                [f"- {UNRELIABLE} {LEGEND[UNRELIABLE]}"] if any(UNRELIABLE in "".join(line) for line in lines) else []
            )
            notes += [f"- ({number}) {escape(reason)}" for number, reason in enumerate(footnotes.reasons, start=1)]
            blocks += [f"### {column.header}", "\n".join(table), *(["\n".join(notes)] if notes else [])]
    return "\n\n".join(blocks) + "\n"


def make_matrix_table(matrices: Sequence[Matrix]) -> pd.DataFrame:
    """Every cell and measure, one row each, in a fixed order."""
    columns = [
        "protocol", "protocol_sha256", "trained_on", "detector", "view", "preset", "tested_on", "metric", "value",
        "ci_low", "ci_high", "subjects", "reliable", "n", "reason", "run",
    ]  # fmt: skip
    rows = [
        (
            matrix.protocol.name, matrix.protocol.sha256, row.trained_on, row.detector, row.view, row.preset, test,
            column.metric, *_list_cells(row.cells[test].metrics.get(column.metric)), row.cells[test].run.id,
        )
        for matrix in matrices
        for row in matrix.rows
        for test in matrix.tests
        if test in row.cells
        for column in MEASURES
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def make_screen_matrices(matrices: Sequence[Matrix]) -> list[Table]:
    """The AUCs for a terminal."""
    return [_make_screen_table(matrix, column) for matrix in matrices for column in MEASURES[:2]]


def _make_screen_table(matrix: Matrix, column: Column) -> Table:
    footnotes = Footnotes()
    table = Table(
        title=Text(f"{column.header} · {matrix.title}"), title_justify="left", caption_justify="left",
        box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    for heading in ("trained on", "detector", "view"):
        table.add_column(heading)
    for test in matrix.tests:
        table.add_column(Text(test), justify="right")
    for row in matrix.rows:
        cells = [_format_cell(row, test, column, footnotes).replace(" [", "\n[") for test in matrix.tests]
        table.add_row(Text(row.trained_on), Text(row.detector), Text(row.view), *map(Text, cells))
    table.caption = Text("\n".join(f"({number}) {reason}" for number, reason in enumerate(footnotes.reasons, start=1)))
    return table


def _render_line(row: MatrixRow, tests: Sequence[str], column: Column, footnotes: Footnotes) -> list[str]:
    named = [escape(text) for text in (row.trained_on, row.detector, row.view, row.preset)]
    return [*named, *(_format_cell(row, test, column, footnotes, with_n=True) for test in tests)]


def _format_cell(row: MatrixRow, test: str, column: Column, footnotes: Footnotes, *, with_n: bool = False) -> str:
    """Value and interval; a dash where the row was not tested on it."""
    if test not in row.cells:
        return NOTHING
    metric = row.cells[test].metrics.get(column.metric)
    text = format_value(metric, column, footnotes)
    if metric is None or metric.value is None:
        return text
    interval = format_interval(metric, column)
    return " ".join(part for part in (text, interval, f"n={metric.n}" if with_n else "") if part)


def _list_cells(metric: Metric | None) -> tuple[float | int | bool | str | None, ...]:
    if metric is None:
        return (None,) * 7
    interval = metric.ci95
    bounds = (None,) * 4 if interval is None else (interval.low, interval.high, interval.subjects, interval.reliable)
    return (metric.value, *bounds, metric.n, metric.reason)


def _join(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
