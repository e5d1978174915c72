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
    PrecisionOption,
    SeedOption,
    WorkspaceOption,
    argv,
    device,
    err,
    open_workspace,
    out,
    precision,
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
    precision_name: PrecisionOption = "auto",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write losses and sample grids for TensorBoard.")
    ] = False,
    checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Compute activations again: less memory, more time.")
    ] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="Let torch compile the networks in training.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
    seed: SeedOption = 0,
    jobs: JobsOption = DEFAULT_JOBS,
    json: JsonOption = False,
) -> None:
    """Train on a person's clip, draw the held-out part of it, measure and record.

    Several GPUs train one synthesizer under torchrun, which divides each batch among them.

    [dim]Examples: bench synth --subject 3 · bench synth --subject all --method fbf-ts-fg ·
    bench synth --dataset mine --subject me --preset small ·
    torchrun --nproc-per-node 4 -m dancebench.benchmark.cli synth --subject me --dataset mine --preset paper[/]
    """
    from dancebench.benchmark.presets import Settings, configured
    from dancebench.benchmark.provenance import Clock
    from dancebench.benchmark.synthesis import (
        SynthesisJob,
        assist,
        draw_missing,
        open_dataset,
        run_synthesis,
    )  # fmt: skip
    from dancebench.core import distributed
    from dancebench.leaderboards.board import rebuild, rich_tables
    from dancebench.synth.loop import Options

    clock = Clock(argv())
    where = device(device_name)
    config = configured(preset, method, Settings(seed, trunk, precision(precision_name, where)))
    opened = open_workspace(workspace)
    held = open_dataset(opened, dataset)
    ids = held.ids("target") if subject == ["all"] else [held.entry(each).id for each in dict.fromkeys(subject)]
    if not ids:
        raise BenchError(f"Dataset '{dataset}' has no target.", hint="bench data add --role target adds one.")
    options = Options(tensorboard=tensorboard, checkpointing=checkpointing, compiled=compiled)
    runs = [
        SynthesisJob(opened.root, dataset, each, method, preset, config, device=where, options=options) for each in ids
    ]
    distributed.join()
    if not distributed.is_first():
        assist(runs)
        return
    workers = jobs if distributed.processes() == 1 else 1
    with Display(err) as display:
        draw_missing(opened, held, ids, workers, display.report)
        record, made = run_synthesis(runs, clock=clock, workers=workers, report=display.report)
    distributed.leave()
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
