"""`bench synth`: train a synthesizer on a person, generate the held-out part, measure it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DatasetOption,
    DeviceOption,
    JobsOption,
    JsonOption,
    PrecisionOption,
    SeedOption,
    SetOption,
    TrainFractionOption,
    WarmStartOption,
    WorkspaceOption,
    choose_worker_count,
    open_workspace,
    parse_settings,
    read_argv,
    resolve_device,
    resolve_precision,
    show_among_others,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out, print_json

if TYPE_CHECKING:
    from dancebench.benchmark.failures.records import FailureRecord
    from dancebench.benchmark.runs.run_clock import RunClock
    from dancebench.benchmark.runs.synthesis import SynthesisJob, SynthesisResult
    from dancebench.core.progress import ReportProgress
    from dancebench.core.workspace import Workspace
    from dancebench.datasets.subjects.dataset import Dataset
    from dancebench.leaderboards.records import RunRecord


def synth(
    context: typer.Context,
    subject: Annotated[
        list[str] | None,
        typer.Option("--subject", help="Id of a subject, or all targets; repeatable. With --submit: all, if left out."),
    ] = None,
    dataset: DatasetOption = "demo",
    train_fraction: TrainFractionOption = None,
    method: Annotated[
        list[str], typer.Option("--method", help="A method (see bench list methods); repeat it for several.")
    ] = ["fbf-ts"],  # noqa: B006
    preset: Annotated[str, typer.Option(help="A preset (see bench list presets).")] = "protocol",
    trunk: Annotated[
        str | None,
        typer.Option(help="Trunk of the perceptual loss instead of the preset's: off, vgg19 or squeeze."),
    ] = None,
    warm_start: WarmStartOption = None,
    precision_name: PrecisionOption = "auto",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Batch size instead of the preset's; under torchrun the ranks share it.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write losses and sample grids for TensorBoard.")
    ] = False,
    checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Recompute activations: less memory, more time.")
    ] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="Train with torch.compile.")] = False,
    submit: Annotated[
        Path | None, typer.Option(help="A folder of another synthesizer's clips (see bench data export), to rank.")
    ] = None,
    failures: Annotated[
        bool, typer.Option("--failures", help="Also write a sheet of the worst moments by kind, and their shares.")
    ] = False,
    novelty: Annotated[
        bool, typer.Option("--novelty", help="Also plot SSIM over the distance to the nearest training poses.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="The name of the submitted synthesizer.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
    seed: SeedOption = 0,
    seeds: Annotated[
        int, typer.Option(min=1, help="Training seeds, from --seed on; the record holds their mean. A ranking needs 3.")
    ] = 1,
    changes: SetOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
) -> None:
    """Train on a person's clip, generate its held-out part, measure and record.

    Under torchrun several GPUs train one synthesizer; each batch is divided among the ranks.

    [dim]Examples: bench synth --subject 3 · bench synth --subject all --method fbf-ts-fg ·
    bench synth --subject all --method fbf --method fbf-ts --method fbf-ts-fg --seeds 3 ·
    bench synth --dataset mine --subject me --preset small ·
    bench synth --subject 3 --method fbf --failures ·
    bench synth --subject holdout01 --warm-start auto --set fbf-ts.schedule.steps=150 ·
    bench synth --subject 3 --method fbf --set fbf.ngf=32 --set fbf.schedule.steps=2000 ·
    bench synth --subject 3 --method ddg --train-fraction 0.85 ·
    bench synth --submit clips --name theirs --dataset mine --preset small ·
    torchrun --nproc-per-node 4 -m dancebench.benchmark.cli synth --subject me --dataset mine
    --preset paper --batch 4[/]
    """
    if (submit is None) != (name is None):
        raise typer.BadParameter("--submit and --name belong together", param_hint="bench synth")
    from dancebench.benchmark.runs.synthesis import open_dataset

    if submit is not None and name is not None:
        _refuse_training_options(context)
        opened = open_workspace(workspace)
        data = open_dataset(opened, dataset, train_fraction)
        _rank_submitted(opened, data, submit, name, subject or ["all"], preset, choose_worker_count(jobs), json)
        return
    if not subject:
        raise typer.BadParameter("say who: an id, or all", param_hint="--subject")
    from dancebench.benchmark.presets import RunSettings
    from dancebench.benchmark.runs.run_clock import RunClock
    from dancebench.benchmark.runs.synthesis import choose_subjects, plan_jobs, run_worker_rank
    from dancebench.core.nn import distributed
    from dancebench.synth.training.loop import TrainingOptions

    clock = RunClock(read_argv())
    device = resolve_device(device_name)
    fields = parse_settings(changes, method)
    settings = RunSettings(seed, trunk, resolve_precision(precision_name, device), batch, fields)
    options = TrainingOptions(tensorboard=tensorboard, checkpointing=checkpointing, compiled=compiled)
    opened = open_workspace(workspace)
    data = open_dataset(opened, dataset, train_fraction)
    ids = choose_subjects(data, subject)
    plans = [
        plan_jobs(opened, data, ids, name, preset, settings, seeds=seeds, device=device, options=options)
        for name in dict.fromkeys(method)
    ]
    distributed.join_process_group(device)
    if not distributed.is_main_process():
        run_worker_rank()
        return
    count = choose_worker_count(jobs, device) if distributed.world_size() == 1 else 1
    runs = _run_methods(data, ids, plans, warm_start, clock, count, failures=failures, novelty=novelty)
    _show_runs(opened, runs, json)


class _Run(NamedTuple):
    """One method's record and clips, the plots over novelty, and the sheets of failures, where they were asked for."""

    record: RunRecord
    synthesized: Sequence[SynthesisResult]
    plots: Sequence[Path]
    failed: Sequence[tuple[FailureRecord, Path]]


def _run_methods(
    data: Dataset,
    subjects: Sequence[str],
    plans: Sequence[Sequence[SynthesisJob]],
    warm_start: str | None,
    clock: RunClock,
    workers: int,
    *,
    failures: bool,
    novelty: bool,
) -> list[_Run]:
    """Draw who is missing, then train, generate, measure and record, method by method."""
    from dancebench.benchmark.runs.synthesis import RANKS, draw_missing, start_warm
    from dancebench.benchmark.runs.synthesis_record import run_synthesis

    with ProgressBars(err) as display:
        draw_missing(data, subjects, workers, display.report)
        started = start_warm(list(chain(*plans)), warm_start, workers=workers, report=display.report)
        plans = [[job for job in started if job.method == plan[0].method] for plan in plans]
        results = [run_synthesis(plan, clock=clock, workers=workers, report=display.report) for plan in plans]
        plotted = [_report_novelty(made, workers, display.report) if novelty else [] for _, made in results]
        failed = [_report_failures(made, workers, display.report) if failures else [] for _, made in results]
    RANKS.dismiss()
    return [_Run(*result, plots, cases) for result, plots, cases in zip(results, plotted, failed, strict=True)]


def _show_runs(opened: Workspace, runs: Sequence[_Run], json: bool) -> None:
    """Rebuild the leaderboards, and print these records with where their files lie."""
    from dancebench.leaderboards.board import make_screen_tables, rebuild

    rebuild(opened.results, opened.leaderboards)
    records = [run.record for run in runs]
    if json:
        dumped = [record.model_dump(mode="json") for record in records]
        print_json(dumped[0] if len(dumped) == 1 else dumped)
        return
    for table in make_screen_tables(records, width=out.width):
        out.print(table)
    for run in runs:
        _print_outputs(run.record, run.synthesized)
        _print_failures(run.failed)
        out.print_lines(*(f"novelty  {plot}" for plot in run.plots))


_OF_SUBMISSIONS: Final = {
    "subject",
    "dataset",
    "train_fraction",
    "preset",
    "submit",
    "name",
    "workspace",
    "jobs",
    "json",
}


def _refuse_training_options(context: typer.Context) -> None:
    """Refuse, beside --submit, the options of a training: nothing is trained."""
    for parameter in context.command.params:
        given = parameter.name and context.get_parameter_source(parameter.name)
        if given and given.name == "COMMANDLINE" and parameter.name not in _OF_SUBMISSIONS:
            raise typer.BadParameter("nothing is trained with --submit", param_hint=parameter.opts[0])


def _rank_submitted(
    opened: Workspace,
    data: Dataset,
    folder: Path,
    name: str,
    subjects: Sequence[str],
    preset: str,
    workers: int,
    json: bool,
) -> None:
    """Measure another synthesizer's clips, and print the table in which they stand."""
    from dancebench.benchmark.outside.submitted_clips import Submission, run_submitted_clips
    from dancebench.benchmark.runs.run_clock import RunClock
    from dancebench.benchmark.runs.synthesis import choose_subjects, draw_missing

    clock = RunClock(read_argv())
    ids = choose_subjects(data, subjects)
    with ProgressBars(err) as display:
        draw_missing(data, ids, workers, display.report)
        submission = Submission(opened, data, folder, name, preset)
        record = run_submitted_clips(submission, ids, clock=clock, workers=workers, report=display.report)
    show_among_others(opened, record, json=json)


def _print_outputs(record: RunRecord, synthesized: Sequence[SynthesisResult]) -> None:
    """Print the paths of the clips, why a perceptual loss was off, and the failures."""
    for each in synthesized:
        if each.trained.trunk_reason:
            err.print_lines(f"perceptual loss off: {each.trained.trunk_reason}")
        out.print_lines(f"fake  {each.fake_path}", f"real  {each.real_path}")
    for failure in record.failures:
        err.print_lines(f"failed  {failure.item}: {failure.reason}")


def _report_failures(
    results: Sequence[SynthesisResult], workers: int, report: ReportProgress
) -> list[tuple[FailureRecord, Path]]:
    from dancebench.benchmark.failures.report import report_failures

    return report_failures(results, workers=workers, report=report)


def _report_novelty(results: Sequence[SynthesisResult], workers: int, report: ReportProgress) -> list[Path]:
    from dancebench.benchmark.novelty import report_novelty

    return [plot for _, plot in report_novelty(results, workers=workers, report=report)]


def _print_failures(cases: Sequence[tuple[FailureRecord, Path]]) -> None:
    """Print the path of each sheet, and the shares of failed frames."""
    for record, sheet in cases:
        shares = (
            f"{name} {'-' if kind.share is None else format(kind.share, '.0%')}" for name, kind in record.kinds.items()
        )
        out.print_lines(f"failures  {sheet}", f"          {', '.join(shares)}")
