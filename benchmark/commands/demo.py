"""`bench demo`: the whole benchmark once, on drawn dancers."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DeviceOption,
    JobsOption,
    JsonOption,
    SeedOption,
    WorkspaceOption,
    choose_worker_count,
    err,
    open_workspace,
    out,
    print_json,
    read_argv,
    resolve_device,
    resolve_precision,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.core.errors import BenchError


def demo(
    full: Annotated[bool, typer.Option("--full", help="All 5 targets and 62 forensic dancers: hours.")] = False,
    size: Annotated[str | None, typer.Option(help="small (the default) or tiny (seconds, for tests).")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
    seed: SeedOption = 0,
    jobs: JobsOption = None,
    json: JsonOption = False,
) -> None:
    """Run data, synthesizers, detectors and leaderboards on procedurally drawn dancers; no network, minutes.

    [dim]Examples: bench demo · bench demo --workspace try --seed 1[/]
    """
    from dancebench.benchmark.runs.demo import PLANS, run_demo
    from dancebench.leaderboards.board import make_screen_tables

    if full and size is not None:
        raise typer.BadParameter("--full and --size exclude each other")
    plan = "full" if full else size or "small"
    if plan not in PLANS or size == "full":
        raise BenchError(f"Unknown size '{size}'.", hint="Choose small or tiny, or give --full.")
    device = resolve_device(device_name)
    started = time.perf_counter()
    opened = open_workspace(workspace)
    with ProgressBars(err) as display:
        result = run_demo(
            opened,
            PLANS[plan],
            seed=seed,
            precision=resolve_precision("auto", device),
            device=device,
            argv=read_argv(),
            workers=choose_worker_count(jobs, device),
            report=display.report,
        )
    if json:
        print_json([record.model_dump(mode="json") for record in result.records])
        return
    for table in make_screen_tables(result.records, width=out.width):
        out.print(table)
    for label, path in (("picture", result.sheet), ("video", result.video), ("tables", opened.leaderboards)):
        out.print(f"{label:<8} {path}", soft_wrap=True, highlight=False)
    out.print(f"done in {time.perf_counter() - started:.0f} s", highlight=False)
