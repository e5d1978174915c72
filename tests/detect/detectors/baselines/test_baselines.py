"""Published detectors of single frames: their transforms, and fakes of their own kind over ten drawn people."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import fft2, ifft2
from scipy.signal import correlate2d

from dancebench.core.progress import ignore_progress
from dancebench.datasets.dancers.dancer import dance, make_dancer
from dancebench.detect.detectors.base import DETECTORS, configure_detector
from dancebench.detect.detectors.baselines.npr import UpsamplingResidual
from dancebench.detect.detectors.baselines.spsl import PhaseChannel, draw_phase
from dancebench.detect.detectors.baselines.srm import FILTERS, NoiseResiduals
from dancebench.detect.evaluation.metrics import auc
from dancebench.detect.inputs.pairs import Frames, PairPool, PooledClip

PEOPLE, TRAINING = 10, 6
HEIGHT, WIDTH = 64, 64


@cache
def draw_person(seed: int) -> Frames:
    """Three frames of a drawn dancer, (3, 64, 64, 3) around the body at native resolution."""
    frames = [frame for frame, _ in dance(make_dancer(seed), 3, fps=5)]
    return np.stack(frames)[:, 224 : 224 + HEIGHT, 96 : 96 + WIDTH]


def enlarge_nearest(frame: Frames) -> Frames:
    return frame[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)


def enlarge_smoothly(frame: Frames) -> Frames:
    half = cv2.resize(frame, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(half, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def replace_noise(frame: Frames) -> Frames:
    """The noise of a generator in place of the camera's: as strong, but correlated between neighbours."""
    noise = np.random.default_rng(int(frame.sum())).normal(0, 1.3, frame.shape)
    correlated = cv2.GaussianBlur(noise, (0, 0), 0.8)
    clean = cv2.medianBlur(frame, 3).astype(np.float64)
    return (clean + correlated * (1.3 / correlated.std())).round().clip(0, 255).astype(np.uint8)


def make_pool(people: range, falsify: Callable[[Frames], Frames]) -> PairPool:
    clips = []
    for person in people:
        real = draw_person(person)
        fake = np.stack([falsify(frame) for frame in real])
        clips += [PooledClip(str(person), label, each, np.arange(3)) for label, each in ((0, real), (1, fake))]
    return PairPool(clips, window=1)


# --- closed form


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_closed_form_the_residual_of_an_enlarged_picture_is_zero(seed: int) -> None:
    small = torch.rand((1, 3, 5, 4), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    enlarged = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert UpsamplingResidual()(enlarged).abs().max() == 0


def test_closed_form_the_residual_of_a_step_is_its_height_in_levels_within_a_cell() -> None:
    step = torch.zeros(1, 1, 3, 5)
    step[..., 1:] = 2 / 255  # one 8-bit level; the step lies within the first cell, and the last cells are half
    found = UpsamplingResidual()(step)[0, 0]
    expected = torch.zeros(3, 5)
    expected[:, 1] = 1
    torch.testing.assert_close(found, expected)


def test_closed_form_filters_sum_to_zero_and_are_blind_to_ramps() -> None:
    assert FILTERS.sum(dim=(1, 2)).abs().max() < 1e-6
    assert (FILTERS.amin(dim=(1, 2)) == -1).all()  # the middle, which the others predict
    ramp = (torch.arange(9.0)[:, None] + 2 * torch.arange(8.0)).expand(1, 3, 9, 8) / 255
    assert NoiseResiduals()(ramp)[..., 2:-2, 2:-2].abs().max() < 1e-4


def test_closed_form_a_dot_gives_the_filters_and_a_bright_one_their_truncation() -> None:
    dot = torch.zeros(1, 3, 9, 9)
    dot[:, 1, 4, 4] = 2 / 255  # of one level, in green
    found = NoiseResiduals()(dot)[0]
    torch.testing.assert_close(found[3:6, 2:7, 2:7], FILTERS)
    assert found[:3].abs().max() == found[6:].abs().max() == 0
    assert NoiseResiduals()(100 * dot).amin() == -2


def test_closed_form_the_phase_of_a_shifted_picture_is_shifted_and_no_gain_changes_it() -> None:
    picture = torch.rand((1, 16, 12), generator=torch.Generator().manual_seed(0))
    phase = draw_phase(picture)
    shifted = draw_phase(picture.roll((3, 5), dims=(1, 2)))
    torch.testing.assert_close(shifted, phase.roll((3, 5), dims=(1, 2)), atol=1e-4, rtol=0)
    torch.testing.assert_close(draw_phase(0.3 * picture + 0.2), phase, atol=1e-4, rtol=0)
    assert phase.square().mean() == pytest.approx(1 - 1 / (16 * 12), rel=1e-4)  # all frequencies but the mean


def test_closed_form_a_plain_picture_has_no_phase() -> None:
    plain = torch.full((1, 3, 16, 12), 0.3)
    found = PhaseChannel()(plain)
    assert torch.equal(found[:, :3], plain)
    assert found[:, 3].abs().max() == 0


# --- foreign reference


def test_foreign_reference_residuals_and_phase() -> None:
    frame = torch.rand((1, 3, 12, 10), generator=torch.Generator().manual_seed(1)) * 0.02
    found = NoiseResiduals()(frame)[0]
    for colour in range(3):
        for index, kernel in enumerate(FILTERS.numpy()):
            expected = correlate2d(127.5 * frame[0, colour].numpy(), kernel, mode="valid").clip(-2, 2)
            np.testing.assert_allclose(found[3 * colour + index, 2:-2, 2:-2], expected, atol=1e-4)
    grey = frame[0, 0].double().numpy()
    spectrum = fft2(grey)
    spectrum[0, 0] = 0
    unit = np.divide(spectrum, np.abs(spectrum), out=np.zeros_like(spectrum), where=np.abs(spectrum) > 0)
    np.testing.assert_allclose(draw_phase(frame[0, 0]), ifft2(unit, norm="ortho").real, atol=1e-3)


# --- they detect their own kind


@pytest.mark.parametrize(
    ("name", "falsify", "steps"),
    [
        ("npr", enlarge_nearest, 100),
        pytest.param("npr", enlarge_smoothly, 200, marks=pytest.mark.long),
        ("srm", replace_noise, 100),
        ("spsl", enlarge_nearest, 100),
    ],
)
def test_fakes_of_its_own_kind_are_told_from_held_out_drawn_people(
    name: str, falsify: Callable[[Frames], Frames], steps: int, tmp_path: Path
) -> None:
    config = configure_detector(name, height=HEIGHT, width=WIDTH, channels=8, steps=steps, batch=8)
    detector = DETECTORS[name](config)
    assert detector.window == 1
    detector.fit(make_pool(range(TRAINING), falsify), tmp_path / "state", ignore_progress)
    frames, labels = make_pool(range(TRAINING, PEOPLE), falsify).draw_batch(64, np.random.default_rng(0))
    logits = detector.logits(frames)
    assert auc(labels.astype(np.int64), logits.astype(np.float64)) >= 0.9
    detector.save(tmp_path)
    again = DETECTORS[name].load(tmp_path, config)
    np.testing.assert_array_equal(again.logits(frames), logits)
    saliency = again.saliency(frames[:2])
    assert saliency is not None
    assert saliency.shape == (2, HEIGHT, WIDTH)
