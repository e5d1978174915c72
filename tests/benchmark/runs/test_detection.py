"""A detection run: the videos are described once for all detectors, and each is read for its hash at most once."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.core import files
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import read_manifest
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol import description as description_module
from dancebench.detect.protocol.catalogue import load_built_in
from dancebench.detect.protocol.definition import Protocol
from dancebench.detect.protocol.description import SHORTCUTS, find_description
from dancebench.leaderboards.records import DetectionFacts, ProtocolReference, RunRecord, load_runs
from dancebench.leaderboards.significance.differences import Differences
from dancebench.leaderboards.significance.paired_auc import jackknife_auc
from dancebench.leaderboards.tables import group_sections

DETECTORS = ("pair-patch", "spectrum")


def copy_without_fakes(tiny_demo: Path, folder: Path) -> Workspace:
    """The tiny demo's workspace, in which fakes have yet to be rendered and detectors to be trained."""
    root = Path(shutil.copytree(tiny_demo, folder / "workspace"))
    for name in ("fakes", "reals", "manifests", "detectors", "results"):
        shutil.rmtree(root / name)
    return Workspace(root)


def detect(root: Path, *arguments: str) -> list[RunRecord]:
    """Train and evaluate both detectors, in this process, as if it was new."""
    files._hashes.clear()
    chosen = [word for name in DETECTORS for word in ("--detector", name)]
    fixed = ["--dataset", "demo-tiny", "--preset", "tiny", "--jobs", "1", "--workspace", str(root), "--json"]
    result = CliRunner().invoke(app, ["detect", "--holdout", *chosen, *fixed, *arguments])
    assert result.exit_code == 0, result.output
    return [RunRecord.model_validate(each) for each in json.loads(result.stdout)]


def refuse_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured of videos whatever the detector may not be measured from here on."""
    for name in ("audit_frames", "measure_clip", "measure_shortcuts"):
        monkeypatch.setattr(description_module, name, lambda *_, **__: pytest.fail("it was measured again"))
    monkeypatch.setattr(
        "dancebench.benchmark.runs.detection.measure_clips", lambda *_, **__: pytest.fail("it was measured again")
    )


def manifest_of(workspace: Workspace, record: RunRecord) -> Path:
    return workspace.root / "manifests" / f"{record.run.id}.jsonl"


def count_hashes(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How often each file is read for its hash from here on, be it under the temporary name that it is written by."""
    counts: Counter[Path] = Counter()
    digest = hashlib.file_digest

    def count(handle: BufferedReader, algorithm: str) -> Any:
        path = Path(handle.name).resolve()
        counts[path.with_name(re.sub(r"^\.partial-[^-]+-\d+-", "", path.name))] += 1
        return digest(handle, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", count)
    return counts


def list_hash_counts(workspace: Workspace, record: RunRecord, other: RunRecord, hashed: Counter[Path]) -> list[int]:
    """How often each video of a run was read for its hash."""
    rows = read_manifest(manifest_of(workspace, record), workspace.root)
    assert read_manifest(manifest_of(workspace, other), workspace.root) == rows
    return [hashed[(workspace.root / row.path).resolve()] for row in rows]


@dataclass(frozen=True)
class Run:
    """A run of both detectors, with their fakes."""

    workspace: Workspace
    records: tuple[RunRecord, RunRecord]
    hashes: list[int]
    """How often each video was read for its hash."""


@pytest.fixture(scope="module")
def run(tiny_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The fakes rendered and the detectors trained once, in a workspace that is named by a relative path."""
    workspace = copy_without_fakes(tiny_demo, tmp_path_factory.mktemp("run"))
    with pytest.MonkeyPatch.context() as patch:
        hashed = count_hashes(patch)
        patch.chdir(workspace.root.parent)
        record, other = detect(Path(workspace.root.name))
    return Run(workspace, (record, other), list_hash_counts(workspace, record, other, hashed))


def test_each_video_is_read_for_its_hash_at_most_once(run: Run) -> None:
    """When the fakes are rendered and the detectors trained."""
    assert run.hashes == [1] * 15


def test_again_each_video_is_read_for_its_hash_once_and_nothing_is_measured(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = count_hashes(monkeypatch)
    refuse_measuring(monkeypatch)
    again = detect(run.workspace.root)
    assert [each.metrics for each in again] == [each.metrics for each in run.records]
    assert list_hash_counts(run.workspace, *run.records, hashed) == [1] * 15


@pytest.mark.long
def test_robustness_reads_no_video_for_its_hash_again(
    tiny_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dancebench.benchmark.runs import robustness
    from dancebench.detect.inputs.perturbations import PERTURBATIONS

    few = {name: PERTURBATIONS[name] for name in ("none", "blur1")}
    monkeypatch.setattr(robustness, "PERTURBATIONS", few)
    workspace, hashed = copy_without_fakes(tiny_demo, tmp_path), count_hashes(monkeypatch)
    record, _ = detect(workspace.root, "--robustness")
    assert "video_auc@perturbation=blur1" in record.metrics
    videos = VideoSet.open(manifest_of(workspace, record))
    assert {hashed[videos.path(row)] for row in videos} == {1}


def test_a_manifest_lies_with_its_description_and_its_videos_in_the_workspace(run: Run) -> None:
    workspace, (record, other) = run.workspace, run.records
    videos = VideoSet.open(manifest_of(workspace, record))
    assert videos.root == workspace.root
    assert sorted(path.name for path in (workspace.root / "manifests").iterdir()) == sorted(
        [f"{record.run.id}.jsonl", f"{other.run.id}.jsonl", f"{videos.sha256[:16]}.video_set.json"]
    )
    assert all(videos.path(row).is_relative_to(workspace.root.resolve()) for row in videos)
    assert not list(workspace.root.glob("*.jsonl"))
    description = find_description(videos, workspace.video_set(videos.sha256))
    assert description is not None
    assert description.quality.keys() == {"fbf-ts", "nearest", "mean-frame"}
    protocol = load_built_in("table-5")
    for each in (record, other):
        assert each.data.videos_sha256 == videos.sha256
        assert each.data.protocol == ProtocolReference(name="table-5", sha256=protocol.sha256)
        assert {name: each.metrics[name] for name in SHORTCUTS} == description.controls
        assert isinstance(each.entry.facts, DetectionFacts)
        assert each.entry.facts.fakes is not None
        assert each.entry.facts.fakes.body_ssim == description.quality


def test_two_detectors_of_one_run_are_compared_on_the_same_videos(run: Run) -> None:
    [section] = Differences.load(run.workspace.leaderboards / "detection_differences.json").sections
    [pair] = section.pairs
    assert pair.difference is not None
    assert pair.n > 0
    assert section.protocol is not None
    assert section.protocol.name == "table-5"


def test_other_detectors_of_the_same_videos_measure_nothing_of_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(run.workspace.root, tmp_path / "workspace"))
    shutil.rmtree(root / "detectors")
    refuse_measuring(monkeypatch)
    assert [each.metrics for each in detect(root)] == [each.metrics for each in run.records]


@pytest.mark.long
def test_an_older_manifest_at_the_root_is_replaced_by_one_in_its_folder(run: Run, tmp_path: Path) -> None:
    workspace, (record, _) = Workspace(Path(shutil.copytree(run.workspace.root, tmp_path / "workspace"))), run.records
    path = manifest_of(workspace, record)
    written = path.read_bytes()
    older = workspace.root / f"{record.run.id}.manifest.jsonl"
    path.rename(older)
    detect(workspace.root)
    assert (older.read_bytes(), workspace.manifest(record.run.id).read_bytes()) == (written, written)


# ---------------------------------------------------------------- a protocol that leads with what is unseen


def write_protocol(workspace: Workspace) -> Protocol:
    """`unseen` with one method that is only tested on, and two perturbations."""
    fields = load_built_in("unseen").model_dump(mode="json")
    fields["folds"]["all"]["tests"]["holdout"][0]["methods"] = ["fbf-ts", "nearest"]
    protocol = Protocol.model_validate(fields | {"name": "few", "perturbations": ["blur3", "noise15"]})
    protocol.save(workspace.protocols / "few.json")
    return protocol


def run_few(root: Path, *arguments: str) -> Result:
    fixed = ["--dataset", "demo-tiny", "--preset", "tiny", "--jobs", "1", "--workspace", str(root), "--json"]
    return CliRunner().invoke(app, ["detect", "--protocol", "few", "--detector", "spectrum", *fixed, *arguments])


def test_a_protocol_of_a_dataset_is_hashed_into_the_record_and_its_mean_is_of_the_rows(
    tiny_demo: Path, tmp_path: Path
) -> None:
    workspace = Workspace(Path(shutil.copytree(tiny_demo, tmp_path / "workspace")))
    protocol = write_protocol(workspace)
    result = run_few(workspace.root)
    assert result.exit_code == 0, result.output
    record = RunRecord.model_validate(json.loads(result.stdout))
    assert record.data.protocol == ProtocolReference(name="few", sha256=protocol.sha256)
    rows = pd.read_parquet(workspace.results / f"{record.run.id}.parquet")
    unseen = rows[rows["level"] == "unseen"]
    assert set(unseen["method"].dropna()) == {"nearest"}
    assert set(unseen["perturbation"]) == {"blur3", "noise15"}
    cells = [
        jackknife_auc(part["label"].to_numpy(), part["score"].to_numpy(), part["subject_id"].to_numpy(np.str_))[0]
        for _, part in unseen.groupby("perturbation")
    ]
    assert record.metrics["video_auc_unseen"].value == pytest.approx(np.mean(cells))
    others = [each for each in load_runs(workspace.results)[0] if each.run.kind == "detection"]
    assert sorted(len(section.rows) for section in group_sections(others, "detection"))[0] == 1  # it meets no other
    tables = [RunRecord.load(path) for path in workspace.results.glob("detection-*.json")]
    assert all("video_auc_unseen" not in each.metrics for each in tables if each.run.id != record.run.id)


def test_methods_that_a_protocol_fixes_are_not_chosen(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace").open()
    write_protocol(workspace)
    for words in (("--method", "fbf"), ("--test-method", "posewarp")):
        result = run_few(workspace.root, *words)
        assert result.exit_code == 1
        assert "Protocol 'few' fixes the methods: fbf-ts, nearest." in result.output
        assert "hint: Leave --method and --test-method out." in result.output
    assert list(workspace.results.glob("*")) == []
