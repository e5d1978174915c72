"""Metrics of the foreground: closed forms, a foreign reference, laws, nulls with their reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from dancebench.benchmark.metrics import chunks
from dancebench.benchmark.metrics.chunks import FakeAndReal, Frames, measure_in_chunks
from dancebench.benchmark.metrics.image import measure_differences, measure_foreground, measure_images
from dancebench.benchmark.metrics.per_subject import explain_null
from dancebench.datasets.subjects.masks import PersonMasks
from dancebench.datasets.video.clips import VideoReader, write_clip

SIZE = (32, 48)
LEVELS = ("foreground_ssim", "foreground_psnr", "foreground_mse", "foreground_diff_mse")


def pack(masks: npt.NDArray[np.bool_]) -> PersonMasks:
    return PersonMasks(np.packbits(masks, axis=-1))


def compare(fake: Frames, real: Frames, masks: npt.NDArray[np.bool_] | str) -> FakeAndReal[Frames]:
    points = np.zeros((len(real), 75, 3), np.float32)
    return FakeAndReal(fake, real, points, masks=masks if isinstance(masks, str) else pack(masks))


def noise(n: int = 4) -> tuple[Frames, Frames, npt.NDArray[np.bool_]]:
    """A fake, its real, and a person who fills a quarter of each frame."""
    rng = np.random.default_rng(0)
    fake, real = (rng.integers(0, 256, (n, *SIZE, 3), np.uint8) for _ in range(2))
    masks = np.zeros((n, *SIZE), np.bool_)
    masks[:, 8:24, 12:36] = True
    return fake, real, masks


def test_closed_form_an_offset_counts_in_the_share_that_the_person_fills() -> None:
    _, real, masks = noise()
    real = real // 2
    rows = measure_foreground(compare(real + 51, real, masks))
    assert rows["foreground_mse"].tolist() == pytest.approx([51**2 / 4] * 4, rel=1e-5)
    assert rows["foreground_psnr"].tolist() == pytest.approx([10 * np.log10(4 * 25)] * 4, rel=1e-5)
    assert rows["foreground_diff_mse"][1:].tolist() == pytest.approx([0] * 3)
    assert np.isnan(rows["foreground_diff_mse"][0])
    assert rows["foreground_reason"].tolist() == [None] * 4


def test_closed_form_a_flickering_person_moves_the_difference_frames_by_twice_the_offset() -> None:
    _, real, masks = noise()
    real = real // 2
    fake = real + np.array([0, 20, 0, 20], np.uint8)[:, None, None, None]
    rows = measure_foreground(compare(fake, real, masks))
    assert rows["foreground_diff_mse"][1:].tolist() == pytest.approx([20**2 / 4] * 3)


def test_foreign_reference_mse_and_psnr_are_scikit_images_of_the_masked_frames() -> None:
    fake, real, masks = noise()
    rows = measure_foreground(compare(fake, real, masks))
    for t in range(4):
        pair = real[t] * masks[t, ..., None], fake[t] * masks[t, ..., None]
        assert rows["foreground_mse"][t] == pytest.approx(mean_squared_error(*pair), rel=1e-5)
        assert rows["foreground_psnr"][t] == pytest.approx(peak_signal_noise_ratio(*pair, data_range=255), rel=1e-5)


def test_law_a_mask_of_everything_gives_the_values_of_the_whole_frame() -> None:
    fake, real, masks = noise()
    clips = compare(fake, real, np.ones_like(masks))
    whole = measure_images(clips).join(measure_differences(clips))
    for name in LEVELS:
        expected = whole[name.replace("foreground", "frame")]
        pd.testing.assert_series_equal(measure_foreground(clips)[name], expected, check_names=False)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_law_what_lies_outside_the_person_has_no_part(seed: int) -> None:
    fake, real, masks = noise()
    elsewhere = np.random.default_rng(seed).integers(0, 256, fake.shape, np.uint8)
    other = np.where(masks[..., None], fake, elsewhere)
    pd.testing.assert_frame_equal(
        measure_foreground(compare(other, real, masks)), measure_foreground(compare(fake, real, masks))
    )


def test_frozen_masks_of_another_size_are_reduced_to_the_pixels_that_are_at_least_half_the_persons() -> None:
    fake, real, masks = noise()
    large = np.repeat(np.repeat(masks, 2, axis=1), 2, axis=2)
    large[:, 48, 24:72] = True  # one more row: half of a row of the frames
    rows = measure_foreground(compare(fake, real, large))
    masks[:, 24, 12:36] = True
    pd.testing.assert_frame_equal(rows, measure_foreground(compare(fake, real, masks)))


def test_frames_in_which_nobody_is_found_are_null_with_the_reason() -> None:
    fake, real, masks = noise()
    masks[2] = False
    rows = measure_foreground(compare(fake, real, masks))
    assert rows["foreground_mse"].isna().tolist() == [False, False, True, False]
    assert rows["foreground_diff_mse"].isna().tolist() == [True, False, True, True]
    nobody = measure_foreground(compare(fake, real, np.zeros_like(masks)))
    for name in LEVELS:
        assert nobody[name].isna().all()
        assert explain_null(nobody, name) == "the person was not found in the real frame"


def test_without_masks_every_value_is_null_with_the_reason() -> None:
    fake, real, _ = noise()
    rows = measure_foreground(compare(fake, real, "no extractor finds masks"))
    assert len(rows) == 4
    for name in LEVELS:
        assert rows[name].isna().all()
        assert explain_null(rows, name) == "no extractor finds masks"


def test_law_chunks_have_no_part_in_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real, masks = noise(7)
    masks[4] = False
    paths = tmp_path / "fake.mp4", tmp_path / "real.mp4"
    decoded = []
    for path, frames in zip(paths, (fake, real), strict=True):
        write_clip(path, frames, 25)
        with VideoReader(path) as reader:
            decoded.append(reader.read(range(7)))
    whole = measure_foreground(compare(decoded[0], decoded[1], masks))
    monkeypatch.setattr(chunks, "CHUNK", 3)
    clips = FakeAndReal(*paths, np.zeros((7, 75, 3), np.float32), masks=pack(masks))
    pd.testing.assert_frame_equal(measure_in_chunks(clips, measure_foreground).drop(columns="t"), whole, rtol=1e-5)
