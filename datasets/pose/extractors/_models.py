"""Model files of pose extractors: where they are found, how they are fetched, and that they are the right ones.

They are looked for in the folder `BENCH_WEIGHTS`, then in the cache (`BENCH_CACHE`, else `dancebench` in the user's
folder of caches). What neither has is taken out of the MediaPipe wheel that published it, which pip downloads from the
package index that it is set up for; the wheel is not installed. A file is used only if its SHA-256 is the known one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_folder, lock_folder, sweep

_VERSION: Final = "0.10.21"
"""The last MediaPipe whose wheel carries its models."""
# This wheel on every machine: its models are wanted, not its code.
_WHEEL: Final = ("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
_PIP: Final = (
    "-m", "pip", "download", f"mediapipe=={_VERSION}", "--no-deps", "--only-binary", ":all:", *_WHEEL,
    "--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "20",
)  # fmt: skip
_PLACES: Final = "Set BENCH_CACHE to a folder that can be written, or BENCH_WEIGHTS to one that holds the models."


@dataclass(frozen=True)
class ModelFile:
    """A file that the wheel carries."""

    member: str
    """Its path in the wheel."""
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, in the wheel and in `BENCH_WEIGHTS`."""
        return self.member.rsplit("/", 1)[1]


def read_models(files: Sequence[ModelFile]) -> dict[str, bytes]:
    """The content of each file by its name, fetched first where a file is not at hand.

    Raises:
        BenchError: A file is another one than it should be, cannot be fetched, or cannot be kept.
    """
    found = _read_found(files)
    if len(found) < len(files):
        _fetch(files)
        found = _read_found(files)
    return {file.name: found[file.name] for file in files}


def locate_cache() -> Path:
    """The folder in which fetched models are kept; it need not exist.

    Raises:
        BenchError: No variable names one, and this user has no home.
    """
    if folder := os.environ.get("BENCH_CACHE"):
        root = Path(folder)
    else:
        try:
            root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dancebench"
        except RuntimeError as error:
            raise BenchError("There is no home to keep the models in.", hint=_PLACES) from error
    return root / "models" / f"mediapipe-{_VERSION}"


def _read_found(files: Sequence[ModelFile]) -> dict[str, bytes]:
    """The content of each file that is at hand, by its name."""
    weights = os.environ.get("BENCH_WEIGHTS")
    folders = [*([Path(weights)] if weights else []), locate_cache()]
    found = {}
    for file in files:
        path = next((folder / file.name for folder in folders if (folder / file.name).is_file()), None)
        if path is not None:
            found[file.name] = _read(path, file)
    return found


def _read(path: Path, file: ModelFile) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror}.", hint="Change its permissions.") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != file.sha256:
        raise BenchError(
            f"{path} is not the model of that name: its SHA-256 begins with {sha256[:8]}, not {file.sha256[:8]}.",
            hint=f"Remove the file, or put the one of the mediapipe {_VERSION} wheel there.",
        )
    return data


def _fetch(files: Sequence[ModelFile]) -> None:
    """Take the files out of the wheel into the cache, while no other process does."""
    cache = locate_cache()
    _check_writable(cache.parent)
    with lock_folder(cache):
        sweep(cache.parent)
        found = _read_found(files)
        missing = [file.name for file in files if file.name not in found]
        if not missing:
            return  # another process fetched them while this one waited
        with atomic_folder(cache) as folder:
            wheel = _download(folder, missing)
            for name, data in _unpack(wheel, files).items():
                (folder / name).write_bytes(data)
            wheel.unlink()


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchError(f"Models cannot be kept in {folder}: {error.strerror}.", hint=_PLACES) from error


def _download(folder: Path, names: Sequence[str]) -> Path:
    """The wheel, downloaded into a folder."""
    if importlib.util.find_spec("pip") is None:
        raise _unavailable_error(names, f"{sys.executable} has no pip to fetch them with")
    command = [sys.executable, *_PIP, "--dest", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        raise _unavailable_error(names, f"they could not be fetched ({_summarise(result.stderr)})")
    return wheels[0]


def _summarise(output: str) -> str:
    """The last line of pip's errors, in which it says what failed."""
    lines = [line.removeprefix("ERROR:").strip() for line in output.splitlines() if line.startswith("ERROR:")]
    return f"pip: {lines[-1].rstrip('.')}" if lines else "pip gave no reason"


def _unpack(wheel: Path, files: Sequence[ModelFile]) -> dict[str, bytes]:
    """The content of each file of the wheel by its name."""
    contents = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in files:
                contents[file.name] = archive.read(file.member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise _unavailable_error([file.name for file in files], f"{wheel.name} does not hold them") from error
    for file in files:
        if hashlib.sha256(contents[file.name]).hexdigest() != file.sha256:
            raise _unavailable_error([file.name], f"{wheel.name} holds another file of that name")
    return contents


def _unavailable_error(names: Sequence[str], why: str) -> BenchError:
    return BenchError(
        f"Pose models are missing ({', '.join(names)}), and {why}.",
        hint=f"Put these files of the mediapipe {_VERSION} wheel into the folder that BENCH_WEIGHTS names, "
        f"or into {locate_cache()}.",
    )
