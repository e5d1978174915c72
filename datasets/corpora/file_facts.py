"""What was read of a corpus' files: headers always, hashes when they are asked for; kept by size and time of change.

`files.json` beside the manifest keeps it, so that a second reading of a corpus opens only what was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError
from pydantic import Field

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress
from dancebench.core.schema import MAX_COUNT, Document, Strict
from dancebench.datasets.corpora.manifest import MAX_FPS, VideoRow
from dancebench.datasets.video.containers import read_header
from dancebench.datasets.video.frames import list_images

_THREADS = 4  # opening a file waits for the disk, and libav computes outside of Python's lock


class FileFacts(Strict):
    """Of one video: a file, or a folder of images.

    Attributes:
        size: In bytes; of a folder the number of its images.
        changed_ns: Time of the last change.
        header: Fields of a row; empty where it cannot be read.
        reason: Why it cannot be read.
        sha256: Of the bytes; of a folder over the hashes of its images. None until it was asked for.
        fingerprints: Perceptual hashes of a few frames, in hexadecimal, by the part of the picture that they are of.
        decoded: Whether the header's claims were replaced by what decoding found.
    """

    size: int
    changed_ns: int
    header: dict[str, Any]
    reason: str | None = None
    sha256: str | None = None
    fingerprints: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    decoded: bool = False


class FileFactsRecord(Document):
    """`files.json`: path -> what was read of it."""

    files: dict[str, FileFacts] = Field(default_factory=dict)


def read_file_facts(
    root: Path, rows: Sequence[VideoRow], known: FileFactsRecord, report: ReportProgress
) -> dict[str, FileFacts]:
    """Read the headers of all videos that are new or were changed.

    Args:
        root: What the rows' paths are relative to.
        rows: The videos; several may be parts of one file.
        known: What was read before.
        report: Progress.

    Returns:
        By path. One that cannot be read has a reason.
    """
    paths = sorted({row.path for row in rows})
    found: dict[str, FileFacts] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for done, (path, facts) in enumerate(
            zip(paths, pool.map(partial(_read_one, root, known.files), paths, chunksize=1), strict=True)
        ):
            found[path] = facts
            if done % 50 == 0:
                report("reading headers", done, len(paths))
    report("reading headers", len(paths), len(paths))
    return found


def _read_one(root: Path, known: dict[str, FileFacts], path: str) -> FileFacts:
    full = root / path
    try:
        stat = full.stat()
        images = list_images(full) if full.is_dir() else []
    except OSError as error:
        return FileFacts(size=0, changed_ns=0, header={}, reason=f"{error.strerror}.")
    size = len(images) if full.is_dir() else stat.st_size
    before = known.get(path)
    if before is not None and (before.size, before.changed_ns) == (size, stat.st_mtime_ns):
        return before
    try:
        header = _describe_images(images) if full.is_dir() else _describe_file(full)
        _refuse_impossible(header)
    except BenchError as error:
        reason = error.message.replace(f"{full} ", "", 1)
        return FileFacts(size=size, changed_ns=stat.st_mtime_ns, header={}, reason=reason)
    return FileFacts(size=size, changed_ns=stat.st_mtime_ns, header=header)


def _refuse_impossible(header: dict[str, Any]) -> None:
    """A damaged header claims anything; no row of a manifest may say it."""
    fps, n_frames = header.get("fps"), header["n_frames"]
    if (
        not all(1 <= header[side] <= MAX_COUNT for side in ("width", "height"))
        or not (fps is None or 0 < fps <= MAX_FPS)
        or not (n_frames is None or 1 <= n_frames <= MAX_COUNT)
    ):
        raise BenchError("claims a size, a rate or a number of frames that no video has.", hint="Copy it again.")


def _describe_file(path: Path) -> dict[str, Any]:
    header = read_header(path)
    return {
        "codec": header.codec, "width": header.width, "height": header.height, "fps": header.fps,
        "n_frames": header.n_frames,
    }  # fmt: skip


def _describe_images(images: Sequence[Path]) -> dict[str, Any]:
    if not images:
        raise BenchError("holds no images.", hint="Check the folder.")
    try:
        with Image.open(images[0]) as image:
            width, height = image.size
    except (OSError, UnidentifiedImageError) as error:
        raise BenchError(f"its first image cannot be read ({error}).", hint="Check the folder.") from error
    return {"codec": images[0].suffix.lower().lstrip("."), "width": width, "height": height, "n_frames": len(images)}
