"""Leaderboards and reference tables as Markdown: from sections to text, the same bytes every time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dancebench.core.metric import Metric
from dancebench.leaderboards.breakdowns import BreakdownTable, make_breakdowns
from dancebench.leaderboards.columns import MAIN, Column
from dancebench.leaderboards.records import RunKind, RunRecord, Skipped
from dancebench.leaderboards.reference import Reference, ReferenceTable
from dancebench.leaderboards.significance.differences import LEVEL, Differences, Pair, SectionDifferences
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

FIRST_COMMAND: dict[RunKind, str] = {
    "synthesis": "bench synth --subject all",
    "detection": "bench detect --holdout",
    "perceptual": "bench study make",
}
MAX_COLUMNS = 9
"""Of a table: more do not fit a page that people read."""
REFERENCE_TITLE = "Reference: as printed in the papers, not comparable"


def render_board(
    kind: RunKind,
    records: Sequence[RunRecord],
    skipped: Sequence[Skipped],
    reference: Reference,
    differences: Differences,
) -> str:
    """The whole page of one leaderboard; `differences` tells which of its rows are told apart."""
    blocks = [f"# {kind.capitalize()} leaderboard"]
    found = group_sections(records, kind)
    if found:
        leading = " or ".join(dict.fromkeys(section.columns[0].header for section in found))
        blocks.append(
            "Rows compare within one section only: the same dataset, the same subjects"
            f"{', the same protocol (by its hash)' if kind == 'detection' else ''}. "
            f"Rank is by {leading}; where intervals overlap, the order is not established. "
            "Every value has its 95% confidence interval, whose unit is the person, and n, the items behind it; "
            "the best of a column is bold."
        )
    else:
        blocks.append(f"Nothing has been measured yet. `{FIRST_COMMAND[kind]}` makes the first row.")
    for section in found:
        blocks += _render_section(section, differences.find(section))
    if skipped:
        blocks += ["## Left out", _render_bullets([f"{item.path.name}: {item.reason}" for item in skipped])]
    blocks += [f"## {REFERENCE_TITLE}", *_render_references(reference, reference.of_kind(kind))]
    return "\n\n".join(blocks) + "\n"


def render_short_table(section: Section, differences: SectionDifferences | None) -> str:
    """The main table for a document: each value, with its interval in the leading column alone; groups beside it."""
    footnotes = Footnotes()
    letters = {} if differences is None else {each.run: each.letters for each in differences.standings if each.letters}
    leading, *others = [column for column in section.columns if column.theme == MAIN]
    lines = []
    for row in section.rows:
        metrics = row.record.metrics
        cells = [f"`{escape(row.record.entry.name)}`", escape(row.preset)]
        cells.append(format_value(metrics.get(leading.metric), leading, footnotes))
        if (metric := metrics.get(leading.metric)) and (interval := format_interval(metric, leading)):
            cells[-1] += f" {interval}"
        cells += [format_value(metrics.get(column.metric), column, footnotes) for column in others]
        lines.append(cells + ([letters.get(row.record.run.id) or NOTHING] if letters else []))
    titles = ["detector" if section.kind == "detection" else "method", "preset"]
    titles += [column.header for column in (leading, *others)]
    table = _render_table([*titles, *(["group"] if letters else [])], lines)
    signs = [f"{sign} {text}" for sign, text in LEGEND.items() if sign in table]
    grouped = [f"Rows that share a group are not told apart by {leading.title}."] if letters else []
    notes = [*signs, *grouped, *_list_reasons(footnotes)]
    return "\n\n".join([table, _render_bullets(notes)] if notes else [table])


def render_reference_page(reference: Reference) -> str:
    """All the papers' tables on one page."""
    return "\n\n".join([f"# {REFERENCE_TITLE}", *_render_references(reference, reference.tables)]) + "\n"


def escape(text: str) -> str:
    """Text that stays in its table cell and is not taken for markup."""
    for sign in ("\\", "|", "*", "`", "["):
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.replace("<", "&lt;").split())


def _render_section(section: Section, differences: SectionDifferences | None) -> list[str]:
    blocks = [f"## {escape(section.title)}", *_render_main_table(section, differences)]
    remarks = [escape(remark) for remark in section.list_remarks()]
    if remarks:
        blocks.append(_render_bullets(remarks))
    if differences is not None:
        blocks += _render_differences(section, differences)
    for theme in section.themes:
        if theme != MAIN:
            blocks += [f"### {theme}", *_render_theme(section, theme)]
    blocks += _render_values_per_subject(section)
    for table in make_breakdowns(section):
        blocks += _render_breakdown(table)
    return blocks


def _render_main_table(section: Section, differences: SectionDifferences | None) -> list[str]:
    """The ranked table: who, the main metrics, and the run that can be looked up.

    Beside the leading metric stand the groups of rows that are not told apart by it, even if it is one.
    """
    letters = {} if differences is None else {each.run: each.letters for each in differences.standings if each.letters}
    footnotes = Footnotes()
    columns = [column for column in section.columns if column.theme == MAIN]
    titles = ["#", "detector" if section.kind == "detection" else "method", "preset"]
    lines = []
    for row in section.rows:
        entry = row.record.entry
        cells = [NOTHING if row.rank is None else str(row.rank), escape(entry.name), escape(row.preset)]
        cells += [_render_cell(section, row, column, footnotes) for column in columns]
        if row.record.run.id in letters:
            cells[3] += f" · group {letters[row.record.run.id]}"
        lines.append([*cells, f"`{row.record.run.id}`"])
    table = _render_table([*titles, *(column.header for column in columns), "run"], lines)
    signs = [f"{sign} {text}" for sign, text in LEGEND.items() if section.uses(sign)]
    grouped = [f"rows that share a group are not told apart by {section.columns[0].title}"] if letters else []
    remarks = [columns[0].remark] if columns[0].leads else []
    notes = [*signs, *grouped, *remarks, *_list_reasons(footnotes)]
    return [table, _render_bullets(notes)] if notes else [table]


def _render_differences(section: Section, differences: SectionDifferences) -> list[str]:
    """Groups of rows that are not told apart, then every pair."""
    primary, footnotes = section.columns[0], Footnotes()
    title = f"### Paired differences of {primary.title}"
    if not differences.compared:
        return [title, _render_bullets([f"Rows are not compared: {escape(each)}" for each in differences.reasons])]
    groups = [
        [
            escape(standing.name),
            format_value(row.record.metrics.get(primary.metric), primary, footnotes),
            standing.letters or f"{NOTHING} {footnotes.mark(standing.reason or '')}",
        ]
        for row, standing in zip(section.rows, differences.standings, strict=True)
    ]
    names = {standing.run: escape(standing.name) for standing in differences.standings}
    pairs = [[names[pair.first], names[pair.second], *_render_pair(pair, footnotes)] for pair in differences.pairs]
    notes = [
        f"Rows that share a letter are not told apart: their adjusted p is {LEVEL} or more, or there is none.",
        "A difference is the first row minus the second, over the n videos that both scored, with its 95% confidence "
        "interval and p by person (jackknife-t); p (Holm) is adjusted for all pairs of this section.",
        "Where nobody knows who is seen, clip groups stand for people.",
        "p (DeLong) takes videos as independent: it is right only where no two videos share a person. Not adjusted.",
        *_list_reasons(footnotes),
    ]
    return [
        title,
        _render_table(["row", primary.header, "group"], groups),
        _render_table(["first", "second", "difference", "p", "p (Holm)", "p (DeLong)"], pairs),
        _render_bullets(notes),
    ]


def _render_pair(pair: Pair, footnotes: Footnotes) -> list[str]:
    unknown = f"{NOTHING} {footnotes.mark(pair.reason)}" if pair.reason else NOTHING
    if pair.difference is None:
        return [unknown] * 4
    difference = f"{pair.difference:+.3f}"
    if pair.ci95 is not None:
        mark = "" if pair.ci95.reliable else f" {UNRELIABLE}"
        difference += f" [{pair.ci95.low:+.3f}, {pair.ci95.high:+.3f}]{mark}"
    tested = [unknown if p is None else _render_p(p) for p in (pair.p, pair.p_holm)]
    delong = NOTHING if pair.p_delong is None else _render_p(pair.p_delong)
    return [f"{difference} n={pair.n}", *tested, delong]


def _render_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _render_theme(section: Section, theme: str) -> list[str]:
    """A further table: a line for each row of the main one, the facts and metrics of one theme."""
    footnotes = Footnotes()
    facts = [fact for fact in section.facts if fact.theme == theme]
    columns = [column for column in section.columns if column.theme == theme]
    lines = [
        [
            escape(section.name(row)),
            *(escape(fact.read(row.record) or NOTHING) for fact in facts),
            *(_render_cell(section, row, column, footnotes) for column in columns),
        ]
        for row in section.rows
    ]
    titles = [*(fact.title for fact in facts), *(escape(column.header) for column in columns)]
    notes = [*_list_reasons(footnotes), *dict.fromkeys(column.remark for column in columns if column.remark)]
    blocks = _render_wide_table(["row"], titles, lines)
    return [*blocks, _render_bullets(notes)] if notes else blocks


def _render_cell(section: Section, row: Row, column: Column, footnotes: Footnotes) -> str:
    metric = row.record.metrics.get(column.metric)
    text = format_value(metric, column, footnotes)
    if metric is None or metric.value is None:
        return escape(text)
    if row.record.run.id in section.find_best(column):
        text = f"**{text}**"
    mark = f" {UNRANKED}" if column.has_same_trunk(row.record) else ""
    return f"{text}{mark} {_render_support(metric, column)}"


def _render_support(metric: Metric, column: Column) -> str:
    """The confidence interval of a value and the items behind it."""
    interval = format_interval(metric, column)
    return f"{interval}{' ' if interval else ''}n={metric.n}"


def _render_breakdown(table: BreakdownTable) -> list[str]:
    footnotes = Footnotes()
    lines = []
    for line in table.lines:
        cells = [escape(line.row.label), line.column.header]
        for metric in line.metrics:
            text = format_value(metric, line.column, footnotes)
            known = metric is not None and metric.value is not None
            cells.append(f"{text} {_render_support(metric, line.column)}" if metric and known else escape(text))
        lines.append(cells)
    tables = _render_wide_table(["row", "measure"], [escape(value) for value in table.values], lines)
    notes = [*_list_reasons(footnotes), table.breakdown.remark]
    return [f"### {table.breakdown.title}", *tables, _render_bullets(notes)]


def _render_values_per_subject(section: Section) -> list[str]:
    lines = []
    for row, column in section.list_unreliable():
        values = [row.record.per_subject[subject].get(column.metric) for subject in section.subjects]
        if any(value is not None for value in values):
            texts = [NOTHING if value is None else format(value, column.form) for value in values]
            lines.append([escape(row.label), escape(column.header), *texts])
    if not lines:
        return []
    subjects = [escape(subject) for subject in section.subjects]
    return ["### Values per subject", *_render_wide_table(["row", "metric"], subjects, lines)]


def _list_reasons(footnotes: Footnotes) -> list[str]:
    return [f"({number}) {escape(reason)}" for number, reason in enumerate(footnotes.reasons, start=1)]


def _render_references(reference: Reference, tables: Sequence[ReferenceTable]) -> list[str]:
    blocks = []
    for paper_key, paper in reference.papers.items():
        own = [table for table in tables if table.paper == paper_key]
        if own:
            blocks.append(f"{paper.citation} <{paper.url}>")
        for table in own:
            blocks.append(f"**{table.number}. {table.title}**")
            lines = [[row.name, *(str(value) for value in row.values)] for row in table.rows]
            titles = [_render_reference_header(table, at) for at in range(len(table.columns))]
            blocks.append(_render_table(["", *titles], lines))
            if table.remarks:
                blocks.append(_render_bullets(table.remarks))
    return blocks


def _render_reference_header(table: ReferenceTable, at: int) -> str:
    column = table.columns[at]
    header = Column("", column.name, column.higher_is_better).header
    return header if column.unit in column.name else f"{header} ({column.unit})"


def _render_wide_table(keys: list[str], titles: list[str], lines: list[list[str]]) -> list[str]:
    """A table of at most `MAX_COLUMNS` columns, or several, all with the first columns `keys`."""
    first, step = len(keys), MAX_COLUMNS - len(keys)
    count = max(1, math.ceil(len(titles) / step))
    width = math.ceil(len(titles) / count)  # evenly, so that the last table is not a stub
    return [
        _render_table(
            [*keys, *titles[at : at + width]],
            [[*line[:first], *line[first + at : first + at + width]] for line in lines],
        )
        for at in range(0, max(1, len(titles)), max(1, width))
    ]


def _render_table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, ["---"] * len(titles), *lines))


def _render_bullets(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)
