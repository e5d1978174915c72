"""Features of clips, and their out-of-distribution distance from the training domain."""

import math
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.detect.evaluation.training_domain import (
    FEATURES,
    MIN_PAIRS,
    TrainingDomain,
    fit_training_domain,
    measure_clip,
)

Features = dict[str, float]


def flat(*levels: int, colour: tuple[float, float, float] = (1, 1, 1)) -> list[np.ndarray]:
    """A frame of one colour for each level."""
    return [np.full((32, 16, 3), np.multiply(level, colour), np.uint8) for level in levels]


def sample_features(seed: int, people: int, clips: int = 3) -> tuple[list[Features], list[str]]:
    """Random features as of clips: nearly normal, correlated within a person."""
    rng = np.random.default_rng(seed)
    features = []
    for _ in range(people):
        person = rng.normal(size=len(FEATURES))
        for _ in range(clips):
            z = 0.8 * person + 0.6 * rng.normal(size=len(FEATURES))
            features.append(dict(zip(FEATURES, np.exp(0.2 * z) * 0.3, strict=True)))
    return features, [f"s{person}" for person in range(people) for _ in range(clips)]


@pytest.fixture(scope="module")
def model() -> TrainingDomain:
    return fit_training_domain(*sample_features(0, 40))


# --- closed form: features


def test_closed_form_of_flat_frames() -> None:
    found = measure_clip(flat(100, 110), 25)
    assert found["brightness"] == pytest.approx(100 / 255)
    assert found["motion"] == found["flicker"] == found["unrest"] == pytest.approx(10)
    assert found["still_pixels"] == found["contrast"] == found["black_bars"] == found["noise"] == 0
    assert found["frame_rate"] == 25
    assert set(found) == set(FEATURES)


def test_closed_form_of_colour() -> None:
    found = measure_clip(flat(200, 200, colour=(1, 0.5, 0.25)), 25)
    assert found["saturation"] == pytest.approx(150 / 255)
    assert found["warmth"] == pytest.approx(150 / 255)
    assert found["greenness"] == pytest.approx(-25 / 255)
    assert found["hue_spread"] == pytest.approx(0, abs=1e-6)


def test_closed_form_of_opposite_hues() -> None:
    frame = np.zeros((32, 16, 3), np.uint8)
    frame[:16], frame[16:] = (200, 100, 100), (100, 200, 200)
    assert measure_clip([frame, frame], 25)["hue_spread"] == pytest.approx(1, abs=1e-6)


def test_closed_form_of_bars() -> None:
    frame = np.zeros((32, 16, 3), np.uint8)
    frame[8:24, 2:14] = 128
    assert measure_clip([frame, frame], 25)["black_bars"] == pytest.approx(1 - 16 * 12 / (32 * 16))


@pytest.mark.parametrize(
    ("period", "band"), [(24, "coarse_detail"), (12, "middle_detail"), (6, "fine_detail"), (3, "finest_detail")]
)
def test_closed_form_a_wave_has_its_power_in_its_octave(period: int, band: str) -> None:
    wave = 128 + 60 * np.sin(2 * np.pi * np.arange(96) / period)
    frame = np.repeat(wave, 48 * 3).reshape(96, 48, 3).astype(np.uint8)
    found = measure_clip([frame, frame], 25)
    powers = {name: value for name, value in found.items() if name.endswith("_detail")}
    assert max(powers, key=powers.__getitem__) == band


def test_closed_form_of_noise() -> None:
    grey = np.random.default_rng(0).normal(128, 9, (128, 64)).clip(0, 255).astype(np.uint8)
    frame = np.repeat(grey[..., None], 3, axis=2)
    assert measure_clip([frame, frame], 25)["noise"] == pytest.approx(9, rel=0.03)


def test_foreign_reference_of_brightness() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (32, 16, 3), dtype=np.uint8)
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV)[..., 0]
    assert measure_clip([frame, frame], 25)["brightness"] == pytest.approx(luma.mean() / 255, abs=1e-3)


# --- streaming


@settings(max_examples=8, deadline=None)
@given(pairs=st.integers(1, 300))
@example(pairs=4)
def test_long_clips_are_subsampled_evenly(pairs: int) -> None:
    """Brightness rises with time, so its mean shows which frames were measured."""

    def frames() -> Iterator[np.ndarray]:
        for level in np.linspace(50, 200, pairs + 1):
            yield np.full((8, 8, 3), round(level), np.uint8)

    step = 75 / min(pairs, MIN_PAIRS) + 1  # half the way between two measured frames, and a level of rounding
    assert measure_clip(frames(), 25)["brightness"] == pytest.approx(125 / 255, abs=step / 255)


@pytest.mark.parametrize("count", [0, 1])
def test_a_clip_without_a_pair_is_refused(count: int) -> None:
    with pytest.raises(BenchError, match="fewer than two frames"):
        measure_clip(flat(*[100] * count), 25)


# --- model


def test_foreign_reference_of_the_distance(model: TrainingDomain) -> None:
    """Scikit-learn's covariance and SciPy's distance, where the noise of the features is added by hand."""
    features, _ = sample_features(0, 40)
    noise = np.array([each.noise for each in FEATURES.values()])
    scales = {
        "linear": lambda value: value,
        "log": math.log,
        "logit": lambda value: math.log(value / (1 - value)),
    }
    table = np.array([[scales[each.scale](clip[name]) for name, each in FEATURES.items()] for clip in features])
    spread = np.sqrt(table.var(axis=0) + noise**2)
    z = (table - table.mean(axis=0)) / spread
    covariance = LedoitWolf().fit(z).covariance_ + np.diag((noise / spread) ** 2)
    expected = mahalanobis(z[7], np.zeros(len(FEATURES)), np.linalg.inv(covariance)) / math.sqrt(len(FEATURES))
    assert model.compare(features[7]).distance == pytest.approx(expected)


def test_a_training_clip_has_a_distance_of_about_one(model: TrainingDomain) -> None:
    distances = [model.compare(clip).distance for clip in sample_features(0, 40)[0]]
    assert 0.7 < np.median(distances) < 1.1


def test_new_people_are_rarely_out_of_distribution(model: TrainingDomain) -> None:
    """The limit is meant for 2% of people; 300 new ones."""
    found = [model.compare(clip).outside for clip in sample_features(1, 300)[0]]
    assert np.mean(found) <= 0.04


def test_the_furthest_features_are_named_with_their_own_units(model: TrainingDomain) -> None:
    strange = sample_features(0, 40)[0][0] | {"frame_rate": 3.0, "black_bars": 1.5}
    found = model.compare(strange)
    assert found.outside
    assert {each.feature for each in found.furthest[:2]} == {"frame_rate", "black_bars"}
    rate = next(each for each in found.furthest if each.feature == "frame_rate")
    assert rate.value == 3.0
    assert rate.typical == pytest.approx(0.3, rel=0.1)
    assert rate.deviations == pytest.approx(math.log(3.0 / rate.typical) / math.hypot(0.2, 0.1), rel=0.15)


def test_a_tiny_difference_in_a_constant_feature_is_not_out_of_distribution() -> None:
    clips = [dict.fromkeys(FEATURES, 0.5)] * 6
    model = fit_training_domain(clips, list("aabbcc"))
    assert model.compare(clips[0]).distance == 0
    assert not model.compare(dict.fromkeys(FEATURES, 0.505)).outside
    assert model.compare(dict.fromkeys(FEATURES, 0.05)).outside


def test_fewer_people_give_a_wider_limit(model: TrainingDomain) -> None:
    assert (
        fit_training_domain(*sample_features(0, 3)).limit
        > fit_training_domain(*sample_features(0, 10)).limit
        > model.limit
        > 1
    )


def test_order_of_the_clips_does_not_matter(model: TrainingDomain) -> None:
    features, subjects = sample_features(0, 40)
    again = fit_training_domain(features[::-1], subjects[::-1])
    assert again.compare(features[3]).distance == pytest.approx(model.compare(features[3]).distance)


def test_the_model_survives_json_and_is_small(model: TrainingDomain) -> None:
    text = model.model_dump_json()
    assert TrainingDomain.model_validate_json(text) == model
    assert len(text) < 20_000


def test_noise_bars_and_a_slow_rate_are_far_from_clean_clips(clips: SimpleNamespace) -> None:
    people = range(12)
    features = [measure_clip(clips.real_frames(person), 25) for person in people]
    model = fit_training_domain(features, [str(person) for person in people])
    seen = clips.real_frames(40)
    assert not model.compare(measure_clip(seen, 25)).outside
    barred = [cv2.copyMakeBorder(cv2.resize(f, (32, 24)), 20, 20, 0, 0, cv2.BORDER_CONSTANT) for f in seen]
    noise = np.random.default_rng(0).normal(0, 25, (len(barred), *barred[0].shape))
    strange = (np.stack(barred) + noise).clip(0, 255).astype(np.uint8)
    assert model.compare(measure_clip(strange, 5)).outside


# --- bad input


def test_one_person_gives_no_training_domain() -> None:
    with pytest.raises(BenchError, match="at least two people"):
        fit_training_domain([dict.fromkeys(FEATURES, 0.5)] * 2, ["a", "a"])


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 clips but 1 subjects"):
        fit_training_domain([dict.fromkeys(FEATURES, 0.5)] * 2, ["a"])


def test_a_feature_that_is_not_measured_is_named(model: TrainingDomain) -> None:
    with pytest.raises(BenchError, match="'brightness'"):
        model.compare({"contrast": 0.1})
