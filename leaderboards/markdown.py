"""Leaderboards and reference tables as Markdown: from sections to text, the same bytes every time."""

from __future__ import annotations

from collections.abc import Sequence

from dancebench.core.metric import Metric
from dancebench.leaderboards.breakdowns import BreakdownTable, breakdown_tables
from dancebench.leaderboards.records import RunKind, RunRecord, Skipped
from dancebench.leaderboards.reference import Reference, ReferenceTable
from dancebench.leaderboards.tables import (
    COLUMNS,
    LEGEND,
    NOTHING,
    UNRANKED,
    Column,
    Footnotes,
    Row,
    Section,
    interval_text,
    sections,
    value_text,
)

FIRST_COMMAND: dict[RunKind, str] = {
    "synthesis": "bench synth --subject all",
    "detection": "bench detect --holdout",
}
REFERENCE_TITLE = "Reference: as printed in the papers, not comparable"


def board(kind: RunKind, records: Sequence[RunRecord], skipped: Sequence[Skipped], reference: Reference) -> str:
    """The whole page of one leaderboard."""
    primary = COLUMNS[kind][0]
    blocks = [f"# {kind.capitalize()} leaderboard"]
    found = sections(records, kind)
    if found:
        blocks.append(
            "Rows compare within one section only: the same dataset, the same subjects. "
            f"Rank is by {primary.header}; where intervals overlap, the order is not established. "
            "Every value has its 95% interval, whose unit is the person, and n, the items behind it; "
            "the best of a column is bold."
        )
    else:
        blocks.append(f"Nothing has been measured yet. `{FIRST_COMMAND[kind]}` makes the first row.")
    for section in found:
        blocks += _section(section)
    if skipped:
        blocks += ["## Left out", _bullets([f"{item.path.name}: {item.reason}" for item in skipped])]
    blocks += [f"## {REFERENCE_TITLE}", *_references(reference, reference.of_kind(kind))]
    return "\n\n".join(blocks) + "\n"


def reference_page(reference: Reference) -> str:
    """All the papers' tables on one page."""
    return "\n\n".join([f"# {REFERENCE_TITLE}", *_references(reference, reference.tables)]) + "\n"


def escape(text: str) -> str:
    """Text that stays in its table cell and is not taken for markup."""
    for sign in ("\\", "|", "*", "`", "["):
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.replace("<", "&lt;").split())


def _section(section: Section) -> list[str]:
    footnotes = Footnotes()
    titles = ["#", "method" if section.kind == "synthesis" else "detector", "preset"]
    titles += [column.header for column in section.columns] + [*section.facts, "run"]
    lines = []
    for row in section.rows:
        entry = row.record.entry
        cells = [NOTHING if row.rank is None else str(row.rank), escape(entry.name), escape(entry.preset)]
        cells += [_cell(section, row, column, footnotes) for column in section.columns]
        cells += [escape(fact(row.record) or NOTHING) for fact in section.facts.values()]
        lines.append([*cells, f"`{row.record.run.id}`"])
    blocks = [f"## {escape(section.title)}", _table(titles, lines)]
    signs = [f"{sign} {text}" for sign, text in LEGEND.items() if any(sign in "".join(c) for c in lines)]
    signs += [f"({number}) {escape(reason)}" for number, reason in enumerate(footnotes.reasons, start=1)]
    remarks = [escape(remark) for remark in section.remarks()]
    if signs or remarks:
        blocks.append(_bullets(signs + remarks))
    blocks += _per_subject(section)
    for table in breakdown_tables(section):
        blocks += _breakdown(table)
    return blocks


def _cell(section: Section, row: Row, column: Column, footnotes: Footnotes) -> str:
    metric = row.record.metrics.get(column.metric)
    text = value_text(metric, column, footnotes)
    if metric is None or metric.value is None:
        return escape(text)
    if row.record.run.id in section.best(column):
        text = f"**{text}**"
    mark = f" {UNRANKED}" if column.judges_its_own_trunk(row.record) else ""
    return f"{text}{mark} {_support(metric, column)}"


def _support(metric: Metric, column: Column) -> str:
    """The interval of a value and the items behind it."""
    interval = interval_text(metric, column)
    return f"{interval}{' ' if interval else ''}n={metric.n}"


def _breakdown(table: BreakdownTable) -> list[str]:
    footnotes = Footnotes()
    lines = []
    for line in table.lines:
        cells = [escape(line.row.label), line.column.header]
        for metric in line.metrics:
            text = value_text(metric, line.column, footnotes)
            known = metric is not None and metric.value is not None
            cells.append(f"{text} {_support(metric, line.column)}" if metric and known else escape(text))
        lines.append(cells)
    reasons = [f"({number}) {escape(reason)}" for number, reason in enumerate(footnotes.reasons, start=1)]
    titles = ["row", "measure", *(escape(value) for value in table.values)]
    return [f"### {table.breakdown.title}", _table(titles, lines), _bullets([*reasons, table.breakdown.remark])]


def _per_subject(section: Section) -> list[str]:
    lines = []
    for row, column in section.unreliable():
        values = [row.record.per_subject[subject].get(column.metric) for subject in section.subjects]
        if any(value is not None for value in values):
            texts = [NOTHING if value is None else format(value, column.form) for value in values]
            lines.append([escape(row.label), column.header, *texts])
    if not lines:
        return []
    titles = ["row", "metric", *(escape(subject) for subject in section.subjects)]
    return ["Values per subject:", _table(titles, lines)]


def _references(reference: Reference, tables: Sequence[ReferenceTable]) -> list[str]:
    blocks = []
    for paper_key, paper in reference.papers.items():
        own = [table for table in tables if table.paper == paper_key]
        if own:
            blocks.append(f"{paper.citation} <{paper.url}>")
        for table in own:
            blocks.append(f"**{table.number}. {table.title}**")
            lines = [[row.name, *(str(value) for value in row.values)] for row in table.rows]
            blocks.append(_table(["", *(_reference_header(table, at) for at in range(len(table.columns)))], lines))
            if table.remarks:
                blocks.append(_bullets(table.remarks))
    return blocks


def _reference_header(table: ReferenceTable, at: int) -> str:
    column = table.columns[at]
    header = Column("", column.name, column.higher_is_better).header
    return header if column.unit in column.name else f"{header} ({column.unit})"


def _table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, ["---"] * len(titles), *lines))


def _bullets(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)
