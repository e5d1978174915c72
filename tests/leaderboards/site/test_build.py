"""The site: complete, self-contained, the same bytes every time, made again only where something changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from dancebench.leaderboards.records import RunRecord, save_run
from dancebench.leaderboards.significance.differences import read_runs
from dancebench.leaderboards.site import build, parts
from dancebench.leaderboards.site.build import check_site, write_site
from dancebench.leaderboards.site.material import Exhibit, Exhibits
from dancebench.leaderboards.tables import Section

MakeRecord = Callable[..., RunRecord]
PAGES = ["index.html", "synthesis.html", "detection.html", "perceptual.html"]
VOID = {"meta", "img", "br"}
EVIL = "<b onload=alert(1)>x</b>"


class Nothing:
    """A workspace that holds records alone."""

    def find_exhibits(self, section: Section) -> Exhibits:
        return Exhibits((), ("no fakes here",))

    def name_poses(self, record: RunRecord) -> str:
        return "no dataset here"

    def measure_novelty(self, record: RunRecord, subject: str) -> npt.NDArray[np.float64] | str:
        return "no dataset here"


class Poses(Nothing):
    """A workspace with the prepared people: novelty grows by frame."""

    def name_poses(self, record: RunRecord) -> str:
        return "c" * 64

    def measure_novelty(self, record: RunRecord, subject: str) -> npt.NDArray[np.float64] | str:
        return np.arange(20, dtype=np.float64)


def list_detection_rows(seed: int = 0, *, with_llr: bool = True) -> pd.DataFrame:
    """Scores of 8 reals and 8 fakes, and a pair."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], 8)
    table = pd.DataFrame(
        {
            "level": "video", "video_id": [f"v{number}" for number in range(16)], "subject_id": "s00",
            "method": [None] * 8 + ["fbf"] * 8, "label": labels.astype(float), "status": "ok",
            "score": rng.normal(size=16) + labels,
        }
    )  # fmt: skip
    if with_llr:
        table["llr"] = table["score"] * 2
    return pd.concat([table, pd.DataFrame({"level": ["pair"], "video_id": ["v0"]})], ignore_index=True)


def list_frame_rows() -> pd.DataFrame:
    return pd.DataFrame({"t": range(20), "subject": "s00", "body_ssim": 0.9 - 0.01 * np.arange(20)})


@pytest.fixture
def results(tmp_path: Path, make_record: MakeRecord) -> Path:
    """Two methods and two detectors with rows, one detector without likelihood ratios."""
    folder = tmp_path / "results"
    for name, value in (("fbf", 0.8), ("nearest", 0.7)):
        save_run(folder, make_record(name, {"body_ssim": value, "face_ssim": 0.5}), list_frame_rows())
    for number, name in enumerate(("pair-patch", "spectrum")):
        metrics = {"video_auc": 0.9 - 0.1 * number, "video_auc@source=same": 0.9, "video_auc@source=other": 0.8}
        save_run(
            folder, make_record(name, metrics, kind="detection"), list_detection_rows(number, with_llr=number == 0)
        )
    return folder


def write(results: Path, out: Path, material: Nothing | None = None) -> dict[str, str]:
    """Every page's text by name."""
    paths = write_site(
        results, read_runs(results), out / "site", parts_dir=out / "parts", material=material or Nothing()
    )
    return {path.name: path.read_text() for path in paths}


# ---------------------------------------------------------------- what the pages hold


class Structure(HTMLParser):
    """Open elements, addresses and texts of a page; fails where elements are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_structure(page: str) -> Structure:
    found = Structure()
    found.feed(page)
    found.close()
    assert not found.open
    return found


def test_pages_are_whole_and_link_to_nothing_outside(results: Path, tmp_path: Path) -> None:
    pages = write(results, tmp_path)
    assert list(pages) == PAGES
    for page in pages.values():
        addresses = read_structure(page).addresses
        assert set(PAGES) <= set(addresses)
        assert all(address in PAGES or address.startswith("#") for address in map(drop_anchor, addresses))
        assert "default-src 'none'" in page
    anchors = set(re.findall(r'id="([^"]+)"', pages["synthesis.html"]))
    assert "synthesis-1" in anchors
    assert 'href="synthesis.html#synthesis-1"' in pages["index.html"]


def drop_anchor(address: str) -> str:
    return address.partition("#")[0] or address


def test_every_row_tells_what_defends_it(results: Path, tmp_path: Path) -> None:
    page = write(results, tmp_path)["synthesis.html"]
    row = re.search(r"<tr><th[^>]*><bdi>fbf</bdi></th>.*?</tr>", page, re.DOTALL)
    assert row is not None
    for text in ("0.800", "[0.700, 0.900] n=60", "12 people", "abababababab", "no commit recorded", "2 cores", "none"):
        assert text in row[0]
    assert 'data-v="0.8"' in row[0]  # what the table sorts by


def test_pages_have_the_papers_rows_apart(results: Path, tmp_path: Path) -> None:
    pages = write(results, tmp_path)
    for name, number in {"synthesis": "Table 3a", "detection": "Table 5", "perceptual": "Table 1"}.items():
        measured, _, reference = pages[f"{name}.html"].partition('<h2 id="reference">')
        assert f"<h3>{number}. " in reference
        assert f"<h3>{number}. " not in measured
    assert "Nothing has been measured yet" in pages["perceptual.html"]


def test_curves_are_drawn_from_the_rows(results: Path, tmp_path: Path) -> None:
    page = write(results, tmp_path)["detection.html"]
    for name in ("ROC", "DET", "Tippett", "Empirical cross-entropy", "PAV"):
        assert f'aria-label="{name}"' in page
    assert page.count('aria-label="ROC"') == 1  # both rows in one chart
    assert page.count('aria-label="Tippett"') == 1  # spectrum has no likelihood ratios
    assert "By the source of the motion" in page


def test_trainings_stand_by_test_sets(tmp_path: Path, make_record: MakeRecord) -> None:
    folder = tmp_path / "results"
    protocol = {"name": "cross", "sha256": "1" * 64}
    for number, test in enumerate(("ours", "<theirs>")):
        facts = {"trained_on": "ours", "tested_on": test, "view": "face:224x224"}
        metrics = {"video_auc": 0.9 - 0.2 * number, "pair_auc": 0.8}
        record = make_record(
            "pair-patch", metrics, kind="detection", facts=facts, protocol=protocol, dataset_id=str(number) * 64
        )
        save_run(folder, record, list_detection_rows())
    page = write(folder, tmp_path)["detection.html"].split('<h2 id="matrices">')[1]
    assert "cross · 111111111111" in page
    assert "&lt;theirs&gt;</th>" in page
    row = re.search(r"<tr><th scope=\"row\"[^>]*><bdi>ours</bdi></th>.*?</tr>", page, re.DOTALL)
    assert row is not None
    assert re.findall(r'data-v="([\d.]+)"', row[0]) == ["0.7", "0.9"]  # test sets in alphabetical order


def test_missing_rows_are_told(results: Path, tmp_path: Path) -> None:
    for path in results.glob("detection-*.parquet"):
        path.unlink()
    page = write(results, tmp_path)["detection.html"]
    assert "Not drawn: pair-patch, spectrum: its rows do not lie beside its record." in page


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table.assign(score=np.nan), "a score among its rows is not finite"),
        (lambda table: table.assign(label=1.0), "only reals, or only fakes, were scored"),
        (lambda table: table[["level"]], "its rows cannot be read"),
    ],
)
def test_rows_that_give_no_curve_have_a_reason(
    results: Path, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], reason: str
) -> None:
    [path] = results.glob("detection-pair-patch-*.parquet")
    change(list_detection_rows()).to_parquet(path)
    assert f"Not drawn: pair-patch: {reason}." in write(results, tmp_path)["detection.html"]


def test_damaged_rows_give_no_curve_and_lose_nothing(results: Path, tmp_path: Path) -> None:
    for path in results.glob("*.parquet"):
        path.write_bytes(b"PAR1 no longer")
    pages = write(results, tmp_path)
    assert "its rows cannot be read" in pages["detection.html"]
    assert "its rows cannot be read" in pages["synthesis.html"]
    assert "0.800" in pages["synthesis.html"]


def test_closed_form_ssim_against_novelty(results: Path, tmp_path: Path) -> None:
    [record] = [each for each in read_runs(results).records if each.entry.name == "fbf"]
    part = parts.load_part(record, results, None, Poses())
    assert len(part.novelty) == parts.BINS
    assert part.novelty[0] == (1.0, 0.89)  # frames 0 to 2 of 20 in 8 bins
    assert part.novelty[-1] == (18.5, 0.715)
    assert "Body SSIM against pose novelty" in write(results, tmp_path, Poses())["synthesis.html"]


# ---------------------------------------------------------------- bad input


def test_names_that_are_markup_are_text(tmp_path: Path, make_record: MakeRecord) -> None:
    folder = tmp_path / "results"
    record = make_record("fbf", {"body_ssim": 0.8}, entry={"name": EVIL, "preset": EVIL}, facts={"warnings": (EVIL,)})
    people = {f"{EVIL}{number}": {"body_ssim": 0.1 * number} for number in range(3)}
    record = record.model_copy(update={"per_subject": people, "data": record.data.model_copy(update={"dataset": EVIL})})
    save_run(folder, record, list_frame_rows())
    save_run(folder, make_record("a\u202eb", {"body_ssim": 0.7}), list_frame_rows())
    for page in write(folder, tmp_path).values():
        read_structure(page)  # no attribute that runs anything
        assert "<b onload" not in page
        assert "\u202e" not in page


def test_files_that_cannot_be_used_are_named_and_counted(results: Path, tmp_path: Path) -> None:
    [path] = results.glob("synthesis-fbf-*.json")
    data = json.loads(path.read_text())
    newer = {**data, "schema_version": 99, "run": {**data["run"], "id": "synthesis-newer-aaaaaaaaaaaa"}}
    (results / "synthesis-newer-aaaaaaaaaaaa.json").write_text(json.dumps(newer))
    (results / "copy.json").write_text(path.read_text())  # a second file with one id
    data["metrics"]["body_ssim"]["value"] = float("nan")
    data["run"]["id"] = "synthesis-nan-aaaaaaaaaaaa"
    (results / "synthesis-nan-aaaaaaaaaaaa.json").write_text(json.dumps(data))
    page = write(results, tmp_path)["index.html"]
    assert "3 files among the records could not be used" in page
    assert "schema version 99" in page
    assert "copy.json holds the run" in page
    assert "synthesis-nan-aaaaaaaaaaaa.json is not a valid RunRecord file" in page
    assert "Rebuilt from 4 run records" in page


def test_older_records_are_read(results: Path, tmp_path: Path) -> None:
    [path] = results.glob("detection-pair-patch-*.json")
    data = json.loads(path.read_text())
    del data["data"]["protocol"], data["data"]["videos_sha256"]
    path.write_text(json.dumps({**data, "schema_version": 3}))
    page = write(results, tmp_path)["detection.html"]
    assert "table-5 853ffbec" in page


def test_datasets_and_protocols_never_share_a_table(tmp_path: Path, make_record: MakeRecord) -> None:
    folder = tmp_path / "results"
    for dataset_id in ("a" * 64, "b" * 64):
        save_run(folder, make_record("fbf", {"body_ssim": 0.8}, dataset_id=dataset_id), list_frame_rows())
    for sha256 in ("1" * 64, "2" * 64):
        protocol = {"name": "one", "sha256": sha256}
        record = make_record(f"d{sha256[0]}", {"video_auc": 0.8}, kind="detection", protocol=protocol)
        save_run(folder, record, list_detection_rows())
    pages = write(folder, tmp_path)
    for kind in ("synthesis", "detection"):
        sections = pages[f"{kind}.html"].split('<h2 id="reference">')[0].split("<section>")[1:]
        assert [part.count('<tr><th scope="row"') > 0 for part in sections[:2]] == [True, True]
        assert f'id="{kind}-2"' in pages[f"{kind}.html"]


def test_a_folder_without_records_gives_the_papers_rows(tmp_path: Path) -> None:
    pages = write(tmp_path / "nothing", tmp_path)
    assert list(pages) == PAGES
    assert "Nothing has been measured yet" in pages["synthesis.html"]


def test_many_rows_show_the_best_and_name_the_rest(
    tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "MAX_SECTION_ROWS", 2)
    monkeypatch.setattr(build, "MAX_ROWS", 2)
    folder = tmp_path / "results"
    for number in range(4):
        save_run(folder, make_record(f"m{number}", {"body_ssim": 0.1 * number}), list_frame_rows())
    save_run(folder, make_record("other", {"body_ssim": 0.5}, dataset_id="f" * 64), list_frame_rows())
    page = write(folder, tmp_path)["synthesis.html"]
    assert "<bdi>m3</bdi>" in page
    assert "<bdi>m1</bdi>" not in page
    assert "The best 2 rows are shown; 2 more stand in synthesis.md" in page
    assert "This page has no room for 1 more" in page


# ---------------------------------------------------------------- the same bytes, and only what changed


def test_the_same_records_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    first = write(results, tmp_path / "a")
    again = write(results, tmp_path / "a")  # from what was kept
    elsewhere = write(results, tmp_path / "b")
    assert first == again == elsewhere
    assert check_site(results, read_runs(results), tmp_path / "a" / "site", Nothing()) == []


def test_check_names_the_pages_that_differ(results: Path, tmp_path: Path) -> None:
    write(results, tmp_path)
    site = tmp_path / "site"
    (site / "detection.html").write_text("better")
    (site / "index.html").unlink()
    before = sorted(tmp_path.rglob("*"))
    assert check_site(results, read_runs(results), site, Nothing()) == ["index.html", "detection.html"]
    assert sorted(tmp_path.rglob("*")) == before  # nothing is written


def test_a_run_is_drawn_again_only_where_it_changed(
    results: Path, tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    make = parts._make_part
    monkeypatch.setattr(
        parts, "_make_part", lambda record, *rest: drawn.append(record.entry.name) or make(record, *rest)
    )
    write(results, tmp_path)
    assert sorted(drawn) == ["fbf", "nearest", "pair-patch", "spectrum"]
    drawn.clear()
    save_run(results, make_record("new", {"body_ssim": 0.75}), list_frame_rows())
    page = write(results, tmp_path)["synthesis.html"]
    assert drawn == ["new"]
    assert "<bdi>new</bdi>" in page
    drawn.clear()
    [rows] = results.glob("detection-spectrum-*.parquet")
    list_detection_rows(7).to_parquet(rows)
    write(results, tmp_path)
    assert drawn == ["spectrum"]
    drawn.clear()
    write(results, tmp_path, Poses())  # the people came
    assert sorted(drawn) == ["fbf", "nearest", "new"]


def test_what_no_page_shows_is_removed(results: Path, tmp_path: Path) -> None:
    media = tmp_path / "site" / "media"
    media.mkdir(parents=True)
    for name in ("kept.jpg", "kept.mp4", "old.jpg"):
        (media / name).write_bytes(b"x")

    class Shown(Nothing):
        def find_exhibits(self, section: Section) -> Exhibits:
            exhibit = Exhibit("<s1>", ("sticks", "real", "fbf"), media / "kept.jpg", media / "kept.mp4", (10, 20))
            return Exhibits((exhibit,), ())

    page = write(results, tmp_path, Shown())["synthesis.html"]
    assert sorted(path.name for path in media.iterdir()) == ["kept.jpg", "kept.mp4"]
    assert 'src="media/kept.jpg"' in page
    assert "<s1>" not in page
    [run] = results.glob("synthesis-nearest-*.json")
    run.unlink()
    write(results, tmp_path, Shown())
    assert not (tmp_path / "parts" / run.name).exists()
