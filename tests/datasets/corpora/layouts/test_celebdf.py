"""Celeb-DF and Celeb-DF++: exact counts, the list's polarity, lost lines, components."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from corpora_toys import COMPONENTS, celebdf_list, celebdf_names, names_tree, write_lists

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Reading
from dancebench.datasets.corpora.groups import group_rows
from dancebench.datasets.corpora.splits import split_by_person, split_officially
from dancebench.detect.inputs.leak_audit import find_leaks

NAMES = celebdf_names()
LINES = celebdf_list(NAMES)
SIDES = ("train", "validation", "holdout")
LIST = "List_of_testing_videos.txt"


def read(lines: list[str], folder: Path, names: list[str] = NAMES) -> Reading:
    write_lists(folder, {LIST: "\n".join(lines) + "\n"})
    return CORPORA["celebdf"]().read(CorpusRequest(names_tree(names), lists=folder))


def counts_of(reading: Reading) -> dict[str, tuple[int, int | None]]:
    return {count.what: (count.found, count.official) for count in reading.counts}


def test_closed_form_all_counts_are_the_published_ones(tmp_path: Path) -> None:
    reading = read(LINES, tmp_path)
    assert counts_of(reading) == {
        "Celeb-real": (590, 590), "YouTube-real": (300, 300), "Celeb-synthesis": (5639, 5639),
        "list YouTube-real": (70, 70), "list Celeb-real": (108, 108), "list Celeb-synthesis": (340, 340),
    }  # fmt: skip
    assert reading.version == "2"
    assert (reading.missing, reading.mismatches, reading.problems) == ([], [], [])
    assert sum(row.official_split == "test" for row in reading.rows) == 518
    swap = next(row for row in reading.rows if row.label == 1)
    target, donor = (person.id for person in swap.people)
    assert swap.video_id.startswith(
        f"Celeb-synthesis/{target.removeprefix('celebdf/')}_{donor.removeprefix('celebdf/')}_"
    )
    assert swap.real_of == f"Celeb-real/{target.removeprefix('celebdf/')}_{swap.video_id[-4:]}"


def test_closed_form_the_first_version_is_told_by_its_counts(tmp_path: Path) -> None:
    reading = read([], tmp_path, celebdf_names((158, 250, 795)))
    assert reading.version == "1"
    assert counts_of(reading)["Celeb-synthesis"] == (795, 795)


def test_closed_form_the_components_are_those_that_were_computed(tmp_path: Path) -> None:
    """Those of the public list; celebrities of no swap, and everyone of the web, are groups of their own."""
    groups: dict[str | None, set[int]] = {}
    for row in group_rows(read(LINES, tmp_path).rows):
        if not row.video_id.startswith("YouTube"):
            groups.setdefault(row.group, set()).update(int(person.id[10:]) for person in row.people)
    assert sorted(sorted(group) for group in groups.values()) == sorted([*COMPONENTS, [36]])


def test_celebrities_of_the_official_test_part_are_in_training_too(tmp_path: Path) -> None:
    rows = split_officially(read(LINES, tmp_path).rows).rows
    leaks = find_leaks(rows)
    seen = {side: {person.id for row in rows if row.split == side for person in row.people} for side in SIDES}
    assert len(leaks) == len(seen["train"] & seen["holdout"]) == 56
    assert all("(train)" in leak and "(holdout)" in leak for leak in leaks)
    shown = {row.subject_id for row in rows if row.split == "holdout" and row.label == 0 and "Celeb" in row.video_id}
    assert len(shown) == 51


def test_fakes_of_the_test_part_over_reals_that_are_not_in_it_are_counted(tmp_path: Path) -> None:
    tested = {line.partition(" ")[2].removesuffix(".mp4") for line in LINES}
    swaps = [video for video in tested if video.startswith("Celeb-synthesis")]
    over = [re.sub(r"Celeb-synthesis/(id\d+)_id\d+_", r"Celeb-real/\1_", video) for video in swaps]
    loose = sum(real not in tested for real in over)
    assert 0 < loose < 340
    assert f"{loose} of the 340 fakes of the test part are made over a real" in read(LINES, tmp_path).notes[-1]


def test_the_person_disjoint_split_cuts_no_swap(tmp_path: Path) -> None:
    division = split_by_person(group_rows(read(LINES, tmp_path).rows), seed=0)
    assert not division.left_out
    assert not find_leaks(division.rows)
    train = {person.id for row in division.rows if row.split == "train" for person in row.people}
    assert {"celebdf/id0", "celebdf/id38"} <= train  # the largest group
    for side in ("train", "validation", "holdout"):
        assert {row.label for row in division.rows if row.split == side} == {0, 1}


def test_a_list_that_lost_its_youtube_lines_is_told(tmp_path: Path) -> None:
    reading = read([line for line in LINES if "YouTube" not in line], tmp_path)
    assert counts_of(reading)["list YouTube-real"] == (0, 70)
    assert reading.problems == [f"{LIST} is not the published one: YouTube-real 0 of 70 lines."]


def test_a_list_with_0_for_real_is_refused(tmp_path: Path) -> None:
    swapped = [f"{'0' if line[0] == '1' else '1'}{line[1:]}" for line in LINES]
    with pytest.raises(BenchError, match="All 518 labels of the list are the opposite") as caught:
        read(swapped, tmp_path)
    assert caught.value.hint
    reading = read([swapped[0], *LINES[1:]], tmp_path)
    assert reading.mismatches == ["YouTube-real/00000.mp4: fake in the list, real by its folder"]


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r":2 is not '1 FOLDER/FILE'"):
        read([LINES[0], "2 YouTube-real/00001.mp4"], tmp_path)


def test_a_folder_of_videos_below_is_the_same_corpus(tmp_path: Path) -> None:
    deeper = [name.replace("/", "/videos/") for name in NAMES]
    found, plain = (sorted(row.video_id for row in read(LINES, tmp_path, each).rows) for each in (deeper, NAMES))
    assert found == plain
    assert read(LINES, tmp_path, deeper).missing == []


def test_without_the_list_nothing_is_in_the_official_split() -> None:
    reading = CORPORA["celebdf"]().read(CorpusRequest(names_tree(NAMES)))
    assert reading.official is None
    assert any(LIST in problem for problem in reading.problems)


def test_closed_form_celebdfpp_has_kinds_and_methods(tmp_path: Path) -> None:
    reals = [f"Celeb-real/id{k}_0000.mp4" for k in range(6)] + ["YouTube-real/00001.mp4"]
    fakes = [
        "Celeb-synthesis/FaceSwap/SimSwap/id0_id1_0000.mp4", "Celeb-synthesis/FaceReenact/LIA/id2_id3_0000.mp4",
        "Celeb-synthesis/TalkingFace/EDTalk/id4_0000_test_id5_0000.mp4",
    ]  # fmt: skip
    lines = [f"1 {reals[0]}", f"0 {fakes[0]}"]
    write_lists(tmp_path, {LIST: "\n".join(lines)})
    request = CorpusRequest(names_tree(reals + fakes), lists=tmp_path)
    reading = CORPORA["celebdfpp"]().read(request)
    by_method = {row.method: row for row in reading.rows if row.label}
    assert {method: row.family for method, row in by_method.items()} == {
        "SimSwap": "face swap", "LIA": "face reenactment", "EDTalk": "talking face"
    }  # fmt: skip
    assert [person.role for person in by_method["LIA"].people] == ["target", "driver"]
    assert [person.id for person in by_method["EDTalk"].people] == ["celebdf/id4", "celebdf/id5"]
    counts = counts_of(reading)
    assert (counts["real test"], counts["methods"]) == ((1, 178), (3, 22))
    assert (counts["FaceSwap SimSwap test"], counts["TalkingFace EDTalk test"]) == ((1, 200), (0, 300))
    assert CORPORA["celebdfpp"]().recognise(request.tree) == 10
    assert CORPORA["celebdfpp"]().recognise(names_tree(NAMES)) == 0
