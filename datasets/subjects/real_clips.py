"""The real clips of every comparison: a subject's held-out span, encoded like the fakes.

Same size, same encoder, same frames as the fake that it is compared with; the first frame is left out,
since the fake's first has no previous frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.files import sha256_file
from dancebench.core.schema import Document
from dancebench.datasets.subjects.dataset import Subject
from dancebench.datasets.video.clips import describe_encoder, write_clip
from dancebench.datasets.video.frames import resize


class RealRecord(Document):
    """The JSON beside a real clip."""

    subject: str
    content_sha256: str
    """Of the prepared subject that it was cut from."""
    first_frame: int
    n_frames: int
    fps: float
    height: int
    width: int
    sha256: str
    encoder: str


def list_shown_frames(subject: Subject) -> list[int]:
    """The held-out frames that a fake, and so its real clip, shows: all but the first of every segment."""
    return [t for segment in subject.segments(subject.test) for t in segment[1:]]


def write_real(subject: Subject, size: tuple[int, int], path: Path) -> RealRecord:
    """Cut the held-out span, resize it to `size` (height, width) and encode it; keeps an existing, up-to-date clip."""
    record_path = path.with_suffix(".json")
    shown = list_shown_frames(subject)
    existing = RealRecord.load_if_usable(record_path)
    if existing is not None and path.exists():
        same = (existing.content_sha256, existing.first_frame) == (subject.record.content_sha256, shown[0])
        if same and existing.encoder == describe_encoder() and sha256_file(path) == existing.sha256:
            return existing

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        with subject.open_reader() as reader:
            for t in shown:
                yield resize(reader[t], size)

    clip = write_clip(path, frames(), subject.record.fps)
    record = RealRecord(
        subject=subject.id,
        content_sha256=subject.record.content_sha256,
        first_frame=shown[0],
        n_frames=clip.n_frames,
        fps=float(clip.fps),
        height=clip.height,
        width=clip.width,
        sha256=clip.sha256,
        encoder=clip.encoder,
    )
    record.save(record_path)
    return record
