"""Charts as inline SVG: points in, markup that takes its colours from the page's style sheet out.

Coordinates are rounded to a tenth of a pixel of a fixed canvas, so that the same points give the same text. A line is
told from the others by its colour and by its dashes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup
from markupsafe import escape as escape_markup

from dancebench.core.errors import escape_unprintable

COLOURS: Final = 8
"""Lines that one chart tells apart; the style sheet has a colour for each."""
Point = tuple[float, float]
Ticks = tuple[tuple[float, str], ...]
_WIDTH, _HEIGHT = 460, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 22, 12, 46
_ROW: Final = 26  # height of a row of a chart of intervals
_NAMES: Final = 158  # width of its names
_LINE: Final = 14  # height of a line of them
_MAX_LINES: Final = 4


@dataclass(frozen=True)
class Axis:
    """A linear axis."""

    label: str
    low: float
    high: float
    ticks: Ticks

    def place(self, value: float, start: float, end: float) -> float:
        """Position of a value between `start` and `end` pixels; what lies beyond the axis is put at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(start + share * (end - start), 1)


@dataclass(frozen=True)
class Line:
    """Points that are joined; `colour` counts from 0, None is grey."""

    label: str
    points: Sequence[Point]
    colour: int | None
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True)
class IntervalRow:
    """A name with its value, the ends of its interval if it has one, and single values."""

    name: str
    value: float
    low: float | None
    high: float | None
    dots: Sequence[tuple[str, float]]


def make_axis(
    label: str, values: Sequence[float], limits: tuple[float, float] | None = None, ticks: Ticks | None = None
) -> Axis:
    """An axis that holds the values, with about five ticks at round numbers, unless limits or ticks are given."""
    low, high = limits or (min(values, default=0.0), max(values, default=1.0))
    if limits is None:
        room = 0.04 * (high - low) or 0.5
        low, high = low - room, high + room
    if ticks is None:
        step = _round_step((high - low) / 5)
        digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
        numbers = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
        ticks = tuple((float(number), f"{number + 0.0:.{digits}f}") for number in numbers)
    return Axis(label, low, high, ticks)


def draw_lines(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> Markup:
    """Lines over two axes, with a legend where a line has a label."""
    left, right, top, bottom = _LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM
    parts = [*_draw_x_axis(x, left, right, top, bottom), *_draw_y_axis(y, left, right, top, bottom)]
    for line in lines:
        placed = [(x.place(px, left, right), y.place(py, bottom, top)) for px, py in line.points]
        style = _style(line)
        if len(placed) > 1:
            path = " ".join(f"{px},{py}" for px, py in placed)
            parts.append(f'<polyline class="series {style}" points="{path}"/>')
        if line.dots or len(placed) == 1:
            parts += [f'<circle class="dot {style}" cx="{px}" cy="{py}" r="3"/>' for px, py in placed]
    return _wrap(title, _HEIGHT, parts) + _draw_legend(lines)


def draw_intervals(title: str, x: Axis, rows: Sequence[IntervalRow]) -> Markup:
    """A row for each name: its value, its interval, and the single values behind it as small dots."""
    heights = [max(_ROW, _LINE * (len(_break_name(row.name)) + 0.5)) for row in rows]
    height = _TOP + sum(heights) + _BOTTOM
    left, right, bottom = _NAMES, _WIDTH - _RIGHT, height - _BOTTOM
    parts = list(_draw_x_axis(x, left, right, _TOP, bottom))
    for number, row in enumerate(rows):
        middle = _TOP + sum(heights[:number]) + heights[number] / 2
        parts.append(_draw_name(row.name, left, middle))
        if row.low is not None and row.high is not None:
            ends = x.place(row.low, left, right), x.place(row.high, left, right)
            parts.append(f'<line class="bar" x1="{ends[0]}" x2="{ends[1]}" y1="{middle}" y2="{middle}"/>')
        parts += [
            f'<circle class="person" cx="{x.place(value, left, right)}" cy="{middle}" r="2.6">'
            f"<title>{_escape(name)}: {value:.3f}</title></circle>"
            for name, value in row.dots
        ]
        parts.append(f'<circle class="dot c0" cx="{x.place(row.value, left, right)}" cy="{middle}" r="4.5"/>')
    return _wrap(title, height, parts)


def draw_groups(
    title: str,
    x: Axis,
    groups: Sequence[tuple[str, Sequence[tuple[float, float | None, float | None] | None]]],
    names: Sequence[tuple[str, int]],
) -> Markup:
    """For each condition, the value of each name with the ends of its interval; None where it was not measured.

    A name comes with its colour.
    """
    step = 11
    lines = max((len(_break_name(condition)) for condition, _ in groups), default=1)
    each = max(step * len(names) + 12, _LINE * (lines + 0.5))
    height = _TOP + each * len(groups) + _BOTTOM
    left, right, bottom = _NAMES, _WIDTH - _RIGHT, height - _BOTTOM
    parts = list(_draw_x_axis(x, left, right, _TOP, bottom))
    for at, (condition, points) in enumerate(groups):
        top = _TOP + each * at
        if at:
            parts.append(f'<line class="grid" x1="0" x2="{right}" y1="{top}" y2="{top}"/>')
        parts.append(_draw_name(condition, left, top + each / 2))
        for number, (point, (name, colour)) in enumerate(zip(points, names, strict=True)):
            if point is None:
                continue
            value, low, high = point
            y = top + 6 + step * (number + 0.5)
            style = f"c{colour % COLOURS}"
            if low is not None and high is not None:
                ends = x.place(low, left, right), x.place(high, left, right)
                parts.append(f'<line class="series thin {style}" x1="{ends[0]}" x2="{ends[1]}" y1="{y}" y2="{y}"/>')
            parts.append(
                f'<circle class="dot {style}" cx="{x.place(value, left, right)}" cy="{y}" r="3.6">'
                f"<title>{_escape(name)}: {value:.3f}</title></circle>"
            )
    return _wrap(title, height, parts) + _draw_legend([Line(name, (), colour) for name, colour in names])


def _draw_x_axis(axis: Axis, left: float, right: float, top: float, bottom: float) -> list[str]:
    parts = []
    for value, text in axis.ticks:
        at = axis.place(value, left, right)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text x="{at}" y="{bottom + 17}" text-anchor="middle">{_escape(text)}</text>')
    parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle = (left + right) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 38}" text-anchor="middle">{_escape(axis.label)}</text>')
    return parts


def _draw_y_axis(axis: Axis, left: float, right: float, top: float, bottom: float) -> list[str]:
    parts = []
    for value, text in axis.ticks:
        at = axis.place(value, bottom, top)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4}" text-anchor="end">{_escape(text)}</text>')
    middle = (top + bottom) / 2
    parts.append(
        f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{_escape(axis.label)}</text>'
    )
    return parts


def _draw_legend(lines: Sequence[Line]) -> Markup:
    named = [line for line in lines if line.label]
    if not named:
        return Markup("")
    items = [
        '<li><svg class="key" viewBox="0 0 26 8" aria-hidden="true">'
        f'<line class="series {_style(line)}" x1="0" x2="26" y1="4" y2="4"/></svg><bdi>{_escape(line.label)}</bdi></li>'
        for line in named
    ]
    return Markup('<ul class="legend">' + "".join(items) + "</ul>")  # its texts are escaped


def _wrap(title: str, height: float, parts: Sequence[str]) -> Markup:
    head = f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{_escape(title)}">'
    return Markup(head + "".join(parts) + "</svg>")  # its texts are escaped


def _style(line: Line) -> str:
    colour = "grey" if line.colour is None else f"c{line.colour % COLOURS}"
    return f"{colour} dashed" if line.dashed else colour


def _escape(text: str) -> Markup:
    """Text that is neither taken for markup nor turns the writing direction."""
    return escape_markup(escape_unprintable(text))


def _draw_name(name: str, left: float, middle: float) -> str:
    """A name beside a chart whose drawing begins at `left`, its lines around the height `middle`."""
    lines = _break_name(name)
    first = middle + 4 - _LINE * (len(lines) - 1) / 2
    spans = "".join(
        f'<tspan x="{left - 8}" y="{first + _LINE * number:g}">{_escape(line)}</tspan>'
        for number, line in enumerate(lines)
    )
    return f'<text class="strong" text-anchor="end">{spans}</text>'


def _break_name(name: str) -> list[str]:
    """The lines of a name that fit beside a chart: rows that differ in their settings must be told apart there."""
    return textwrap.wrap(name, 18, max_lines=_MAX_LINES, placeholder="…") or [""]


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `least`."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9)))
