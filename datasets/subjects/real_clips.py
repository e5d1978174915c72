"""The real clips of every comparison: a subject's held-out span, encoded like the fakes.

Same size, same encoder, same frames as the fake that it is compared with; the first frame is left out,
since the fake's first has no previous frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dancebench.core.artifacts import ArtifactRecord, reuse_or_make
from dancebench.datasets.subjects.dataset import Subject
from dancebench.datasets.video.clips import describe_encoder, write_clip
from dancebench.datasets.video.frames import resize


class RealRecord(ArtifactRecord):
    """The JSON beside a real clip."""

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2

    subject: str
    content_sha256: str
    """Of the prepared subject that it was cut from."""
    first_frame: int
    n_frames: int
    breaks: tuple[int, ...] = ()
    """Frames that begin a segment, except for the first; none in records of version 1, whatever the clip."""
    fps: float
    height: int
    width: int
    sha256: str
    encoder: str

    @property
    def key(self) -> Any:
        """The prepared subject, what is cut from it, and the encoder."""
        return [self.content_sha256, self.first_frame, self.height, self.width, self.encoder]

    def files(self, path: Path) -> Mapping[Path, str]:
        """The clip."""
        return {path.with_suffix(".mp4"): self.sha256}


def list_shown_frames(subject: Subject) -> list[int]:
    """The held-out frames that a fake, and so its real clip, shows: all but the first of every segment."""
    return [t for segment in subject.segments(subject.test) for t in segment[1:]]


def list_shown_breaks(lengths: Iterable[int]) -> tuple[int, ...]:
    """The frames of a fake or real clip that begin a segment, except for the first.

    Args:
        lengths: Frames of the segments that it shows, the first of each, which it leaves out, included.
    """
    shown = [length - 1 for length in lengths if length > 1]
    return tuple(itertools.accumulate(shown))[:-1]


def write_real(subject: Subject, size: tuple[int, int], path: Path) -> RealRecord:
    """Cut the held-out span, resize it to `size` (height, width) and encode it; keeps an existing, up-to-date clip."""
    shown = list_shown_frames(subject)

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        with subject.open_reader() as reader:
            for t in shown:
                yield resize(reader[t], size)

    def write() -> RealRecord:
        clip = write_clip(path, frames(), subject.record.fps)
        return RealRecord(
            subject=subject.id,
            content_sha256=subject.record.content_sha256,
            first_frame=shown[0],
            n_frames=clip.n_frames,
            breaks=list_shown_breaks(len(segment) for segment in subject.segments(subject.test)),
            fps=float(clip.fps),
            height=clip.height,
            width=clip.width,
            sha256=clip.sha256,
            encoder=clip.encoder,
        )

    key = [subject.record.content_sha256, shown[0], *size, describe_encoder()]
    return reuse_or_make(path.with_suffix(".json"), RealRecord, key, write)
