"""`bench synth`: train a synthesizer on a person, draw the held-out motion, measure it."""

from __future__ import annotations

from typing import Annotated

import typer

from dancebench.benchmark.commands.options import (
    DEFAULT_JOBS,
    DEFAULT_WORKSPACE,
    DatasetOption,
    DeviceOption,
    JobsOption,
    JsonOption,
    SeedOption,
    WorkspaceOption,
    argv,
    device,
    err,
    open_workspace,
    out,
    print_json,
)  # fmt: skip
from dancebench.benchmark.display import Display
from dancebench.core.errors import BenchError


def synth(
    subject: Annotated[list[str], typer.Option("--subject", help="Id of a subject, or all targets; repeatable.")],
    dataset: DatasetOption = "demo",
    method: Annotated[str, typer.Option(help="A method: bench list methods.")] = "fbf-ts",
    preset: Annotated[str, typer.Option(help="A preset: bench list presets.")] = "protocol",
    trunk: Annotated[
        str | None,
        typer.Option(help="Trunk of the perceptual loss in place of the preset's: off, vgg19 or squeeze."),
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write the losses for TensorBoard.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
    seed: SeedOption = 0,
    jobs: JobsOption = DEFAULT_JOBS,
    json: JsonOption = False,
) -> None:
    """Train on a person's clip, draw the held-out part of it, measure and record.

    [dim]Examples: bench synth --subject 3 · bench synth --subject all --method nearest ·
    bench synth --dataset mine --subject me --preset small[/]
    """
    from dancebench.benchmark.presets import configured
    from dancebench.benchmark.provenance import Clock
    from dancebench.benchmark.synthesis import SynthesisJob, draw_missing, open_dataset, run_synthesis
    from dancebench.leaderboards.board import rebuild, rich_tables
    from dancebench.synth.method import METHODS

    clock = Clock(argv())
    METHODS[method]
    config = configured(preset, seed=seed, trunk=trunk)
    opened = open_workspace(workspace)
    held = open_dataset(opened, dataset)
    ids = held.ids("target") if subject == ["all"] else [held.entry(each).id for each in dict.fromkeys(subject)]
    if not ids:
        raise BenchError(f"Dataset '{dataset}' has no target.", hint="bench data add --role target adds one.")
    runs = [
        SynthesisJob(
            opened.root,
            dataset,
            each,
            method,
            preset,
            config,
            device=device(device_name),
            tensorboard=tensorboard,
        )
        for each in ids
    ]
    with Display(err) as display:
        draw_missing(opened, held, ids, jobs, display.report)
        record, made = run_synthesis(runs, clock=clock, workers=jobs, report=display.report)
    rebuild(opened.results, opened.leaderboards)
    if json:
        print_json(record.model_dump(mode="json"))
        return
    for table in rich_tables([record]):
        out.print(table)
    for each in made:
        if each.trained.trunk_reason:
            err.print(f"perceptual loss off: {each.trained.trunk_reason}", soft_wrap=True)
        out.print(f"fake  {each.fake_path}\nreal  {each.real_path}", soft_wrap=True, highlight=False)
    for failure in record.failures:
        err.print(f"failed  {failure.item}: {failure.reason}", soft_wrap=True)
