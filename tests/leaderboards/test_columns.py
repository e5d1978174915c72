"""The columns beyond images: shown where a row measured them, with what a reader must know of them."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from rich.console import Console

from dancebench.benchmark.metrics.base import METRICS
from dancebench.core.metric import Interval, Metric
from dancebench.leaderboards.board import make_screen_tables, rebuild
from dancebench.leaderboards.columns import COLUMNS
from dancebench.leaderboards.records import RunRecord, save_run
from dancebench.leaderboards.tables import group_sections


def metric(value: float, subjects: int, *, higher_is_better: bool | None) -> Metric:
    interval = Interval(low=value, high=value, method="Student t over subjects", subjects=subjects, reliable=True)
    return Metric(value=value, ci95=interval, n=60, unit="share", higher_is_better=higher_is_better)


MakeRecord = Callable[..., RunRecord]
BEYOND = {
    "pose_distance": 1.25, "pose_distance_real": 0.5, "pose_missed": 0.25, "pose_missed_real": 0.1,
    "pose_distance_true": 1.5, "pose_distance_true_real": 0.9, "background_flicker_ratio": 0.4,
    "background_flicker_excess": 0.3, "warp_error_ratio": 1.1,
}  # fmt: skip
SAME_DETECTOR = "Pose columns: poses are found by the MediaPipe whose poses also drive the synthesis"


def test_columns_of_the_synthesis_board_are_metrics_that_the_suite_measures_in_the_same_direction() -> None:
    for column in COLUMNS["synthesis"]:
        assert column.higher_is_better is METRICS[column.metric].info.higher_is_better, column.metric
    assert set(BEYOND) <= {column.metric for column in COLUMNS["synthesis"]}


def test_they_stand_in_tables_of_their_own_with_their_remarks(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record("fbf", {"body_ssim": 0.8, **BEYOND, "frame_diff_mse": 9.0})
    save_run(tmp_path, record, pd.DataFrame({"item": ["a"]}))
    rebuild(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "synthesis.md").read_text()
    headings = [line for line, below in itertools.pairwise(page.splitlines()) if below.startswith("| ---")][:4]
    assert [[title.strip() for title in heading.strip("|").split("|")] for heading in headings] == [
        ["#", "method", "preset", "body SSIM ↑", "run"],
        ["row", "frame difference MSE ↓"],
        [
            "row",
            "pose distance, % of height ↓",
            "pose distance of the real clip",
            "missed joints ↓",
            "missed joints of the real clip",
            "pose distance to the true joints, % of height ↓",
            "pose distance of the real clip to the true joints",
        ],
        ["row", "background flicker ratio", "excess background flicker, levels ↓", "warp error ratio"],
    ]
    assert "1.25 [1.15, 1.35] n=60" in page
    for remark in (SAME_DETECTOR, "Ratios are to the real clip's: 1 is right, and below 1 is blur"):
        assert page.count(remark) == 1


def test_a_ratio_has_no_best_and_a_distance_has(make_record: MakeRecord) -> None:
    records = [make_record("a", {"body_ssim": 0.8, **BEYOND}), make_record("b", {"body_ssim": 0.7, **BEYOND})]
    better = {**BEYOND, "pose_distance": 0.7, "background_flicker_ratio": 0.1}
    records.append(make_record("c", {"body_ssim": 0.6, **better}))
    [section] = group_sections(records, "synthesis")
    best = {column.metric: section.find_best(column) for column in section.columns}
    assert best["pose_distance"] == {records[2].run.id}
    assert best["background_flicker_ratio"] == best["pose_distance_real"] == frozenset()


def test_boards_without_them_do_not_speak_of_them(make_record: MakeRecord) -> None:
    [section] = group_sections([make_record("fbf", {"body_ssim": 0.8})], "synthesis")
    assert [column.metric for column in section.columns] == ["body_ssim"]
    assert section.list_remarks() == []


def test_the_screen_has_no_room_for_them(make_record: MakeRecord) -> None:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(*make_screen_tables([make_record("fbf", {"body_ssim": 0.8, **BEYOND})]))
    text = capture.get()
    assert "pose" not in text
    assert "ratio" not in text


def test_metrics_of_plugins_stand_in_a_table_of_their_own(make_record: MakeRecord, tmp_path: Path) -> None:
    known = {"body_ssim": 0.8, "warp_error": 3.0, "background_flicker_real": 2.0, "acme@source=same": 0.5}
    lower = metric(0.25, 12, higher_is_better=False)
    save_run(tmp_path, make_record("a", {**known, "acme_b": lower}), pd.DataFrame({"item": ["a"]}))
    save_run(tmp_path, make_record("b", {**known, "acme_b": lower, "acme_a": 0.5}), pd.DataFrame({"item": ["a"]}))
    rebuild(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "synthesis.md").read_text()
    table = page.split("### Other metrics\n\n")[1].split("\n\n")[0].splitlines()
    assert table[0] == "| row | acme_a ↑ | acme_b ↓ |"
    assert [line.split(" | ")[0] for line in table[2:]] == ["| a (tiny)", "| b (tiny)"]
    assert "acme@" not in page
    assert "warp_error" not in page


def test_a_metric_on_whose_direction_records_disagree_has_none(make_record: MakeRecord) -> None:
    values = [{"body_ssim": 0.8, "acme": metric(0.5, 12, higher_is_better=better)} for better in (True, False)]
    records = [make_record(name, each) for name, each in zip("ab", values, strict=True)]
    for order in (records, records[::-1]):
        [section] = group_sections(order, "synthesis")
        assert section.columns[-1].header == "acme"
        assert section.find_best(section.columns[-1]) == frozenset()
