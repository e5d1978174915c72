"""95% confidence intervals from a video's own pairs, and its most suspicious pairs."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dancebench.detect.casework.uncertainty import (
    MAX_PAIRS,
    MIN_BLOCKS,
    block_jackknife,
    count_blocks,
    find_most_suspicious,
)


def mean(values: np.ndarray) -> float:
    return float(values.mean())


def test_interval_of_a_mean_is_student_t_over_block_means() -> None:
    """Closed form: for a mean and equal blocks the jackknife error is that of the mean of the block means."""
    values = np.random.default_rng(0).normal(size=64)
    blocks = values.reshape(16, 4).mean(axis=1)
    found = block_jackknife(mean, values)
    assert found is not None
    half = scipy.stats.t.ppf(0.975, 15) * blocks.std(ddof=1) / 4
    np.testing.assert_allclose(found[:2], [values.mean() - half, values.mean() + half])
    assert found.blocks == 16


def test_blocks_account_for_the_correlation_of_neighbouring_pairs() -> None:
    """Covering 95% of repeated series whose neighbours correlate by 0.5; single pairs would cover 74%."""
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        steps = generator.normal(size=400)
        series = np.empty(400)
        series[0] = steps[0]
        for t in range(1, 400):
            series[t] = 0.5 * series[t - 1] + steps[t]
        found = block_jackknife(mean, series)
        assert found is not None
        hits += found.low < 0 < found.high
    assert 0.88 < hits / 300 < 0.98


@given(st.integers(0, 5000))
def test_interval_exists_from_eight_pairs_on(n: int) -> None:
    assert (count_blocks(n) >= MIN_BLOCKS) == (n >= 8)
    found = block_jackknife(mean, np.zeros(n)) if n < 200 else None
    if n < 200:
        assert (found is not None) == (n >= 8)


@given(st.integers(8, 60), st.floats(0.1, 5), st.floats(-5, 5))
def test_interval_shifts_and_scales_with_the_values(n: int, gain: float, shift: float) -> None:
    values = np.random.default_rng(n).normal(size=n)
    first, second = block_jackknife(mean, values), block_jackknife(mean, gain * values + shift)
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(second[:2], [gain * edge + shift for edge in first[:2]], atol=1e-9)


def test_suspicious_pairs_are_the_highest_that_do_not_overlap() -> None:
    times = np.arange(50) / 25
    llrs = np.zeros(50)
    llrs[[10, 11, 12, 30]] = [5, 9, 8, 7]
    assert list(find_most_suspicious(times, llrs, span=0.08))[:2] == [11, 30]
    assert list(find_most_suspicious(times[:1], llrs[:1], span=0.08)) == [0]


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=80), st.floats(0.01, 2))
def test_suspicious_pairs_are_few_and_apart(values: list[float], span: float) -> None:
    times = np.arange(len(values)) / 10
    chosen = list(find_most_suspicious(times, np.array(values), span))
    assert 1 <= len(chosen) <= MAX_PAIRS
    assert values[chosen[0]] == pytest.approx(max(values))
    gaps = np.diff(np.sort(times[chosen]))
    assert (gaps >= max(span, 0.5) - 1e-9).all()
