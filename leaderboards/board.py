"""The leaderboards on disk and on screen, rebuilt from the run records alone.

In: a folder of records, with the scores per video of detection runs beside them. Out: `synthesis.md`,
`synthesis.csv`, `detection.md`, `detection.csv`, `detection_differences.csv` and `.json` (who is told apart),
`perceptual.md`, `perceptual.csv`, `reference.md`, and of runs on outside corpora `matrix.md` and `matrix.csv`. The same
records give the same bytes: nothing here depends on the clock, on where the folder lies, or on the order in which files
are listed.
"""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from dancebench.core.errors import replace_undecodable
from dancebench.core.files import atomic_path
from dancebench.core.metric import Metric
from dancebench.leaderboards import markdown
from dancebench.leaderboards.columns import COLUMNS, Column
from dancebench.leaderboards.facts import Fact
from dancebench.leaderboards.matrix import group_matrices, make_matrix_table, render_matrices
from dancebench.leaderboards.records import RunKind, RunRecord
from dancebench.leaderboards.reference import load_reference
from dancebench.leaderboards.significance.differences import (
    LEVEL,
    Runs,
    SectionDifferences,
    compare_rows,
    read_runs,
    tabulate_differences,
)
from dancebench.leaderboards.tables import (
    LEGEND,
    NOTHING,
    UNRANKED,
    UNRELIABLE,
    Footnotes,
    Row,
    Section,
    format_interval,
    format_value,
    group_sections,
)

_MAX_NAME = 24
"""Characters of a name on a terminal: a longer one, of a submitted system, ends in an ellipsis."""
_IDENTITY = ("dataset", "dataset_id", "method", "preset", "run")
_CSV_COLUMNS = (
    *_IDENTITY, "metric", "value", "ci_low", "ci_high", "ci_method", "subjects", "reliable", "n", "unit",
    "higher_is_better", "reason",
)  # fmt: skip
_CsvCell = float | str | int | bool | None
_FLOATS = ".8g"
"""More digits would differ between machines."""
_PROTOCOL = ("protocol", "protocol_sha256")
"""Further columns of detection, where rows of one dataset may be of several protocols."""


def rebuild(results_dir: Path, out_dir: Path, runs: Runs | None = None) -> list[Path]:
    """Write every leaderboard; returns the files, in a fixed order.

    Args:
        results_dir: Folder of the records.
        out_dir: Folder of the tables.
        runs: What `read_runs` gives for the records, where it is at hand.

    Raises:
        BenchError: The folder cannot be written.
    """
    paths = []
    for name, parts in _render_pages(runs or read_runs(results_dir)):
        paths.append(out_dir / name)
        with atomic_path(paths[-1]) as temporary, temporary.open("wb") as file:
            file.writelines(replace_undecodable(part).encode() for part in parts)
    return paths


def check(results_dir: Path, out_dir: Path, runs: Runs | None = None) -> list[str]:
    """Names of the files in `out_dir` that are missing or differ from what `rebuild` would write."""
    return [
        name
        for name, parts in _render_pages(runs or read_runs(results_dir))
        if not (out_dir / name).is_file()
        or (out_dir / name).read_bytes() != replace_undecodable("".join(parts)).encode()
    ]


def make_long_table(records: Iterable[RunRecord], kind: RunKind) -> pd.DataFrame:
    """Every metric of every run of `kind`, one row each, in a fixed order."""
    return pd.DataFrame(_list_metrics(records, kind), columns=_list_long_columns(kind))


def make_screen_tables(
    records: Sequence[RunRecord], around: RunRecord | None = None, *, width: int = 80, results_dir: Path | None = None
) -> list[Table]:
    """The leaderboards for a terminal: as many main columns as fit, the primary metric's interval, all warnings.

    Args:
        records: What they show.
        around: One of the records, to show only the table in which it ranks; None for all.
        width: Characters of a line. No word is broken; columns that do not fit are in the files alone.
        results_dir: Where the scores per video lie, to say which detectors are told apart; None: that is not said.
    """
    return [
        _fit_table(section, width, results_dir)
        for kind in COLUMNS
        for section in group_sections(records, kind)
        if around is None or any(row.record.run.id == around.run.id for row in section.rows)
    ]


def _render_pages(runs: Runs) -> Iterator[tuple[str, Iterable[str]]]:
    """File name and content of each file, in parts; one at a time, since those of thousands of runs are large."""
    records, skipped, differences = runs
    reference = load_reference()
    for kind in COLUMNS:
        yield f"{kind}.md", [markdown.render_board(kind, records, skipped, reference, differences)]
        yield f"{kind}.csv", _write_long_csv(records, kind)
    matrices = group_matrices(records)
    if matrices:
        yield "matrix.md", [render_matrices(matrices)]
        yield "matrix.csv", [_write_csv(make_matrix_table(matrices))]
    yield "detection_differences.csv", [_write_csv(tabulate_differences(differences))]
    encoded = json.JSONEncoder(indent=2).iterencode(differences.model_dump(mode="json"))
    yield "detection_differences.json", itertools.chain(encoded, "\n")
    yield "reference.md", [markdown.render_reference_page(reference)]


def _write_csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format=f"%{_FLOATS}", lineterminator="\n")


def _write_long_csv(records: Iterable[RunRecord], kind: RunKind) -> Iterator[str]:
    """`make_long_table` as CSV, the bytes that `_write_csv` gives, record by record.

    Of a million rows pandas takes a gigabyte; and what all rows of a record have in common is formatted once.
    """
    yield ",".join(_list_long_columns(kind)) + "\n"
    for record in sorted((record for record in records if record.run.kind == kind), key=_identify):
        first = ",".join(map(_format_cell, _identify(record)))
        last = "".join(f",{_format_cell(cell)}" for cell in _identify_protocol(record)) if kind == "detection" else ""
        yield "".join(
            f"{first},{','.join(map(_format_cell, _list_metric_cells(name, metric)))}{last}\n"
            for name, metric in sorted(record.metrics.items())
        )


def _format_cell(cell: _CsvCell) -> str:
    if isinstance(cell, float):
        return format(cell, _FLOATS)
    return "" if cell is None else _quote(cell) if isinstance(cell, str) else str(cell)


@functools.lru_cache(maxsize=4096)  # units, methods and names of metrics are a few hundred words
def _quote(text: str) -> str:
    """A word as `csv` writes it, in quotation marks where it needs them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([text, None])
    return line.getvalue().removesuffix(",\n")


def _list_long_columns(kind: RunKind) -> list[str]:
    return [*_CSV_COLUMNS, *(_PROTOCOL if kind == "detection" else ())]


def _list_metrics(records: Iterable[RunRecord], kind: RunKind) -> Iterator[tuple[_CsvCell, ...]]:
    """The rows of the long table: by run, then by metric."""
    chosen = sorted((record for record in records if record.run.kind == kind), key=_identify)
    for record in chosen:
        identity = _identify(record)
        protocol = _identify_protocol(record) if kind == "detection" else ()
        for name, metric in sorted(record.metrics.items()):
            yield *identity, *_list_metric_cells(name, metric), *protocol


def _list_metric_cells(name: str, metric: Metric) -> tuple[_CsvCell, ...]:
    return (
        name, metric.value, *_list_interval_cells(metric), metric.n, metric.unit, metric.higher_is_better, metric.reason
    )  # fmt: skip


def _identify(record: RunRecord) -> tuple[str, ...]:
    entry = record.entry
    return record.data.dataset, record.data.dataset_id, entry.name, entry.preset, record.run.id


def _identify_protocol(record: RunRecord) -> tuple[str | None, str | None]:
    protocol = record.data.protocol
    return (None, None) if protocol is None else (protocol.name, protocol.sha256)


def _list_interval_cells(metric: Metric) -> tuple[_CsvCell, ...]:
    interval = metric.ci95
    if interval is None:
        return (None,) * 5
    return interval.low, interval.high, interval.method, interval.subjects, interval.reliable


def _fit_table(section: Section, width: int, results_dir: Path | None) -> Table:
    """The table with as many columns as fit into `width`, the primary metric at least."""
    compares = section.kind == "detection" and len(section.rows) > 1
    differences = compare_rows(section, results_dir) if results_dir is not None and compares else None
    columns = [column for column in section.columns if column.short]
    facts = [fact for fact in section.facts if fact.on_screen]
    console = Console(width=width)
    while True:
        table = _make_table(section, columns, facts, differences)
        fits = Measurement.get(console, console.options.update(width=10_000), table).maximum <= width
        if fits or (len(columns) == 1 and not facts):
            return table
        columns, facts = (columns[:-1], facts) if len(columns) > 1 else (columns, [])


def _make_table(
    section: Section, columns: Sequence[Column], facts: Sequence[Fact], differences: SectionDifferences | None
) -> Table:
    footnotes = Footnotes()
    table = Table(
        title=Text(f"{section.kind} · {section.title}"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("#", justify="right", no_wrap=True)
    for title in ("detector" if section.kind == "detection" else "method", "preset"):
        table.add_column(title, no_wrap=True, max_width=_MAX_NAME)
    for title in (*(column.screen_header for column in columns), *(fact.title for fact in facts)):
        table.add_column(_break_heading(title), justify="right", no_wrap=True)
    for row in section.rows:
        entry = row.record.entry
        table.add_row(
            NOTHING if row.rank is None else str(row.rank),
            Text(entry.name, overflow="ellipsis"),
            Text(row.preset, overflow="ellipsis"),
            *(_make_cell(section, row, column, footnotes) for column in columns),
            *(Text(fact.read(row.record) or NOTHING) for fact in facts),
        )
    known = sum(bool(column.short) for column in section.columns) + sum(fact.on_screen for fact in section.facts)
    hidden = known - len(columns) - len(facts)
    compared = [] if differences is None else _list_groups(differences, section.columns[0].title)
    table.caption = Text("\n".join([*compared, *_list_caption(section, columns, hidden, footnotes)]))
    return table


def _list_groups(differences: SectionDifferences, title: str) -> list[str]:
    """Which rows are not told apart, or why that is not known."""
    if not differences.compared:
        return [f"rows are not compared in pairs: {'; '.join(differences.reasons)}"]
    return [
        f"not told apart by {title} (paired by person, adjusted p ≥ {LEVEL}): {', '.join(names)}"
        for names in differences.groups.values()
        if len(names) > 1
    ]


def _break_heading(title: str) -> Text:
    """A heading over two lines at most, broken between words; an arrow stays with the word before it."""
    first, _, rest = title.replace(" ↑", "\N{NO-BREAK SPACE}↑").replace(" ↓", "\N{NO-BREAK SPACE}↓").partition(" ")
    return Text(f"{first}\n{rest}" if rest else first)


def _make_cell(section: Section, row: Row, column: Column, footnotes: Footnotes) -> Text:
    metric = row.record.metrics.get(column.metric)
    best = row.record.run.id in section.find_best(column)
    text = Text(format_value(metric, column, footnotes), style="bold green" if best else "")
    if metric is None or metric.value is None:
        return text
    if column.has_same_trunk(row.record):
        text.append(f" {UNRANKED}")
    interval = format_interval(metric, column)
    if column is section.columns[0] and interval:
        text.append(f"\n{interval}", style="dim")
    return text


def _list_caption(section: Section, columns: Sequence[Column], hidden: int, footnotes: Footnotes) -> list[str]:
    primary = section.columns[0]
    primaries = [row.record.metrics.get(primary.metric) for row in section.rows]
    intervals = [metric.ci95 for metric in primaries if metric and metric.ci95]
    own_trunk = any(column.has_same_trunk(row.record) for row in section.rows for column in columns)
    used = {UNRELIABLE: not all(interval.reliable for interval in intervals), UNRANKED: own_trunk}
    signs = [f"{sign} {text}" for sign, text in LEGEND.items() if used[sign]]
    reasons = [f"({number}) {reason}" for number, reason in enumerate(footnotes.reasons, start=1)]
    word = "column" if hidden == 1 else "columns"
    more = [f"{hidden} more {word} in leaderboards/{section.kind}.md: this terminal is narrow"] if hidden else []
    return [*section.describe_fakes(), *signs, *reasons, *more, *section.list_warnings()]
