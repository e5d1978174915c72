"""AUCs without each person, and DeLong's test: against definitions written out, and against scipy and scikit-learn."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dancebench.leaderboards.significance.paired_auc import count_placements, delong, jackknife_auc


def draw(seed: int, n: int = 40, people: int = 7, levels: int = 12) -> tuple[np.ndarray, ...]:
    """Labels, two scores with ties, and people, of whom some have videos of one class only."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 0, 1, 1], rng.integers(0, 2, n - 4)])
    scores = [(rng.integers(0, levels, n) + 3 * labels).astype(float) for _ in range(2)]
    units = np.array([f"s{number}" for number in rng.integers(0, people, n)])
    return labels, *scores, units


@pytest.mark.parametrize("seed", range(8))
def test_foreign_reference_auc_of_all_and_without_each_person(seed: int) -> None:
    labels, scores, _, units = draw(seed)
    value, replicates = jackknife_auc(labels, scores, units)
    assert value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    for unit, found in zip(np.unique(units), replicates, strict=True):
        kept = units != unit
        assert found == pytest.approx(roc_auc_score(labels[kept], scores[kept]), abs=1e-12)


def test_without_a_person_who_has_the_only_reals_nothing_is_left() -> None:
    labels, units = np.array([0, 1, 1, 1]), np.array(["a", "a", "b", "c"])
    value, replicates = jackknife_auc(labels, np.array([0.0, 1.0, 2.0, -1.0]), units)
    assert value == pytest.approx(2 / 3)
    assert np.isnan(replicates).tolist() == [True, False, False]


def test_one_class_has_no_auc() -> None:
    value, replicates = jackknife_auc(np.array([1, 1]), np.array([0.0, 1.0]), np.array(["a", "b"]))
    assert np.isnan([value, *replicates]).all()


@pytest.mark.parametrize("seed", range(8))
def test_foreign_reference_delong_from_placements_written_out(seed: int) -> None:
    """The covariance matrix of the original paper, by numpy from a matrix of all pairs."""
    labels, one, other, _ = draw(seed)
    fakes, reals = labels == 1, labels == 0
    order = [
        (score[fakes][:, None] > score[reals]) + 0.5 * (score[fakes][:, None] == score[reals]) for score in (one, other)
    ]  # (fakes, reals) each
    by_fake, by_real = (np.cov([matrix.mean(axis=axis) for matrix in order]) for axis in (1, 0))
    covariance = by_fake / fakes.sum() + by_real / reals.sum()
    contrast = np.array([1.0, -1.0])
    difference = contrast @ [matrix.mean() for matrix in order]
    error = np.sqrt(contrast @ covariance @ contrast)
    found = delong(labels, one, other)
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(abs(difference) / error), rel=1e-9)


def test_foreign_reference_placements_are_the_mann_whitney_statistic() -> None:
    labels, scores, _, _ = draw(3)
    wins = count_placements(labels, scores)
    statistic = scipy.stats.mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    assert wins[labels == 1].sum() == wins[labels == 0].sum() == statistic


def test_closed_form_delong_of_one_score_and_itself_has_no_p() -> None:
    labels, scores, _, _ = draw(0)
    assert delong(labels, scores, scores) == (0.0, 0.0, None)


def test_closed_form_without_ties_in_a_detector_without_error() -> None:
    """AUC 1 against 3/4: of the fakes one lies above no real's half, of two reals one is above it."""
    labels = np.array([0, 0, 1, 1])
    found = delong(labels, np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 2.0, 1.0, 3.0]))
    assert found.difference == pytest.approx(0.25)
    assert found.standard_error == pytest.approx(np.sqrt(0.125 / 2 + 0.125 / 2))


def test_delong_needs_two_videos_of_each_class() -> None:
    with pytest.raises(ValueError, match="two videos of each class"):
        delong(np.array([0, 1, 1]), np.zeros(3), np.ones(3))


@given(st.integers(0, 10_000))
def test_the_order_of_videos_and_the_unit_of_scores_do_not_matter(seed: int) -> None:
    labels, one, other, units = draw(seed, n=20, people=4)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    value, replicates = jackknife_auc(labels, one, units)
    again = jackknife_auc(labels[shuffled], np.exp(one[shuffled] / 7), units[shuffled])
    assert again[0] == pytest.approx(value)
    np.testing.assert_allclose(again[1], replicates)
    swapped = delong(labels, other, one)
    assert swapped.difference == -delong(labels, one, other).difference
    assert swapped.p == delong(labels, one, other).p
