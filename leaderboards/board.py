"""The leaderboards on disk and on screen, rebuilt from the run records alone.

In: a folder of records. Out: `synthesis.md`, `synthesis.csv`, `detection.md`, `detection.csv` and
`reference.md`. The same records give the same bytes: nothing here depends on the clock, on where the
folder lies, or on the order in which files are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from dancebench.core.files import write_text
from dancebench.core.metric import Metric
from dancebench.leaderboards import markdown
from dancebench.leaderboards.records import RunKind, RunRecord, load_runs
from dancebench.leaderboards.reference import load_reference
from dancebench.leaderboards.tables import (
    COLUMNS,
    FACTS_ON_SCREEN,
    LEGEND,
    NOTHING,
    UNRANKED,
    UNRELIABLE,
    Column,
    Footnotes,
    Row,
    Section,
    interval_text,
    sections,
    value_text,
)

_IDENTITY = ("dataset", "dataset_id", "method", "preset", "run")
_CSV_COLUMNS = (
    *_IDENTITY, "metric", "value", "ci_low", "ci_high", "ci_method", "subjects", "reliable", "n", "unit",
    "higher_is_better", "reason",
)  # fmt: skip


def rebuild(results_dir: Path, out_dir: Path) -> list[Path]:
    """Write every leaderboard; returns the files, in a fixed order.

    Raises:
        BenchError: The folder cannot be written.
    """
    paths = []
    for name, text in _pages(results_dir).items():
        paths.append(out_dir / name)
        write_text(paths[-1], text)
    return paths


def check(results_dir: Path, out_dir: Path) -> list[str]:
    """Names of the files in `out_dir` that are missing or differ from what `rebuild` would write."""
    return [
        name
        for name, text in _pages(results_dir).items()
        if not (out_dir / name).is_file() or (out_dir / name).read_bytes() != text.encode()
    ]


def long_table(records: Iterable[RunRecord], kind: RunKind) -> pd.DataFrame:
    """Every metric of every run of `kind`, one row each, in a fixed order."""
    rows = [
        (
            *_identity(record), name, metric.value, *_interval_cells(metric), metric.n, metric.unit,
            metric.higher_is_better, metric.reason,
        )
        for record in records
        if record.run.kind == kind
        for name, metric in record.metrics.items()
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(_CSV_COLUMNS))
    return table.sort_values([*_IDENTITY, "metric"], ignore_index=True)


def rich_tables(records: Sequence[RunRecord], around: RunRecord | None = None) -> list[Table]:
    """The leaderboards for a terminal: the main columns, the interval of the primary metric, all remarks.

    Args:
        records: What they show.
        around: One of the records, to show only the table in which it ranks; None for all.
    """
    return [
        _screen(section)
        for kind in COLUMNS
        for section in sections(records, kind)
        if around is None or any(row.record.run.id == around.run.id for row in section.rows)
    ]


def _pages(results_dir: Path) -> dict[str, str]:
    """File name to content."""
    records, skipped = load_runs(results_dir)
    reference = load_reference()
    pages = {}
    for kind in COLUMNS:
        pages[f"{kind}.md"] = markdown.board(kind, records, skipped, reference)
        table = long_table(records, kind)
        pages[f"{kind}.csv"] = table.to_csv(index=False, float_format="%.8g", lineterminator="\n")
    pages["reference.md"] = markdown.reference_page(reference)
    return pages


def _identity(record: RunRecord) -> tuple[str, ...]:
    entry = record.entry
    return record.data.dataset, record.data.dataset_id, entry.name, entry.preset, record.run.id


def _interval_cells(metric: Metric) -> tuple[float | str | int | bool | None, ...]:
    interval = metric.ci95
    if interval is None:
        return (None,) * 5
    return interval.low, interval.high, interval.method, interval.subjects, interval.reliable


def _screen(section: Section) -> Table:
    footnotes = Footnotes()
    columns = [column for column in section.columns if column.on_screen]
    facts = {title: fact for title, fact in section.facts.items() if title in FACTS_ON_SCREEN}
    heading = f"{section.kind} · {section.title}"
    table = Table(
        title=Text(heading), title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("#", justify="right")
    for title in ("method" if section.kind == "synthesis" else "detector", "preset"):
        table.add_column(title, overflow="fold")
    for place, title in enumerate((*(column.header for column in columns), *facts)):
        interval = place == 0  # stays on one line; elsewhere folding, so that no digit is cut off
        table.add_column(Text(title), justify="right", overflow="fold", no_wrap=interval)
    for row in section.rows:
        entry = row.record.entry
        table.add_row(
            NOTHING if row.rank is None else str(row.rank),
            Text(entry.name),
            Text(entry.preset),
            *(_screen_cell(section, row, column, footnotes) for column in columns),
            *(Text(fact(row.record) or NOTHING) for fact in facts.values()),
        )
    table.caption = Text("\n".join(_caption(section, columns, footnotes)))
    return table


def _screen_cell(section: Section, row: Row, column: Column, footnotes: Footnotes) -> Text:
    metric = row.record.metrics.get(column.metric)
    best = row.record.run.id in section.best(column)
    text = Text(value_text(metric, column, footnotes), style="bold green" if best else "")
    if metric is None or metric.value is None:
        return text
    if column.judges_its_own_trunk(row.record):
        text.append(f" {UNRANKED}")
    interval = interval_text(metric, column)
    if column is section.columns[0] and interval:
        text.append(f"\n{interval}", style="dim")
    return text


def _caption(section: Section, columns: Sequence[Column], footnotes: Footnotes) -> list[str]:
    primary = section.columns[0]
    primaries = [row.record.metrics.get(primary.metric) for row in section.rows]
    intervals = [metric.ci95 for metric in primaries if metric and metric.ci95]
    own_trunk = any(column.judges_its_own_trunk(row.record) for row in section.rows for column in columns)
    used = {UNRELIABLE: not all(interval.reliable for interval in intervals), UNRANKED: own_trunk}
    signs = [f"{sign} {text}" for sign, text in LEGEND.items() if used[sign]]
    reasons = [f"({number}) {reason}" for number, reason in enumerate(footnotes.reasons, start=1)]
    return [*section.difficulty(), *signs, *reasons, *section.warnings()]
