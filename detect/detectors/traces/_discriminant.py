"""Fisher's linear discriminant between reals and the same through last stages: vectors in, log-odds out.

With z the deviations from the reals' mean in units of their spread, m the means and C the mean covariance of the two
kinds, shrunk towards the identity,

    direction = ((1 - s) C + s I)⁻¹ (m made - m real)

(Fisher, 1936; regularised as by Friedman, 1989). What a vector has along it is put on a scale of reals of people who
were held out of the direction (`trunk/scale.py`). All in closed form and float64; the model is means, spreads and a
direction over many people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from dancebench.detect.detectors.traces.pairs import PairVectors
from dancebench.detect.trunk.features import Array
from dancebench.detect.trunk.look import Look
from dancebench.detect.trunk.population import NOISE
from dancebench.detect.trunk.scale import Scale, fit_scale, hold_out_people

SHRINKAGE: Final = 0.05
_FIELDS: Final = ("mean", "spread", "direction")


@dataclass(frozen=True)
class Discriminant:
    """A direction from reals to what last stages leave.

    Attributes:
        mean: Of the reals (D,).
        spread: Standard deviation of each feature (D,).
        direction: In units of the spreads (D,).
        scale: Of held-out people's reals along it.
    """

    mean: Array
    spread: Array
    direction: Array
    scale: Scale

    def logits(self, vectors: npt.ArrayLike) -> Array:
        """Log-odds (N,) that vectors (N, D) lie further along the direction than a new person's reals."""
        return self.scale.logits(_project(self.mean, self.spread, self.direction, np.asarray(vectors, np.float64)))

    def judge(self, looks: Sequence[Look]) -> list[tuple[Look, float]]:
        """Each look with its log-odds."""
        logits = self.logits([look.vector for look in looks]).tolist() if looks else []
        return list(zip(looks, logits, strict=True))

    def to_tensors(self) -> dict[str, Array]:
        """Return its arrays by name."""
        return {name: getattr(self, name) for name in _FIELDS} | {"scale": self.scale.to_array()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read what `to_tensors` gave.

        Raises:
            KeyError: An array is missing.
            ValueError: They are no such model.
        """
        mean, spread, direction = (np.asarray(tensors[name], np.float64) for name in _FIELDS)
        if mean.ndim != 1 or not mean.shape == spread.shape == direction.shape:
            raise ValueError("its arrays do not fit together")
        if not np.isfinite(np.concatenate([mean, spread, direction])).all() or spread.min() <= 0:
            raise ValueError("its numbers are none of a direction")
        return cls(mean, spread, direction, Scale.from_array(np.asarray(tensors["scale"], np.float64)))


def fit_discriminant(pairs: PairVectors) -> Discriminant:
    """Fit the direction to all pairs, and its scale to the reals of people held out of it by turns."""
    values = np.zeros(len(pairs.vectors))
    for fitted, held_out in hold_out_people(pairs.people):
        values[held_out] = _project(*_fit_direction(pairs.vectors[fitted]), pairs.vectors[held_out, 0])
    return Discriminant(*_fit_direction(pairs.vectors), fit_scale(values, pairs.people))


def _fit_direction(vectors: Array) -> tuple[Array, Array, Array]:
    reals, made = vectors[:, 0], vectors[:, 1:].reshape(-1, vectors.shape[-1])
    mean = reals.mean(axis=0)
    spread = np.sqrt(reals.var(axis=0) + NOISE**2)
    real, other = (reals - mean) / spread, (made - mean) / spread
    covariance = (np.cov(real, rowvar=False) + np.cov(other, rowvar=False)) / 2
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(len(mean))
    return mean, spread, np.linalg.solve(shrunk, other.mean(axis=0))


def _project(mean: Array, spread: Array, direction: Array, vectors: Array) -> Array:
    return np.asarray(((vectors - mean) / spread) @ direction)
