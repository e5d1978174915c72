"""DFDC, its preview, FakeAVCeleb and GenVideo: exact counts, links to reals, the traps of each."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpora_toys import names_tree, write_lists

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Reading
from dancebench.datasets.corpora.groups import group_rows
from dancebench.datasets.corpora.splits import split_by_group, split_by_person
from dancebench.datasets.corpora.tree import Tree
from dancebench.detect.inputs.leak_audit import find_leaks


def counts_of(reading: Reading) -> dict[str, tuple[int, int | None]]:
    return {count.what: (count.found, count.official) for count in reading.counts}


def read(layout: str, root: Path, names: list[str], lists: dict[str, object]) -> Reading:
    """A tree whose lists are on the disk and whose videos are names alone."""
    write_lists(root, lists)
    tree = Tree(root, tuple(sorted([*names, *lists])))
    return CORPORA[layout]().read(CorpusRequest(tree))


# --- DFDC


def dfdc_toy() -> tuple[list[str], dict[str, object]]:
    parts: dict[str, object] = {
        "dfdc_train_part_0/metadata.json": {
            "a.mp4": {"label": "REAL", "split": "train"},
            "b.mp4": {"label": "FAKE", "split": "train", "original": "a.mp4"},
            "c.mp4": {"label": "FAKE", "split": "train", "original": "a.mp4"},
            "gone.mp4": {"label": "FAKE", "split": "train", "original": "a.mp4"},
        },
        "dfdc_train_part_1/metadata.json": {
            "d.mp4": {"label": "REAL", "split": "train"},
            "e.mp4": {"label": "FAKE", "split": "train", "original": "elsewhere.mp4"},
        },
        "dfdc_train_part_2/metadata.json": {"lost.mp4": {"label": "REAL", "split": "train"}},
        "test/labels.csv": "filename,label\nf.mp4,0\ng.mp4,1\n",
    }
    names = [f"dfdc_train_part_0/{x}.mp4" for x in "abc"] + [f"dfdc_train_part_1/{x}.mp4" for x in "de"]
    return [*names, "test/f.mp4", "test/g.mp4", "test/h.mp4", "test_videos/k.mp4"], parts


def test_closed_form_dfdc_groups_fakes_with_their_originals(tmp_path: Path) -> None:
    reading = read("dfdc", tmp_path, *dfdc_toy())
    assert counts_of(reading) == {
        "train real": (2, 19154), "train fake": (3, 100000), "test real": (1, 2500), "test fake": (1, 2500)
    }  # fmt: skip
    assert reading.missing == ["dfdc_train_part_0/gone.mp4", "dfdc_train_part_2/lost.mp4"]
    assert reading.extra == ["test/h.mp4"]
    assert reading.problems == ["The 1 clips of test_videos have no labels: they are not the test part."]
    rows = group_rows(reading.rows)
    assert not any(row.identified for row in rows)
    groups = {row.video_id: row.group for row in rows}
    assert groups["train/a"] == groups["train/b"] == groups["train/c"]
    assert len(set(groups.values())) == 5
    with pytest.raises(BenchError, match="Nobody knows who is seen in 7 of 7 videos") as caught:
        split_by_person(rows, seed=0)
    assert "group-disjoint" in (caught.value.hint or "")
    assert not find_leaks(split_by_group(rows, seed=0).rows)


def test_a_label_of_dfdc_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"a\.mp4 has no label REAL or FAKE"):
        read(
            "dfdc",
            tmp_path,
            ["dfdc_train_part_0/a.mp4"],
            {"dfdc_train_part_0/metadata.json": {"a.mp4": {"label": "?"}}},
        )


# --- DFDC Preview


def test_closed_form_the_people_of_the_preview_are_told(tmp_path: Path) -> None:
    names = [
        "original_videos/1224068/1224068_C_000.mp4", "original_videos/643669/643669_A_000.mp4",
        "method_A/1224068/1224068_C/643669_1224068_C_0.mp4", "method_B/643669/643669_A/1224068_643669_A_1.mp4",
    ]  # fmt: skip
    entries = {
        name: {
            "label": "real" if name.startswith("original") else "fake", "set": "train" if k % 2 else "test",
            "target_id": name.split("/")[1], "swapped_id": None if name.startswith("original") else "643669",
        }
        for k, name in enumerate(names)
    }  # fmt: skip
    reading = read("dfdcp", tmp_path, names, {"dataset.json": entries})
    assert counts_of(reading) == {"real": (2, 1131), "real test": (1, 276), "fake": (2, 4119), "fake test": (1, 501)}
    swap = next(row for row in reading.rows if row.method == "method_A")
    assert [(person.id, person.role) for person in swap.people] == [
        ("dfdcp/1224068", "target"),
        ("dfdcp/643669", "donor"),
    ]
    without = CORPORA["dfdcp"]().read(CorpusRequest(names_tree(names)))
    people = {row.video_id: [person.id for person in row.people] for row in without.rows}
    assert people["method_B/643669/643669_A/1224068_643669_A_1"] == ["dfdcp/643669", "dfdcp/1224068"]
    assert without.problems
    for entry in entries.values():
        entry["label"] = "fake" if entry["label"] == "real" else "real"
    with pytest.raises(BenchError, match="All 4 labels"):
        read("dfdcp", tmp_path, names, {"dataset.json": entries})


# --- FakeAVCeleb


def test_closed_form_realvideo_fakeaudio_is_a_real_whose_sound_is_fake(tmp_path: Path) -> None:
    where = "African/men"
    names = [
        f"RealVideo-RealAudio/{where}/id00076/00109.mp4", f"RealVideo-FakeAudio/{where}/id00076/00109_fake.mp4",
        f"FakeVideo-RealAudio/{where}/id00076/00109_1.mp4", f"FakeVideo-FakeAudio/{where}/id00076/00109_2.mp4",
        f"RealVideo-RealAudio/{where}/id00166/00010.mp4",
    ]  # fmt: skip
    lines = ["source,target1,target2,method,category,type,race,gender,path,folder"]
    for name, donors, method in (
        (names[0], "-,-", "real"), (names[1], "-,-", "rtvc"), (names[2], "id00166,-", "faceswap"),
        (names[3], "id00166,id01637", "faceswap-wav2lip"), (names[4], "-,-", "real"),
    ):  # fmt: skip
        kind, race, gender, person, file = name.split("/")
        lines.append(
            f"{person},{donors},{method},X,{kind},{race},{gender},{file},FakeAVCeleb/{kind}/{race}/{gender}/{person}"
        )
    reading = read("fakeavceleb", tmp_path, names, {"meta_data.csv": "\n".join(lines)})
    assert counts_of(reading) == {
        "RealVideo-RealAudio": (2, 500), "RealVideo-FakeAudio": (1, 500), "FakeVideo-RealAudio": (1, 9709),
        "FakeVideo-FakeAudio": (1, 10835),
    }  # fmt: skip
    assert (reading.missing, reading.extra, reading.mismatches) == ([], [], [])
    rows = {row.attributes["type"]: row for row in reading.rows if "id00076" in row.path}
    facts = {kind: (row.label, row.label_audio, row.method) for kind, row in rows.items()}
    assert facts == {
        "RealVideo-RealAudio": (0, 0, None), "RealVideo-FakeAudio": (0, 1, None),
        "FakeVideo-RealAudio": (1, 0, "faceswap"), "FakeVideo-FakeAudio": (1, 1, "faceswap-wav2lip"),
    }  # fmt: skip
    assert rows["RealVideo-FakeAudio"].attributes["audio_method"] == "rtvc"
    assert [person.id for person in rows["FakeVideo-FakeAudio"].people] == [
        "fakeavceleb/id00076", "fakeavceleb/id00166", "fakeavceleb/id01637"
    ]  # fmt: skip
    assert rows["FakeVideo-RealAudio"].real_of == "RealVideo-RealAudio/id00076/00109"
    assert {row.group for row in group_rows(reading.rows)} == {"fakeavceleb/id00076"}


def test_a_type_in_the_list_that_is_not_the_folder_is_a_mismatch(tmp_path: Path) -> None:
    name = "RealVideo-RealAudio/African/men/id00076/00109.mp4"
    folder = "FakeAVCeleb/RealVideo-FakeAudio/African/men/id00076"
    line = f"id00076,-,-,real,B,RealVideo-FakeAudio,African,men,00109.mp4,{folder}"
    heading = "source,target1,target2,method,category,type,race,gender,path,folder"
    reading = read("fakeavceleb", tmp_path, [name], {"meta_data.csv": f"{heading}\n{line}\n"})
    assert reading.mismatches == [f"{name}: RealVideo-FakeAudio in meta_data.csv"]


# --- GenVideo


def test_closed_form_genvideo_has_generators_and_nobody(tmp_path: Path) -> None:
    names = [
        "GenVideo-Val/Real/v0.mp4", "GenVideo-Val/Real/v1.mp4", "GenVideo-Val/Fake/Sora/s0.mp4",
        *(f"GenVideo-Val/Fake/Lavie/f0/{k}.jpg" for k in range(3)),
    ]  # fmt: skip
    table = (
        "content_path,image_path,type_id,label,frame_len,frame_seq\n"
        '/data/GenVideo-Val/Fake/Lavie/f0.mp4,/data/GenVideo-Val/Fake/Lavie/f0,Lavie,1,3,"[0, 1, 2]"\n'
        '/data/GenVideo-Val/Real/v0.mp4,,real,0,24,"[0, 1]"\n'
        '/data/GenVideo-Val/Real/gone.mp4,,real,0,24,"[0, 1]"\n'
    )
    reading = read("genvideo", tmp_path, names, {"val.csv": table})
    assert counts_of(reading) == {
        "Lavie": (1, None),
        "Sora": (1, None),
        "real (test)": (2, 10000),
        "fake (test)": (2, 8588),
    }
    assert reading.missing == ["/data/GenVideo-Val/Real/gone.mp4"]
    assert reading.extra == ["GenVideo-Val/Fake/Sora/s0.mp4", "GenVideo-Val/Real/v1.mp4"]
    rates = {row.video_id: row.fps for row in reading.rows}
    assert rates["GenVideo-Val/Fake/Lavie/f0"] == 2
    assert rates["GenVideo-Val/Fake/Sora/s0"] is None
    assert len({row.group for row in group_rows(reading.rows)}) == 4
    swapped = table.replace(",1,3,", ",X,3,").replace(",0,24,", ",1,24,").replace(",X,3,", ",0,3,")
    with pytest.raises(BenchError, match="All 2 labels of the list are the opposite"):
        read("genvideo", tmp_path, names, {"val.csv": swapped})
