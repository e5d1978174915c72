"""Commands that are killed at random moments and run again end with the same results: `make kills`, or

    PYTHONPATH=tests python -m fuzz.kills [--training 20] [--preparing 10] [--seed 0]

Each command runs undisturbed once. Then it is started again and again in a process group of its own, killed with
SIGKILL at a random moment, looked at (`bench data verify` passes, no file of a final name is incomplete), and at
last run to its end. Compared are the hashes of clips, poses, weights, fakes, the losses and the metrics. Exit status
1 if anything differs; the workspaces are kept then.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from same_results import list_differences, read_results

from dancebench.core.errors import BenchError
from dancebench.core.files import is_temporary, sha256_file
from dancebench.core.nn.training import STATE
from dancebench.datasets.video.decoding import stream

_SAVING_OFTEN = """
from dancebench.benchmark.cli import app
from dancebench.core.nn import training
training.SAVE_EVERY_SECONDS = 0.2
app()
"""
_BENCH = (sys.executable, "-c", _SAVING_OFTEN)
"""Training of seconds has checkpoints, too, from which it resumes."""
KILLS_IN_A_ROW = 2
"""Of one workspace, before its command is let run to the end."""


@dataclass(frozen=True)
class Task:
    """A command that is killed."""

    name: str
    words: str
    """`{start}` is the workspace that it starts from, of which it gets a copy."""
    before: str | None = None
    """A command that makes the workspace that it starts from; None: it is empty."""


_DANCER = "synth --dataset demo-tiny --subject 1 --method mean-frame --preset tiny --jobs 1"
"""Draws one dancer, in seconds."""
_DETECT = "detect --holdout --dataset demo-tiny --method nearest --preset tiny --jobs 1"
TRAINING = (
    Task("synth", "synth --dataset demo-tiny --subject 1 --method fbf-ts --preset tiny --jobs 1 "
         "--set fbf-ts.schedule.steps=250", _DANCER),
    Task("detect", f"{_DETECT} --set pair-patch.steps=400", f"{_DETECT} --detector spectrum"),
)  # fmt: skip
PREPARING = (
    Task("data add", "data add {start}/datasets/demo-tiny/subjects/1/clip.mp4 --subject a --licence CC0 --consent yes",
         _DANCER),
    Task("data demo", "data demo --selection demo-tiny --jobs 2"),
)  # fmt: skip


@dataclass
class Campaign:
    """Where the workspaces lie, and the draws of the moments."""

    folder: Path
    draws: np.random.Generator
    resumable: int = 0
    """How many kills left a checkpoint."""

    def run_task(self, task: Task, kills: int) -> list[str]:
        """Kill a command as often as asked for, in several workspaces; returns what went wrong."""
        if not kills:
            return []
        start = self._make_start(task)
        calm = self.folder / task.name.replace(" ", "-") / "undisturbed"
        shutil.copytree(start, calm)
        began = time.monotonic()
        self._run(task, calm)
        seconds = time.monotonic() - began
        expected = read_everything(calm)
        problems: list[str] = []
        made = 0
        while made < kills:
            workspace = calm.with_name(f"killed-{made}")
            shutil.copytree(start, workspace)
            found = []
            for _ in range(min(KILLS_IN_A_ROW, kills - made)):
                made += self._kill(task, workspace, self.draws.uniform(0.15, 0.95) * seconds)
                self.resumable += any(workspace.rglob(STATE))
                found += list(list_problems(workspace))
            found += [*self._finish(task, workspace), *list_differences(expected, read_everything(workspace))]
            problems += [f"{task.name}, {workspace}: {problem}" for problem in found]
            if not found:
                shutil.rmtree(workspace)
            print(f"{task.name} ({seconds:.0f} s): {made} of {kills} kills, {len(problems)} problems", flush=True)
        return problems

    def _make_start(self, task: Task) -> Path:
        """A workspace to start from, made once for all tasks that begin alike."""
        name = "empty" if task.before is None else task.before.replace(" ", "_")
        start = self.folder / "starts" / name
        if not start.exists():
            start.mkdir(parents=True)
            if task.before is not None:
                subprocess.run(self._call(task.before, start, start), check=True, capture_output=True)
        return start

    def _call(self, words: str, workspace: Path, start: Path) -> list[str]:
        return [*_BENCH, *words.replace("{start}", str(start)).split(), "--workspace", str(workspace)]

    def _run(self, task: Task, workspace: Path) -> None:
        words = self._call(task.words, workspace, self._make_start(task))
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{task.name} in {workspace}: {done.stdout}{done.stderr}")

    def _kill(self, task: Task, workspace: Path, moment: float) -> bool:
        """Run the command and kill its process group after so many seconds; False if it had ended before."""
        words = self._call(task.words, workspace, self._make_start(task))
        with subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as running:
            try:
                running.wait(moment)
                return False
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                return True

    def _finish(self, task: Task, workspace: Path) -> Iterator[str]:
        """Run the command to its end; yields what is wrong then."""
        try:
            self._run(task, workspace)
        except RuntimeError as error:
            yield str(error)
        yield from list_problems(workspace)
        yield from (f"{path} was left" for path in workspace.rglob("*") if is_temporary(path))


def list_problems(workspace: Path) -> Iterator[str]:
    """Files of final names that are not whole, and what `bench data verify` says."""
    for path in sorted(workspace.rglob("*")):
        if path.is_file() and not any(is_temporary(part) for part in (path, *path.parents)) and not is_whole(path):
            yield f"{path} is not whole"
    for dataset in sorted(workspace.glob("datasets/*/dataset.json")):
        words = [*_BENCH, "data", "verify", "--dataset", dataset.parent.name, "--workspace", str(workspace)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            yield f"data verify: {done.stdout}{done.stderr}"


def is_whole(path: Path) -> bool:
    """Whether a file can be read to its end."""
    try:
        match path.suffix:
            case ".json":
                json.loads(path.read_text(encoding="utf-8"))
            case ".npz" | ".skops":
                with zipfile.ZipFile(path) as archive:
                    return archive.testzip() is None
            case ".safetensors":
                with safe_open(path, "numpy") as tensors:
                    return all(tensors.get_tensor(name) is not None for name in tensors.keys())  # noqa: SIM118
            case ".parquet":
                pd.read_parquet(path)
            case ".mp4":
                return sum(1 for _ in stream(path)) > 0
    except (BenchError, ValueError, OSError, zipfile.BadZipFile, SafetensorError):
        return False
    return True


def read_everything(workspace: Path) -> dict[str, Any]:
    """What is compared: results as `same_results` reads them, and the hashes of prepared clips and poses."""
    files = [path for name in ("clip.mp4", "poses.npz") for path in workspace.glob(f"datasets/**/{name}")]
    hashes = {path.relative_to(workspace).as_posix(): sha256_file(path) for path in files}
    return read_results(workspace) | hashes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.kills", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--training", type=int, default=20, help="kills, half of them of each command")
    parser.add_argument("--preparing", type=int, default=10, help="kills, half of them of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("build/kills"), help="emptied first")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    began = time.monotonic()
    shutil.rmtree(options.folder, ignore_errors=True)
    campaign = Campaign(options.folder.absolute(), np.random.default_rng(options.seed))
    problems = []
    for tasks, kills in ((TRAINING, options.training), (PREPARING, options.preparing)):
        for number, task in enumerate(tasks):
            problems += campaign.run_task(task, (kills + number) // len(tasks))
    print(*problems, sep="\n")
    kills = options.training + options.preparing
    seconds = time.monotonic() - began
    print(f"{kills} kills, {campaign.resumable} with a checkpoint, seed {options.seed}, {len(problems)} problems, "
          f"{seconds:.0f} s")  # fmt: skip
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
