"""Breakdowns of a detector's metrics: score tables in; the same metrics per source, method and aggregation rule out.

The condition follows an @ in a metric's name: `pair_accuracy@source=driver03`, `video_auc@method=fbf`,
`video_auc@rule=product`. A condition keeps all reals, and the fakes that meet it.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from dancebench.core.metric import Metric, MetricKey
from dancebench.detect.evaluation.aggregation import AGGREGATORS, LearnedRule, find_rule, needs_fitting
from dancebench.detect.evaluation.length_sensitivity import measure_length_sensitivity
from dancebench.detect.evaluation.metrics import Thresholds, evaluate
from dancebench.detect.evaluation.score_tables import ScoreTables

SAME = "same"
"""Name of the source of fakes that are driven by their own person's held-out motion."""
_SHOWN = ("auc", "accuracy")


def select_methods(tables: ScoreTables, methods: Collection[str]) -> ScoreTables:
    """Select the reals, and the fakes of these methods."""
    videos = tables.videos
    return tables.select((videos["label"] == 0) | videos["method"].isin(list(methods)))


def break_down_by_source(tables: ScoreTables, thresholds: Thresholds | None) -> dict[str, Metric]:
    """Measure AUC and accuracy per source motion, as in Table 5 of Everybody Dance Now."""
    videos = tables.videos
    sources = videos["source_id"].where(videos["source_id"] != videos["subject_id"], SAME)
    return _break_down(tables, thresholds, "source", sources)


def break_down_by_method(tables: ScoreTables, thresholds: Thresholds | None) -> dict[str, Metric]:
    """Measure AUC and accuracy per synthesis method, comparable since only fakes in their own person's motion count."""
    videos = tables.videos
    self_driven = tables.select((videos["label"] == 0) | (videos["source_id"] == videos["subject_id"]))
    return _break_down(self_driven, thresholds, "method", self_driven.videos["method"])


def break_down_by_rule(tables: ScoreTables, learned: LearnedRule | None) -> dict[str, Metric]:
    """Measure the AUC of the videos under every aggregation rule, and how it depends on their length.

    Thresholds are chosen for one rule only, so there is no accuracy.
    """
    metrics: dict[str, Metric] = {}
    for name in AGGREGATORS.entries():
        if learned is not None or not needs_fitting(name):
            sensitivity = measure_length_sensitivity(tables.pairs, tables.scored, find_rule(name, learned))
            measured = {
                MetricKey("auc", "video"): sensitivity.auc,
                MetricKey("length_shift"): sensitivity.shift,
                MetricKey("length_auc_fakes"): sensitivity.auc_short_fakes,
                MetricKey("length_auc_reals"): sensitivity.auc_short_reals,
            }
            metrics |= {str(key.under("rule", name)): metric for key, metric in measured.items()}
    return metrics


def _break_down(
    tables: ScoreTables, thresholds: Thresholds | None, condition: str, values: pd.Series
) -> dict[str, Metric]:
    real = tables.videos["label"] == 0
    return {
        str(MetricKey.parse(name).under(condition, value)): metric
        for value in sorted(set(values[~real]), key=lambda value: (value != SAME, value))
        for name, metric in evaluate(tables.select(real | (values == value)), thresholds, _SHOWN).items()
    }
