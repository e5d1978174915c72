"""Null control and shortcut baselines."""

from pathlib import Path
from types import SimpleNamespace
from typing import Self

import numpy as np
import pytest

from dancebench.core.metric import Metric
from dancebench.core.progress import Report
from dancebench.datasets.manifest import VideoRow, read_manifest
from dancebench.datasets.video import write_clip
from dancebench.detect.controls import container_features, flags, null_control, shortcut_controls
from dancebench.detect.evaluate import score_rows
from dancebench.detect.pairs import PairPool, Pairs
from dancebench.detect.registry import Detector, DetectorConfig, Logits


class Brightness(Detector):
    """A detector by formula: the mean brightness of a pair, times a sign."""

    Config = DetectorConfig
    sign = 1.0
    parameters = 0

    def fit(self, pool: PairPool, state: Path, report: Report) -> None: ...

    def logits(self, pairs: Pairs) -> Logits:
        means: Logits = pairs.mean(axis=(1, 2, 3, 4), dtype=np.float32)
        return means * np.float32(self.sign)

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        return cls(config, device)


def flat_world(root: Path, clips: SimpleNamespace, fake_frames: int = 10, people: int = 9) -> list[VideoRow]:
    """Reals of one grey, fakes of a lighter one; one colour survives any encoder."""
    rows = []
    for subject in range(people):
        split = "holdout" if subject >= people // 3 else "train"
        for label, n_frames in ((0, 10), (1, fake_frames)):
            frame = np.full((32, 16, 3), 100 + 60 * label, np.uint8)
            rows.append(clips.add_video(root, subject, split, label, [frame] * n_frames))
    return rows


@pytest.fixture
def brightness() -> Brightness:
    return Brightness(DetectorConfig(height=32, width=16, pairs=3))


# --- closed form


def test_closed_form_null_shift_of_clips_that_encoding_does_not_change(
    tmp_path: Path, clips: SimpleNamespace, brightness: Brightness
) -> None:
    rows = [row for row in flat_world(tmp_path, clips) if row.split == "holdout"]
    tables = score_rows(brightness, tmp_path, rows, "mean-logit")
    shift = null_control(brightness, tmp_path, rows, tables, "mean-logit")
    assert shift.value == pytest.approx(0, abs=0.02)
    assert shift.n == 6


def test_closed_form_null_shift_is_a_share_of_the_gap(
    tmp_path: Path, clips: SimpleNamespace, brightness: Brightness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were encoding to brighten by 30 where fakes are 60 brighter, the shift would be a half."""

    def brightened(path: Path, frames: object, fps: float) -> object:
        return write_clip(path, (frame + np.uint8(30) for frame in frames), fps)  # type: ignore[attr-defined]

    monkeypatch.setattr("dancebench.detect.controls.write_clip", brightened)
    rows = [row for row in flat_world(tmp_path, clips) if row.split == "holdout"]
    tables = score_rows(brightness, tmp_path, rows, "mean-logit")
    assert null_control(brightness, tmp_path, rows, tables, "mean-logit").value == pytest.approx(0.5, abs=0.02)


def test_a_detector_without_a_gap_has_no_null_shift(
    tmp_path: Path, clips: SimpleNamespace, brightness: Brightness
) -> None:
    brightness.sign = -1.0
    rows = [row for row in flat_world(tmp_path, clips) if row.split == "holdout"]
    tables = score_rows(brightness, tmp_path, rows, "mean-logit")
    shift = null_control(brightness, tmp_path, rows, tables, "mean-logit")
    assert (shift.value, shift.reason) == (None, "fakes score no higher than reals")


# --- shortcuts


def test_containers_of_reals_and_fakes_are_alike(manifest: Path) -> None:
    rows = read_manifest(manifest)
    features = [container_features(manifest.parent / row.path) for row in rows]
    assert all(found == features[0] for found in features)


def test_a_shorter_fake_is_a_shortcut(tmp_path: Path, clips: SimpleNamespace) -> None:
    """14 held-out people: one labelling of 2^14 is as extreme, so p is near its floor of 1 / 1000."""
    metrics = shortcut_controls(tmp_path, flat_world(tmp_path, clips, fake_frames=9, people=21), seed=0)
    assert metrics["shortcut_auc"].value == 1.0
    p = metrics["shortcut_p"].value
    assert p is not None
    assert 0.001 <= p <= 0.003


def test_without_a_shortcut_the_baseline_is_blind_but_for_the_bytes(manifest: Path) -> None:
    metrics = shortcut_controls(manifest.parent, read_manifest(manifest), seed=0)
    assert metrics["shortcut_auc"].value == 0.5
    assert metrics["shortcut_p"].value == 1.0
    assert metrics["bytes_per_frame_auc"].value == 1.0  # the noise of these fakes costs bytes


def test_held_out_videos_of_one_kind_give_null(tmp_path: Path, clips: SimpleNamespace) -> None:
    rows = [row for row in flat_world(tmp_path, clips) if row.split == "train" or row.label == 0]
    metrics = shortcut_controls(tmp_path, rows, seed=0)
    assert {metric.value for metric in metrics.values()} == {None}


# --- flags


def metric(value: float | None) -> Metric:
    reason = "none" if value is None else None
    return Metric(value=value, reason=reason, n=1, unit="share", higher_is_better=None)


@pytest.mark.parametrize(
    ("shift", "p", "expected"),
    [(0.10, 0.01, 0), (0.11, 0.01, 1), (0.10, 0.009, 1), (0.5, 0.001, 2), (None, None, 0)],
)
def test_flags_follow_their_limits(shift: float | None, p: float | None, expected: int) -> None:
    assert len(flags({"null_shift": metric(shift), "shortcut_p": metric(p)})) == expected
