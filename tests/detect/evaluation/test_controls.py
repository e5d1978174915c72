"""Negative controls: null control, label permutation and shortcut baselines."""

from pathlib import Path
from types import SimpleNamespace
from typing import Self

import numpy as np
import pandas as pd
import pytest

from dancebench.core.metric import Metric
from dancebench.core.progress import ReportProgress
from dancebench.datasets.video.clips import write_clip
from dancebench.detect.detectors.base import Detector, DetectorConfig, Logits
from dancebench.detect.evaluation.aggregation import find_rule
from dancebench.detect.evaluation.controls import (
    list_flags,
    measure_null_shift,
    measure_shortcuts,
    permute_labels,
    read_container_features,
)
from dancebench.detect.evaluation.metrics import auc
from dancebench.detect.evaluation.score_tables import ScoreTables, make_score_tables
from dancebench.detect.inputs.pairs import PairPool, Pairs
from dancebench.detect.inputs.video_set import VideoSet


class Brightness(Detector):
    """A detector with a fixed formula: the mean brightness of a pair, times a sign."""

    Config = DetectorConfig
    sign = 1.0
    parameters = 0

    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None: ...

    def logits(self, pairs: Pairs) -> Logits:
        means: Logits = pairs.mean(axis=(1, 2, 3, 4), dtype=np.float32)
        return means * np.float32(self.sign)

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        return cls(config, device)


def flat_videos(root: Path, clips: SimpleNamespace, fake_frames: int = 10, people: int = 9) -> VideoSet:
    """Reals of one grey, fakes of a lighter one; any encoder preserves frames of one colour."""
    rows = []
    for subject in range(people):
        split = "holdout" if subject >= people // 3 else "train"
        for label, n_frames in ((0, 10), (1, fake_frames)):
            frame = np.full((32, 16, 3), 100 + 60 * label, np.uint8)
            rows.append(clips.add_video(root, subject, split, label, [frame] * n_frames))
    return VideoSet(root, tuple(rows))


@pytest.fixture
def brightness() -> Brightness:
    return Brightness(DetectorConfig(height=32, width=16, pairs=3))


# --- closed form


def test_closed_form_null_shift_of_clips_that_encoding_does_not_change(
    tmp_path: Path, clips: SimpleNamespace, brightness: Brightness
) -> None:
    held_out = flat_videos(tmp_path, clips).split("holdout")
    tables = make_score_tables(brightness, held_out)
    shift = measure_null_shift(brightness, held_out, tables, find_rule("mean-logit"))
    assert shift.value == pytest.approx(0, abs=0.02)
    assert shift.n == 6


def test_closed_form_null_shift_is_a_share_of_the_gap(
    tmp_path: Path, clips: SimpleNamespace, brightness: Brightness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were encoding to brighten by 30 where fakes are 60 brighter, the shift would be a half."""

    def brightened(path: Path, frames: object, fps: float) -> object:
        return write_clip(path, (frame + np.uint8(30) for frame in frames), fps)  # type: ignore[attr-defined]

    monkeypatch.setattr("dancebench.detect.evaluation.controls.write_clip", brightened)
    held_out = flat_videos(tmp_path, clips).split("holdout")
    tables = make_score_tables(brightness, held_out)
    assert measure_null_shift(brightness, held_out, tables, find_rule("mean-logit")).value == pytest.approx(
        0.5, abs=0.02
    )


def test_a_detector_without_a_gap_has_no_null_shift(
    tmp_path: Path, clips: SimpleNamespace, brightness: Brightness
) -> None:
    brightness.sign = -1.0
    held_out = flat_videos(tmp_path, clips).split("holdout")
    tables = make_score_tables(brightness, held_out)
    shift = measure_null_shift(brightness, held_out, tables, find_rule("mean-logit"))
    assert (shift.value, shift.reason) == (None, "fakes score no higher than reals")


# --- shortcuts


def test_containers_of_reals_and_fakes_are_alike(videos: VideoSet) -> None:
    features = [read_container_features(videos.path(row)) for row in videos]
    assert all(found == features[0] for found in features)


def test_a_shorter_fake_is_a_shortcut(tmp_path: Path, clips: SimpleNamespace) -> None:
    """14 held-out people: one labelling of 2^14 is as extreme, so p is near its floor of 1 / 1000."""
    metrics = measure_shortcuts(flat_videos(tmp_path, clips, fake_frames=9, people=21), seed=0)
    assert metrics["shortcut_auc"].value == 1.0
    p = metrics["shortcut_p"].value
    assert p is not None
    assert 0.001 <= p <= 0.003


def test_without_a_shortcut_the_baseline_is_at_chance_except_for_the_bytes(videos: VideoSet) -> None:
    metrics = measure_shortcuts(videos, seed=0)
    assert metrics["shortcut_auc"].value == 0.5
    assert metrics["shortcut_p"].value == 1.0
    assert metrics["bytes_per_frame_auc"].value == 1.0  # the noise of these fakes costs bytes


def test_held_out_videos_of_one_kind_give_null(tmp_path: Path, clips: SimpleNamespace) -> None:
    one_kind = flat_videos(tmp_path, clips).select(lambda row: row.split == "train" or row.label == 0)
    metrics = measure_shortcuts(one_kind, seed=0)
    assert {metric.value for metric in metrics.values()} == {None}


# --- label permutation


def scored(scores: list[list[float]], labels: list[int]) -> ScoreTables:
    """Score tables of people with one score per label."""
    videos = pd.DataFrame(
        [
            {
                "video_id": f"{person}/{k}", "subject_id": str(person), "method": "fbf" if label else None,
                "label": label, "score": score, "status": "ok",
            }
            for person, own in enumerate(scores)
            for k, (label, score) in enumerate(zip(labels, own, strict=True))
        ]
    )  # fmt: skip
    return ScoreTables(pd.DataFrame(), videos)


def test_too_few_people_for_a_small_p_give_null_with_the_reason() -> None:
    p = permute_labels(scored([[0.0, 1.0]] * 6, [0, 1]), seed=0)["permutation_p"]
    assert (p.value, p.reason) == (None, "6 people allow 64 labellings, too few for p < 0.01")


def test_closed_form_p_of_a_perfect_detector() -> None:
    """Eight people of a real and three fakes: 2^8 swaps, of which one is as good."""
    tables = scored([[0.0, 1.0, 2.0, 3.0]] * 8, [0, 1, 1, 1])
    found = permute_labels(tables, seed=0)
    assert found["permutation_p"].value == 1 / 256
    assert found["permutation_auc"].value == pytest.approx(0.5, abs=0.02)
    assert found["permutation_auc"].n == found["permutation_p"].n == 32


def test_people_with_videos_of_one_kind_count_neither_for_nor_against() -> None:
    both = scored([[0.0, 1.0]] * 8, [0, 1])
    reals = scored([[5.0, 6.0]] * 6, [0, 0]).videos
    videos = pd.concat([both.videos, reals.assign(subject_id="real" + reals["subject_id"])])
    assert permute_labels(ScoreTables(both.pairs, videos), seed=0)["permutation_p"].value == 1 / 256


@pytest.mark.parametrize("shared", [0.0, pytest.param(1.0, marks=pytest.mark.long), 2.0])
@pytest.mark.parametrize(("people", "fakes"), [(7, 5), (14, 3), (30, 1)])
def test_p_is_uniform_where_a_persons_fakes_share_an_effect(people: int, fakes: int, shared: float) -> None:
    """Without an effect beyond chance at most 6% below 0.05, and half of what is far from it; with one, more.

    Permuting the labels of single videos gave up to 20%.
    """
    generator = np.random.default_rng(people)
    labels = [0] + [1] * fakes

    def share_below(effect: float, runs: int) -> list[float]:
        found = []
        for seed in range(runs):
            scores = generator.normal(size=(people, 1 + fakes)) + generator.normal(size=(people, 1))
            scores[:, 1:] += generator.normal(0, shared, size=(people, 1)) + effect
            p = permute_labels(scored(scores.tolist(), labels), permutations=199, seed=seed)["permutation_p"].value
            assert p is not None
            found.append(p)
        return [float(np.mean(np.array(found) <= level)) for level in (0.05, 0.5)]

    runs = 250
    small, half = share_below(0.0, runs)
    assert small <= 0.06 + 2 * (0.05 * 0.95 / runs) ** 0.5
    assert half == pytest.approx(0.5, abs=4 * (0.25 / runs) ** 0.5)
    assert share_below(3.0, 40)[0] >= 0.5


def test_foreign_reference_of_the_mean_under_permutation() -> None:
    """Scikit-learn's AUC, over permutations drawn here."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6, 4)).round(1) + np.arange(6)[:, None]  # with ties, and people who differ
    labels = np.tile([0, 1, 1, 1], (6, 1))
    permuted = [auc(rng.permuted(labels, axis=1).ravel(), scores.ravel()) for _ in range(400)]
    found = permute_labels(scored(scores.tolist(), [0, 1, 1, 1]), permutations=1000, seed=1)
    assert found["permutation_auc"].value == pytest.approx(np.mean(permuted), abs=0.015)


@pytest.mark.parametrize("seed", range(3))
def test_a_random_detector_does_not_beat_permuted_labels(seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(14, 2)).tolist()
    p = permute_labels(scored(scores, [0, 1]), seed=seed)["permutation_p"].value
    assert p is not None
    assert p > 0.01


def test_permutations_are_the_same_for_one_seed() -> None:
    tables = scored([[0.0, 1.0], [2.0, 1.0], [0.5, 3.0]], [0, 1])
    assert permute_labels(tables, seed=3) == permute_labels(tables, seed=3)


def test_people_with_more_fakes_who_score_higher_shift_the_mean_from_chance() -> None:
    tables = scored([[5.0, 5.1, 5.2, 5.3]] * 3, [0, 1, 1, 1])
    low = scored([[0.0, 0.1, 0.2, 0.3]] * 3, [0, 0, 0, 1]).videos
    videos = pd.concat([tables.videos, low.assign(subject_id="low" + low["subject_id"])])
    metrics = permute_labels(ScoreTables(tables.pairs, videos), seed=0)
    assert any("not 0.5" in flag for flag in list_flags(metrics))


def test_videos_of_one_kind_have_no_permutation() -> None:
    found = permute_labels(scored([[0.0, 1.0]] * 3, [1, 1]), seed=0)
    assert {(metric.value, metric.reason) for metric in found.values()} == {
        (None, "the held-out videos are of one kind")
    }


def test_few_permutations_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 50"):
        permute_labels(scored([[0.0, 1.0]], [0, 1]), permutations=49, seed=0)


# --- flags


def metric(value: float | None) -> Metric:
    reason = "none" if value is None else None
    return Metric(value=value, reason=reason, n=1, unit="share", higher_is_better=None)


@pytest.mark.parametrize(
    ("shift", "p", "expected"),
    [(0.10, 0.01, 0), (0.11, 0.01, 1), (0.10, 0.009, 1), (0.5, 0.001, 2), (None, None, 0)],
)
def test_flags_follow_their_limits(shift: float | None, p: float | None, expected: int) -> None:
    assert len(list_flags({"null_shift": metric(shift), "shortcut_p": metric(p)})) == expected


@pytest.mark.parametrize(
    ("p", "chance", "expected"),
    [(0.009, 0.5, 0), (0.01, 0.5, 1), (0.001, 0.56, 1), (0.001, 0.44, 1), (0.4, 0.6, 2), (None, None, 0)],
)
def test_flags_of_the_permutation_follow_their_limits(p: float | None, chance: float | None, expected: int) -> None:
    assert len(list_flags({"permutation_p": metric(p), "permutation_auc": metric(chance)})) == expected


def test_the_flag_of_the_permutation_names_its_p() -> None:
    assert list_flags({"permutation_p": metric(0.25)}) == [
        "label permutation: the detector does not beat permuted labels (p = 0.25)"
    ]
