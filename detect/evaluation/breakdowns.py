"""Where a detector's figures come from: score tables in; the same measures per motion, method and rule out.

Names carry the condition behind an @: `pair_accuracy@source=driver03`, `video_auc@method=fbf`,
`video_auc@rule=product`. A condition keeps all reals, and of the fakes those that meet it.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from dancebench.core.metric import Metric
from dancebench.detect.evaluation.aggregation import LEARNED, RULES, LearnedRule, measure_length_sensitivity
from dancebench.detect.evaluation.metrics import Thresholds, evaluate
from dancebench.detect.evaluation.score_tables import ScoreTables

SAME = "same"
"""The source of a fake that its own person's held-out motion drives."""
_SHOWN = ("auc", "accuracy")


def select_methods(tables: ScoreTables, methods: Collection[str]) -> ScoreTables:
    """The reals, and the fakes of these methods."""
    videos = tables.videos
    return tables.select((videos["label"] == 0) | videos["method"].isin(list(methods)))


def break_down_by_source(tables: ScoreTables, thresholds: Thresholds | None) -> dict[str, Metric]:
    """AUC and accuracy per source motion, as in Table 5 of Everybody Dance Now."""
    videos = tables.videos
    sources = videos["source_id"].where(videos["source_id"] != videos["subject_id"], SAME)
    return _break_down(tables, thresholds, "source", sources)


def break_down_by_method(tables: ScoreTables, thresholds: Thresholds | None) -> dict[str, Metric]:
    """AUC and accuracy per synthesis method, of fakes in their own person's motion, so that the methods compare."""
    videos = tables.videos
    own = tables.select((videos["label"] == 0) | (videos["source_id"] == videos["subject_id"]))
    return _break_down(own, thresholds, "method", own.videos["method"])


def break_down_by_rule(tables: ScoreTables, learned: LearnedRule | None) -> dict[str, Metric]:
    """AUC of the videos under every rule of aggregation, and how it depends on their length.

    Thresholds belong to one rule alone, so there is no accuracy.
    """
    rules: dict[str, str | LearnedRule | None] = {**{name: name for name in RULES}, LEARNED: learned}
    metrics: dict[str, Metric] = {}
    for name, rule in rules.items():
        if rule is not None:
            found = measure_length_sensitivity(tables.pairs, tables.scored, rule)
            metrics |= {
                f"video_auc@rule={name}": found.auc,
                f"length_shift@rule={name}": found.shift,
                f"length_auc_fakes@rule={name}": found.auc_short_fakes,
                f"length_auc_reals@rule={name}": found.auc_short_reals,
            }
    return metrics


def _break_down(
    tables: ScoreTables, thresholds: Thresholds | None, condition: str, values: pd.Series
) -> dict[str, Metric]:
    real = tables.videos["label"] == 0
    return {
        f"{name}@{condition}={value}": metric
        for value in sorted(set(values[~real]), key=lambda value: (value != SAME, value))
        for name, metric in evaluate(tables.select(real | (values == value)), thresholds, _SHOWN).items()
    }
