"""Leaderboards: ranked within a dataset and its people, honest in every cell, the same bytes every time."""

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from dancebench.core.metric import Metric
from dancebench.leaderboards.board import check, make_long_table, make_screen_tables, rebuild
from dancebench.leaderboards.columns import COLUMNS
from dancebench.leaderboards.facts import FACTS
from dancebench.leaderboards.records import RunKind, RunRecord, load_runs, save_run
from dancebench.leaderboards.tables import group_sections

MakeRecord = Callable[..., RunRecord]
FILES = [
    "synthesis.md", "synthesis.csv", "detection.md", "detection.csv", "perceptual.md", "perceptual.csv",
    "detection_differences.csv", "detection_differences.json", "reference.md",
]  # fmt: skip
UNKNOWN = Metric(value=None, reason="no weights | here", n=0, unit="LPIPS", higher_is_better=False)
FEW = 3


@pytest.fixture
def records(make_record: MakeRecord) -> list[RunRecord]:
    """Three synthesis rows and a baseline on 12 people, one of them on three; two detectors."""
    quality = {"fbf": 0.81, "nearest": 0.7, "mean-frame": 0.6}
    fakes = {"fakes": {"method": "fbf", "preset": "tiny", "body_ssim": quality}}
    failed, passed = {"null_control": {"passed": False}}, {"null_control": {"passed": True}}
    flagged = {**fakes, **failed, "warnings": ("p = 0.004",), "remarks": ("calibration: validation",)}
    training = {"steps": 400, "seconds_training": 59.25, "parameters": {"generator": 11_410_000}}
    return [
        make_record("fbf", {"body_ssim": 0.8, "body_lpips_squeeze": 0.2, "own_metric": 3.0}, entry=training),
        make_record(
            "fbf-ts",
            {"body_ssim": 0.9, "body_lpips_squeeze": 0.1},
            entry=training,
            facts={"perceptual_trunk": "squeeze", "warnings": ("the training was resumed",)},
        ),
        make_record("nearest", {"body_ssim": 0.7, "body_lpips_squeeze": UNKNOWN}, n_effective=58),
        make_record("fbf", {"body_ssim": 0.99, "face_ssim": 0.5}, subjects=FEW),
        make_record("pair|patch", {"video_auc": 0.9, "pair_auc": 0.8}, kind="detection", facts=flagged),
        make_record("bytes", {"video_auc": 0.5}, kind="detection", facts={**fakes, **passed}),
    ]


@pytest.fixture
def results(tmp_path: Path, records: list[RunRecord]) -> Path:
    folder = tmp_path / "results"
    for record in records:
        save_run(folder, record, pd.DataFrame({"item": ["a"]}))
    return folder


def cells(text: str, start: str, *, at: int = 1) -> list[str]:
    """The cells of the first table row whose cell number `at` is `start`."""
    for line in text.splitlines():
        parts = [part.strip() for part in line.replace("\\|", "¦").strip("|").split("|")]
        if len(parts) > at and parts[at] == start:
            return parts
    raise AssertionError(f"no row {start}")


def theme(page: str, title: str) -> str:
    """The part of a page under a theme's heading."""
    return page.split(f"### {title}\n")[1].split("\n#")[0]


# what the pages say


def test_rows_are_ranked_within_the_same_people(results: Path, tmp_path: Path) -> None:
    rebuild(results, tmp_path)
    page = (tmp_path / "synthesis.md").read_text()
    assert "## demo · abababababab · 12 subjects" in page
    assert "## demo · abababababab · 3 subjects" in page
    ranks = {name: cells(page, name)[0] for name in ("fbf-ts", "fbf", "nearest")}
    assert ranks == {"fbf-ts": "1", "fbf": "2", "nearest": "3"}  # 0.99 on three people outranks nobody


def test_datasets_are_never_mixed(make_record: MakeRecord) -> None:
    here, there = (make_record("fbf", {"body_ssim": 0.8}, dataset_id=sign * 64) for sign in "ab")
    assert [len(section.rows) for section in group_sections([here, there], "synthesis")] == [1, 1]


def test_protocols_are_never_mixed(make_record: MakeRecord) -> None:
    """By their hash: a name may be given twice, and one hash may have two names."""
    keys = {"a": ("one", "1" * 64), "b": ("one", "2" * 64), "c": ("other", "1" * 64)}
    runs = [
        make_record(run, {"video_auc": 0.8}, kind="detection", protocol={"name": name, "sha256": sha256})
        for run, (name, sha256) in keys.items()
    ]
    sections = group_sections([*runs, make_record("d", {"video_auc": 0.9}, kind="detection")], "detection")
    assert [[row.record.entry.name for row in section.rows] for section in sections] == [["d"], ["a", "c"], ["b"]]
    assert [section.title.rpartition(" · ")[2] for section in sections] == [
        "12 subjects",
        "one 11111111",
        "one 22222222",
    ]


def test_the_csv_names_the_protocol(make_record: MakeRecord) -> None:
    run = make_record("a", {"video_auc": 0.8}, kind="detection", protocol={"name": "one", "sha256": "1" * 64})
    table = make_long_table([run], "detection")
    assert table[["protocol", "protocol_sha256"]].to_numpy().tolist() == [["one", "1" * 64]]


def test_ties_share_a_rank(make_record: MakeRecord) -> None:
    names = {"a": 0.8, "b": 0.9, "c": 0.9, "d": 0.7}
    [section] = group_sections([make_record(name, {"body_ssim": value}) for name, value in names.items()], "synthesis")
    assert [(row.record.entry.name, row.rank) for row in section.rows] == [
        ("b", 1),
        ("c", 1),
        ("a", 3),
        ("d", 4),
    ]


def test_ties_have_one_order(make_record: MakeRecord) -> None:
    tied = [make_record(name, {"body_ssim": 0.8}) for name in "cab"]
    [section] = group_sections(tied, "synthesis")
    assert [row.record.entry.name for row in section.rows] == ["a", "b", "c"]


def test_value_has_its_interval_and_n(results: Path, tmp_path: Path) -> None:
    rebuild(results, tmp_path)
    page = (tmp_path / "synthesis.md").read_text()
    assert cells(page, "method")[3] == "body SSIM ↑"
    assert cells(page, "method")[4] == "body LPIPS-squeeze ↓"
    assert cells(page, "fbf-ts")[3] == "**0.900** [0.800, 1.000] n=60"
    assert cells(theme(page, "Training"), "fbf (tiny)", at=0)[1:] == ["400", "59.2", "11.41 M"]


def test_null_is_a_dash_with_its_reason(results: Path, tmp_path: Path) -> None:
    rebuild(results, tmp_path)
    page = (tmp_path / "synthesis.md").read_text()
    assert cells(page, "nearest")[4] == "– (1)"
    assert "- (1) no weights \\| here\n" in page


def test_method_without_a_primary_value_is_last_and_has_no_rank(make_record: MakeRecord) -> None:
    records = [make_record("a", {"body_ssim": UNKNOWN}), make_record("b", {"body_ssim": 0.1})]
    [section] = group_sections(records, "synthesis")
    assert [(row.record.entry.name, row.rank) for row in section.rows] == [("b", 1), ("a", None)]


def test_one_trunk_does_not_judge_itself(results: Path, tmp_path: Path) -> None:
    rebuild(results, tmp_path)
    page = (tmp_path / "synthesis.md").read_text()
    assert cells(page, "fbf-ts")[4] == "0.100 ‡ [0.000, 0.200] n=60"  # the smallest, yet not marked as best
    assert "‡ trained with the trunk of this metric: shown, not ranked" in page


def test_best_of_a_column_is_the_best_of_the_ranked(make_record: MakeRecord) -> None:
    lpips = {"judged": 0.1, "better": 0.2, "worse": 0.3}
    records = [
        make_record(
            name,
            {"body_ssim": 0.8, "body_lpips_squeeze": value},
            facts={"perceptual_trunk": "squeeze" if name == "judged" else "vgg"},
        )
        for name, value in lpips.items()
    ]
    [section] = group_sections(records, "synthesis")
    column = next(column for column in section.columns if column.metric == "body_lpips_squeeze")
    assert section.find_best(column) == {records[1].run.id}


def test_few_people_are_marked_and_listed(results: Path, tmp_path: Path) -> None:
    rebuild(results, tmp_path)
    reliable, few = (tmp_path / "synthesis.md").read_text().split("3 subjects\n")
    few = few.split("## Reference")[0]
    assert "†" not in reliable
    assert "0.990 [0.890, 1.090] † n=15" in few
    assert "| row | metric | s00 | s01 | s02 |" in few
    assert "| fbf (tiny) | body SSIM ↑ | 0.990 | 0.990 | 0.990 |" in few
    assert "† fewer than 10 subjects" in few


def test_detectors_stand_beside_the_quality_of_the_fakes(results: Path, tmp_path: Path) -> None:
    rebuild(results, tmp_path)
    page = (tmp_path / "detection.md").read_text()
    quality = theme(page, "Quality of the fakes, and training")
    assert cells(quality, "row", at=0)[1:] == ["fakes' body SSIM", "… of nearest frames", "… of the mean frame"]
    assert cells(quality, "pair¦patch (tiny)", at=0)[1:] == ["0.810", "0.700", "0.600"]
    controls = theme(page, "Negative controls")
    assert cells(controls, "row", at=0) == ["row", "null control"]
    assert cells(controls, "pair¦patch (tiny)", at=0)[1] == "failed"
    assert cells(controls, "bytes (tiny)", at=0)[1] == "ok"
    assert "- ⚠ pair\\|patch (tiny): p = 0.004\n" in page
    assert "- ⚠ pair\\|patch (tiny): the null control failed" in page
    assert "- pair\\|patch (tiny): calibration: validation\n" in page
    assert "bytes (tiny): the null" not in page


def test_warnings_and_missing_items_are_shown(results: Path, tmp_path: Path) -> None:
    rebuild(results, tmp_path)
    page = (tmp_path / "synthesis.md").read_text()
    assert "- ⚠ fbf-ts (tiny): the training was resumed\n" in page
    assert "- ⚠ nearest (tiny): 2 of 60 items could not be measured\n" in page


def test_differing_content_is_shown(make_record: MakeRecord) -> None:
    records = [make_record(name, {"body_ssim": 0.8}, content_sha256=name * 64) for name in "ab"]
    [section] = group_sections(records, "synthesis")
    assert section.list_remarks() == ["⚠ Rows were measured on prepared files that differ (content_sha256)."]


def test_reference_stands_apart(results: Path, tmp_path: Path) -> None:
    rebuild(results, tmp_path)
    boards = {kind: (tmp_path / f"{kind}.md").read_text() for kind in COLUMNS}
    title = "## Reference: as printed in the papers, not comparable\n"
    for page in boards.values():
        assert page.count(title) == 1
    assert "FBF+TS" not in boards["detection"].split(title)[1]
    assert "| Misty Copeland | 97.00 |" in boards["detection"].split(title)[1]
    assert "| FBF+TS | 0.811 | 0.039 | 0.838 | 0.051 |" in boards["synthesis"].split(title)[1]
    assert "53.3" in (tmp_path / "reference.md").read_text()


def test_newer_record_is_named_and_left_out(results: Path, tmp_path: Path) -> None:
    path = next(results.glob("synthesis-fbf-ts-*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 9}))
    rebuild(results, tmp_path)
    page = (tmp_path / "synthesis.md").read_text()
    assert f"- {path.name}: {path.name} has schema version 9" in page
    assert "fbf-ts (tiny)" not in page


def test_nothing_yet_names_the_first_command(tmp_path: Path) -> None:
    rebuild(tmp_path / "results", tmp_path)
    assert "`bench synth --subject all`" in (tmp_path / "synthesis.md").read_text()
    assert "`bench detect --holdout`" in (tmp_path / "detection.md").read_text()
    assert pd.read_csv(tmp_path / "detection.csv").empty


# CSV


def test_csv_has_every_metric_of_every_run(results: Path, tmp_path: Path, records: list[RunRecord]) -> None:
    rebuild(results, tmp_path)
    table = pd.read_csv(tmp_path / "synthesis.csv")
    assert ",12,True,60,share,True,\n" in (tmp_path / "synthesis.csv").read_text()  # counts are whole numbers
    expected = {
        (record.run.id, name) for record in records if record.run.kind == "synthesis" for name in record.metrics
    }
    assert set(zip(table["run"], table["metric"], strict=True)) == expected
    null = table[(table["method"] == "nearest") & (table["metric"] == "body_lpips_squeeze")].iloc[0]
    assert pd.isna(null["value"])
    assert null["reason"] == "no weights | here"
    full = table[(table["method"] == "fbf-ts") & (table["metric"] == "body_ssim")].iloc[0]
    assert full[["value", "ci_low", "ci_high"]].tolist() == pytest.approx([0.9, 0.8, 1.0])
    assert (full["n"], full["subjects"], full["reliable"]) == (60, 12, True)


def test_csv_of_nothing_has_the_same_columns(records: list[RunRecord]) -> None:
    assert list(make_long_table([], "synthesis").columns) == list(make_long_table(records, "synthesis").columns)


# the same bytes


def test_rebuild_writes_these_files_and_check_agrees(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "leaderboards"
    assert check(results, out) == FILES
    assert [path.name for path in rebuild(results, out)] == FILES
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert check(results, out) == []
    (out / "synthesis.csv").write_text("made up")
    (out / "detection.md").unlink()
    assert check(results, out) == ["synthesis.csv", "detection.md"]


def test_same_records_give_the_same_bytes_anywhere(results: Path, tmp_path: Path, records: list[RunRecord]) -> None:
    elsewhere = tmp_path / "another place" / "results"
    for record in reversed(records):
        save_run(elsewhere, record, pd.DataFrame({"item": ["b"]}))
    (elsewhere / "broken.json").write_text("{")
    (results / "broken.json").write_text("{")
    for source, target in ((results, "one"), (elsewhere, "two")):
        rebuild(source, tmp_path / target)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert str(tmp_path).encode() not in (tmp_path / "one" / name).read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_order_of_records_does_not_matter(records: list[RunRecord], seed: int) -> None:
    shuffled = random.Random(seed).sample(records, len(records))
    for kind in COLUMNS:
        assert group_sections(shuffled, kind) == group_sections(records, kind)
        assert make_long_table(shuffled, kind).equals(make_long_table(records, kind))


# the screen


def test_screen_shows_the_same_rows_and_marks(records: list[RunRecord]) -> None:
    console = Console(width=80)
    with console.capture() as capture:
        for table in make_screen_tables(records):
            console.print(table)
    text = capture.get()
    for expected in (
        "fbf-ts",
        "0.900",
        "[0.800, 1.000]",
        "0.100 ‡",
        "– (1)",
        "(1) no weights | here",
        "pair|patch",
    ):
        assert expected in text
    assert "[0.890, 1.090] †" in text
    assert "failed" in text.split("detection")[1].split("⚠")[0]  # the last column fits as well
    assert "† fewer than 10 subjects" in text


def test_screen_does_not_take_a_name_for_markup(make_record: MakeRecord) -> None:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(*make_screen_tables([make_record("[red]x", {"body_ssim": 0.8})]))
    assert "[red]x" in capture.get()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_word_on_the_screen_is_broken(make_record: MakeRecord, width: int) -> None:
    names = ["pair-patch", "timm:mobilenetv3_small_050", "ensemble"]
    values = {column.metric: 0.9 for column in COLUMNS["detection"] if not column.leads}
    facts = {"null_control": {"passed": True}}
    records = [make_record(name, values, kind="detection", subjects=FEW, facts=facts) for name in names]
    console = Console(width=width)
    with console.capture() as capture:
        console.print(*make_screen_tables(records, width=width))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    words = set(" ".join(lines).split())
    assert {"pair-patch", "timm:mobilenetv3_small_…", "ensemble", "AUC", "detector", "[0.800,", "1.000]", "†"} <= words
    assert ("more columns in leaderboards/detection.md" in capture.get()) == (width <= 80)


def test_80_columns_show_the_main_figures_of_usual_names(make_record: MakeRecord) -> None:
    values = {column.metric: 0.9 for column in COLUMNS["detection"] if not column.leads}
    fakes = {"method": "fbf", "preset": "tiny", "body_ssim": {"fbf": 0.7}}
    facts = {"null_control": {"passed": True}, "fakes": fakes}
    records = [make_record(name, values, kind="detection", facts=facts) for name in ("pair-patch", "timm:resnet10t")]
    console = Console(width=80)
    with console.capture() as capture:
        console.print(*make_screen_tables(records))
    text = capture.get()
    assert all(word in text.split() for word in ("AUC", "accuracy", "Cllr", "control", "timm:resnet10t"))
    assert "all rows: fakes' body SSIM 0.700" in text


def test_no_table_of_a_page_is_wider_than_nine_columns(make_record: MakeRecord, tmp_path: Path) -> None:
    for kind, columns in COLUMNS.items():
        values = {column.metric: 0.5 for column in columns}
        values |= {f"video_auc@perturbation=p{k}": 0.5 for k in range(21)} if kind == "detection" else {}
        save_run(tmp_path, make_record("m", values, kind=kind, subjects=9), pd.DataFrame({"item": ["a"]}))
    rebuild(tmp_path, tmp_path / "out")
    for kind, columns in COLUMNS.items():
        lines = (tmp_path / "out" / f"{kind}.md").read_text().splitlines()
        headings = [line for line, below in itertools.pairwise(lines) if below.startswith("| ---")]
        assert max(heading.count("|") - 1 for heading in headings) <= 9
        own = " ".join(headings)
        assert all(f"| {column.header} |" in own for column in columns)  # every column stands somewhere
        assert all(f"| {subject} |" in own for subject in ("s00", "s08"))
        assert kind != "detection" or all(f"| p{k} |" in own for k in range(21))


def test_rows_of_one_label_are_told_apart_in_further_tables(make_record: MakeRecord, tmp_path: Path) -> None:
    records = [
        make_record("fbf", {"body_ssim": value, "body_mse": value}, content_sha256=sign * 64, run_of=sign)
        for value, sign in ((0.8, "a"), (0.7, "b"))
    ]
    [section] = group_sections(records, "synthesis")
    names = [section.name(row) for row in section.rows]
    assert len(set(names)) == 2
    assert all(name.startswith("fbf (tiny), ") for name in names)


def test_a_row_tells_what_differs_from_its_preset(make_record: MakeRecord, tmp_path: Path) -> None:
    ancestor = {"weights_sha256": "a" * 64, "side": "holdout", "people": ("train02", "train04")}
    whole = make_record("ddg", {"body_ssim": 0.8})
    changed = make_record("ddg", {"body_ssim": 0.7}, facts={"settings": "schedule.steps=82"}, run_of="changed")
    warm = make_record(
        "ddg", {"body_ssim": 0.9}, facts={"settings": "schedule.steps=82", "ancestors": (ancestor,)}, run_of="warm"
    )
    [section] = group_sections([whole, changed, warm], "synthesis")
    presets = ["tiny, schedule.steps=82, warm start", "tiny", "tiny, schedule.steps=82"]
    assert [row.preset for row in section.rows] == presets
    assert [section.name(row) for row in section.rows] == [f"ddg ({preset})" for preset in presets]
    for record in (whole, changed, warm):
        save_run(tmp_path / "results", record, pd.DataFrame({"t": [0]}))
    rebuild(tmp_path / "results", tmp_path)
    page = (tmp_path / "synthesis.md").read_text()
    assert [
        line.split(" | ")[2] for line in page.splitlines() if line.startswith(("| 1 |", "| 2 |", "| 3 |"))
    ] == presets


# frozen


def test_frozen_section(make_record: MakeRecord, tmp_path: Path) -> None:
    for name, value in (("fbf", 0.8), ("mean-frame", 0.6)):
        save_run(tmp_path, make_record(name, {"body_ssim": value}, subjects=2), pd.DataFrame({"item": ["a"]}))
    rebuild(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "synthesis.md").read_text()
    assert page.split("\n## ")[1] == FROZEN


FROZEN = """\
demo · abababababab · 2 subjects

| # | method | preset | body SSIM ↑ | run |
| --- | --- | --- | --- | --- |
| 1 | fbf | tiny | **0.800** [0.700, 0.900] † n=10 | `synthesis-fbf-c7a3ce1f6716` |
| 2 | mean-frame | tiny | 0.600 [0.500, 0.700] † n=10 | `synthesis-mean-frame-356b621974cc` |

- † fewer than 10 subjects: the interval is unreliable, see the values per subject

### Values per subject

| row | metric | s00 | s01 |
| --- | --- | --- | --- |
| fbf (tiny) | body SSIM ↑ | 0.800 | 0.800 |
| mean-frame (tiny) | body SSIM ↑ | 0.600 | 0.600 |
"""


def test_frozen_the_published_tables_are_what_the_published_records_say() -> None:
    published = Path(__file__).resolve().parents[2] / "leaderboards" / "published"
    assert load_runs(published / "records")[0]
    assert check(published / "records", published) == []


def test_an_order_that_rests_on_few_training_seeds_is_marked(make_record: MakeRecord) -> None:
    def warned(seeds: list[int | None]) -> list[str]:
        runs = [
            make_record(f"method{k}", {"body_ssim": 0.1 * k}, facts={"training_seeds": count})
            for k, count in enumerate(seeds)
        ]
        (section,) = group_sections(runs, "synthesis")
        (told,) = (fact for fact in FACTS["synthesis"] if fact.title == "seeds")
        assert told.read(runs[0]) == (None if seeds[0] is None else str(seeds[0]))
        return [text for text in section.list_warnings() if "training seed" in text]

    assert "rests on 1 training seed(s)" in warned([3, 1])[0]
    assert not warned([3, 3])
    assert not warned([1, None])  # one trained method and one that is not: nothing to order by luck


@pytest.mark.parametrize("kind", ["synthesis", "detection"])
def test_foreign_reference_the_csv_is_what_pandas_writes(results: Path, tmp_path: Path, kind: RunKind) -> None:
    rebuild(results, tmp_path)
    table = make_long_table(load_runs(results)[0], kind)
    written = table.to_csv(index=False, float_format="%.8g", lineterminator="\n")
    assert (tmp_path / f"{kind}.csv").read_bytes() == written.encode()


def test_records_share_what_they_have_in_common(results: Path) -> None:
    """Memory alone: they are equal to what is read of their files one by one."""
    for record in load_runs(results)[0]:
        alone = RunRecord.load(results / f"{record.run.id}.json")
        assert record == alone
        assert record.model_dump(mode="json") == alone.model_dump(mode="json")
    first, second = (next(iter(load_runs(results)[0][0].metrics.values())) for _ in range(2))
    assert first.unit is second.unit
