"""The demo catalogue: drawn dancers, processed like real recordings, from mp4 to prepared clip.

    demo        5 targets, 62 forensic subjects (40 train, 8 validation, 14 holdout), 4 drivers
    demo-small  what `bench demo` uses: one target, 12 forensic subjects, shorter clips
    demo-tiny   for tests

The same dancers before a drifting camera, with a moving object and changing light, are demo-moving, demo-moving-small
and demo-moving-tiny; `SCENE_TRUTH` beside each clip says where the camera, the object and the light were.

A catalogue lists all its dancers; each is drawn and prepared when it is first needed. No real person is shown:
the figures are procedural, so no consent and no licence beyond the generator's own is involved.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import UnknownNameError
from dancebench.core.files import write_arrays
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers import dancer as dancers
from dancebench.datasets.pose.extractors.truth import TRUTH_EXTRACTOR
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.subjects.dataset import Dataset, prepare_subject
from dancebench.datasets.subjects.footage import Footage, Segment, SuppliedFrame
from dancebench.datasets.subjects.prepare import write_poses
from dancebench.datasets.subjects.records import (
    DatasetRecord,
    DrawnSource,
    Permission,
    PoseSource,
    PrepareConfig,
    Role,
    SplitConfig,
    SubjectEntry,
    Surroundings,
)  # fmt: skip
from dancebench.datasets.video.clips import write_clip
from dancebench.datasets.video.frames import open_source

FPS: Final = 25.0
TRUTH: Final = "truth.npz"
"""The file beside a drawn dancer's clip that keeps the true keypoints."""
SCENE_TRUTH: Final = "scene.npz"
"""The file beside it that keeps the arrays of `SceneTruth`, where the surroundings move."""
_LICENCE: Final = "MIT (drawn by dancebench)"
_BASIS: Final = "A procedurally drawn figure: no person is shown."


@dataclass(frozen=True)
class Selection:
    """How many dancers of each role, and how many frames each clip has."""

    targets: int
    train: int
    validation: int
    holdout: int
    drivers: int
    target_frames: int
    frames: int
    surroundings: Surroundings = "still"


_STILL: Final = {
    "demo": Selection(5, 40, 8, 14, 4, target_frames=500, frames=200),
    "demo-small": Selection(1, 6, 2, 4, 0, target_frames=300, frames=100),
    "demo-tiny": Selection(1, 2, 1, 2, 2, target_frames=60, frames=40),
}


def name_moving(selection: str) -> str:
    """The name of a selection's counterpart with moving surroundings."""
    return selection.replace("demo", "demo-moving", 1)


SELECTIONS: Final = _STILL | {
    name_moving(name): replace(selection, surroundings="moving") for name, selection in _STILL.items()
}

# Role → (id prefix, first seed). Targets are plain numbers, as in `bench synth --subject 3`.
_SERIES: Final[dict[Role, tuple[str, int]]] = {
    "target": ("", 100),
    "train": ("train", 1000),
    "validation": ("validation", 2000),
    "holdout": ("holdout", 3000),
    "driver": ("driver", 4000),
}


def build_catalogue(name: str, poses: PoseSource) -> DatasetRecord:
    """The dataset record of a demo selection; nothing is drawn yet.

    Raises:
        UnknownNameError: There is no selection of that name.
    """
    if name not in SELECTIONS:
        raise UnknownNameError("demo selection", name, SELECTIONS)
    selection = SELECTIONS[name]
    counts: dict[Role, int] = {
        "target": selection.targets,
        "train": selection.train,
        "validation": selection.validation,
        "holdout": selection.holdout,
        "driver": selection.drivers,
    }
    subjects = []
    for role, count in counts.items():
        prefix, first_seed = _SERIES[role]
        n_frames = selection.target_frames if role == "target" else selection.frames
        for k in range(1, count + 1):
            source = DrawnSource(
                generator_version=dancers.GENERATOR_VERSION,
                seed=first_seed + k,
                n_frames=n_frames,
                surroundings=selection.surroundings,
            )
            label = str(k) if role == "target" else f"{prefix}{k:02d}"
            subjects.append(SubjectEntry(id=label, role=role, source=source))
    return DatasetRecord(
        name=name,
        licence=_LICENCE,
        prepare=PrepareConfig(height=dancers.HEIGHT, width=dancers.WIDTH, fps=FPS),
        split=SplitConfig(),
        poses=poses,
        subjects=tuple(subjects),
    )


def open_demo(workspace: Workspace, name: str, extractor: str | None = None) -> Dataset:
    """The demo dataset of that name, listed in the workspace.

    Args:
        workspace: Where it is, or will be.
        name: Of the selection.
        extractor: Of its poses; None: that which it has, or this machine's default for a new one.

    Raises:
        UnknownNameError: There is no such selection or extractor.
        BenchError: The workspace's has other dancers, or poses of another extractor.
    """
    if extractor is None and name in workspace.list_datasets():
        poses = Dataset.open(workspace, name).record.poses
    else:
        poses = PoseSource.choose(extractor)
    return Dataset.create(workspace, build_catalogue(name, poses))


def draw_subject(dataset: Dataset, subject_id: str, *, report: ReportProgress = ignore_progress) -> None:
    """Draw a dancer to an mp4 and prepare it like any recording; does nothing if it is prepared already.

    In a dataset whose poses are `truth` the true keypoints come with the frames.

    `TRUTH` beside the clip keeps the true keypoints, the ground truth for MediaPipe's; where the surroundings move,
    `SCENE_TRUTH` keeps the truth about them.
    """
    if dataset.is_prepared(subject_id):
        return
    entry = dataset.entry(subject_id)
    source = entry.source
    if not isinstance(source, DrawnSource):
        raise TypeError(f"{subject_id} is a recording, not a drawn dancer")
    permission = Permission(
        kind="consent" if entry.role == "target" else "legal-basis",
        text=_BASIS,
        sha256=hashlib.sha256(_BASIS.encode()).hexdigest(),
    )
    with tempfile.TemporaryDirectory(prefix="dancebench-") as scratch:
        drawing, truth = Path(scratch) / "drawn.mp4", Path(scratch) / TRUTH
        extra_files = {TRUTH: truth}
        dancer = dancers.make_dancer(source.seed)
        if source.surroundings == "moving":
            performance, scene_truth = dancers.dance_moving(dancer, source.n_frames, FPS)
            extra_files[SCENE_TRUTH] = Path(scratch) / SCENE_TRUTH
            write_arrays(extra_files[SCENE_TRUTH], **vars(scene_truth))
        else:
            performance = dancers.dance(dancer, source.n_frames, FPS)
        true_points: list[Keypoints] = []

        def frames() -> Iterator[npt.NDArray[np.uint8]]:
            for frame, points in performance:
                true_points.append(points)
                yield frame

        write_clip(drawing, frames(), FPS)
        write_poses(truth, np.stack(true_points))
        recording = Footage.from_source(open_source(drawing))
        if dataset.record.poses.extractor == TRUTH_EXTRACTOR:
            recording = _supply_poses(recording, true_points, dataset.record.poses.description)
        prepare_subject(
            dataset,
            entry,
            recording,
            licence=_LICENCE,
            permission=permission,
            extra_files=extra_files,
            report=lambda what, done, total: report(f"drawing {subject_id}", done, total),
        )


def _supply_poses(footage: Footage, poses: list[Keypoints], description: str) -> Footage:
    """The same footage of one segment, with a pose for every frame."""
    (segment,) = footage.segments

    def frames() -> Iterator[tuple[float, SuppliedFrame]]:
        for (seconds, supplied), pose in zip(segment.frames(), poses, strict=True):
            yield seconds, replace(supplied, pose=pose)

    return replace(footage, segments=(Segment(frames),), supplied_poses=description)
