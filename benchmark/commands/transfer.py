"""`bench transfer`: motion transfer from a source to trained targets ("do as I do")."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DatasetOption,
    DeviceOption,
    JobsOption,
    JsonOption,
    SeedOption,
    TrainFractionOption,
    WarmStartOption,
    WorkspaceOption,
    choose_worker_count,
    name_other_files,
    open_workspace,
    resolve_device,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out, print_json


def transfer(
    subject: Annotated[
        list[str], typer.Option("--subject", help="A trained target, or all targets; repeat it for several.")
    ],
    source: Annotated[
        str, typer.Option(help="Source of the motion: a subject, DATASET/SUBJECT, a video or a folder of images.")
    ],
    dataset: DatasetOption = "demo",
    train_fraction: TrainFractionOption = None,
    method: Annotated[str, typer.Option(help="A method (see bench list methods).")] = "fbf-ts",
    preset: Annotated[str, typer.Option(help="The preset that the targets were trained with.")] = "protocol",
    warm_start: WarmStartOption = None,
    normalisation: Annotated[
        str,
        typer.Option(
            help="How the motion is fitted: robust, paper (Eq. 7-9 as printed), similarity (an ablation), or none."
        ),
    ] = "robust",
    background: Annotated[
        str,
        typer.Option(help="What the targets are put on: a picture, a video, or keep, their own. For ddg."),
    ] = "keep",
    copies: Annotated[
        Path | None,
        typer.Option("--out", help="A folder for copies whose metadata marks them as synthetic."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
    seed: SeedOption = 0,
    jobs: JobsOption = None,
    json: JsonOption = False,
) -> None:
    """Transfer another person's motion to trained targets, and show them side by side.

    [dim]Examples: bench transfer --subject 3 --source 4 · bench transfer --subject 1 --subject 3 --source dance.mp4
    --out copies · bench transfer --subject all --source driver01 --method fbf-ts-fg ·
    bench transfer --subject 1 --source 4 --method ddg --background beach.jpg[/]
    """
    from dancebench.benchmark.runs.synthesis import draw_missing, open_dataset
    from dancebench.benchmark.runs.transfer import TransferPlan, export_copies, run_transfer
    from dancebench.synth.base import METHODS

    METHODS[method]
    opened = open_workspace(workspace)
    data = open_dataset(opened, dataset, train_fraction)
    ids = data.ids("target") if subject == ["all"] else list(dict.fromkeys(subject))
    device = resolve_device(device_name)
    behind = None if background == "keep" else Path(background)
    plan = TransferPlan(
        opened, data, tuple(ids), source, method, preset, seed, normalisation, device, behind, warm_start
    )
    if source not in data.ids():
        name_other_files(Path(source))
    with ProgressBars(err) as display:
        if source in data.ids():
            draw_missing(data, [source], choose_worker_count(jobs), display.report)
        result = run_transfer(plan, workers=choose_worker_count(jobs, device), report=display.report)
    err.print_lines(*(f"note: {warning}" for warning in result.decode_warnings))
    if json:
        print_json([{"path": str(each.path)} | each.record.model_dump(mode="json") for each in result.fakes])
    for each in result.fakes if not json else ():
        out.print_lines(f"fake  {each.path}")
    if not json:
        out.print_lines(f"side by side  {result.side_by_side}")
    for path in export_copies(result, copies) if copies else ():
        err.print_lines(f"copy  {path}")
