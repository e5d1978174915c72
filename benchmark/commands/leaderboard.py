"""`bench leaderboard`: every table, rebuilt from the run records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dancebench.benchmark.commands.options import DEFAULT_WORKSPACE, WorkspaceOption, err, open_workspace, out
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

    opened = open_workspace(workspace)
    if check:
        differing = board.check(opened.results, opened.leaderboards)
        if differing:
            raise BenchError(
                f"Out of date with the run records: {', '.join(differing)}.", hint="Rebuild with: bench leaderboard"
            )
        out.print("The leaderboards match the run records.")
        return
    records, skipped = load_runs(opened.results)
    written: list[Path] = board.rebuild(opened.results, opened.leaderboards)
    for each in skipped:
        err.print(f"skipped: {each.reason}", soft_wrap=True)
    for table in board.make_screen_tables(records, width=out.width):
        out.print(table)
    for path in written:
        out.print(str(path), soft_wrap=True, highlight=False)
