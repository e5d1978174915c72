"""`bench data card`: the card of a dataset, for people and for tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dancebench.benchmark.commands.options import DEFAULT_WORKSPACE, WorkspaceOption, view_workspace
from dancebench.benchmark.console import out
from dancebench.core.errors import BenchError


def card(
    dataset: Annotated[str, typer.Option(help="Name of the dataset.")] = "demo",
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to; default: the dataset's own.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Write a dataset's card: README.md with Hugging Face front matter, and Croissant (JSON-LD) with its table."""
    from dancebench.datasets.subjects.card import write_dataset_card
    from dancebench.datasets.subjects.dataset import Dataset

    opened = view_workspace(workspace)
    if dataset not in opened.list_datasets() and dataset in opened.list_corpora():
        raise BenchError(
            f"'{dataset}' is an outside corpus, not a dataset.",
            hint=f"Its card was written when it was read: {opened.corpus(dataset) / 'card.jsonld'}",
        )
    data = Dataset.open(opened, dataset)
    for path in write_dataset_card(data, opened.dataset(dataset) if folder is None else folder):
        out.print_lines(str(path))
