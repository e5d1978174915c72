"""Features of clips, and their out-of-distribution distance from the training domain."""

import math
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.detect.evaluation import training_domain
from dancebench.detect.evaluation.training_domain import (
    COMPONENTS,
    MIN_FRAMES,
    TrainingDomain,
    fit_training_domain,
    measure_clip,
)
from dancebench.detect.trunk.features import SIZE, measure_pictures, slice_stages
from dancebench.detect.trunk.population import fit_population

Features = list[list[float]]


def sample_features(seed: int, people: int, clips: int = 3) -> tuple[Features, list[str]]:
    """Random features as of clips: of some thirty directions, correlated within a person."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(30, SIZE)) / math.sqrt(30)
    features = []
    for _ in range(people):
        person = rng.normal(size=30)
        features += [((0.8 * person + 0.6 * rng.normal(size=30)) @ directions + 1).tolist() for _ in range(clips)]
    return features, [f"s{person}" for person in range(people) for _ in range(clips)]


@pytest.fixture(scope="module")
def model() -> TrainingDomain:
    return fit_training_domain(*sample_features(0, 40))


def textured(seed: int, height: int = 48, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# --- closed form: features


def test_closed_form_a_still_clip_has_the_features_of_its_picture() -> None:
    found = measure_clip([textured(0)] * 20)
    assert len(found) == SIZE
    assert np.allclose(found, measure_pictures([textured(0)])[0], rtol=1e-5, atol=1e-5)


def test_closed_form_a_clip_has_the_mean_of_its_frames() -> None:
    frames = [textured(seed) for seed in range(5)]
    assert np.allclose(measure_clip(frames), measure_pictures(frames).mean(axis=0), rtol=1e-4, atol=1e-4)


def test_black_bars_are_no_part_of_it() -> None:
    barred = [np.pad(textured(seed) | 64, ((20, 20), (0, 0), (0, 0))) for seed in range(3)]
    assert np.allclose(measure_clip(barred), measure_clip([textured(seed) | 64 for seed in range(3)]))


@pytest.mark.parametrize("count", [2, 4, 16, 17, 33, 300])
def test_long_clips_are_subsampled_evenly(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The level of a frame rises with time and shows which ones were measured."""
    seen: list[int] = []

    def record(pictures: list[np.ndarray]) -> np.ndarray:
        seen.extend(int(picture[0, 0, 0]) - 50 for picture in pictures)
        return np.zeros((len(pictures), SIZE))

    def frames() -> Iterator[np.ndarray]:
        for index in range(count):
            yield np.full((8, 8, 3), 50 + index * 200 // count, np.uint8)

    monkeypatch.setattr(training_domain, "measure_pictures", record)
    measure_clip(frames())
    assert min(count, MIN_FRAMES) <= len(seen) <= 2 * MIN_FRAMES
    assert seen == sorted(seen)
    assert seen[-1] >= 200 * (1 - 2 / MIN_FRAMES) - 200 / count


def test_all_of_a_large_picture_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    places: set[tuple[int, int]] = set()

    def record(pictures: list[np.ndarray]) -> np.ndarray:
        places.update((int(picture[0, 0, 0]), int(picture[0, 0, 1])) for picture in pictures)
        return np.zeros((len(pictures), SIZE))

    frame = np.full((720, 1280, 3), 100, np.uint8)
    frame[..., 0], frame[..., 1] = 30 + np.arange(720)[:, None] // 4, 30 + np.arange(1280)[None] // 8
    monkeypatch.setattr(training_domain, "measure_pictures", record)
    measure_clip([frame] * 16)
    assert len(places) == 24  # 4 rows of 6 patches


@pytest.mark.parametrize("count", [0, 1])
def test_a_clip_without_a_pair_is_refused(count: int) -> None:
    with pytest.raises(BenchError, match="fewer than two frames"):
        measure_clip([textured(0)] * count)


# --- model


def test_foreign_reference_of_the_distance(model: TrainingDomain) -> None:
    """That of the population, which is tested against scikit-learn and SciPy, but for the digits of a card."""
    features, _ = sample_features(0, 40)
    expected = fit_population(features, COMPONENTS).distances(features)
    found = [model.compare(clip).distance for clip in features]
    assert found == pytest.approx(expected.tolist(), rel=1e-3)


def test_a_training_clip_has_a_distance_of_at_most_about_one(model: TrainingDomain) -> None:
    """Less, the fewer directions the features really have: the shrinkage adds the others."""
    distances = [model.compare(clip).distance for clip in sample_features(0, 40)[0]]
    assert 0.4 < np.median(distances) < 1.1


def test_new_people_are_rarely_out_of_distribution(model: TrainingDomain) -> None:
    """The limit is meant for 2% of people; 300 new ones."""
    found = [model.compare(clip).outside for clip in sample_features(1, 300)[0]]
    assert np.mean(found) <= 0.04


def test_the_stage_that_deviates_most_is_named_first(model: TrainingDomain) -> None:
    strange = np.array(sample_features(0, 40)[0][0])
    strange[slice_stages()["parts"]] += 20
    found = model.compare(strange.tolist())
    assert found.outside
    assert found.furthest[0].feature == "parts"
    assert {each.feature for each in found.furthest} == set(slice_stages())
    assert found.furthest[0].value > 5 * found.furthest[0].typical
    assert found.furthest[0].deviations > 5
    assert found.furthest[0].typical == pytest.approx(1, rel=0.3)


def test_a_tiny_difference_in_constant_features_is_not_out_of_distribution() -> None:
    clips = [[0.5] * SIZE] * 6
    model = fit_training_domain(clips, list("aabbcc"))
    assert model.compare(clips[0]).distance == 0
    assert not model.compare([0.505] * SIZE).outside
    assert model.compare([1.5] * SIZE).outside


def test_fewer_people_give_a_wider_limit(model: TrainingDomain) -> None:
    assert fit_training_domain(*sample_features(0, 4)).limit > model.limit > 1


def test_order_of_the_clips_does_not_matter(model: TrainingDomain) -> None:
    features, subjects = sample_features(0, 40)
    again = fit_training_domain(features[::-1], subjects[::-1])
    assert again.compare(features[3]).distance == pytest.approx(model.compare(features[3]).distance, rel=1e-3)


def test_the_model_survives_json_and_is_small(model: TrainingDomain) -> None:
    text = model.model_dump_json()
    assert TrainingDomain.model_validate_json(text) == model
    assert len(text) < 200_000


def test_noise_and_bars_are_far_from_clean_clips(clips: SimpleNamespace) -> None:
    people = range(12)
    features = [measure_clip(clips.real_frames(person)) for person in people]
    model = fit_training_domain(features, [str(person) for person in people])
    seen = clips.real_frames(40)
    assert not model.compare(measure_clip(seen)).outside
    small = [cv2.resize(f, (32, 24)) for f in seen]
    noise = np.random.default_rng(0).normal(0, 25, (len(small), *small[0].shape))
    strange = (np.stack(small) + noise).clip(0, 255).astype(np.uint8)
    assert model.compare(measure_clip(strange)).outside


# --- bad input


def test_one_person_gives_no_training_domain() -> None:
    with pytest.raises(BenchError, match="at least two people"):
        fit_training_domain([[0.5] * SIZE] * 2, ["a", "a"])


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 clips but 1 subjects"):
        fit_training_domain([[0.5] * SIZE] * 2, ["a"])


def test_features_of_another_number_are_refused(model: TrainingDomain) -> None:
    with pytest.raises(BenchError, match=f"has {SIZE} features, and 3 are measured here") as caught:
        model.compare([0.1] * 3)
    assert caught.value.hint is not None
