"""`bench data import` from the outside, with poses from MediaPipe where the layout has none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from dancebench.benchmark.cli import app
from dancebench.core.opencv import cv2
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.dancer import HEIGHT, WIDTH, dance, make_dancer
from dancebench.datasets.pose.stick_figures import draw_stick_figure
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.video.clips import write_clip
from dancebench.synth.clip import load_training_clip
from dancebench.synth.render import take_held_out_motion

TRAIN, TEST = (*range(5), *range(6, 11)), range(11, 16)
SIZE = (256, 128)


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run_import(folder: Path, workspace: Path, *extra: str | Path, layout: str = "edn", role: str = "target") -> Result:
    permission = ("--consent", "yes") if role == "target" else ("--legal-basis", "licence")
    return bench(
        "data", "import", folder, "--layout", layout, "--subject", "a", "--licence", "MIT", "--role", role,
        *permission, "--workspace", workspace, *extra,
    )  # fmt: skip


def refusal(result: Result) -> str:
    """Error and hint of a failed command, after a check of their form."""
    assert result.exit_code == 1, result.output
    lines = [line for line in result.output.splitlines() if line.startswith(("error:", "hint:"))]
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], result.output
    return " ".join(lines)


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def edn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn dancer in the layout of the Everybody-Dance-Now release."""
    root = tmp_path_factory.mktemp("edn") / "subject1"
    for number, (frame, points) in enumerate(dance(make_dancer(101), 16, 30)):
        part = "test" if number in TEST else "train"
        if number not in (*TRAIN, *TEST):
            continue
        small = cv2.resize(frame, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_AREA)
        label = draw_stick_figure(points, (HEIGHT, WIDTH), SIZE)
        for kind, picture in (("img", small), ("label", label)):
            path = root / f"{part}_{kind}" / f"frame{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), picture[..., ::-1])
    return root


@pytest.fixture(scope="module")
def imported(edn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The workspace after the import, and the result of the command."""
    workspace = tmp_path_factory.mktemp("imported") / "workspace"
    return workspace, run_import(edn, workspace, "--size", "256x128")


@pytest.fixture
def openpose(tmp_path: Path) -> tuple[Path, Path]:
    """JSON of a dancer's true keypoints, somebody else beside them in two frames; and the video."""
    folder, video = tmp_path / "json", tmp_path / "dance.mp4"
    folder.mkdir()
    filmed = list(dance(make_dancer(102), 12, 30))
    for number, (_, points) in enumerate(filmed):
        person = {"pose_keypoints_2d": points[:25].ravel().tolist()}
        other = {"pose_keypoints_2d": (points[:25] * (0.5, 0.5, 0.5)).ravel().tolist()}
        people = [other, person] if number in (3, 7) else [person]
        (folder / f"dance_{number:012d}_keypoints.json").write_text(json.dumps({"people": people}))
    write_clip(video, (frame for frame, _ in filmed), 30)
    return folder, video


def test_an_edn_folder_becomes_a_subject(imported: tuple[Path, Result]) -> None:
    workspace, result = imported
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "15 frames of 256x128 (height x width) at 30 fps, 10 of them for training, in 3 segment(s)" in said
    assert "a person in 15 of them" in said
    subject = Dataset.open(Workspace(workspace), "mine").subject("a")
    assert (len(subject.train), subject.record.breaks) == (10, (5, 10))
    assert subject.record.pose_extractor.startswith("mediapipe")
    assert next(subject.pose_maps(subject.test, subject.size)).shape == (*SIZE, 3)
    assert "all their files match the recorded hashes" in " ".join(
        bench("data", "verify", "--dataset", "mine", "--workspace", workspace).output.split()
    )
    assert json.loads(bench("data", "list", "--json", "--workspace", workspace).stdout)[0]["prepared"] == 1


def test_importing_again_changes_nothing(imported: tuple[Path, Result], edn: Path) -> None:
    workspace, _ = imported
    before = files_under(workspace)
    assert run_import(edn, workspace).exit_code == 0
    assert files_under(workspace) == before
    assert "another --size: (256, 128)" in refusal(run_import(edn, workspace, "--size", "128x64"))
    assert "already has a subject 'a'" in refusal(run_import(edn, workspace, "--fps", "25"))
    assert "already has a subject 'a'" in refusal(run_import(edn, workspace, role="driver"))
    assert files_under(workspace) == before


def test_openpose_files_become_a_subject(tmp_path: Path, openpose: tuple[Path, Path]) -> None:
    folder, video = openpose
    result = run_import(folder, tmp_path / "w", "--frames", video, layout="openpose", role="validation")
    assert result.exit_code == 0, result.output
    assert "Several people in 2 of 12 frames" in result.output
    subject = Dataset.open(Workspace(tmp_path / "w"), "mine").subject("a")
    truth = np.stack([points for _, points in dance(make_dancer(102), 12, 30)])
    assert np.allclose(subject.keypoints()[:, :25], truth[:, :25], atol=1e-3)
    assert subject.record.pose_extractor == "openpose json BODY_25"
    assert subject.size == (512, 256)


def test_a_label_video_without_frames_is_refused_and_leaves_nothing(tmp_path: Path, edn: Path) -> None:
    folder = Path(shutil.copytree(edn, tmp_path / "copy"))
    shutil.rmtree(folder / "test_img")
    message = refusal(run_import(folder, tmp_path / "w"))
    assert "has no test_img" in message
    assert "test_label into test_img" in message
    assert set(files_under(tmp_path / "w")) == {"workspace.json"}


def test_bad_arguments_are_named(tmp_path: Path, edn: Path, openpose: tuple[Path, Path]) -> None:
    folder, video = openpose
    w = tmp_path / "w"
    assert "Unknown layout 'end'. hint: Did you mean 'edn'" in refusal(run_import(edn, w, layout="end"))
    assert "--frames is for --layout openpose" in refusal(run_import(edn, w, "--frames", video))
    assert "Poses alone are no clip" in refusal(run_import(folder, w, layout="openpose"))
    rate = run_import(folder, w, "--frames", video, "--fps", "25", layout="openpose")
    assert "a video brings its own rate" in refusal(rate)
    assert "Unknown role 'dancer'" in refusal(run_import(edn, w, role="dancer"))
    assert "catalogue of drawn dancers" in refusal(run_import(edn, w, "--dataset", "demo"))
    assert "is not a size" in refusal(run_import(edn, w, "--size", "big"))
    assert "up to 4096" in refusal(run_import(edn, w, "--size", "8192x8192"))
    missing = run_import(folder, w, "--frames", tmp_path / "none.mp4", layout="openpose")
    assert "none.mp4 does not exist" in refusal(missing)
    assert "is not a folder" in refusal(run_import(video, w, "--frames", video, layout="openpose"))
    unstated = bench("data", "import", edn, "--layout", "edn", "--subject", "a", "--licence", "x", "--workspace", w)
    assert "No consent is stated" in refusal(unstated)
    (folder / "dance_000000000004_keypoints.json").write_text("{")
    assert "000000000004_keypoints.json" in refusal(run_import(folder, w, "--frames", video, layout="openpose"))
    assert set(files_under(w)) == {"workspace.json"}


def test_the_command_has_help() -> None:
    result = bench("data", "import", "-h")
    assert result.exit_code == 0
    assert "Usage" in result.output
    assert "xample" in result.output


def test_an_import_is_synthesized_from_its_supplied_pose_maps(imported: tuple[Path, Result], tmp_path: Path) -> None:
    workspace = Path(shutil.copytree(imported[0], tmp_path / "workspace"))
    (name,) = (path.parent.name for path in workspace.glob("datasets/*/dataset.json"))
    subject = Dataset.open(Workspace(workspace), name).subject("a")
    clip = load_training_clip(subject, 64)
    assert set(clip.list_example_starts(2).tolist()) <= {0, 1, 2, 3, 5, 6, 7, 8}  # none straddles the gap
    label = next(subject.pose_maps([2], clip.size))
    assert np.array_equal(clip.pose_maps[np.array([2])][0], label)
    fixed = ("--dataset", name, "--preset", "tiny", "--jobs", "1", "--workspace", workspace)
    result = bench("synth", "--subject", "a", "--json", *fixed)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["metrics"]["frame_ssim"]["n"] == 4  # five held-out frames, the first of them dropped
    drive = take_held_out_motion(subject)
    assert np.array_equal(next(drive.segments[0].pose_maps(subject.size)), next(subject.pose_maps([10], subject.size)))
    # A clip without supplied pose maps cannot drive it.
    plain = tmp_path / "plain.mp4"
    write_clip(plain, (frame for frame, _ in dance(make_dancer(5), 10, 25)), 25)
    said = refusal(bench("transfer", "--subject", "a", "--source", plain, *fixed))
    assert "'a' was trained on pose maps supplied with its frames; 'plain.mp4' has none" in said
    assert bench("transfer", "--subject", "a", "--source", "a", *fixed).exit_code == 0
