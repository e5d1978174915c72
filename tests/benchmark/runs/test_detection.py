"""A detection run: the videos are described once for all detectors, and each is read for its hash at most once."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.core import files
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import read_manifest
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol import description as description_module
from dancebench.detect.protocol.catalogue import load_built_in
from dancebench.detect.protocol.description import SHORTCUTS, find_description
from dancebench.leaderboards.records import DetectionFacts, ProtocolReference, RunRecord
from dancebench.leaderboards.significance.differences import Differences

DETECTORS = ("pair-patch", "spectrum")


@pytest.fixture
def workspace(tiny_demo: Path, tmp_path: Path) -> Workspace:
    """A copy of the tiny demo's workspace, in which fakes have yet to be rendered and detectors to be trained."""
    root = Path(shutil.copytree(tiny_demo, tmp_path / "workspace"))
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


def manifest_of(workspace: Workspace, record: RunRecord) -> Path:
    return workspace.root / "manifests" / f"{record.run.id}.jsonl"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How often each file was read for its hash, be it under the temporary name that it is written by."""
    counts: Counter[Path] = Counter()
    digest = hashlib.file_digest

    def count(handle: BufferedReader, algorithm: str) -> Any:
        path = Path(handle.name).resolve()
        counts[path.with_name(re.sub(r"^\.partial-[^-]+-\d+-", "", path.name))] += 1
        return digest(handle, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", count)
    return counts


@pytest.mark.parametrize("relative", [pytest.param(False, marks=pytest.mark.long), True])
def test_each_video_is_read_for_its_hash_at_most_once(
    workspace: Workspace, hashed: Counter[Path], monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    """When the fakes are rendered and the detectors trained, and again when all of it exists."""
    monkeypatch.chdir(workspace.root.parent)
    root = Path(workspace.root.name) if relative else workspace.root
    for call in ("fresh", "again"):
        hashed.clear()
        record, other = detect(root)
        rows = read_manifest(manifest_of(workspace, record), workspace.root)
        assert read_manifest(manifest_of(workspace, other), workspace.root) == rows
        counts = {row.video_id: hashed[(workspace.root / row.path).resolve()] for row in rows}
        assert len(counts) == 15
        assert set(counts.values()) == {1}, call


@pytest.mark.long
def test_robustness_reads_no_video_for_its_hash_again(
    workspace: Workspace, hashed: Counter[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dancebench.benchmark.runs import robustness
    from dancebench.detect.inputs.perturbations import PERTURBATIONS

    few = {name: PERTURBATIONS[name] for name in ("none", "blur1")}
    monkeypatch.setattr(robustness, "PERTURBATIONS", few)
    record, _ = detect(workspace.root, "--robustness")
    assert "video_auc@perturbation=blur1" in record.metrics
    videos = VideoSet.open(manifest_of(workspace, record))
    assert {hashed[videos.path(row)] for row in videos} == {1}


def test_a_manifest_lies_with_its_description_and_its_videos_in_the_workspace(workspace: Workspace) -> None:
    record, other = detect(workspace.root)
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


def test_two_detectors_of_one_run_are_compared_on_the_same_videos(workspace: Workspace) -> None:
    detect(workspace.root)
    [section] = Differences.load(workspace.leaderboards / "detection_differences.json").sections
    [pair] = section.pairs
    assert pair.difference is not None
    assert pair.n > 0
    assert section.protocol is not None
    assert section.protocol.name == "table-5"


def test_the_videos_are_described_once_for_all_detectors(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = detect(workspace.root)
    for name in ("audit_frames", "measure_clip", "measure_shortcuts"):
        monkeypatch.setattr(description_module, name, lambda *_, **__: pytest.fail("it was measured again"))
    monkeypatch.setattr(
        "dancebench.benchmark.runs.detection.measure_clips", lambda *_, **__: pytest.fail("it was measured again")
    )
    again = detect(workspace.root)
    assert [each.metrics for each in again] == [each.metrics for each in first]
    shutil.rmtree(workspace.root / "detectors")  # other detectors of these videos measure nothing of them either
    assert [each.metrics for each in detect(workspace.root)] == [each.metrics for each in first]


@pytest.mark.long
def test_an_older_manifest_at_the_root_is_replaced_by_one_in_its_folder(workspace: Workspace) -> None:
    record, _ = detect(workspace.root)
    path = manifest_of(workspace, record)
    written = path.read_bytes()
    older = workspace.root / f"{record.run.id}.manifest.jsonl"
    path.rename(older)
    detect(workspace.root)
    assert (older.read_bytes(), workspace.manifest(record.run.id).read_bytes()) == (written, written)
