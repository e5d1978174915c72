"""`bench leaderboard`: every table, rebuilt from the run records alone, and the site around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
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
    published: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Rebuild a folder of published tables from its own records/ instead."),
    ] = None,
    document: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Also the tables between markers in this Markdown file; repeatable."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Rebuild the leaderboards (Markdown, CSV, a site, model cards) from the run records.

    With --check site and cards are compared too, where there are any.

    [dim]Examples: bench leaderboard · bench leaderboard --check ·
    bench leaderboard --published leaderboards/published --document README.md --check[/]
    """
    from dancebench.benchmark.report.write import check_leaderboards, write_leaderboards
    from dancebench.leaderboards.board import make_screen_tables

    if document and published is None:
        raise typer.BadParameter("--document shows published tables: name their folder", param_hint="--published")
    if published is not None:
        _rebuild_published(published, document or [], check)
        return
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


def _rebuild_published(folder: Path, documents: Sequence[Path], check: bool) -> None:
    """Write or compare the tables of published records, and the documents that show some of them.

    Raises:
        BenchError: There are no records, a document names no table of them, or something differs.
    """
    from dancebench.benchmark.published.documents import fill_tables
    from dancebench.core.files import read_bytes, write_text
    from dancebench.leaderboards import board
    from dancebench.leaderboards.significance.differences import read_runs

    results = folder / "records"
    runs = read_runs(results)
    if not runs.records:
        raise BenchError(f"{results} holds no run record.", hint="Name the folder of leaderboards/published.")
    texts = {path: fill_tables(path, runs) for path in documents}
    if check:
        differing = [str(folder / name) for name in board.check(results, folder, runs)]
        differing += [str(path) for path, text in texts.items() if read_bytes(path) != text.encode()]
        if differing:
            raise BenchError(
                f"Out of date with the published records: {', '.join(differing)}.",
                hint="Rebuild with the same command without --check.",
            )
        out.print("The published tables match their records.")
        return
    for path, text in texts.items():
        write_text(path, text)
    for path in (*board.rebuild(results, folder, runs), *texts):
        out.print_lines(str(path))
