"""Motion transfer: several targets, any source, provenance, refusals."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import make_dataset, write_masks_of
from typer.testing import CliRunner, Result

from dancebench.benchmark.cli import app
from dancebench.benchmark.presets import RunSettings, configure_method
from dancebench.benchmark.runs.driving_motion import find_motion_source, select_held_out
from dancebench.benchmark.runs.synthesis import SynthesisJob, make_training_job
from dancebench.benchmark.runs.transfer import AS_IS, make_driving_motion
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.files import sha256_file
from dancebench.core.opencv import cv2
from dancebench.core.progress import ignore_progress
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.dancer import dance, make_dancer
from dancebench.datasets.pose.normalise import fit_normalisation, locate_ankles
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.records import PoseSource
from dancebench.datasets.video.clips import VideoReader, write_clip
from dancebench.datasets.video.frames import resize
from dancebench.synth.render import FakeRecord
from dancebench.synth.training.synthesizer import train

VARIANT = "fakes/fbf-ts/demo-tiny/{}/tiny-s0"


def transfer(workspace: Path, *arguments: str | Path) -> Result:
    fixed = ["transfer", "--dataset", "demo-tiny", "--preset", "tiny", "--jobs", "1", "--workspace", str(workspace)]
    return CliRunner().invoke(app, [*fixed, *map(str, arguments)])


def refusal(result: Result) -> str:
    assert result.exit_code == 1, result.output
    lines = [line for line in result.output.splitlines() if line.startswith(("error:", "hint:"))]
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], result.output
    return " ".join(lines)


@pytest.fixture
def workspace(tiny_demo: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_demo, tmp_path / "workspace"))


def metadata(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return dict(container.metadata)


def test_several_targets_are_driven_by_one_motion_side_by_side(workspace: Path, tmp_path: Path) -> None:
    result = transfer(
        workspace, "--subject", "1", "--subject", "holdout01", "--source", "train01", "--out", tmp_path / "copies"
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    fakes = [workspace / VARIANT.format(target) / "train01-robust.mp4" for target in ("1", "holdout01")]
    for target, path in zip(("1", "holdout01"), fakes, strict=True):
        record = FakeRecord.load(path.with_suffix(".json"))
        assert record.synthetic
        assert (record.subject, record.source, record.n_frames) == (target, "train01", 39)
        assert record.normalisation is not None
        assert record.normalisation["kind"] == "robust"
        assert record.sha256 == sha256_file(path)
    (together,) = (workspace / "transfers/fbf-ts/demo-tiny/tiny-s0").glob("*.mp4")
    assert together.name == "train01-robust--1+holdout01.mp4"
    with VideoReader(together) as video, VideoReader(fakes[0]) as fake:
        assert len(video) == len(fake)
        assert video.width == 3 * 128  # source and two targets, each 256 high
    # Exported copies are marked as synthetic; the fakes that a detector sees are not, as reals are not.
    copies = sorted((tmp_path / "copies").glob("*.mp4"))
    assert len(copies) == 3
    assert all("Synthetic" in metadata(copy)["comment"] for copy in (*copies, together))
    assert all("comment" not in metadata(fake) for fake in fakes)
    beside = FakeRecord.load(tmp_path / "copies/1-fbf-ts-tiny-s0-train01-robust.json")
    assert beside.sha256 == sha256_file(tmp_path / "copies/1-fbf-ts-tiny-s0-train01-robust.mp4")


def test_the_same_transfer_again_generates_nothing(workspace: Path) -> None:
    path = workspace / VARIANT.format("1") / "train01-paper.mp4"
    arguments = ("--subject", "1", "--source", "train01", "--normalisation", "paper", "--json")
    first = transfer(workspace, *arguments)
    stamp = path.stat().st_mtime_ns
    again = transfer(workspace, *arguments)
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert path.stat().st_mtime_ns == stamp


def test_a_file_of_another_rate_and_size_drives(workspace: Path, tmp_path: Path) -> None:
    clip = tmp_path / "fast.mp4"
    frames = (resize(frame, (512, 512)) for frame, _ in dance(make_dancer(77), 24, 50.0))
    write_clip(clip, frames, 50)
    result = transfer(workspace, "--subject", "1", "--source", clip)
    assert result.exit_code == 0, result.output
    (path,) = (workspace / VARIANT.format("1")).glob("file-*-robust.json")
    record = FakeRecord.load(path)
    assert (record.source, record.source_sha256) == ("fast.mp4", sha256_file(clip))
    assert (record.fps, record.n_frames) == (25.0, 11)  # every second of 24 frames, without the first
    assert record.first_frame == 2  # of the file's own
    assert list(workspace.glob("motions/*/poses.npz"))


def test_a_target_drives_itself_with_what_it_was_not_trained_on(workspace: Path) -> None:
    assert transfer(workspace, "--subject", "1", "--source", "1").exit_code == 0
    record = FakeRecord.load(workspace / VARIANT.format("1") / "1-robust.json")
    assert (record.first_frame, record.n_frames, record.normalisation) == (49, 11, None)
    own = workspace / VARIANT.format("1") / "1.mp4"
    assert sha256_file(own) == record.sha256  # the fake that was measured


def test_feet_stand_where_the_target_stands(tiny_demo: Path) -> None:
    workspace = Workspace(tiny_demo)
    dataset = Dataset.open(workspace, "demo-tiny")
    target = dataset.subject("1")
    source = find_motion_source(workspace, dataset, "train01", fps=25.0, report=ignore_progress)
    drive = make_driving_motion(source, target, "paper")
    moved = np.concatenate([segment.keypoints for segment in drive.segments])
    own = target.keypoints()[target.train.start : target.train.stop]
    fitted = fit_normalisation(source.fit_to(target.size), own, frame_height=512, kind="paper")
    expected = fitted.map_y(locate_ankles(source.fit_to(target.size))[:, 1])
    assert locate_ankles(moved)[:, 1] == pytest.approx(expected, abs=1e-3)
    as_is = make_driving_motion(source, target, AS_IS)
    assert np.array_equal(as_is.segments[0].keypoints, source.keypoints)
    assert as_is.sha256 != drive.sha256


def test_the_held_out_part_of_a_source_is_the_subjects_own(tiny_demo: Path) -> None:
    workspace = Workspace(tiny_demo)
    dataset = Dataset.open(workspace, "demo-tiny")
    whole = find_motion_source(workspace, dataset, "1", fps=25.0, report=ignore_progress)
    part = select_held_out(whole)
    assert (len(whole.keypoints), len(part.keypoints), part.indices[0]) == (60, 12, 48)
    assert np.array_equal(part.keypoints, whole.keypoints[48:])
    assert sum(1 for _ in part.frames()) == 12
    slower = find_motion_source(workspace, dataset, "1", fps=12.5, report=ignore_progress)
    assert (len(slower.keypoints), slower.fps) == (30, 12.5)
    elsewhere = find_motion_source(workspace, dataset, "demo-tiny/train01", fps=25.0, report=ignore_progress)
    assert (elsewhere.label, elsewhere.name) == ("demo-tiny/train01", "demo-tiny.train01")
    with pytest.raises(UnknownNameError):
        find_motion_source(workspace, dataset, "nobody", fps=25.0, report=ignore_progress)


def test_poses_of_another_extractor_do_not_drive(tiny_demo: Path) -> None:
    workspace = Workspace(tiny_demo)
    dataset = Dataset.open(workspace, "demo-tiny")
    other = PoseSource(extractor="tasks", description="another")
    changed = replace(dataset, record=dataset.record.model_copy(update={"poses": other}))
    with pytest.raises(BenchError, match=r"poses of 'demo-tiny' are of \w+, those of the targets of tasks"):
        find_motion_source(workspace, changed, "demo-tiny/train01", fps=25.0, report=ignore_progress)


def test_a_motion_is_not_continued_across_a_cut(workspace: Path, tmp_path: Path) -> None:
    """Two dancers, one after the other: two trackings, and no fake shows the first frame of either."""
    scenes = [[frame for frame, _ in dance(make_dancer(seed), 12)] for seed in (1, 2)]
    clip = tmp_path / "cut.mp4"
    write_clip(clip, [frame for scene in scenes for frame in scene], 25)
    result = transfer(workspace, "--subject", "1", "--source", clip, "--json")
    assert result.exit_code == 0, result.output
    assert "note: its picture is cut at 0.48 s; no pair of frames was taken across" in result.stderr
    (fake,) = json.loads(result.stdout)
    assert (fake["n_frames"], fake["breaks"]) == (22, [11])
    (path,) = workspace.glob("motions/**/motion.json")
    motion = json.loads(path.read_text())
    assert (motion["breaks"], len(motion["decode_warnings"])) == ([12], 1)
    del motion["breaks"], motion["decode_warnings"]  # as version 1 left it: it is extracted again
    path.write_text(json.dumps(motion | {"schema_version": 1}))
    assert transfer(workspace, "--subject", "1", "--source", clip).exit_code == 0
    assert json.loads(path.read_text())["breaks"] == [12]


# ---------------------------------------------------------------- refusals


def test_a_target_that_was_never_trained_is_named_with_those_that_were(workspace: Path) -> None:
    said = refusal(transfer(workspace, "--subject", "1", "--source", "train01", "--method", "posewarp", "--seed", "3"))
    assert "'1' has no trained posewarp of preset tiny, seed 3; trained are: none" in said
    assert "bench synth --dataset demo-tiny --subject 1 --method posewarp" in said
    shutil.rmtree(workspace / "synths/fbf-ts/demo-tiny/1")
    said = refusal(transfer(workspace, "--subject", "1", "--source", "train01"))
    assert "trained are: train01, train02, validation01, holdout01, holdout02" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--subject", "9", "--source", "train01"), "Unknown subject '9'"),
        (("--subject", "1", "--source", "tran01"), "Did you mean 'train01'"),
        (("--subject", "1", "--source", "train01", "--normalisation", "robst"), "Unknown normalisation 'robst'"),
        (("--subject", "1", "--source", "train01", "--method", "fbff"), "Unknown method 'fbff'"),
    ],
)
def test_unknown_names_are_refused(workspace: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in refusal(transfer(workspace, *arguments))


def test_a_source_without_a_person_is_refused_and_leaves_nothing(workspace: Path, tmp_path: Path) -> None:
    clip = tmp_path / "noise.mp4"
    write_clip(clip, np.random.default_rng(0).integers(0, 255, (10, 64, 64, 3), np.uint8), 25)
    assert "No person was found" in refusal(transfer(workspace, "--subject", "1", "--source", clip))
    assert not list(workspace.glob("motions/*/*"))
    assert not (workspace / "transfers").exists()


def test_changed_weights_are_not_used(workspace: Path) -> None:
    weights = workspace / "synths/fbf-ts/demo-tiny/1/tiny-s0/weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    assert "has no trained fbf-ts" in refusal(transfer(workspace, "--subject", "1", "--source", "train01"))


def test_a_source_whose_poses_were_changed_is_refused(workspace: Path) -> None:
    poses = workspace / "datasets/demo-tiny/subjects/train01/poses.npz"
    poses.write_bytes(poses.read_bytes() + b"x")
    assert "poses.npz was changed" in refusal(transfer(workspace, "--subject", "1", "--source", "train01"))


def test_the_recording_of_a_target_is_not_its_own_source(tmp_path: Path, real_clips: Path) -> None:
    clip = real_clips / "tfjs_pose_squats.mp4"
    fixed = ("--dataset", "mine", "--workspace", str(tmp_path))
    add = ["data", "add", str(clip), "--subject", "a", "--licence", "x", "--consent", "y", *fixed]
    assert CliRunner().invoke(app, add).exit_code == 0
    synth = ["synth", "--subject", "a", "--preset", "tiny", "--jobs", "1", *fixed]
    assert CliRunner().invoke(app, synth).exit_code == 0
    said = refusal(transfer(tmp_path, "--subject", "a", "--source", clip, "--dataset", "mine"))
    assert "'tfjs_pose_squats.mp4' is the recording that 'a' was trained on" in said
    assert transfer(tmp_path, "--subject", "a", "--source", "a", "--dataset", "mine").exit_code == 0


def test_a_person_is_put_on_another_background(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    dataset = make_dataset(workspace)
    write_masks_of(dataset.subject("walker"))
    job = SynthesisJob(
        Workspace(workspace), dataset, "walker", "ddg", "tiny", configure_method("tiny", "ddg", RunSettings())
    )
    train(make_training_job(job, dataset.subject("walker")))
    picture = tmp_path / "beach.png"
    cv2.imwrite(str(picture), np.full((300, 200, 3), (255, 0, 0), np.uint8))  # blue
    arguments = ("--dataset", "toy", "--subject", "walker", "--source", "walker", "--method", "ddg")
    assert transfer(workspace, *arguments).exit_code == 0
    result = transfer(workspace, *arguments, "--background", picture)
    assert result.exit_code == 0, result.output
    folder, name = workspace / "fakes/ddg/toy/walker/tiny-s0", f"walker-robust-on-{sha256_file(picture)[:12]}"
    kept, put = (FakeRecord.load(folder / f"{each}.json") for each in ("walker-robust", name))
    assert (kept.background, kept.background_sha256) == (None, None)
    assert (put.background, put.background_sha256) == ("beach.png", sha256_file(picture))
    assert (put.n_frames, put.weights_sha256, put.motion_sha256) == (
        kept.n_frames, kept.weights_sha256, kept.motion_sha256,
    )  # fmt: skip
    with VideoReader(folder / f"{name}.mp4") as video:
        corner = video[3][:6, :6].reshape(-1, 3).mean(axis=0)
        assert np.abs(corner - (0, 0, 255)).max() < 12
    assert list((workspace / "transfers/ddg/toy/tiny-s0").glob(f"{name}--walker.mp4"))


def test_whole_frames_have_no_background_to_replace(workspace: Path, tmp_path: Path) -> None:
    picture = tmp_path / "beach.png"
    cv2.imwrite(str(picture), np.zeros((30, 20, 3), np.uint8))
    said = refusal(transfer(workspace, "--subject", "1", "--source", "train01", "--background", picture))
    assert "generates whole frames" in said
    assert "ddg" in said
    said = refusal(
        transfer(workspace, "--subject", "1", "--source", "train01", "--method", "ddg", "--background", "none.png")
    )
    assert "There is no background none.png" in said


def test_an_older_record_of_a_fake_is_read(workspace: Path) -> None:
    transfer(workspace, "--subject", "1", "--source", "train01")
    path = workspace / VARIANT.format("1") / "train01-robust.json"
    written = json.loads(path.read_text())
    later = ("background", "background_sha256", "ancestor", "revision")
    older = {key: value for key, value in written.items() if key not in later} | {"schema_version": 3}
    path.write_text(json.dumps(older))
    record = FakeRecord.load(path)
    assert (record.schema_version, record.background, record.revision) == (6, None, 1)
    stamp = path.with_suffix(".mp4").stat().st_mtime_ns
    transfer(workspace, "--subject", "1", "--source", "train01")
    assert path.with_suffix(".mp4").stat().st_mtime_ns == stamp, "the fake is reused"
