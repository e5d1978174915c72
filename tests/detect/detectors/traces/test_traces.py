"""`traces`: last stages of generators, pairs that differ by nothing else, and stages that it was not trained on."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dancebench.core.progress import ignore_progress
from dancebench.datasets.dancers.dancer import dance, make_dancer
from dancebench.detect.detectors.base import configure_detector
from dancebench.detect.detectors.traces.last_stages import (
    LAST_STAGES,
    WINDOW,
    interpolate_inner_frames,
    learn_last_stages,
)
from dancebench.detect.detectors.traces.traces import PairedPool, Traces, degrade_alike, draw_patch
from dancebench.detect.evaluation.metrics import auc
from dancebench.detect.inputs.pairs import PairPool, Pairs, PooledClip

PEOPLE, TRAINING = 10, 6
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
def test_two_equal_windows_stay_equal_whatever_degrades_them(seed: int) -> None:
    window = np.stack([draw_person(0)[index] for index in range(WINDOW)])
    first, second = degrade_alike((window, window.copy()), np.random.default_rng(seed))
    np.testing.assert_array_equal(first, second)
    assert first.shape == window.shape


def test_each_real_is_followed_by_itself_through_a_last_stage() -> None:
    pool = PairedPool(make_pool(range(2)), {"same": lambda windows: windows}, 32)
    windows, labels = pool.draw_batch(8, np.random.default_rng(0))
    assert windows.shape == (8, WINDOW, 32, 32, 3)
    np.testing.assert_array_equal(labels, [0, 1] * 4)
    np.testing.assert_array_equal(windows[::2], windows[1::2])


def test_a_patch_is_no_larger_than_the_frames() -> None:
    assert draw_patch(make_pool(range(2)), 512, np.random.default_rng(0)).shape == (WINDOW, SIDE, SIDE, 3)


# --- last stages


@cache
def learn_stages(seed: int, steps: int = 300) -> dict[str, object]:
    pool = make_pool(range(TRAINING))

    def draw(count: int, generator: np.random.Generator) -> Pairs:
        return np.stack([draw_patch(pool, 32, generator) for _ in range(count)])

    return dict(learn_last_stages(draw, steps, seed, ignore_progress))


def test_last_stages_leave_a_real_nearly_as_it_was() -> None:
    window = draw_person(PEOPLE - 1)[None, :WINDOW]
    for name, stage in learn_stages(0).items():
        made = stage(window)  # type: ignore[operator]
        assert (made.shape, made.dtype) == (window.shape, np.uint8)
        error = np.square(made.astype(float) - window).mean()
        assert 0 < error < 0.03 * window.astype(float).var(), name
    assert tuple(learn_stages(0)) == LAST_STAGES


def test_the_same_seed_gives_the_same_stages() -> None:
    window = draw_person(0)[None, :WINDOW]
    first, second = learn_stages(3, steps=5), dict(learn_stages.__wrapped__(3, steps=5))
    for name in LAST_STAGES:
        np.testing.assert_array_equal(first[name](window), second[name](window))  # type: ignore[operator]


# --- the detector


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Traces:
    config = configure_detector(
        "traces", height=SIDE, width=SIDE, channels=8, steps=250, stage_steps=300, batch=16, patch=32
    )
    detector = Traces(config)
    detector.fit(make_pool(range(TRAINING)), tmp_path_factory.mktemp("traces"), ignore_progress)
    return detector


def test_last_stages_of_another_training_are_told_from_held_out_people(trained: Traces, tmp_path: Path) -> None:
    reals = np.stack(
        [draw_person(person)[first : first + WINDOW] for person in range(TRAINING, PEOPLE) for first in (0, 3)]
    )
    for name in ("transposed", "nearest", "shuffle"):
        fakes = learn_stages(7)[name](reals)  # type: ignore[operator]
        logits = trained.logits(np.concatenate([reals, fakes]))
        assert auc(np.repeat([0, 1], len(reals)), logits.astype(np.float64)) >= 0.9, name
    trained.save(tmp_path)
    again = Traces.load(tmp_path, trained.config)
    np.testing.assert_array_equal(again.logits(reals), trained.logits(reals))
    saliency = again.saliency(reals[:2])
    assert saliency is not None
    assert saliency.shape == (2, SIDE, SIDE)


def test_fakes_of_the_training_set_change_nothing(tmp_path: Path) -> None:
    config = configure_detector(
        "traces", height=SIDE, width=SIDE, channels=4, steps=4, stage_steps=2, batch=4, patch=32
    )
    windows = draw_person(0)[None, :WINDOW]
    found = []
    for grey in (0, 200):
        detector = Traces(config)
        detector.fit(make_pool(range(2), fake=grey), tmp_path / str(grey), ignore_progress)
        found.append(detector.logits(windows))
    np.testing.assert_array_equal(*found)
