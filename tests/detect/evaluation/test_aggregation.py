"""Aggregation of pair logits to a video's score, and its dependence on the video's length."""

import math
import random as randomness

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.detect.evaluation.aggregation import (
    AGGREGATORS,
    LearnedRule,
    aggregate,
    check_rule,
    find_rule,
    fit_learned_rule,
    list_options,
    mean_of_top,
    set_options,
)
from dancebench.detect.evaluation.length_sensitivity import measure_length_sensitivity

LEARNED = LearnedRule(intercept=-0.5, mean=0.25, quantiles=(0.0, 0.5, 1.0, 0.0, 2.0), subjects=8)
ALL: list[str | LearnedRule] = [*(rule for rule in AGGREGATORS.entries() if rule != "learned"), LEARNED]

finite = st.floats(-50, 50)
logits = st.lists(finite, min_size=1, max_size=40)
rules = st.sampled_from(ALL)

Videos = list[npt.NDArray[np.float64]]

# --- closed form


@pytest.mark.parametrize(
    ("rule", "expected"), [("mean-logit", 1.4), ("product", 7.0), ("median", 1.0), ("top-k", (6 + 0.25 * 3) / 1.25)]
)
def test_closed_form_of_five_pairs(rule: str, expected: float) -> None:
    """The highest quarter of five pairs is one and a quarter."""
    assert aggregate([1.0, -3.0, 6.0, 3.0, 0.0], rule) == pytest.approx(expected)


def test_closed_form_product_is_the_log_ratio_of_multiplied_probabilities() -> None:
    p = np.array([0.9, 0.2, 0.7])
    score = aggregate(np.log(p / (1 - p)), "product")
    assert score == pytest.approx(math.log(p.prod() / (1 - p).prod()))


def test_closed_form_product_of_many_pairs_stays_finite_and_untied() -> None:
    """Multiplied as float32 probabilities all of these videos are 0."""
    shares = 0.1 + 1e-4 * np.arange(20)
    assert np.full(50, 0.1, dtype=np.float32).prod() == 0
    scores = [aggregate(np.full(10_000, logit(share)), "product") for share in shares]
    assert all(math.isfinite(score) for score in scores)
    assert (np.diff(scores) > 1).all()


def test_closed_form_mean_probability() -> None:
    p = np.array([0.9, 0.2, 0.7, 0.5])
    assert aggregate(logit(p), "mean-prob") == pytest.approx(float(logit(p.mean())))
    assert aggregate([1000.0] * 3, "mean-prob") == pytest.approx(1000.0)
    assert aggregate([-1000.0, 1000.0], "mean-prob") == pytest.approx(0.0)  # p = 1/2
    assert aggregate([-1000.0, 0.0], "mean-prob") == pytest.approx(float(logit(0.25)))


def test_closed_form_top_is_the_mean_of_the_highest_quarter() -> None:
    assert aggregate(np.arange(16.0), "top-k") == pytest.approx(np.mean([12, 13, 14, 15]))
    assert aggregate([-3.0, 5.0], "top-k") == 5.0  # one pair at least


def test_closed_form_learned_weighs_mean_and_quantiles() -> None:
    values = np.arange(1.0, 9.0)  # eighths: 1.5, 2.5, 4.5, 6.5, 7.5
    assert aggregate(values, LEARNED) == pytest.approx(-0.5 + 0.25 * 4.5 + 0.5 * 2.5 + 4.5 + 2 * 7.5)
    assert find_rule("learned", LEARNED)(values) == aggregate(values, LEARNED)


def test_closed_form_sensitivity_to_length() -> None:
    """Constant logits: the mean does not move; the sum loses three quarters, and the order of the videos."""
    pairs, videos = tables([np.full(8, value) for value in (-3.0, -1.5, -2.0, -1.0)], [0, 1, 0, 1])
    mean, product = (measure_length_sensitivity(pairs, videos, rule) for rule in ("mean-logit", "product"))
    assert [metric.value for metric in mean.metrics().values()] == [0.0, 1.0, 1.0, 1.0]
    assert product.shift.value == pytest.approx(np.median([18, 12, 9, 6]) / 10)
    assert product.auc.value == product.auc_short_fakes.value == 1.0
    assert product.auc_short_reals.value == 0.0
    assert product.auc.ci95 is not None
    assert product.auc.ci95.subjects == 2


def test_closed_form_sensitivity_takes_evenly_placed_pairs_in_order_of_time() -> None:
    """Of twelve pairs the 3rd, the 7th and the 11th, each the middle of its third, stay."""
    values = np.zeros(12)
    values[[2, 6, 10]] = 4.0
    pairs, videos = tables([values, np.ones(12)], [0, 1])
    shuffled = pairs.sample(frac=1, random_state=3)
    result = measure_length_sensitivity(shuffled, videos, "median")
    assert result.shift.value == pytest.approx(np.median([4.0, 0.0]))


# --- a simulation: videos with fewer pairs


def test_product_ranks_by_length_where_the_mean_does_not() -> None:
    """Weak pair logits of a detector that is biased to `real`, as is common on unseen people."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 60)
    series = [rng.normal(-1.0 + (0.3 if label else -0.3) + rng.normal(0, 0.4), 1, 64) for label in labels]
    pairs, videos = tables(series, labels.tolist())
    moved = {}
    for rule in ("mean-logit", "product"):
        result = measure_length_sensitivity(pairs, videos, rule)
        values = [result.auc.value, result.auc_short_fakes.value, result.auc_short_reals.value]
        full, fakes, reals = (value if value is not None else math.nan for value in values)
        assert 0.75 < full < 0.9
        moved[rule] = fakes - full, reals - full
    assert max(abs(move) for move in moved["mean-logit"]) < 0.05
    assert moved["product"][0] > 0.1
    assert moved["product"][1] < -0.5


# --- the learned rule


def test_learned_finds_a_fake_with_few_suspicious_pairs() -> None:
    """A sixth of a fake's pairs have high logits, in videos of random bias: the mean hardly shows it."""
    series, labels, people = brief_fakes(60, seed=1)
    rule = fit_learned_rule(series[:60], labels[:60], people[:60])
    assert rule.subjects == 30
    assert rule.quantiles[4] > max(rule.mean, *rule.quantiles[:4])
    learned, mean = (compute_auc(series[60:], labels[60:], chosen) for chosen in (rule, "mean-logit"))
    assert learned > mean + 0.1


def test_foreign_reference_learned_is_scikit_learns_logistic_regression() -> None:
    """If no weight would be negative, every person has one video of each kind and targets are not smoothed."""
    rng = np.random.default_rng(5)
    count = 400
    labels = np.tile([0, 1], count)
    series = [np.array([rng.normal(1.5 * label)]) for label in labels]  # one pair: all six features are equal
    rule = fit_learned_rule(series, labels, np.repeat([f"p{i}" for i in range(count)], 2).tolist())
    inputs = np.concatenate(series)
    spread = inputs.std()
    # Six equal weights of variance 1 act as one of variance 6; ours counts people, theirs both of their videos.
    theirs = LogisticRegression(C=6 * 0.5 * spread**2, tol=1e-9).fit(inputs[:, None] - inputs.mean(), labels)
    slope = rule.mean + sum(rule.quantiles)
    assert slope == pytest.approx(theirs.coef_[0, 0], rel=0.02)  # the targets are smoothed a little
    assert rule.intercept == pytest.approx(theirs.intercept_[0] - theirs.coef_[0, 0] * inputs.mean(), rel=0.03)


@settings(max_examples=20)
@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_learned_does_not_depend_on_the_unit_of_the_logits(scale: float, shift: float) -> None:
    series, labels, people = brief_fakes(6, seed=2)
    moved = [scale * values + shift for values in series]
    rule, again = (fit_learned_rule(given_series, labels, people) for given_series in (series, moved))
    scores, scores_again = ([aggregate(v, r) for v in s] for s, r in ((series, rule), (moved, again)))
    assert scores_again == pytest.approx(scores, abs=1e-3)


def test_learned_of_separable_videos_is_bounded() -> None:
    """Eight people cannot support more than odds of 9 : 1."""
    series = [np.full(4, 100.0 * (2 * label - 1)) for label in (0, 1) * 8]
    rule = fit_learned_rule(series, [0, 1] * 8, [f"p{i // 2}" for i in range(16)])
    assert 0.5 < aggregate(np.full(4, 100.0), rule) < math.log(9)


def test_learned_of_a_detector_worse_than_chance_is_uninformative() -> None:
    series = [np.full(4, 1.0 - 2 * label) for label in (0, 1) * 4]
    rule = fit_learned_rule(series, [0, 1] * 4, [f"p{i // 2}" for i in range(8)])
    assert aggregate(np.full(4, 30.0), rule) == pytest.approx(0, abs=1e-6)


# --- laws


@given(logits, rules, st.randoms())
def test_the_order_of_pairs_does_not_matter(
    values: list[float], rule: str | LearnedRule, random: randomness.Random
) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    assert aggregate(shuffled, rule) == aggregate(values, rule)


@given(logits, rules, st.data())
def test_a_pair_that_looks_more_fake_never_lowers_the_score(
    values: list[float], rule: str | LearnedRule, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(values) - 1))
    raised = list(values)
    raised[index] += data.draw(st.floats(0, 10))
    assert aggregate(raised, rule) >= aggregate(values, rule) - 1e-9


@given(logits, st.sampled_from(["mean-logit", "median", "top-k"]), st.floats(-20, 20))
def test_adding_a_constant_to_the_logits_adds_it_to_the_score(values: list[float], rule: str, shift: float) -> None:
    moved = aggregate(np.array(values) + shift, rule)
    assert moved == pytest.approx(aggregate(values, rule) + shift, abs=1e-9)


@given(logits, st.sampled_from([rule for rule in ALL if rule != "product"]), st.integers(1, 12))
def test_a_repeated_video_scores_the_same(values: list[float], rule: str | LearnedRule, times: int) -> None:
    assert aggregate(values * times, rule) == pytest.approx(aggregate(values, rule), abs=1e-9)


@given(logits, st.integers(1, 12))
def test_product_grows_with_the_length(values: list[float], times: int) -> None:
    assert aggregate(values * times, "product") == pytest.approx(times * aggregate(values, "product"), abs=1e-7)


@given(logits, st.sampled_from(["mean-logit", "mean-prob", "median", "top-k"]))
def test_the_score_lies_within_the_logits(values: list[float], rule: str) -> None:
    assert min(values) - 1e-9 <= aggregate(values, rule) <= max(values) + 1e-9


# --- options


def test_closed_form_an_option_changes_the_rule() -> None:
    name = set_options("top-k", {"share": 0.5})
    assert name == "top-k(share=0.5)"
    check_rule(name)
    assert aggregate(np.arange(16.0), name) == np.arange(8.0, 16.0).mean()
    assert list(list_options("top-k")) == ["share"]
    assert list_options("learned") == {}  # what was fitted is no option


def test_an_option_at_its_default_is_not_set() -> None:
    assert set_options("top-k", {"share": 0.25}) == set_options("top-k", {}) == "top-k"


@given(logits, st.floats(0.01, 1))
def test_a_name_with_options_is_the_rule_with_them(values: list[float], share: float) -> None:
    assert aggregate(values, set_options("top-k", {"share": share})) == mean_of_top(np.sort(values), share=share)


def test_unknown_options_and_values_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Unknown option of the aggregator 'top-k' 'shares'") as unknown:
        set_options("top-k", {"shares": 0.5})
    assert unknown.value.hint == "Did you mean 'share'? Available: share."
    for value in (0, 2, "much", float("nan")):
        with pytest.raises(BenchError, match=r"top-k.share=\S+ is refused"):
            set_options("top-k", {"share": value})
    with pytest.raises(UnknownNameError, match="Unknown option"):
        set_options("mean-logit", {"share": 0.5})
    for name in ("top-k(share=", "top-k(share=0.5", "top-k()()", "top-k(share=open())", "top-k(0.5)", "top-k(**{})"):
        with pytest.raises(BenchError) as caught:
            check_rule(name)
        assert caught.value.hint


# --- bad input


@pytest.mark.parametrize("rule", ALL)
def test_no_pairs_is_an_error(rule: str | LearnedRule) -> None:
    with pytest.raises(BenchError, match="without a scored pair"):
        aggregate([], rule)


@pytest.mark.parametrize("rule", ALL)
def test_a_logit_that_is_not_finite_is_an_error(rule: str | LearnedRule) -> None:
    with pytest.raises(BenchError, match="1 of 2 pair logits"):
        aggregate([0.0, math.nan], rule)


def test_an_unknown_rule_proposes_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        aggregate([0.0], "mean-logits")
    assert "Did you mean 'mean-logit'" in str(caught.value.hint)


def test_learned_without_a_fit_is_an_error_with_a_hint() -> None:
    check_rule("learned")
    with pytest.raises(BenchError, match="'learned' was not fitted") as caught:
        aggregate([0.0], "learned")
    assert "validation people" in str(caught.value.hint)


def test_learned_needs_both_kinds_and_usable_logits() -> None:
    with pytest.raises(BenchError, match="real and fake videos of validation people"):
        fit_learned_rule([np.ones(2), np.ones(2)], [1, 1], ["a", "b"])
    with pytest.raises(BenchError, match="real and fake videos of validation people"):
        fit_learned_rule([], [], [])
    with pytest.raises(BenchError, match="1 of 2 pair logits"):
        fit_learned_rule([np.array([1.0, np.inf]), np.ones(2)], [0, 1], ["a", "b"])
    with pytest.raises(ValueError, match="2 labels but 1 subjects"):
        fit_learned_rule([np.ones(2), np.ones(2)], [0, 1], ["a"])


def test_sensitivity_is_null_with_the_reason() -> None:
    one_kind = measure_length_sensitivity(*tables([np.ones(4), np.zeros(4)], [1, 1]), "mean-logit")
    assert {metric.reason for metric in one_kind.metrics().values()} == {"all scored videos are of one kind"}
    no_gap = measure_length_sensitivity(*tables([np.ones(4), np.ones(4)], [0, 1]), "mean-logit")
    assert no_gap.shift.reason == "reals and fakes have the same median score"
    assert no_gap.auc.value == 0.5
    nothing = measure_length_sensitivity(*tables([], []), "median")
    assert nothing.auc.n == 0
    assert nothing.auc.reason == "all scored videos are of one kind"


def test_sensitivity_leaves_out_a_video_without_a_pair() -> None:
    pairs, videos = tables([np.zeros(4), np.ones(4), np.zeros(4)], [0, 1, 1])
    result = measure_length_sensitivity(pairs[pairs["video_id"] != "v2"], videos, "mean-logit")
    assert (result.auc.n, result.auc.value) == (2, 1.0)


def tables(series: Videos, labels: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pair and video table; a person has two videos in turn."""
    pairs = [(f"v{video}", t, value) for video, values in enumerate(series) for t, value in enumerate(values)]
    videos = [(f"v{video}", label, f"s{video // 2}") for video, label in enumerate(labels)]
    return (
        pd.DataFrame(pairs, columns=["video_id", "t", "logit"]),
        pd.DataFrame(videos, columns=["video_id", "label", "subject_id"]),
    )


def brief_fakes(people: int, seed: int) -> tuple[Videos, list[int], list[str]]:
    """A real and a fake of each person, each of random bias; a sixth of a fake's pairs have high logits."""
    rng = np.random.default_rng(seed)
    labels = [0, 1] * people
    series = []
    for label in labels:
        values = rng.normal(0, 0.5, 24) + rng.normal(0, 1)
        values[:4] += 3.0 * label
        series.append(values)
    return series, labels, [f"p{video // 2}" for video in range(2 * people)]


def compute_auc(series: Videos, labels: list[int], rule: str | LearnedRule) -> float:
    """AUC of the videos' scores."""
    scores, kinds = np.array([aggregate(values, rule) for values in series]), np.array(labels)
    return float((scores[kinds == 1][:, None] > scores[kinds == 0]).mean())
