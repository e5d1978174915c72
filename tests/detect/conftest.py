"""A small manifest of synthetic clips of moving shapes; the fakes are the same, a little blurred and noisy."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from dancebench.datasets.corpora.manifest import Split, VideoRow, name_people, write_manifest
from dancebench.datasets.video.clips import write_clip
from dancebench.detect.detectors.pair_patch import PairPatchConfig
from dancebench.detect.inputs.video_set import VideoSet

if TYPE_CHECKING:
    from dancebench.detect.protocol.description import VideoSetRecord
    from dancebench.detect.protocol.holdout import HoldoutResult

SIZE, FRAMES, FPS = (64, 32), 20, 25.0
SPLITS: dict[Split, range] = {"train": range(0, 6), "validation": range(6, 9), "holdout": range(9, 13)}

Label = Literal[0, 1]
Frame = npt.NDArray[np.uint8]


def real_frames(subject: int, n_frames: int = FRAMES, size: tuple[int, int] = SIZE) -> list[Frame]:
    """A textured background, different for each person, and a disc that swings over it."""
    rng = np.random.default_rng(subject)
    height, width = size
    tiles = rng.integers(40, 200, (16, 8, 3), dtype=np.uint8)
    background = cv2.resize(tiles, (width, height))
    colour = tuple(int(value) for value in rng.integers(0, 256, 3))
    frames = []
    for t in range(n_frames):
        frame = background.copy()
        centre = int(width / 2 + width / 4 * np.sin(0.4 * t + subject)), height // 2
        cv2.circle(frame, centre, width // 6, colour, -1)
        cv2.line(frame, centre, (width // 2, height - 4), (255, 255, 255), max(1, width // 32))
        frames.append(frame)
    return frames


def fake_frames(subject: int, n_frames: int = FRAMES, size: tuple[int, int] = SIZE) -> list[Frame]:
    """The same scene as from a poor synthesizer: blurred, with flicker."""
    rng = np.random.default_rng(1000 + subject)
    fakes = []
    for frame in real_frames(subject, n_frames, size):
        noise = cv2.resize(rng.normal(0, 6, (32, 16, 3)), (size[1], size[0]))
        blurred = cv2.GaussianBlur(frame, (0, 0), 0.8 * size[1] / SIZE[1]) + noise
        fakes.append(blurred.clip(0, 255).astype(np.uint8))
    return fakes


def add_video(root: Path, subject: int, split: Split, label: Label, frames: list[Frame]) -> VideoRow:
    """Write one clip and describe it."""
    person = f"s{subject:02d}"
    kind = "blur" if label else "real"
    info = write_clip(root / f"{person}-{kind}.mp4", frames, FPS)
    return VideoRow(
        video_id=f"{person}/{person}/{kind}",
        path=info.path.name,
        sha256=info.sha256,
        label=label,
        split=split,
        people=name_people(person),
        method=kind if label else None,
        pictures="camera",
        fps=info.fps,
        n_frames=info.n_frames,
        codec="h264",
        crf=18,
        width=info.width,
        height=info.height,
    )


def write_people(root: Path, n_frames: int = FRAMES) -> VideoSet:
    """Thirteen people with a real and a fake each, in clips of so many frames, with their manifest."""
    rows = []
    for split, subjects in SPLITS.items():
        for subject in subjects:
            rows.append(add_video(root, subject, split, 0, real_frames(subject, n_frames)))
            rows.append(add_video(root, subject, split, 1, fake_frames(subject, n_frames)))
    write_manifest(root / "manifest.jsonl", rows)
    return VideoSet.open(root / "manifest.jsonl")


@pytest.fixture(scope="session")
def clips() -> SimpleNamespace:
    """The functions above, for tests that need clips of their own."""
    return SimpleNamespace(
        real_frames=real_frames, fake_frames=fake_frames, add_video=add_video, write_people=write_people, fps=FPS
    )


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirteen people with a real and a fake each."""
    return write_people(tmp_path_factory.mktemp("clips")).root / "manifest.jsonl"


@pytest.fixture(scope="session")
def videos(manifest: Path) -> VideoSet:
    """The videos of the manifest."""
    return VideoSet.open(manifest)


@pytest.fixture(scope="session")
def description(videos: VideoSet, tmp_path_factory: pytest.TempPathFactory) -> "VideoSetRecord":
    """What holds of these videos whatever the detector, measured once."""
    from dancebench.detect.protocol.description import describe_video_set

    return describe_video_set(videos, tmp_path_factory.mktemp("description") / "video_set.json", seed=0)


@pytest.fixture(scope="session")
def config() -> PairPatchConfig:
    """Trains on the synthetic fakes in two seconds."""
    return PairPatchConfig(height=64, width=32, ndf=8, steps=160, batch=8, learning_rate=2e-3, pairs=8)


@pytest.fixture(scope="session")
def result(
    videos: VideoSet, description: "VideoSetRecord", config: PairPatchConfig, tmp_path_factory: pytest.TempPathFactory
) -> "HoldoutResult":
    """Result of the holdout protocol on these clips, computed once."""
    from dancebench.detect.protocol.holdout import train_and_evaluate

    return train_and_evaluate(videos, description, "pair-patch", config, tmp_path_factory.mktemp("detector"))
