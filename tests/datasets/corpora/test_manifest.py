"""The video manifest: round trip and invalid input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dancebench.core.errors import BenchError
from dancebench.core.schema import NewerSchemaError
from dancebench.datasets.corpora.manifest import (
    Person,
    VideoRow,
    name_people,
    read_manifest,
    resolve_inside,
    write_manifest,
)


def row(video_id: str = "a/a/real", path: str = "reals/a.mp4") -> VideoRow:
    return VideoRow(
        video_id=video_id, path=path, sha256="0" * 64, label=0, split="train", people=name_people("a"),
        method=None, fps=25, n_frames=10, codec="h264", crf=18, width=64, height=128,
    )  # fmt: skip


def test_rows_are_read_as_written(tmp_path: Path) -> None:
    rows = [row(), row("b/b/fbf", "fakes/b.mp4")]
    write_manifest(tmp_path / "m.jsonl", rows)
    assert read_manifest(tmp_path / "m.jsonl") == rows


def test_a_row_of_an_earlier_release_does_not_state_its_pictures(tmp_path: Path) -> None:
    written = row().model_copy(update={"pictures": "drawn"})
    write_manifest(tmp_path / "m.jsonl", [written])
    assert read_manifest(tmp_path / "m.jsonl") == [written]
    earlier = written.model_dump(mode="json", exclude={"pictures"})
    (tmp_path / "m.jsonl").write_text(json.dumps(earlier))
    assert read_manifest(tmp_path / "m.jsonl") == [row()]
    (tmp_path / "m.jsonl").write_text(json.dumps(earlier | {"pictures": "painted"}))
    with pytest.raises(BenchError, match=":1 is not a row"):
        read_manifest(tmp_path / "m.jsonl")


VERSION_1 = (
    '{"video_id": "a/b/fbf", "path": "fakes/a.mp4", "sha256": "00", "label": 1, "split": "train", "subject_id": "a", '
    '"source_id": "b", "method": "fbf", "motion_sha256": null, "pictures": "drawn", "derived_from": null, "fps": 25.0, '
    '"n_frames": 10, "codec": "h264", "crf": 18, "width": 64, "height": 128, "perturbation": null}\n'
    '{"video_id": "a/a/real", "path": "reals/a.mp4", "sha256": "11", "label": 0, "split": "train", "subject_id": "a", '
    '"source_id": "a", "method": null, "fps": 25.0, "n_frames": 10, "codec": "h264", "crf": 18, "width": 64, '
    '"height": 128}\n'
)


def test_frozen_rows_of_the_first_version_are_upgraded(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(VERSION_1)
    fake, real = read_manifest(tmp_path / "m.jsonl")
    assert fake.people == (Person(id="a", role="target"), Person(id="b", role="driver"))
    assert (fake.subject_id, fake.source_id, fake.pictures, fake.status) == ("a", "b", "drawn", "decoded")
    assert real == row().model_copy(update={"sha256": "11"})
    assert (real.people, real.source_id) == ((Person(id="a", role="target"),), "a")
    write_manifest(tmp_path / "again.jsonl", [fake, real])
    assert read_manifest(tmp_path / "again.jsonl") == [fake, real]


def test_rows_of_the_second_version_started_from_nothing(tmp_path: Path) -> None:
    second = row().model_dump(mode="json", exclude={"ancestor"}) | {"schema_version": 2}
    (tmp_path / "m.jsonl").write_text(json.dumps(second))
    assert read_manifest(tmp_path / "m.jsonl") == [row()]
    assert row().ancestor is None


def test_a_row_of_a_later_release_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(json.dumps(row().model_dump(mode="json") | {"schema_version": 4}))
    with pytest.raises(NewerSchemaError, match=r":1 has schema version 4; this release reads up to 3") as caught:
        read_manifest(tmp_path / "m.jsonl")
    assert caught.value.hint


def test_a_video_of_unknown_people_is_counted_by_its_group(tmp_path: Path) -> None:
    fields = row().model_dump(mode="json") | {"people": [], "group": "clip7"}
    unknown = VideoRow.model_validate(fields)
    assert (unknown.identified, unknown.subject_id, unknown.source_id) == (False, "clip7", "clip7")
    assert row().identified
    (tmp_path / "m.jsonl").write_text(json.dumps(fields | {"group": None}))
    with pytest.raises(BenchError, match="not a row"):
        read_manifest(tmp_path / "m.jsonl")


def test_the_rate_of_images_without_a_clock_is_not_made_up() -> None:
    with pytest.raises(BenchError, match="a/a/real has no frame rate") as caught:
        _ = row().model_copy(update={"fps": None}).known_fps
    assert caught.value.hint
    assert row().known_fps == 25


@pytest.mark.parametrize("path", ["../out.mp4", "/etc/passwd", "a/../../out.mp4"])
def test_a_path_may_not_leave_the_folder(tmp_path: Path, path: str) -> None:
    write_manifest(tmp_path / "m.jsonl", [row(path=path)])
    with pytest.raises(BenchError, match="leaves the folder of its manifest"):
        read_manifest(tmp_path / "m.jsonl")


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    with pytest.raises(BenchError, match="leaves the folder"):
        resolve_inside(tmp_path / "in", "link/x.mp4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense\n", ":1 is not a row"),
        ('{"video_id": "a"}\n', ":1 is not a row"),
        ("[" * 100_000 + "\n", ":1 is not a row"),
        ("1" * 5000 + "\n", ":1 is not a row"),
        ("", "^$"),
    ],
)
def test_a_line_that_is_not_a_row_is_reported(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(text)
    if not text:
        assert read_manifest(path) == []
        return
    with pytest.raises(BenchError, match=message):
        read_manifest(path)


def test_a_repeated_video_id_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [row(), row()])
    with pytest.raises(BenchError, match=":2 repeats the video_id 'a/a/real'"):
        read_manifest(tmp_path / "m.jsonl")


def test_what_lies_in_the_place_of_a_manifest_is_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in ((".", "Is a directory"), ("pipe", "not a regular file"), ("x" * 300, "name too long")):
        with pytest.raises(BenchError, match=words) as caught:
            read_manifest(tmp_path / name)
        assert caught.value.hint


@pytest.mark.parametrize("path", ["x" * 300 + ".mp4", "a\0b.mp4", "loop/a.mp4"])
def test_a_path_that_no_file_system_takes_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(BenchError, match=r"cannot be a path|leaves the folder") as caught:
        resolve_inside(tmp_path, path)
    assert caught.value.hint


def test_a_missing_manifest_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="does not exist"):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fps", -25), ("fps", 0), ("fps", "NaN"), ("fps", "Infinity"), ("fps", 1e300), ("n_frames", -1),
        ("n_frames", 0),
        ("n_frames", 10**400), ("width", -1), ("width", 0), ("height", -64), ("height", 10**400), ("crf", 10**400),
    ],
)  # fmt: skip
def test_a_value_that_no_video_has_is_refused(field: str, value: object, tmp_path: Path) -> None:
    text = json.dumps(row().model_dump(mode="json") | {field: value}).replace(f'"{value}"', str(value))
    (tmp_path / "m.jsonl").write_text(text + "\n")
    with pytest.raises(BenchError, match=r"m\.jsonl:1 is not a row") as caught:
        read_manifest(tmp_path / "m.jsonl")
    assert caught.value.hint
