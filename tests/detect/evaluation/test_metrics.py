"""Metrics and thresholds of scores."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.core.nn import torchvision_ops
from dancebench.detect.evaluation.aggregation import find_rule
from dancebench.detect.evaluation.metrics import (
    Labels,
    Scores,
    Thresholds,
    auc,
    average_precision,
    choose_threshold,
    equal_error_rate,
    evaluate,
    evaluate_per_subject,
    measure_error_rates,
    tpr_at_fpr,
)
from dancebench.detect.evaluation.score_tables import ScoreTables

torchvision_ops.declare_missing_ops()


def arrays(labels: list[int], scores: list[float]) -> tuple[Labels, Scores]:
    return np.array(labels, np.int64), np.array(scores, np.float64)


def tables(rows: Sequence[tuple[str, int, float | None]]) -> ScoreTables:
    """(subject, label, score) of each video; two pairs a video, half a unit around the score."""
    videos, pairs = [], []
    for index, (subject, label, score) in enumerate(rows):
        ok = score is not None
        videos.append(
            {
                "video_id": f"v{index}", "subject_id": subject, "source_id": subject, "method": None,
                "label": label, "score": score, "status": "ok" if ok else "failed",
                "n_pairs": 2 * ok, "aggregator": "mean-logit", "reason": None if ok else "it is torn",
            }
        )  # fmt: skip
        if score is not None:
            pairs += [{"video_id": f"v{index}", "t": t, "logit": score + t - 0.5} for t in (0.0, 1.0)]
    return ScoreTables(pd.DataFrame(pairs, columns=["video_id", "t", "logit"]), pd.DataFrame(videos))


SIX = [("a", 0, -2.0), ("a", 1, 2.0), ("b", 0, 1.5), ("b", 1, 3.0), ("c", 0, -1.0), ("c", 1, -1.5)]

# --- closed form


def test_closed_form_auc_counts_ordered_couples() -> None:
    assert auc(*arrays([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])) == 0.75
    assert auc(*arrays([0, 1], [1.0, 1.0])) == 0.5


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], 0.0),
        ([1, 1, 0, 0], [1, 2, 3, 4], 1.0),
        ([0, 1], [1, 1], 0.5),  # the diagonal
        ([0, 0, 0, 1, 1, 1], [1, 2, 4, 3, 5, 6], 1 / 3),
        ([0, 0, 1], [1, 2, 2], 1 / 3),  # on the slanted piece from (0, 0) to (1/2, 1)
    ],
)
def test_closed_form_equal_error_rate(labels: list[int], scores: list[float], expected: float) -> None:
    assert equal_error_rate(*arrays(labels, scores)) == pytest.approx(expected)


def test_closed_form_average_precision() -> None:
    assert average_precision(*arrays([1, 0, 1], [3, 2, 1])) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 0, 1, 1], [0, 1, 3, 9], 2.0),
        ([0, 1, 0, 0, 1], [0, 1, 2, 8, 9], 8.5),  # both 1 fake lost
        ([0, 1, 0, 1], [0, 1, 2, 12], 7.0),  # 0.5 and 7 tie: the wider gap
        ([0, 0, 0, 1], [0, 0, 0, 4], 2.0),  # balanced: the one fake counts as much as three reals
        ([0, 1], [5, 5], 5.0),
    ],
)
def test_closed_form_threshold(labels: list[int], scores: list[float], expected: float) -> None:
    assert choose_threshold(*arrays(labels, scores)) == expected


@pytest.mark.parametrize(("limit", "expected"), [(0.0, 0.5), (0.32, 0.5), (0.34, 0.75), (1.0, 1.0)])
def test_closed_form_true_positive_rate_at_a_false_positive_rate(limit: float, expected: float) -> None:
    labels, scores = arrays([0, 0, 0, 1, 1, 1, 1], [1, 2, 5, 6, 7, 3, 0])
    assert tpr_at_fpr(labels, scores, limit) == expected


def test_the_unit_of_a_true_positive_rate_names_the_steps_of_the_false_positive_rate() -> None:
    metric = evaluate(tables(SIX), None, ("tpr_fpr1",))["video_tpr_fpr1"]
    assert metric.value == pytest.approx(2 / 3)  # two fakes above the highest real
    assert metric.unit.endswith("3 reals allow steps of 0.333")


def test_without_a_threshold_only_the_accuracy_is_null() -> None:
    metrics = evaluate(tables(SIX), None)
    assert metrics["video_accuracy"].value is None
    assert metrics["video_accuracy"].reason == "no scores of validation people, so no threshold"
    assert metrics["video_auc"].value == pytest.approx(7 / 9)
    assert evaluate_per_subject(tables(SIX), None)["video_accuracy"] == {"a": None, "b": None, "c": None}


def test_closed_form_metrics_of_six_videos() -> None:
    metrics = evaluate(tables(SIX), Thresholds(video=0.0, pair=0.0))
    assert metrics["video_accuracy"].value == pytest.approx(4 / 6)
    assert metrics["video_auc"].value == pytest.approx(7 / 9)
    assert metrics["video_ap"].unit.endswith("0.500 of the videos fake")
    assert metrics["pair_accuracy"].n == 12
    assert metrics["pair_accuracy"].value == pytest.approx(8 / 12)
    assert [name for name, metric in metrics.items() if metric.higher_is_better is False] == [
        "video_eer",
        "pair_eer",
    ]
    interval = metrics["video_accuracy"].ci95
    assert interval is not None
    assert interval.subjects == 3
    assert not interval.reliable
    assert interval.low < 4 / 6 < interval.high


def test_closed_form_error_rates_and_values_per_subject() -> None:
    rates = measure_error_rates(tables(SIX), 0.0)
    assert (rates.n_real, rates.n_fake) == (3, 3)
    assert rates.false_positive_rate == pytest.approx(1 / 3)
    assert rates.false_negative_rate == pytest.approx(1 / 3)
    values = evaluate_per_subject(tables(SIX), Thresholds(video=0.0, pair=0.0))
    assert values["video_accuracy"] == {"a": 1.0, "b": 0.5, "c": 0.5}
    assert values["video_auc"] == {"a": 1.0, "b": 1.0, "c": 0.0}


def test_closed_form_repeated_videos_of_a_person_do_not_narrow_the_confidence_interval() -> None:
    """Repeating the same videos of each person adds no information."""
    thresholds = Thresholds(video=0.0, pair=0.0)
    once, twice = (evaluate(tables(SIX * n), thresholds)["video_auc"] for n in (1, 2))
    assert twice.n == 2 * once.n
    assert once.ci95 is not None
    assert twice.ci95 is not None
    assert (twice.ci95.low, twice.ci95.high) == pytest.approx((once.ci95.low, once.ci95.high))


# --- foreign reference


def test_foreign_reference_torchmetrics() -> None:
    from torchmetrics.functional import classification as theirs

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    scores = rng.normal(labels, 1.2).round(2)  # with ties
    # As logits they would tie beyond float32's sigmoid: they are passed as shares.
    given_scores = torch.from_numpy((scores - scores.min()) / np.ptp(scores))
    target = torch.from_numpy(labels)
    assert auc(labels, scores) == pytest.approx(theirs.binary_auroc(given_scores, target).item(), abs=1e-5)
    expected = theirs.binary_average_precision(given_scores, target).item()
    assert average_precision(labels, scores) == pytest.approx(expected, abs=1e-5)
    # It takes the ROC point nearest the diagonal, we interpolate: they differ by less than one step.
    assert equal_error_rate(labels, scores) == pytest.approx(theirs.binary_eer(given_scores, target).item(), abs=5e-3)


# --- laws

scored = st.lists(st.tuples(st.integers(0, 1), st.integers(-8, 8)), min_size=2, max_size=30).filter(
    lambda items: len({label for label, _ in items}) == 2
)


@given(scored)
def test_no_threshold_beats_the_chosen_one(items: list[tuple[int, int]]) -> None:
    labels, scores = arrays([label for label, _ in items], [score for _, score in items])

    def balanced(threshold: float) -> float:
        fake = scores > threshold
        return float((fake[labels == 1].mean() + (~fake)[labels == 0].mean()) / 2)

    chosen = balanced(choose_threshold(labels, scores))
    inner = np.unique(scores)[:-1]
    assert all(balanced(threshold) <= chosen + 1e-9 for threshold in inner)


@given(scored)
def test_equal_error_rate_of_mirrored_scores(items: list[tuple[int, int]]) -> None:
    labels, scores = arrays([label for label, _ in items], [score for _, score in items])
    rate = equal_error_rate(labels, scores)
    assert 0 <= rate <= 1
    assert equal_error_rate(1 - labels, -scores) == pytest.approx(rate)


# --- bad input


def test_one_class_gives_null_with_the_reason() -> None:
    only_reals = tables([("a", 0, 1.0), ("b", 0, -1.0)])
    metrics = evaluate(only_reals, Thresholds(video=0.0, pair=0.0))
    assert metrics["video_auc"].value is None
    assert metrics["video_auc"].reason == "all scored videos are of one kind"
    assert metrics["video_accuracy"].value == 0.5
    assert measure_error_rates(only_reals, 0.0).false_negative_rate is None


def test_nothing_scored_gives_null_with_the_reason() -> None:
    nothing = tables([("a", 0, None), ("a", 1, None)])
    metrics = evaluate(nothing, Thresholds(video=0.0, pair=0.0))
    assert {metric.reason for metric in metrics.values()} == {"no video was scored", "no pair was scored"}
    assert [failure.reason for failure in nothing.failures] == ["it is torn", "it is torn"]


def test_a_failed_video_is_not_counted_as_a_score() -> None:
    metrics = evaluate(tables([*SIX, ("c", 1, None)]), Thresholds(video=0.0, pair=0.0))
    assert metrics["video_accuracy"].n == 6


def test_a_threshold_needs_both_kinds() -> None:
    with pytest.raises(BenchError, match="real and fake videos of validation people"):
        choose_threshold(*arrays([1, 1], [0, 1]))


# --- selections and rules


def test_a_selection_keeps_the_pairs_of_its_videos() -> None:
    whole = tables(SIX)
    part = whole.select(whole.videos["subject_id"] == "b")
    assert set(part.pairs["video_id"]) == {"v2", "v3"}
    assert part.logits_by_video()["v3"].tolist() == [2.5, 3.5]


def test_another_rule_scores_the_same_pairs() -> None:
    again = tables([*SIX, ("c", 1, None)]).aggregate_by(find_rule("product"), "product")
    assert again.videos["score"].tolist()[:2] == [-4.0, 4.0]
    assert np.isnan(again.videos["score"].iloc[-1])
    assert set(again.videos["aggregator"]) == {"product"}
