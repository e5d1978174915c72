"""The folder layout of the public Everybody-Dance-Now release.

    train_img/*.png              frames
    train_label/*.png            the pose map (stick figure) of each
    train_facetexts128/*.txt     optional: "miny maxy minx maxx", the face's bounding box
    test_img, test_label, test_facetexts128   the held-out part, likewise

A file belongs to the frame whose number its name carries (`list_numbered_files`); the numbers of the release step by 4,
with larger gaps now and then (`split_segments`). The supplied pose maps condition a
synthesizer as they are; poses are extracted from the frames, for the metrics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from dancebench.core.errors import BenchError
from dancebench.core.files import read_bytes, sha256_file, sha256_json
from dancebench.datasets.importers.base import DEFAULT_FPS, IMPORTERS, ImportRequest
from dancebench.datasets.importers.numbered import (
    find_stride,
    list_numbered_files,
    open_images,
    select_images,
    split_segments,
)
from dancebench.datasets.pose.box import Box
from dancebench.datasets.subjects.footage import Footage, Imported, Segment, SuppliedFrame
from dancebench.datasets.subjects.records import ImportedSource
from dancebench.datasets.video.frames import FolderSource

_PARTS: Final = ("train", "test")
_DARK: Final = 40
"""Of 255: label pictures without a brighter value are nearly black; class numbers are, stick figures are not."""
_DARK_SAMPLE: Final = 16
"""Label pictures of a part, evenly spaced, in which the brightest value is looked for."""
_LAYOUT_HINT: Final = "Expected train_img, train_label, test_img and test_label in it."


@dataclass(frozen=True)
class _Part:
    """One part: frames, pose maps and face boxes in the order of their numbers."""

    numbers: tuple[int, ...]
    images: FolderSource
    labels: FolderSource
    faces: tuple[Box[float] | None, ...]
    texts: tuple[Path, ...]

    @property
    def hashes(self) -> list[str | list[list[str]]]:
        texts = [[path.name, sha256_file(path)] for path in self.texts]
        return [self.images.sha256, self.labels.sha256, texts]

    def list_notes(self) -> list[str]:
        """What the user should know of this part, a sentence each."""
        notes = []
        stride = find_stride(self.numbers)
        if stride > 1:
            notes.append(
                f"The numbers in {self.images.images[0].parent.name} step by {stride}: frames that are {stride} apart "
                "are taken for consecutive, other steps for gaps."
            )
        brightest = _find_brightest(self.labels)
        if brightest < _DARK:
            notes.append(
                f"The pictures in {self.labels.images[0].parent.name} are nearly black (brightest value {brightest} of "
                "255): if they hold class numbers, import pictures in which each class has its colour."
            )
        return notes

    def iterate_frames(self, span: range) -> Iterator[tuple[float, SuppliedFrame]]:
        """(seconds, supplied frame) at consecutive positions."""
        frames, labels = select_images(self.images, span).frames(), select_images(self.labels, span).frames()
        faces = self.faces[span.start : span.stop]
        for (seconds, frame), (_, label), face in zip(frames, labels, faces, strict=True):
            yield seconds, SuppliedFrame(frame, label=label, face=face)


@IMPORTERS.register("edn")
def import_edn(request: ImportRequest) -> Imported:
    """Read and validate a whole folder of the release.

    Raises:
        BenchError: `frames` was passed as well, or as `read_edn`.
    """
    if request.frames is not None:
        raise BenchError("--frames is for --layout openpose.", hint="The edn layout holds its frames: leave it out.")
    return read_edn(request.folder, fps=request.fps or DEFAULT_FPS)


def read_edn(folder: Path, *, fps: float) -> Imported:
    """Read and validate a whole folder in this layout.

    Args:
        folder: Holds the folders of both parts.
        fps: Rate at which the numbered frames were taken.

    Raises:
        BenchError: A folder is missing (the test part cannot be measured without its frames), frames and
            pose maps do not match in number or size, a face text is not a bounding box, an image cannot be decoded.
    """
    _check_folders(folder)
    parts = [_read_part(folder, name, fps) for name in _PARTS]
    train, test = (part.images for part in parts)
    if (train.height, train.width) != (test.height, test.width):
        raise BenchError(
            f"{test.images[0]} is {test.height}x{test.width} where the frames of train_img are "
            f"{train.height}x{train.width} (height x width).",
            hint="The frames of both parts must have the same size.",
        )
    footage = Footage(
        height=train.height,
        width=train.width,
        fps=fps,
        n_frames=train.n_frames + test.n_frames,
        decoder=train.decoder,
        segments=tuple(
            Segment(partial(part.iterate_frames, span), held_out=name == "test")
            for name, part in zip(_PARTS, parts, strict=True)
            for span in split_segments(part.numbers)
        ),
    )
    source = ImportedSource(
        layout="edn",
        name=folder.resolve().name,
        sha256=sha256_json([part.hashes for part in parts]),
        frames_sha256=(train.sha256, test.sha256),
        fps=fps,
    )
    return Imported(footage, source, tuple(note for part in parts for note in part.list_notes()))


def _find_brightest(labels: FolderSource) -> int:
    """The highest value of any channel in some of the label pictures, 0 to 255."""
    step = -(-labels.n_frames // _DARK_SAMPLE)
    sample = replace(labels, images=labels.images[::step])
    return max(int(label.max()) for _, label in sample.frames())


def _check_folders(folder: Path) -> None:
    if not folder.is_dir():
        raise BenchError(f"{folder} is not a folder.", hint=_LAYOUT_HINT)
    for name in ("train_img", "train_label", "test_img", "test_label"):
        if (folder / name).is_dir():
            continue
        if name == "test_img":
            raise BenchError(
                f"{folder} has no test_img: without the test part's real frames nothing can be measured on it.",
                hint="Put the frames that belong to test_label into test_img, or move a part of train_img and "
                "train_label to test_img and test_label.",
            )
        raise BenchError(f"{folder} has no {name}.", hint=_LAYOUT_HINT)


def _read_part(folder: Path, name: str, fps: float) -> _Part:
    images, labels = list_numbered_files(folder / f"{name}_img"), list_numbered_files(folder / f"{name}_label")
    text_folder = folder / f"{name}_facetexts128"
    texts = list_numbered_files(text_folder, {".txt"}) if text_folder.is_dir() else {}
    _check_matching(labels, images)
    _check_matching(images, labels)
    _check_matching(texts, images)
    if all(len(segment) == 1 for segment in split_segments(list(images))):
        first = ", ".join(str(number) for number in list(images)[:3])
        raise BenchError(
            f"No two frames of {folder / name}_img follow each other: their numbers are {first} …",
            hint="Renumber the frames in steps of one length if they are consecutive.",
        )
    frames, pose_maps = open_images(images, fps), open_images(labels, fps)
    size = frames.height, frames.width
    if size != (pose_maps.height, pose_maps.width):
        raise BenchError(
            f"{pose_maps.images[0]} is {pose_maps.height}x{pose_maps.width} where its frame is {size[0]}x{size[1]} "
            f"(height x width; {len(labels)} labels, {len(images)} images).",
            hint="A label must have the size of its frame.",
        )
    faces = tuple(_read_box(texts[number], size) if number in texts else None for number in images)
    return _Part(tuple(images), frames, pose_maps, faces, tuple(texts.values()))


def _check_matching(files: dict[int, Path], others: dict[int, Path]) -> None:
    """Refuse a file whose number none of the others has."""
    other = next(iter(others.values())).parent.name
    for number, path in files.items():
        if number not in others:
            raise BenchError(
                f"{path} has no counterpart in {other} ({len(files)} files in {path.parent.name}, "
                f"{len(others)} in {other}).",
                hint=f"Files are matched by the last number in their names: {other} has no {number}.",
            )


def _read_box(path: Path, size: tuple[int, int]) -> Box[float] | None:
    """The bounding box in a face text, clipped to the frame; None where no face was found (no number above 0).

    Raises:
        BenchError: It does not hold four numbers that bound a part of the frame.
    """
    try:
        top, bottom, left, right = (float(word) for word in read_bytes(path).decode().split())
    except ValueError:  # not four words, not numbers, not UTF-8
        top = bottom = left = right = math.nan
    if max(top, bottom, left, right) <= 0:
        return None
    box = Box(top, bottom, left, right).clip(size)
    if not (box.height > 0 and box.width > 0):
        raise BenchError(
            f"{path} does not hold the bounding box of a face in a frame of {size[0]}x{size[1]} (height x width).",
            hint='Expected "miny maxy minx maxx" in pixels, or no file where no face was found.',
        )
    return box
