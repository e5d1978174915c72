"""What the suite offers, as plain rows: methods, detectors, presets, metrics, subjects."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dancebench.benchmark.metrics.image import METRICS
from dancebench.benchmark.metrics.regions import REGIONS
from dancebench.benchmark.presets import PRESETS, Preset
from dancebench.benchmark.synthesis import open_dataset
from dancebench.core.workspace import Workspace
from dancebench.detect.registry import DETECTORS
from dancebench.synth.clip import TrainingClip
from dancebench.synth.method import METHODS, LearnedMethod


def method_facts() -> list[dict[str, Any]]:
    """Name, section of the paper, parameters of each network per preset."""
    return [
        {
            "method": name,
            "section": METHODS[name].section,
            "parameters": {preset.name: _parameters(name, preset) for preset in PRESETS.values()},
        }
        for name in METHODS.names()
    ]


def _parameters(method: str, preset: Preset) -> dict[str, int]:
    """Counted on networks that are laid out but hold no numbers."""
    make = METHODS[method]
    if not issubclass(make, LearnedMethod):
        return {}
    picture = np.zeros((0, 0, 0, 3), np.uint8)
    clip = TrainingClip(picture, picture, np.zeros((0, 75, 3), np.float32), (0, 0))
    with torch.device("meta"):
        built = make(preset.synth, clip, torch.device("meta"))
        built.begin_training(None)
    return {name: sum(weight.numel() for weight in network.parameters()) for name, network in built.networks().items()}


def detector_facts() -> list[dict[str, Any]]:
    """Name, what it is, and its settings with their defaults."""
    return [
        {
            "detector": name,
            "what": (DETECTORS[name].__doc__ or "").strip().splitlines()[0],
            "defaults": DETECTORS[name].Config().model_dump(),
        }
        for name in DETECTORS.names()
    ]


def preset_facts() -> list[dict[str, Any]]:
    """Name, purpose and settings."""
    return [
        {"preset": preset.name, "purpose": preset.purpose, "synth": preset.synth.model_dump()}
        for preset in PRESETS.values()
    ]


def metric_facts() -> list[dict[str, Any]]:
    """Name per region, unit, direction."""
    return [
        {
            "metric": f"{region}_{name}",
            "unit": info.unit,
            "higher_is_better": info.higher_is_better,
        }
        for region in REGIONS
        for name, info in METRICS.items()
    ]


def subject_facts(workspace: Workspace, dataset: str) -> list[dict[str, Any]]:
    """Id, role, and whether the clip has been made."""
    held = open_dataset(workspace, dataset)
    return [
        {"subject": entry.id, "role": entry.role, "prepared": held.is_prepared(entry.id)}
        for entry in held.record.subjects
    ]
