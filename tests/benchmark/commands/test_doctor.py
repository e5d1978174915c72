"""`bench doctor`: what it finds, and what it says of something that is not there."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.core import environment

Usage = namedtuple("Usage", "total used free")


def diagnose(workspace: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", "--workspace", str(workspace), *arguments])
    return result.exit_code, result.stdout


def find_checks(workspace: Path) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(diagnose(workspace, "--json")[1])}


def test_one_screen_and_json_name_the_same_and_nothing_is_written(tmp_path: Path) -> None:
    code, screen = diagnose(tmp_path / "w")
    checks = find_checks(tmp_path / "w")
    assert code == 0
    assert len(screen.splitlines()) <= 50
    assert {"Python", "disk", "GPU", "torch", "holistic", "encoder", "decoders", "squeeze"} <= checks.keys()
    assert checks["torch"]["found"] == importlib.metadata.version("torch")
    assert all(name in screen for name, check in checks.items() if check["topic"] != "libraries")
    assert all(check["needed_for"] for check in checks.values() if check["status"] != "ok")
    assert not (tmp_path / "w").exists()


def test_what_all_missing_weights_have_in_common_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    screen = " ".join(diagnose(tmp_path / "w")[1].split())
    hints = {check["hint"] for check in find_checks(tmp_path / "w").values() if check["topic"] == "pretrained weights"}
    assert len(hints) == 1
    assert screen.count("nor in the torch hub cache") == 1
    assert screen.count("Put the file into the folder") == 1
    assert len(diagnose(tmp_path / "w")[1].splitlines()) <= 50


def test_an_optional_library_that_is_missing_costs_only_its_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = importlib.metadata.version

    def find_version(name: str) -> str:
        if name in {"c2pa-python"}:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", find_version)
    check = find_checks(tmp_path)["c2pa-python"]
    assert (check["status"], check["hint"]) == ("missing", "pip install c2pa-python")
    assert "credentials" in check["needed_for"]
    assert diagnose(tmp_path)[0] == 0


def test_a_required_library_that_is_missing_or_does_not_load_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = importlib.metadata.version

    def find_version(name: str) -> str:
        if name == "skops":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", find_version)
    assert find_checks(tmp_path)["skops"]["status"] == "broken"
    assert diagnose(tmp_path)[0] == 1


def test_two_opencvs_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conflict = {"opencv-contrib-python": "4.11.0.86", "opencv-python": "4.9.0.80"}
    monkeypatch.setattr(environment, "find_opencv_distributions", lambda: conflict)
    check = find_checks(tmp_path)["OpenCV"]
    assert check["status"] == "broken"
    assert "opencv-contrib-python 4.11.0.86 and opencv-python 4.9.0.80" in check["found"]
    assert "pip uninstall opencv-contrib-python opencv-python" in check["hint"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the wheels bring what they need")
def test_missing_system_libraries_are_named_with_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_SYSTEM_LIBRARIES", {"numpy": {"libnone.so.1": "libnone1", "libc.so.6": "libc6"}})
    check = find_checks(tmp_path)["system libraries"]
    assert (check["status"], check["found"]) == ("broken", "no libnone.so.1")
    assert check["hint"] == "apt-get install libnone1 (Debian, Ubuntu)"
    result = CliRunner().invoke(app, ["demo", "--size", "tiny", "--workspace", str(tmp_path / "w")])
    assert result.exit_code == 1
    assert "libnone.so.1" in result.stderr
    assert "apt-get install libnone1" in result.stderr
    assert not (tmp_path / "w").exists()


def test_a_full_disk_is_an_error_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - 10**8, 10**8))
    check = find_checks(tmp_path / "not" / "there")["disk"]
    assert (check["status"], str(tmp_path) in check["found"]) == ("broken", True)
    assert "--workspace" in check["hint"]


def test_weights_that_are_not_the_published_ones_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squeezenet1_1_features.pth").write_bytes(b"another network")
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    assert find_checks(tmp_path)["squeeze"]["status"] == "broken"
