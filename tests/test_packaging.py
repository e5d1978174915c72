"""What is installed where: Pythons, dependencies by platform, the version, the scripts that `make` calls."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import dancebench

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = (
    ("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64"), ("win32", "AMD64"),
    ("win32", "ARM64"), ("freebsd14", "amd64"),
)  # fmt: skip
UNSAFE = {
    "jinja2": "3.1.5",  # CVE-2025-27516: out of the sandbox
    "pillow": "12.3.0",  # CVE-2026-96639, GHSA-5x8w-8jj5-q52h: overflows in decoders
    "pyarrow": "14.0.0",  # CVE-2023-47248: Parquet that is unpickled
    "skops": "0.12.0",  # CVE-2025-54412, -54413 up to 0.11, -54886 up to 0.12
    "timm": "1.0.25",  # `load_state_dict` with weights_only=False
    "torch": "2.9.1",  # CVE-2025-32434, CVE-2026-24747: weights_only=True executes code
}
"""The last release of each that executes, or may execute, what a file brings along."""


def list_requirements(python: str, system: str, machine: str) -> dict[str, Requirement]:
    """What is installed there, by name; no name twice."""
    environment = {"python_version": python, "sys_platform": system, "platform_machine": machine}
    parsed = [Requirement(text) for text in PROJECT["dependencies"]]
    wanted = [each for each in parsed if each.marker is None or each.marker.evaluate(environment)]
    assert len({each.name for each in wanted}) == len(wanted)
    return {each.name: each for each in wanted}


def list_constraints(python: str) -> dict[str, Requirement]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    parsed = [Requirement(line) for line in lines]
    return {
        each.name: each for each in parsed if each.marker is None or each.marker.evaluate({"python_version": python})
    }


# ---------------------------------------------------------------- dependencies


@pytest.mark.parametrize(("python", "platform"), list(itertools.product(PYTHONS, PLATFORMS)))
def test_one_opencv_is_installed_and_it_is_the_one_that_mediapipe_requires(
    python: str, platform: tuple[str, str]
) -> None:
    wanted = list_requirements(python, *platform)
    opencv = "opencv-contrib-python" if "mediapipe" in wanted else "opencv-python-headless"
    assert {name for name in wanted if name.startswith("opencv")} == {opencv}


@pytest.mark.parametrize(
    ("python", "platform", "mediapipe"),
    [
        ("3.11", ("linux", "x86_64"), "==0.10.21"),
        ("3.12", ("darwin", "x86_64"), "==0.10.21"),
        ("3.12", ("win32", "AMD64"), "==0.10.21"),
        ("3.13", ("linux", "x86_64"), "==0.10.33"),
        ("3.14", ("darwin", "arm64"), "==0.10.33"),
        ("3.13", ("darwin", "x86_64"), None),
        ("3.12", ("linux", "aarch64"), None),
        ("3.13", ("linux", "aarch64"), None),
    ],
)
def test_mediapipe_where_it_has_a_wheel(python: str, platform: tuple[str, str], mediapipe: str | None) -> None:
    found = list_requirements(python, *platform).get("mediapipe")
    assert (found and str(found.specifier)) == mediapipe


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_lie_within_the_bounds(python: str) -> None:
    wanted, constraints = list_requirements(python, "linux", "x86_64"), list_constraints(python)
    for name in wanted.keys() & constraints.keys():
        (version,) = constraints[name].specifier
        assert wanted[name].specifier.contains(version.version), name
    assert {"torch", "numpy", "opencv-contrib-python"} <= constraints.keys()
    (numpy,) = constraints["numpy"].specifier
    assert numpy.version.startswith("1." if python < "3.13" else "2.")


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", UNSAFE)
def test_no_release_that_executes_what_a_file_holds_is_admitted(python: str, name: str) -> None:
    admitted = list_requirements(python, "linux", "x86_64")[name].specifier
    assert not admitted.contains(UNSAFE[name])
    assert Version(importlib.metadata.version(name)) > Version(UNSAFE[name])


def test_every_extra_that_is_tested_is_asked_for_alike_and_within_the_constraints() -> None:
    extras = {name: [Requirement(text) for text in texts] for name, texts in PROJECT["optional-dependencies"].items()}
    dev = {each.name: each.specifier for each in extras.pop("dev")}
    constraints = list_constraints("3.13")
    for name in ("provenance", "study"):
        for each in extras[name]:
            assert dev[each.name] == each.specifier, f"{name}: {each.name}"
            (version,) = constraints[each.name].specifier
            assert each.specifier.contains(version.version), each.name


# ---------------------------------------------------------------- one version, and no host


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert f"\nversion: {dancebench.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    shown = subprocess.run(
        [sys.executable, "-m", "dancebench.benchmark.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"dancebench {dancebench.__version__}\n"


def test_no_file_of_the_installation_names_a_registry() -> None:
    scripts = (ROOT / "scripts").iterdir()
    for path in (*scripts, *(ROOT / name for name in ("pyproject.toml", "constraints.txt", "Makefile", "Dockerfile"))):
        assert not re.search(r"https?://", path.read_text()), path


# ---------------------------------------------------------------- scripts/choose_python.sh


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder that alone holds commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sed").symlink_to("/usr/bin/sed" if Path("/usr/bin/sed").exists() else "/bin/sed")
    return folder


def add_python(path: Path, version: str, *, works: bool = True) -> None:
    """A stand-in that answers the script's questions as a Python of this version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'#!/bin/sh\ncase "$2" in *version_info*) echo {version} ;; esac\n' if works else "#!/bin/sh\nexit 127\n"
    )
    path.chmod(0o755)


def choose(commands: Path, *arguments: str | Path) -> Iterator[str]:
    """The lines that the script prints: a Python on standard output, or an error and a hint."""
    done = subprocess.run(
        ["/bin/sh", ROOT / "scripts" / "choose_python.sh", *map(str, arguments)],
        env={**os.environ, "PATH": str(commands)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode == 0) == bool(done.stdout)
    yield from (done.stdout or done.stderr).splitlines()


def test_the_bounds_are_those_of_the_project(commands: Path, tmp_path: Path) -> None:
    allowed = SpecifierSet(PROJECT["requires-python"])
    for minor in range(9, 18):
        add_python(commands / "python3", f"3.{minor}")
        first = next(choose(commands, tmp_path / ".venv"))
        assert (first == "python3") == allowed.contains(f"3.{minor}.0"), first


def test_the_newest_python_that_works_is_chosen(commands: Path, tmp_path: Path) -> None:
    add_python(commands / "python3.13", "3.13", works=False)  # as a pyenv shim of a version that is not active
    add_python(commands / "python3.12", "3.12")
    add_python(commands / "python3", "3.11")
    assert list(choose(commands, tmp_path / ".venv")) == ["python3.12"]
    assert list(choose(commands, tmp_path / ".venv", "python3")) == ["python3"]


@pytest.mark.parametrize("version", ["3.10", "3.15", "2.7"])
def test_a_python_that_does_not_fit_is_named_with_those_that_do(version: str, commands: Path, tmp_path: Path) -> None:
    add_python(commands / "python3", version)
    error, hint = choose(commands, tmp_path / ".venv")
    assert error == f"error: dancebench needs Python 3.11 to 3.14; python3 is {version}."
    assert hint.startswith("hint: ")


def test_no_python_at_all(commands: Path, tmp_path: Path) -> None:
    error, hint = choose(commands, tmp_path / ".venv")
    assert "python3.13, python3.12, python3.11, python3 not found or not working" in error
    assert "PYTHON=" in hint
    error, hint = choose(commands, tmp_path / ".venv", "python3.12")
    assert "python3.12 not found" in error


def test_an_environment_that_is_there(commands: Path, tmp_path: Path) -> None:
    venv = tmp_path / ".venv"
    add_python(venv / "bin" / "python", "3.11")
    add_python(commands / "python3.12", "3.12")
    assert list(choose(commands, venv)) == [f"{venv}/bin/python"], "it is used as it is"
    error, hint = choose(commands, venv, "python3.12")
    assert error == f"error: {venv} was made by Python 3.11; python3.12 is 3.12."
    assert "make clean" in hint
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to(tmp_path / "gone")
    error, hint = choose(commands, venv)
    assert "does not run" in error
    assert "make clean" in hint
