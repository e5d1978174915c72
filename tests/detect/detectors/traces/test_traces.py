"""`traces`: last stages of generators, pairs that differ by nothing else, and stages that it did not learn from."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from dancebench.core.errors import BenchError
from dancebench.core.progress import ignore_progress
from dancebench.datasets.dancers.dancer import dance, make_dancer
from dancebench.detect.detectors.traces import _discriminant as discriminants
from dancebench.detect.detectors.traces._discriminant import fit_discriminant
from dancebench.detect.detectors.traces.detector import Traces, TracesConfig
from dancebench.detect.detectors.traces.last_stages import (
    LAST_STAGES,
    MULTIPLE,
    WINDOW,
    LastStage,
    interpolate_inner_frames,
    learn_last_stages,
)
from dancebench.detect.detectors.traces.pairs import (
    PairVectors,
    degrade_pictures_alike,
    degrade_windows_alike,
    draw_patches,
    draw_small_patches,
    measure_pairs,
    measure_patches,
)
from dancebench.detect.inputs.pairs import PairPool, Pairs, PooledClip
from dancebench.detect.trunk.features import PATCH

PEOPLE, TRAINING = 12, 8
SIDE = 64


@cache
def draw_person(seed: int) -> Pairs:
    """Six frames of a drawn dancer, (6, 64, 64, 3) around the body at native resolution."""
    frames = [frame for frame, _ in dance(make_dancer(seed), 6, fps=25)]
    return np.stack(frames)[:, 224 : 224 + SIDE, 96 : 96 + SIDE]


def make_pool(people: range, *, fake: int = 0) -> PairPool:
    """Reals of drawn people, and fakes that are one grey picture."""
    clips = []
    for person in people:
        real = draw_person(person)
        clips += [
            PooledClip(str(person), label, each, np.arange(len(real) - WINDOW + 1))
            for label, each in ((0, real), (1, np.full_like(real, fake)))
        ]
    return PairPool(clips, window=WINDOW)


def make_texture(height: int, width: int) -> Pairs:
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


# --- closed form


def test_closed_form_between_two_places_of_a_moving_picture_lies_the_middle() -> None:
    picture = make_texture(64, 96)
    window = np.stack([np.roll(picture, shift, axis=1) for shift in (0, 2, 4)])
    window[1] = 0  # what is interpolated is not looked at
    made = interpolate_inner_frames(window[None])[0]
    np.testing.assert_array_equal(made[[0, 2]], window[[0, 2]])
    inside = np.s_[8:-8, 12:-12]
    error = np.abs(made[1][inside].astype(int) - np.roll(picture, 2, axis=1)[inside].astype(int))
    assert error.mean() < 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_two_equal_pictures_stay_equal_whatever_degrades_them(seed: int) -> None:
    window = draw_person(0)[:WINDOW]
    for degraded in (
        degrade_pictures_alike([window[1], window[1].copy()], np.random.default_rng(seed)),
        degrade_windows_alike([window, window.copy()], np.random.default_rng(seed)),
    ):
        first, second = degraded
        np.testing.assert_array_equal(first, second)
        assert first.shape == window[1].shape


def test_a_pair_differs_by_its_last_stage_alone() -> None:
    patches = [draw_person(person)[:WINDOW] for person in range(3)]
    stages: dict[str, LastStage] = {"same": lambda windows: windows, "black": np.zeros_like}
    found = measure_pairs(patches, ["a", "b", "c"], stages, np.random.default_rng(0), ignore_progress)
    assert found.people == [*"aaabbbccc"]
    assert found.stages == ("same", "black")
    np.testing.assert_array_equal(found.vectors[:, 0], found.vectors[:, 1])
    np.testing.assert_allclose(found.vectors[0, 0], measure_patches([patches[0][1]])[0], atol=1e-4)
    assert np.abs(found.vectors[:, 2] - found.vectors[:, 0]).max() > 0.1


def test_patches_lie_within_the_picture_and_are_multiples_of_what_stages_need() -> None:
    window = np.zeros((WINDOW, 100, 300, 3), np.uint8)
    window[:, 20:81] = make_texture(104, 304)[20:81, :300]  # between black bars
    for patch in draw_patches(window, 5, np.random.default_rng(0)):
        assert patch.shape == (WINDOW, 56, PATCH, 3)
        assert patch.shape[1] % MULTIPLE == 0
        assert patch.max(axis=(0, 3)).min() > 0
    assert draw_patches(window[:, 20 : 20 + MULTIPLE - 1], 5, np.random.default_rng(0)) == []


def test_small_patches_are_of_one_size() -> None:
    patches = [np.zeros((WINDOW, side, 2 * side, 3), np.uint8) for side in (16, 48, 96)]
    assert draw_small_patches(patches, 64)(4, np.random.default_rng(0)).shape == (4, WINDOW, 64, 64, 3)
    assert draw_small_patches(patches[:2], 64)(4, np.random.default_rng(0)).shape == (4, WINDOW, 48, 48, 3)


# --- the direction


def make_vectors(seed: int, people: int, shift: float, size: int = 6) -> PairVectors:
    """Reals around one mean of each person, and the same moved along the first feature."""
    generator = np.random.default_rng(seed)
    reals = np.repeat(generator.normal(0, 0.3, (people, size)), 20, axis=0) + generator.normal(
        0, 1, (people * 20, size)
    )
    made = reals + generator.normal(0, 0.3, reals.shape) + shift * np.eye(size)[0]
    return PairVectors(np.stack([reals, made], axis=1), [str(row // 20) for row in range(len(reals))], ("only",))


def test_foreign_reference_the_direction_is_scikit_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    monkeypatch.setattr(discriminants, "SHRINKAGE", 0.0)
    pairs = make_vectors(0, 30, 2.0)
    found = fit_discriminant(pairs)
    vectors = np.concatenate([pairs.vectors[:, 0], pairs.vectors[:, 1]])
    model = LinearDiscriminantAnalysis(solver="lsqr").fit(vectors, np.repeat([0, 1], len(pairs.vectors)))
    ours, theirs = found.direction / found.spread, model.coef_[0]
    np.testing.assert_allclose(ours / np.linalg.norm(ours), theirs / np.linalg.norm(theirs), atol=1e-9)


def test_reals_of_new_people_lie_in_the_middle_of_the_scale() -> None:
    found = fit_discriminant(make_vectors(0, 40, 2.0))
    new = make_vectors(1, 200, 2.0).vectors
    assert np.median(found.logits(new[:, 0])) == pytest.approx(0, abs=0.4)
    assert np.median(found.logits(new[:, 1])) > 2


# --- last stages


@cache
def learn_stages(seed: int, steps: int = 60) -> dict[str, LastStage]:
    patches = [draw_person(person)[first : first + WINDOW] for person in range(TRAINING) for first in (0, 3)]
    return learn_last_stages(draw_small_patches(patches, 32), steps, seed, ignore_progress)


def test_last_stages_leave_a_real_nearly_as_it_was() -> None:
    window = draw_person(PEOPLE - 1)[None, :WINDOW]
    for name, stage in learn_stages(0).items():
        made = stage(window)
        assert (made.shape, made.dtype) == (window.shape, np.uint8)
        error = np.square(made.astype(float) - window).mean()
        assert error > 0, name
        if not name.endswith("x"):  # after so few steps a latent space has yet to learn
            assert error < 0.1 * window.astype(float).var(), name
    assert tuple(learn_stages(0)) == LAST_STAGES


def test_the_same_seed_gives_the_same_stages() -> None:
    window = draw_person(0)[None, :WINDOW]
    first, second = learn_stages(3, steps=5), learn_stages.__wrapped__(3, steps=5)
    for name in LAST_STAGES:
        np.testing.assert_array_equal(first[name](window), second[name](window))


# --- the detector

CONFIG = TracesConfig(height=SIDE, width=SIDE, stage_steps=60, windows=4, drawn=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Traces:
    detector = Traces(CONFIG)
    detector.fit(make_pool(range(TRAINING)), tmp_path_factory.mktemp("traces"), ignore_progress)
    return detector


def test_last_stages_of_another_training_are_told_from_held_out_people(trained: Traces, tmp_path: Path) -> None:
    reals = np.stack(
        [draw_person(person)[first : first + WINDOW] for person in range(TRAINING, PEOPLE) for first in (0, 3)]
    )
    for name in LAST_STAGES:
        fakes = learn_stages(7)[name](reals)
        assert (trained.logits(fakes) > trained.logits(reals)).mean() >= 7 / 8, name  # each against its own real
    trained.save(tmp_path)
    again = Traces.load(tmp_path, trained.config)
    np.testing.assert_array_equal(again.logits(reals), trained.logits(reals))
    saliency = again.saliency(np.concatenate([reals[:1], fakes[:1]]))
    assert saliency.shape == (2, SIDE, SIDE)
    assert saliency[1].mean() > saliency[0].mean()


def test_fakes_of_the_training_set_change_nothing(tmp_path: Path) -> None:
    config = TracesConfig(height=SIDE, width=SIDE, stage_steps=2, windows=1, drawn=1)
    windows = draw_person(0)[None, :WINDOW]
    found = []
    for grey in (0, 200):
        detector = Traces(config)
        detector.fit(make_pool(range(4), fake=grey), tmp_path / str(grey), ignore_progress)
        found.append(detector.logits(windows))
    np.testing.assert_array_equal(*found)


def test_too_few_people_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="show 2 people; 'traces' needs 3") as refused:
        Traces(CONFIG).fit(make_pool(range(2)), tmp_path, ignore_progress)
    assert refused.value.hint


@pytest.mark.parametrize("change", [{"spread": -1.0}, {"direction": np.nan}, {"scale": 0.0}])
def test_damaged_weights_are_refused(trained: Traces, tmp_path: Path, change: dict[str, float]) -> None:
    trained.save(tmp_path)
    tensors = load_file(tmp_path / Traces.WEIGHTS)
    for name, value in change.items():
        tensors[name] = np.full_like(tensors[name], value)
    save_file(tensors, tmp_path / Traces.WEIGHTS)
    with pytest.raises(BenchError, match="does not hold the direction"):
        Traces.load(tmp_path, trained.config)
