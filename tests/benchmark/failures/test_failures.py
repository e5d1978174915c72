"""Failure cases: every kind found where it was planted, chosen moments, the record and the sheet, the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_dataset, picture_of, waving
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.benchmark.failures.kinds import KINDS, Finding, Findings
from dancebench.benchmark.failures.limbs import find_missing_limbs, find_swapped_limbs
from dancebench.benchmark.failures.pictures import find_background, find_in_pictures, find_melted_limb
from dancebench.benchmark.failures.records import FailureRecord, KindRecord
from dancebench.benchmark.failures.report import MOMENTS, choose_worst, describe_kind
from dancebench.benchmark.metrics.chunks import FakeAndReal
from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.datasets.pose.skeleton import L_ELBOW, L_WRIST, R_ELBOW, R_KNEE, R_WRIST, Keypoints

SIZE = (256, 128)


def poses(n: int = 3) -> Keypoints:
    return np.stack([waving(t, SIZE) for t in range(n)])


def textured(pose: Keypoints) -> npt.NDArray[np.uint8]:
    grain = np.random.default_rng(0).integers(-40, 41, (*SIZE, 1))
    return np.clip(picture_of(pose, SIZE).astype(int) + grain, 0, 255).astype(np.uint8)


def scores(findings: Findings) -> list[float]:
    return [np.nan if finding is None else finding.score for finding in findings]


# ---------------------------------------------------------------- closed form


def test_a_perfect_fake_fails_in_nothing() -> None:
    wanted = poses()
    frames = np.stack([textured(pose) for pose in wanted])
    assert scores(find_missing_limbs(wanted, wanted, wanted, SIZE)) == [0, 0, 0]
    assert max(scores(find_swapped_limbs(wanted, wanted, wanted, SIZE))) < 0
    table = find_in_pictures(FakeAndReal(frames, frames, wanted))
    for kind in table:
        measured = [finding.score for finding in table[kind] if finding is not None]
        assert np.allclose(measured, 0, atol=1e-5), kind
        assert len(measured) == {"flicker": 2, "hand": 0}.get(kind, 3)


def test_joints_that_are_not_found_or_far_away_are_missing() -> None:
    wanted = poses()
    fake = wanted.copy()
    fake[1, R_KNEE] = 0
    fake[1, [L_ELBOW, L_WRIST], 1] += 0.6 * 0.28 * SIZE[0]  # beyond half of the torso's length, 0.28 of the height
    fake[2] = 0
    whole, some, nobody = find_missing_limbs(wanted, fake, wanted, SIZE)
    assert whole is not None
    assert some is not None
    assert nobody is not None
    assert (whole.score, some.score, nobody.score) == (0, 3, 8)
    assert some.reason == "left arm, right leg: 1 joint(s) not found, 2 far from the driving pose"
    assert nobody.reason == "nobody is found in the fake"
    assert some.box is not None
    assert some.box.top < wanted[1, L_ELBOW, 1] < wanted[1, R_KNEE, 1] < some.box.bottom


def test_what_is_missing_in_the_real_clip_too_is_no_failure() -> None:
    wanted = poses(1)
    found = wanted.copy()
    found[0, [R_KNEE, L_WRIST]] = 0
    assert scores(find_missing_limbs(wanted, found, found, SIZE)) == [0]
    assert find_missing_limbs(wanted, found, np.zeros_like(found), SIZE) == [None]
    assert find_missing_limbs(np.zeros_like(found), found, found, SIZE) == [None]


def test_exchanged_arms_are_swapped_by_their_mean_distance_in_torso_lengths() -> None:
    wanted = poses(1)
    fake = wanted.copy()
    fake[0, [R_ELBOW, R_WRIST, L_ELBOW, L_WRIST]] = wanted[0, [L_ELBOW, L_WRIST, R_ELBOW, R_WRIST]]
    arms = wanted[0, [R_ELBOW, R_WRIST], :2] - wanted[0, [L_ELBOW, L_WRIST], :2]
    expected = np.linalg.norm(arms, axis=-1).mean() / (0.28 * SIZE[0])
    (found,) = find_swapped_limbs(wanted, fake, wanted, SIZE)
    assert found is not None
    assert found.score == pytest.approx(expected, rel=1e-5)
    assert found.reason.startswith("arms: exchanged they fit better")
    assert max(scores(find_swapped_limbs(wanted, fake, fake, SIZE))) == pytest.approx(0)  # the extractor's own error


def test_edges_of_half_the_strength_are_half_lost() -> None:
    pose = poses(1)[0]
    real = textured(pose)
    faded = np.round(real / 2).astype(np.uint8)
    found = find_melted_limb(faded, real, pose)
    assert found is not None
    assert found.score == pytest.approx(0.5, abs=0.01)
    smooth = cv2.GaussianBlur(real, (0, 0), 4)
    blurred = find_melted_limb(smooth, real, pose)
    assert blurred is not None
    assert blurred.score >= KINDS["melted-limb"].threshold
    noise = np.random.default_rng(1).integers(0, 256, real.shape).astype(np.uint8)
    other = find_melted_limb(noise, real, pose)
    assert other is not None
    assert other.score > 0.8  # strong edges, but not the limb's
    assert find_melted_limb(real, np.full_like(real, 90), pose) is None  # nothing there that could be lost
    outside = pose.copy()
    outside[:, 0] += 10 * SIZE[1]
    assert find_melted_limb(real, real, outside) is None


def test_the_background_is_off_by_what_was_added() -> None:
    pose = poses(1)[0]
    real = textured(pose) // 2
    found = find_background(real + np.uint8(20), real, pose)
    assert found is not None
    assert found.score == pytest.approx(20)
    assert find_background(real, real, np.zeros_like(pose)) is None


@given(st.lists(st.one_of(st.none(), st.floats(-2, 2)), max_size=60), st.integers(1, 12))
def test_chosen_moments_are_apart_beyond_the_threshold_and_worst_first(values: list[float | None], apart: int) -> None:
    found = np.array([np.nan if value is None else value for value in values])
    chosen = choose_worst(found, 0.5, apart=apart)
    assert len(chosen) <= MOMENTS
    assert all(found[t] >= 0.5 for t in chosen) or (len(chosen) == 1 and 0 < found[chosen[0]] == np.nanmax(found))
    assert [found[t] for t in chosen] == sorted((found[t] for t in chosen), reverse=True)
    assert all(abs(a - b) >= apart for k, a in enumerate(chosen) for b in chosen[:k])
    if np.isfinite(found).any() and np.nanmax(found) > 0:
        assert found[chosen[0]] == np.nanmax(found)
    else:
        assert chosen == []


def test_a_share_is_of_the_measured_frames_and_null_with_its_reason() -> None:
    found: Findings = [None, Finding(0.9, "SSIM 0.10"), Finding(0.1, "SSIM 0.90"), Finding(0.6, "SSIM 0.40")]
    kind = describe_kind("face", found, fps=2, frames=[10, 11, 12, 13])
    assert (kind.n, kind.n_failed, kind.share, kind.reason) == (3, 2, pytest.approx(2 / 3), None)
    assert [(moment.t, moment.frame) for moment in kind.worst] == [(1, 11), (3, 13)]
    nothing = describe_kind("missing-limb", [None], fps=2, frames=[4], absence="no extractor")
    assert (nothing.share, nothing.reason, nothing.worst) == (None, "no extractor", ())
    with pytest.raises(ValueError, match="null with its reason"):
        KindRecord(unit="", threshold=1, n=0, n_failed=0, share=None, reason=None, worst=())


# ---------------------------------------------------------------- the command


def test_the_command_writes_a_record_and_a_sheet(tmp_path: Path) -> None:
    make_dataset(tmp_path / "ws", n_frames=40)
    arguments = ["synth", "--dataset", "toy", "--subject", "all", "--method", "mean-frame", "--preset", "tiny"]
    result = CliRunner().invoke(app, [*arguments, "--jobs", "1", "--failures", "--workspace", str(tmp_path / "ws")])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "ws/failures/mean-frame/toy/walker/tiny-s0"
    record = FailureRecord.load(folder / "failures.json")
    assert list(record.kinds) == list(KINDS)
    assert record.kinds["missing-limb"].share is None
    assert "cannot find any in the fake" in str(record.kinds["missing-limb"].reason)
    assert record.kinds["background"].reason == KINDS["background"].unmeasured  # the figure fills its small frame
    assert record.n_frames == record.kinds["face"].n == 7
    sheet = cv2.imread(str(folder / "failures.png"))
    assert sheet is not None
    assert sheet.shape[1] >= 900
    assert str(folder / "failures.png") in result.output.replace("\n", "")


def test_a_damaged_or_newer_record_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "failures.json"
    path.write_text(json.dumps({"schema_version": 1, "method": "fbf"}))
    with pytest.raises(BenchError, match="not a valid FailureRecord"):
        FailureRecord.load(path)
    path.write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(BenchError, match="schema version 99"):
        FailureRecord.load(path)


def test_failures_of_submitted_clips_are_refused_in_words(tmp_path: Path) -> None:
    arguments = ["synth", "--submit", str(tmp_path), "--name", "theirs", "--failures"]
    result = CliRunner().invoke(app, [*arguments, "--workspace", str(tmp_path / "ws")])
    assert result.exit_code == 2
    assert "--failures" in result.output
