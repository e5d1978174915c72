"""The shrunk Gaussian of a population."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from dancebench.detect.trunk.population import NOISE, Population, fit_population


def draw(seed: int, count: int = 80, size: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) + 5


def test_foreign_reference_of_the_distance() -> None:
    """Scikit-learn's covariance and SciPy's distance; one direction is not kept: it alone is the rest."""
    table = draw(0)
    spread = np.sqrt(table.var(axis=0) + NOISE**2)
    z = (table - table.mean(axis=0)) / spread
    covariance = LedoitWolf(assume_centered=True).fit(z).covariance_ + np.eye(12) * ((NOISE / spread) ** 2).mean()
    model = fit_population(table, 11)
    for index in (0, 7):
        expected = mahalanobis(z[index], np.zeros(12), np.linalg.inv(covariance)) / np.sqrt(12)
        assert model.distances(table[index : index + 1])[0] == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 11))
def test_distances_of_the_population_are_about_one_and_grow_outwards(seed: int, components: int) -> None:
    table = draw(seed)
    model = fit_population(table, components)
    distances = model.distances(table)
    assert 0.5 < np.sqrt((distances**2).mean()) < 1.5
    mean = table.mean(axis=0)
    outwards = [model.distances([mean + factor * (table[3] - mean)])[0] for factor in (0, 1, 2, 5)]
    assert outwards[0] == pytest.approx(0, abs=1e-9)
    assert outwards == sorted(outwards)


def test_what_lies_outside_the_span_counts() -> None:
    flat = np.hstack([draw(1, 30, 4), np.zeros((30, 8))])
    strange = flat[:1] + np.eye(12)[8:9]
    assert fit_population(flat, 3).distances(strange)[0] > 2 * fit_population(flat, 3).distances(flat).max()


def test_a_constant_population_calls_a_tiny_difference_typical() -> None:
    model = fit_population(np.full((6, 5), 0.5), 3)
    assert model.distances([[0.5] * 5])[0] == 0
    assert model.distances([[0.51] * 5])[0] < 1
    assert model.distances([[1.5] * 5])[0] > 10


def test_it_holds_no_vector_of_the_population() -> None:
    table = draw(2, 10)
    held = np.vstack(
        [each.reshape(-1, 12) for each in fit_population(table, 4).to_tensors().values() if each.size % 12 == 0]
    )
    assert min(np.abs(row - vector).max() for row in held for vector in table) > 1e-3


def test_it_is_read_as_it_was_written() -> None:
    model = fit_population(draw(3), 5)
    again = Population.from_tensors(model.to_tensors())
    assert np.array_equal(again.distances(draw(4)), model.distances(draw(4)))


@pytest.mark.parametrize("name", ["mean", "spread", "basis", "variances", "rest"])
@pytest.mark.parametrize("how", ["missing", "short", "not finite", "scaled"])
def test_damaged_arrays_are_refused(name: str, how: str) -> None:
    tensors = fit_population(draw(3), 5).to_tensors()
    if how == "missing":
        del tensors[name]
    elif how == "short":
        tensors[name] = tensors[name][:-1]
    elif how == "not finite":
        tensors[name] = np.full_like(tensors[name], np.nan)
    else:
        tensors[name] = -2 * np.abs(tensors[name]) if name != "mean" else np.full_like(tensors[name], np.inf)
    with pytest.raises((KeyError, ValueError)):
        Population.from_tensors(tensors)
