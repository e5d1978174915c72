"""`bench leaderboard`: every table, rebuilt from the run records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dancebench.benchmark.commands.options import DEFAULT_WORKSPACE, WorkspaceOption, open_workspace, view_workspace
from dancebench.benchmark.console import err, out
from dancebench.core.errors import BenchError


def leaderboard(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the existing files differ from a rebuild.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Rebuild the leaderboards (Markdown and CSV) from the run records.

    [dim]Examples: bench leaderboard · bench leaderboard --check[/]
    """
    from dancebench.leaderboards import board
    from dancebench.leaderboards.records import load_runs

    if check:
        opened = view_workspace(workspace)
        differing = board.check(opened.results, opened.leaderboards)
        if differing:
            raise BenchError(
                f"Out of date with the run records: {', '.join(differing)}.", hint="Rebuild with: bench leaderboard"
            )
        out.print("The leaderboards match the run records.")
        return
    opened = open_workspace(workspace)
    records, skipped = load_runs(opened.results)
    written: list[Path] = board.rebuild(opened.results, opened.leaderboards)
    for each in skipped:
        err.print_lines(f"skipped: {each.reason}")
    for table in board.make_screen_tables(records, width=out.width, results_dir=opened.results):
        out.print(table)
    for path in written:
        out.print_lines(str(path))
