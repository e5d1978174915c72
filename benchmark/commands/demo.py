"""`bench demo`: the whole benchmark once, on drawn dancers."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dancebench.benchmark.commands.data.datasets import PosesOption
from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DeviceOption,
    JobsOption,
    JsonOption,
    SeedOption,
    WorkspaceOption,
    choose_worker_count,
    name_program,
    open_workspace,
    read_argv,
    resolve_device,
    resolve_precision,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out, print_json
from dancebench.core.environment import find_missing_system_libraries
from dancebench.core.errors import BenchError

if TYPE_CHECKING:
    from dancebench.benchmark.runs.demo import DemoResult


def demo(
    full: Annotated[bool, typer.Option("--full", help="All 5 targets and 62 forensic dancers: hours.")] = False,
    size: Annotated[str | None, typer.Option(help="small (the default) or tiny (seconds, for tests).")] = None,
    moving: Annotated[
        bool,
        typer.Option("--moving", help="Dancers before a drifting camera, with a moving object and changing light."),
    ] = False,
    poses: PosesOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
    seed: SeedOption = 0,
    jobs: JobsOption = None,
    json: JsonOption = False,
) -> None:
    """Run data, synthesizers, detectors and leaderboards on procedurally drawn dancers; no network, minutes.

    [dim]Examples: bench demo · bench demo --workspace try --seed 1 · bench demo --moving[/]
    """
    _require_system_libraries()
    from dancebench.benchmark.runs.demo import PLANS, make_moving, run_demo

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
            make_moving(PLANS[plan]) if moving else PLANS[plan],
            extractor=poses,
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
    _show(result, opened.leaderboards, time.perf_counter() - started)
    _show_next_steps(workspace)


def _require_system_libraries() -> None:
    """Refuse at once, not when the first pose is read, where shared libraries are missing."""
    missing = find_missing_system_libraries()
    if missing:
        raise BenchError(
            f"This system lacks {', '.join(missing)}, which OpenCV or MediaPipe needs.",
            hint=f"apt-get install {' '.join(sorted(missing.values()))} (Debian, Ubuntu)",
        )


def _show(result: DemoResult, tables: Path, seconds: float) -> None:
    from dancebench.leaderboards.board import make_screen_tables

    for table in make_screen_tables(result.records, width=out.width):
        out.print(table)
    for label, found in (
        ("poses", result.poses), ("picture", result.sheet), ("video", result.video), ("tables", tables),
        ("report", result.report),
    ):  # fmt: skip
        out.print_lines(f"{label:<8} {found}")
    stages = ", ".join(f"{stage} {spent:.0f}" for stage, spent in result.seconds.items())
    out.print(f"done in {seconds:.0f} s: {stages}", highlight=False)


def list_next_steps(program: str, workspace: Path) -> list[tuple[str, list[str]]]:
    """What to do after the demo: for each purpose its commands, ready for a shell but for the name of the video."""
    default = workspace == DEFAULT_WORKSPACE and "BENCH_WORKSPACE" not in os.environ
    place = "" if default else f" --workspace {shlex.quote(str(workspace))}"
    own_clip = [
        f'{program} data add VIDEO --subject me --licence "my own" --consent "I am in it"{place}',
        f"{program} synth --dataset mine --subject me --preset small{place}",
    ]
    score = [f"{program} score VIDEO --detector pair-patch{place}"]
    return [
        ("Your own clip of one person, before a still camera: train on it, and measure the fake", own_clip),
        ("A video to score; this detector has seen drawn dancers alone, and abstains on every outside video", score),
    ]


def _show_next_steps(workspace: Path) -> None:
    for purpose, commands in list_next_steps(name_program(), workspace):
        out.print(f"\n{purpose}:", highlight=False)
        for command in commands:
            out.print_lines(f"  {command}")
