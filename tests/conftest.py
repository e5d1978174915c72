"""Fixtures that tests share: a subject made in a second, and one whole tiny demo."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import settings

from dancebench.core.files import sha256_file
from dancebench.core.opencv import cv2
from dancebench.core.workspace import Workspace
from dancebench.datasets.pose.skeleton import (
    L_ANKLE,
    L_ELBOW,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    MID_HIP,
    NECK,
    NOSE,
    R_ANKLE,
    R_ELBOW,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
    Keypoints,
)  # fmt: skip
from dancebench.datasets.pose.stick_figures import draw_stick_figure
from dancebench.datasets.subjects.dataset import Dataset, Subject
from dancebench.datasets.subjects.masks import write_masks
from dancebench.datasets.subjects.prepare import write_poses
from dancebench.datasets.subjects.records import (
    DatasetRecord,
    FileSource,
    Permission,
    PrepareConfig,
    SplitConfig,
    SubjectEntry,
    SubjectRecord,
)  # fmt: skip
from dancebench.datasets.video.clips import write_clip

settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make the tiny demo once: its tests start first and share one worker; the tests of a file stay together."""
    items.sort(key=lambda item: "tiny_demo" not in getattr(item, "fixturenames", ()))
    for item in items:
        demo = "tiny_demo" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("tiny demo" if demo else str(item.path)))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The folder of real clips, or a skip with the reason."""
    return _folder_from("BENCH_REAL_CLIPS")


@pytest.fixture(scope="session")
def trunk_weights() -> Path:
    """The folder of pretrained trunks, or a skip with the reason."""
    return _folder_from("BENCH_WEIGHTS")


def _folder_from(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    return Path(value)


def waving(t: int, size: tuple[int, int]) -> Keypoints:
    """Keypoints of a figure that sways and waves: float32 [75, 3] in pixels of `size`."""
    height, width = size
    at = {
        NOSE: (0.5, 0.16), NECK: (0.5, 0.26), MID_HIP: (0.5, 0.54), R_SHOULDER: (0.38, 0.27), L_SHOULDER: (0.62, 0.27),
        R_HIP: (0.43, 0.54), L_HIP: (0.57, 0.54), R_KNEE: (0.42, 0.72), L_KNEE: (0.58, 0.72),
        R_ANKLE: (0.42, 0.9), L_ANKLE: (0.58, 0.9),
    }  # fmt: skip
    swing = 0.12 * math.sin(t * 0.7)
    at |= {R_ELBOW: (0.28, 0.38 - swing), L_ELBOW: (0.72, 0.38 + swing)}
    at |= {R_WRIST: (0.22, 0.5 - 2 * swing), L_WRIST: (0.78, 0.5 + 2 * swing)}
    points = np.zeros((75, 3), np.float32)
    sway = 0.04 * math.cos(t * 0.4)
    for joint, (x, y) in at.items():
        points[joint] = ((x + sway) * width, y * height, 1.0)
    return points


def picture_of(points: Keypoints, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A body in flat colours before a gradient: the camera frame."""
    height, width = size
    shade = np.linspace(60, 160, height)[:, None, None]
    picture = np.broadcast_to(shade, (height, width, 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(draw_stick_figure(points, size, size), (0, 0), width / 40)
    return np.clip(picture.astype(int) + 2 * blurred, 0, 255).astype(np.uint8)


def make_dataset(
    root: Path,
    *,
    n_frames: int = 30,
    missing: tuple[int, ...] = (),
    name: str = "toy",
    size: tuple[int, int] = (128, 64),
    subject: str = "walker",
    breaks: tuple[int, ...] = (),
) -> Dataset:
    """A dataset of one prepared subject, without any pose detection; a second call adds another subject.

    Args:
        root: Workspace.
        n_frames: Length of the clip.
        missing: Frames in which no pose was found.
        name: Of the dataset.
        size: (height, width) of the clip.
        subject: Id.
        breaks: Frames that begin a segment.
    """
    height, width = size
    source = FileSource(name="toy.mp4", sha256="0" * 64)
    entry = SubjectEntry(id=subject, role="target", source=source)
    listed = root / "datasets" / name / "dataset.json"
    others = DatasetRecord.load(listed).subjects if listed.exists() else ()
    listed.unlink(missing_ok=True)
    record = DatasetRecord(
        name=name,
        licence="MIT",
        prepare=PrepareConfig(height=height, width=width),
        split=SplitConfig(),
        subjects=(*others, entry),
    )
    dataset = Dataset.create(Workspace(root).open(), record)
    folder = dataset.subject_folder(subject)
    keypoints = np.stack([waving(t, size) for t in range(n_frames)])
    clip = write_clip(folder / "clip.mp4", (picture_of(points, size) for points in keypoints), 25)
    for t in missing:
        keypoints[t] = 0
    write_poses(folder / "poses.npz", keypoints)
    SubjectRecord(
        id=subject, role="target", source=source, licence="MIT",
        permission=Permission(kind="consent", text="drawn", sha256="0" * 64),
        source_fps=25, source_height=height, source_width=width, source_frames=n_frames,
        fps=25, height=height, width=width,
        n_frames=n_frames, person_frames=n_frames - len(missing), decoder="none", encoder=clip.encoder,
        pose_extractor="none", clip_sha256=clip.sha256, poses_sha256=sha256_file(folder / "poses.npz"), breaks=breaks,
    ).save(folder / "subject.json")  # fmt: skip
    return dataset


def write_masks_of(subject: Subject) -> None:
    """Write the person masks of `make_dataset`'s figure, as if an extractor had found them."""
    width = subject.size[1]
    drawn = [draw_stick_figure(points, subject.size, subject.size) for points in subject.keypoints()]
    blurred = np.stack([cv2.GaussianBlur(picture, (0, 0), width / 40).max(axis=-1) for picture in drawn])
    write_masks(subject, blurred > 8, "drawn").save(subject.folder / "masks.json")


@pytest.fixture
def masked_walker(walker: Subject) -> Subject:
    """The same, with person masks."""
    write_masks_of(walker)
    return walker


@pytest.fixture
def paper_sized(tmp_path: Path) -> Subject:
    """A prepared subject of 250 frames at 512x1024, 200 of them for training."""
    return make_dataset(tmp_path, n_frames=250, size=(512, 1024)).subject("walker")


@pytest.fixture
def walker(tmp_path: Path) -> Subject:
    """A prepared subject of 30 frames at 128x64, 24 of them for training."""
    return make_dataset(tmp_path).subject("walker")


@pytest.fixture(scope="session")
def tiny_demo_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workspace in which `bench demo --size tiny` has run, and what it printed.

    In one process: each of its stages would start workers, which import torch anew.
    """
    from typer.testing import CliRunner

    from dancebench.benchmark.cli import app

    root = tmp_path_factory.mktemp("tiny") / "workspace"
    result = CliRunner().invoke(app, ["demo", "--size", "tiny", "--workspace", str(root), "--jobs", "1"])
    assert result.exit_code == 0, result.output
    return root, result.stdout


@pytest.fixture(scope="session")
def tiny_demo(tiny_demo_run: tuple[Path, str]) -> Path:
    """The workspace of the tiny demo."""
    return tiny_demo_run[0]
