"""How much the score of a video depends on its length, under a rule of aggregation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from dancebench.core.metric import Metric
from dancebench.core.schema import Strict
from dancebench.core.stats.inference import jackknife_interval
from dancebench.detect.evaluation.aggregation import Array, LearnedRule, Rule, resolve_rule
from dancebench.detect.inputs.pairs import choose_pair_starts


class LengthSensitivity(Strict):
    """How a rule's scores depend on the length of the videos: pairs are cut to an evenly placed quarter."""

    shift: Metric
    """How far a video's score moves when it is cut, as a share of the gap between reals and fakes."""
    auc: Metric
    """AUC of the videos at full length."""
    auc_short_fakes: Metric
    """AUC when only the fakes are cut."""
    auc_short_reals: Metric
    """AUC when only the reals are cut."""

    def metrics(self) -> dict[str, Metric]:
        """By name: `length_shift`, `length_auc`, `length_auc_short_fakes`, `length_auc_short_reals`."""
        return {f"length_{name}": getattr(self, name) for name in type(self).model_fields}


def measure_length_sensitivity(
    pairs: pd.DataFrame, videos: pd.DataFrame, rule: Rule | LearnedRule | str
) -> LengthSensitivity:
    """Score each video from all of its pairs and from an evenly placed quarter of them (one at least).

    Args:
        pairs: video_id, t, logit.
        videos: video_id, label, subject_id; those without a pair are left out.
        rule: As for `aggregate`, or what `find_rule` returned.

    Returns:
        Metrics that are null with their reason if all videos are of one kind, or the gap is zero.

    Raises:
        UnknownNameError: There is no such rule.
        BenchError: As `aggregate`.
    """
    chosen = resolve_rule(rule)
    ordered = pairs.sort_values(["video_id", "t"], kind="stable")
    logits = {str(video): part.to_numpy(np.float64) for video, part in ordered.groupby("video_id")["logit"]}
    scored = videos[videos["video_id"].isin(logits.keys())]
    labels, people = scored["label"].to_numpy(np.int64), [str(subject) for subject in scored["subject_id"]]
    series = [logits[str(video)] for video in scored["video_id"]]
    full = np.array([chosen(values) for values in series])  # (V,)
    cut = np.array([chosen(values[choose_pair_starts(len(values), max(len(values) // 4, 1), 1)]) for values in series])
    return LengthSensitivity(
        shift=_make_shift_metric(labels, full, cut),
        auc=_make_auc_metric(labels, full, people, "at full length"),
        auc_short_fakes=_make_auc_metric(labels, np.where(labels == 1, cut, full), people, "fakes cut to a quarter"),
        auc_short_reals=_make_auc_metric(labels, np.where(labels == 0, cut, full), people, "reals cut to a quarter"),
    )


_ONE_KIND = "all scored videos are of one kind"


def _make_shift_metric(labels: npt.NDArray[np.int64], full: Array, cut: Array) -> Metric:
    value, reason = None, _ONE_KIND
    if len(np.unique(labels)) == 2:
        gap = abs(float(np.median(full[labels == 1]) - np.median(full[labels == 0])))
        value = float(np.median(np.abs(cut - full))) / gap if gap > 0 else None
        reason = "reals and fakes have the same median score"
    return Metric(
        value=value,
        reason=reason if value is None else None,
        n=len(labels),
        unit="median shift of a video's score when cut to a quarter, share of the real-fake gap of medians",
        higher_is_better=False,
    )


def _make_auc_metric(labels: npt.NDArray[np.int64], scores: Array, people: Sequence[str], length: str) -> Metric:
    def compute_auc(chosen: npt.NDArray[np.intp]) -> float:
        both = len(np.unique(labels[chosen])) == 2
        return float(roc_auc_score(labels[chosen], scores[chosen])) if both else float("nan")

    value = compute_auc(np.arange(len(labels)))
    defined = math.isfinite(value)
    return Metric(
        value=value if defined else None,
        reason=None if defined else _ONE_KIND,
        ci95=jackknife_interval(compute_auc, people) if defined else None,
        n=len(labels),
        unit=f"AUC over videos in [0, 1], chance 0.5, {length}",
        higher_is_better=True,
    )
