"""A set of videos: a manifest in memory, whose files are compared with its hashes once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core import files
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import (
    PictureKind,
    Split,
    VideoRow,
    name_people,
    read_manifest,
    write_manifest,
)
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.records import (
    FIRST_POSE_SOURCE,
    DatasetRecord,
    DrawnSource,
    FileSource,
    PrepareConfig,
    SubjectEntry,
)
from dancebench.detect.inputs.video_set import VideoSet

BASE = VideoRow(
    video_id="a/a/real", path="a.mp4", sha256="1" * 64, label=0, split="train", people=name_people("a"),
    method=None, fps=25, n_frames=20, codec="h264", crf=18, width=32, height=64,
)  # fmt: skip


def refusal(caught: pytest.ExceptionInfo[BenchError]) -> str:
    """The message of an error, after a check that it is one line and that its hint says what to do."""
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value.message


@pytest.fixture
def two(tmp_path: Path, clips: SimpleNamespace) -> VideoSet:
    """A real of a training person and a fake of a held-out one, which a test may change."""
    rows = [
        clips.add_video(tmp_path, 0, "train", 0, clips.real_frames(0, n_frames=3)),
        clips.add_video(tmp_path, 1, "holdout", 1, clips.fake_frames(1, n_frames=3)),
    ]
    return VideoSet(tmp_path, tuple(rows))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read for their hash, by a process that knows none yet."""
    read: list[Path] = []

    def count(path: Path) -> str:
        read.append(path)
        return sha256_file(path)

    monkeypatch.setattr(files, "_hashes", {})
    monkeypatch.setattr(files, "sha256_file", count)
    return read


# --- closed form


def test_closed_form_a_manifest_is_opened_in_its_order(videos: VideoSet, manifest: Path) -> None:
    assert list(videos) == list(videos.rows) == read_manifest(manifest)
    assert (len(videos), videos.root) == (26, manifest.parent)
    assert videos.methods == {"blur"}


def test_closed_form_a_split_holds_its_people(videos: VideoSet) -> None:
    assert {row.subject_id for row in videos.split("validation")} == {"s06", "s07", "s08"}
    assert [len(videos.split(name)) for name in get_args(Split)] == [12, 6, 8]
    assert videos.split("holdout", "train").rows == tuple(row for row in videos if row.split != "validation")
    assert videos.split().rows == ()


def test_closed_form_reals_have_no_method(videos: VideoSet) -> None:
    reals = videos.select(lambda row: row.label == 0)
    assert (len(reals), reals.root, reals.methods) == (13, videos.root, frozenset())


def test_closed_form_a_path_lies_under_the_root(videos: VideoSet) -> None:
    for row in videos:
        assert videos.path(row) == (videos.root / row.path).resolve()


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["drawn", "drawn"], ("drawn",)),
        (["camera", "drawn"], ("camera", "drawn")),
        ([None, "camera"], ("camera",)),
        ([None, "drawn"], ()),  # the other may be camera footage
        ([None], ()),
        ([], ()),
    ],
)
def test_closed_form_the_kinds_of_pictures_are_those_of_the_reals(
    kinds: list[PictureKind | None], expected: tuple[PictureKind, ...]
) -> None:
    fake = BASE.model_copy(update={"label": 1, "method": "fbf", "pictures": "camera"})
    rows = [BASE.model_copy(update={"video_id": f"{number}", "pictures": kind}) for number, kind in enumerate(kinds)]
    assert VideoSet(Path("x"), (*rows, fake)).real_pictures == expected


def test_rows_of_an_earlier_release_have_the_pictures_that_their_dataset_states(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path).open()
    sources = {"a": DrawnSource(generator_version=1, seed=1, n_frames=9), "b": FileSource(name="b", sha256="0" * 64)}
    subjects = tuple(SubjectEntry(id=name, role="train", source=source) for name, source in sources.items())
    record = DatasetRecord(name="d", licence="MIT", prepare=PrepareConfig(), poses=FIRST_POSE_SOURCE, subjects=subjects)
    Dataset.create(workspace, record)
    paths = {
        ("a", workspace.real("d", "a", 64)): "drawn",
        ("a", workspace.fake("fbf", "d", "a", "tiny-s0", source="b")): "drawn",
        ("b", workspace.real("d", "b", 64)): "camera",
        ("c", workspace.real("d", "c", 64)): None,  # the dataset does not list it
        ("b", workspace.real("gone", "b", 64)): None,
        ("b", workspace.root / "elsewhere" / "b.mp4"): None,
    }
    rows = [
        BASE.model_copy(
            update={"video_id": f"{n}", "people": name_people(subject), "path": str(path.relative_to(tmp_path))}
        )
        for n, (subject, path) in enumerate(paths)
    ]
    write_manifest(workspace.manifest("run"), rows)
    opened = VideoSet.open(workspace.manifest("run"))
    assert [row.pictures for row in opened] == list(paths.values())
    assert opened.sha256 == VideoSet(tmp_path, tuple(rows)).sha256  # what was described is not described again
    write_manifest(workspace.manifest("run"), [row.model_copy(update={"pictures": "drawn"}) for row in rows])
    assert {row.pictures for row in VideoSet.open(workspace.manifest("run"))} == {"drawn"}  # what is stated holds


# --- laws

rows_of_any_split = st.lists(
    st.builds(
        lambda number, split, method: BASE.model_copy(
            update={"video_id": f"{number}", "split": split, "method": method, "label": int(method is not None)}
        ),
        st.integers(0, 99),
        st.sampled_from(get_args(Split)),
        st.sampled_from([None, "fbf", "nearest"]),
    ),
    max_size=8,
)


@given(rows_of_any_split)
def test_splits_part_a_set_and_keep_its_order(rows: list[VideoRow]) -> None:
    videos = VideoSet(Path("x"), tuple(rows))
    parts = [videos.split(name) for name in get_args(Split)]
    assert sum(map(len, parts)) == len(videos)
    assert videos.split(*get_args(Split)) == videos
    assert frozenset[str]().union(*(part.methods for part in parts)) == videos.methods
    for part, name in zip(parts, get_args(Split), strict=True):
        assert list(part) == [row for row in rows if row.split == name]
        assert part.split(name) == part


@given(rows_of_any_split, rows_of_any_split)
def test_the_hash_is_that_of_the_rows_alone(rows: list[VideoRow], others: list[VideoRow]) -> None:
    videos = VideoSet(Path("x"), tuple(rows))
    assert videos.sha256 == VideoSet(Path("elsewhere"), tuple(rows)).sha256
    assert (videos.sha256 == VideoSet(Path("x"), tuple(others)).sha256) == (rows == others)


def test_a_set_that_was_written_is_read_as_the_same(two: VideoSet, tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", two)
    again = VideoSet.open(tmp_path / "m.jsonl")
    assert again == two
    assert again.sha256 == two.sha256


# --- a manifest of a workspace


def moved_into(workspace: Workspace, two: VideoSet) -> Path:
    """The videos in a folder of the workspace, and the manifest of a run on them."""
    rows = [row.model_copy(update={"path": f"fakes/{row.path}"}) for row in two]
    (workspace.root / "fakes").mkdir(parents=True)
    for row in two:
        shutil.copy(two.path(row), workspace.root / "fakes" / row.path)
    write_manifest(workspace.manifest("run-1"), rows)
    return workspace.manifest("run-1")


def test_a_manifest_of_a_workspace_is_relative_to_the_workspace(two: VideoSet, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w").open()
    path = moved_into(workspace, two)
    assert path == workspace.root / "manifests" / "run-1.jsonl"
    videos = VideoSet.open(path)
    assert videos.root == workspace.root
    assert [videos.path(row).parent for row in videos] == [(workspace.root / "fakes").resolve()] * 2


@pytest.mark.parametrize("where", [".", "w", "w/manifests"])
def test_it_is_found_from_any_folder(
    two: VideoSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    path = moved_into(Workspace(tmp_path / "w").open(), two)
    monkeypatch.chdir(tmp_path / where)
    videos = VideoSet.open(Path(os.path.relpath(path)))
    assert [videos.path(row).name for row in videos] == ["s00-real.mp4", "s01-blur.mp4"]


def test_a_folder_of_that_name_without_a_workspace_is_its_own_root(two: VideoSet, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    write_manifest(folder / "m.jsonl", [row.model_copy(update={"path": f"v/{row.path}"}) for row in two])
    assert VideoSet.open(folder / "m.jsonl").root == folder


def test_a_workspace_that_is_called_manifests_is_its_own_root(two: VideoSet, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "manifests").open()
    write_manifest(workspace.root / "m.jsonl", two)
    assert VideoSet.open(workspace.root / "m.jsonl").root == workspace.root


def test_a_manifest_of_an_earlier_release_is_found_at_the_root_until_there_is_a_newer(
    two: VideoSet, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path).open()
    earlier = tmp_path / "run-1.manifest.jsonl"
    write_manifest(earlier, two)
    assert workspace.manifest("run-1") == earlier
    assert VideoSet.open(earlier) == two
    write_manifest(tmp_path / "manifests" / "run-1.jsonl", two)
    assert workspace.manifest("run-1") == tmp_path / "manifests" / "run-1.jsonl"


# --- hashes


def test_a_file_is_hashed_once(two: VideoSet, reads: list[Path]) -> None:
    for _ in range(3):
        for row in two.split("train"):
            two.path(row)
    assert reads == [(two.root / "s00-real.mp4").resolve()]


def test_sets_of_the_same_files_share_their_hashes(two: VideoSet, reads: list[Path]) -> None:
    two.hash_files()
    for part in (two, two.split("holdout"), VideoSet(two.root, two.rows)):
        part.hash_files()
        for row in part:
            part.path(row)
    assert len(reads) == len(set(reads)) == 2


def test_a_file_that_was_changed_is_hashed_again_and_refused(two: VideoSet, reads: list[Path]) -> None:
    row = two.rows[0]
    path = two.path(row)
    whole = path.read_bytes()
    path.write_bytes(whole + b"x")
    with pytest.raises(BenchError, match="was changed after the manifest was written"):
        two.path(row)
    path.write_bytes(whole)
    os.utime(path, ns=(1, 1))
    assert two.path(row) == path
    assert reads == [path] * 3


def test_a_file_that_was_replaced_is_hashed_again_and_refused(two: VideoSet, reads: list[Path]) -> None:
    """Even by one that is as long and as old."""
    row = two.rows[0]
    path = two.path(row)
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    other = path.with_name("other.mp4")
    other.write_bytes(data)
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)
    with pytest.raises(BenchError, match="was changed after the manifest was written"):
        two.path(row)
    assert reads == [path] * 2


def test_hashing_ahead_passes_over_what_is_missing(two: VideoSet, reads: list[Path]) -> None:
    (two.root / two.rows[0].path).unlink()
    two.hash_files()
    assert [path.name for path in reads] == ["s01-blur.mp4"]


# --- bad input


def test_a_missing_video_is_one_line_with_a_hint(two: VideoSet) -> None:
    row = two.rows[1]
    path = two.path(row)
    path.unlink()
    with pytest.raises(BenchError) as caught:
        two.path(row)
    assert refusal(caught) == f"s01/s01/blur: {path} does not exist."
    path.mkdir()  # nor is a folder a video
    with pytest.raises(BenchError, match="does not exist"):
        two.path(row)


def test_a_changed_video_is_one_line_with_a_hint(two: VideoSet) -> None:
    row = two.rows[1]
    path = two.path(row)
    path.write_bytes(b"torn")
    with pytest.raises(BenchError) as caught:
        two.path(row)
    assert refusal(caught) == f"s01/s01/blur: {path} was changed after the manifest was written."


@pytest.mark.parametrize("path", ["../out.mp4", "/etc/passwd", "a/../../out.mp4"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    leaving = VideoSet(tmp_path / "in", (BASE.model_copy(update={"path": path}),))
    write_manifest(tmp_path / "in" / "m.jsonl", leaving)
    for use in (lambda: VideoSet.open(tmp_path / "in" / "m.jsonl"), lambda: leaving.path(leaving.rows[0])):
        with pytest.raises(BenchError) as caught:
            use()
        assert "leaves the folder of its manifest" in refusal(caught)
    with pytest.raises(BenchError, match="leaves the folder"):
        leaving.hash_files()


def test_a_path_that_leaves_the_workspace_is_refused(two: VideoSet, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w").open()
    write_manifest(workspace.manifest("run-1"), [two.rows[0].model_copy(update={"path": "../s00-real.mp4"})])
    with pytest.raises(BenchError, match="leaves the folder"):
        VideoSet.open(workspace.manifest("run-1"))


def test_a_missing_manifest_is_one_line_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(BenchError) as caught:
        VideoSet.open(tmp_path / "m.jsonl")
    assert "m.jsonl does not exist" in refusal(caught)
