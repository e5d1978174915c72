"""Charts: axes in closed form, texts that cannot break out of the markup."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.leaderboards.site.charts import (
    Axis,
    IntervalRow,
    Line,
    draw_groups,
    draw_intervals,
    draw_lines,
    make_axis,
)

UNIT = Axis("x", 0, 1, ((0, "0"), (1, "1")))
EVIL = '"><script>alert(1)</script>&'


def test_closed_form_an_axis_has_round_ticks() -> None:
    axis = make_axis("AUC", [0.61, 0.98])
    assert [text for _, text in axis.ticks] == ["0.6", "0.7", "0.8", "0.9"]
    assert axis.low < 0.61
    assert axis.high > 0.98
    assert [text for _, text in make_axis("n", [0, 100]).ticks] == ["0", "50", "100"]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_law_every_tick_lies_on_its_axis(low: float, length: float) -> None:
    axis = make_axis("x", [low, low + length])
    assert 2 <= len(axis.ticks) <= 8
    assert all(axis.low <= at <= axis.high for at, _ in axis.ticks)


def test_one_value_has_an_axis() -> None:
    assert make_axis("x", [1.0]).ticks
    assert make_axis("x", []).ticks


@pytest.mark.parametrize(("value", "pixel"), [(0, 10), (0.5, 60), (1, 110), (7, 110), (-7, 10)])
def test_closed_form_values_are_placed_within_the_chart(value: float, pixel: float) -> None:
    assert UNIT.place(value, 10, 110) == pixel


def test_names_are_escaped_everywhere() -> None:
    charts = [
        draw_lines(EVIL, Axis(EVIL, 0, 1, ((0, EVIL),)), UNIT, [Line(EVIL, [(0, 0), (1, 1)], 0, dots=True)]),
        draw_intervals(EVIL, UNIT, [IntervalRow(EVIL, 0.5, 0.4, 0.6, [(EVIL, 0.5)])]),
        draw_groups(EVIL, UNIT, [(EVIL, [(0.5, 0.4, 0.6), None])], [(EVIL, 0), (EVIL, 1)]),
    ]
    for chart in charts:
        assert "<script" not in chart
        tree = ElementTree.fromstring(f"<div>{chart}</div>")  # well formed
        assert any(EVIL in (element.text or "") or EVIL in element.attrib.values() for element in tree.iter())


def test_long_names_are_broken_so_that_rows_are_told_apart() -> None:
    names = [f"ddg (protocol, schedule.steps={steps}, warm start)" for steps in (82, 165)]
    rows = [IntervalRow(name, 0.5, 0.4, 0.6, []) for name in names]
    short = draw_intervals("title", UNIT, [IntervalRow("ddg", 0.5, 0.4, 0.6, [])] * 2)
    for chart in (
        draw_intervals("title", UNIT, rows),
        draw_groups("title", UNIT, [(name, [(0.5, 0.4, 0.6)]) for name in names], [("a", 0)]),
    ):
        told = [re.findall(r">([^<]+)</tspan>", text) for text in re.findall(r'<text class="strong".*?</text>', chart)]
        assert ["".join(lines).replace(" ", "") for lines in told] == [name.replace(" ", "") for name in names]
        heights = [float(y) for y in re.findall(r'<tspan x="[\d.]+" y="([\d.]+)"', chart)]
        assert (np.diff(heights) >= 12).all()  # no line lies on another
    assert measure_height(draw_intervals("title", UNIT, rows)) > measure_height(short)


def measure_height(chart: str) -> float:
    found = re.search(r'viewBox="0 0 460 ([\d.]+)"', chart)
    assert found is not None
    return float(found[1])
