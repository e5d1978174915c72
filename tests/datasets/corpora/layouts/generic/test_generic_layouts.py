"""Tables, folders of images, and the lists of DeepfakeBench: what is taken over, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpora_toys import names_tree, write_lists

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Polarity, Reading
from dancebench.datasets.corpora.groups import group_rows
from dancebench.datasets.corpora.manifest import Crop, Label, Person
from dancebench.datasets.corpora.tree import Tree

NAMES = ["a.mp4", "b.mp4", "sub/c.mp4"]
TABLE = "path,label,people,method\na.mp4,real,p,\nb.mp4,fake,p|q:donor,swap\nsub/c.mp4,real,q,\n"


def read(
    folder: Path, table: str, *, names: list[str] = NAMES, polarity: Polarity | None = None, label: Label | None = None
) -> Reading:
    (folder / "table.csv").write_text(table, encoding="utf-8")
    tree = Tree(folder, tuple(sorted([*names, "table.csv"])))
    return CORPORA["csv"]().read(CorpusRequest(tree, polarity=polarity, label=label))


def refusal(folder: Path, table: str, **options: object) -> str:
    with pytest.raises(BenchError) as caught:
        read(folder, table, **options)  # type: ignore[arg-type]
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value.message


def test_closed_form_a_table_is_taken_over(tmp_path: Path) -> None:
    reading = read(tmp_path, TABLE)
    assert [(row.path, row.label, row.method) for row in reading.rows] == [
        ("a.mp4", 0, None), ("b.mp4", 1, "swap"), ("sub/c.mp4", 0, None)
    ]  # fmt: skip
    assert reading.rows[1].people == (Person(id="p", role="target"), Person(id="q", role="donor"))
    assert len({row.group for row in group_rows(reading.rows)}) == 1
    assert (reading.missing, reading.extra, reading.official) == ([], [], None)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("sub/c", "sub\\c"),
        lambda text: text.replace("sub/c", "C:\\videos\\sub\\c"),
        lambda text: text.replace("sub/c", "/home/me/videos/sub/c"),
        lambda text: text.replace("a.mp4", "./a.mp4"),
        lambda text: text.replace("path,", "File,").replace("people", "person_id"),
    ],
)
def test_any_spelling_of_a_table_gives_the_same_rows(tmp_path: Path, change: object) -> None:
    text = change(TABLE)  # type: ignore[operator]
    (tmp_path / "plain").mkdir()
    assert read(tmp_path, text).rows == read(tmp_path / "plain", TABLE).rows


def test_numbers_need_a_polarity_and_words_take_none(tmp_path: Path) -> None:
    numbers = TABLE.replace("real", "0").replace("fake", "1")
    assert "are numbers" in refusal(tmp_path, numbers)
    assert [row.label for row in read(tmp_path, numbers, polarity="fake=1").rows] == [0, 1, 0]
    swapped = numbers.replace("0,p", "X").replace("1,p", "0,p").replace("X", "1,p").replace("0,q", "1,q")
    assert [row.label for row in read(tmp_path, swapped, polarity="real=1").rows] == [0, 1, 0]
    assert "are words" in refusal(tmp_path, TABLE, polarity="fake=1")


def test_swapped_labels_are_seen_by_the_methods(tmp_path: Path) -> None:
    numbers = TABLE.replace("real", "0").replace("fake", "1")
    assert "its labels are swapped" in refusal(tmp_path, numbers, polarity="real=1")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("fake", "Unknown", "table.csv:3: 'unknown' is not a label"),
        ("fake", "", "table.csv:3: '' is not a label"),
        ("label", "kind", "has no column label"),
        ("path", "where", "has no column path"),
        ("swap", "swap,more", ":3 has 5 cells; the heading has 4"),
        ("mp4", "avi", "None of the 3 videos of table.csv"),
        ("path,label,people,method", "path", "has no heading"),
    ],
)
def test_what_a_table_may_not_hold_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in refusal(tmp_path, TABLE.replace(old, new))


def test_all_videos_of_one_label(tmp_path: Path) -> None:
    table = "path,people\na.mp4,p\nb.mp4,q\n"
    reading = read(tmp_path, table, label=0)
    assert [row.label for row in reading.rows] == [0, 0]
    assert reading.extra == ["sub/c.mp4"]
    assert "has a column label" in refusal(tmp_path, TABLE, label=0)


def test_closed_form_parts_of_a_picture_are_videos_of_one_group(tmp_path: Path) -> None:
    table = (
        "path,label,crop,pair,split,licence,colour,sha256\n"
        'a.mp4,real,"0,0,64,32",k,train,MIT,red,AB\n'
        'a.mp4,fake,"64,0,64,32",k,train,MIT,,\n'
        "b.mp4,fake,,k,train,,,\n"
        "sub/c.mp4,real,,,test,,,\n"
    )
    rows = group_rows(read(tmp_path, table).rows)
    assert [row.video_id for row in rows] == ["a#0,0,64,32", "a#64,0,64,32", "b", "sub/c"]
    assert rows[0].crop == Crop(left=0, top=0, width=64, height=32)
    assert rows[0].attributes == {"colour": "red", "listed_sha256": "ab"}
    assert rows[0].terms is not None
    assert rows[0].terms.licence == "MIT"
    assert rows[1].method == "unknown"
    assert [row.official_split for row in rows] == ["train", "train", "train", "test"]
    assert len({row.group for row in rows}) == 2
    assert "'0,0,64' is not a crop" in refusal(tmp_path, table.replace("0,0,64,32", "0,0,64"))
    assert "'later' is not a split" in refusal(tmp_path, table.replace("test", "later"))


def test_a_folder_must_hold_one_table(tmp_path: Path) -> None:
    for names, words in (([], "it holds none"), (["x.csv", "y.csv"], "it holds 2: x.csv, y.csv")):
        with pytest.raises(BenchError, match=words) as caught:
            CORPORA["csv"]().read(CorpusRequest(Tree(tmp_path, tuple(names))))
        assert "--list" in (caught.value.hint or "")


# --- folders of images


def test_closed_form_folders_of_images_are_labelled_by_their_folders() -> None:
    names = [
        *(f"train/real/v1/{k:03d}.png" for k in range(4)), *(f"test/fake/SimSwap/v1/{k:03d}.png" for k in range(3)),
        "other/x.png",
    ]  # fmt: skip
    reading = CORPORA["frames"]().read(CorpusRequest(names_tree(names), fps=5))
    assert [(row.video_id, row.label, row.method, row.official_split, row.fps) for row in reading.rows] == [
        ("test/fake/SimSwap/v1", 1, "SimSwap", "test", 5), ("train/real/v1", 0, None, "train", 5)
    ]  # fmt: skip
    assert len({row.group for row in group_rows(reading.rows)}) == 1  # one name: no split may part them
    unknown = CORPORA["frames"]().read(CorpusRequest(names_tree(names)))
    assert {row.fps for row in unknown.rows} == {None}
    assert any("--fps" in note for note in unknown.notes)


# --- DeepfakeBench


def entry(key: str, folder: str, n_frames: int = 2) -> dict[str, object]:
    return {"label": key, "frames": [f"{folder}\\{k:03d}.png" for k in range(n_frames)], "masks": []}


def test_closed_form_lists_of_deepfakebench_with_backslashes(tmp_path: Path) -> None:
    real, fake = (
        "FaceForensics++\\original_sequences\\youtube\\c23\\frames\\605",
        "FaceForensics++\\Deepfakes\\c23\\frames\\606_605",
    )
    lists = {
        "FaceForensics++.json": {
            "FaceForensics++": {
                "FF-real": {"train": {"c23": {"605": entry("FF-real", real)}}, "val": {"c23": {}}, "test": {"c23": {}}},
                "FF-DF": {
                    "test": {"c23": {"606_605": entry("FF-DF", fake, 3)}, "c40": {"000_003": entry("FF-DF", "gone")}}
                },
            }
        }
    }
    write_lists(tmp_path, lists)
    folders = [each.replace("\\", "/").removeprefix("FaceForensics++/") for each in (real, fake)]
    tree = names_tree(f"{folder}/{k:03d}.png" for folder in folders for k in range(2))
    reading = CORPORA["deepfakebench"]().read(CorpusRequest(tree, lists=tmp_path))
    assert [(row.video_id, row.label, row.method, row.official_split) for row in reading.rows] == [
        ("FaceForensics++/FF-real/c23/605", 0, None, "train"),
        ("FaceForensics++/FF-DF/c23/606_605", 1, "Deepfakes", "test"),
    ]
    assert {row.group for row in group_rows(reading.rows)} == {"ffpp/605"}  # 605 and 606 show one person
    assert reading.missing == ["FaceForensics++/FF-DF/c40/000_003"]
    assert reading.problems == [
        "1 videos have fewer frames than their list names, as FaceForensics++/FF-DF/c23/606_605."
    ]


def test_dfd_in_all_parts_and_an_overwritten_folder_of_reals_are_told(tmp_path: Path) -> None:
    actor = {"03__walk": entry("DFD_real", "DFD/03__walk")}
    celeb = {"00012": entry("CelebDFv2_fake", "Celeb/00012")}
    lists = {
        "DFD.json": {"DFD": {"DFD_real": {"train": actor, "val": actor, "test": actor}}},
        "Celeb.json": {"Celeb-DF-v2": {"CelebDFv2_real": {"train": celeb, "val": {}, "test": {}}}},
    }
    write_lists(tmp_path, lists)
    tree = names_tree(f"{folder}/{k:03d}.png" for folder in ("DFD/03__walk", "Celeb/00012") for k in range(2))
    reading = CORPORA["deepfakebench"]().read(CorpusRequest(tree, lists=tmp_path))
    assert {row.video_id: row.official_split for row in reading.rows} == {
        "DFD/DFD_real/03__walk": None, "Celeb-DF-v2/CelebDFv2_real/00012": "train"
    }  # fmt: skip
    assert reading.problems == [
        "1 videos are in several parts of the lists, as DFD/DFD_real/03__walk in train, validation, test: they are in "
        "no official split.",
        "CelebDFv2_real has no video of Celeb-real: its list was overwritten by the other's.",
    ]
    assert reading.mismatches == [
        "Celeb-DF-v2/CelebDFv2_real/00012: CelebDFv2_fake in its entry, CelebDFv2_real above it"
    ]
    assert [row.people[0].id for row in reading.rows] == ["celebdf/youtube00012", "dfd/03"]


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"D": {"UADFV_odd": {"train": {"v": {"frames": ["D/v/0.png"]}}}}}, "'UADFV_odd' is not a label"),
        ({"D": {"D_real": {"later": {"v": {"frames": []}}}}}, "is not a list of DeepfakeBench"),
        ([1, 2], "is not a list of DeepfakeBench"),
        ("{", "is not valid JSON"),
    ],
)
def test_a_list_of_another_form_is_refused(tmp_path: Path, lists: object, words: str) -> None:
    write_lists(tmp_path, {"x.json": lists})
    with pytest.raises(BenchError, match=words) as caught:
        CORPORA["deepfakebench"]().read(CorpusRequest(names_tree(["D/v/0.png"]), lists=tmp_path))
    assert caught.value.hint
