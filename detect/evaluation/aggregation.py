"""Aggregation of a video's pair logits to one score, and how much the score depends on the video's length.

`mean-logit` (the default) is the mean log-odds: videos of different lengths are comparable. `product` is the rule
of Everybody Dance Now (section 5): multiply the pairs' probabilities for fake and for real. Their ratio is
taken in log space, where it is the sum of the log-odds: as a product of float32 probabilities it is 0 for
both after some fifty pairs, and ties destroy the ROC. Its ranking depends on the number of pairs.
`mean-prob` is the log-odds of the mean probability, `median` the median log-odds, `top-k` the mean of the
highest quarter (so that a fake with few suspicious pairs is found), and `learned` a weighted sum of the mean and
some quantiles, fitted on the validation set.

All are scores on the scale of log-odds; higher = more likely fake. None depends on the order of the pairs,
all are non-decreasing in every logit, and only `product` depends on the number of pairs.
A new rule is a function and its line in `_FIXED`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.optimize
from pydantic import Field
from scipy.special import expit, log_expit, logsumexp
from sklearn.metrics import roc_auc_score

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.metric import Metric
from dancebench.core.schema import Strict
from dancebench.core.stats import jackknife_interval
from dancebench.detect.evaluation.calibration import balance_weights, smooth_targets
from dancebench.detect.inputs.pairs import choose_pair_starts

DEFAULT_RULE = "mean-logit"
LEARNED = "learned"
TOP_SHARE = 1 / 4
"""Share of a video's pairs that `top-k` uses."""
QUANTILES = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 7 / 8)
"""What `learned` uses besides the mean. Eighths, so that a repeated video has exactly the same quantiles."""

Array = npt.NDArray[np.float64]
Logits = npt.NDArray[np.floating[Any]] | Sequence[float]
Rule = Callable[[Array], float]
"""Maps the logits (N,) of a video's pairs to its score."""


# ---------------------------------------------------------------- rules, on sorted float64 (N,) with N >= 1


def _mean_logit(logits: Array) -> float:
    return float(logits.mean())


def _sum_logits(logits: Array) -> float:
    return float(logits.sum())


def _mean_probability(logits: Array) -> float:
    """Log-odds of the mean probability: mean p over mean 1 - p, both as logarithms, finite for any logits."""
    return float(logsumexp(log_expit(logits)) - logsumexp(log_expit(-logits)))


def _median_logit(logits: Array) -> float:
    return float(np.median(logits))


def _mean_of_top(logits: Array) -> float:
    """Mean of the highest `TOP_SHARE` of the pairs: the last one is weighted by its fraction; one pair at least."""
    size = max(len(logits) * TOP_SHARE, 1.0)
    weights = np.clip(size - np.arange(len(logits)), 0, 1)  # 1, …, 1, a fraction, 0, …, 0
    return float(weights @ logits[::-1] / size)


_FIXED: dict[str, Rule] = {
    DEFAULT_RULE: _mean_logit, "product": _sum_logits, "mean-prob": _mean_probability, "median": _median_logit,
    "top-k": _mean_of_top,
}  # fmt: skip
RULES: tuple[str, ...] = (*_FIXED, LEARNED)
"""Names of all rules."""


Weight = Annotated[float, Field(ge=0)]


class LearnedRule(Strict):
    """A weighted sum of the mean and some quantiles of a video's logits; no weight is negative."""

    intercept: float
    mean: Weight
    quantiles: tuple[Weight, Weight, Weight, Weight, Weight]
    """Weight of each of `QUANTILES`."""
    subjects: int
    """Number of people that it was fitted on."""

    def score(self, logits: Array) -> float:
        """Compute the score of a video with these logits (N,)."""
        return self.intercept + float(_rule_features(logits) @ [self.mean, *self.quantiles])


def _rule_features(logits: Array) -> Array:
    """Mean and `QUANTILES` (6,): each is non-decreasing in every logit, so a sum with non-negative weights is too."""
    return np.array([logits.mean(), *np.quantile(logits, QUANTILES, method="averaged_inverted_cdf")])


def fit_learned_rule(
    logits: Sequence[npt.NDArray[np.floating[Any]]], labels: npt.ArrayLike, subjects: Sequence[str]
) -> LearnedRule:
    """Fit a logistic regression with non-negative weights over the features of the validation set's videos.

    Balanced over classes and people, targets smoothed by the number of people. The weights of the features, in
    standard deviations of the videos' mean logits, have a normal prior of variance 1 (an L2 penalty) against as
    many observations as there are people. Convex, so the solution is unique.

    Args:
        logits: Logits of each video's pairs.
        labels: (videos,), 1 = fake, 0 = real.
        subjects: The person of each video.

    Raises:
        BenchError: One kind is missing, or a video has no pair or a logit that is not finite.
        ValueError: Lengths differ.
    """
    features = np.stack([_rule_features(_check_logits(video)) for video in logits]) if logits else np.empty((0, 6))
    weights, targets = balance_weights(labels, subjects), smooth_targets(labels, subjects)  # (V,)
    people = len(set(subjects))
    centre = weights @ features  # (6,)
    spread = math.sqrt(weights @ (features[:, 0] - centre[0]) ** 2) or 1.0  # one for all features: they share a unit
    inputs = np.column_stack([np.ones(len(features)), (features - centre) / spread])  # (V, 7)
    penalty = np.array([0.0, *np.ones(features.shape[1])]) / people

    def loss(point: Array) -> tuple[float, Array]:
        scores = inputs @ point
        value = weights @ (np.logaddexp(0, scores) - targets * scores) + penalty @ point**2 / 2
        return float(value), inputs.T @ (weights * (expit(scores) - targets)) + penalty * point

    bounds = [(None, None)] + [(0.0, None)] * features.shape[1]
    solution = scipy.optimize.minimize(
        loss, np.zeros(inputs.shape[1]), jac=True, bounds=bounds, method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-9},
    ).x  # fmt: skip
    slopes = solution[1:] / spread
    mean, *quantiles = slopes.tolist()
    return LearnedRule(
        intercept=float(solution[0] - slopes @ centre), mean=mean, quantiles=tuple(quantiles), subjects=people
    )


# ---------------------------------------------------------------- aggregating


def check_rule(name: str) -> None:
    """Refuse the name of a rule that does not exist.

    Raises:
        UnknownNameError: There is no such rule.
    """
    if name not in RULES:
        raise UnknownNameError("aggregator", name, RULES)


def find_rule(name: str, learned: LearnedRule | None = None) -> Rule:
    """Find a rule by name: it maps logits (N,) in any order to a score, and raises as `aggregate` does.

    Args:
        name: One of `RULES`.
        learned: The fitted rule for the name `learned`; ignored for other names.

    Raises:
        UnknownNameError: There is no such rule.
        BenchError: `learned` was not fitted.
    """
    check_rule(name)
    if name != LEARNED:
        return _add_checks(_FIXED[name])
    if learned is None:
        raise BenchError(
            f"The aggregator '{LEARNED}' was not fitted.",
            hint=f"Use '{DEFAULT_RULE}', or train the detector with videos of validation people.",
        )
    return _add_checks(learned.score)


def aggregate(logits: Logits, rule: str | LearnedRule = DEFAULT_RULE) -> float:
    """Compute the video's score.

    Args:
        logits: (N,) log-odds of its pairs, finite; their order does not matter.
        rule: One of `RULES`, or a fitted one.

    Raises:
        UnknownNameError: There is no such rule.
        BenchError: No pair, a logit that is not finite, or `learned` was not fitted.
    """
    chosen = find_rule(LEARNED, rule) if isinstance(rule, LearnedRule) else find_rule(rule)
    return chosen(np.asarray(logits, dtype=np.float64))


def _add_checks(rule: Rule) -> Rule:
    return lambda logits: rule(_check_logits(logits))


def _check_logits(logits: Logits) -> Array:
    values = np.asarray(logits, dtype=np.float64)  # (N,)
    if values.size == 0:
        raise BenchError("A video without a scored pair has no score.", hint="It needs two frames or more.")
    if not np.isfinite(values).all():
        raise BenchError(
            f"{int((~np.isfinite(values)).sum())} of {values.size} pair logits are not finite.",
            hint="The detector's weights are unusable: train it again.",
        )
    return np.sort(values)  # rounding then cannot depend on the order


# ---------------------------------------------------------------- length


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


def measure_length_sensitivity(pairs: pd.DataFrame, videos: pd.DataFrame, rule: str | LearnedRule) -> LengthSensitivity:
    """Score each video from all of its pairs and from an evenly placed quarter of them (one at least).

    Args:
        pairs: video_id, t, logit.
        videos: video_id, label, subject_id; those without a pair are left out.
        rule: As for `aggregate`.

    Returns:
        Metrics that are null with their reason if all videos are of one kind, or the gap is zero.

    Raises:
        UnknownNameError: There is no such rule.
        BenchError: As `aggregate`.
    """
    chosen = find_rule(LEARNED, rule) if isinstance(rule, LearnedRule) else find_rule(rule)
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
