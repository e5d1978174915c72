"""`bench synth --submit`: clips of another synthesizer, measured on the frames that ours are measured on.

a folder of clips ──▶ frames checked, encoded like ours ──▶ per-frame rows ──▶ results/

The record names the same data, people and frame size as a run of `bench synth`, so both stand in one table. What has
been handed in is not changed: each clip is written into the workspace by the one encoder, without the first frame of
each segment, as every fake is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.benchmark.casework.search import VIDEO_SUFFIXES
from dancebench.benchmark.jobs import Job, JobFailure, run_jobs
from dancebench.benchmark.outside.export import find_size
from dancebench.benchmark.outside.folders import check_name
from dancebench.benchmark.outside.incomplete import explain_incomplete, require_some, summarise
from dancebench.benchmark.outside.pairing import describe_differences
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.runs.synthesis import open_synthesizable
from dancebench.benchmark.runs.synthesis_record import measure_held_out
from dancebench.core.artifacts import ArtifactRecord, reuse_or_make
from dancebench.core.environment import collect_versions, read_code_version
from dancebench.core.errors import BenchError, replace_undecodable
from dancebench.core.files import sha256_json
from dancebench.core.progress import ReportProgress
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset, Subject
from dancebench.datasets.subjects.real_clips import list_shown_breaks, list_shown_frames, write_real
from dancebench.datasets.video.clips import describe_encoder, write_clip
from dancebench.datasets.video.frames import FrameSource, open_source
from dancebench.leaderboards import records

PRESET: Final = "submitted"
_REMARK: Final = "submitted clips: how they were trained is not known here, nor whether with the trunk of a metric"


class SubmittedFakeRecord(ArtifactRecord):
    """The JSON next to a submitted fake."""

    SCHEMA_VERSION: ClassVar[int] = 1
    schema_version: int = 1

    synthetic: bool = True
    name: str
    """Of the synthesizer, as it was handed in."""
    dataset_id: str
    subject: str
    """Whose appearance it shows, and whose motion drives it."""
    content_sha256: str
    """Of the prepared subject."""
    submitted_sha256: str
    """Of what was handed in: the file, or the names and hashes of the images."""
    first_frame: int
    """The clip's frame that the fake's first frame corresponds to."""
    n_frames: int
    breaks: tuple[int, ...]
    """Frames that begin a segment, except for the first."""
    fps: float
    height: int
    width: int
    sha256: str
    encoder: str
    git_sha: str | None
    dirty: bool | None
    versions: dict[str, str]

    @property
    def key(self) -> Any:
        """What was handed in, what it is compared with, and the encoder."""
        return [self.submitted_sha256, self.content_sha256, self.encoder]

    def files(self, path: Path) -> Mapping[Path, str]:
        """The clip."""
        return {path.with_suffix(".mp4"): self.sha256}


@dataclass(frozen=True)
class Submission:
    """Clips of another synthesizer.

    Attributes:
        folder: Holds a video `ID.*` or a folder of images `ID` for each subject.
        name: Of the synthesizer.
        preset: Decides the size of the frames.
    """

    workspace: Workspace
    dataset: Dataset
    folder: Path
    name: str
    preset: str

    def locate_fake(self, subject: str, long_side: int) -> Path:
        """Where the fake of a subject lies in the workspace."""
        variant = f"{PRESET}-{long_side}"
        return self.workspace.fake(self.name, self.dataset.name, subject, variant, source=subject)


def run_submitted_clips(
    submission: Submission, subjects: Sequence[str], *, clock: RunClock, workers: int, report: ReportProgress
) -> records.RunRecord:
    """Measure the clips of a submission and save the record.

    A name identifies one synthesizer: handed in again for the same data, its numbers replace the older ones.

    Args:
        submission: The clips.
        subjects: Everybody who is to be measured; their clips are prepared.
        clock: Started with the command.
        workers: Processes.
        report: Progress.

    Raises:
        UnknownNameError: There is no such preset or subject.
        BenchError: The name is taken, the folder is none, or no clip can be measured.
    """
    check_name(submission.name)
    if not submission.folder.is_dir():
        raise BenchError(f"{submission.folder} is not a folder.", hint="Name the folder that holds the clips.")
    size = find_size(submission.dataset.subject(subjects[0]), submission.preset)  # all clips of a dataset have one size
    jobs = [Job(f"measuring {each}", _measure_submitted, (submission, each)) for each in subjects]
    outcomes = run_jobs(jobs, workers=workers, report=report)
    failures, tables = [], []
    for subject, outcome in zip(subjects, outcomes, strict=True):
        if isinstance(outcome, JobFailure):
            failures.append(records.Failure(item=subject, reason=outcome.message))
        else:
            tables.append(outcome)
    extra = _find_strangers(submission)
    require_some(tables, [*failures, *extra])
    rows = pd.concat(tables, ignore_index=True)
    record = _make_record(submission, subjects, size, rows, failures, extra, clock)
    records.save_run(submission.workspace.results, record, rows)
    return record


# ---------------------------------------------------------------- clips


def _find_clips(folder: Path) -> dict[str, list[Path]]:
    """What may be a clip, by the name that it has without its suffix."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        is_clip = path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES
        if is_clip and not path.name.startswith("."):
            found.setdefault(path.name if path.is_dir() else path.stem, []).append(path)
    return found


def _find_strangers(submission: Submission) -> list[records.Failure]:
    """Clips that no subject of the dataset belongs to."""
    known = set(submission.dataset.ids())
    return [
        records.Failure(item=replace_undecodable(name), reason="nobody in the dataset has this name")
        for name in _find_clips(submission.folder)
        if name not in known
    ]


def _measure_submitted(job: tuple[Submission, str], report: ReportProgress) -> pd.DataFrame:
    """Per-frame rows of one subject."""
    submission, subject_id = job
    subject = open_synthesizable(submission.dataset, subject_id)
    size = find_size(subject, submission.preset)
    fake = submission.locate_fake(subject_id, max(size))
    _take_in(submission, subject, size, fake)
    real = submission.workspace.real(submission.dataset.name, subject_id, max(size))
    record = write_real(subject, size, real)
    rows = measure_held_out(submission.dataset, subject_id, fake, real, record, report)
    return rows.assign(item=f"{subject_id}/{subject_id}/{submission.name}", subject=subject_id)


def _take_in(submission: Submission, subject: Subject, size: tuple[int, int], path: Path) -> None:
    """Write the submitted clip of a subject into the workspace, encoded like our own.

    Raises:
        BenchError: There is none or more than one, it cannot be decoded, or it has other frames than asked for.
    """
    source = _open_submitted(submission.folder, subject, size)

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        shown = set(list_shown_frames(subject))
        for t, (_, frame) in enumerate(source.frames(), start=subject.test.start):
            if t in shown:
                yield frame

    def write() -> SubmittedFakeRecord:
        clip = write_clip(path, frames(), subject.record.fps)
        git_sha, dirty = read_code_version()
        return SubmittedFakeRecord(
            name=submission.name,
            dataset_id=submission.dataset.record.dataset_id,
            subject=subject.id,
            content_sha256=subject.record.content_sha256,
            submitted_sha256=source.sha256,
            first_frame=list_shown_frames(subject)[0],
            n_frames=clip.n_frames,
            breaks=list_shown_breaks(len(segment) for segment in subject.segments(subject.test)),
            fps=float(clip.fps),
            height=clip.height,
            width=clip.width,
            sha256=clip.sha256,
            encoder=clip.encoder,
            git_sha=git_sha,
            dirty=dirty,
            versions=collect_versions(),
        )

    key = [source.sha256, subject.record.content_sha256, describe_encoder()]
    reuse_or_make(path.with_suffix(".json"), SubmittedFakeRecord, key, write)


def _open_submitted(folder: Path, subject: Subject, size: tuple[int, int]) -> FrameSource:
    """The submitted clip of a subject; a folder of images has the rate of the subject's own clip."""
    found = _find_clips(folder).get(subject.id, [])
    if len(found) != 1:
        names = ", ".join(path.name for path in found)
        what = (
            f"there are {len(found)} clips: {names}"
            if found
            else f"there is no clip {subject.id}.* nor a folder of images"
        )
        raise BenchError(f"{what}.", hint=f"Put one clip of '{subject.id}' into {folder}.")
    source = open_source(found[0], fps=subject.record.fps)
    problems = describe_differences(
        (source.n_frames, source.fps, (source.height, source.width)), (len(subject.test), subject.record.fps, size)
    )
    if problems:
        raise BenchError(
            f"{found[0].name} has {'; '.join(problems)}.", hint="bench data export says what a clip must have."
        )
    return source


# ---------------------------------------------------------------- record


def _make_record(
    submission: Submission,
    subjects: Sequence[str],
    size: tuple[int, int],
    rows: pd.DataFrame,
    failures: Sequence[records.Failure],
    extra: Sequence[records.Failure],
    clock: RunClock,
) -> records.RunRecord:
    dataset = submission.dataset
    identity = {
        "submitted": submission.name,
        "dataset_id": dataset.record.dataset_id,
        "subjects": sorted(subjects),
        "size": list(size),
    }
    metrics, per_subject = summarise(rows, subjects, explain_incomplete(len(failures), len(subjects)))
    return records.RunRecord(
        run=clock.run("synthesis", submission.name, sha256_json(identity), seeds={}, device="none"),
        data=records.Data(
            dataset=dataset.name,
            dataset_id=dataset.record.dataset_id,
            content_sha256=dataset.content_sha256(sorted(subjects)),
            train_fraction=dataset.record.split.train_fraction,
            n_original=len(subjects) + len(extra),
            n_effective=len(subjects) - len(failures),
        ),
        entry=records.Entry(
            name=submission.name,
            preset=PRESET,
            weights_sha256={},
            parameters={},
            facts=records.SynthesisFacts(frame_size="{}x{}".format(*size), remarks=(_REMARK,)),
        ),
        metrics=metrics,
        per_subject=per_subject,
        failures=[*failures, *extra],
    )
