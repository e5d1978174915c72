"""Options and habits that commands share."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace

WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", envvar="BENCH_WORKSPACE", help="Folder of all data and results.", show_default=True),
]
DEFAULT_WORKSPACE: Final = Path("workspace")
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Worker processes; each computes with one thread on a CPU.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a machine instead of a table.")]
DatasetOption = Annotated[str, typer.Option("--dataset", help="Name of the dataset.")]

DEFAULT_JOBS: Final = os.cpu_count() or 1

out = Console()
"""Results: standard output."""
err = Console(stderr=True)
"""Everything else: progress, notes, errors."""


def open_workspace(root: Path) -> Workspace:
    """The workspace, checked for its version."""
    return Workspace(root).open()


def device(name: str) -> str:
    """`cpu` or `cuda`, resolved from `auto`.

    Raises:
        BenchError: Another word, or CUDA where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise BenchError(f"Unknown device '{name}'.", hint="Choose auto, cpu or cuda.")
    if name == "cpu":
        return name
    import torch  # slow to import; only commands that compute ask

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise BenchError("This machine has no CUDA device that torch can use.", hint="Use --device cpu.")
    return "cpu"


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def argv() -> list[str]:
    """The command as it was given, for the record."""
    return ["bench", *sys.argv[1:]]
