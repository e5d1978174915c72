"""`run_submission`: another system's scores become a record that ranks beside ours."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.runs.submission import run_submission
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.core.metric import Metric
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import Split, VideoRow, name_people, write_manifest
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.records import (
    DatasetRecord,
    FileSource,
    Permission,
    PrepareConfig,
    SplitConfig,
    SubjectEntry,
    SubjectRecord,
)
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol.description import SHORTCUTS, VideoSetRecord
from dancebench.leaderboards import records
from dancebench.leaderboards.board import rebuild
from dancebench.leaderboards.tables import Section, group_sections

PEOPLE: dict[str, Split] = {"a": "train", "b": "validation", "c": "validation", "d": "holdout", "e": "holdout"}
ARGV = ["bench", "detect", "--submit", "scores.csv"]
SIZE = (128, 64)
FAKES = records.Fakes(method="fbf", preset="tiny", body_ssim={"fbf": 0.5})


def make_dataset(workspace: Workspace) -> Dataset:
    """Five people without clips: scores do not need them."""
    source = FileSource(name="toy.mp4", sha256="0" * 64)
    height, width = SIZE
    dataset = Dataset.create(
        workspace.open(),
        DatasetRecord(
            name="toy",
            licence="MIT",
            prepare=PrepareConfig(height=height, width=width),
            split=SplitConfig(),
            subjects=tuple(SubjectEntry(id=person, role=role, source=source) for person, role in PEOPLE.items()),
        ),
    )
    for person, role in PEOPLE.items():
        SubjectRecord(
            id=person, role=role, source=source, licence="MIT",
            permission=Permission(kind="consent", text="drawn", sha256="0" * 64),
            source_fps=25, source_height=height, source_width=width, source_frames=30,
            fps=25, height=height, width=width, n_frames=30, person_frames=30, decoder="none", encoder="none",
            pose_extractor="none", clip_sha256="0" * 64, poses_sha256="0" * 64,
        ).save(dataset.subject_folder(person) / "subject.json")  # fmt: skip
    return dataset


def manifest_rows() -> list[VideoRow]:
    return [
        VideoRow(
            video_id=f"{person}/{person}/{method or 'real'}", path=f"{person}-{method}.mp4",
            sha256=f"{number:064x}", label=int(method is not None), split=PEOPLE[person], people=name_people(person),
            method=method, fps=25, n_frames=20, codec="h264", crf=18,
            width=SIZE[1], height=SIZE[0],
        )
        for number, (person, method) in enumerate((person, method) for person in PEOPLE for method in (None, "fbf"))
    ]  # fmt: skip


def our_run(
    workspace: Workspace, dataset: Dataset, name: str = "pair-patch", started: str = "2025"
) -> records.RunRecord:
    """A detection run of ours with its manifest and the description of its videos."""
    metric = Metric(value=0.75, n=4, unit="AUC", higher_is_better=True)
    controls = make_controls(p=0.001)
    run = RunClock(["bench"], started=f"{started}-01-31T09:30:00+00:00").run(
        "detection", name, sha256_file(dataset.folder / "dataset.json"), seeds={}, device="cpu"
    )
    record = records.RunRecord(
        run=run,
        data=records.Data(
            dataset="toy",
            dataset_id=dataset.record.dataset_id,
            content_sha256=dataset.content_sha256(list(PEOPLE)),
            n_original=4,
            n_effective=4,
        ),
        entry=records.Entry(
            name=name,
            preset="tiny",
            weights_sha256={},
            parameters={},
            facts=records.DetectionFacts(frame_size="128x64", fakes=FAKES),
        ),
        metrics={"video_auc": metric, **controls},
        per_subject={"d": {"video_auc": 1.0}, "e": {"video_auc": 0.5}},
        failures=[],
    )
    records.save_run(workspace.results, record, pd.DataFrame({"video_id": []}))
    write_manifest(workspace.manifest(run.id), manifest_rows())
    describe(workspace, manifest_rows(), controls)
    return record


def make_controls(p: float) -> dict[str, Metric]:
    """Controls of the videos that tell fakes at this p."""
    area = Metric(value=0.9, n=4, unit="AUC", higher_is_better=None)
    return dict.fromkeys(SHORTCUTS, area) | {"shortcut_p": Metric(value=p, n=4, unit="p", higher_is_better=None)}


def describe(workspace: Workspace, rows: list[VideoRow], controls: dict[str, Metric]) -> Path:
    """The description that a detection run leaves of its videos."""
    videos = VideoSet(workspace.root, tuple(rows))
    path = workspace.video_set(videos.sha256)
    VideoSetRecord(
        videos_sha256=videos.sha256, seed=0, clip_height=SIZE[0], clip_width=SIZE[1], features={}, unreadable={},
        controls=controls, quality={}, fakes_sha256="",
    ).save(path)  # fmt: skip
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A dataset and one detection run on it."""
    workspace = Workspace(tmp_path / "workspace")
    our_run(workspace, make_dataset(workspace))
    return workspace


@pytest.fixture
def dataset(workspace: Workspace) -> Dataset:
    return Dataset.open(workspace, "toy")


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Perfect scores."""
    path = tmp_path / "scores.csv"
    lines = [f"{row.video_id},{row.label}" for row in manifest_rows() if row.split != "train"]
    path.write_text("\n".join(["video_id,score", *lines]) + "\n")
    return path


def read_facts(record: records.RunRecord) -> records.DetectionFacts:
    assert isinstance(record.entry.facts, records.DetectionFacts)
    return record.entry.facts


def only_section(workspace: Workspace) -> Section:
    (section,) = group_sections(records.load_runs(workspace.results)[0], "detection")
    return section


def test_the_command_prints_the_table_in_which_it_ranks(workspace: Workspace, scores: Path) -> None:
    words = f"detect --submit {scores} --name their-detector --dataset toy --workspace {workspace.root}".split()
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert result.output.index("their") < result.output.index("pair-patc")  # names fold
    assert "their-detector" in (workspace.leaderboards / "detection.md").read_text()
    (saved,) = json.loads(f"[{CliRunner().invoke(app, [*words, '--json']).stdout}]")
    assert (saved["entry"]["name"], saved["metrics"]["video_auc"]["value"]) == ("their-detector", 1.0)


def test_it_ranks_beside_ours_on_the_same_people(workspace: Workspace, dataset: Dataset, scores: Path) -> None:
    record = run_submission(workspace, dataset, scores, "their-detector", argv=ARGV)
    section = only_section(workspace)
    assert [(row.rank, row.record.entry.name, row.record.entry.preset) for row in section.rows] == [
        (1, "their-detector", "submitted"),
        (2, "pair-patch", "tiny"),
    ]
    assert section.frame_size == "128x64"
    assert (
        "⚠ their-detector (submitted): shortcut: container, size, duration and frame count tell fakes (p = 0.001)"
        in section.list_warnings()
    )
    assert record.metrics["video_auc"].value == 1.0
    assert record.metrics["video_accuracy"].value == 1.0
    assert record.metrics["null_shift"].reason == "a submitted score file: the detector is not here"
    assert record.per_subject["d"]["video_auc"] == 1.0
    assert (record.data.n_original, record.data.n_effective, record.failures) == (4, 4, [])
    assert record.data.videos_sha256 == VideoSet(workspace.root, tuple(manifest_rows())).sha256
    assert record.data.protocol == section.protocol
    facts = read_facts(record)
    assert facts.fakes == FAKES
    assert facts.submitted == records.SubmittedScores(
        sha256=sha256_file(scores), missing_holdout=0, missing_validation=0
    )
    rows = pd.read_parquet(workspace.results / f"{record.run.id}.parquet")
    assert set(rows["video_id"]) == {row.video_id for row in manifest_rows() if row.split == "holdout"}
    rebuild(workspace.results, workspace.leaderboards)
    assert "their-detector" in (workspace.leaderboards / "detection.md").read_text()


def test_scores_of_the_wrong_sign_are_marked(workspace: Workspace, dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    lines = [f"{row.video_id},{-row.label}" for row in manifest_rows() if row.split != "train"]
    path.write_text("\n".join(["video_id,score", *lines]) + "\n")
    run_submission(workspace, dataset, path, "theirs", argv=ARGV)
    assert any("is the polarity right?" in warning for warning in only_section(workspace).list_warnings())


def test_the_same_name_replaces_and_another_is_added(workspace: Workspace, dataset: Dataset, scores: Path) -> None:
    first = run_submission(workspace, dataset, scores, "theirs", argv=ARGV)
    scores.write_text(scores.read_text().replace("d/d/fbf,1", "d/d/fbf,-1"))
    second = run_submission(workspace, dataset, scores, "theirs", argv=ARGV)
    assert second.run.id == first.run.id
    assert second.metrics["video_auc"].value == 0.5
    run_submission(workspace, dataset, scores, "others", argv=ARGV)
    assert len(only_section(workspace).rows) == 3


def test_missing_scores_are_failures_with_a_warning(workspace: Workspace, dataset: Dataset, scores: Path) -> None:
    scores.write_text(scores.read_text().replace("d/d/fbf,1\n", "").replace("b/b/real,0\n", ""))
    record = run_submission(workspace, dataset, scores, "theirs", argv=ARGV)
    assert [(failure.item, failure.reason) for failure in record.failures] == [
        ("b/b/real", "it is not in the file"),
        ("d/d/fbf", "it is not in the file"),
    ]
    assert record.entry.facts.warnings[-1] == "1 of 4 held-out videos had no score and count as the worst"
    assert (record.data.n_original, record.data.n_effective) == (4, 3)
    assert record.metrics["video_auc"].value == 0.5
    assert record.metrics["video_auc"].n == 4


def test_facts_state_what_was_ignored_and_why_there_is_no_threshold(
    workspace: Workspace, dataset: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "scores.csv"
    lines = [f"{row.video_id},{row.label},0" for row in manifest_rows() if row.split != "validation"]
    path.write_text("\n".join(["video_id,score,label", *lines]))
    facts = read_facts(run_submission(workspace, dataset, path, "theirs", argv=ARGV))
    assert facts.submitted is not None
    assert facts.submitted.thresholds_reason == "scores of validation people are not in the file"
    assert facts.remarks == (
        "the column label was ignored: the manifest says what is fake",
        "the scores of 2 training videos were ignored",
    )


def test_the_manifest_is_the_newest_run_s_or_the_one_that_is_named(
    workspace: Workspace, dataset: Dataset, scores: Path
) -> None:
    newer = our_run(workspace, dataset, name="spectrum", started="2026")
    write_manifest(workspace.manifest(newer.run.id), [row for row in manifest_rows() if row.video_id != "e/e/fbf"])
    with pytest.raises(BenchError, match="does not list: e/e/fbf"):
        run_submission(workspace, dataset, scores, "theirs", argv=ARGV)
    elsewhere = workspace.root / "else" / "videos.jsonl"
    write_manifest(elsewhere, manifest_rows())
    record = run_submission(workspace, dataset, scores, "theirs", elsewhere, argv=ARGV)
    assert record.data.n_original == 4
    assert read_facts(record).fakes is None


# --- what describes the videos


def test_the_controls_are_those_of_the_description(workspace: Workspace, dataset: Dataset, scores: Path) -> None:
    """The record of the run may be of another release, or gone."""
    controls = make_controls(p=0.004)
    describe(workspace, manifest_rows(), controls)
    assert {name: submit(workspace, dataset, scores).metrics[name] for name in SHORTCUTS} == controls
    (workspace.results / f"{only_run(workspace).run.id}.json").unlink()
    named = workspace.root / "manifests" / "videos.jsonl"
    write_manifest(named, manifest_rows())
    record = run_submission(workspace, dataset, scores, "others", named, argv=ARGV)
    assert {name: record.metrics[name] for name in SHORTCUTS} == controls


def submit(workspace: Workspace, dataset: Dataset, scores: Path) -> records.RunRecord:
    return run_submission(workspace, dataset, scores, "theirs", argv=ARGV)


def only_run(workspace: Workspace) -> records.RunRecord:
    """The detection run of ours."""
    (run,) = (each for each in records.load_runs(workspace.results)[0] if each.entry.preset == "tiny")
    return run


@pytest.fixture
def older(workspace: Workspace) -> Workspace:
    """As earlier releases left it: the manifest at the root, the controls in the run's record alone."""
    run_id = only_run(workspace).run.id
    workspace.manifest(run_id).rename(workspace.root / f"{run_id}.manifest.jsonl")
    shutil.rmtree(workspace.root / "manifests")
    return workspace


def test_in_an_older_workspace_it_ranks_with_the_controls_of_the_run_s_record(older: Workspace, scores: Path) -> None:
    words = f"detect --submit {scores} --name theirs --dataset toy --workspace {older.root} --json".split()
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    metrics = json.loads(result.stdout)["metrics"]
    run = only_run(older)
    assert {name: metrics[name] for name in SHORTCUTS} == {
        name: run.metrics[name].model_dump(mode="json") for name in SHORTCUTS
    }
    section = only_section(older)
    assert [(row.rank, row.record.entry.name) for row in section.rows] == [(1, "theirs"), (2, "pair-patch")]
    assert any("theirs (submitted): shortcut:" in warning for warning in section.list_warnings())
    assert not (older.root / "manifests").exists()


def test_a_control_that_an_older_run_did_not_measure_is_left_out(
    older: Workspace, dataset: Dataset, scores: Path
) -> None:
    run = only_run(older)
    metrics = {name: metric for name, metric in run.metrics.items() if name != "bytes_per_frame_auc"}
    run.model_copy(update={"metrics": metrics}).save(older.results / f"{run.run.id}.json")
    assert set(SHORTCUTS) & set(submit(older, dataset, scores).metrics) == {"shortcut_auc", "shortcut_p"}


def test_the_newer_of_two_places_is_read(workspace: Workspace, dataset: Dataset, scores: Path) -> None:
    run_id = only_run(workspace).run.id
    write_manifest(workspace.root / f"{run_id}.manifest.jsonl", manifest_rows()[:-2])
    assert submit(workspace, dataset, scores).data.n_original == 4


# --- bad input


@pytest.mark.parametrize("name", ["", "a/b", "../a", "timm:resnet18", "x" * 65, "a b"])
def test_an_invalid_name_is_refused(workspace: Workspace, dataset: Dataset, scores: Path, name: str) -> None:
    with pytest.raises(BenchError, match="cannot be the name of a system"):
        run_submission(workspace, dataset, scores, name, argv=ARGV)


@pytest.mark.parametrize("name", ["pair-patch", "Pair-Patch"])
def test_the_name_of_our_detector_is_refused(workspace: Workspace, dataset: Dataset, scores: Path, name: str) -> None:
    with pytest.raises(BenchError, match="is a detector of this release"):
        run_submission(workspace, dataset, scores, name, argv=ARGV)


def test_a_refused_file_leaves_no_record(workspace: Workspace, dataset: Dataset, scores: Path) -> None:
    before = sorted(workspace.results.iterdir())
    scores.write_text(scores.read_text() + "d/d/fbf,3\n")
    with pytest.raises(BenchError, match="twice: d/d/fbf"):
        run_submission(workspace, dataset, scores, "theirs", argv=ARGV)
    assert sorted(workspace.results.iterdir()) == before


def test_without_a_run_or_a_dataset_the_next_step_is_named(tmp_path: Path, scores: Path) -> None:
    workspace = Workspace(tmp_path / "fresh")
    dataset = make_dataset(workspace)
    with pytest.raises(BenchError, match="No detection run of dataset 'toy'") as caught:
        run_submission(workspace, dataset, scores, "theirs", argv=ARGV)
    assert caught.value.hint is not None
    assert "bench detect --holdout --dataset toy" in caught.value.hint
    words = f"detect --submit {scores} --name theirs --dataset tou --workspace {workspace.root}".split()
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "error: Unknown dataset 'tou'" in result.stderr
    assert "hint: Did you mean 'toy'" in result.stderr


def test_a_manifest_of_other_people_or_with_a_leak_is_refused(
    workspace: Workspace, dataset: Dataset, scores: Path
) -> None:
    manifest = workspace.root / "videos.jsonl"
    rows = manifest_rows()
    other_people = [
        row.model_copy(update={"people": name_people("z")}) if row.split == "holdout" else row for row in rows
    ]
    write_manifest(manifest, other_people)
    with pytest.raises(BenchError, match="holds out 'z', but dataset 'toy' holds out other people"):
        run_submission(workspace, dataset, scores, "theirs", manifest, argv=ARGV)
    write_manifest(manifest, [rows[0].model_copy(update={"people": name_people(rows[0].subject_id, "d")}), *rows[1:]])
    with pytest.raises(BenchError, match="Leak between splits: The person 'd'"):
        run_submission(workspace, dataset, scores, "theirs", manifest, argv=ARGV)
