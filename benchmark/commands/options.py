"""Options and helpers that the commands share."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from dancebench.benchmark.console import err, out, print_json
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.workspace import Workspace

if TYPE_CHECKING:
    from dancebench.leaderboards.records import RunRecord
    from dancebench.synth.base import Precision

WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", envvar="BENCH_WORKSPACE", help="Folder of all data and results.", show_default=True),
]
DEFAULT_WORKSPACE: Final = Path("workspace")
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="Training precision: fp32, bf16, or auto: bf16 if the hardware supports it.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of all random numbers.")]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", min=1, help="Worker processes, one thread each on a CPU; default: one per core, 1 on a GPU."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME.KEY=VALUE", help="Another value of a setting of what is run; repeatable."),
]
WarmStartOption = Annotated[
    str | None,
    typer.Option(
        "--warm-start",
        metavar="auto|FOLDER",
        help="Start from a generator trained on many training people: auto (one for each side of the split) or the "
        "folder of one.",
    ),
]
DatasetOption = Annotated[str, typer.Option("--dataset", help="Name of the dataset.")]
TrainFractionOption = Annotated[
    float | None,
    typer.Option(
        "--train-fraction",
        min=0.01,
        max=0.99,
        help="Share of each clip, its beginning, that trains; the rest is held out. Default: the dataset's, 0.8.",
    ),
]


def open_workspace(root: Path) -> Workspace:
    """Open the workspace after a check of its version."""
    return Workspace(root).open()


def view_workspace(root: Path) -> Workspace:
    """Open the workspace for a command that only looks: nothing is written."""
    return Workspace(root).view()


def resolve_device(name: str) -> str:
    """`cpu` or `cuda`, resolved from `auto`.

    Raises:
        BenchError: The name is unknown, or there is no CUDA device.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise BenchError(f"Unknown device '{name}'.", hint="Choose auto, cpu or cuda.")
    if name == "cpu":
        return name
    import torch  # slow to import: only for commands that compute

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise BenchError("This machine has no CUDA device that torch can use.", hint="Use --device cpu.")
    return "cpu"


def resolve_precision(name: str, device_name: str) -> Precision:
    """`fp32` or `bf16`, resolved from `auto` by what the device can do.

    Raises:
        BenchError: The name is unknown.
    """
    precisions: dict[str, Precision] = {"fp32": "fp32", "bf16": "bf16"}
    if name in precisions:
        return precisions[name]
    if name != "auto":
        raise BenchError(f"Unknown precision '{name}'.", hint="Choose auto, fp32 or bf16.")
    import torch  # slow to import: only for commands that compute

    from dancebench.synth.acceleration import has_bf16

    return "bf16" if has_bf16(torch.device(device_name)) else "fp32"


def parse_pair_count(text: str) -> int | Literal["all"]:
    """Parse the number of pairs to score of a video.

    Raises:
        BadParameter: Neither a number from 1 on nor `all`.
    """
    if text == "all":
        return "all"
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise typer.BadParameter(f"'{text}' is neither a number above 0 nor 'all'", param_hint="--pairs")


def parse_settings(texts: Sequence[str] | None, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parse `NAME.KEY=VALUE`: by name and key, what JSON makes of the value, else the text itself.

    Args:
        texts: As given on the command line.
        names: What is run and may be set.

    Raises:
        UnknownNameError: A text begins with no such name.
        BenchError: It is not of this form.
    """
    settings: dict[str, dict[str, Any]] = {}
    for text in texts or ():
        path, equals, value = text.partition("=")
        owners = [name for name in names if path.startswith(f"{name}.")]
        if not equals or "." not in path:
            raise BenchError(f"'{text}' sets nothing.", hint=f"Write NAME.KEY=VALUE, like {names[0]}.KEY=VALUE.")
        if not owners:
            raise UnknownNameError("method, detector or aggregator of this run", path.partition(".")[0], names)
        owner = max(owners, key=len)
        settings.setdefault(owner, {})[path.removeprefix(f"{owner}.")] = _parse_value(value)
    return settings


def _parse_value(text: str) -> Any:
    def refuse(constant: str) -> float:
        raise ValueError(constant)

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return text


def choose_worker_count(jobs: int | None, device_name: str = "cpu") -> int:
    """Number of parallel worker processes: as requested, else one per core, or one for a GPU."""
    return jobs or (1 if device_name == "cuda" else os.cpu_count() or 1)


def name_other_files(recording: Path) -> None:
    """Say what lies in a folder of images and is none of its frames; nothing of a video."""
    if not os.path.isdir(recording):
        return
    from dancebench.datasets.video.frames import list_other_files

    if names := list_other_files(recording):
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        err.print_lines(f"passed over in {recording} (no image): {len(names)}: {shown}")


def name_program() -> str:
    """How this program was called, as it can be called again from here: `bench` where the shell finds it."""
    called = Path(sys.argv[0])
    if called.name == "cli.py":
        return shlex.join([sys.executable, "-m", "dancebench.benchmark.cli"])
    found = shutil.which("bench")
    if called.stem != "bench" or (found and called.exists() and called.samefile(found)):
        return "bench"
    return shlex.quote(str(called))


def read_argv() -> list[str]:
    """The command line, for the record."""
    return ["bench", *sys.argv[1:]]


def show_among_others(workspace: Workspace, record: RunRecord, *, json: bool) -> None:
    """Rebuild the leaderboards; print the table in which a record ranks, and what failed, or the record as JSON."""
    from dancebench.leaderboards.board import make_screen_tables, rebuild
    from dancebench.leaderboards.records import load_runs

    rebuild(workspace.results, workspace.leaderboards)
    if json:
        print_json(record.model_dump(mode="json"))
        return
    shown, _ = load_runs(workspace.results)
    for table in make_screen_tables(shown, record, width=out.width, results_dir=workspace.results):
        out.print(table)
    for failure in record.failures:
        err.print_lines(f"failed  {failure.item}: {failure.reason}")
