"""Pose metrics and the detections cached beside a clip; MediaPipe runs in one test, the others use a stub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from extractors import StubExtractor

from dancebench.benchmark.commands.listing import list_metrics
from dancebench.benchmark.metrics.base import METRICS
from dancebench.benchmark.metrics.chunks import FakeAndReal, start_once
from dancebench.benchmark.metrics.detected_poses import detect_poses
from dancebench.benchmark.metrics.fake_clip import measure_fake
from dancebench.benchmark.metrics.per_subject import average_per_subject, count_frames, explain_null
from dancebench.benchmark.metrics.pose import count_missed, measure_distance, measure_poses
from dancebench.benchmark.metrics.regions import REGIONS
from dancebench.benchmark.metrics.warp import measure_warp
from dancebench.core.errors import BenchError
from dancebench.datasets.dancers import dancer as dancers
from dancebench.datasets.pose.extractors.base import open_extractor
from dancebench.datasets.pose.skeleton import L_SMALL_TOE, R_SMALL_TOE, R_WRIST, Keypoints
from dancebench.datasets.video.clips import write_clip

SIZE = (128, 64)


def poses(n: int, seed: int = 0) -> Keypoints:
    """Bodies of 23 joints: small toes are missing, as in BlazePose."""
    keypoints = np.zeros((n, 75, 3), np.float32)
    keypoints[:, :25, :2] = np.random.default_rng(seed).uniform(10, 50, (n, 25, 2))
    keypoints[:, :25, 2] = 1
    keypoints[:, [L_SMALL_TOE, R_SMALL_TOE]] = 0
    return keypoints


class Extractor(StubExtractor):
    """What it finds depends on the brightness of the frame; counts the frames of each call."""

    def __init__(self, found: dict[int, Keypoints]) -> None:
        super().__init__(self.find_levels)
        self.found = found
        self.calls: list[int] = []

    def find_levels(self, frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Keypoints]:
        self.calls.append(0)
        for frame in frames:
            self.calls[-1] += 1
            yield self.found[round(float(frame.mean()) / 20)]


def write_levels(path: Path, levels: list[int]) -> Path:
    write_clip(path, [np.full((*SIZE, 3), 20 * level, np.uint8) for level in levels], 25)
    return path


@pytest.fixture
def extractor() -> Extractor:
    """Finds pose k where the frame has level k, and nothing at level 9."""
    stub = Extractor({**dict(enumerate(poses(6))), 9: np.zeros((75, 3), np.float32)})
    return stub


# closed forms


def test_closed_form_a_shifted_pose_is_as_far_as_the_shift() -> None:
    wanted = poses(3)
    shifted = wanted.copy()
    shifted[..., :2] += (3, 4)
    assert measure_distance(shifted, wanted, 200).tolist() == pytest.approx([2.5] * 3)  # 5 of 200 pixels
    assert measure_distance(wanted, wanted, 200).tolist() == [0.0] * 3
    assert count_missed(shifted, wanted).tolist() == [0.0] * 3


def test_closed_form_a_missing_joint_is_counted_and_does_not_enter_the_distance() -> None:
    wanted = poses(2)
    detected = wanted.copy()
    detected[0, R_WRIST] = 0
    assert count_missed(detected, wanted).tolist() == [1.0, 0.0]
    assert measure_distance(detected, wanted, 200)[0] == 0
    assert count_missed(wanted, detected).tolist() == [0.0, 0.0]  # one found beyond those wanted is no miss


def test_closed_form_nothing_detected_is_no_distance_and_all_joints_missed() -> None:
    nothing = np.zeros((2, 75, 3), np.float32)
    assert np.isnan(measure_distance(nothing, poses(2), 200)).all()
    assert count_missed(nothing, poses(2)).tolist() == [23.0, 23.0]
    assert np.isnan(count_missed(poses(2), nothing)).all()  # no input pose: nothing to miss
    assert np.isnan(measure_distance(poses(2), nothing, 200)).all()


def test_hands_and_face_do_not_enter() -> None:
    wanted = poses(1)
    wanted[:, 25:] = 1
    detected = wanted.copy()
    detected[:, 25:, :2] += 40
    detected[:, 30] = 0
    assert measure_distance(detected, wanted, 100)[0] == 0
    assert count_missed(detected, wanted)[0] == 0


def test_each_clip_is_compared_with_the_input_and_with_the_truth(tmp_path: Path, extractor: Extractor) -> None:
    fake, real = write_levels(tmp_path / "fake.mp4", [0, 9, 3]), write_levels(tmp_path / "real.mp4", [0, 1, 2])
    wanted, truth = poses(6)[:3], poses(6)[:3] + np.float32(0)
    truth[..., 0] += 1.28  # 1% of the height
    rows = measure_poses(FakeAndReal(fake, real, wanted, truth, extractor=extractor))
    assert rows["pose_distance_real"].tolist() == [0.0] * 3
    assert rows["pose_distance_true_real"].tolist() == pytest.approx([1.0] * 3, abs=1e-4)
    assert rows["pose_distance_true"][0] == pytest.approx(1.0, abs=1e-4)
    assert rows["pose_distance"][0] == 0
    assert np.isnan(rows["pose_distance"][1])
    assert rows["pose_distance"][2] > 1
    assert rows["pose_missed"].tolist() == [0.0, 23.0, 0.0]
    unknown = measure_poses(FakeAndReal(fake, real, wanted, extractor=extractor))
    assert unknown[["pose_distance_true", "pose_distance_true_real"]].isna().all(axis=None)
    assert explain_null(unknown, "pose_distance_true") == "the true keypoints are not known"


# cached detections


def test_poses_are_detected_once(tmp_path: Path, extractor: Extractor) -> None:
    clip = write_levels(tmp_path / "a.b.mp4", [0, 1, 2])
    first = detect_poses(clip, start_once(3), extractor)
    again = detect_poses(clip, start_once(3), extractor)
    assert extractor.calls == [3]
    assert first.dtype == again.dtype == np.float32
    assert (first == again).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.mp4", "a.b.poses.json", "a.b.poses.npz"]


def test_another_clip_extractor_or_segment_is_detected_again(
    tmp_path: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_levels(tmp_path / "clip.mp4", [0, 1, 2])
    detect_poses(clip, start_once(3), extractor)
    write_levels(clip, [3, 4, 5])
    assert (detect_poses(clip, start_once(3), extractor) == poses(6)[3:]).all()
    extractor.description = "another"
    detect_poses(clip, start_once(3), extractor)
    assert extractor.calls == [3, 3, 3]
    detect_poses(clip, np.array([True, False, True]), extractor)
    assert extractor.calls == [3, 3, 3, 2, 1]  # tracking restarted at frame 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not really", b"junk"])
def test_a_damaged_file_is_detected_again(tmp_path: Path, extractor: Extractor, damage: bytes) -> None:
    clip = write_levels(tmp_path / "clip.mp4", [0, 1])
    first = detect_poses(clip, start_once(2), extractor)
    (tmp_path / "clip.poses.npz").write_bytes(damage)
    assert (detect_poses(clip, start_once(2), extractor) == first).all()
    assert (detect_poses(clip, start_once(2), extractor) == first).all()
    assert extractor.calls == [2, 2]


def test_a_truncated_file_is_detected_again(tmp_path: Path, extractor: Extractor) -> None:
    clip = write_levels(tmp_path / "clip.mp4", [0, 1])
    detect_poses(clip, start_once(2), extractor)
    cache = tmp_path / "clip.poses.npz"
    whole = cache.read_bytes()
    for share in (0.3, 0.6, 0.95):
        cache.write_bytes(whole[: int(share * len(whole))])
        detect_poses(clip, start_once(2), extractor)
    assert extractor.calls == [2] * 4


# the whole


def test_a_fake_has_all_columns_whatever_the_chunks(
    tmp_path: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, real = write_levels(tmp_path / "fake.mp4", [0, 1, 2, 3]), write_levels(tmp_path / "real.mp4", [0, 1, 2, 2])
    starts = np.array([True, False, True, False])
    seen: list[tuple[str, int, int]] = []

    def measure() -> pd.DataFrame:
        return measure_fake(
            FakeAndReal(fake, real, poses(6)[:4], poses(6)[:4], starts, extractor),
            lambda what, done, total: seen.append((what, done, total)),
        )  # fmt: skip

    whole = measure()
    monkeypatch.setattr("dancebench.benchmark.metrics.chunks.CHUNK", 2)
    assert whole.equals(measure())
    names = [name for name in whole if name in METRICS]
    assert set(names) == set(METRICS.names()) - set(METRICS.find_ratios())
    assert list(whole["t"]) == [0, 1, 2, 3]
    assert {("measuring fake", 4, 4), ("detecting poses in fake", 4, 4), ("detecting poses in real", 4, 4)} <= set(seen)


def test_lengths_that_differ_are_refused(tmp_path: Path, extractor: Extractor) -> None:
    fake, real = write_levels(tmp_path / "fake.mp4", [0, 1, 2]), write_levels(tmp_path / "real.mp4", [0, 1, 2])
    with pytest.raises(BenchError, match="3 frames against 3 with 4 poses"):
        measure_fake(FakeAndReal(fake, real, poses(4)))
    for starts, truth in ((start_once(4), None), (start_once(3), poses(4)), (np.zeros(3, bool), None)):
        with pytest.raises(ValueError, match="one entry for each pose"):
            measure_fake(FakeAndReal(fake, real, poses(3), truth, starts))


def test_a_drawn_dancer_is_found_where_the_truth_says(tmp_path: Path) -> None:
    film = list(dancers.dance(dancers.make_dancer(101), 10))
    frames, truth = np.stack([frame for frame, _ in film]), np.stack([points for _, points in film])
    keypoints = np.stack(list(open_extractor().extract(frames)))
    write_clip(tmp_path / "real.mp4", frames, 25)
    write_clip(tmp_path / "fake.mp4", frames[::-1], 25)  # the right person in other poses
    rows = measure_poses(FakeAndReal(tmp_path / "fake.mp4", tmp_path / "real.mp4", keypoints, truth))
    means = rows.mean()
    assert means["pose_distance_real"] < 0.5  # what coding and tracking change
    assert means["pose_distance_true_real"] < 2.0
    assert means["pose_distance"] > 2 * means["pose_distance_real"]
    assert means["pose_distance_true"] > means["pose_distance_true_real"]
    assert means["pose_missed_real"] < 1
    warp = measure_warp(FakeAndReal(frames[::-1], frames, keypoints, truth)).mean()
    assert warp["warp_error"] > warp["warp_error_real"]


# the registry


def test_metric_names_are_known_by_region_and_metric() -> None:
    assert METRICS["face_lpips_squeeze"].info.higher_is_better is False
    for name in ("subject", "elbow_ssim", "background_reason"):
        assert name not in METRICS


def test_every_metric_is_listed_with_unit_direction_and_where_it_comes_from() -> None:
    facts = {fact["metric"]: fact for fact in list_metrics()}
    assert list(facts) == METRICS.names()
    images = ("ssim", "psnr", "mse", "l1", "lpips_squeeze", "diff_mse")
    assert {f"{region}_{name}" for region in REGIONS for name in images} <= set(facts)
    ratios = METRICS.find_ratios()
    assert set(ratios) == {"background_flicker_ratio", "warp_error_ratio"}
    assert {column for ratio in ratios.values() for column in (ratio.numerator, ratio.denominator)} <= set(facts)
    assert all(fact["unit"] and fact["from"] == "built in" for fact in facts.values())
    lower = [name for name, fact in facts.items() if "_" in name and fact["higher_is_better"] is False]
    assert {"pose_distance", "pose_distance_true", "pose_missed", "background_flicker_excess"} <= set(lower)
    for name in (*ratios, "warp_error", "background_flicker", *(name for name in facts if name.endswith("_real"))):
        assert facts[name]["higher_is_better"] is None


# values per subject


def test_closed_form_subjects_have_means_of_their_frames_and_ratios_of_their_means() -> None:
    rows = pd.DataFrame(
        {
            "subject": ["a", "a", "a", "b", "b"],
            "t": [0, 1, 2, 0, 1],
            "body_ssim": [0.5, 0.7, np.nan, 0.9, 0.9],
            "warp_error": [np.nan, 4.0, 8.0, np.nan, np.nan],
            "warp_error_real": [np.nan, 2.0, 2.0, np.nan, np.nan],
        }
    )
    values = average_per_subject(rows)
    assert list(values) == ["body_ssim", "warp_error", "warp_error_real", "warp_error_ratio"]
    assert values.loc["a"].tolist() == pytest.approx([0.6, 6.0, 2.0, 3.0])
    assert values.loc["b"].isna().tolist() == [False, True, True, True]
    assert (count_frames(rows, "body_ssim"), count_frames(rows, "warp_error_ratio")) == (4, 2)
    assert explain_null(rows, "body_mse") == "no frame has a value"
    assert explain_null(rows, "body_psnr") == "no frame shows the region, or fake and real are equal there: infinite"
