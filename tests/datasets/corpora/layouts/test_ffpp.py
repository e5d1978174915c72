"""FaceForensics++ and the corpora built on its clips: exact counts, planted leaks, options."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpora_toys import CROSSING, METHODS, dfd_names, ffpp_conversion, ffpp_names, ffpp_pairs, names_tree, write_lists

from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Reading
from dancebench.datasets.corpora.groups import group_rows
from dancebench.datasets.corpora.splits import split_by_person, split_officially
from dancebench.detect.inputs.leak_audit import find_leaks

PAIRS = ffpp_pairs()


def counts_of(reading: Reading) -> dict[str, tuple[int, int | None]]:
    return {count.what: (count.found, count.official) for count in reading.counts}


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{side}.json": pairs for side, pairs in PAIRS.items()}
    return write_lists(tmp_path_factory.mktemp("lists"), files | {"conversion_dict.json": ffpp_conversion(PAIRS)})


@pytest.fixture(scope="module")
def whole(lists: Path) -> Reading:
    return CORPORA["ffpp"]().read(CorpusRequest(names_tree(ffpp_names(PAIRS)), lists=lists))


def test_closed_form_all_counts_are_the_published_ones(whole: Reading) -> None:
    counts = counts_of(whole)
    assert {counts[f"{method} c23"] for method in ("youtube", *METHODS)} == {(1000, 1000)}
    for method in ("youtube", *METHODS):
        sizes = [counts[f"{method} c23 {split}"] for split in ("train", "validation", "test")]
        assert sizes == [(720, 720), (140, 140), (140, 140)]
    assert (whole.missing, whole.extra, whole.mismatches, whole.problems) == ([], [], [], [])
    assert sorted(whole.lists) == ["conversion_dict.json", "test.json", "train.json", "val.json"]
    assert all(len(sha256) == 64 for sha256 in whole.lists.values())


def test_closed_form_the_people_are_recordings(whole: Reading) -> None:
    reals = [row for row in whole.rows if row.label == 0]
    # 977 recordings, of which three more show people of others: 043 and 343; 179, 183 and 826
    assert len({row.subject_id for row in reals}) == 974
    swap = next(row for row in whole.rows if row.video_id == "Deepfakes/c23/" + "_".join(PAIRS["test"][3]))
    assert [person.role for person in swap.people] == ["target", "donor"]
    assert (swap.real_of, swap.official_split) == (f"youtube/c23/{PAIRS['test'][3][0]}", "test")
    driven = next(row for row in whole.rows if row.method == "Face2Face")
    assert [person.role for person in driven.people] == ["target", "driver"]


@pytest.mark.parametrize("with_ids", [True, False])
def test_the_seven_recordings_that_cross_the_official_split_are_found(
    with_ids: bool, lists: Path, tmp_path: Path
) -> None:
    if not with_ids:
        lists = write_lists(tmp_path, {f"{side}.json": pairs for side, pairs in PAIRS.items()})
    reading = CORPORA["ffpp"]().read(CorpusRequest(names_tree(ffpp_names(PAIRS)), lists=lists))
    leaks = find_leaks(split_officially(reading.rows).rows)
    assert len(leaks) == 7
    for (first, _), leak in zip(sorted(CROSSING), sorted(leaks), strict=True):
        assert leak.startswith(f"The person 'ffpp/{first}' is in ")
    assert bool(reading.notes) != with_ids


def test_the_person_disjoint_split_leaks_nobody_and_cuts_nothing(whole: Reading) -> None:
    division = split_by_person(group_rows(whole.rows), seed=0)
    assert not find_leaks(division.rows)
    assert not division.left_out
    held_out = [row for row in division.rows if row.split == "holdout"]
    assert sum(row.label == 0 for row in held_out) == pytest.approx(250, abs=6)
    assert sum(row.label == 1 for row in held_out) == pytest.approx(1250, abs=30)


def test_what_a_list_names_and_is_not_there_is_missing(lists: Path) -> None:
    names = ffpp_names(PAIRS)
    lost = [names[3], names[-1]]
    strange = "manipulated_sequences/Deepfakes/c23/videos/001_002.mp4"
    kept = [name for name in names if name not in lost] + [strange, "manipulated_sequences/FaceSwap/c23/masks/x.mp4"]
    reading = CORPORA["ffpp"]().read(CorpusRequest(names_tree(kept), lists=lists))
    swap = names[-1].rpartition("/")[2].removesuffix(".mp4")
    assert reading.missing == [f"FaceShifter/c23/{swap}", "youtube/c23/003"]
    assert reading.extra == ([] if ["001", "002"] in PAIRS["train"] else ["Deepfakes/c23/001_002"])


def test_a_list_that_lost_its_lines_and_one_that_is_not_there_are_told(tmp_path: Path) -> None:
    write_lists(tmp_path, {"train.json": PAIRS["train"][:300], "val.json": PAIRS["val"]})
    reading = CORPORA["ffpp"]().read(CorpusRequest(names_tree(ffpp_names(PAIRS)), lists=tmp_path))
    assert "train.json has 300 pairs; 360 were published." in reading.problems
    assert any("test.json is not there" in problem for problem in reading.problems)
    assert counts_of(reading)["youtube c23 train"] == (600, 720)
    assert "youtube c23 test" not in counts_of(reading)


def test_clips_of_dfd_in_the_same_tree_are_left_to_its_layout(lists: Path) -> None:
    both = names_tree(ffpp_names(PAIRS) + dfd_names())
    ffpp = CORPORA["ffpp"]().read(CorpusRequest(both, lists=lists))
    dfd = CORPORA["dfd"]().read(CorpusRequest(both))
    assert (len(ffpp.rows), len(dfd.rows)) == (6000, 3431)
    assert "3431 files are of DeepFakeDetection" in ffpp.notes[-1]


# --- DeepFakeDetection


def test_closed_form_dfd_is_for_testing_and_its_actors_are_one_group() -> None:
    reading = CORPORA["dfd"]().read(CorpusRequest(names_tree(dfd_names())))
    assert counts_of(reading) == {"actors c23": (363, 363), "DeepFakeDetection c23": (3068, 3068)}
    rows = group_rows(reading.rows)
    assert {row.official_split for row in rows} == {"test"}
    assert len({row.group for row in rows}) == 1
    assert len({person.id for row in rows for person in row.people}) == 28
    ids = {row.video_id for row in rows}
    assert all(row.real_of in ids for row in rows if row.label)
    division = split_by_person(rows, seed=0)
    assert not find_leaks(division.rows)
    kept = [row for row in division.rows if row.split is not None]
    assert len(kept) + len(division.left_out) == len(rows)
    sides = {person.id: row.split for row in kept for person in row.people}
    for video, reason in division.left_out.items():
        row = next(row for row in rows if row.video_id == video)
        assert len({sides[person.id] for person in row.people}) == 2, reason
    for side in ("train", "validation", "holdout"):
        assert {row.label for row in kept if row.split == side} == {0, 1}


# --- DeeperForensics-1.0 and SynthForensics


def test_closed_form_deeperforensics_takes_its_reals_from_ffpp(tmp_path: Path) -> None:
    versions = [
        "end_to_end", *(f"end_to_end_level_{k}" for k in range(1, 6)), "end_to_end_random_level",
        *(f"end_to_end_mix_{k}_distortions" for k in (2, 3, 4)), "reenact_postprocess",
    ]  # fmt: skip
    swaps = [f"{k:03d}_{'MW'[k % 2]}{k % 100:03d}" for k in range(1000)]
    by_actor = {"train": range(71), "val": range(71, 80), "test": range(80, 100)}
    write_lists(
        tmp_path,
        {
            f"{part}.txt": "\n".join(f"{s}.mp4" for k, s in enumerate(swaps) if k % 100 in who)
            for part, who in by_actor.items()
        },
    )
    names = [f"manipulated_videos/{version}/{swap}.mp4" for version in versions for swap in swaps]
    tree = names_tree([*names, "source_videos/M000/x.mp4"])
    alone = CORPORA["deeperforensics"]().read(CorpusRequest(tree, lists=tmp_path))
    assert any("--reals" in problem for problem in alone.problems)
    assert sum("lines; " in problem for problem in alone.problems) == 3  # 710/90/200 of this toy are not 703/96/201
    reading = CORPORA["deeperforensics"]().read(
        CorpusRequest(tree, reals=names_tree(ffpp_names(PAIRS)), lists=tmp_path)
    )
    assert set(counts_of(reading).values()) == {(1000, 1000)}
    reals = [row for row in reading.rows if row.label == 0]
    assert len(reals) == 1000
    assert {row.video_id.split("/")[0] for row in reals} == {"youtube"}
    rows = group_rows(reading.rows)
    ids = {row.video_id for row in rows}
    assert all(row.real_of in ids for row in rows if row.label)
    groups = {}
    for row in rows:
        groups.setdefault(row.video_id.rpartition("/")[2], set()).add(row.group)
    assert all(len(found) == 1 for found in groups.values())  # 11 versions are one clip
    assert (reading.missing, reading.extra) == ([], [])


def test_closed_form_synthforensics_takes_people_and_reals_from_ffpp_and_dfd() -> None:
    clips = ["000", "605", "606", "03__walk_down_hall_angry"]
    names = [
        f"{kind.upper()}/videos/{compression}/Gen_X/{clip}_Gen_X_{kind}.mp4"
        for kind in ("t2v", "i2v") for compression in ("raw", "crf23") for clip in clips
    ]  # fmt: skip
    reals = ["original_sequences/actors/c23/videos/03__walk_down_hall_angry.mp4", *ffpp_names(PAIRS)]
    reading = CORPORA["synthforensics"]().read(
        CorpusRequest(names_tree([*names, "I2V/i2v_frames/000.png"]), names_tree(reals))
    )
    assert counts_of(reading) == {"fake crf23": (8, 20445), "fake raw": (8, 20445)}
    rows = group_rows(reading.rows)
    assert sorted(row.video_id for row in rows if row.label == 0) == [
        "actors/c23/03__walk_down_hall_angry", "youtube/c23/000", "youtube/c23/605", "youtube/c23/606",
    ]  # fmt: skip
    assert {row.family for row in rows if row.label} == {"text to video", "image to video"}
    assert len({row.group for row in rows}) == 3  # 605 and 606 show one person
