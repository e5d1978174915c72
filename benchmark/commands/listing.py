"""`bench list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from rich.table import Table

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DatasetOption,
    JsonOption,
    WorkspaceOption,
    open_workspace,
    out,
    print_json,
)  # fmt: skip

app = typer.Typer(
    help="List methods, detectors, presets, metrics or subjects.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(epilog="Example: bench list methods --json")
def methods(json: JsonOption = False) -> None:
    """Synthesis methods, with the paper's section and the parameters of each network per preset."""
    from dancebench.benchmark.commands.inventory import list_methods

    _show(list_methods(), json)


@app.command(epilog="Example: bench list detectors")
def detectors(json: JsonOption = False) -> None:
    """Detectors."""
    from dancebench.benchmark.commands.inventory import list_detectors

    _show(list_detectors(), json)


@app.command(epilog="Example: bench list presets --json")
def presets(json: JsonOption = False) -> None:
    """Presets, with everything they set."""
    from dancebench.benchmark.commands.inventory import list_presets

    _show(list_presets(), json)


@app.command(epilog="Example: bench list metrics")
def metrics(json: JsonOption = False) -> None:
    """Metrics, with units and the direction of better."""
    from dancebench.benchmark.commands.inventory import list_metrics

    _show(list_metrics(), json)


@app.command(epilog="Example: bench list subjects --dataset demo")
def subjects(
    dataset: DatasetOption = "demo", workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False
) -> None:
    """Subjects of a dataset, with their roles."""
    from dancebench.benchmark.commands.inventory import list_subjects

    _show(list_subjects(open_workspace(workspace), dataset), json)


def _show(facts: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(list(facts))
        return
    table = Table(*(facts[0] if facts else ()))
    for row in facts:
        table.add_row(*(_cell(value) for value in row.values()))
    out.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_cell(inner)}" for key, inner in value.items())
    return "" if value is None else str(value)
