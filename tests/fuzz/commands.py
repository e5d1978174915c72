"""The commands that open files, as they are fuzzed: which file is mutated, and how the command is called."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fuzz.mutate import mutate

from dancebench.core.files import sha256_file

NEEDED = "--subject a --licence CC0 --consent drawn --workspace new"
DETECTOR = "--detector detector --jobs 1 --timeout 60 --pairs 6"
IN_WORKSPACE = "--dataset demo-tiny --workspace workspace"


@dataclass(frozen=True)
class Command:
    """One way in which a file comes to a command."""

    name: str
    weight: int
    """Share of the files that go to it."""
    files: str
    """Which files of the base may be mutated: patterns."""
    call: str
    """Its words; `{file}` is the mutated file, `{folder}` its folder."""
    needs: tuple[str, ...] = ()
    """Files and folders of the base that lie beside it."""
    is_video: bool = False


COMMANDS = (
    Command("score", 24, "videos/*", f"score {{file}} --format json {DETECTOR}", ("detector",), True),
    Command("score --person-crop", 6, "videos/*", f"score {{file}} --person-crop --format json {DETECTOR}",
            ("detector",), True),
    Command("score --format html", 5, "videos/*", f"score {{file}} --format html --out pages {DETECTOR}",
            ("detector",), True),
    Command("score FOLDER", 4, "videos/*", f"score {{folder}} --format json {DETECTOR}", ("detector",), True),
    Command("score IMAGES", 5, "images/*/*", f"score {{folder}} --frames-per-second 25 --format json {DETECTOR}",
            ("detector", "{folder}")),
    Command("score --verify", 5, "report.json", "score --verify report.json --detector detector --jobs 1",
            ("detector", "videos/plain.mp4", "videos/avc.ts")),
    Command("score --detector", 9, "workspace/detectors/*/*/card.json workspace/detectors/*/*/*.s[ak]*",
            "score videos/plain.mp4 --detector {folder} --format json --jobs 1 --timeout 60",
            ("videos/plain.mp4", "{folder}")),
    Command("data add", 12, "videos/*", f"data add {{file}} {NEEDED}", (), True),
    Command("data add IMAGES", 4, "images/*/*", f"data add {{folder}} {NEEDED}", ("{folder}",)),
    Command("data add --consent", 1, "consent.txt", "data add videos/plain.mp4 --subject a --licence CC0 "
            "--consent consent.txt --workspace new", ("videos/plain.mp4",)),
    Command("data import edn", 6, "edn/*/*", f"data import edn --layout edn {NEEDED}", ("edn",)),
    Command("data import openpose", 5, "openpose/poses/*",
            f"data import openpose/poses --layout openpose --frames openpose/clip.mp4 {NEEDED}", ("openpose",)),
    Command("data import --frames", 3, "openpose/clip.mp4",
            f"data import openpose/poses --layout openpose --frames openpose/clip.mp4 {NEEDED}", ("openpose",), True),
    Command("data verify", 3, "workspace/datasets/demo-tiny/**/*.*", f"data verify {IN_WORKSPACE}", ("workspace",)),
    Command("transfer --source", 8, "videos/*",
            f"transfer --subject 1 --source {{file}} --method nearest --preset tiny --jobs 1 {IN_WORKSPACE}",
            ("workspace",), True),
    Command("detect --submit", 6, "scores/*", f"detect --submit {{file}} --name theirs {IN_WORKSPACE}", ("workspace",)),
    Command("detect --manifest", 4, "workspace/manifests/*.jsonl",
            f"detect --submit scores/videos.csv --name theirs --manifest {{file}} {IN_WORKSPACE}",
            ("workspace", "scores/videos.csv")),
    Command("measure", 4, "videos/*", "measure {folder} {folder} --poses off --jobs 1 --workspace new", (), True),
    Command("leaderboard", 4, "workspace/results/*", "leaderboard --workspace workspace", ("workspace",)),
)  # fmt: skip
"""Every command of `bench` that opens a file from elsewhere."""


@dataclass(frozen=True)
class Case:
    """One mutated file and the call that opens it, determined by the seed of the campaign and its index."""

    seed: int
    index: int
    command: Command
    file: str
    """Relative to the base and to the case's folder."""
    words: tuple[str, ...]
    folder: Path
    """Where the call is made; the mutated file and what the call needs are written there."""
    base: Path

    @property
    def is_valid(self) -> bool:
        """Whether the file is left as it is: a command that refuses it would be tested by nothing."""
        return self.index < len(COMMANDS)

    @property
    def reproduction(self) -> str:
        """One shell command that makes the call again in what was kept."""
        return f"(cd {self.folder} && bench {' '.join(self.words)})"


def plan_case(base: Path, folder: Path, seed: int, index: int) -> Case:
    """Draw the command and the file of a case; the first cases are one valid file for each command."""
    draws = np.random.default_rng([seed, index])
    weights = np.array([command.weight for command in COMMANDS], float)
    drawn = COMMANDS[draws.choice(len(COMMANDS), p=weights / weights.sum())]
    command = COMMANDS[index] if index < len(COMMANDS) else drawn
    files = _list_files(base, command)
    plain = next((file for file in files if "plain" in file), files[0])
    file = plain if index < len(COMMANDS) else files[int(draws.integers(len(files)))]
    filled = command.call.replace("{file}", file).replace("{folder}", os.path.dirname(file))
    return Case(seed, index, command, file, tuple(filled.split()), folder / f"{seed}-{index:05d}", base)


def _list_files(base: Path, command: Command) -> list[str]:
    found = [path for pattern in command.files.split() for path in base.glob(pattern) if path.is_file()]
    return sorted(path.relative_to(base).as_posix() for path in found)


def write_case(case: Case) -> None:
    """Write what the call needs, as links where a file is not changed, and the mutated file."""
    shutil.rmtree(case.folder, ignore_errors=True)
    case.folder.mkdir(parents=True)
    for needed in case.command.needs:
        name = needed.replace("{folder}", os.path.dirname(case.file))
        target = case.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (case.base / name).is_dir():
            shutil.copytree(case.base / name, target, copy_function=os.link)
        else:
            os.link(case.base / name, target)
    draws = np.random.default_rng([case.seed, case.index, 1])
    files = _list_files(case.base, case.command)
    other = (case.base / files[int(draws.integers(len(files)))]).read_bytes()
    path = case.folder / case.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # a link: the base keeps its file
    data = (case.base / case.file).read_bytes()
    path.write_bytes(data if case.is_valid else mutate(path.name, data, other, draws))
    if "detectors" in path.parts and path.suffix != ".json" and draws.random() < 0.7:
        _vouch_for_weights(path)


def _vouch_for_weights(weights: Path) -> None:
    """Let the card name the mutated weights, as a stranger's card would."""
    card = weights.with_name("card.json")
    document = json.loads(card.read_text(encoding="utf-8"))
    card.unlink()
    card.write_text(json.dumps(document | {"weights_sha256": sha256_file(weights)}), encoding="utf-8")
