"""What the suite offers, as plain rows: methods, detectors, presets, metrics, subjects."""

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
    """Counted on networks that are laid out but hold no numbers."""
    make = METHODS[method]
    if not issubclass(make, LearnedMethod):
        return {}
    with torch.device("meta"):
        built = make(preset.config(method), _make_empty_clip(), torch.device("meta"))
        phases = {name: built.start_phase(name, None).networks() for name in built.list_phases()}
    found = {} if make.base is None else _count_parameters(make.base, preset)
    return found | {
        f"{phase} {name}": sum(weight.numel() for weight in network.parameters())
        for phase, networks in phases.items()
        for name, network in networks.items()
    }


def _make_empty_clip() -> TrainingClip:
    """A clip without frames: networks are laid out, never run."""
    nothing = CachedFrames(lambda _: np.zeros((0, 0, 0, 3), np.uint8), 0, cached=False)
    points = np.zeros((0, 75, 3), np.float32)
    return TrainingClip(
        nothing, nothing, points, points[:, 0, :2], np.zeros(0, bool), (0, 0), lambda _: _make_empty_clip()
    )


def list_detectors() -> list[dict[str, Any]]:
    """Name (of a family with a place for its member's), what it is, and its settings with their defaults."""
    return [
        {
            "detector": name if DETECTORS[name].VARIANT is None else f"{name}:NAME",
            "what": (DETECTORS[name].__doc__ or "").strip().splitlines()[0],
            "defaults": _list_defaults(DETECTORS[name].Config),
        }
        for name in DETECTORS.names()
    ]


def _list_defaults(config: type[DetectorConfig]) -> dict[str, Any]:
    """Without what has none: the member of a family."""
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
            "synth": {type(each).__name__: each.model_dump() for each in preset.synth},
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
    held = open_dataset(workspace, dataset)
    return [
        {"subject": entry.id, "role": entry.role, "prepared": held.is_prepared(entry.id)}
        for entry in held.record.subjects
    ]
