"""Atomic writes: files are written whole or not at all; file-system errors get a hint."""

import errno
import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import save_file

from dancebench.core import files
from dancebench.core.errors import BenchError, replace_undecodable
from dancebench.core.files import (
    add_known_hashes,
    atomic_folder,
    atomic_path,
    explain_file_errors,
    explain_read_error,
    explain_write_errors,
    is_temporary,
    known_hashes,
    read_bytes,
    remember_sha256,
    remove_others,
    sha256_file,
    sha256_json,
    sha256_once,
    write_arrays,
    write_json,
    write_text,
)
from dancebench.core.nn.checkpoint import save_checkpoint
from dancebench.datasets.video.clips import write_clip


class InterruptedWriteError(Exception):
    """Represents anything that stops a writer half-way."""


def test_file_replaces_the_old_one_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "clip.mp4"
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(b"new")
        assert not path.exists()
        assert unfinished.suffix == ".mp4"  # encoders choose the container by it
        assert is_temporary(unfinished)
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["clip.mp4"]
    assert not is_temporary(path)


def test_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with suppress(InterruptedWriteError), atomic_path(path) as unfinished:
        unfinished.write_text("ne")
        raise InterruptedWriteError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_folder_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "subject"
    folder.mkdir()
    (folder / "stale.txt").write_text("stale")
    with atomic_folder(folder) as unfinished:
        (unfinished / "fresh.txt").write_text("fresh")
        assert (folder / "stale.txt").exists()
    assert [entry.name for entry in folder.iterdir()] == ["fresh.txt"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["subject"]


def test_interrupted_folder_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "subject"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    with suppress(InterruptedWriteError), atomic_folder(folder) as unfinished:
        (unfinished / "half.txt").write_text("ha")
        raise InterruptedWriteError
    assert [entry.name for entry in folder.iterdir()] == ["old.txt"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["subject"]


def test_files_left_by_a_killed_writer_do_not_enter_a_new_folder(tmp_path: Path) -> None:
    partial = tmp_path / f".partial-{os.getpid()}-subject"
    partial.mkdir()
    (partial / "half.txt").write_text("ha")
    with atomic_folder(tmp_path / "subject"):
        pass
    assert list((tmp_path / "subject").iterdir()) == []


def test_text_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "é\n–\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n\xe2\x80\x93\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_json_cannot_hold(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_closed_form_hashes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4's example
    assert sha256_file(tmp_path / "abc") == abc
    assert sha256_json({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of `{}`


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


def test_a_file_is_hashed_once(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "a"
    write_text(path, "old")
    assert sha256_once(path) == sha256_once(path) == sha256_file(path)
    assert reads == [path]


def test_a_file_that_was_changed_is_hashed_again(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    sha256_once(path)
    path.write_text("longer")
    assert sha256_once(path) == sha256_file(path)
    path.write_text("longed")  # as long
    os.utime(path, ns=(1, 1))
    assert sha256_once(path) == sha256_file(path)
    assert reads == [path] * 3


def test_a_file_that_was_replaced_is_hashed_again(tmp_path: Path, reads: list[Path]) -> None:
    """Even by one that is as long and as old."""
    path = tmp_path / "a"
    path.write_text("old")
    stat = path.stat()
    sha256_once(path)
    (tmp_path / "b").write_text("new")
    os.utime(tmp_path / "b", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "b").replace(path)
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert sha256_once(path) == sha256_file(path)
    assert reads == [path] * 2


def test_what_another_process_read_is_not_read_again_until_it_changes(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    sha256_once(path)
    found = known_hashes()
    files._hashes.clear()
    add_known_hashes(found)
    assert sha256_once(path) == sha256_file(path)
    assert reads == [path]
    path.write_text("longer")
    assert sha256_once(path) == sha256_file(path)
    assert reads == [path] * 2


def test_what_was_hashed_while_it_was_written_is_not_read_again_until_it_changes(
    tmp_path: Path, reads: list[Path]
) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    remember_sha256(path, sha256_file(path))
    assert sha256_once(path) == sha256_file(path)
    assert reads == []
    path.write_text("longer")
    assert sha256_once(path) == sha256_file(path)
    assert reads == [path]


def test_a_path_has_one_hash_however_it_is_written(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("old")
    assert sha256_once(Path("a")) == sha256_once(tmp_path / "a") == sha256_once(Path("./a"))
    assert len(reads) == 1


@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=5))
def test_json_hash_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    assert sha256_json(dict(reversed(value.items()))) == sha256_json(value)


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "permissions"), (errno.EROFS, "read-only")],
)
def test_file_system_errors_get_a_hint(number: int, hint: str) -> None:
    with pytest.raises(BenchError, match="Cannot write /somewhere") as caught, explain_write_errors():
        raise OSError(number, os.strerror(number), "/somewhere")
    assert caught.value.hint is not None
    assert hint in caught.value.hint


@contextmanager
def limit_file_size(size: int) -> Iterator[None]:
    """Let the system refuse to write more than `size` bytes into a file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_weights(path: Path) -> None:
    with atomic_path(path) as temporary:
        save_file({"a": np.zeros(100_000)}, temporary)


@pytest.mark.parametrize(
    "write",
    [
        write_weights,
        lambda path: write_arrays(path, a=np.random.default_rng(0).normal(size=100_000)),
        lambda path: write_text(path, "x" * 500_000),
        lambda path: write_clip(path, np.random.default_rng(0).integers(0, 255, (9, 256, 256, 3), np.uint8), 25.0),
        lambda path: save_checkpoint(path, {"a": torch.nn.Linear(1000, 100)}, {}, {}),
    ],
    ids=["weights", "arrays", "text", "clip", "checkpoint"],
)
def test_a_write_that_the_system_refuses_is_one_line_and_nothing_half_written(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "file.mp4"
    write_text(path, "before")
    with (
        limit_file_size(50_000),
        pytest.raises(BenchError, match=rf"^Cannot write {path}: File too large\.$") as caught,
    ):
        write(path)
    assert caught.value.hint
    assert {each.name: each.read_text() for each in path.parent.iterdir()} == {"file.mp4": "before"}


def test_errors_of_libraries_that_are_not_about_files_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(SafetensorError), atomic_path(tmp_path / "a"):
        raise SafetensorError("a header is wrong (os error 0)")


@pytest.mark.parametrize(
    "number",
    [errno.ENAMETOOLONG, errno.EISDIR, errno.ELOOP, errno.EFBIG, errno.EIO, errno.ESTALE, errno.ENOENT, errno.ENXIO],
)
def test_every_error_about_a_file_is_one_line_and_a_hint(number: int) -> None:
    with pytest.raises(BenchError, match="Cannot use /somewhere: ") as caught, explain_file_errors():
        raise OSError(number, os.strerror(number), b"/somewhere")
    assert caught.value.hint
    assert explain_read_error(Path("a"), OSError(number, os.strerror(number))).hint


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET, errno.ESRCH, None])
def test_errors_that_are_not_about_files_are_not_explained(number: int | None) -> None:
    with pytest.raises(OSError, match="text"), explain_file_errors():
        raise OSError(number, "text") if number else OSError("text")


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # reading it would never return
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "plain").write_bytes(b"1")
    assert read_bytes(tmp_path / "plain") == b"1"
    for name, words in (
        ("pipe", "not a regular file"), (".", "Is a directory"), ("loop", "symbolic links"),
        ("x" * 300, "name too long"), ("plain/x", "Not a directory"),
    ):  # fmt: skip
        with pytest.raises(BenchError, match=words) as caught:
            read_bytes(tmp_path / name)
        assert caught.value.hint
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none")


@given(st.binary(max_size=20))
def test_names_that_are_not_utf8_can_be_written(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")
    written = replace_undecodable(text).encode()
    assert (written == name) == (text == replace_undecodable(text))


def test_a_document_holds_names_that_are_not_utf8(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "caf\udce9.mp4"})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"name": "caf\N{REPLACEMENT CHARACTER}.mp4"}
    assert str(BenchError("caf\udce9.mp4")) == "caf\N{REPLACEMENT CHARACTER}.mp4"


def test_other_errors_of_the_system_pass_unchanged() -> None:
    with pytest.raises(FileNotFoundError), explain_write_errors():
        raise FileNotFoundError(errno.ENOENT, "missing", "/somewhere")


def test_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(BenchError, match="plain"):
        write_text(tmp_path / "plain" / "deep" / "a.txt", "text")


def test_a_sweep_removes_what_dead_processes_left_and_nothing_else(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = files._HOST
    left = [
        tmp_path / f".partial-{host}-{dead.pid}-a.json",
        tmp_path / "sub" / f".partial-{host}-{dead.pid}-folder" / "b",
    ]
    kept = [
        tmp_path / f".partial-{host}-{os.getpid()}-c.json",
        tmp_path / f".partial-elsewhere-{dead.pid}-d.json",
        tmp_path / "e.json",
    ]
    for path in (*left, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    files.sweep(tmp_path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)


def test_other_files_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("kept.md", "old.md", "other.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.md").mkdir()
    remove_others(tmp_path, "*.md", {"kept.md"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.md", "kept.md", "other.txt"]
    remove_others(tmp_path / "missing", "*", set())
