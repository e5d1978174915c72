"""A population of feature vectors: vectors of reals in; how typical another vector is of them, out.

A Gaussian of as many dimensions as the vectors have, of which the principal components are kept: with z the deviations
from the mean in units of each feature's spread, and C their covariance, shrunk as by Ledoit and Wolf (2004),

    distance = sqrt(z' C⁻¹ z / number of features)

which is at most about 1 for a vector of the population. The directions beyond the components kept all have the mean
variance of what is left (probabilistic PCA; Tipping and Bishop, 1999), so what lies outside their span counts too. All
in float64.
The model is means, spreads and directions over many people: it holds no vector of any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from sklearn.covariance import ledoit_wolf_shrinkage

Array = npt.NDArray[np.float64]

NOISE: Final = 0.02
"""Insignificant spread, in the features' own units, added to that of the population: where a feature happens to be
constant in it, a tiny difference must not be atypical."""
_FIELDS: Final = ("mean", "spread", "basis", "variances", "rest")


@dataclass(frozen=True)
class Population:
    """A shrunk Gaussian of vectors of D features.

    Attributes:
        mean: (D,).
        spread: Standard deviation of each feature (D,).
        basis: Principal directions of the deviations, orthonormal rows (K, D).
        variances: Along them (K,).
        rest: Variance along every other direction, (1,).
    """

    mean: Array
    spread: Array
    basis: Array
    variances: Array
    rest: Array

    def distances(self, vectors: npt.ArrayLike) -> Array:
        """Compute the distances (N,) of vectors (N, D)."""
        z = (np.asarray(vectors, np.float64) - self.mean) / self.spread  # (N, D)
        along = z @ self.basis.T  # (N, K)
        beyond = ((z**2).sum(axis=1) - (along**2).sum(axis=1)).clip(0)
        squared = (along**2 / self.variances).sum(axis=1) + beyond / self.rest[0]
        return np.asarray(np.sqrt(squared / len(self.mean)))

    def to_tensors(self) -> dict[str, Array]:
        """Return the model's arrays by name."""
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read what `to_tensors` gave.

        Raises:
            KeyError: An array is missing.
            ValueError: They are no such model.
        """
        model = cls(*(np.asarray(tensors[name], np.float64) for name in _FIELDS))
        size, kept = model.mean.shape, model.variances.shape
        if len(size) != 1 or len(kept) != 1 or model.spread.shape != size or model.basis.shape != (*kept, *size):
            raise ValueError("its arrays do not fit together")
        scales = np.concatenate([model.spread, model.variances, model.rest.ravel()])
        if model.rest.shape != (1,) or not (np.isfinite(scales).all() and scales.min() > 0):
            raise ValueError("its variances are not positive")
        if not np.isfinite(model.mean).all() or not np.allclose(model.basis @ model.basis.T, np.eye(*kept), atol=1e-4):
            raise ValueError("its directions are not orthonormal")
        return model


def fit_population(vectors: npt.ArrayLike, components: int) -> Population:
    """Fit a population.

    Args:
        vectors: (N, D), N at least 2.
        components: How many principal directions are kept, at most; never more than N - 1.
    """
    table = np.asarray(vectors, np.float64)
    mean = table.mean(axis=0)
    spread = np.sqrt(table.var(axis=0) + NOISE**2)
    noise = float(((NOISE / spread) ** 2).mean())
    z = (table - mean) / spread
    count, size = z.shape
    shrinkage = float(ledoit_wolf_shrinkage(z, assume_centered=True))
    _, singular, directions = np.linalg.svd(z, full_matrices=False)
    kept = max(min(components, count - 1, size - 1), 1)
    total = float((z**2).sum()) / count
    level = total / size
    found = singular[:kept] ** 2 / count
    variances = (1 - shrinkage) * found + shrinkage * level + noise
    left = max(total - float(found.sum()), 0.0) / (size - kept)
    rest = (1 - shrinkage) * left + shrinkage * level + noise
    return Population(mean, spread, directions[:kept], variances, np.array([rest]))
