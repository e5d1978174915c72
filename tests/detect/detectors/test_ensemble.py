"""Several detectors as one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extractors import always_open
from safetensors.numpy import load_file, save_file
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from dancebench.core.errors import BenchError
from dancebench.core.progress import ignore_progress
from dancebench.detect.detectors import pose_jitter
from dancebench.detect.detectors.ensemble import Ensemble, EnsembleConfig, fit_fusion
from dancebench.detect.inputs.pairs import PairPool, PooledClip

CONFIG = EnsembleConfig(
    height=32, width=32, fusion_windows=16,
    configs={"pair-patch": {"ndf": 4, "steps": 4, "batch": 4}, "spectrum": {"windows": 16}},
)  # fmt: skip


def clip(person: str, label: int) -> PooledClip:
    fine = np.random.default_rng(ord(person)).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    frames = fine if label else fine[:, ::4, ::4].repeat(4, axis=1).repeat(4, axis=2)
    return PooledClip(person, label, frames, np.arange(7))


CLIPS = [clip(person, label) for person in "abcd" for label in (0, 1)]


def pairs(n: int, window: int = 2) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, window, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    detector = Ensemble(CONFIG)
    detector.fit(PairPool(CLIPS), tmp_path_factory.mktemp("state"), ignore_progress)
    return detector


# --- foreign reference


def test_foreign_reference_fusion_is_logistic_regression_if_no_weight_would_be_negative() -> None:
    rng = np.random.default_rng(0)
    members = rng.normal(size=(200, 2)) * [3, 0.1] + [5, -1]
    labels = rng.random(200) < expit((members[:, 0] - 5) / 3 + (members[:, 1] + 1) / 0.1)
    standard = (members - members.mean(axis=0)) / members.std(axis=0)
    theirs = LogisticRegression(C=1.0, tol=1e-8).fit(standard, labels)
    ours = fit_fusion(members, labels)
    np.testing.assert_allclose(ours.weights, theirs.coef_[0], rtol=1e-3)
    np.testing.assert_allclose(ours.logits(members), theirs.decision_function(standard), rtol=1e-2, atol=1e-3)


# --- closed form


def test_closed_form_a_member_that_is_always_wrong_is_ignored() -> None:
    labels = np.arange(40) % 2
    right = labels + np.random.default_rng(0).normal(0, 0.5, 40)
    fusion = fit_fusion(np.stack([right, -right - labels], axis=1), labels)
    assert fusion.weights[0] > 0
    assert fusion.weights[1] == 0


def test_closed_form_a_member_with_constant_logits_does_no_harm() -> None:
    labels = np.arange(10) % 2
    fusion = fit_fusion(np.stack([labels, np.full(10, 3)], axis=1).astype(np.float64), labels)
    assert np.isfinite(fusion.logits(np.array([[0.5, 3]]))).all()


def test_closed_form_members_and_fusion_are_trained_on_different_people(trained: Ensemble) -> None:
    member_people, fusion_people = trained._split_people(["a", "b", "c", "d", "e", "f", "g", "h"])
    assert len(member_people) == 6
    assert len(fusion_people) == 2
    assert not member_people & fusion_people


# --- laws


def test_a_saved_and_loaded_ensemble_gives_the_same_logits(trained: Ensemble, tmp_path: Path) -> None:
    trained.save(tmp_path)
    again = Ensemble.load(tmp_path, CONFIG)
    logits = trained.logits(pairs(4))
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits, again.logits(pairs(4)))
    np.testing.assert_allclose(logits[2:3], trained.logits(pairs(4)[2:3]), rtol=1e-4, atol=1e-5)
    assert again.logits(pairs(0)).shape == (0,)
    assert again.parameters == trained.parameters
    again.save(tmp_path / "again")
    assert (tmp_path / "again" / Ensemble.WEIGHTS).read_bytes() == (tmp_path / Ensemble.WEIGHTS).read_bytes()


def test_its_window_is_the_longest_of_its_members(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def find_nobody(frames: Any) -> Any:
        return (np.zeros((75, 3), np.float32) for _ in frames)

    monkeypatch.setattr(pose_jitter, "open_extractor", always_open(find_nobody))
    config = EnsembleConfig(
        height=32, width=32, members=("spectrum", "pose-jitter"), fusion_windows=4,
        configs={"spectrum": {"windows": 8}, "pose-jitter": {"frames": 4, "windows": 4}},
    )  # fmt: skip
    detector = Ensemble(config)
    assert detector.window == 4
    longer = [PooledClip(each.subject_id, each.label, each.frames, np.arange(5)) for each in CLIPS]
    detector.fit(PairPool(longer, window=4), tmp_path, ignore_progress)
    windows = pairs(2, window=4)
    inside = [detector.members[0].logits(windows[:, place : place + 2]) for place in range(3)]
    np.testing.assert_allclose(detector._member_logits(windows)[:, 0], np.mean(inside, axis=0), rtol=1e-5)


# --- bad input


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"members": ("ensemble",)}, "cannot be a member"),
        ({"members": ("spectrum", "nowhere:make")}, "was trained elsewhere and cannot be a member"),
        ({"members": ("spectrum", "spectrum")}, "named twice"),
        ({"members": ("spectra",)}, "Unknown detector"),
        ({"configs": {"pose-jitter": {}}}, "not a member"),
        ({"configs": {"spectrum": {"height": 64}}}, "cannot be set"),
    ],
)
def test_invalid_members_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(BenchError, match=why):
        Ensemble(EnsembleConfig(**settings))


def test_one_person_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="two training people"):
        Ensemble(CONFIG).fit(PairPool(CLIPS[:2]), tmp_path, ignore_progress)


def test_weights_of_something_else_are_refused(trained: Ensemble, tmp_path: Path) -> None:
    trained.save(tmp_path)
    tensors = load_file(tmp_path / Ensemble.WEIGHTS)
    save_file({**tensors, "fusion/means": np.zeros(3)}, tmp_path / Ensemble.WEIGHTS)
    with pytest.raises(BenchError, match="does not hold the weights"):
        Ensemble.load(tmp_path, CONFIG)


# --- what is said of a window


class Brightness:
    """A member that says how bright the first frame of its window is; `sign` turns it round."""

    def __init__(self, sign: int, words: str | None) -> None:
        self.sign, self.words, self.window = sign, words, 2

    def logits(self, windows: Any) -> Any:
        return np.float32(self.sign * (windows[:, 0].mean(axis=(1, 2, 3)) - 128))

    def explain(self, windows: Any) -> list[str] | None:
        return None if self.words is None else [self.words] * len(windows)

    def saliency(self, windows: Any) -> Any:
        return np.full((len(windows), 32, 32), float(self.sign > 0), np.float32)


def test_the_member_that_adds_most_speaks_for_each_window() -> None:
    detector = Ensemble(CONFIG)
    members: list[Any] = [Brightness(1, "bright"), Brightness(-1, None)]
    detector.members = members
    windows = np.stack([np.full((2, 32, 32, 3), level, np.uint8) for level in (250, 10)])
    assert detector.explain(windows) == ["bright", "spectrum"]  # a member without words is named
    maps = detector.saliency(windows)
    assert maps is not None
    assert maps.mean(axis=(1, 2)).tolist() == [1, 0]
    members[1].saliency = lambda windows: None
    assert detector.saliency(windows) is None
