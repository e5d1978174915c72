"""`bench data export`: what an outside synthesizer needs, and how its clips come back.

    DIR/README.md, export.json
    DIR/ID/train/{frames,sticks}/000000.png …, poses.npz     to learn from
    DIR/ID/heldout/sticks/000000.png …, poses.npz            to generate from

The frames of the held-out part are what is measured against and are not exported. Training frames, poses and pose maps
are those that our own methods get at the preset, and so is the held-out motion: the first frame of a segment
has no previous one and is generated, but not measured.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dancebench.benchmark.presets import find_preset
from dancebench.benchmark.runs.synthesis import open_synthesizable
from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_folder
from dancebench.core.opencv import cv2
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.schema import Document, Name, Strict
from dancebench.datasets.pose.skeleton import Keypoints, scale_keypoints
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.prepare import write_poses
from dancebench.datasets.subjects.subject import Subject
from dancebench.synth.clip import CachedFrames, load_training_clip, scale_to_long_side
from dancebench.synth.render import take_held_out_motion


class ExportedSubject(Strict):
    """A person in an export."""

    id: Name
    licence: str
    permission: str
    """The statement of consent or of the legal basis."""
    pose_extractor: str
    content_sha256: str
    """Of the prepared subject that it was taken from."""
    fps: float
    height: int
    width: int
    n_train: int
    train_starts: tuple[int, ...]
    """Training frames that begin a segment of consecutive frames."""
    n_held_out: int
    """Frames that a clip must have to be measured."""
    held_out_starts: tuple[int, ...]
    """Held-out frames that begin a segment: to be generated, and left out of what is measured."""


class ExportRecord(Document):
    """`export.json`."""

    SCHEMA_VERSION: ClassVar[int] = 1
    schema_version: int = 1

    dataset: str
    dataset_id: str
    preset: str
    subjects: tuple[ExportedSubject, ...]


def find_size(subject: Subject, preset: str) -> tuple[int, int]:
    """(height, width) of the frames of a preset.

    Raises:
        UnknownNameError: There is no such preset.
    """
    return scale_to_long_side(subject.size, find_preset(preset).long_side)


def export_dataset(
    dataset: Dataset,
    subjects: Sequence[str],
    preset: str,
    folder: Path,
    *,
    report: ReportProgress = ignore_progress,
) -> ExportRecord:
    """Write the export of these subjects into a new folder, whole or not at all.

    Args:
        dataset: Of the subjects.
        subjects: Their ids; all are prepared.
        preset: Decides the size of the frames.
        folder: Does not exist yet, or is empty.
        report: Progress.

    Raises:
        UnknownNameError: There is no such preset or subject.
        BenchError: The folder holds something, a subject may not be synthesized, or its clip is smaller than the
            preset's frames.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(f"{folder} is not an empty folder.", hint="Name another --out, or remove it.")
    with atomic_folder(folder) as temporary:
        exported = tuple(_export_subject(dataset, each, preset, temporary / each, report) for each in subjects)
        record = ExportRecord(
            dataset=dataset.name, dataset_id=dataset.record.dataset_id, preset=preset, subjects=exported
        )
        (temporary / "README.md").write_text(_write_readme(record), encoding="utf-8")
        record.save(temporary / "export.json")
    return record


def _export_subject(
    dataset: Dataset, subject_id: str, preset: str, folder: Path, report: ReportProgress
) -> ExportedSubject:
    subject = open_synthesizable(dataset, subject_id)
    size = find_size(subject, preset)
    training = load_training_clip(subject, max(size))
    segments = take_held_out_motion(subject).segments
    held_out = np.concatenate([segment.keypoints for segment in segments])
    total = 2 * len(training) + len(held_out)
    numbers = itertools.count(1)

    def write(frames: Iterable[npt.NDArray[np.uint8]], into: Path) -> None:
        into.mkdir(parents=True)
        for t, frame in enumerate(frames):
            _write_png(into / f"{t:06d}.png", frame)
            report(f"exporting {subject_id}", next(numbers), total)

    write(_read_each(training.frames), folder / "train" / "frames")
    write(_read_each(training.pose_maps), folder / "train" / "sticks")
    write(itertools.chain.from_iterable(each.pose_maps(size) for each in segments), folder / "heldout" / "sticks")
    write_poses(folder / "train" / "poses.npz", training.keypoints)
    write_poses(folder / "heldout" / "poses.npz", _scale(held_out, subject.size, size))
    lengths = [len(segment.keypoints) for segment in segments]
    return ExportedSubject(
        id=subject_id,
        licence=subject.record.licence,
        permission=subject.record.permission.text,
        pose_extractor=subject.record.pose_extractor,
        content_sha256=subject.record.content_sha256,
        fps=subject.record.fps,
        height=size[0],
        width=size[1],
        n_train=len(training),
        train_starts=tuple(np.flatnonzero(training.starts_segment).tolist()),
        n_held_out=len(held_out),
        held_out_starts=tuple(itertools.accumulate(lengths[:-1], initial=0)),
    )


def _read_each(frames: CachedFrames) -> Iterator[npt.NDArray[np.uint8]]:
    return (frames[np.array([t])][0] for t in range(len(frames)))


def _scale(keypoints: Keypoints, source: tuple[int, int], size: tuple[int, int]) -> Keypoints:
    """Keypoints in pixels of `size` (height, width), from those of `source`."""
    return scale_keypoints(keypoints, size[1] / source[1], size[0] / source[0])


def _write_png(path: Path, frame: npt.NDArray[np.uint8]) -> None:
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(frame[..., ::-1]))
    path.write_bytes(encoded.tobytes())


def _write_readme(record: ExportRecord) -> str:
    rows = "\n".join(
        f"| `{each.id}` | {each.n_train} | {each.n_held_out} | {each.height}x{each.width} | {each.fps:g} | "
        f"{each.licence}; {each.permission} |"
        for each in record.subjects
    )
    return f"""# People of the dataset {record.dataset}, for a synthesizer from elsewhere

| person | training frames | frames to generate | height x width | frames per second | licence; permission |
|---|---|---|---|---|---|
{rows}

- `ID/train/frames/*.png`: the person, to learn from; `ID/train/sticks/*.png`: the stick figure (or label image) of
  each of these frames.
- `ID/heldout/sticks/*.png`: the motion to generate; its real frames are kept back: fakes are measured against them.
- `ID/*/poses.npz`: `keypoints`, float32 [T, 75, 3], in pixels of these frames: x, y, confidence (0 = not found), 25
  body joints in the order of BODY_25, 21 of each hand, 8 of the face.
- `export.json`: the same numbers, and where segments of consecutive frames begin (`train_starts`,
  `held_out_starts`). The first frame of a segment is generated like the others; it is not measured.

## What to hand in

A folder with one clip per person: `ID/` with one image per stick figure of `ID/heldout/sticks`, in the order of the
numbers in their names (PNG loses nothing), or a video `ID.mp4` (avi, mov, mkv …) of the rate above. Every clip has the
frames and the size of the table. All are encoded once more, as our own fakes are. A clip that is missing or differs is
named and counted as a failure.

    bench synth --submit FOLDER --name YOURS --dataset {record.dataset} --preset {record.preset}
"""
