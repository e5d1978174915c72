"""Figures of a section: its rows, breakdowns and the parts of its runs in, charts with what to know of them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from dancebench.core.metric import Interval, Metric
from dancebench.leaderboards.breakdowns import BreakdownTable
from dancebench.leaderboards.columns import Column
from dancebench.leaderboards.site.charts import (
    COLOURS,
    IntervalRow,
    Line,
    draw_groups,
    draw_intervals,
    draw_lines,
    make_axis,
)
from dancebench.leaderboards.site.curves import CURVES
from dancebench.leaderboards.site.parts import BINS, RunPart
from dancebench.leaderboards.tables import UNRELIABLE, Row, Section

Parts = Mapping[str, RunPart]
"""By run id."""
OVERLAID: Final = ("roc", "det")
"""Curves of which all rows share one chart; of the others each run has its own."""
MAX_INTERVALS: Final = 40
"""Rows of a chart of intervals."""


@dataclass(frozen=True)
class Figure:
    """A chart, or why there is none."""

    title: str
    chart: Markup | None
    notes: tuple[str, ...]


def draw_people(section: Section) -> list[Figure]:
    """Values per person with the mean and its interval, of each main column that has them."""
    figures = []
    for column in section.columns[:2]:
        rows = [each for row in section.rows[:MAX_INTERVALS] if (each := _make_interval_row(section, row, column))]
        if not any(row.dots for row in rows):
            continue
        values = [
            value
            for row in rows
            for value in (row.value, row.low, row.high, *(dot for _, dot in row.dots))
            if value is not None
        ]
        notes = ["Small: one person. Large: the leaderboard's value, with its 95% confidence interval by person."]
        if section.uses(UNRELIABLE):
            notes.append("With fewer than 10 people an interval is unreliable: look at the people.")
        notes += _count_hidden(len(section.rows), MAX_INTERVALS)
        title = f"{column.header} by person"
        figures.append(Figure(title, draw_intervals(title, make_axis(column.header, values), rows), tuple(notes)))
    return figures


def _make_interval_row(section: Section, row: Row, column: Column) -> IntervalRow | None:
    metric = row.record.metrics.get(column.metric)
    if metric is None or metric.value is None:
        return None
    values = {person: own.get(column.metric) for person, own in sorted(row.record.per_subject.items())}
    dots = [(person, value) for person, value in values.items() if value is not None]
    low, high = _ends(metric.ci95)
    return IntervalRow(section.short_name(row), metric.value, low, high, dots)


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.low, interval.high)


def draw_overlays(section: Section, parts: Parts) -> list[Figure]:
    """ROC and DET of the best rows, in one chart each."""
    figures = []
    for name in OVERLAID:
        curve = CURVES[name]
        lines: list[Line] = []
        reasons: list[str] = []
        for colour, row in enumerate(section.rows[:COLOURS]):
            part = parts[row.record.run.id]
            if name in part.no_curves:
                reasons.append(f"{section.short_name(row)}: {part.no_curves[name]}")
            lines += [Line(section.short_name(row), trace.points, colour) for trace in part.list_traces(name)]
        notes = [curve.remark, *_count_hidden(len(section.rows), COLOURS)]
        chart = None
        if lines:
            guide = [Line("", ((0, 0), (1, 1)), None, dashed=True)] if name == "roc" else []
            chart = _draw_curve(name, [*guide, *lines])
        figures.append(Figure(curve.title, chart, (*(notes if lines else []), *_say_once(reasons))))
    return figures


def draw_run_curves(section: Section, parts: Parts) -> list[tuple[str, list[Figure]]]:
    """The further curves, by row."""
    found = []
    for row in section.rows:
        part = parts[row.record.run.id]
        figures = []
        for name, curve in CURVES.items():
            if name in OVERLAID:
                continue
            if name in part.no_curves:
                figures.append(Figure(curve.title, None, (part.no_curves[name],)))
                continue
            traces = part.list_traces(name)
            lines = [
                Line(trace.label, trace.points, None if trace.dashed and len(traces) > 2 else number, trace.dashed)
                for number, trace in enumerate(traces)
            ]
            figures.append(Figure(curve.title, _draw_curve(name, lines), (curve.remark,)))
        if any(figure.chart for figure in figures):
            found.append((section.short_name(row), figures))
    return found


def _draw_curve(name: str, lines: Sequence[Line]) -> Markup:
    curve = CURVES[name]
    axes = [
        make_axis(
            curve.axes[at], [point[at] for line in lines for point in line.points], curve.limits[at], curve.ticks[at]
        )
        for at in (0, 1)
    ]
    return draw_lines(curve.title, axes[0], axes[1], lines)


def draw_novelty(section: Section, parts: Parts) -> Figure:
    """Body SSIM over pose novelty, a line for each row."""
    lines: list[Line] = []
    reasons: list[str] = []
    for colour, row in enumerate(section.rows[:COLOURS]):
        part = parts[row.record.run.id]
        if part.no_novelty is not None:
            reasons.append(f"{section.short_name(row)}: {part.no_novelty}")
        else:
            lines.append(Line(section.short_name(row), part.novelty, colour, dots=True))
    title, chart = "Body SSIM against pose novelty", None
    if lines:
        points = [point for line in lines for point in line.points]
        x = make_axis("mean distance to the nearest training poses, % of height", [x for x, _ in points])
        chart = draw_lines(title, x, make_axis("body SSIM", [y for _, y in points]), lines)
    how = [f"Means of {BINS} bins of frames, equally many in each (distance of poses: EDN Eq. 6)."] if lines else []
    return Figure(title, chart, (*how, *_say_once(reasons)))


def draw_breakdown(table: BreakdownTable, section: Section) -> Figure | None:
    """The first measure of a breakdown under each of its conditions, the rows side by side."""
    first = next((column for column in table.breakdown.columns if column.metric == "video_auc"), None)
    shown = {row.record.run.id: colour for colour, row in enumerate(section.rows[:COLOURS])}
    lines = [line for line in table.lines if line.column is (first or table.breakdown.columns[0])]
    lines = [line for line in lines if line.row.record.run.id in shown]
    if not lines or len(table.values) < 2:
        return None
    names = [(section.short_name(line.row), shown[line.row.record.run.id]) for line in lines]
    groups = [(value, [_read_point(line.metrics[at]) for line in lines]) for at, value in enumerate(table.values)]
    values = [value for _, points in groups for point in points if point for value in point if value is not None]
    if not values:
        return None
    title = f"{table.breakdown.title}: {lines[0].column.header}"
    notes = ["Bars: 95% confidence intervals by person.", *_count_hidden(len(section.rows), COLOURS)]
    return Figure(title, draw_groups(title, make_axis(lines[0].column.header, values), groups, names), tuple(notes))


def _read_point(metric: Metric | None) -> tuple[float, float | None, float | None] | None:
    if metric is None or metric.value is None:
        return None
    return (metric.value, *_ends(metric.ci95))


def _count_hidden(count: int, drawn: int) -> list[str]:
    return [f"The {drawn} best rows are drawn; {count - drawn} more are in the table."] if count > drawn else []


def _say_once(reasons: Sequence[str]) -> list[str]:
    """Why rows are not drawn: each reason once, behind the rows that it is true of."""
    rows: dict[str, list[str]] = {}
    for each in reasons:
        name, _, reason = each.partition(": ")
        rows.setdefault(reason, []).append(name)
    return [f"Not drawn: {', '.join(names)}: {reason}." for reason, names in rows.items()]
