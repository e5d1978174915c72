"""`bench list`: what there is to choose from, and where each comes from, as plain rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DatasetOption,
    JsonOption,
    WorkspaceOption,
    view_workspace,
)  # fmt: skip
from dancebench.benchmark.console import out, print_json

if TYPE_CHECKING:
    from dancebench.benchmark.presets import Preset
    from dancebench.core.registry import Registry
    from dancebench.core.workspace import Workspace
    from dancebench.detect.detectors.base import DetectorConfig
    from dancebench.detect.protocol.definition import Protocol
    from dancebench.synth.clip import TrainingClip

_SHOWN_OF_PROTOCOLS = ("protocol", "what", "can_run", "why_not", "from")
_SHOWN_OF_PRESETS = ("preset", "purpose", "long_side", "trunk")

app = typer.Typer(
    help="List methods, detectors, metrics, aggregators, layouts, corpora, protocols, extractors, presets or subjects.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(epilog="Example: bench list methods --json")
def methods(json: JsonOption = False) -> None:
    """Synthesis methods: where each comes from, the paper's section, the parameters per preset.

    With --json those of each network.
    """
    rows = list_methods()
    _show(rows if json else [{**row, "parameters": _add_up(row["parameters"])} for row in rows], json)


@app.command(epilog="Example: bench list detectors")
def detectors(json: JsonOption = False) -> None:
    """Detectors, and where each comes from."""
    _show(list_detectors(), json)


@app.command(epilog="Example: bench list extractors")
def extractors(json: JsonOption = False) -> None:
    """Pose extractors: which can run here, which is the default, and where each comes from."""
    _show(list_extractors(), json)


@app.command(epilog="Example: bench list presets --json")
def presets(json: JsonOption = False) -> None:
    """Presets: the larger side of the frames and the trunk of the perceptual loss; with --json all that they set."""
    _show(list_presets(), json, _SHOWN_OF_PRESETS)


@app.command(epilog="Example: bench list metrics")
def metrics(json: JsonOption = False) -> None:
    """Metrics of fakes: unit, direction of better, and where each comes from."""
    _show(list_metrics(), json)


@app.command(epilog="Example: bench list aggregators")
def aggregators(json: JsonOption = False) -> None:
    """Rules from a video's pair logits to its score: their options, and where each comes from."""
    _show(list_aggregators(), json)


@app.command(epilog="Example: bench list layouts")
def layouts(json: JsonOption = False) -> None:
    """Layouts that bench data import reads, and where each importer comes from."""
    _show(list_layouts(), json)


@app.command(epilog="Example: bench list corpora --json")
def corpora(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """Layouts of outside corpora that bench data corpus reads: their terms, and which were read into the workspace."""
    _show(list_corpora(view_workspace(workspace)), json)


@app.command(epilog="Example: bench list protocols")
def protocols(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """Protocols: which can run with the corpora of this workspace, and what keeps the others from it."""
    _show(list_protocols(view_workspace(workspace)), json, _SHOWN_OF_PROTOCOLS)


@app.command(epilog="Example: bench list subjects --dataset demo")
def subjects(
    dataset: DatasetOption = "demo", workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False
) -> None:
    """Subjects of a dataset, with their roles."""
    _show(list_subjects(view_workspace(workspace), dataset), json)


# ---------------------------------------------------------------- rows


def list_methods() -> list[dict[str, Any]]:
    """Name, section of the paper, parameters of each network per preset, and where it comes from."""
    from dancebench.synth.base import METHODS

    return [_describe_method(name) for name in METHODS.names()]


def _describe_method(name: str) -> dict[str, Any]:
    from dancebench.benchmark.presets import PRESETS
    from dancebench.core.registry import BUILT_IN
    from dancebench.synth.base import METHODS

    unusable = _explain_unusable(METHODS, name)
    parameters: dict[str, dict[str, int]] | None = None
    if unusable is None:
        try:
            parameters = {preset.name: _count_parameters(name, preset) for preset in PRESETS.values()}
        except Exception as error:  # a plug-in's code may raise anything
            if METHODS.source(name) == BUILT_IN:
                raise
            unusable = f"its networks cannot be built: {type(error).__name__}: {error}"
    return {
        "method": name,
        "section": unusable or METHODS[name].section,
        "parameters": parameters,
        "from": METHODS.source(name),
    }


def _add_up(parameters: dict[str, dict[str, int]] | None) -> dict[str, str] | None:
    """The parameters of all networks, by preset, with separators."""
    if parameters is None:
        return None
    return {preset: f"{sum(networks.values()):,}" for preset, networks in parameters.items()}


def _explain_unusable(registry: Registry[Any], name: str) -> str | None:
    missing = registry.list_missing(name)
    return f"cannot be used: it lacks {', '.join(missing)}" if missing else None


def _count_parameters(method: str, preset: Preset) -> dict[str, int]:
    """Count the parameters of each network, built on the meta device, without weights."""
    import torch

    from dancebench.synth.base import METHODS, LearnedMethod

    method_class = METHODS[method]
    if not issubclass(method_class, LearnedMethod):
        return {}
    with torch.device("meta"):
        built = method_class(preset.config(method), _make_empty_clip(), torch.device("meta"))
        phases = {name: built.start_phase(name, None).networks() for name in built.list_phases()}
    found = {} if method_class.base is None else _count_parameters(method_class.base, preset)
    return found | {
        f"{phase} {name}": sum(weight.numel() for weight in network.parameters())
        for phase, networks in phases.items()
        for name, network in networks.items()
    }


def _make_empty_clip() -> TrainingClip:
    """A clip without frames: the networks are built but never run."""
    import numpy as np

    from dancebench.datasets.subjects.masks import PersonMasks
    from dancebench.synth.clip import CachedFrames, SpanMasks, TrainingClip

    nothing = CachedFrames(lambda _: np.zeros((0, 0, 0, 3), np.uint8), 0, cached=False)
    points, size = np.zeros((0, 75, 3), np.float32), (0, 0)
    masks = SpanMasks(lambda _: PersonMasks(np.zeros((0, 0, 0), np.uint8)), range(0), size)
    return TrainingClip(
        nothing, nothing, points, points[:, 0, :2], np.zeros(0, bool), size, masks, lambda _: _make_empty_clip()
    )


def list_detectors() -> list[dict[str, Any]]:
    """Name (of a family with what names its member), description, default settings, where it comes from."""
    from dancebench.detect.detectors.base import DETECTORS
    from dancebench.detect.detectors.foreign.python_factory import FactoryDetector

    rows = []
    for name in DETECTORS.names():
        unusable = _explain_unusable(DETECTORS, name)
        family = not unusable and DETECTORS[name].VARIANT is not None
        rows.append(
            {
                "detector": f"{name}:{'NAME' if DETECTORS[name].LEARNS else 'FILE'}" if family else name,
                "what": unusable or _summarise(DETECTORS[name]),
                "defaults": {} if unusable or not DETECTORS[name].LEARNS else _list_defaults(DETECTORS[name].Config),
                "from": DETECTORS.source(name),
            }
        )
    own = {"detector": "MODULE:FACTORY", "what": _summarise(FactoryDetector), "defaults": {}, "from": "your own code"}
    return [*rows, own]


def _list_defaults(config: type[DetectorConfig]) -> dict[str, Any]:
    """Default settings; a family's member has no default and is left out."""
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in config.model_fields.items()
        if not field.is_required()
    }


def _summarise(entry: object) -> str:
    """The first line of a docstring."""
    return (entry.__doc__ or "").strip().partition("\n")[0]


def list_metrics() -> list[dict[str, Any]]:
    """Full name, unit, direction (None where neither is better), and where it comes from."""
    from dancebench.benchmark.metrics.base import METRICS

    return [
        {
            "metric": name,
            "unit": METRICS[name].info.unit,
            "higher_is_better": METRICS[name].info.higher_is_better,
            "from": METRICS.source(name),
        }
        for name in METRICS.names()
    ]


def list_aggregators() -> list[dict[str, Any]]:
    """Name, description, options with their defaults, and where it comes from."""
    from dancebench.detect.evaluation.aggregation import AGGREGATORS, list_options

    rows = []
    for name in AGGREGATORS.names():
        unusable = _explain_unusable(AGGREGATORS, name)
        options = {} if unusable else {key: option.default for key, option in list_options(name).items()}
        what = unusable or _summarise(AGGREGATORS[name])
        rows.append({"aggregator": name, "what": what, "options": options, "from": AGGREGATORS.source(name)})
    return rows


def list_layouts() -> list[dict[str, Any]]:
    """Name, description, and where its importer comes from."""
    from dancebench.datasets.importers.base import IMPORTERS

    return [
        {
            "layout": name,
            "what": _explain_unusable(IMPORTERS, name) or _summarise(IMPORTERS[name]),
            "from": IMPORTERS.source(name),
        }
        for name in IMPORTERS.names()
    ]


def list_corpora(workspace: Workspace) -> list[dict[str, Any]]:
    """Name, description and licence of each layout, the corpora of the workspace that have it, where it comes from."""
    from dancebench.datasets.corpora.base import CORPORA
    from dancebench.datasets.corpora.record import CorpusRecord

    here = workspace.list_corpora()
    records = {name: CorpusRecord.load_if_usable(workspace.corpus(name) / "corpus.json") for name in here}
    rows = []
    for name in CORPORA.names():
        unusable = _explain_unusable(CORPORA, name)
        rows.append(
            {
                "corpus": name,
                "what": unusable or _summarise(CORPORA[name]),
                "licence": None if unusable else CORPORA[name].terms.licence,
                "here": [known for known, record in records.items() if record is not None and record.layout == name],
                "from": CORPORA.source(name),
            }
        )
    return rows


def list_protocols(workspace: Workspace) -> list[dict[str, Any]]:
    """Name, title, whether it can run here, why not, its corpora, how it measures, hash, and where it comes from."""
    from dancebench.detect.protocol import catalogue

    return [
        {
            "protocol": listed.name,
            "what": None if listed.protocol is None else listed.protocol.title,
            "can_run": not listed.obstacles,
            "why_not": "; ".join(listed.obstacles) or None,
            **(dict.fromkeys(_OF_A_PROTOCOL) if listed.protocol is None else _describe_protocol(listed.protocol)),
            "from": listed.source,
        }
        for listed in catalogue.list_protocols(workspace)
    ]


_OF_A_PROTOCOL = ("corpora", "folds", "windows", "view", "aggregation", "leading_metric", "sha256")


def _describe_protocol(protocol: Protocol) -> dict[str, Any]:
    corpora, folds = sorted({part.label for _, part in protocol.parts()}), list(protocol.folds)
    measured = (protocol.windows, protocol.view, protocol.aggregation, protocol.leading_metric)
    return dict(zip(_OF_A_PROTOCOL, (corpora, folds, *measured, protocol.sha256), strict=True))


def list_extractors() -> list[dict[str, Any]]:
    """Name, whether it runs here, what it is, which is the default, and where it comes from."""
    from dancebench.datasets.pose.extractors.base import EXTRACTORS, find_default_extractor

    default = find_default_extractor()
    rows = []
    for name in EXTRACTORS.names():
        reason = _explain_unusable(EXTRACTORS, name) or EXTRACTORS[name].explain_absence()
        what = f"cannot run here: {reason}" if reason else EXTRACTORS[name].describe()
        rows.append({"extractor": name, "default": name == default, "what": what, "from": EXTRACTORS.source(name)})
    return rows


def list_presets() -> list[dict[str, Any]]:
    """Name, purpose, and the settings of each method."""
    from dancebench.benchmark.presets import PRESETS
    from dancebench.synth.base import METHODS

    usable = METHODS.entries()
    return [
        {
            "preset": preset.name,
            "purpose": preset.purpose,
            "long_side": preset.long_side,
            "trunk": preset.trunk,
            "synth": {method: preset.config(method).model_dump() for method in usable},
        }
        for preset in PRESETS.values()
    ]


def list_subjects(workspace: Workspace, dataset: str) -> list[dict[str, Any]]:
    """Id, role, and whether the clip has been made."""
    from dancebench.benchmark.runs.synthesis import view_dataset

    data = view_dataset(workspace, dataset)
    return [
        {"subject": entry.id, "role": entry.role, "prepared": data.is_prepared(entry.id)}
        for entry in data.record.subjects
    ]


# ---------------------------------------------------------------- showing them


def _show(facts: Sequence[dict[str, Any]], as_json: bool, columns: Sequence[str] | None = None) -> None:
    """Print all facts as JSON, or these columns of them as a table; None: every column."""
    if as_json:
        print_json(list(facts))
        return
    table = Table(*(columns or (facts[0] if facts else ())))
    for column in table.columns:
        column.no_wrap = column.header in (table.columns[0].header, "from")  # a name that is cut cannot be typed
    for row in facts:
        table.add_row(*(_cell(row[str(column.header)]) for column in table.columns))
    out.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_cell(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return "" if value is None else str(value)
