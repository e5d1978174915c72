"""Render a fake clip from a trained synthesizer and a motion, with its record (JSON) next to it.

The first synthesized frame has no previous frame to condition on and is dropped from every fake, whatever the
method, as is the same frame of the real clip that it is compared with; so is the first frame of every segment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dancebench.core.artifacts import ArtifactRecord, reuse_or_make
from dancebench.core.environment import collect_versions, read_code_version
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.skeleton import has_person
from dancebench.datasets.subjects.dataset import Subject
from dancebench.datasets.subjects.real_clips import list_shown_breaks, list_shown_frames
from dancebench.datasets.video.clips import ClipInfo, describe_encoder, write_clip
from dancebench.synth.backgrounds import Background, replace_background
from dancebench.synth.base import METHODS, LayeredMethod, Method
from dancebench.synth.clip import Motion, Pixels, locate_faces
from dancebench.synth.training.inheritance import AncestorReference
from dancebench.synth.training.synthesizer import TrainJob, TrainRecord, load_method


class FakeRecord(ArtifactRecord):
    """The JSON next to a fake: what it is and how it was made, for anyone who comes across it.

    Version 5 names the ancestor of a warm start; earlier synthesizers started from nothing. Version 6 names the
    revision of the method.
    """

    SCHEMA_VERSION: ClassVar[int] = 6
    schema_version: int = 6

    synthetic: bool = True
    method: str
    revision: int = 1
    """Of the method's code, see `Method`: what renders may have changed where weights have not."""
    preset: str
    seed: int
    dataset_id: str
    subject: str
    """Whose appearance it shows."""
    source: str
    """Whose motion drives it."""
    source_sha256: str
    """SHA-256 of what the motion was taken from: a prepared clip with its poses, or a file."""
    motion_sha256: str
    """SHA-256 of the driving poses themselves, after any normalisation."""
    normalisation: dict[str, Any] | None
    """How the source's poses were fitted to the subject; None where they were used as they are."""
    first_frame: int
    """The source's frame that the fake's first frame corresponds to."""
    n_frames: int
    breaks: tuple[int, ...] = ()
    """Frames that begin a segment, except for the first; none in records before version 3, whatever the fake."""
    frames_without_pose: int
    """Frames whose driving pose was not found: what they show is left to the method."""
    fps: float
    height: int
    width: int
    background: str | None = None
    """The file that the person was put on; None where the background is the method's own, as before version 4."""
    background_sha256: str | None = None
    sha256: str
    weights_sha256: str
    ancestor: AncestorReference | None = None
    """What its synthesizer started from; null for nothing."""
    encoder: str
    git_sha: str | None
    dirty: bool | None
    versions: dict[str, str]

    @property
    def key(self) -> Any:
        """The synthesizer, the motion that drives it, the encoder, and the background that was put in."""
        made_by = [self.revision, self.weights_sha256, self.encoder]
        made_of = [*made_by, self.source_sha256, self.motion_sha256, self.first_frame]
        return made_of if self.background_sha256 is None else [*made_of, self.background_sha256]

    def files(self, path: Path) -> Mapping[Path, str]:
        """The clip."""
        return {path.with_suffix(".mp4"): self.sha256}


@dataclass(frozen=True)
class DrivingMotion:
    """A motion that drives a fake, and where it comes from.

    Attributes:
        source: Whose motion it is, for messages and for the record.
        source_sha256: SHA-256 of what it was taken from.
        segments: Segments of consecutive frames; a method starts again in each.
        fps: Frames per second.
        first_frame: The source's frame that the fake begins with: the first of a segment is never shown.
        normalisation: How the poses were fitted to the subject, as facts for the record.
    """

    source: str
    source_sha256: str
    segments: Sequence[Motion]
    fps: float
    first_frame: int
    normalisation: dict[str, Any] | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the poses; supplied pose maps are covered by `source_sha256`."""
        return sha256_json(
            [[segment.keypoints.astype(float).round(3).tolist(), list(segment.size)] for segment in self.segments]
        )


def take_held_out_motion(subject: Subject) -> DrivingMotion:
    """The held-out motion of a subject's own clip."""
    keypoints, centres = subject.keypoints(), locate_faces(subject)

    def cut_motion(segment: range) -> Motion:
        part = slice(segment.start, segment.stop)
        return Motion(keypoints[part], subject.size, lambda size: subject.pose_maps(segment, size), centres[part])

    return DrivingMotion(
        source=subject.id,
        source_sha256=subject.record.content_sha256,
        segments=[cut_motion(segment) for segment in subject.segments(subject.test)],
        fps=subject.record.fps,
        first_frame=list_shown_frames(subject)[0],
    )


def render_fake(
    job: TrainJob,
    trained: TrainRecord,
    motion: DrivingMotion,
    path: Path,
    *,
    background: Background | None = None,
    report: ReportProgress = ignore_progress,
) -> FakeRecord:
    """Generate a clip of the job's subject in the driving motion; an existing fake of the same inputs is kept.

    Args:
        job: The trained job.
        trained: Its record.
        motion: The driving motion.
        path: Where the clip goes; its record is written last, next to it as `.json`.
        background: What the person is put on; None leaves the method's own.
        report: Progress.

    Raises:
        BenchError: The weights are not those of the record; the method cannot tell the person from the background, or
            the background cannot be read.
    """
    motion_sha256 = motion.sha256
    made_by = [trained.revision, trained.weights_sha256, describe_encoder()]
    key = [*made_by, motion.source_sha256, motion_sha256, motion.first_frame]
    if background is not None:
        key.append(background.sha256)

    def render() -> FakeRecord:
        clip = write_clip(path, _generate_frames(job, trained, motion, background, report), motion.fps)
        return _describe_fake(job, trained, motion, motion_sha256, background, clip)

    return reuse_or_make(path.with_suffix(".json"), FakeRecord, key, render)


def _generate_frames(
    job: TrainJob, trained: TrainRecord, motion: DrivingMotion, background: Background | None, report: ReportProgress
) -> Iterator[Pixels]:
    method = load_method(job, trained)
    render = method.render if background is None else _put_on(method, background, motion.fps)
    total = sum(len(segment.keypoints) for segment in motion.segments)

    done = 0
    for segment in motion.segments:
        for t, frame in enumerate(render(segment)):
            done += 1
            report(f"{job.method} generates {job.subject.id}", done, total)
            if t > 0:
                yield frame


def _put_on(method: Method, background: Background, fps: float) -> Callable[[Motion], Iterator[Pixels]]:
    """A `render` that puts the person on the background, which moves on through all segments."""
    if not isinstance(method, LayeredMethod):
        raise refuse_background(type(method))
    behind = background.frames(method.clip.size, fps)  # without end

    def render(motion: Motion) -> Iterator[Pixels]:
        for layers, picture in zip(method.render_layers(motion), behind, strict=False):
            yield replace_background(layers, picture)

    return render


def refuse_background(method: type[Method]) -> BenchError:
    """Say that a method cannot put its person on another background."""
    layered = [each for each in METHODS.names() if issubclass(METHODS[each], LayeredMethod)]
    return BenchError(
        f"The method {method.__name__} generates whole frames, and cannot tell the person from the background.",
        hint=f"Methods that can: {', '.join(layered)}. With the others, --background stays keep.",
    )


def _describe_fake(
    job: TrainJob,
    trained: TrainRecord,
    motion: DrivingMotion,
    motion_sha256: str,
    background: Background | None,
    clip: ClipInfo,
) -> FakeRecord:
    has_pose: npt.NDArray[np.bool_] = np.concatenate([has_person(segment.keypoints[1:]) for segment in motion.segments])
    git_sha, dirty = read_code_version()
    return FakeRecord(
        method=job.method,
        revision=trained.revision,
        preset=job.preset,
        seed=job.config.seed,
        dataset_id=job.dataset_id,
        subject=job.subject.id,
        source=motion.source,
        source_sha256=motion.source_sha256,
        motion_sha256=motion_sha256,
        normalisation=motion.normalisation,
        first_frame=motion.first_frame,
        n_frames=clip.n_frames,
        breaks=list_shown_breaks(len(segment.keypoints) for segment in motion.segments),
        frames_without_pose=int((~has_pose).sum()),
        fps=float(clip.fps),
        height=clip.height,
        width=clip.width,
        background=background and background.label,
        background_sha256=background and background.sha256,
        sha256=clip.sha256,
        weights_sha256=trained.weights_sha256,
        ancestor=trained.ancestor,
        encoder=clip.encoder,
        git_sha=git_sha,
        dirty=dirty,
        versions=collect_versions(),
    )
