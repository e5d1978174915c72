"""Aggregation of pair logits to a video's score."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.detect.aggregate import RULES, aggregate

finite = st.floats(-50, 50)
logits = st.lists(finite, min_size=1, max_size=40)
rules = st.sampled_from(sorted(RULES))

# --- closed form


def test_closed_form_mean_logit() -> None:
    assert aggregate([1.0, 2.0, 6.0]) == 3.0


def test_closed_form_product_is_the_log_ratio_of_multiplied_probabilities() -> None:
    p = np.array([0.9, 0.2, 0.7])
    score = aggregate(np.log(p / (1 - p)), "product")
    assert score == pytest.approx(math.log(p.prod() / (1 - p).prod()))


def test_closed_form_product_of_many_pairs_stays_finite_and_untied() -> None:
    """Multiplied as float32 probabilities both of these videos are 0."""
    weak = np.full(10_000, math.log(0.1 / 0.9), dtype=np.float32)
    weaker = weak.copy()
    weaker[0] -= 1
    assert np.full(50, 0.1, dtype=np.float32).prod() == 0
    assert -math.inf < aggregate(weaker, "product") < aggregate(weak, "product") < 0


# --- laws


@given(logits, rules, st.randoms())
def test_the_order_of_pairs_does_not_matter(values: list[float], rule: str, random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert aggregate(shuffled, rule) == aggregate(values, rule)


@given(logits, rules, st.data())
def test_a_pair_that_looks_more_fake_never_lowers_the_score(
    values: list[float], rule: str, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(values) - 1))
    raised = list(values)
    raised[index] += data.draw(st.floats(0, 10))
    assert aggregate(raised, rule) >= aggregate(values, rule) - 1e-9


@given(finite, st.integers(1, 500))
def test_the_mean_does_not_depend_on_the_length(value: float, n: int) -> None:
    assert aggregate([value] * n) == pytest.approx(value)


# --- bad input


def test_no_pairs_is_an_error() -> None:
    with pytest.raises(BenchError, match="without a scored pair"):
        aggregate([])


def test_a_logit_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(BenchError, match="1 of 2 pair logits"):
        aggregate([0.0, math.nan])


def test_an_unknown_rule_proposes_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        aggregate([0.0], "mean-logits")
    assert "Did you mean 'mean-logit'" in str(caught.value.hint)
