"""Tables of a section for a page: headings and cells with what they are sorted by; the markup is the template's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from dancebench.core.metric import Metric
from dancebench.leaderboards.breakdowns import BreakdownTable
from dancebench.leaderboards.columns import MAIN, Column
from dancebench.leaderboards.facts import list_warnings
from dancebench.leaderboards.matrix import MEASURES, Matrix
from dancebench.leaderboards.records import RunRecord
from dancebench.leaderboards.reference import ReferenceTable
from dancebench.leaderboards.significance.differences import Pair, SectionDifferences
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
)

MAX_PAIRS: Final = 120
"""Pairs that a page lists; the CSV has all."""
_SHA: Final = 12  # digits of a hash that are shown


@dataclass(frozen=True)
class Cell:
    """A cell: its text, what it is sorted by, and what stands small below it.

    Attributes:
        text: Shown.
        sort: A number, or the text to sort by; None sorts last.
        below: The interval and n, say; empty for nothing.
        best: Whether it is the best of its column.
        code: Whether it is a hash or an identifier.
    """

    text: str
    sort: float | str | None = None
    below: str = ""
    best: bool = False
    code: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading; `numeric` columns are set flush right and first sorted in the direction of better."""

    text: str
    numeric: bool = False
    descending: bool = False


@dataclass(frozen=True)
class Table:
    """A table and the notes under it; the first `keys` columns say what a row is."""

    headings: Sequence[Heading]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    title: str = ""
    keys: int = 1
    filterable: bool = field(default=True)


PROVENANCE: Final[tuple[tuple[str, Callable[[RunRecord], Cell]], ...]] = (
    ("items", lambda record: _count_items(record)),
    ("dataset", lambda record: _shorten(record.data.dataset_id)),
    ("code", lambda record: _name_code(record)),
    ("hardware", lambda record: Cell(_describe_hardware(record), _describe_hardware(record))),
    ("flags", lambda record: _list_flags(record)),
    ("run", lambda record: Cell(record.run.id, record.run.id, code=True)),
)
"""What every row of a main table says of its run, beside its values with their intervals and n."""


def make_main_table(section: Section) -> Table:
    """The ranked table: who, the main metrics, and what defends them."""
    footnotes = Footnotes()
    columns = [column for column in section.columns if column.theme == MAIN]
    who = "detector" if section.kind == "detection" else "method"
    headings = [
        Heading(who), Heading("#", numeric=True), Heading("preset"),
        *(_head(column) for column in columns), *(Heading(title) for title, _ in PROVENANCE),
    ]  # fmt: skip
    rows = [
        [
            Cell(row.record.entry.name, row.record.entry.name),
            Cell(NOTHING if row.rank is None else str(row.rank), row.rank),
            Cell(row.preset, row.preset),
            *(_make_cell(section, row, column, footnotes) for column in columns),
            *(describe(row.record) for _, describe in PROVENANCE),
        ]
        for row in section.rows
    ]
    signs = [f"{sign} {text}" for sign, text in LEGEND.items() if section.uses(sign)]
    return Table(headings, rows, [*signs, *_list_reasons(footnotes)])


def make_theme_tables(section: Section) -> list[Table]:
    """The further tables, one a theme: facts and metrics."""
    tables = []
    for theme in section.themes:
        if theme == MAIN:
            continue
        footnotes = Footnotes()
        facts = [fact for fact in section.facts if fact.theme == theme]
        columns = [column for column in section.columns if column.theme == theme]
        rows = [
            [
                Cell(section.name(row), section.name(row)),
                *(_make_fact_cell(fact.read(row.record)) for fact in facts),
                *(_make_cell(section, row, column, footnotes) for column in columns),
            ]
            for row in section.rows
        ]
        headings = [Heading("row"), *(Heading(fact.title) for fact in facts), *(_head(column) for column in columns)]
        notes = [*_list_reasons(footnotes), *dict.fromkeys(column.remark for column in columns if column.remark)]
        tables.append(Table(headings, rows, notes, theme))
    return tables


def make_breakdown_table(table: BreakdownTable, section: Section) -> Table:
    """Measures under conditions: a line for each row and measure."""
    footnotes = Footnotes()
    rows = [
        [
            Cell(section.name(line.row), section.name(line.row)),
            Cell(line.column.header, line.column.header),
            *(_make_value_cell(metric, line.column, footnotes) for metric in line.metrics),
        ]
        for line in table.lines
    ]
    headings = [Heading("row"), Heading("measure"), *(Heading(value, numeric=True) for value in table.values)]
    notes = [*_list_reasons(footnotes), table.breakdown.remark.replace("`", "")]
    return Table(headings, rows, notes, table.breakdown.title, keys=2)


def make_group_table(section: Section, differences: SectionDifferences) -> list[Table]:
    """Who is told apart: the letters, then the pairs unless they are too many for a page."""
    primary, footnotes = section.columns[0], Footnotes()
    groups = [
        [
            Cell(standing.name, standing.name),
            _make_value_cell(row.record.metrics.get(primary.metric), primary, footnotes),
            Cell(standing.letters or f"{NOTHING} {footnotes.mark(standing.reason or '')}", standing.letters),
        ]
        for row, standing in zip(section.rows, differences.standings, strict=False)  # a page may show fewer rows
    ]
    notes = [
        "Rows that share a letter are not told apart (paired by person, adjusted for all pairs).",
        *_list_reasons(footnotes),
    ]
    tables = [Table([Heading("row"), _head(primary), Heading("group")], groups, notes)]
    if len(differences.pairs) <= MAX_PAIRS:
        names = {standing.run: standing.name for standing in differences.standings}
        tables.append(_make_pair_table(differences.pairs, names))
    return tables


def _make_pair_table(pairs: Sequence[Pair], names: dict[str, str]) -> Table:
    rows = []
    footnotes = Footnotes()
    for pair in pairs:
        unknown = Cell(f"{NOTHING} {footnotes.mark(pair.reason)}") if pair.reason else Cell(NOTHING)
        difference = unknown
        if pair.difference is not None:
            mark = "" if pair.ci95 is None or pair.ci95.reliable else f" {UNRELIABLE}"
            interval = "" if pair.ci95 is None else f"[{pair.ci95.low:+.3f}, {pair.ci95.high:+.3f}]{mark} "
            difference = Cell(f"{pair.difference:+.3f}", pair.difference, f"{interval}n={pair.n}")
        tested = [unknown if p is None else Cell(_format_p(p), p) for p in (pair.p, pair.p_holm)]
        first, second = names[pair.first], names[pair.second]
        rows.append([Cell(first, first), Cell(second, second), difference, *tested])
    headings = [Heading("first"), Heading("second"), *(Heading(text, True) for text in ("difference", "p", "p (Holm)"))]
    return Table(headings, rows, _list_reasons(footnotes), keys=2)


def make_matrix_tables(matrix: Matrix) -> list[Table]:
    """Training by test set: a table for each measure."""
    tables = []
    for column in MEASURES:
        footnotes = Footnotes()
        rows = [
            [
                *(Cell(text, text) for text in (row.trained_on, row.detector, row.view, row.preset)),
                *(
                    _make_value_cell(row.cells[test].metrics.get(column.metric), column, footnotes)
                    if test in row.cells
                    else Cell(NOTHING)
                    for test in matrix.tests
                ),
            ]
            for row in matrix.rows
        ]
        headings = [
            *(Heading(text) for text in ("trained on", "detector", "view", "preset")),
            *(Heading(test, numeric=True, descending=True) for test in matrix.tests),
        ]
        tables.append(Table(headings, rows, _list_reasons(footnotes), column.header, keys=2))
    return tables


def make_reference_table(table: ReferenceTable) -> Table:
    """A table as a paper prints it."""
    headings = [Heading("")]
    for column in table.columns:
        header = Column("", column.name, column.higher_is_better).header
        unit = "" if column.unit in column.name else f" ({column.unit})"
        headings.append(Heading(header + unit, numeric=True, descending=column.higher_is_better is True))
    rows = [[Cell(row.name, row.name), *(Cell(str(value), float(value)) for value in row.values)] for row in table.rows]
    return Table(headings, rows, table.remarks, f"{table.number}. {table.title}", filterable=False)


def _head(column: Column) -> Heading:
    return Heading(column.header, numeric=True, descending=column.higher_is_better is True)


def _make_cell(section: Section, row: Row, column: Column, footnotes: Footnotes) -> Cell:
    metric = row.record.metrics.get(column.metric)
    own_trunk = column.has_same_trunk(row.record) and metric is not None and metric.value is not None
    best = row.record.run.id in section.find_best(column)
    return _make_value_cell(metric, column, footnotes, sign=f" {UNRANKED}" if own_trunk else "", best=best)


def _make_value_cell(
    metric: Metric | None, column: Column, footnotes: Footnotes, *, sign: str = "", best: bool = False
) -> Cell:
    text = format_value(metric, column, footnotes)
    if metric is None or metric.value is None:
        return Cell(text)
    support = f"{format_interval(metric, column)} n={metric.n}".strip()
    return Cell(text + sign, metric.value, support, best)


def _make_fact_cell(text: str | None) -> Cell:
    if text is None:
        return Cell(NOTHING)
    try:
        return Cell(text, float(text.removesuffix(" M")) * (1e6 if text.endswith(" M") else 1))
    except ValueError:
        return Cell(text, text)


def _count_items(record: RunRecord) -> Cell:
    data = record.data
    whole = data.n_effective == data.n_original
    text = str(data.n_effective) if whole else f"{data.n_effective} of {data.n_original}"
    people = len(record.per_subject)
    return Cell(text, float(data.n_effective), f"{people} {'person' if people == 1 else 'people'}")


def _shorten(sha256: str) -> Cell:
    return Cell(sha256[:_SHA], sha256, code=True)


def _name_code(record: RunRecord) -> Cell:
    """The release, and the commit with a mark where the tree was changed."""
    version = record.run.versions.get("dancebench", "unknown release")
    commit = "no commit recorded" if record.run.git_sha is None else record.run.git_sha[:_SHA]
    return Cell(version, version, commit + (" + changes" if record.run.dirty else ""))


def _describe_hardware(record: RunRecord) -> str:
    hardware = record.run.hardware
    named = [str(hardware[key]) for key in ("gpu", "cpu") if hardware.get(key)]
    cores = hardware.get("cores")
    return ", ".join([*named, *([f"{cores} cores"] if cores else [])]) or "not recorded"


def _list_flags(record: RunRecord) -> Cell:
    found = list_warnings(record)
    return Cell(f"⚠ {len(found)}" if found else "none", float(len(found)), "see above" if found else "")


def _list_reasons(footnotes: Footnotes) -> list[str]:
    return [f"({number}) {reason}" for number, reason in enumerate(footnotes.reasons, start=1)]


def _format_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
