"""The detector of motion; known poses stand in for MediaPipe's."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from extractors import always_open
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from dancebench.core.errors import BenchError
from dancebench.core.progress import ignore_progress
from dancebench.datasets.pose import skeleton as body
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.detect.detectors import pose_jitter
from dancebench.detect.detectors.pose_jitter import NAMES, STATE, PoseJitter, PoseJitterConfig, measure_poses
from dancebench.detect.evaluation.metrics import auc
from dancebench.detect.inputs.pairs import PairPool, PooledClip

CONFIG = PoseJitterConfig(height=16, width=16, windows=32)
FRAMES = CONFIG.frames


def moving(jitter: float, seed: int = 0, frames: int = FRAMES) -> Keypoints:
    """A person who moves at one pixel per frame, with a torso of 20 pixels."""
    rng = np.random.default_rng(seed)
    poses = np.ones((frames, 75, 3), np.float32)
    poses[:, :, :2] = np.random.default_rng(7).uniform(0, 50, (75, 2))
    poses[:, body.NECK, :2], poses[:, body.MID_HIP, :2] = (30, 10), (30, 30)
    poses[:, :, 0] += np.arange(frames)[:, None]
    poses[:, :, :2] += rng.normal(0, jitter, (frames, 75, 2))
    return poses


def named(poses: Keypoints) -> dict[str, float]:
    return dict(zip(NAMES, measure_poses(poses, 64).tolist(), strict=True))


def clip(person: str, label: int, frames: int = 20) -> PooledClip:
    """Its brightness encodes its label, which the stand-in below uses."""
    pictures = np.full((frames, 16, 16, 3), 40 + 160 * label, np.uint8)
    return PooledClip(person, label, pictures, np.arange(frames - FRAMES + 1))


POOL = PairPool([clip(person, label) for person in "ab" for label in (0, 1)], FRAMES)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A stand-in for MediaPipe: bright people jitter. Holds one entry per window."""
    labels: list[int] = []

    def extract(frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Keypoints]:
        bright = np.mean(next(iter(frames))) > 120
        labels.append(int(bright))
        yield from moving(0.8 if bright else 0.2, seed=len(labels))

    monkeypatch.setattr(pose_jitter, "open_extractor", always_open(extract))
    return labels


# --- closed form


def test_closed_form_even_motion_has_a_velocity_and_no_acceleration() -> None:
    found = named(moving(0))
    for part in ("trunk", "hands"):
        assert found[f"{part} velocity"] == pytest.approx(np.log(1 / 20 / 1e-3 + 1), rel=1e-3)
        assert found[f"{part} acceleration"] == pytest.approx(0, abs=1e-2)
        assert found[f"{part} missing"] == found[f"{part} flicker"] == 0
    assert found["shin variation"] == pytest.approx(0, abs=1e-4)
    assert found["torso"] == pytest.approx(np.log(20 / 64))


def test_closed_form_a_hand_that_comes_and_goes() -> None:
    poses = moving(0)
    poses[::2, body.LEFT_HAND] = 0
    found = named(poses)
    assert found["hands missing"] == pytest.approx(0.25)
    assert found["hands flicker"] == pytest.approx(0.5)
    assert found["arms missing"] == 0


def test_closed_form_arms_of_different_length() -> None:
    poses = moving(0)
    poses[:, body.R_ELBOW, :2] = poses[:, body.R_SHOULDER, :2] + [0, 10]
    poses[:, body.L_ELBOW, :2] = poses[:, body.L_SHOULDER, :2] + [0, 20]
    assert named(poses)["upper arm asymmetry"] == pytest.approx(np.log(2), rel=0.01)


# --- laws


def test_jitter_raises_the_motion_features() -> None:
    smooth, jittery = named(moving(0.1)), named(moving(1.0))
    for name in ("arms jerk", "legs acceleration", "thigh variation"):
        assert jittery[name] > smooth[name]


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1), st.integers(0, 99))
def test_features_are_finite_whatever_is_missing(share: float, seed: int) -> None:
    poses = moving(0.5, frames=4)
    poses[np.random.default_rng(seed).random((4, 75)) < share] = 0
    assert np.isfinite(measure_poses(poses, 64)).all()


def test_size_and_place_do_not_matter() -> None:
    poses = moving(0.5)
    larger = poses.copy()
    larger[..., :2] = 3 * poses[..., :2] + 10
    np.testing.assert_allclose(measure_poses(poses, 64), measure_poses(larger, 192), rtol=1e-3, atol=1e-4)


def test_it_learns_jitter_and_can_be_loaded(calls: list[int], tmp_path: Path) -> None:
    detector = PoseJitter(CONFIG)
    assert detector.window == 12
    detector.fit(POOL, tmp_path, ignore_progress)
    windows, labels = POOL.draw_batch(8, np.random.default_rng(5))
    assert auc(labels.astype(np.int64), detector.logits(windows).astype(np.float64)) == 1
    detector.save(tmp_path)
    loaded = PoseJitter.load(tmp_path, CONFIG)
    assert loaded.parameters == len(NAMES) + 1
    assert loaded.logits(windows[:0]).shape == (0,)


def test_an_interrupted_extraction_resumes(calls: list[int], tmp_path: Path) -> None:
    def killed(_: str, done: int, __: int) -> None:
        if done == 18:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PoseJitter(CONFIG).fit(POOL, tmp_path, killed)
    kept = load_file(tmp_path / STATE)["features"]
    assert kept.shape == (16, len(NAMES))
    calls.clear()
    PoseJitter(CONFIG).fit(POOL, tmp_path, ignore_progress)
    assert len(calls) == 16
    np.testing.assert_array_equal(load_file(tmp_path / STATE)["features"][:16], kept)


def test_features_of_another_training_are_not_resumed(calls: list[int], tmp_path: Path) -> None:
    PoseJitter(CONFIG.model_copy(update={"seed": 1})).fit(POOL, tmp_path, ignore_progress)
    calls.clear()
    PoseJitter(CONFIG).fit(POOL, tmp_path, ignore_progress)
    assert len(calls) == CONFIG.windows
    features = load_file(tmp_path / STATE)["features"]
    save_file({"features": features}, tmp_path / STATE)  # as version 0.1.0 left it, without a key
    calls.clear()
    PoseJitter(CONFIG).fit(POOL, tmp_path, ignore_progress)
    assert len(calls) == CONFIG.windows


# --- bad input


@pytest.mark.parametrize("damage", ["shape", "name", "bytes"])
def test_a_damaged_state_is_refused(tmp_path: Path, damage: str) -> None:
    name = "other" if damage == "name" else "features"
    save_file({name: np.zeros(3)}, tmp_path / STATE, {"key": PoseJitter(CONFIG).training_key})
    if damage == "bytes":
        (tmp_path / STATE).write_bytes(b"damaged")
    with pytest.raises(BenchError, match="cannot be used"):
        PoseJitter(CONFIG).fit(POOL, tmp_path, ignore_progress)


def test_a_window_has_at_least_four_frames() -> None:
    with pytest.raises(ValueError, match="frames"):
        PoseJitterConfig(frames=3)
