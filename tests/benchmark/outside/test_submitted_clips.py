"""Export, an outside synthesizer, submission: the same frames, the same table; whatever is wrong is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from conftest import make_dataset
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.benchmark.outside.export import ExportRecord
from dancebench.core.opencv import cv2
from dancebench.datasets.subjects.prepare import read_poses
from dancebench.datasets.video.clips import VideoReader, write_clip
from dancebench.leaderboards.records import RunRecord, load_runs
from dancebench.leaderboards.tables import group_sections


def bench(*arguments: object, workspace: Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--workspace", str(workspace)])


def export(root: Path) -> Path:
    result = bench(
        "data", "export", "--dataset", "toy", "--preset", "tiny", "--out", root / "export", workspace=root / "ws"
    )
    assert result.exit_code == 0, result.output
    return root / "export"


def synthesize_outside(exported: Path, into: Path) -> Path:
    """A synthesizer from elsewhere: the mean training frame for every stick figure."""
    for person in (path for path in exported.iterdir() if path.is_dir()):
        frames = [cv2.imread(str(path)) for path in sorted((person / "train/frames").iterdir())]
        mean = np.round(np.mean(frames, axis=0)).astype(np.uint8)
        (into / person.name).mkdir(parents=True)
        for stick in (person / "heldout/sticks").iterdir():
            cv2.imwrite(str(into / person.name / stick.name), mean)
    return into


def submit(root: Path, clips: Path, *more: object) -> Result:
    return bench(
        "synth", "--submit", clips, "--name", "theirs", "--dataset", "toy", "--preset", "tiny", "--jobs", 1, *more,
        workspace=root / "ws",
    )  # fmt: skip


def find_run(root: Path, name: str) -> RunRecord:
    [record] = [record for record in load_runs(root / "ws/results")[0] if record.entry.name == name]
    return record


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "ws", breaks=(27,))
    return tmp_path


def test_a_mean_frame_from_elsewhere_equals_ours_in_the_same_table(root: Path) -> None:
    ours = bench(
        "synth", "--dataset", "toy", "--subject", "walker", "--method", "mean-frame", "--method", "nearest",
        "--preset", "tiny", "--jobs", 1, workspace=root / "ws",
    )  # fmt: skip
    assert ours.exit_code == 0, ours.output
    clips = synthesize_outside(export(root), root / "clips")
    result = submit(root, clips)
    assert result.exit_code == 0, result.output
    assert "theirs" in result.stdout
    assert "mean-frame" in result.stdout

    runs, _ = load_runs(root / "ws/results")
    [section] = group_sections(runs, "synthesis")
    assert sorted(row.record.entry.name for row in section.rows) == ["mean-frame", "nearest", "theirs"]
    assert not section.list_warnings()
    theirs, mean = find_run(root, "theirs"), find_run(root, "mean-frame")
    assert theirs.metrics == mean.metrics  # the same picture, encoded by the same encoder
    assert theirs.per_subject == mean.per_subject
    assert (theirs.data, theirs.failures) == (mean.data, [])


def test_an_export_holds_what_our_methods_get_and_no_held_out_frame(root: Path) -> None:
    folder = export(root)
    [walker] = ExportRecord.load(folder / "export.json").subjects
    assert (walker.n_train, walker.n_held_out, walker.held_out_starts) == (24, 6, (0, 3))
    assert (walker.height, walker.width, walker.fps) == (64, 32, 25)
    assert sorted(path.name for path in (folder / "walker").rglob("*") if path.is_dir()) == [
        "frames", "heldout", "sticks", "sticks", "train",
    ]  # fmt: skip
    assert len(list((folder / "walker/heldout/sticks").iterdir())) == 6
    assert read_poses(folder / "walker/heldout/poses.npz").shape == (6, 75, 3)
    poses = read_poses(folder / "walker/train/poses.npz")
    assert poses.shape == (24, 75, 3)
    assert poses[..., 0].max() < 32
    assert poses[..., 1].max() < 64
    assert cv2.imread(str(folder / "walker/train/frames/000000.png")).shape == (64, 32, 3)
    text = (folder / "README.md").read_text()
    assert "bench synth --submit FOLDER --name YOURS --dataset toy --preset tiny" in text
    assert "| `walker` | 24 | 6 | 64x32 | 25 | MIT; drawn |" in text


def test_a_folder_that_holds_something_is_not_written_into(root: Path) -> None:
    folder = export(root)
    before = sorted(folder.rglob("*"))
    again = bench("data", "export", "--dataset", "toy", "--out", folder, workspace=root / "ws")
    assert again.exit_code == 1
    assert "is not an empty folder" in again.stderr
    assert "hint:" in again.stderr
    assert sorted(folder.rglob("*")) == before


def test_the_first_frame_of_every_segment_is_left_out_and_a_video_will_do(root: Path) -> None:
    (root / "clips").mkdir()
    frames = [np.full((64, 32, 3), 20 * t, np.uint8) for t in range(6)]
    write_clip(root / "clips/walker.mp4", frames, 25)
    assert submit(root, root / "clips").exit_code == 0
    with VideoReader(root / "ws/fakes/theirs/toy/walker/submitted-64/walker.mp4") as fake:
        assert [round(float(frame.mean()) / 20) for frame in fake] == [1, 2, 4, 5]
    described = json.loads((root / "ws/fakes/theirs/toy/walker/submitted-64/walker.json").read_text())
    assert (described["synthetic"], described["breaks"], described["first_frame"]) == (True, [2], 25)


@pytest.mark.parametrize(
    ("n_frames", "size", "fps", "says"),
    [
        (5, (64, 32), 25, "walker.mp4 has 5 frames, not 6."),
        (6, (128, 64), 25, "walker.mp4 has 128x64 pixels (height x width), not 64x32."),
        (6, (64, 32), 30, "walker.mp4 has 30 frames per second, not 25."),
        (0, (64, 32), 25, "there is no clip walker.* nor a folder of images."),
    ],
)
def test_a_clip_that_cannot_be_measured_is_named(
    root: Path, n_frames: int, size: tuple[int, int], fps: float, says: str
) -> None:
    (root / "clips").mkdir()
    if n_frames:
        write_clip(root / "clips/walker.mp4", [np.zeros((*size, 3), np.uint8)] * n_frames, fps)
    result = submit(root, root / "clips")
    assert result.exit_code == 1
    assert f"None of the 1 clips could be measured; walker: {says}" in " ".join(result.stderr.split())
    assert "hint:" in result.stderr
    assert not list((root / "ws").glob("results/*"))


def test_an_incomplete_submission_stands_in_the_table_unranked(root: Path) -> None:
    second = make_dataset(root / "ws", subject="sitter", breaks=(27,))
    assert second.ids() == ["walker", "sitter"]
    for method in ("mean-frame", "nearest"):
        ours = bench(
            "synth", "--dataset", "toy", "--subject", "all", "--method", method, "--preset", "tiny", "--jobs", 1,
            workspace=root / "ws",
        )  # fmt: skip
        assert ours.exit_code == 0, ours.output
    clips = synthesize_outside(export(root), root / "clips")
    shutil.rmtree(clips / "sitter")
    (clips / "stranger").mkdir()
    result = submit(root, clips)
    assert result.exit_code == 0, result.output
    assert "failed  sitter: there is no clip sitter.*" in result.stderr
    assert "failed  stranger: nobody in the dataset has this name" in result.stderr

    theirs, mean = find_run(root, "theirs"), find_run(root, "mean-frame")
    assert [failure.item for failure in theirs.failures] == ["sitter", "stranger"]
    assert (theirs.data.n_original, theirs.data.n_effective) == (3, 1)
    assert theirs.metrics["body_ssim"].reason == "1 of 2 clips could not be measured (see failures)"
    assert theirs.metrics["body_ssim"].value is None
    assert theirs.metrics["body_ssim@clips=measured"].value == mean.per_subject["walker"]["body_ssim"]
    assert theirs.per_subject["walker"] == mean.per_subject["walker"]
    assert set(theirs.per_subject["sitter"].values()) == {None}
    [section] = group_sections(load_runs(root / "ws/results")[0], "synthesis")
    assert [(row.record.entry.name, row.rank) for row in section.rows][-1] == ("theirs", None)
    assert any("2 of 3 items could not be measured" in warning for warning in section.list_warnings())


def test_names_and_options_are_checked(root: Path) -> None:
    clips = synthesize_outside(export(root), root / "clips")
    for arguments, says, status in (
        (("--submit", clips), "--submit and --name belong together", 2),
        (("--submit", clips, "--name", "theirs", "--method", "fbf"), "nothing is trained with --submit", 2),
        (("--submit", clips, "--name", "theirs", "--seeds", "3"), "nothing is trained with --submit", 2),
        ((), "say who", 2),
        (("--submit", clips, "--name", "nearest"), "'nearest' is a method of this release", 1),
        (("--submit", clips, "--name", "../up"), "cannot be the name of a synthesizer", 1),
        (("--submit", root / "nowhere", "--name", "theirs"), "is not a folder", 1),
        (("--submit", clips, "--name", "theirs", "--subject", "wlker"), "Unknown subject", 1),
        (("--submit", clips, "--name", "theirs", "--preset", "tinny"), "Unknown preset", 1),
    ):
        result = bench("synth", "--dataset", "toy", *arguments, workspace=root / "ws")
        assert result.exit_code == status, result.output
        assert says in " ".join(result.stderr.replace("│", " ").split()), result.stderr
