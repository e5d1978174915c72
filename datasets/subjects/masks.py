"""Which pixels of a clip show the person: found when a method or a metric first needs them, and kept beside the clip.

    masks.npz    a bit per pixel, uint8 [T, H, W / 8], compressed
    masks.json   what they were found in, by what, and the hash of `masks.npz`; written last

A clip is prepared without them, so that its files and hashes do not depend on which methods are run on it. They are
found in the prepared frames by this machine's pose extractor, whatever the poses came from, segment by segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from dancebench.core.artifacts import ArtifactRecord, find_existing, reuse_or_make
from dancebench.core.errors import BenchError
from dancebench.core.files import lock_folder, read_array, sha256_file, write_arrays
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.extractors.base import Frame, Mask, open_extractor
from dancebench.datasets.subjects.subject import Subject

MASKS: Final = "masks.npz"
_RECORD: Final = "masks.json"


class MaskRecord(ArtifactRecord):
    """`masks.json`: what the person masks of a clip are."""

    SCHEMA_VERSION: ClassVar[int] = 1
    schema_version: int = 1

    clip_sha256: str
    breaks: tuple[int, ...]
    segmenter: str
    """The pose extractor that found them, with its version."""
    masks_sha256: str

    @property
    def key(self) -> Any:
        """The clip. Masks that another machine's extractor found in it remain in use, as poses do."""
        return [self.clip_sha256, list(self.breaks)]

    def files(self, path: Path) -> Mapping[Path, str]:
        """The masks."""
        return {path.parent / MASKS: self.masks_sha256}


@dataclass(frozen=True)
class PersonMasks:
    """The person masks of a clip, packed as they are stored.

    Attributes:
        packed: uint8 [T, H, W / 8].
    """

    packed: npt.NDArray[np.uint8]

    def __getitem__(self, t: int) -> Mask:
        """Which pixels of frame `t` show the person: bool [H, W]."""
        return np.unpackbits(self.packed[t], axis=-1).astype(np.bool_)

    def take(self, frames: slice | Sequence[int]) -> PersonMasks:
        """The masks of these frames."""
        return PersonMasks(self.packed[frames])

    @property
    def shows_person(self) -> npt.NDArray[np.bool_]:
        """In which frames any pixel does: bool [T]."""
        return np.asarray(self.packed.any(axis=(1, 2)))


def find_person_masks(subject: Subject, report: ReportProgress = ignore_progress) -> PersonMasks:
    """The person masks of a subject's clip: those beside it, or found now.

    Raises:
        BenchError: None of this machine's pose extractors finds masks; no person is found in any frame; the clip or the
            masks cannot be read or written.
    """
    path, breaks = subject.folder / _RECORD, subject.record.breaks
    key = [subject.record.clip_sha256, list(breaks)]
    if find_existing(path, MaskRecord, key) is None:
        with lock_folder(subject.folder / "masks"):  # another process may be finding them, and this one waits
            reuse_or_make(path, MaskRecord, key, lambda: _find_masks(subject, report))
    height, width = subject.size
    return PersonMasks(read_array(subject.folder / MASKS, "masks", (height, width // 8), np.uint8))


def write_masks(subject: Subject, masks: npt.NDArray[np.bool_], segmenter: str) -> MaskRecord:
    """Write `masks.npz`, from bool [T, H, W]; returns its record, which is not written here."""
    write_arrays(subject.folder / MASKS, masks=np.packbits(masks, axis=-1))
    return MaskRecord(
        clip_sha256=subject.record.clip_sha256,
        breaks=subject.record.breaks,
        segmenter=segmenter,
        masks_sha256=sha256_file(subject.folder / MASKS),
    )


def _find_masks(subject: Subject, report: ReportProgress) -> MaskRecord:
    extractor, total = open_extractor(), subject.record.n_frames
    masks = np.zeros((total, *subject.size), np.bool_)
    with subject.open_reader() as reader:
        for segment in subject.segments(range(total)):  # tracking does not continue across a gap or a cut
            frames: Iterator[Frame] = (reader[t] for t in segment)
            for t, mask in zip(segment, extractor.segment(frames), strict=True):
                masks[t] = mask
                report(f"finding {subject.id} in the frames", t + 1, total)
    if not masks.any():
        raise BenchError(
            f"No foreground was found: none of the {total} frames of '{subject.id}' shows a person that can be "
            "told from the background.",
            hint="Use a method that needs no person mask, e.g. --method fbf-ts.",
        )
    return write_masks(subject, masks, extractor.describe())
