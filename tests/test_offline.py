"""After the install no command needs a network: each is run where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dancebench.datasets.dancers.dancer import dance, make_dancer
from dancebench.datasets.video.clips import write_clip

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
CUT = ("unshare", "--map-root-user", "--net")
"""Runs a command in a network namespace of its own, which has no device that is up."""
_TRY = "import socket; socket.create_connection(('192.0.2.1', 80), 3)"


def has_namespaces() -> bool:
    return shutil.which("unshare") is not None and not subprocess.run([*CUT, "true"], capture_output=True).returncode


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not has_namespaces():
        pytest.skip("this machine lets no process have a network of its own (unshare)")
    return tmp_path_factory.mktemp("offline") / "workspace"


def bench(*arguments: str | Path, workspace: Path) -> str:
    """Run a command without a network; returns what it prints."""
    command = [*CUT, sys.executable, "-m", "dancebench.benchmark.cli", *map(str, arguments)]
    environment = {**os.environ, "BENCH_WORKSPACE": str(workspace), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, f"{arguments}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def test_nothing_is_reached_from_there(workspace: Path) -> None:
    result = subprocess.run([*CUT, sys.executable, "-c", _TRY], capture_output=True, text=True, check=False)
    assert "Network is unreachable" in result.stderr


def test_every_command_runs_without_a_network(workspace: Path, tmp_path: Path) -> None:
    film = tmp_path / "me.mp4"
    write_clip(film, (frame for frame, _ in dance(make_dancer(7), 40)), 25)
    bench("demo", "--size", "tiny", "--jobs", "2", workspace=workspace)
    said = bench("data", "add", film, "--subject", "me", "--licence", "MIT", "--consent", "yes", workspace=workspace)
    assert "a person in" in said
    bench("synth", "--dataset", "mine", "--subject", "me", "--preset", "tiny", "--jobs", "1", workspace=workspace)
    bench("transfer", "--dataset", "mine", "--subject", "me", "--source", "me", "--preset", "tiny", workspace=workspace)
    bench("detect", "--holdout", "--dataset", "demo-tiny", "--preset", "tiny", "--detector", "spectrum", "--jobs", "1",
          workspace=workspace)  # fmt: skip
    assert "spectrum" in bench("score", film, "--detector", "spectrum", "--format", "json", workspace=workspace)
    bench("leaderboard", workspace=workspace)
    bench("data", "verify", "--dataset", "mine", workspace=workspace)
    assert "holistic" in bench("list", "extractors", workspace=workspace)
    bench("doctor", workspace=workspace)
