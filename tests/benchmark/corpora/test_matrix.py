"""Runs on outside corpora: small corpora, read in place, through views to a matrix of records."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from protocol_corpora import save_corpus

from dancebench.benchmark.corpora.matrix import MatrixJob, MatrixResult, run_matrix, settle_job
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.progress import ignore_progress
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import Crop, VideoRow, name_people, read_manifest
from dancebench.datasets.video.clips import Frame, write_clip
from dancebench.detect.inputs.view import ViewRequest
from dancebench.detect.protocol.card import CARD, DetectorCard
from dancebench.detect.protocol.catalogue import load_built_in
from dancebench.detect.protocol.of_corpora import find_copies, make_protocol
from dancebench.leaderboards.matrix import group_matrices, make_matrix_table, render_matrices
from dancebench.leaderboards.records import DetectionFacts, load_runs

SPLITS = ("train", "train", "validation", "validation", "test", "test")


def scene(seed: int, size: tuple[int, int], *, fake: bool, n_frames: int = 12) -> list[Frame]:
    """A texture of its own for each person; fakes are blurred."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(20, 230, (8, 8, 3), dtype=np.uint8)
    noise = rng.integers(0, 40, (*size, 3), dtype=np.uint8)
    frames = []
    for t in range(n_frames):
        frame = cv2.resize(tiles, size[::-1], interpolation=cv2.INTER_NEAREST) // 2 + np.roll(noise, t, axis=1)
        frames.append(cv2.GaussianBlur(frame, (0, 0), 1.5) if fake else frame)
    return frames


def add_corpus(workspace: Workspace, name: str, first: int, size: tuple[int, int], fps: float) -> None:
    """Six people with a real and a fake each; a stripe at the right is no part of the video."""
    folder = workspace.corpus(name)
    rows = []
    for number, split in enumerate(SPLITS):
        for label in (0, 1):
            frames = scene(first + number, size, fake=bool(label))
            striped = [np.concatenate([frame, np.full((size[0], 16, 3), 255, np.uint8)], axis=1) for frame in frames]
            path = folder / f"{number}-{label}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            info = write_clip(path, striped, fps)
            facts = {
                "video_id": path.stem, "path": path.name, "sha256": None, "label": label, "split": None,
                "official_split": split, "people": name_people(f"{name}{number}"), "group": f"{name}{number}",
                "method": f"blur-{name}" if label else None, "pictures": "camera", "status": "claimed", "fps": fps,
                "n_frames": info.n_frames, "codec": "h264", "crf": None, "height": info.height, "width": info.width,
                "crop": Crop(left=0, top=0, width=size[1], height=size[0]),
            }  # fmt: skip
            rows.append(VideoRow.model_validate(facts))
    save_corpus(workspace, name, "csv", rows)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    opened = Workspace(tmp_path_factory.mktemp("workspace")).open()
    add_corpus(opened, "ours", 0, (64, 48), 25)
    add_corpus(opened, "theirs", 100, (48, 64), 30)
    return opened


@pytest.fixture(scope="module")
def job(workspace: Workspace) -> MatrixJob:
    protocol = make_protocol(workspace, ["ours"], ["theirs:whole", "ours"], 0)
    return MatrixJob(
        workspace, protocol, find_copies(workspace), "spectrum", "tiny", pairs=4, view=ViewRequest("frame", (48, 48))
    )


@pytest.fixture(scope="module")
def result(job: MatrixJob) -> MatrixResult:
    (row,) = run_matrix([job], argv=["bench"], workers=1, report=ignore_progress)
    return row


def test_each_test_set_has_a_record_under_one_protocol(result: MatrixResult, job: MatrixJob) -> None:
    own, other = result.records
    for record, name, n in ((own, "ours", 4), (other, "theirs", 12)):
        facts = record.entry.facts
        assert isinstance(facts, DetectionFacts)
        assert (facts.trained_on, facts.tested_on, facts.view, facts.windows) == ("ours", name, "frame:48x48", 4)
        assert record.data.protocol is not None
        assert record.data.protocol.sha256 == job.protocol.sha256
        assert (record.data.n_original, record.data.n_effective) == (n, n)
        assert {"video_auc", "pair_auc", "null_shift", "shortcut_auc", "permutation_auc"} <= set(record.metrics)
    assert own.entry.weights_sha256 == other.entry.weights_sha256  # one training
    assert own.metrics["video_auc"].value is not None
    assert other.metrics["video_auc"].n == 12  # fakes of a method that was not trained on count


def test_thresholds_come_from_the_training_corpus(result: MatrixResult, workspace: Workspace) -> None:
    card = DetectorCard.load(result.folder / CARD)
    assert card.data["train"].subjects == ("ours0", "ours1")
    assert card.data["validation"].subjects == ("ours2", "ours3")
    assert card.clip_format.fps_max == 25  # one rate, that of the slowest training video
    rows = read_manifest(workspace.manifest(result.records[1].run.id), workspace.root)
    assert {row.subject_id[:-1] for row in rows if row.split != "holdout"} == {"ours"}
    assert {row.fps for row in rows} == {25}
    assert all(row.video_id.startswith(("ours/", "theirs/")) for row in rows)
    assert {(row.height, row.width) for row in rows} == {(48, 48)}


def test_it_is_not_done_twice_and_the_same_again(result: MatrixResult, job: MatrixJob) -> None:
    (again,) = run_matrix([job], argv=["bench"], workers=1, report=ignore_progress)
    assert [record.metrics for record in again.records] == [record.metrics for record in result.records]
    assert again.folder == result.folder


def test_the_matrix_is_made_from_records_alone(result: MatrixResult, workspace: Workspace) -> None:
    records, _ = load_runs(workspace.results)
    (matrix,) = group_matrices(records)
    assert group_matrices(reversed(records)) == [matrix]
    assert matrix.tests == ("ours", "theirs")
    assert [row.trained_on for row in matrix.rows] == ["ours"]
    page = render_matrices([matrix])
    assert "| ours | spectrum | frame:48x48 | tiny |" in page
    table = make_matrix_table([matrix])
    assert len(table) == 8
    value = result.records[1].metrics["pair_auc"].value
    assert table.query("tested_on == 'theirs' and metric == 'pair_auc'")["value"].tolist() == [value]
    assert pd.notna(table["n"]).all()
    assert group_matrices([]) == []


# --- what is refused


def test_corpora_and_splits_that_do_not_exist_are_named(workspace: Workspace) -> None:
    with pytest.raises(UnknownNameError, match="our"):
        make_protocol(workspace, ["our"], ["ours"], 0)
    with pytest.raises(UnknownNameError, match="by-colour"):
        make_protocol(workspace, ["ours:by-colour"], ["ours"], 0)


@pytest.mark.parametrize(
    ("train", "tests", "words"),
    [
        (["ours:whole"], ["ours"], "cannot be trained on as a whole"),
        (["ours"], ["ours:whole"], "its people would be in both"),
        (["ours"], ["ours:person-disjoint"], "its people would be in both"),
        (["ours", "ours"], ["theirs"], "named twice"),
    ],
)
def test_what_would_leak_is_refused(workspace: Workspace, train: list[str], tests: list[str], words: str) -> None:
    with pytest.raises(BenchError, match=words) as caught:
        make_protocol(workspace, train, tests, 0)
    assert caught.value.hint


def test_two_trainings_are_two_folds_each_with_its_own_corpus_first(workspace: Workspace) -> None:
    protocol = make_protocol(workspace, ["ours", "theirs"], ["ours", "theirs"], 3)
    assert {name: list(fold.tests) for name, fold in protocol.folds.items()} == {
        "ours": ["ours", "theirs"], "theirs": ["theirs", "ours"],
    }  # fmt: skip
    assert protocol.seed == 3


def test_a_protocol_fixes_view_windows_and_rule(job: MatrixJob) -> None:
    fixed = job.protocol.model_copy(update={"view": "face", "windows": 8, "aggregation": "mean-prob"})
    free = replace(job, protocol=fixed, view=None, pairs=None)
    settled = settle_job(free)
    assert (settled.view, settled.pairs, settled.aggregator) == (ViewRequest("face"), 8, "mean-prob")
    for change, option in (
        ({"view": ViewRequest("frame")}, "--view"), ({"pairs": 4}, "--pairs"), ({"aggregator": "max"}, "--aggregator"),
    ):  # fmt: skip
        with pytest.raises(BenchError, match="fixes the") as caught:
            settle_job(replace(free, **change))
        assert option in str(caught.value.hint)


def test_a_protocol_of_a_dataset_is_for_another_command(job: MatrixJob) -> None:
    with pytest.raises(BenchError, match="prepared dataset") as caught:
        settle_job(replace(job, protocol=load_built_in("table-5")))
    assert "--holdout" in str(caught.value.hint)


def test_a_view_of_nobody_is_said_of_the_kind_that_lacks_it(job: MatrixJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dancebench.detect.inputs.views.open_finder", lambda name: lambda frame: [])
    monkeypatch.setattr("dancebench.detect.inputs.view_cache.describe_finder", lambda: "a stub")
    with pytest.raises(BenchError, match=r"No real video of split train has a view face:224x224; .*No face was found"):
        run_matrix([replace(job, view=ViewRequest("face"))], argv=[], workers=1, report=ignore_progress)


def test_command_lines_that_say_two_things_are_refused(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from dancebench.benchmark.cli import app

    for words in (
        ("--train", "a"), ("--test", "a"), ("--holdout", "--protocol", "in-domain"),
        ("--train", "a", "--test", "a", "--protocol", "in-domain"),
        ("--train", "a", "--test", "a", "--dataset", "demo"), ("--protocol", "in-domain", "--method", "fbf"),
        ("--submit", "x.csv", "--name", "x", "--view", "face"), ("--submit", "x.csv", "--name", "x", "--pairs", "4"),
    ):  # fmt: skip
        result = CliRunner().invoke(app, ["detect", *words, "--workspace", str(tmp_path / "w")])
        assert result.exit_code == 2, words
    assert not (tmp_path / "w").exists()
