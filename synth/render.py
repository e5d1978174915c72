"""From a trained synthesizer and a motion to a fake clip, with its provenance beside it.

The first synthesized frame has no previous frame behind it and is dropped from every fake, whatever the
method, as is the same frame from the real that it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.environment import code_version, versions
from dancebench.core.files import sha256_file
from dancebench.core.progress import Report, silent
from dancebench.core.schema import Document
from dancebench.datasets.skeleton import has_person
from dancebench.datasets.store import Subject
from dancebench.datasets.video import encoder_version, write_clip
from dancebench.synth.method import Motion
from dancebench.synth.training import TrainJob, TrainRecord, load_method


class FakeRecord(Document):
    """The JSON beside a fake: what it is, for whoever finds it."""

    synthetic: bool = True
    method: str
    preset: str
    seed: int
    dataset_id: str
    subject: str
    """Whose appearance it shows."""
    source: str
    """Whose motion drives it."""
    source_sha256: str
    """Of the source's prepared clip and poses."""
    first_frame: int
    """The source's frame that the fake's first frame stands for."""
    n_frames: int
    frames_without_pose: int
    """Frames whose driving pose was not found: the picture there is the method's guess."""
    fps: float
    height: int
    width: int
    sha256: str
    weights_sha256: str
    encoder: str
    git_sha: str | None
    dirty: bool | None
    versions: dict[str, str]


def render_fake(
    job: TrainJob, trained: TrainRecord, source: Subject, path: Path, *, report: Report = silent
) -> FakeRecord:
    """Draw the job's subject in the held-out motion of `source`; keeps a fake of the same making.

    Args:
        job: The trained job.
        trained: Its record.
        source: The subject whose held-out poses drive; for self-driven fakes the job's own.
        path: Where the clip goes; the record lies beside it as `.json` and is written last.
        report: Progress.
    """
    beside = path.with_suffix(".json")
    span = source.test
    standing = FakeRecord.load_if_usable(beside)
    if standing is not None and path.exists():
        same = (standing.weights_sha256, standing.source_sha256, standing.first_frame) == (
            trained.weights_sha256, source.record.content_sha256, span.start + 1,
        )  # fmt: skip
        if same and standing.encoder == encoder_version() and sha256_file(path) == standing.sha256:
            return standing
    keypoints = source.keypoints()[span.start : span.stop]
    method = load_method(job, trained)

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        for t, frame in enumerate(method.render(Motion(keypoints, source.size))):
            report(f"{job.method} draws {job.subject.id}", t + 1, len(keypoints))
            if t > 0:
                yield frame

    clip = write_clip(path, frames(), source.record.fps)
    git_sha, dirty = code_version()
    record = FakeRecord(
        method=job.method,
        preset=job.preset,
        seed=job.config.seed,
        dataset_id=job.dataset_id,
        subject=job.subject.id,
        source=source.id,
        source_sha256=source.record.content_sha256,
        first_frame=span.start + 1,
        n_frames=clip.n_frames,
        frames_without_pose=int((~has_person(keypoints[1:])).sum()),
        fps=float(clip.fps),
        height=clip.height,
        width=clip.width,
        sha256=clip.sha256,
        weights_sha256=trained.weights_sha256,
        encoder=clip.encoder,
        git_sha=git_sha,
        dirty=dirty,
        versions=versions(),
    )
    record.save(beside)
    return record
