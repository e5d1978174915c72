"""`bench detect`: train detectors and evaluate them on held-out people, or rank another system's scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DatasetOption,
    DeviceOption,
    JobsOption,
    JsonOption,
    SeedOption,
    SetOption,
    WorkspaceOption,
    choose_worker_count,
    open_workspace,
    parse_pair_count,
    parse_settings,
    read_argv,
    resolve_device,
    resolve_precision,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out, print_json
from dancebench.core.errors import BenchError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dancebench.core.workspace import Workspace
    from dancebench.leaderboards.records import RunRecord


def detect(
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Train on the training people, evaluate on the held-out ones.")
    ] = False,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            help="A detector (see bench list detectors), onnx:FILE or MODULE:FACTORY; repeat it for several. "
            "Default: pair-patch."
        ),
    ] = None,
    method: Annotated[str, typer.Option(help="The synthesis method whose fakes are to be detected.")] = "fbf-ts",
    test_method: Annotated[
        list[str] | None,
        typer.Option(
            help="A method whose fakes are used for testing only: does the detector generalise? Repeat it for several."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="A preset (see bench list presets).")] = "protocol",
    aggregator: Annotated[
        str,
        typer.Option(help="Rule that turns pair logits into a video's score (see bench list aggregators)."),
    ] = "mean-logit",
    pairs: Annotated[str | None, typer.Option(help="Number of pairs to score of each video, or all.")] = None,
    tune: Annotated[
        str | None, typer.Option(help="Weights of a timm backbone that are trained: head, norm or all (default).")
    ] = None,
    export: Annotated[str | None, typer.Option(help="Also write each trained network in this format: onnx.")] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also score held-out videos compressed, downscaled, blurred, edited …")
    ] = False,
    submit: Annotated[
        Path | None, typer.Option(help="A CSV of another system's scores, to validate and rank next to ours.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name of the submitted system.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Manifest of the submitted videos; default: that of the latest run.")
    ] = None,
    dataset: DatasetOption = "demo",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
    seed: SeedOption = 0,
    changes: SetOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
) -> None:
    """Train detectors and evaluate them on held-out people.

    Missing dancers, synthesizers and fakes are made first; existing ones are reused.

    [dim]Examples: bench detect --holdout · bench detect --holdout --dataset demo-small --preset demo ·
    bench detect --holdout --detector pair-patch --detector spectrum --test-method posewarp --robustness ·
    bench detect --holdout --set pair-patch.steps=3000 --aggregator top-k --set top-k.share=0.1 ·
    bench detect --holdout --detector onnx:net.onnx --detector energy:make ·
    bench detect --holdout --detector timm:resnet18 --tune head --export onnx ·
    bench detect --submit scores.csv --name their-detector[/]
    """
    if holdout == (submit is not None):
        raise typer.BadParameter("say what to do: --holdout or --submit FILE", param_hint="bench detect")
    if (submit is None) != (name is None) or (manifest is not None and submit is None):
        raise typer.BadParameter("--submit, --name and --manifest belong together", param_hint="bench detect")
    if export not in (None, "onnx"):
        raise BenchError(f"Networks are not exported as '{export}'.", hint="Choose onnx.")
    if submit is not None and (tune or export):
        raise typer.BadParameter("--tune and --export are for detectors that are trained", param_hint="bench detect")
    opened = open_workspace(workspace)
    from dancebench.benchmark.runs.synthesis import open_dataset
    from dancebench.detect.evaluation.aggregation import set_options

    data = open_dataset(opened, dataset)
    detectors = list(dict.fromkeys(detector or ["pair-patch"])) if submit is None else []
    fields = parse_settings(changes, [*detectors, aggregator])
    if aggregator in fields:
        aggregator = set_options(aggregator, fields.pop(aggregator))
    if submit is not None and name is not None:
        from dancebench.benchmark.runs.submission import run_submission

        record = run_submission(opened, data, submit, name, manifest, aggregator=aggregator, argv=read_argv())
        _show(opened, [record], json, beside_others=True)
        return
    from dancebench.benchmark.presets import RunSettings
    from dancebench.benchmark.runs.detection import DetectionJob, check_names, run_detection
    from dancebench.benchmark.runs.protocol_fakes import FakePlan

    device = resolve_device(device_name)
    settings = RunSettings(seed=seed, precision=resolve_precision("auto", device))
    others = tuple(other for other in dict.fromkeys(test_method or []) if other != method)
    fakes = FakePlan(opened, data, method, others, preset, settings, device=device)
    count = None if pairs is None else parse_pair_count(pairs)
    chosen = [
        DetectionJob(fakes, each, aggregator, count, robustness, fields.get(each, {}), tune, export is not None)
        for each in detectors
    ]
    if tune is not None:
        _check_tune(tune, detectors)
    check_names(chosen)
    with ProgressBars(err) as display:
        detected = run_detection(
            chosen, argv=read_argv(), workers=choose_worker_count(jobs, device), report=display.report
        )
    _show(opened, [each.record for each in detected], json)
    if not json:
        for each in detected:
            out.print_lines(f"detector  {each.folder}")
            if each.exported is not None:
                out.print_lines(f"exported  {each.exported}")


def _check_tune(tune: str, detectors: Sequence[str]) -> None:
    """Refuse an unknown choice, and one that no detector of the run has."""
    from dancebench.detect.detectors.base import find_detector_class

    if tune not in ("head", "norm", "all"):
        raise UnknownNameError("choice of --tune", tune, ("head", "norm", "all"))
    if not any("tune" in find_detector_class(each).Config.model_fields for each in detectors):
        raise BenchError("--tune is for detectors with a timm backbone.", hint="Name one: --detector timm:resnet18.")


def _show(workspace: Workspace, records: Sequence[RunRecord], json: bool, *, beside_others: bool = False) -> None:
    """Rebuild the leaderboards; print these records, or the table in which the first of them ranks."""
    from dancebench.leaderboards.board import make_screen_tables, rebuild
    from dancebench.leaderboards.records import load_runs

    rebuild(workspace.results, workspace.leaderboards)
    if json:
        documents = [record.model_dump(mode="json") for record in records]
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    shown, around = (load_runs(workspace.results)[0], records[0]) if beside_others else (records, None)
    tables = make_screen_tables(shown, around, width=out.width, results_dir=workspace.results)
    for table in tables:
        out.print(table)
