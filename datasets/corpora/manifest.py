"""The video manifest: one JSON line per video that a detector is trained on, tested on or applied to.

Paths are relative to the manifest's folder, or to the root that its corpus names, and may not leave it. `label` is 1
for a fake, 0 for a real. A line tells its version; lines of the first, which named one person and one source, are
upgraded when they are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import read_bytes, write_text
from dancebench.core.schema import MAX_COUNT, Document, NewerSchemaError, Strict

Label = Literal[0, 1]
Split = Literal["train", "validation", "holdout"]
OfficialSplit = Literal["train", "validation", "test"]
"""A split as a corpus was published; its test part is what is held out here."""
Role = Literal["target", "donor", "driver"]
"""What a person is in a video: whose scene and body it is, who gave the face, or whose motion drives."""
Region = Literal["face", "body", "whole"]
"""What of the pictures a method makes."""
Status = Literal["decoded", "claimed", "unreadable"]
"""What size, rate and number of frames rest on: on decoding, on what the header claims, or there are none."""
PictureKind = Literal["drawn", "camera"]
"""Where the pictures of a person come from: a drawing generator, or a camera."""


MAX_FPS = 100_000.0
"""No camera is faster; times between frames would vanish."""


class Person(Strict):
    """Somebody who has a part in a video; one person has one id wherever a corpus shows them."""

    id: str
    role: Role


class Terms(Strict):
    """Under which conditions videos may be used."""

    licence: str
    form: str | None = None
    """Where the form is that has to be signed; None where none is asked for."""


class Crop(Strict):
    """The part of the picture that is the video; the rest is other panels, or a time stamp. In pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def key(self) -> list[int]:
        """Left, top, width and height."""
        return [self.left, self.top, self.width, self.height]


class ViewFacts(Strict):
    """How a view was made of a video: a clip that shows what of it a detector looks at."""

    view: str
    """Name and size, like `face:224x224`."""
    problem: str | None = None
    """Why there is none."""
    looked_at: int = Field(default=0, ge=0)
    """Frames in which people or faces were looked for; 0 where the whole frame is shown."""
    found_in: int = Field(default=0, ge=0)
    """Of these, those in which the chosen one was found."""
    seen: int = Field(default=0, ge=0)
    """The most people or faces in one of them."""
    left_out: int = Field(default=0, ge=0)
    """Frames that are not in the clip, since the chosen one was not found about them."""
    padded: int = Field(default=0, ge=0)
    """Frames in which what is shown is smaller than the view: it is not enlarged, black surrounds it."""


class VideoRow(Document):
    """One video, and what is known of how it was made."""

    SCHEMA_VERSION: ClassVar[int] = 3
    schema_version: int = 3
    video_id: str
    """Full identifier, never a basename: `subject/source/method`; `subject/source/real` for a real."""
    path: str
    sha256: str | None
    """None where the file has not been read for its hash: reading a whole corpus takes hours."""
    label: Label
    label_audio: Label | None = None
    """Of the sound; None where it is not stated."""
    split: Split | None
    """None: the video is in no split; the corpus' record says why."""
    official_split: OfficialSplit | None = None
    """As the corpus was published, whatever `split` is."""
    people: tuple[Person, ...]
    """Empty where the corpus does not tell who is seen; then there is a `group`."""
    group: str | None = None
    """Connected component over people, fakes and the clips that they were made from: what no split may part.
    None where each person is their own."""
    real_of: str | None = None
    """video_id of the real that a fake was made from; None where it is not known."""
    method: str | None
    """None for a real."""
    ancestor: str | None = None
    """SHA-256 of the weights that a fake's synthesizer started from; None where it started from nothing, and before
    version 3."""
    family: str | None = None
    """Kind of method: face swap, reenactment, a text-to-video generator, …"""
    region: Region | None = None
    compression: str | None = None
    """As the corpus calls it: `c23`, `crf40`, `raw`."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """What else the corpus tells: short texts."""
    terms: Terms | None = None
    """None: those of the whole corpus."""
    motion_sha256: str | None = None
    """Hash of the recording whose motion drives; None where it is not known."""
    pictures: PictureKind | None = None
    """Kind of the person's pictures, in a fake those that it was made from; None where it is not stated."""
    derived_from: str | None = None
    """video_id of the video that this one is a perturbed copy of."""
    status: Status = "decoded"
    fps: float | None = Field(gt=0, le=MAX_FPS)
    """None where nobody knows: of images without a rate."""
    n_frames: int | None = Field(ge=1, le=MAX_COUNT)
    breaks: tuple[Annotated[int, Field(ge=1, le=MAX_COUNT)], ...] = ()
    """Frames that begin a segment, except for the first: no pair of frames lies across."""
    codec: str | None
    crf: int | None = Field(ge=-MAX_COUNT, le=MAX_COUNT)
    width: int | None = Field(ge=1, le=MAX_COUNT)
    height: int | None = Field(ge=1, le=MAX_COUNT)
    crop: Crop | None = None
    """None: the whole picture. Width and height are those of the crop."""
    perturbation: str | None = None
    view: ViewFacts | None = None
    """Of a clip that was made as a view of a video; None for a video as it is."""

    @model_validator(mode="after")
    def _require_unit(self) -> Self:
        if not self.people and self.group is None:
            raise ValueError("a video of nobody who is known needs a group")
        return self

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """A row of the first version names who is seen and who drives."""
        if data.get("schema_version", 1) > 1:
            return data
        kept = {key: value for key, value in data.items() if key not in ("subject_id", "source_id")}
        return kept | {"people": name_people(data["subject_id"], data["source_id"])}

    @property
    def identified(self) -> bool:
        """Whether it is known who is seen; if not, units are groups of clips and nothing holds of persons."""
        return bool(self.people)

    @property
    def problem(self) -> str | None:
        """Why a detector cannot look at it; None where nothing is known against it."""
        return None if self.view is None else self.view.problem

    @property
    def subject_id(self) -> str:
        """The unit of intervals, folds and counts: the person who is seen, or the clip group where that is unknown."""
        targets = [person.id for person in self.people if person.role == "target"] or [each.id for each in self.people]
        return targets[0] if targets else self.group or self.video_id

    @property
    def source_id(self) -> str:
        """The person whose motion drives; the subject itself where it is their own."""
        return next((person.id for person in self.people if person.role == "driver"), self.subject_id)

    @property
    def known_fps(self) -> float:
        """Frames per second, for what needs a clock.

        Raises:
            BenchError: It is not known.
        """
        if self.fps is None:
            raise BenchError(f"{self.video_id} has no frame rate.", hint="State one: --fps.")
        return self.fps


def name_people(target: str, driver: str | None = None) -> tuple[Person, ...]:
    """The people of a video that shows one person, in their own motion or in a driver's."""
    seen = Person(id=target, role="target")
    return (seen,) if driver in (None, target) else (seen, Person(id=str(driver), role="driver"))


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
        NewerSchemaError: A later release wrote a line.
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
            row = _read_row(json.loads(line), f"{path}:{number}")
        except NewerSchemaError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            reason = first_line(error)
            raise BenchError(
                f"{path}:{number} is not a row of a video manifest ({reason}).", hint="Correct the line."
            ) from error
        if row.video_id in rows:
            raise BenchError(f"{path}:{number} repeats the video_id '{row.video_id}'.", hint="Remove one.")
        resolve_inside(root or path.parent, row.path)
        rows[row.video_id] = row
    return list(rows.values())


def _read_row(data: dict[str, Any], where: str) -> VideoRow:
    version = data.get("schema_version", 1)
    if version > VideoRow.SCHEMA_VERSION:
        raise NewerSchemaError(
            f"{where} has schema version {version}; this release reads up to {VideoRow.SCHEMA_VERSION}.",
            hint="Upgrade dancebench.",
        )
    if version < VideoRow.SCHEMA_VERSION:
        data = VideoRow.upgrade(data) | {"schema_version": VideoRow.SCHEMA_VERSION}
    return VideoRow.model_validate(data)
