"""Aggregation of a video's pair logits to one score.

`mean-logit` (the default) is the mean log-odds: videos of different lengths are comparable. `product` is the rule
of Everybody Dance Now (section 5): multiply the pairs' probabilities for fake and for real. Their ratio is
taken in log space, where it is the sum of the log-odds: as a product of float32 probabilities it is 0 for
both after some fifty pairs, and ties destroy the ROC. Its ranking depends on the number of pairs.
`mean-prob` is the log-odds of the mean probability, `median` the median log-odds, `top-k` the mean of the
highest quarter (so that a fake with few suspicious pairs is found), and `learned` a weighted sum of the mean and
some quantiles, fitted on the validation set.

All are scores on the scale of log-odds; higher = more likely fake. None depends on the order of the pairs,
all are non-decreasing in every logit, and only `product` depends on the number of pairs.

A new rule is one function of a video's logits under `@AGGREGATORS.register(name)`. Its keyword parameters are its
options; each has a type and a default. Options that are set stand behind the rule's name, and are part of it
wherever it is recorded: `top-k(share=0.5)`.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import scipy.optimize
from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python
from scipy.special import expit, log_expit, logsumexp

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.registry import Registry
from dancebench.core.schema import Strict
from dancebench.detect.evaluation.likelihood_ratios.items import balance_weights, smooth_targets

DEFAULT_RULE = "mean-logit"
LEARNED = "learned"
QUANTILES = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 7 / 8)
"""What `learned` uses besides the mean. Eighths, so that a repeated video has exactly the same quantiles."""

Array = npt.NDArray[np.float64]
Logits = npt.NDArray[np.floating[Any]] | Sequence[float]
Rule = Callable[[Array], float]
"""Maps the logits (N,) of a video's pairs to its score."""

_FITTED = "fitted"


def _list_missing_parts(rule: Callable[..., float]) -> list[str]:
    if not callable(rule):
        return ["a function of a video's logits"]
    try:
        options = _read_options(rule)
    except (NameError, TypeError, ValueError) as error:
        return [f"a signature that can be read ({error})"]
    missing = [f"a default of its option '{key}'" for key, option in options.items() if option.default is option.empty]
    unchecked = [key for key, option in options.items() if not _has_checked_type(option)]
    return [*missing, *(f"a type of its option '{key}' that can be checked" for key in unchecked)]


def _has_checked_type(option: inspect.Parameter) -> bool:
    try:
        TypeAdapter(_get_type(option))
    except PydanticUserError:
        return False
    return True


def _get_type(option: inspect.Parameter) -> Any:
    return Any if option.annotation is option.empty else option.annotation


def _read_options(rule: Callable[..., float]) -> dict[str, inspect.Parameter]:
    parameters = list(inspect.signature(rule, eval_str=True).parameters.values())[1:]
    return {each.name: each for each in parameters if each.name != _FITTED}


AGGREGATORS: Registry[Callable[..., float]] = Registry(
    "aggregator", package=__name__, group="dancebench.aggregators", list_missing=_list_missing_parts
)
"""Rules: functions of logits, sorted float64 (N,) with N >= 1, and of options. A rule with a parameter `fitted` is
given the `LearnedRule` that was fitted on the validation set."""


# ---------------------------------------------------------------- rules


@AGGREGATORS.register(DEFAULT_RULE)
def mean_logit(logits: Array) -> float:
    """Mean log-odds."""
    return float(logits.mean())


@AGGREGATORS.register("product")
def sum_logits(logits: Array) -> float:
    """The rule of Everybody Dance Now, as a sum of log-odds; it depends on the number of pairs."""
    return float(logits.sum())


@AGGREGATORS.register("mean-prob")
def mean_probability(logits: Array) -> float:
    """Log-odds of the mean probability: mean p over mean 1 - p, both as logarithms, finite for any logits."""
    return float(logsumexp(log_expit(logits)) - logsumexp(log_expit(-logits)))


@AGGREGATORS.register("median")
def median_logit(logits: Array) -> float:
    """Median log-odds."""
    return float(np.median(logits))


@AGGREGATORS.register("top-k")
def mean_of_top(logits: Array, *, share: Annotated[float, Field(gt=0, le=1)] = 1 / 4) -> float:
    """Mean of the highest `share` of the pairs: the last one is weighted by its fraction; one pair at least."""
    size = max(len(logits) * share, 1.0)
    weights = np.clip(size - np.arange(len(logits)), 0, 1)  # 1, …, 1, a fraction, 0, …, 0
    return float(weights @ logits[::-1] / size)


@AGGREGATORS.register(LEARNED)
def learned_score(logits: Array, *, fitted: LearnedRule) -> float:
    """Weighted sum of the mean and some quantiles, fitted on the validation set."""
    return fitted.score(logits)


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
    """Refuse the name of a rule that does not exist, or options that it does not have.

    Raises:
        UnknownNameError: There is no such rule, or it has no such option.
        BenchError: The value of an option is refused.
    """
    _parse_rule(name)


def list_options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a rule by name.

    Raises:
        UnknownNameError: There is no such rule.
    """
    return _read_options(AGGREGATORS[name])


def set_options(name: str, values: Mapping[str, Any]) -> str:
    """The name of a rule with options: those that differ from their defaults stand behind it, in a fixed order.

    Raises:
        UnknownNameError: There is no such rule, or it has no such option.
        BenchError: A value is refused.
    """
    options = list_options(name)
    checked = {key: _check_option(name, key, values[key]) for key in sorted(values)}
    changed = {key: value for key, value in checked.items() if value != options[key].default}
    texts = [f"{key}={to_jsonable_python(value)!r}" for key, value in changed.items()]
    return f"{name}({', '.join(texts)})" if texts else name


def _check_option(name: str, key: str, value: Any) -> Any:
    options = list_options(name)
    if key not in options:
        raise UnknownNameError(f"option of the aggregator '{name}'", key, options)
    option = options[key]
    try:
        return TypeAdapter(_get_type(option)).validate_python(value)
    except ValidationError as error:
        raise BenchError(
            f"{name}.{key}={value} is refused: {error.errors()[0]['msg']}.", hint=f"Its default is {option.default}."
        ) from error


def _parse_rule(name: str) -> tuple[str, dict[str, Any]]:
    """Name and options of a rule, from what `set_options` wrote."""
    rule, bracket, text = name.partition("(")
    AGGREGATORS[rule]
    if not bracket:
        return rule, {}
    try:
        call = ast.parse(f"rule({text}", mode="eval").body
        keywords = call.keywords if isinstance(call, ast.Call) else []
        options = {str(each.arg): ast.literal_eval(each.value) for each in keywords}
    except (SyntaxError, ValueError):
        options = {}
    if set_options(rule, options) != name:
        raise BenchError(f"'{name}' is no aggregator with options.", hint=f"Set them so: --set {rule}.OPTION=VALUE.")
    return rule, {key: _check_option(rule, key, value) for key, value in options.items()}


def find_rule(name: str, learned: LearnedRule | None = None) -> Rule:
    """Find a rule by name: it maps logits (N,) in any order to a score, and raises as `aggregate` does.

    Args:
        name: A name in `AGGREGATORS`, with its options if some are set.
        learned: The rule that was fitted on the validation set; other rules ignore it.

    Raises:
        UnknownNameError: There is no such rule or option.
        BenchError: The rule needs a fitted one, and there is none.
    """
    chosen, options = _parse_rule(name)
    if needs_fitting(chosen):
        if learned is None:
            raise BenchError(
                f"The aggregator '{name}' was not fitted.",
                hint=f"Use '{DEFAULT_RULE}', or train the detector with videos of validation people.",
            )
        options[_FITTED] = learned
    return _add_checks(partial(AGGREGATORS[chosen], **options))


def needs_fitting(name: str) -> bool:
    """Whether a rule uses what was fitted on the validation set.

    Raises:
        UnknownNameError: There is no such rule.
    """
    return _FITTED in inspect.signature(AGGREGATORS[name]).parameters


def resolve_rule(rule: Rule | LearnedRule | str) -> Rule:
    """What `find_rule` returns for a name or a fitted rule; a rule itself is returned as it is."""
    if isinstance(rule, LearnedRule):
        return find_rule(LEARNED, rule)
    return find_rule(rule) if isinstance(rule, str) else rule


def aggregate(logits: Logits, rule: str | LearnedRule = DEFAULT_RULE) -> float:
    """Compute the video's score.

    Args:
        logits: (N,) log-odds of its pairs, finite; their order does not matter.
        rule: A name as for `find_rule`, or a fitted rule.

    Raises:
        UnknownNameError: There is no such rule.
        BenchError: No pair, a logit that is not finite, or `learned` was not fitted.
    """
    return resolve_rule(rule)(np.asarray(logits, dtype=np.float64))


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
