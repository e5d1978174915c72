"""What the benchmark offers, as plain rows: methods, detectors, presets, metrics, subjects."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dancebench.benchmark.metrics.base import METRICS
from dancebench.benchmark.presets import PRESETS, Preset
from dancebench.benchmark.runs.synthesis import open_dataset
from dancebench.core.workspace import Workspace
from dancebench.detect.detectors.base import DETECTORS, DetectorConfig
from dancebench.synth.base import METHODS, LearnedMethod
from dancebench.synth.clip import CachedFrames, TrainingClip


def list_methods() -> list[dict[str, Any]]:
    """Name, section of the paper, parameters of each network per preset."""
    return [
        {
            "method": name,
            "section": METHODS[name].section,
            "parameters": {preset.name: _count_parameters(name, preset) for preset in PRESETS.values()},
        }
        for name in METHODS.names()
    ]


def _count_parameters(method: str, preset: Preset) -> dict[str, int]:
    """Count the parameters of each network, built on the meta device, without weights."""
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
    nothing = CachedFrames(lambda _: np.zeros((0, 0, 0, 3), np.uint8), 0, cached=False)
    points = np.zeros((0, 75, 3), np.float32)
    return TrainingClip(
        nothing, nothing, points, points[:, 0, :2], np.zeros(0, bool), (0, 0), lambda _: _make_empty_clip()
    )


def list_detectors() -> list[dict[str, Any]]:
    """Name (of a family with NAME in place of its member), description, and default settings."""
    return [
        {
            "detector": name if DETECTORS[name].VARIANT is None else f"{name}:NAME",
            "what": (DETECTORS[name].__doc__ or "").strip().splitlines()[0],
            "defaults": _list_defaults(DETECTORS[name].Config),
        }
        for name in DETECTORS.names()
    ]


def _list_defaults(config: type[DetectorConfig]) -> dict[str, Any]:
    """Default settings; a family's member has no default and is left out."""
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in config.model_fields.items()
        if not field.is_required()
    }


def list_presets() -> list[dict[str, Any]]:
    """Name, purpose and settings."""
    return [
        {
            "preset": preset.name,
            "purpose": preset.purpose,
            "synth": {type(config).__name__: config.model_dump() for config in preset.synth},
        }
        for preset in PRESETS.values()
    ]


def list_metrics() -> list[dict[str, Any]]:
    """Full name, unit, direction; None where neither direction is better."""
    return [
        {"metric": name, "unit": info.unit, "higher_is_better": info.higher_is_better} for name, info in METRICS.items()
    ]


def list_subjects(workspace: Workspace, dataset: str) -> list[dict[str, Any]]:
    """Id, role, and whether the clip has been made."""
    data = open_dataset(workspace, dataset)
    return [
        {"subject": entry.id, "role": entry.role, "prepared": data.is_prepared(entry.id)}
        for entry in data.record.subjects
    ]
