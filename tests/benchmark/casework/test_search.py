"""Search for videos: whatever their names, through links, and with word of what is passed over."""

from __future__ import annotations

import glob
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outside_files import moving, write_sound, write_video

from dancebench.benchmark.casework.search import _matches, explain_passing_over, find_files, summarise_passed_over
from dancebench.core.opencv import cv2
from dancebench.detect.casework.file_names import make_passed_over


def find(*names: Path | str, image_folders: bool = False) -> list[Path]:
    return list(find_files([str(name) for name in names], image_folders=image_folders).paths)


def touch(root: Path, *names: str) -> list[Path]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [root / name for name in names]


# --- files


def test_folders_and_patterns_lead_to_their_files_each_once(tmp_path: Path) -> None:
    everything = touch(tmp_path, "a.MOV", "b.mp4", "carved", "deep/c.webm", "notes.txt")
    touch(tmp_path, ".partial-7-d.mp4")
    search = find_files([str(tmp_path)])
    assert list(search.paths) == everything
    assert search.searched == frozenset(everything)
    assert [(each.path, each.reason) for each in search.passed_over] == [
        (str(tmp_path / ".partial-7-d.mp4"), "an unfinished write of another command")
    ]
    assert find(tmp_path / "*.mp4", tmp_path) == [everything[1], everything[0], *everything[2:]]
    assert find(tmp_path / "*.avi") == [tmp_path / "*.avi"]
    (odd,) = touch(tmp_path, "take[1].mp4")  # a name that is also a pattern
    assert find(odd) == [odd]
    assert find_files([str(odd)]).searched == frozenset()


@pytest.mark.parametrize("name", ["x" * 300, "\udce9" * 10, "none/" * 50 + "a"])
def test_a_name_that_cannot_exist_stays_one_path(name: str) -> None:
    assert find(name) == [Path(name)]


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("a.MTS", "mpegts"), ("a.m2ts", "mpegts"), ("a.3gp", "3gp"), ("a.wmv", "asf"), ("a.flv", "flv"),
        ("a.vob", "mpeg"), ("a.ogv", "ogg"), ("a.m4v", "mp4"), ("carved", "matroska"), ("f0001.dat", "avi"),
        ("a.txt", "mp4"), ("a.jpg", "mov"),
    ],
)  # fmt: skip
def test_what_opens_as_a_video_is_one_whatever_its_name(name: str, container: str, tmp_path: Path) -> None:
    plain = {"asf": "a.asf", "ogg": "a.ogg", "mpeg": "a.mpg", "mpegts": "a.ts", "matroska": "a.mkv"}
    codec = {"ogg": "libvpx", "asf": "msmpeg4v2", "mpeg": "mpeg2video", "flv": "flv"}.get(container, "mpeg4")
    made = write_video(tmp_path / plain.get(container, f"a.{container}"), moving(5), codec=codec)
    video = made.rename(tmp_path / name)
    assert explain_passing_over(video) is None


def test_what_is_no_video_is_passed_over_with_its_reason(tmp_path: Path) -> None:
    for name, content in (("notes.txt", b"Dear reader" * 99), ("empty", b""), ("noise.bin", bytes(range(256)) * 40)):
        (tmp_path / name).write_bytes(content)
    assert cv2.imwrite(str(tmp_path / "a.png"), moving(1)[0])
    assert explain_passing_over(tmp_path / "notes.txt") == explain_passing_over(tmp_path / "noise.bin") == "no video"
    assert explain_passing_over(tmp_path / "empty") == "empty"
    assert explain_passing_over(tmp_path / "a.png") == "a single picture"
    assert explain_passing_over(write_sound(tmp_path / "a.m4a")) == "sound only"


def test_a_damaged_video_is_a_row_and_not_passed_over(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", moving(20)).read_bytes()
    (tmp_path / "carved").write_bytes(whole[: len(whole) // 2])  # its index is at the end, and lost
    (tmp_path / "b.MTS").write_bytes(b"nothing")
    assert explain_passing_over(tmp_path / "carved") is None
    assert explain_passing_over(tmp_path / "b.MTS") is None


# --- links


def test_links_are_followed_and_each_folder_is_searched_once(tmp_path: Path) -> None:
    top, elsewhere = tmp_path / "top", tmp_path / "elsewhere"
    inside = touch(top, "a.mp4", "z/b.mp4")
    touch(elsewhere, "deep/c.mp4")
    (elsewhere / "back").symlink_to(top)  # a circle
    (top / "linked").symlink_to(elsewhere)
    (top / "again").symlink_to(top / "z")  # sorts before the folder itself, which is reached by its own path
    (top / "self").symlink_to(top)
    search = find_files([str(top)])
    assert list(search.paths) == sorted([*inside, top / "linked/deep/c.mp4"])
    assert {each.path for each in search.passed_over} == {str(top / name) for name in ("again", "self", "linked/back")}
    assert {each.reason for each in search.passed_over} == {"a link to a folder that is searched already"}


def test_what_is_neither_file_nor_folder_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.mp4")
    Path("loop.mp4").symlink_to("loop.mp4")
    Path("broken.mp4").symlink_to("gone.mp4")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.mp4")
        search = find_files(["."])
    assert list(search.paths) == []
    reasons = {each.path: each.reason for each in search.passed_over}
    assert reasons["pipe.mp4"] == reasons["socket.mp4"] == "neither a file nor a folder"
    assert reasons["loop.mp4"].startswith("a link that leads nowhere")
    assert reasons["broken.mp4"].startswith("a link that leads nowhere")


def test_a_folder_that_cannot_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "locked/a.mp4", "open/b.mp4")
    listed = os.listdir

    def refuse(path: Path) -> list[str]:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "listdir", refuse)
    for name in (tmp_path, tmp_path / "**/*.mp4"):
        search = find_files([str(name)])
        assert list(search.paths) == [tmp_path / "open/b.mp4"]
        assert [(Path(each.path).name, each.reason) for each in search.passed_over] == [
            ("locked", "a folder that cannot be read: Permission denied")
        ]


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (reason,) = (each.reason for each in find_files([str(tmp_path)]).passed_over)
    assert reason == "a folder without files"


# --- patterns


def test_a_pattern_of_any_depth_returns_where_links_are_looped(tmp_path: Path) -> None:
    deep = touch(tmp_path, "a.mp4", "one/b.mp4", "one/two/c.txt")
    for number in range(8):  # glob would go through 8 ** 40 paths
        (tmp_path / f"link{number}").symlink_to(tmp_path)
    assert find(tmp_path / "**" / "*.mp4") == deep[:2]
    assert find(tmp_path / "**") == deep
    assert find(tmp_path / "**/two") == [deep[2]]
    assert find(tmp_path / "**/*.avi") == [tmp_path / "**/*.avi"]


NAMES = st.lists(st.sampled_from(["a", "b.mp4", ".h", "c1"]), min_size=1, max_size=3)
PATTERNS = st.lists(st.sampled_from(["**", "*", "a", "*.mp4", ".*", "[ac]*", "?1"]), min_size=1, max_size=4).filter(
    lambda parts: parts[-1] != "**"  # matches folders
)


@given(NAMES, PATTERNS)
@settings(max_examples=150)
def test_foreign_reference_patterns_match_as_with_glob(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], pattern: list[str]
) -> None:
    root = tmp_path_factory.mktemp("p")
    path = root.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    matched = {Path(name) for name in glob.glob(str(root.joinpath(*pattern)), recursive=True)}
    assert _matches(parts, pattern) == (path in matched)


# --- folders of images


def test_a_folder_of_images_is_a_clip_where_asked_for(tmp_path: Path) -> None:
    images = touch(tmp_path, "f/1.png", "f/2.png", "one/1.png")
    video, letter = touch(tmp_path, "f/v.mp4", "f/letter.txt")
    assert set(find(tmp_path)) == {*images, video, letter}
    assert find(tmp_path, image_folders=True) == [tmp_path / "f", letter, video, images[2]]
    assert find(tmp_path / "f", image_folders=True)[0] == tmp_path / "f"


def test_what_is_passed_over_is_counted_and_named(tmp_path: Path) -> None:
    over = [make_passed_over(tmp_path / f"{n}.png", "a single picture") for n in range(7)]
    over.append(make_passed_over(tmp_path / "a.txt", "no video"))
    first, second, word = summarise_passed_over(over)
    assert first.startswith("passed over (a single picture): 7: ")
    assert first.endswith("4.png and 2 more")
    assert second == f"passed over (no video): 1: {tmp_path / 'a.txt'}"
    assert "--frames-per-second" in word
    assert summarise_passed_over([]) == []
