"""`bench detect`: train a detector on some people, measure it on others."""

from __future__ import annotations

from typing import Annotated

import typer

from dancebench.benchmark.commands.options import (
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
    precision,
    print_json,
    workers,
)  # fmt: skip
from dancebench.benchmark.display import Display


def detect(
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Train on the training people, evaluate on the held-out ones.")
    ] = False,
    detector: Annotated[str, typer.Option(help="A detector: bench list detectors.")] = "pair-patch",
    method: Annotated[str, typer.Option(help="The method whose fakes are to be told.")] = "fbf-ts",
    preset: Annotated[str, typer.Option(help="A preset: bench list presets.")] = "protocol",
    aggregator: Annotated[
        str, typer.Option(help="From pair logits to a video's score: mean-logit, or product (the paper's).")
    ] = "mean-logit",
    dataset: DatasetOption = "demo",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
    seed: SeedOption = 0,
    jobs: JobsOption = None,
    json: JsonOption = False,
) -> None:
    """Train a detector on people and measure it on people it never saw.

    What is missing is made first: dancers, synthesizers, fakes. What stands is used again.

    [dim]Examples: bench detect --holdout · bench detect --holdout --dataset demo-small --preset demo[/]
    """
    if not holdout:
        raise typer.BadParameter("say what to do: --holdout", param_hint="bench detect")
    from dancebench.benchmark.detection import DetectionJob, run_detection
    from dancebench.benchmark.presets import Settings, configured
    from dancebench.benchmark.provenance import Clock
    from dancebench.benchmark.synthesis import open_dataset
    from dancebench.leaderboards.board import rebuild, rich_tables

    clock = Clock(argv())
    where = device(device_name)
    settings = Settings(seed=seed, precision=precision("auto", where))
    configured(preset, method, settings)  # unknown names fail here
    opened = open_workspace(workspace)
    open_dataset(opened, dataset)
    job = DetectionJob(
        opened.root, dataset, detector, method, preset, settings,
        device=where, aggregator=aggregator,
    )  # fmt: skip
    with Display(err) as display:
        record, result = run_detection(job, clock=clock, workers=workers(jobs, where), report=display.report)
    rebuild(opened.results, opened.leaderboards)
    if json:
        print_json(record.model_dump(mode="json"))
        return
    for table in rich_tables([record]):
        out.print(table)
    out.print(f"detector  {result.folder}", soft_wrap=True, highlight=False)
