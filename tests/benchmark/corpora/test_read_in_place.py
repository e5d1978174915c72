"""`bench data corpus`: toy corpora and tables through the command, and everything that may go wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from corpora_toys import write_lists, write_tree
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.core.errors import BenchError
from dancebench.core.schema import NewerSchemaError
from dancebench.datasets.corpora.manifest import read_manifest
from dancebench.datasets.corpora.record import CorpusRecord
from dancebench.datasets.video.clips import stream, write_clip
from dancebench.detect.inputs.video_set import VideoSet

CELEBDF = [
    *(f"Celeb-real/id{k}_0000.mp4" for k in range(6)), *(f"YouTube-real/{k:05d}.mp4" for k in range(3)),
    *(f"Celeb-synthesis/id{a}_id{b}_0000.mp4" for a, b in ((0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4))),
]  # fmt: skip
LIST = "1 Celeb-real/id0_0000.mp4\n1 YouTube-real/00000.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def read(*arguments: str | Path) -> dict[str, Any]:
    """Run the command; the record that it prints."""
    result = bench("data", "corpus", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refusal(*arguments: str | Path) -> str:
    """The error and the hint, one line each; nothing is written."""
    result = bench("data", "corpus", *arguments)
    assert result.exit_code == 1, result.output
    error, hint = [line for line in result.stderr.splitlines() if line.startswith(("error: ", "hint: "))]
    assert hint.startswith("hint: ")
    return f"{error}\n{hint}"


@pytest.fixture(scope="module")
def celebdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_tree(tmp_path_factory.mktemp("corpora") / "Celeb-DF-v2", CELEBDF)
    write_lists(root, {"List_of_testing_videos.txt": LIST})
    (root / "notes.docx").write_text("mine")
    (root / "Celeb-synthesis" / "id9.mp4").write_text("no video of this layout")
    return root


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    monkeypatch.setenv("BENCH_WORKSPACE", str(folder))
    return folder


def list_files(folder: Path) -> dict[str, float]:
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*")}


# --- what comes out


def test_a_corpus_is_read_in_place_and_written_down(celebdf: Path, workspace: Path) -> None:
    before = list_files(celebdf)
    record = read("celebdf", celebdf)
    assert list_files(celebdf) == before
    assert not list(workspace.rglob("*.mp4"))
    assert (record["root"], record["layout"], record["version"]) == (str(celebdf.resolve()), "celebdf", "1")
    assert record["not_understood"] == ["Celeb-synthesis/id9.mp4", "notes.docx"]
    assert (record["n_videos"], record["n_people"], record["n_groups"]) == (15, 9, 6)
    assert record["terms"]["form"].startswith("https://")
    assert set(record["splits"]) == {"official", "person-disjoint"}
    official, disjoint = record["splits"]["official"], record["splits"]["person-disjoint"]
    assert official["person_disjoint"] is False
    assert [leak.split("'")[1] for leak in official["leaks"]] == ["celebdf/id1", "celebdf/id0"]
    assert (disjoint["leaks"], disjoint["left_out"], disjoint["person_disjoint"]) == ([], {}, True)
    videos = VideoSet.open(workspace / "corpora" / "celebdf" / "manifest.jsonl")
    assert [len(videos.split(side)) for side in ("train", "validation", "holdout")] == [12, 0, 3]
    for row in videos:
        assert videos.path(row).is_file()
        assert (row.status, row.n_frames, row.fps, row.width, row.sha256) == ("claimed", 3, 25, 32, None)
    assert CorpusRecord.load(workspace / "corpora" / "celebdf" / "corpus.json").model_dump(mode="json") == record


def test_what_is_printed_names_terms_lists_leaks_and_files(celebdf: Path, workspace: Path) -> None:
    result = bench("data", "corpus", "celebdf", celebdf, "--split", "person-disjoint")
    assert result.exit_code == 0, result.output
    for words in (
        "research only", "form: https", "list List_of_testing_videos.txt: SHA-256", "files that are not understood: 2",
        "leak audit: 2: The person 'celebdf/id1' is in", "split person-disjoint (in the manifest)",
        "people: 9, in 6 groups",
    ):  # fmt: skip
        assert words in result.stdout
    listed = json.loads(bench("list", "corpora", "--json").stdout)
    here = {row["corpus"]: row["here"] for row in listed}
    assert here["celebdf"] == ["celebdf"]
    assert set(here) >= {
        "ffpp", "dfd", "celebdf", "dfdc", "dfdcp", "fakeavceleb", "genvideo", "synthforensics", "deepfakebench",
        "frames", "csv", "celebdfpp", "deeperforensics",
    }  # fmt: skip
    assert {row["from"] for row in listed} == {"built in"}


def test_the_same_seed_gives_the_same_manifest_and_a_second_reading_opens_nothing(
    celebdf: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read("celebdf", celebdf, "--split", "person-disjoint", "--seed", "3")
    opened: list[Path] = []
    monkeypatch.setattr("dancebench.datasets.corpora.file_facts.read_header", opened.append)
    assert read("celebdf", celebdf, "--split", "person-disjoint", "--seed", "3") == first
    assert opened == []


def test_deep_reading_hashes_decodes_and_compares_frames(celebdf: Path, workspace: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(celebdf, tmp_path / "copy"))
    shutil.copyfile(copy / "YouTube-real" / "00001.mp4", copy / "YouTube-real" / "00002.mp4")  # one recording twice
    record = read("celebdf", copy, "--deep", "--split", "person-disjoint")
    assert record["deep"]
    [found] = record["near_duplicates"]
    assert "YouTube-real/00001 and YouTube-real/00002 show near-duplicate frames" in found
    rows = read_manifest(workspace / "corpora" / "celebdf" / "manifest.jsonl", copy)
    assert {(row.status, row.n_frames) for row in rows} == {("decoded", 3)}
    assert len({row.sha256 for row in rows}) == 14
    assert not read("celebdf", copy)["deep"]  # what is known is kept, what was not asked for is not claimed
    assert len({row.sha256 for row in read_manifest(workspace / "corpora" / "celebdf" / "manifest.jsonl", copy)}) == 14


def test_a_file_that_cannot_be_read_is_a_row_with_its_reason(celebdf: Path, workspace: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(celebdf, tmp_path / "copy"))
    (copy / "YouTube-real" / "00001.mp4").write_bytes(b"no video")
    record = read("celebdf", copy)
    assert list(record["unreadable"]) == ["YouTube-real/00001"]
    assert "not a video" in record["unreadable"]["YouTube-real/00001"]
    rows = {row.video_id: row for row in read_manifest(workspace / "corpora" / "celebdf" / "manifest.jsonl", copy)}
    assert rows["YouTube-real/00001"].status == "unreadable"
    assert rows["YouTube-real/00001"].n_frames is None


def test_reals_of_another_root_are_rows_below_the_folder_of_both(workspace: Path, tmp_path: Path) -> None:
    deeper = write_tree(
        tmp_path / "data" / "DF1",
        ["manipulated_videos/end_to_end/000_M001.mp4", "manipulated_videos/reenact_postprocess/000_M001.mp4"],
    )
    ffpp = write_tree(tmp_path / "data" / "FF", ["original_sequences/youtube/c23/videos/000.mp4"], seed=1)
    record = read("deeperforensics", deeper, "--reals", ffpp)
    assert record["read_from"] == str(deeper.resolve())
    assert record["root"] == str((tmp_path / "data").resolve())
    videos = VideoSet.open(workspace / "corpora" / "deeperforensics" / "manifest.jsonl")
    assert sorted(row.path.split("/")[0] for row in videos) == ["DF1", "DF1", "FF"]
    assert all(videos.path(row).is_file() for row in videos)
    assert record["without_real"] == []
    assert read("deeperforensics", deeper)["without_real"] == ["end_to_end/000_M001", "reenact_postprocess/000_M001"]


def test_a_folder_of_frames_of_unknown_rate_says_nothing_of_people(workspace: Path, tmp_path: Path) -> None:
    names = [f"{kind}/{kind}{v}/{k:03d}.png" for kind in ("real", "fake") for v in range(4) for k in range(2)]
    record = read("frames", write_tree(tmp_path / "frames", names), "--deep")
    assert record["splits"]["group-disjoint"]["person_disjoint"] is None
    assert (record["n_identified"], record["n_people"], record["unreadable"]) == (0, 0, {})
    rows = read_manifest(workspace / "corpora" / "frames" / "manifest.jsonl", tmp_path / "frames")
    assert {(row.n_frames, row.fps, row.codec, row.status, row.identified) for row in rows} == {
        (2, None, "png", "decoded", False)
    }
    videos = VideoSet.open(workspace / "corpora" / "frames" / "manifest.jsonl")
    assert all(videos.path(row).is_dir() for row in videos)
    (videos.path(videos.rows[0]) / "000.png").write_bytes(b"another")
    with pytest.raises(BenchError, match="was changed after the manifest was written"):
        VideoSet.open(workspace / "corpora" / "frames" / "manifest.jsonl").path(videos.rows[0])
    assert "Nobody knows who is seen" in refusal("frames", tmp_path / "frames", "--split", "person-disjoint")


# --- what is refused


def test_a_root_of_another_corpus_is_named(celebdf: Path, workspace: Path, tmp_path: Path) -> None:
    assert "It looks like 'celebdf' (15 files)" in refusal("ffpp", celebdf)
    assert "holds no video of the layout 'dfdc'" in refusal("dfdc", tmp_path)
    assert "is not a folder" in refusal("ffpp", tmp_path / "gone")
    assert "Did you mean 'celebdf'" in refusal("celebd", celebdf)
    assert not list(workspace.glob("corpora/*/corpus.json"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--polarity", "fake=1"), "--polarity has no effect on the layout 'celebdf'"),
        (("--fps", "5"), "--fps has no effect"),
        (("--split", "group-disjoint"), "It has official and person-disjoint"),
        (("--split", "random"), "Unknown split 'random'"),
        (("--polarity", "1"), "is not a polarity"),
        (("--label", "true"), "is not a label"),
        (("--name", "a/b"), "cannot be the name of a corpus"),
        (("--list", "/nowhere/List_of_testing_videos.txt"), "does not exist"),
    ],
)
def test_options_that_do_not_apply_are_refused(
    celebdf: Path, workspace: Path, options: tuple[str, str], words: str
) -> None:
    assert words in refusal("celebdf", celebdf, *options)


def test_a_list_of_the_other_polarity_leaves_the_earlier_reading(
    celebdf: Path, workspace: Path, tmp_path: Path
) -> None:
    read("celebdf", celebdf)
    kept = list_files(workspace / "corpora" / "celebdf")
    swapped = LIST.replace("1 ", "X ").replace("0 ", "1 ").replace("X ", "0 ")
    write_lists(tmp_path, {"List_of_testing_videos.txt": swapped})
    assert "are the opposite" in refusal("celebdf", celebdf, "--list", tmp_path)
    assert list_files(workspace / "corpora" / "celebdf") == kept


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a.mp4,real,p,train", "a.mp4,real,p,test"], "a is in two splits: train and test"),
        (["a.mp4,real,p,train", "a.mp4,real,p,train"], "a is listed twice"),
    ],
)
def test_a_video_in_two_splits_is_named(workspace: Path, tmp_path: Path, lines: list[str], words: str) -> None:
    root = write_tree(tmp_path / "clips", ["a.mp4"])
    write_lists(root, {"t.csv": "\n".join(["path,label,people,split", *lines])})
    assert words in refusal("csv", root)


def test_people_in_two_splits_and_classes_that_are_not_there_are_told(workspace: Path, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "clips", ["a.mp4", "b.mp4"])
    write_lists(root, {"t.csv": "path,label,people,split\na.mp4,real,p,train\nb.mp4,real,p,test\n"})
    record = read("csv", root)
    assert record["splits"]["official"]["leaks"] == ["The person 'p' is in a (train) and b (holdout)"]
    assert record["problems"] == ["There is no fake."]
    assert "holdout has no fakes" in record["splits"]["official"]["lacks"]


def test_a_table_names_the_videos_whose_bytes_are_others(workspace: Path, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "clips", ["a.mp4"])
    write_lists(root, {"t.csv": f"path,label,sha256\na.mp4,real,{'0' * 64}\n"})
    assert read("csv", root)["problems"] == ["There is no fake."]
    problems = read("csv", root, "--deep")["problems"]
    assert "the list says 000000000000…" in problems[1]


def test_a_second_corpus_needs_a_name_of_its_own(celebdf: Path, workspace: Path, tmp_path: Path) -> None:
    read("celebdf", celebdf)
    copy = Path(shutil.copytree(celebdf, tmp_path / "copy"))
    assert "There is a corpus 'celebdf' of another folder" in refusal("celebdf", copy)
    assert read("celebdf", copy, "--name", "other")["name"] == "other"
    assert json.loads((workspace / "corpora" / "celebdf" / "corpus.json").read_text())["root"] == str(celebdf.resolve())


def test_a_crop_is_the_video_and_one_outside_of_the_picture_cannot_be_read(workspace: Path, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "clips", ["a.mp4", "b.mp4"])
    grid = [np.full((32, 64, 3), 90, np.uint8) for _ in range(3)]
    for frame, (_, right) in zip(grid, stream(root / "b.mp4"), strict=True):
        frame[:, 32:] = right
    write_clip(root / "grid.mp4", grid, 25.0)
    table = 'path,label,crop\na.mp4,real,\nb.mp4,real,\ngrid.mp4,fake,"32,0,32,32"\ngrid.mp4,real,"0,0,65,32"\n'
    write_lists(root, {"t.csv": table})
    record = read("csv", root, "--deep")
    [found] = record["near_duplicates"]  # the whole grid would not be like the clip
    assert found.startswith("b and grid#32,0,32,32 show near-duplicate frames")
    assert record["unreadable"] == {"grid#0,0,65,32": "its crop lies outside of the picture (64x32, width x height)."}
    rows = {row.video_id: row for row in read_manifest(workspace / "corpora" / "csv" / "manifest.jsonl", root)}
    assert (rows["grid#32,0,32,32"].width, rows["grid#32,0,32,32"].height) == (32, 32)


def test_links_in_a_circle_and_names_that_are_no_text_do_no_harm(workspace: Path, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "clips", ["Celeb-real/id0_0000.mp4"])
    (root / "Celeb-real" / "up").symlink_to(root)
    (root / os.fsdecode(b"\xff.mp4")).write_bytes(b"")
    assert read("celebdf", root)["not_understood"] == ["\N{REPLACEMENT CHARACTER}.mp4"]
    outside = write_tree(tmp_path / "outside", ["id1_0000.mp4"])
    (root / "Celeb-real" / "id1_0000.mp4").symlink_to(outside / "id1_0000.mp4")
    assert "leaves the folder" in refusal("celebdf", root)


def test_a_record_of_a_later_release_is_not_overwritten_unseen(celebdf: Path, workspace: Path) -> None:
    read("celebdf", celebdf)
    files = workspace / "corpora" / "celebdf" / "files.json"
    files.write_text(json.dumps(json.loads(files.read_text()) | {"schema_version": 9}))
    assert "schema version 9" in refusal("celebdf", celebdf)
    record = workspace / "corpora" / "celebdf" / "corpus.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"schema_version": 9}))
    with pytest.raises(NewerSchemaError):
        VideoSet.open(workspace / "corpora" / "celebdf" / "manifest.jsonl")
