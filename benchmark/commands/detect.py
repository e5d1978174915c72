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
    from dancebench.benchmark.runs.detection import DetectionResult
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
    of_scores = submit is not None
    _refuse_first(
        (
            [holdout, of_scores, corpora, fixed is not None].count(True) != 1,
            "say what to do: --holdout, --train and --test, --protocol or --submit FILE",
            "bench detect",
        ),
        (
            bool(train) != bool(test) or bool(train and protocol),
            "--train and --test belong together, without --protocol",
            "bench detect",
        ),
        (
            of_scores and bool(detector or method or test_method or view or pairs or tune or export or robustness),
            "--detector, --method, --test-method, --view, --pairs, --tune, --export and --robustness are of detectors "
            "that run here, and not of scores",
            "bench detect",
        ),
        (
            corpora and bool(method or test_method or dataset or train_fraction),
            "--method, --test-method, --dataset and --train-fraction have no part in a run on outside corpora",
            None,
        ),
        (
            of_scores != (name is not None) or (manifest is not None and not of_scores),
            "--submit, --name and --manifest belong together",
            "bench detect",
        ),
        (
            warm_start is not None and not (holdout or fixed),
            "synthesizers are trained with --holdout, or under a protocol of a dataset",
            "--warm-start",
        ),
    )
    if export not in (None, "onnx"):
        raise BenchError(f"Networks are not exported as '{export}'.", hint="Choose onnx.")
    opened = open_workspace(workspace)
    if submit is not None and name is not None:
        _rank_scores(opened, dataset, train_fraction, submit, name, manifest, aggregator, changes, json)
        return
    asked = _read_detectors(detector, preset, aggregator, pairs, view, tune, changes)
    machine = _Machine(seed, resolve_device(device_name), jobs)
    if corpora:
        made = _run_on_corpora(
            opened, protocol, train or [], test or [], asked, machine,
            robustness=robustness, export=export is not None,
        )  # fmt: skip
        _show_matrix(opened, made, json)
        return
    detected = _run_on_dataset(
        opened, dataset, train_fraction, _choose_methods(fixed, method, test_method or []), fixed, asked, machine,
        warm_start=warm_start, robustness=robustness, export=export is not None,
    )  # fmt: skip
    _show(opened, [each.record for each in detected], json)
    if not json:
        _print_outputs(detected)


def _refuse_first(*cases: tuple[bool, str, str | None]) -> None:
    """Refuse by the first case that holds: (whether it does, what to say, the option that is meant)."""
    for holds, message, option in cases:
        if holds:
            raise typer.BadParameter(message, param_hint=option)


class _Asked(NamedTuple):
    """The detectors that were asked for, and what they are run with.

    Attributes:
        rule: The rule that turns pair logits into a video's score; None: the default one.
        fields: By detector: fields of its configuration.
    """

    detectors: list[str]
    preset: str
    rule: str | None
    pairs: int | Literal["all"] | None
    view: ViewRequest | None
    fields: Mapping[str, Mapping[str, Any]]


class _Machine(NamedTuple):
    """What the computing is done with, and from which seed."""

    seed: int
    device: str
    jobs: int | None


def _read_detectors(
    detector: Sequence[str] | None,
    preset: str,
    aggregator: str | None,
    pairs: str | None,
    view: str | None,
    tune: str | None,
    changes: Sequence[str] | None,
) -> _Asked:
    """What the options say of detectors.

    Raises:
        BenchError: A view, a number of pairs, a setting or `--tune` is refused.
    """
    from dancebench.detect.inputs.view import parse_view

    looked_at = None if view is None else parse_view(view)
    detectors = list(dict.fromkeys(detector or ["pair-patch"]))
    rule, fields = _read_rule(aggregator, changes, detectors)
    _set_tune(tune, detectors, fields)
    return _Asked(detectors, preset, rule, None if pairs is None else parse_pair_count(pairs), looked_at, fields)


def _read_rule(
    aggregator: str | None, changes: Sequence[str] | None, detectors: Sequence[str]
) -> tuple[str | None, dict[str, dict[str, Any]]]:
    """The rule with its options, None if none was asked for, and the other settings, by detector.

    Raises:
        BenchError: A setting is refused.
    """
    from dancebench.detect.evaluation.aggregation import DEFAULT_RULE, set_options

    rule = aggregator or DEFAULT_RULE
    fields = parse_settings(changes, [*detectors, rule])
    options = fields.pop(rule, None)
    return aggregator if options is None else set_options(rule, options), fields


def _rank_scores(
    opened: Workspace,
    dataset: str | None,
    train_fraction: float | None,
    scores: Path,
    name: str,
    manifest: Path | None,
    aggregator: str | None,
    changes: Sequence[str] | None,
    json: bool,
) -> None:
    """Validate another system's scores, and print the table in which they stand."""
    from dancebench.benchmark.runs.submission import run_submission
    from dancebench.benchmark.runs.synthesis import open_dataset
    from dancebench.detect.evaluation.aggregation import DEFAULT_RULE

    rule, _ = _read_rule(aggregator, changes, [])
    data = open_dataset(opened, dataset or "demo", train_fraction)
    record = run_submission(opened, data, scores, name, manifest, aggregator=rule or DEFAULT_RULE, argv=read_argv())
    _show(opened, [record], json, beside_others=True)


def _run_on_dataset(
    opened: Workspace,
    dataset: str | None,
    train_fraction: float | None,
    methods: tuple[str, tuple[str, ...]],
    protocol: Protocol | None,
    asked: _Asked,
    machine: _Machine,
    *,
    warm_start: str | None,
    robustness: bool,
    export: bool,
) -> list[DetectionResult]:
    """Train on the people of a dataset, and evaluate on others of it.

    Args:
        opened: The workspace.
        dataset: The name of the dataset; None: demo.
        train_fraction: As for `open_dataset`.
        methods: The one whose fakes train, and those that are only tested on.
        protocol: Of a dataset; None: the one that `--holdout` runs.
        asked: The detectors.
        machine: What computes.
        warm_start: As for `FakePlan`.
        robustness: Whether perturbed copies are scored too.
        export: Whether each network is also written as ONNX.
    """
    from dancebench.benchmark.presets import RunSettings
    from dancebench.benchmark.runs.detection import DetectionJob, check_names, run_detection
    from dancebench.benchmark.runs.protocol_fakes import FakePlan
    from dancebench.benchmark.runs.synthesis import open_dataset
    from dancebench.detect.evaluation.aggregation import DEFAULT_RULE

    data = open_dataset(opened, dataset or "demo", train_fraction)
    settings = RunSettings(seed=machine.seed, precision=resolve_precision("auto", machine.device))
    fakes = FakePlan(opened, data, *methods, asked.preset, settings, machine.device, warm_start)
    rule = asked.rule or DEFAULT_RULE
    planned = [
        DetectionJob(
            fakes, each, rule, asked.pairs, robustness, asked.view, asked.fields.get(each, {}), export, protocol
        )
        for each in asked.detectors
    ]
    check_names(planned)
    workers = choose_worker_count(machine.jobs, machine.device)
    with ProgressBars(err) as display:
        return run_detection(planned, argv=read_argv(), workers=workers, report=display.report)


def _print_outputs(results: Sequence[DetectionResult | MatrixResult]) -> None:
    """Print where each detector lies, and its exported network."""
    for result in results:
        out.print_lines(f"detector  {result.folder}")
        if result.exported is not None:
            out.print_lines(f"exported  {result.exported}")


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


def _run_on_corpora(
    workspace: Workspace,
    protocol: str | None,
    train: Sequence[str],
    test: Sequence[str],
    asked: _Asked,
    machine: _Machine,
    *,
    robustness: bool,
    export: bool,
) -> list[MatrixResult]:
    """Train and test under a protocol by name, or one that is made of the corpora that were named."""
    from dancebench.benchmark.corpora.matrix import MatrixJob, run_matrix
    from dancebench.detect.protocol.catalogue import find_protocol, list_copies
    from dancebench.detect.protocol.of_corpora import find_copies, make_protocol

    chosen = find_protocol(workspace, protocol) if protocol else make_protocol(workspace, train, test, machine.seed)
    copies = tuple(list_copies(workspace)) if protocol else find_copies(workspace)
    planned = [
        MatrixJob(
            workspace, chosen, copies, each, asked.preset,
            seed=machine.seed, device=machine.device, aggregator=asked.rule, pairs=asked.pairs, view=asked.view,
            robustness=robustness, fields=asked.fields.get(each, {}), export=export,
        )
        for each in asked.detectors
    ]  # fmt: skip
    workers = choose_worker_count(machine.jobs, machine.device)
    with ProgressBars(err) as display:
        return run_matrix(planned, argv=read_argv(), workers=workers, report=display.report)


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
    _print_outputs(results)


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
