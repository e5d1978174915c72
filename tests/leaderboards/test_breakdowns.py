"""Measures under conditions, beside the main table."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dancebench.core.metric import Metric
from dancebench.leaderboards.board import rebuild
from dancebench.leaderboards.breakdowns import make_breakdowns
from dancebench.leaderboards.records import RunRecord, save_run
from dancebench.leaderboards.tables import group_sections

MakeRecord = Callable[..., RunRecord]
NULL = Metric(value=None, reason="no such fakes", n=0, unit="share", higher_is_better=True)


def both(make_record: MakeRecord) -> list[RunRecord]:
    return [
        make_record(
            "pair-patch",
            {
                "video_auc": 0.9,
                "pair_accuracy@source=same": 0.95,
                "pair_accuracy@source=driver03": 0.9,
                "video_auc@method=fbf": 0.8,
            },
            kind="detection",
        ),
        make_record(
            "spectrum",
            {"video_auc": 0.8, "pair_accuracy@source=same": 0.7, "pair_accuracy@source=driver04": NULL},
            kind="detection",
        ),
    ]


def test_values_are_columns_in_the_records_order_and_rows_stand_together(make_record: MakeRecord) -> None:
    [section] = group_sections(both(make_record), "detection")
    source, method = make_breakdowns(section)
    assert (source.breakdown.condition, method.breakdown.condition) == ("source", "method")
    assert source.values == ("same", "driver03", "driver04")
    assert [(line.row.record.entry.name, line.column.metric) for line in source.lines] == [
        ("pair-patch", "pair_accuracy"),
        ("spectrum", "pair_accuracy"),
    ]
    assert [metric and metric.value for metric in source.lines[0].metrics] == [0.95, 0.9, None]
    assert [line.row.record.entry.name for line in method.lines] == ["pair-patch"]


def test_the_page_shows_them_with_intervals_and_reasons(make_record: MakeRecord, tmp_path: Path) -> None:
    for record in both(make_record):
        save_run(tmp_path, record, pd.DataFrame({"item": ["a"]}))
    rebuild(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "detection.md").read_text()
    assert "### By the source of the motion (EDN Table 5)" in page
    assert "| row | measure | same | driver03 | driver04 |" in page
    assert "0.950 [0.850, 1.050] n=60" in page
    assert "(2) no such fakes" in page
    assert "@source" not in page
    assert "pair_accuracy@source=same" in (tmp_path / "out" / "detection.csv").read_text()


def test_a_section_without_conditions_has_none(make_record: MakeRecord) -> None:
    [section] = group_sections([make_record("pair-patch", {"video_auc": 0.9}, kind="detection")], "detection")
    assert make_breakdowns(section) == []
    [section] = group_sections([make_record("fbf", {"body_ssim": 0.9})], "synthesis")
    assert make_breakdowns(section) == []
