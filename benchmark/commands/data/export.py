"""`bench data export`: what an outside synthesizer needs to train and to generate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DatasetOption,
    JobsOption,
    WorkspaceOption,
    choose_worker_count,
    open_workspace,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out


def export(
    folder: Annotated[Path, typer.Option("--out", help="Folder to write; it must not hold anything yet.")],
    dataset: DatasetOption = "demo",
    subject: Annotated[
        list[str] | None, typer.Option("--subject", help="Id of a subject; repeatable. Default: all targets.")
    ] = None,
    preset: Annotated[str, typer.Option(help="A preset: decides the size of the frames.")] = "protocol",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    jobs: JobsOption = None,
) -> None:
    """Write training frames, poses and the held-out stick figures for a synthesizer from elsewhere.

    The README in the folder says what to hand in: bench synth --submit measures it.
    """
    from dancebench.benchmark.outside.export import export_dataset
    from dancebench.benchmark.runs.synthesis import choose_subjects, draw_missing, open_dataset

    data = open_dataset(open_workspace(workspace), dataset)
    ids = choose_subjects(data, subject or ["all"])
    with ProgressBars(err) as display:
        draw_missing(data, ids, choose_worker_count(jobs), display.report)
        record = export_dataset(data, ids, preset, folder, report=display.report)
    for each in record.subjects:
        out.print_lines(
            f"{each.id}: {each.n_train} frames to learn from, {each.n_held_out} to generate, "
            f"{each.height}x{each.width} (height x width) at {each.fps:g} fps"
        )
    out.print_lines(f"what to hand in: {folder / 'README.md'}")
