"""`typicality`: learns from reals alone, and tells what is atypical."""

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file

from dancebench.core.errors import BenchError
from dancebench.core.progress import ignore_progress
from dancebench.datasets.pose.box import Box
from dancebench.detect.detectors.typicality._reference import PartModel, fit_reference
from dancebench.detect.detectors.typicality.detector import Typicality, TypicalityConfig
from dancebench.detect.inputs.pairs import PairPool, PooledClip, load_pool
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.trunk.look import Look
from dancebench.detect.trunk.population import fit_population
from dancebench.detect.trunk.scale import Scale

CONFIG = TypicalityConfig(height=64, width=32, frames=4, parts=("patches", "whole"), windows=4, pairs=4)
BOX = Box(0, 1, 0, 1)


@pytest.fixture(scope="module")
def pool(videos: VideoSet) -> PairPool:
    return load_pool(videos.split("train"), CONFIG.size, window=CONFIG.frames, reals_alone=True)


@pytest.fixture(scope="module")
def fitted(pool: PairPool, tmp_path_factory: pytest.TempPathFactory) -> Typicality:
    detector = Typicality(CONFIG)
    detector.fit(pool, tmp_path_factory.mktemp("state"), ignore_progress)
    return detector


def window_of(frames: list[np.ndarray], first: int = 3) -> np.ndarray:
    return np.stack(frames[first : first + CONFIG.frames])


# --- learning


def test_fakes_of_people_that_it_never_saw_are_more_atypical(fitted: Typicality, clips: SimpleNamespace) -> None:
    people = range(20, 26)
    reals = fitted.logits(np.stack([window_of(clips.real_frames(person)) for person in people]))
    fakes = fitted.logits(np.stack([window_of(clips.fake_frames(person)) for person in people]))
    assert reals.dtype == np.float32
    assert (fakes > reals).mean() >= 5 / 6
    assert fakes.mean() > reals.mean() + 1


def test_fakes_in_the_training_set_change_nothing(fitted: Typicality, videos: VideoSet, tmp_path: Path) -> None:
    both = load_pool(videos.split("train"), CONFIG.size, window=CONFIG.frames)
    other = Typicality(CONFIG)
    other.fit(both, tmp_path, ignore_progress)
    assert other.model is not None
    assert fitted.model is not None
    for name, value in other.model.to_tensors().items():
        assert np.array_equal(value, fitted.model.to_tensors()[name])


def test_the_pool_of_reals_reads_no_fake(pool: PairPool, videos: VideoSet) -> None:
    assert {clip.label for clip in pool._clips} == {0}
    with pytest.raises(BenchError, match="no real video"):
        load_pool(videos.split("train").select(lambda row: row.label == 1), CONFIG.size, reals_alone=True)


def test_closed_form_of_the_windows_of_reals() -> None:
    frames = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    clip = PooledClip("a", 0, frames, np.arange(7), (frames + 100,))
    (found,) = list(PairPool([clip], 4, 0.5, reals_alone=True).real_windows(4))
    person, windows = found
    assert person == "a"
    assert windows[:, 0, 0, 0, 0].tolist() == [0, 102, 4, 106]  # every other one of the copy
    (found,) = list(PairPool([clip], 4, reals_alone=True).real_windows(100))
    assert found[1][:, :, 0, 0, 0].tolist() == [[first + step for step in range(4)] for first in range(7)]


def test_two_people_are_too_few(pool: PairPool, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="show 2 people; 'typicality' needs 3") as caught:
        Typicality(CONFIG).fit(pool.restrict_to({"s00", "s01"}), tmp_path, ignore_progress)
    assert caught.value.hint is not None


@pytest.mark.parametrize("parts", [(), ("face",), ("patches", "patches"), ("person", "face")])
def test_parts_that_a_clip_may_lack_are_refused_alone(parts: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        TypicalityConfig(parts=parts)


# --- the scale


def make_looks(seed: int, people: int, windows: int = 10) -> tuple[list[Look], list[str]]:
    rng = np.random.default_rng(seed)
    looks, names = [], []
    for person in range(people):
        centre = rng.normal(size=8)
        looks += [Look("whole", BOX, centre + 0.5 * rng.normal(size=8)) for _ in range(windows)]
        names += [f"p{person}"] * windows
    return looks, names


def test_new_people_lie_around_zero_and_not_above() -> None:
    """Held-out people set the scale, so the training people's own optimism is not in it."""
    reference = fit_reference(*make_looks(0, 60), ("whole",), 8)
    logits = [logit for _, logit in reference.judge(make_looks(1, 300, 3)[0])]
    assert abs(np.mean(logits)) < 0.3
    assert 0 < np.mean(np.array(logits) > math.log(19)) < 0.07  # of distances, whose logarithms are skewed, fewer


def test_foreign_reference_of_the_log_odds() -> None:
    population = fit_population(np.random.default_rng(0).normal(size=(50, 4)), 4)
    model = PartModel(population, Scale(0.1, 0.5, 12))
    vectors = np.random.default_rng(1).normal(size=(5, 4)) * 2
    z = (np.log(population.distances(vectors)) - 0.1) / 0.5 / math.sqrt(1 + 1 / 12)
    below = scipy.stats.t.cdf(z, 11)
    assert model.logits(vectors) == pytest.approx(np.log(below / (1 - below)))


def test_closed_form_of_the_combination() -> None:
    looks = {part: Look(part, BOX, np.zeros(1)) for part in ("patches", "whole", "face")}
    assert Typicality.combine([(looks["whole"], 2.0)]) == 2.0
    assert Typicality.combine([(looks["whole"], 2.0), (looks["patches"], 4.0)]) == 3.0
    many = [(looks["face"], float(value)) for value in range(11)]
    assert Typicality.combine([*many, (looks["whole"], 1.0)]) == pytest.approx((9 + 1) / 2)


# --- what it tells


def test_it_names_the_part_and_marks_the_place(fitted: Typicality, clips: SimpleNamespace) -> None:
    windows = np.stack([window_of(clips.fake_frames(30)), window_of(clips.real_frames(0))])
    phrases = fitted.explain(windows)
    assert set(phrases) <= {"how a part of the picture looks", "how the whole picture moves"}
    maps = fitted.saliency(windows)
    assert maps.shape == (2, *CONFIG.size)
    assert 0 <= maps.min() <= maps.max() <= 1
    assert maps[0].max() > maps[1].max()


def test_each_logit_depends_on_its_own_window(fitted: Typicality, clips: SimpleNamespace) -> None:
    windows = np.stack([window_of(clips.real_frames(person)) for person in (1, 2, 3)])
    together = fitted.logits(windows)
    assert together == pytest.approx([fitted.logits(windows[index : index + 1])[0] for index in range(3)], abs=1e-4)
    assert fitted.logits(windows[:0]).shape == (0,)


# --- files


def test_it_scores_alike_after_saving(fitted: Typicality, clips: SimpleNamespace, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    again = Typicality.load(tmp_path, CONFIG)
    window = window_of(clips.fake_frames(30))[None]
    assert np.array_equal(again.logits(window), fitted.logits(window))
    assert again.parameters == fitted.parameters > 0
    fitted.save(tmp_path / "again")
    assert (tmp_path / "again" / Typicality.WEIGHTS).read_bytes() == (tmp_path / Typicality.WEIGHTS).read_bytes()


def damage_files(path: Path) -> Iterator[str]:
    tensors = load_file(path)
    path.write_bytes(path.read_bytes()[:100])
    yield "truncated"
    save_file({name: value for name, value in tensors.items() if not name.endswith("basis")}, path)
    yield "without its directions"
    save_file(tensors | {"whole/scale": np.array([0.0, -1.0, 5.0])}, path)
    yield "with a negative scale"
    save_file({"other": np.zeros(3)}, path)
    yield "of something else"


def test_damaged_files_are_refused_in_one_line(fitted: Typicality, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    for what in damage_files(tmp_path / Typicality.WEIGHTS):
        with pytest.raises(BenchError, match="does not hold the population") as caught:
            Typicality.load(tmp_path, CONFIG)
        assert "\n" not in caught.value.message, what
        assert caught.value.hint is not None


def test_an_untrained_one_scores_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trained"):
        Typicality(CONFIG).logits(np.zeros((1, 4, 64, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="trained"):
        Typicality(CONFIG).save(tmp_path)
