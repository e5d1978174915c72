"""Atomic writes (a file or folder is written whole or not at all), locks and hashes."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import platform
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, overload

import filelock
import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError, first_line, replace_undecodable

Number = TypeVar("Number", bound=np.generic)

_TEMPORARY = ".partial-"
_MAX_ARRAY = 2**30
"""Bytes of arrays that are unpacked; poses of a day at 10 frames per second."""
_HOST = re.sub(r"[^A-Za-z0-9]", "", platform.node()) or "host"
_TEMPORARY_PREFIX = re.compile(rf"{re.escape(_TEMPORARY)}{_HOST}-\d+-")
_RUST_ERRNO = re.compile(r"\(os error (\d+)\)")
_HINTS = {
    errno.ENOSPC: "The disk is full: free some space or choose another --workspace.",
    errno.EDQUOT: "Your disk quota is used up: free some space or choose another --workspace.",
    errno.EACCES: "You may not write there: choose another --workspace or change its permissions.",
    errno.EPERM: "You may not write there: choose another --workspace or change its permissions.",
    errno.EROFS: "That file system is read-only: choose another --workspace.",
    errno.ENOTDIR: "A part of that path is a file, not a folder.",
    errno.EISDIR: "A folder lies where a file is expected.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "Its links lead in a circle: name the file itself.",
    errno.EFBIG: "The file system takes no file of that size: choose another --workspace.",
    errno.EIO: "The disk or the network share fails: check it, or work on a copy.",
    errno.ESTALE: "The network share lost the file: run the same command again.",
}
_READ_HINTS = {
    errno.EACCES: "Check its permissions (chmod u+r).",
    errno.EPERM: "Check its permissions (chmod u+r).",
}
"""Where the next step is another one than for a file that is written."""


@contextmanager
def explain_write_errors(path: Path | None = None) -> Iterator[None]:
    """Turn file-system errors, those of libraries too, into a `BenchError` that names the path and the next step.

    Args:
        path: What is written; named where the error does not name a path.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        number = _read_errno(error)
        if number not in _HINTS:
            raise
        named = _name_path(error, "the workspace" if path is None else str(path))
        where = _TEMPORARY_PREFIX.sub("", named)
        raise BenchError(f"Cannot write {where}: {os.strerror(number)}.", hint=_HINTS[number]) from error


def _read_errno(error: Exception) -> int | None:
    """The system's number of an error; libraries in Rust (safetensors) raise their own and name it in their text."""
    if isinstance(error, OSError):
        return error.errno
    found = _RUST_ERRNO.search(str(error))
    return None if found is None else int(found[1])


@contextmanager
def explain_file_errors() -> Iterator[None]:
    """Turn every error about a file into a `BenchError`, where it is not known whether it was read or written."""
    try:
        yield
    except (BlockingIOError, ChildProcessError, ConnectionError, ProcessLookupError):
        raise  # not about files
    except OSError as error:
        if error.errno is None:
            raise
        hint = _HINTS.get(error.errno, "Check the path and the disk that it lies on.")
        raise BenchError(f"Cannot use {_name_path(error, 'a file')}: {error.strerror}.", hint=hint) from error


def _name_path(error: Exception, unnamed: str) -> str:
    name: Any = getattr(error, "filename", None)
    return unnamed if name is None else os.fsdecode(name) if isinstance(name, bytes) else str(name)


def explain_read_error(path: Path, error: OSError) -> BenchError:
    """Say why a file cannot be read, and the next step."""
    known = _HINTS | _READ_HINTS
    hint = known.get(error.errno or 0, "Check the path and the disk that it lies on.")
    return BenchError(f"{path} cannot be read: {error.strerror or error}.", hint=hint)


def _require_regular(path: Path) -> None:
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a folder is refused by the system, in better words
        raise BenchError(f"{path} is not a regular file.", hint="Copy what it gives into a file first.")


def read_bytes(path: Path) -> bytes:
    """Read a whole file of the workspace or of the command line.

    Raises:
        FileNotFoundError: There is none.
        BenchError: It is no regular file (a pipe, from which a read may never return), or it cannot be read.
    """
    try:
        _require_regular(path)
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise explain_read_error(path, error) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it only if the block succeeds.

    The suffix is kept, since encoders choose a container by it. The data is flushed to the disk before
    the rename, so a crash leaves the old file or the new one.
    """
    temporary = _temporary_path(path)
    with explain_write_errors(path):
        _make_folder(path.parent)
        try:
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces `path` only if the block succeeds."""
    temporary = _temporary_path(path)
    with explain_write_errors(path):
        shutil.rmtree(temporary, ignore_errors=True)
        _make_folder(temporary)
        try:
            yield temporary
            shutil.rmtree(path, ignore_errors=True)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock `folder` against other processes, which wait until it is released.

    The lock is the operating system's: it is released when the process that holds it ends.
    """
    with explain_write_errors():
        _make_folder(folder.parent)
        with filelock.FileLock(folder.with_name(f".{folder.name}.lock")):
            yield


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8 with Unix line ends."""
    write_bytes(path, replace_undecodable(text).encode())


def write_arrays(path: Path, **arrays: npt.NDArray[Any]) -> None:
    """Write arrays by their names as a compressed NPZ, atomically."""
    buffer = io.BytesIO()  # a ZIP writer that meets a full disk complains once more when it is collected
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


@overload
def read_array(path: Path, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]: ...


@overload
def read_array(path: Path, name: str, shape: tuple[int, ...], dtype: type[Number]) -> npt.NDArray[Number]: ...


def read_array(path: Path, name: str, shape: tuple[int, ...], dtype: type[Any] = np.float32) -> npt.NDArray[Any]:
    """Read an array that `write_arrays` wrote; nothing is unpickled.

    Args:
        path: The NPZ.
        name: Of the array.
        shape: Its shape behind the first axis, which has any length.
        dtype: Its numbers' type.

    Returns:
        [T, *shape] of `dtype`.

    Raises:
        BenchError: The file is missing or damaged, larger than any such array, or holds another array.
    """
    try:
        data = read_bytes(path)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_ARRAY:
                raise ValueError(f"more than {_MAX_ARRAY:,} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            array: npt.NDArray[Any] = stored[name]
        if array.dtype != dtype or array.shape[1:] != shape or array.ndim != 1 + len(shape):
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
    except (OSError, EOFError, ValueError, LookupError, TypeError, SyntaxError, MemoryError, RuntimeError,
            NotImplementedError, zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        raise BenchError(
            f"{path} is missing or damaged ({first_line(error)}).", hint="Restore it, or make it again."
        ) from error
    return array


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def remove_others(folder: Path, pattern: str, kept: Collection[str]) -> None:
    """Remove the files of a folder that match `pattern` and have none of the names `kept`; temporary ones stay.

    Raises:
        BenchError: One cannot be removed.
    """
    for path in sorted(folder.glob(pattern)):
        if path.name not in kept and path.is_file() and not is_temporary(path):
            with explain_write_errors(path):
                path.unlink(missing_ok=True)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes.

    Raises:
        OSError: It cannot be read.
        BenchError: It is no regular file: a pipe would be read for ever.
    """
    _require_regular(path)
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


_Signature = tuple[int, int, int]  # inode, size in bytes, time of the last change in ns
Hashes = dict[Path, tuple[_Signature, str]]
_hashes: Hashes = {}


def sha256_once(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read again only if the file was replaced or changed.

    For the many places of one command that check the same file; evidence is always read (`sha256_file`).
    """
    path = path.resolve()  # one hash, however the path is written
    signature = _sign(path)
    known = _hashes.get(path)
    if known is None or known[0] != signature:
        known = _hashes[path] = signature, sha256_file(path)
    return known[1]


def remember_sha256(path: Path, sha256: str) -> None:
    """Spare `sha256_once` the reading of a file that was hashed while it was written."""
    _hashes[path.resolve()] = _sign(path), sha256


def _sign(path: Path) -> _Signature:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def known_hashes() -> Hashes:
    """What `sha256_once` has read in this process, to be handed to another."""
    return dict(_hashes)


def add_known_hashes(hashes: Hashes) -> None:
    """Take over what another process of this command has read."""
    _hashes.update(hashes)


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of a JSON value in its canonical form (sorted keys, no spaces)."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def to_file_name(name: str) -> str:
    """`name` with `_` for every character that not every file system takes (`timm:resnet18`, `module/class`)."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def is_temporary(path: Path) -> bool:
    """Whether `path` is an unfinished write of `atomic_path` or `atomic_folder`."""
    return path.name.startswith(_TEMPORARY)


def sweep(root: Path) -> None:
    """Remove the temporary files and folders that killed processes of this machine left under `root`."""
    for path in sorted(root.rglob(f"{_TEMPORARY}{_HOST}-*")):
        process = path.name.removeprefix(f"{_TEMPORARY}{_HOST}-").split("-")[0]
        if not process.isdigit() or _is_alive(int(process)):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _HINTS:
            raise  # `explain_write_errors` has a hint for it
        raise BenchError(
            f"The folder {folder} cannot be made: {error.strerror}.", hint="Choose another --workspace."
        ) from error


def _temporary_path(path: Path) -> Path:
    """Where `path` is written before it is complete; the name holds the machine and process that write it."""
    return path.with_name(f"{_TEMPORARY}{_HOST}-{os.getpid()}-{path.name}")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's process, but it exists
    return True
