"""dancebench: a forensics-first benchmark of synthesized videos of people.

The names below are the public face: what a notebook or another tool builds on. They are loaded when they are first
asked for, since torch takes seconds to import. Everything else may move between releases.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dancebench.benchmark.metrics.base import METRICS as METRICS
    from dancebench.benchmark.metrics.image import measure_clips as measure_clips
    from dancebench.datasets.corpora.base import CORPORA as CORPORA
    from dancebench.datasets.importers.base import IMPORTERS as IMPORTERS
    from dancebench.detect.casework.score import score_video as score_video
    from dancebench.detect.detectors.base import DETECTORS as DETECTORS
    from dancebench.detect.evaluation.aggregation import AGGREGATORS as AGGREGATORS
    from dancebench.detect.evaluation.metrics import evaluate as evaluate
    from dancebench.detect.evaluation.score_tables import make_score_tables as make_score_tables
    from dancebench.detect.inputs.video_set import VideoSet as VideoSet
    from dancebench.detect.protocol.card import load_detector as load_detector
    from dancebench.synth.base import METHODS as METHODS

_MODULES = {
    "AGGREGATORS": "dancebench.detect.evaluation.aggregation",
    "CORPORA": "dancebench.datasets.corpora.base",
    "DETECTORS": "dancebench.detect.detectors.base",
    "IMPORTERS": "dancebench.datasets.importers.base",
    "METHODS": "dancebench.synth.base",
    "METRICS": "dancebench.benchmark.metrics.base",
    "VideoSet": "dancebench.detect.inputs.video_set",
    "evaluate": "dancebench.detect.evaluation.metrics",
    "load_detector": "dancebench.detect.protocol.card",
    "make_score_tables": "dancebench.detect.evaluation.score_tables",
    "measure_clips": "dancebench.benchmark.metrics.image",
    "score_video": "dancebench.detect.casework.score",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    """A public name, from the module where it lives."""
    if name not in _MODULES:
        raise AttributeError(f"module 'dancebench' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
