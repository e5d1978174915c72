"""What each perturbation changes, and what it leaves unchanged."""

import itertools
import math
import pickle
from collections.abc import Iterator
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from dancebench.core.errors import UnknownNameError
from dancebench.detect.inputs.perturbations import (
    NONE,
    PERTURBATIONS,
    ZOOM,
    Perturbation,
    degrade,
    find_perturbation,
)

Frames = npt.NDArray[np.uint8]

FPS = 25.0
SIZES = ((64, 32), (32, 32))
PERTURBING = [name for name in PERTURBATIONS if name != NONE]
ENCODING = [name for name, each in PERTURBATIONS.items() if each.family == "h264"]


def perturbed(name: str, frames: Frames, fps: float = FPS) -> Frames:
    return np.stack(list(PERTURBATIONS[name].apply(iter(frames), fps)))


def texture(height: int, width: int, seed: int = 0) -> Frames:
    """A picture with corners to follow."""
    tiles = np.random.default_rng(seed).integers(30, 220, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.GaussianBlur(cv2.resize(tiles, (width, height), interpolation=cv2.INTER_NEAREST), (0, 0), 1)


@pytest.fixture(scope="module")
def clip(clips: SimpleNamespace) -> dict[tuple[int, int], Frames]:
    return {size: np.stack(clips.real_frames(3, n_frames=7, size=size)) for size in SIZES}


# ---------------------------------------------------------------- the whole grid


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PERTURBING)
def test_closed_form_same_size_and_number_deterministic_and_of_bounded_effect(
    name: str, size: tuple[int, int], clip: dict[tuple[int, int], Frames]
) -> None:
    frames = clip[size]
    once, again = perturbed(name, frames), perturbed(name, frames)
    step = round(1 / PERTURBATIONS[name].rate)
    kept = frames[::step]
    assert once.shape == kept.shape
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(once, again)
    assert once.shape != frames.shape or (once != frames).any(axis=(1, 2, 3)).all()
    if step == 1:
        assert 13 < peak_signal_noise_ratio(kept, once) < 50
    else:
        np.testing.assert_array_equal(once, kept)


def test_closed_form_none_changes_nothing(clip: dict[tuple[int, int], Frames]) -> None:
    frames = clip[SIZES[0]]
    np.testing.assert_array_equal(perturbed(NONE, frames), frames)


@pytest.mark.parametrize(
    "names",
    [
        ["crf23", "crf28", "crf40"],
        ["resize50", "resize25"],
        ["blur1", "blur3"],
        ["noise5", "noise15"],
        ["jpeg80", "jpeg50", "jpeg20"],
    ],
)
def test_closed_form_stronger_is_worse(names: list[str], clip: dict[tuple[int, int], Frames]) -> None:
    strengths = [PERTURBATIONS[name].strength for name in names]
    quality = [peak_signal_noise_ratio(clip[SIZES[0]], perturbed(name, clip[SIZES[0]])) for name in names]
    assert strengths == sorted(set(strengths))
    assert quality == sorted(set(quality), reverse=True)


def test_closed_form_the_grid_is_ordered_for_tables() -> None:
    grid = list(PERTURBATIONS.values())
    assert [each.name for each in grid] == list(PERTURBATIONS)
    assert grid[0].name == NONE
    families = [family for family, _ in itertools.groupby(grid, key=lambda each: each.family)]
    assert len(families) == len(set(families))
    for _, family in itertools.groupby(grid, key=lambda each: each.family):
        strengths = [each.strength for each in family]
        assert strengths == sorted(strengths)
    assert {each.name for each in grid if each.kind == "edit"} == {"stabilised", "upscaled", "beautified"}
    assert all((each.family == "edit") == (each.kind == "edit") for each in grid)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_closed_form_a_perturbation_can_be_pickled(name: str) -> None:
    unpickled: Perturbation = pickle.loads(pickle.dumps(PERTURBATIONS[name]))
    frames = [texture(32, 32)] * 3
    for mine, theirs in zip(
        PERTURBATIONS[name].apply(iter(frames), FPS), unpickled.apply(iter(frames), FPS), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", [name for name in PERTURBATIONS if name not in ENCODING])
def test_closed_form_frames_are_read_lazily(name: str) -> None:
    reads = itertools.count()

    def endless() -> Iterator[Frames]:
        while True:
            next(reads)
            yield texture(32, 32)

    out = PERTURBATIONS[name].apply(endless(), FPS)
    next(out)
    assert next(reads) <= 1 + (round(FPS / 2) if name == "stabilised" else 0)


@pytest.mark.parametrize("name", PERTURBATIONS)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_closed_form_a_flat_picture_stays_flat(name: str, level: int) -> None:
    out = perturbed(name, np.full((3, 32, 32, 3), level, np.uint8)).astype(int)
    family = PERTURBATIONS[name].family
    tolerance = {"noise": 255, "brightness": 40, "contrast": 39}.get(family, 2)
    assert np.abs(out - level).max() <= tolerance


@settings(max_examples=10, deadline=None)
@given(height=st.integers(16, 40), width=st.integers(16, 40), n_frames=st.integers(1, 5))
def test_property_any_even_size_and_length(height: int, width: int, n_frames: int) -> None:
    shape = (n_frames, 2 * height, 2 * width, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for name, each in PERTURBATIONS.items():
        if name not in ENCODING:
            assert perturbed(name, frames).shape == (math.ceil(n_frames * each.rate), *shape[1:]), name


@pytest.mark.parametrize("name", [name for name in PERTURBATIONS if name not in ENCODING])
def test_closed_form_no_frames_give_none(name: str) -> None:
    assert list(PERTURBATIONS[name].apply(iter([]), FPS)) == []


def test_closed_form_an_unknown_name_is_refused_and_the_nearest_proposed() -> None:
    with pytest.raises(UnknownNameError, match="Unknown perturbation 'crf41'") as refused:
        find_perturbation("crf41")
    assert refused.value.hint is not None
    assert "Did you mean 'crf40'?" in refused.value.hint


# ---------------------------------------------------------------- one by one


@pytest.mark.parametrize("sigma", [5, 15])
def test_closed_form_noise_has_its_level_and_is_independent_over_time(sigma: int) -> None:
    noise = perturbed(f"noise{sigma}", np.full((6, 64, 64, 3), 128, np.uint8)).astype(float) - 128
    n = noise.size
    assert abs(noise.mean()) < 5 * sigma / math.sqrt(n)
    expected = math.sqrt(sigma**2 + 1 / 12)  # rounding adds a twelfth
    assert noise.std() == pytest.approx(expected, abs=5 * expected / math.sqrt(2 * n))
    between = np.corrcoef(noise.reshape(6, -1))[np.triu_indices(6, 1)]
    assert np.abs(between).max() < 5 / math.sqrt(n / 6)


def test_closed_form_noise_depends_on_the_frame_index_alone() -> None:
    dark, light = (perturbed("noise5", np.full((2, 32, 32, 3), level, np.uint8)).astype(int) for level in (90, 160))
    np.testing.assert_array_equal(dark - 90, light - 160)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("darker", [0, 60, 160, 215]),
        ("brighter", [40, 140, 240, 255]),
        ("flatter", [38, 108, 178, 217]),  # 127.5 + 0.7 (v - 127.5)
        ("harsher", [0, 92, 222, 255]),  # 127.5 + 1.3 (v - 127.5)
    ],
)
def test_closed_form_tone(name: str, expected: list[int]) -> None:
    values = np.array([0, 100, 200, 255], np.uint8)
    frame = np.broadcast_to(values[:, None, None, None], (4, 32, 32, 3))
    assert perturbed(name, frame)[:, 0, 0, 0].tolist() == expected


def test_closed_form_a_crop_enlarges_about_the_middle() -> None:
    frame = np.zeros((1, 100, 60, 3), np.uint8)
    frame[:, 20:80, 12:48] = 200  # 60 x 36 about the middle
    lit = perturbed("crop90", frame)[0, :, :, 0] > 100
    assert lit.any(axis=1).sum() == pytest.approx(60 / 0.9, abs=1.5)
    assert lit.any(axis=0).sum() == pytest.approx(36 / 0.9, abs=1.5)
    np.testing.assert_array_equal(lit, lit[::-1, ::-1])


def test_closed_form_colours_keep_their_channels() -> None:
    frames = np.broadcast_to(np.array([200, 120, 40], np.uint8), (4, 32, 32, 3))
    for name in PERTURBATIONS:
        red, green, blue = perturbed(name, frames).mean(axis=(0, 1, 2))
        assert red > green + 20 > blue + 40, name


def test_closed_form_blur_has_its_sigma() -> None:
    frame = np.zeros((1, 65, 65, 3), np.uint8)
    frame[0, :, :33] = 200
    profile = perturbed("blur3", frame)[0, 32, :, 0].astype(float)
    slope = -np.diff(profile)  # of a blurred edge: a Gaussian
    places = np.arange(len(slope))
    centre = (slope * places).sum() / slope.sum()
    assert math.sqrt((slope * (places - centre) ** 2).sum() / slope.sum()) == pytest.approx(3, abs=0.15)


def test_closed_form_a_shaken_camera_is_stabilised() -> None:
    scene = texture(160, 160)
    offsets = np.random.default_rng(1).normal(0, 0.8, (24, 2))
    shaken = np.stack(
        [
            cv2.warpAffine(scene, np.array([[1, 0, x], [0, 1, y]]), (160, 160), borderMode=cv2.BORDER_REFLECT)
            for x, y in offsets
        ]
    )[:, 32:128, 32:128]
    before, after = (_jitter(frames) for frames in (shaken, perturbed("stabilised", shaken)))
    assert before == pytest.approx(0.8 * math.sqrt(2), rel=0.35)
    assert after < before / 4


def test_closed_form_a_still_camera_is_cropped_and_stays_still() -> None:
    out = perturbed("stabilised", np.stack([texture(96, 64)] * 5))
    assert (out == out[0]).all()
    left, top = -(ZOOM - 1) / 2 * np.array([64, 96])
    enlarged = cv2.warpAffine(
        texture(96, 64), np.array([[ZOOM, 0, left], [0, ZOOM, top]]), (64, 96), flags=cv2.INTER_CUBIC
    )
    np.testing.assert_array_equal(out[0][3:-3, 3:-3], enlarged[3:-3, 3:-3])


def test_closed_form_a_cut_is_no_motion() -> None:
    before, after = np.zeros((32, 32, 3), np.uint8), texture(32, 32)
    steady = perturbed("stabilised", np.stack([after] * 4))
    cut = perturbed("stabilised", np.stack([before] * 3 + [after] * 4))
    np.testing.assert_array_equal(cut[3:], steady)


def _jitter(frames: Frames) -> float:
    """Root mean square of the shift from frame to frame, by phase correlation."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64) for frame in frames]
    taper = cv2.createHanningWindow(grey[0].shape[::-1], cv2.CV_64F)
    steps = [cv2.phaseCorrelate(one, two, taper)[0] for one, two in itertools.pairwise(grey)]
    return float(np.sqrt(np.mean(np.square(steps))))


def test_closed_form_a_degraded_copy_is_worse_and_reproducible(clip: dict[tuple[int, int], Frames]) -> None:
    frames = clip[SIZES[0]]
    one, same, other = (degrade(frames, FPS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == frames.shape
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert 10 < peak_signal_noise_ratio(frames, one) < 40
