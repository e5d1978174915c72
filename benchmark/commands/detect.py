"""`bench detect`: train detectors and evaluate them on held-out people, or rank another system's scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DeviceOption,
    JobsOption,
    JsonOption,
    SeedOption,
    SetOption,
    TrainFractionOption,
    WarmStartOption,
    WorkspaceOption,
    choose_worker_count,
    open_workspace,
    parse_pair_count,
    parse_settings,
    read_argv,
    resolve_device,
    resolve_precision,
    view_workspace,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out, print_json
from dancebench.core.errors import BenchError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dancebench.benchmark.corpora.matrix import MatrixResult
    from dancebench.core.workspace import Workspace
    from dancebench.detect.inputs.view import ViewRequest
    from dancebench.detect.protocol.definition import Protocol
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
    method: Annotated[
        str | None, typer.Option(help="The synthesis method whose fakes are to be detected. Default: fbf-ts.")
    ] = None,
    test_method: Annotated[
        list[str] | None,
        typer.Option(
            help="A method whose fakes are used for testing only: does the detector generalise? Repeat it for several."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="A preset (see bench list presets).")] = "protocol",
    warm_start: WarmStartOption = None,
    train: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CORPUS[:SPLIT]", help="Train on an outside corpus (see bench data corpus); repeat it for several."
        ),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="CORPUS[:SPLIT]", help="Test every training on the held-out part of it; repeatable."),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Train and test as it says, on a dataset or on outside corpora (see bench list protocols)."),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:HEIGHTxWIDTH]",
            help="What is looked at: frame, native, person or face. Default: what each detector says.",
        ),
    ] = None,
    aggregator: Annotated[
        str | None,
        typer.Option(
            help="Rule that turns pair logits into a video's score (see bench list aggregators). Default: mean-logit."
        ),
    ] = None,
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
    dataset: Annotated[str | None, typer.Option(help="Name of the dataset. Default: demo.")] = None,
    train_fraction: TrainFractionOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
    seed: SeedOption = 0,
    changes: SetOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
) -> None:
    """Train detectors and evaluate them on held-out people.

    Missing dancers, synthesizers, fakes and views are made first; existing ones are reused.

    [dim]Examples: bench detect --holdout · bench detect --holdout --dataset demo-small --preset demo ·
    bench detect --holdout --detector pair-patch --detector spectrum --test-method posewarp --robustness ·
    bench detect --holdout --warm-start auto ·
    bench detect --holdout --set pair-patch.steps=3000 --aggregator top-k --set top-k.share=0.1 ·
    bench detect --holdout --detector onnx:net.onnx --detector energy:make ·
    bench detect --holdout --detector timm:resnet18 --tune head --export onnx ·
    bench detect --protocol unseen ·
    bench detect --train ours --test ours --test theirs:whole --view face · bench detect --protocol in-domain ·
    bench detect --submit scores.csv --name their-detector[/]
    """
    fixed = _find_dataset_protocol(workspace, protocol)
    corpora = bool(train or test or (protocol and fixed is None))
    if [holdout, submit is not None, corpora, fixed is not None].count(True) != 1:
        raise typer.BadParameter(
            "say what to do: --holdout, --train and --test, --protocol or --submit FILE", param_hint="bench detect"
        )
    if bool(train) != bool(test) or (train and protocol):
        raise typer.BadParameter("--train and --test belong together, without --protocol", param_hint="bench detect")
    if view is not None and submit is not None:
        raise typer.BadParameter("--view is of detectors that run here, and not of scores", param_hint="--view")
    if corpora and (method or test_method or dataset or train_fraction):
        raise typer.BadParameter(
            "--method, --test-method, --dataset and --train-fraction have no part in a run on outside corpora"
        )
    if (submit is None) != (name is None) or (manifest is not None and submit is None):
        raise typer.BadParameter("--submit, --name and --manifest belong together", param_hint="bench detect")
    if export not in (None, "onnx"):
        raise BenchError(f"Networks are not exported as '{export}'.", hint="Choose onnx.")
    if warm_start is not None and not (holdout or fixed):
        raise typer.BadParameter(
            "synthesizers are trained with --holdout, or under a protocol of a dataset", param_hint="--warm-start"
        )
    if submit is not None and (tune or export):
        raise typer.BadParameter("--tune and --export are for detectors that are trained", param_hint="bench detect")
    opened = open_workspace(workspace)
    from dancebench.detect.evaluation.aggregation import DEFAULT_RULE, set_options
    from dancebench.detect.inputs.view import parse_view

    looked_at = None if view is None else parse_view(view)
    detectors = list(dict.fromkeys(detector or ["pair-patch"])) if submit is None else []
    rule = aggregator or DEFAULT_RULE
    fields = parse_settings(changes, [*detectors, rule])
    _set_tune(tune, detectors, fields)
    if rule in fields:
        aggregator = rule = set_options(rule, fields.pop(rule))
    count = None if pairs is None else parse_pair_count(pairs)
    if corpora:
        made = _run_on_corpora(
            opened, protocol, train or [], test or [],
            [_Entry(each, preset, aggregator, count, looked_at, fields.get(each, {})) for each in detectors],
            seed=seed, robustness=robustness, device=resolve_device(device_name), jobs=jobs, export=export is not None,
        )  # fmt: skip
        _show_matrix(opened, made, json)
        return
    from dancebench.benchmark.runs.synthesis import open_dataset

    data = open_dataset(opened, dataset or "demo", train_fraction)
    if submit is not None and name is not None:
        from dancebench.benchmark.runs.submission import run_submission

        record = run_submission(opened, data, submit, name, manifest, aggregator=rule, argv=read_argv())
        _show(opened, [record], json, beside_others=True)
        return
    from dancebench.benchmark.presets import RunSettings
    from dancebench.benchmark.runs.detection import DetectionJob, check_names, run_detection
    from dancebench.benchmark.runs.protocol_fakes import FakePlan

    device = resolve_device(device_name)
    settings = RunSettings(seed=seed, precision=resolve_precision("auto", device))
    trained, others = _choose_methods(fixed, method, test_method or [])
    fakes = FakePlan(opened, data, trained, others, preset, settings, device, warm_start)
    planned = [
        DetectionJob(fakes, each, rule, count, robustness, looked_at, fields.get(each, {}), export is not None, fixed)
        for each in detectors
    ]
    check_names(planned)
    with ProgressBars(err) as display:
        detected = run_detection(
            planned, argv=read_argv(), workers=choose_worker_count(jobs, device), report=display.report
        )
    _show(opened, [each.record for each in detected], json)
    if not json:
        for each in detected:
            out.print_lines(f"detector  {each.folder}")
            if each.exported is not None:
                out.print_lines(f"exported  {each.exported}")


def _find_dataset_protocol(workspace: Path, name: str | None) -> Protocol | None:
    """The protocol of that name, if it is of people of a prepared dataset; `table-5` is what `--holdout` runs."""
    if name is None:
        return None
    from dancebench.detect.protocol.catalogue import find_protocol
    from dancebench.detect.protocol.of_dataset import is_of_dataset

    protocol = find_protocol(view_workspace(workspace), name)
    return protocol if is_of_dataset(protocol) else None


def _choose_methods(
    protocol: Protocol | None, method: str | None, test_methods: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """The method that detectors are trained on, and those that they are only tested on.

    Raises:
        BenchError: The protocol fixes them, and others are asked for.
    """
    if protocol is not None:
        from dancebench.detect.protocol.of_dataset import read_methods

        fixed = read_methods(protocol)
        if fixed.trained is not None and fixed.others is not None:
            if method or test_methods:
                raise BenchError(
                    f"Protocol '{protocol.name}' fixes the methods: {', '.join((fixed.trained, *fixed.others))}.",
                    hint="Leave --method and --test-method out.",
                )
            return fixed.trained, fixed.others
    trained = method or "fbf-ts"
    return trained, tuple(other for other in dict.fromkeys(test_methods) if other != trained)


def _set_tune(tune: str | None, detectors: Sequence[str], fields: dict[str, dict[str, Any]]) -> None:
    """Enter what is tuned among the settings of the detectors that have a backbone.

    Raises:
        UnknownNameError: There is no such choice.
        BenchError: No detector of the run has a backbone, or `--set` sets it.
    """
    from dancebench.detect.detectors.base import find_detector_class

    for each, values in fields.items():
        if "tune" in values:
            raise BenchError(f"'{each}.tune' is not set here.", hint="It is set by --tune.")
    if tune is None:
        return
    if tune not in ("head", "norm", "all"):
        raise UnknownNameError("choice of --tune", tune, ("head", "norm", "all"))
    backbones = [each for each in detectors if "tune" in find_detector_class(each).Config.model_fields]
    if not backbones:
        raise BenchError("--tune is for detectors with a timm backbone.", hint="Name one: --detector timm:resnet18.")
    for each in backbones:
        fields.setdefault(each, {})["tune"] = tune


class _Entry(NamedTuple):
    """A detector, and what it is run with."""

    detector: str
    preset: str
    aggregator: str | None
    pairs: int | Literal["all"] | None
    view: ViewRequest | None
    fields: Mapping[str, Any]


def _run_on_corpora(
    workspace: Workspace, protocol: str | None, train: Sequence[str], test: Sequence[str], entries: Sequence[_Entry],
    *, seed: int, robustness: bool, device: str, jobs: int | None, export: bool,
) -> list[MatrixResult]:  # fmt: skip
    """Train and test under a protocol by name, or one that is made of the corpora that were named."""
    from dancebench.benchmark.corpora.matrix import MatrixJob, run_matrix
    from dancebench.detect.protocol.catalogue import find_protocol, list_copies
    from dancebench.detect.protocol.of_corpora import find_copies, make_protocol

    chosen = find_protocol(workspace, protocol) if protocol else make_protocol(workspace, train, test, seed)
    copies = tuple(list_copies(workspace)) if protocol else find_copies(workspace)
    planned = [
        MatrixJob(
            workspace, chosen, copies, each.detector, each.preset,
            seed=seed, device=device, aggregator=each.aggregator, pairs=each.pairs, view=each.view,
            robustness=robustness, fields=each.fields, export=export,
        )
        for each in entries
    ]  # fmt: skip
    with ProgressBars(err) as display:
        return run_matrix(planned, argv=read_argv(), workers=choose_worker_count(jobs, device), report=display.report)


def _show_matrix(workspace: Workspace, results: Sequence[MatrixResult], json: bool) -> None:
    """Rebuild the leaderboards and print the matrix of these results."""
    from dancebench.leaderboards.board import rebuild
    from dancebench.leaderboards.matrix import group_matrices, make_screen_matrices

    rebuild(workspace.results, workspace.leaderboards)
    made = [record for result in results for record in result.records]
    if json:
        print_json([record.model_dump(mode="json") for record in made])
        return
    for table in make_screen_matrices(group_matrices(made)):
        out.print(table)
    for result in results:
        out.print_lines(f"detector  {result.folder}")
        if result.exported is not None:
            out.print_lines(f"exported  {result.exported}")


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
