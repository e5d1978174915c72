"""`bench leaderboard`: every table, rebuilt from the run records alone, and the site around them."""

from __future__ import annotations

from typing import Annotated

import typer

from dancebench.benchmark.commands.options import DEFAULT_WORKSPACE, WorkspaceOption, open_workspace, view_workspace
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out
from dancebench.core.errors import BenchError


def leaderboard(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the existing files differ from a rebuild.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Rebuild the leaderboards (Markdown, CSV, a site, model cards) from the run records.

    With --check site and cards are compared too, where there are any.

    [dim]Examples: bench leaderboard · bench leaderboard --check[/]
    """
    from dancebench.benchmark.report.write import check_leaderboards, write_leaderboards
    from dancebench.leaderboards.board import make_screen_tables

    if check:
        differing = check_leaderboards(view_workspace(workspace))
        if differing:
            raise BenchError(
                f"Out of date with the run records: {', '.join(differing)}.", hint="Rebuild with: bench leaderboard"
            )
        out.print("The leaderboards match the run records.")
        return
    opened = open_workspace(workspace)
    with ProgressBars(err) as display:
        written = write_leaderboards(opened, display.report)
    for each in written.skipped:
        err.print_lines(f"skipped: {each.reason}")
    if written.skipped:
        err.print_lines(f"{len(written.skipped)} of {len(written.skipped) + len(written.records)} files were left out")
    for table in make_screen_tables(written.records, width=out.width, results_dir=opened.results):
        out.print(table)
    for path in (*written.tables, *written.site, *written.cards):
        out.print_lines(str(path))
