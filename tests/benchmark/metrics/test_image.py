"""Image metrics: closed forms, foreign references, regions, nulls."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dancebench.benchmark.metrics import chunks, perceptual
from dancebench.benchmark.metrics.chunks import FakeAndReal
from dancebench.benchmark.metrics.image import measure_clips, measure_differences, measure_images
from dancebench.benchmark.metrics.per_subject import explain_null
from dancebench.benchmark.metrics.perceptual import Lpips
from dancebench.benchmark.metrics.regions import locate_region
from dancebench.core.errors import BenchError
from dancebench.core.nn.trunks import TrunkUnavailableError
from dancebench.core.opencv import cv2
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.face_crop import MIN_SIDE
from dancebench.datasets.pose.skeleton import NOSE, Keypoints
from dancebench.datasets.video.clips import write_clip

SIZE = (64, 48)


def clips(n: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Keypoints]:
    """A noisy fake, its real, and a body in the middle."""
    rng = np.random.default_rng(seed)
    real = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in rng.integers(0, 256, (n, *SIZE, 3), np.uint8)])
    fake = np.clip(real.astype(int) + rng.integers(-20, 21, real.shape), 0, 255).astype(np.uint8)
    keypoints = np.zeros((n, 75, 3), np.float32)
    keypoints[:, NOSE] = (24, 16, 1)
    keypoints[:, 11] = (20, 55, 1)
    keypoints[:, 14] = (28, 55, 1)
    return fake, real, keypoints


def test_foreign_reference_ssim_is_scikit_images() -> None:
    fake, real, keypoints = clips()
    ours = measure_images(FakeAndReal(fake, real, keypoints))["frame_ssim"]
    for t in range(3):
        # torchmetrics averages over all pixels, with windows at the edge filled by reflection
        padded = [np.pad(clip[t], ((5, 5), (5, 5), (0, 0)), "reflect") for clip in (real, fake)]
        _, whole = structural_similarity(
            *padded, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            data_range=255, full=True,
        )  # fmt: skip
        assert ours[t] == pytest.approx(whole[5:-5, 5:-5].mean(), abs=1e-4)


def test_foreign_reference_psnr_is_scikit_images() -> None:
    fake, real, keypoints = clips()
    ours = measure_images(FakeAndReal(fake, real, keypoints))["frame_psnr"]
    for t in range(3):
        assert ours[t] == pytest.approx(peak_signal_noise_ratio(real[t], fake[t], data_range=255), abs=1e-3)


def test_closed_form_mse_is_in_squared_levels_and_does_not_overflow() -> None:
    real, keypoints = np.zeros((2, *SIZE, 3), np.uint8), clips(2)[2]
    rows = measure_images(FakeAndReal(np.full_like(real, 255), real, keypoints))
    assert rows["frame_mse"].tolist() == pytest.approx([65025.0] * 2)
    assert rows["frame_psnr"].tolist() == pytest.approx([0.0] * 2, abs=1e-4)


def test_closed_form_l1_is_a_share_of_the_full_range() -> None:
    real, keypoints = np.zeros((2, *SIZE, 3), np.uint8), clips(2)[2]
    rows = measure_images(FakeAndReal(np.full_like(real, 51), real, keypoints))
    for region in ("frame", "body", "face"):
        assert rows[f"{region}_l1"].tolist() == pytest.approx([0.2] * 2)


def test_foreign_reference_ssim_of_whole_windows_is_what_scikit_image_gives_plainly() -> None:
    fake, real, keypoints = clips()
    ours = measure_images(FakeAndReal(fake, real, keypoints))["frame_ssim_valid"]
    for t in range(3):
        plain = structural_similarity(
            real[t], fake[t], channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            data_range=255,
        )  # fmt: skip
        assert ours[t] == pytest.approx(plain, abs=1e-6)


def test_large_frames_come_in_smaller_batches_with_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure_images(FakeAndReal(*clips(5)))
    monkeypatch.setattr("dancebench.benchmark.metrics.image._BATCH_PIXELS", 2 * SIZE[0] * SIZE[1])
    pd.testing.assert_frame_equal(measure_images(FakeAndReal(*clips(5))), whole, rtol=1e-5)


def test_closed_form_difference_mse_sees_flicker_and_not_an_offset() -> None:
    _, real, keypoints = clips(3)
    real = real // 2
    offset = measure_differences(FakeAndReal(real + 10, real, keypoints))
    assert np.isnan(offset["frame_diff_mse"][0])
    assert offset["frame_diff_mse"][1:].tolist() == pytest.approx([0.0, 0.0])
    flicker = real.copy()
    flicker[1] += 10
    assert measure_differences(FakeAndReal(flicker, real, keypoints))["frame_diff_mse"][1:].tolist() == pytest.approx(
        [100.0] * 2
    )


def test_equal_clips_are_perfect_and_their_infinite_psnr_is_null() -> None:
    _, real, keypoints = clips()
    rows = measure_images(FakeAndReal(real, real, keypoints))
    assert rows["body_ssim"].tolist() == pytest.approx([1.0] * 3)
    assert rows["body_mse"].tolist() == [0.0] * 3
    assert rows["body_psnr"].isna().all()


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 10_000))
def test_ssim_and_mse_are_symmetric(seed: int) -> None:
    fake, real, keypoints = clips(1, seed)
    names = ("frame_ssim", "frame_mse", "body_mse")
    there = measure_images(FakeAndReal(fake, real, keypoints), only=names)
    back = measure_images(FakeAndReal(real, fake, keypoints), only=names)
    for name in names:
        assert there[name][0] == pytest.approx(back[name][0], rel=1e-5)


def test_a_region_sees_its_own_pixels_only() -> None:
    _, real, keypoints = clips(2)
    fake = real.copy()
    fake[:, :4, :4] = 255 - fake[:, :4, :4]  # a corner far from body and face
    rows = measure_images(FakeAndReal(fake, real, keypoints))
    assert (rows["frame_mse"] > 0).all()
    assert (rows["face_mse"] == 0).all()


def test_without_a_pose_the_region_is_null_and_the_frame_is_not() -> None:
    fake, real, keypoints = clips(3)
    keypoints[1] = 0
    compared = FakeAndReal(fake, real, keypoints)
    rows = pd.concat([measure_images(compared), measure_differences(compared)], axis=1)
    for name in ("body_ssim", "face_ssim", "body_diff_mse"):
        assert rows[name].isna().tolist()[1]
        assert not rows[name].isna().tolist()[2]
    assert rows["frame_ssim"].notna().all()


def test_lpips_is_null_without_its_trunk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(TrunkUnavailableError, match="not in BENCH_WEIGHTS"):
        Lpips("squeeze")
    perceptual.load_lpips.cache_clear()
    rows = measure_images(FakeAndReal(*clips()))
    assert rows["frame_lpips_squeeze"].isna().all()
    assert "not in BENCH_WEIGHTS" in explain_null(rows, "frame_lpips_squeeze")


def test_a_trunk_of_another_hash_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "squeezenet1_1_features.pth").write_bytes(b"something else")
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(TrunkUnavailableError, match="is not the squeeze trunk: its SHA-256 begins with"):
        Lpips("squeeze")


def test_foreign_reference_lpips_gives_the_published_distances(trunk_weights: Path) -> None:
    folder = os.environ.get("BENCH_LPIPS_REFERENCE")
    if not folder:
        pytest.skip("BENCH_LPIPS_REFERENCE is not set")

    def read(name: str) -> torch.Tensor:
        picture = cv2.imread(str(Path(folder or "") / f"lpips_ex_{name}.png"))[..., ::-1].copy()
        return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1

    lpips = Lpips("squeeze")
    assert float(lpips(read("ref"), read("p0"))) == pytest.approx(0.711048, abs=1e-5)
    assert float(lpips(read("ref"), read("p1"))) == pytest.approx(0.147902, abs=1e-5)


def test_lpips_of_equal_frames_is_zero_in_every_region(trunk_weights: Path) -> None:
    _, real, keypoints = clips()
    rows = measure_images(FakeAndReal(real, real, keypoints))
    for region in ("frame", "body", "face"):
        assert rows[f"{region}_lpips_squeeze"].abs().max() < 1e-6


def test_closed_form_regions() -> None:
    keypoints = np.zeros((75, 3), np.float32)
    keypoints[NOSE] = (100, 60, 1)
    keypoints[11] = (80, 400, 1)
    assert locate_region("frame", keypoints, (512, 256)) == Box(0, 512, 0, 256)
    assert locate_region("face", keypoints, (512, 256)) == Box(0, 128, 36, 164)  # moved inside at the top
    body = locate_region("body", keypoints, (512, 256))
    assert body is not None
    top, bottom, left, right = body.edges
    assert top <= 60 - 34
    assert bottom >= 400 + 34
    assert left <= 80 - 34
    assert right >= 100 + 34
    assert (bottom - top) % 16 == (right - left) % 16 == 0


@given(st.floats(-50, 300), st.floats(-50, 600), st.floats(-50, 300), st.floats(-50, 600))
def test_regions_lie_inside_the_frame(x0: float, y0: float, x1: float, y1: float) -> None:
    keypoints = np.zeros((75, 3), np.float32)
    keypoints[NOSE], keypoints[11] = (x0, y0, 1), (x1, y1, 1)
    for region in ("body", "face"):
        box = locate_region(region, keypoints, (512, 256))  # type: ignore[arg-type]
        assert box is not None
        top, bottom, left, right = box.edges
        assert 0 <= top < bottom <= 512
        assert 0 <= left < right <= 256
        assert min(bottom - top, right - left) >= MIN_SIDE


def test_clips_of_other_shapes_are_refused() -> None:
    fake, real, keypoints = clips()
    with pytest.raises(BenchError, match="cannot be compared frame by frame"):
        measure_images(FakeAndReal(fake[:2], real, keypoints))


def test_chunks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real, keypoints = clips(7)
    write_clip(tmp_path / "fake.mp4", fake, 25)
    write_clip(tmp_path / "real.mp4", real, 25)
    whole = measure_clips(tmp_path / "fake.mp4", tmp_path / "real.mp4", keypoints)
    monkeypatch.setattr(chunks, "CHUNK", 3)
    parts = measure_clips(tmp_path / "fake.mp4", tmp_path / "real.mp4", keypoints)
    assert whole["t"].tolist() == parts["t"].tolist() == list(range(7))
    for name in whole:
        assert np.allclose(whole[name], parts[name], equal_nan=True, rtol=1e-5), name


def test_closed_form_the_difference_mse_is_null_without_a_previous_frame() -> None:
    fake, real, keypoints = clips(4)
    starts = np.array([True, False, True, False])
    rows = measure_differences(FakeAndReal(fake, real, keypoints, starts=starts))
    for region in ("frame", "body", "face"):
        assert rows[f"{region}_diff_mse"].isna().tolist() == starts.tolist()
