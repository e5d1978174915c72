"""The recipes of CONTRIBUTING: each is carried out as written, in a package with an entry point."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from corpora_toys import write_tree
from plugins import discover_again, write_plugin
from safetensors.torch import save_file
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.benchmark.metrics.base import METRICS
from dancebench.benchmark.metrics.frechet.base import FEATURE_NETWORKS
from dancebench.benchmark.outside import folders
from dancebench.core.nn import torchvision_ops
from dancebench.core.registry import Registry
from dancebench.datasets.corpora.base import CORPORA
from dancebench.datasets.corpora.manifest import read_manifest
from dancebench.datasets.importers.base import IMPORTERS
from dancebench.datasets.subjects.prepare import read_poses
from dancebench.datasets.video.clips import write_clip
from dancebench.detect.detectors.base import DETECTORS
from dancebench.detect.evaluation.aggregation import AGGREGATORS
from dancebench.detect.protocol import holdout
from dancebench.leaderboards.records import RunRecord, load_runs
from dancebench.synth.base import METHODS

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
REGISTRIES: list[Registry[Any]] = [METRICS, FEATURE_NETWORKS, AGGREGATORS, DETECTORS, METHODS, IMPORTERS, CORPORA]


class Recipe(NamedTuple):
    """A section of the text: the module's name, its code, and the commands that use it."""

    module: str
    code: str
    commands: list[str]


def read_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def read_recipe(title: str) -> Recipe:
    section = TEXT.partition(f"\n### {title}\n")[2].partition("\n##")[0]
    [code], [commands] = read_blocks(section, "python"), read_blocks(section, "sh")
    return Recipe(code.splitlines()[0].removeprefix("# ").removesuffix(".py"), code, commands.splitlines())


def find_entry_point(module: str) -> tuple[Registry[Any], str]:
    """The registry whose entry point names the module in the recipes' pyproject.toml, and its group."""
    [pyproject] = read_blocks(TEXT, "toml")
    groups = tomllib.loads(pyproject)["project"]["entry-points"]
    [group] = [group for group, named in groups.items() if named == {"acme": module}]
    [registry] = [registry for registry in REGISTRIES if registry._group == group]
    return registry, group


@pytest.fixture
def workspace(tiny_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace that all commands use; it holds the tiny demo."""
    copy = Path(shutil.copytree(tiny_demo, tmp_path / "workspace"))
    monkeypatch.setenv("BENCH_WORKSPACE", str(copy))
    monkeypatch.setattr(holdout, "save_figures", lambda *_: None)  # drawn by the demo; slow
    return copy


def carry_out(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: Callable[[str], str] = lambda line: line
) -> str:
    """Write the recipe's module and entry point, and run its commands; returns what they print."""
    recipe = read_recipe(title)
    registry, group = find_entry_point(recipe.module)
    folder = tmp_path / "site"
    folder.mkdir()
    write_plugin(folder, recipe.module, group, recipe.code)
    discover_again(registry, folder, monkeypatch)
    printed = ""
    for line in recipe.commands:
        command, *arguments = replace(line).split()
        assert command == "bench"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"
        assert "warning:" not in result.stderr
        printed += result.stdout
    return printed


def find_run(workspace: Path, name: str, metric: str, dataset: str = "demo-tiny") -> RunRecord:
    """The record of a method or detector on a dataset that has this metric."""
    runs, skipped = load_runs(workspace / "results")
    assert not skipped
    found = [run for run in runs if run.entry.name == name and run.data.dataset == dataset and metric in run.metrics]
    [record] = found
    return record


def test_add_a_metric(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = carry_out("Add a metric", tmp_path, monkeypatch)
    assert "acme_metric 1.0" in printed
    record = find_run(workspace, "nearest", "body_mae")
    assert record.metrics["body_mae"].higher_is_better is False
    assert record.metrics["body_mae"].value is not None
    assert 0 < record.metrics["body_mae"].value < (record.metrics["body_mse"].value or 0) ** 0.5
    page = (workspace / "leaderboards" / "synthesis.md").read_text()
    assert "face_mae" in page.partition("### Other metrics")[2]


def test_add_a_feature_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision_ops.declare_missing_ops()
    import timm

    monkeypatch.setenv("BENCH_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setattr(folders, "find_default_extractor", lambda: None)
    noise = np.random.default_rng(0)
    places = {name: tmp_path / name for name in ("REALS", "FAKES", "WEIGHTS.safetensors")}
    save_file(timm.create_model("resnet10t", num_classes=0).state_dict(), places["WEIGHTS.safetensors"])
    for name in ("REALS", "FAKES"):
        write_clip(places[name] / "anna" / "walk.mp4", noise.integers(0, 256, (4, 64, 32, 3), np.uint8), 25)

    def name_files(line: str) -> str:
        return re.sub("REALS|FAKES|WEIGHTS", lambda word: str(tmp_path / word[0]), line) + ".safetensors"

    carry_out("Add a feature network", tmp_path, monkeypatch, name_files)
    [record] = load_runs(tmp_path / "workspace" / "results")[0]
    assert record.metrics["fid_resnet10t_clip1_stride1_fps25_size64x32_n4"].value is not None
    assert "fid" not in record.metrics


def test_add_an_aggregation_rule(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = carry_out("Add an aggregation rule", tmp_path, monkeypatch)
    assert "acme_rule 1.0" in printed
    record = find_run(workspace, "pair-patch", "video_auc@rule=quantile")
    assert getattr(record.entry.facts, "aggregator", None) == "quantile(q=0.75)"
    rows = pd.read_parquet(workspace / "results" / f"{record.run.id}.parquet")
    for _, video in rows.groupby("video_id"):
        score = video.loc[video["level"] == "video", "score"].item()
        assert score == pytest.approx(np.quantile(video.loc[video["level"] == "pair", "logit"], 0.75), rel=1e-6)


def test_add_a_detector(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = workspace / "fakes/fbf-ts/demo-tiny/holdout01/tiny-s0/holdout01.mp4"
    carry_out("Add a detector", tmp_path, monkeypatch, lambda line: line.replace("VIDEO", str(fake)))
    record = find_run(workspace, "colour", "video_auc")
    assert record.metrics["video_auc"].value is not None
    [folder] = (workspace / "detectors" / "colour").iterdir()
    card = json.loads((folder / "card.json").read_text())
    assert (card["parameters"], card["config"]["windows"]) == (7, 100)
    assert "colour" in (workspace / "leaderboards" / "detection.md").read_text()


def test_add_a_method(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = carry_out("Add a method", tmp_path, monkeypatch)
    assert "acme_method 1.0" in printed
    record = find_run(workspace, "still", "body_ssim")
    assert record.entry.facts.settings == "frame=5"
    assert "still" in (workspace / "leaderboards" / "synthesis.md").read_text()


def test_add_an_importer(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = workspace / "datasets/demo-tiny/subjects/1"
    folder = tmp_path / "dancer7"
    folder.mkdir()
    shutil.copyfile(drawn / "clip.mp4", folder / "clip.mp4")
    np.save(folder / "keypoints.npy", read_poses(drawn / "poses.npz"))
    printed = carry_out("Add an importer", tmp_path, monkeypatch, lambda line: line.replace("FOLDER", str(folder)))
    assert "acme_importer 1.0" in printed
    subject = json.loads((workspace / "datasets/mine/subjects/dancer/subject.json").read_text())
    assert (subject["source"]["layout"], subject["source"]["name"]) == ("npy", "dancer7")
    imported = read_poses(workspace / "datasets/mine/subjects/dancer/poses.npz")
    assert imported.shape == read_poses(drawn / "poses.npz").shape
    assert find_run(workspace, "nearest", "body_ssim", "mine").metrics["body_ssim"].value is not None


def test_add_a_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WORKSPACE", str(tmp_path / "workspace"))
    folder = write_tree(
        tmp_path / "acme", ["ann/original.mp4", "bob/original.mp4", "ann/as_bob.mp4", "cid/original.mp4"]
    )
    printed = carry_out("Add a corpus", tmp_path, monkeypatch, lambda line: line.replace("FOLDER", str(folder)))
    assert "acme_corpus 1.0" in printed
    assert "people: 3, in 2 groups of clips that no split may part" in printed
    rows = read_manifest(tmp_path / "workspace" / "corpora" / "acme" / "manifest.jsonl", folder)
    assert {row.video_id: row.group for row in rows} == {
        "ann/as_bob": "ann", "ann/original": "ann", "bob/original": "ann", "cid/original": "cid"
    }  # fmt: skip
