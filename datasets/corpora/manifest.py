"""The video manifest: one JSON line per video that a detector is trained on, tested on or applied to.

Paths are relative to the manifest's folder and may not leave it. `label` is 1 for a fake, 0 for a real.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import read_bytes, write_text
from dancebench.core.schema import MAX_COUNT, Strict

Split = Literal["train", "validation", "holdout"]
PictureKind = Literal["drawn", "camera"]
"""Where the pictures of a person come from: a drawing generator, or a camera."""


MAX_FPS = 100_000.0
"""No camera is faster; times between frames would vanish."""


class VideoRow(Strict):
    """One video, and what is known of how it was made."""

    video_id: str
    """Full identifier, never a basename: `subject/source/method`; `subject/source/real` for a real."""
    path: str
    sha256: str
    label: Literal[0, 1]
    split: Split
    subject_id: str
    source_id: str
    """The subject whose motion drives; the subject itself in a real."""
    method: str | None
    """None for a real."""
    motion_sha256: str | None = None
    """Hash of the recording whose motion drives; None where it is not known."""
    pictures: PictureKind | None = None
    """Kind of the person's pictures, in a fake those that it was made from; None where it is not stated."""
    derived_from: str | None = None
    """video_id of the video that this one is a perturbed copy of."""
    fps: float = Field(gt=0, le=MAX_FPS)
    n_frames: int = Field(ge=1, le=MAX_COUNT)
    breaks: tuple[Annotated[int, Field(ge=1, le=MAX_COUNT)], ...] = ()
    """Frames that begin a segment, except for the first: no pair of frames lies across."""
    codec: str
    crf: int | None = Field(ge=-MAX_COUNT, le=MAX_COUNT)
    width: int = Field(ge=1, le=MAX_COUNT)
    height: int = Field(ge=1, le=MAX_COUNT)
    perturbation: str | None = None


def resolve_inside(root: Path, relative: str) -> Path:
    """`root / relative`, if that lies under `root`.

    Raises:
        BenchError: The path is absolute, leaves the folder, or is one that no file system takes.
    """
    try:
        path = (root / relative).resolve()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a circle of links, a null character
        raise BenchError(
            f"'{relative[:100]}' cannot be a path ({error}).", hint="Correct it in the manifest."
        ) from error
    if Path(relative).is_absolute() or not path.is_relative_to(root.resolve()):
        raise BenchError(
            f"The path '{relative}' leaves the folder of its manifest.",
            hint=f"Paths are relative and stay under {root}.",
        )
    return path


def write_manifest(path: Path, rows: Iterable[VideoRow]) -> None:
    """Write one JSON line per row, whole or not at all."""
    write_text(path, "".join(row.model_dump_json() + "\n" for row in rows))


def read_manifest(path: Path, root: Path | None = None) -> list[VideoRow]:
    """Read and validate a manifest.

    Args:
        path: The JSONL file.
        root: The folder that its paths are relative to and may not leave; None: the manifest's own.

    Raises:
        BenchError: The file is missing or cannot be read, a line is not a row (the line is named), a video_id is
            repeated, or a path leaves the folder.
    """
    try:
        lines = read_bytes(path).decode().splitlines()
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist.", hint="Expected a video manifest (JSONL).") from None
    except UnicodeDecodeError as error:
        raise BenchError(f"{path} is not text.", hint="Expected a video manifest (JSONL, UTF-8).") from error
    rows: dict[str, VideoRow] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = VideoRow.model_validate(json.loads(line))
        except (ValueError, RecursionError) as error:  # a ValidationError is a ValueError
            reason = first_line(error)
            raise BenchError(
                f"{path}:{number} is not a row of a video manifest ({reason}).", hint="Correct the line."
            ) from error
        if row.video_id in rows:
            raise BenchError(f"{path}:{number} repeats the video_id '{row.video_id}'.", hint="Remove one.")
        resolve_inside(root or path.parent, row.path)
        rows[row.video_id] = row
    return list(rows.values())
