"""What `typicality` knows of reals: their looks in; how atypical another look is, out.

Each part has a `Population` of the training reals, and a scale (`trunk/scale.py`): the logarithm of the distance of
windows of people who were held out of the fit by turns. From these a look gets its log-odds of being atypical: zero for
a distance in the middle of the reals'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from dancebench.detect.detectors.typicality._looks import Part
from dancebench.detect.trunk.features import Array
from dancebench.detect.trunk.look import Look
from dancebench.detect.trunk.population import Population, fit_population
from dancebench.detect.trunk.scale import FEWEST_PEOPLE, Scale, fit_scale, hold_out_people

_LEAST_DISTANCE: Final = 1e-9


@dataclass(frozen=True)
class PartModel:
    """One part.

    Attributes:
        population: Of the training reals.
        scale: Of the logarithms of held-out people's distances.
    """

    population: Population
    scale: Scale

    def logits(self, vectors: npt.ArrayLike) -> Array:
        """Log-odds (N,) that vectors (N, D) are atypical."""
        return self.scale.logits(_log_distances(self.population, vectors))

    def to_tensors(self) -> dict[str, Array]:
        """Return its arrays by name."""
        return self.population.to_tensors() | {"scale": self.scale.to_array()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read what `to_tensors` gave.

        Raises:
            KeyError: An array is missing.
            ValueError: They are no such model.
        """
        return cls(Population.from_tensors(tensors), Scale.from_array(np.asarray(tensors["scale"], np.float64)))


class Reference:
    """All parts that are known.

    Args:
        models: By part.
    """

    def __init__(self, models: Mapping[str, PartModel]) -> None:
        self._models = models

    def judge(self, looks: Sequence[Look]) -> list[tuple[Look, float]]:
        """Each look with its log-odds of being atypical; those of a part that is not known are left out."""
        return [
            (look, float(self._models[look.part].logits([look.vector])[0]))
            for look in looks
            if look.part in self._models
        ]

    def to_tensors(self) -> dict[str, Array]:
        """Return its arrays by name, `PART/NAME`."""
        return {
            f"{part}/{name}": np.ascontiguousarray(value)
            for part, model in self._models.items()
            for name, value in model.to_tensors().items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]], parts: Sequence[Part]) -> Self:
        """Read what `to_tensors` gave.

        Raises:
            KeyError: An array is missing.
            ValueError: They are no such models, or none.
        """
        models: dict[str, PartModel] = {}
        for part in parts:
            found = {
                name.removeprefix(f"{part}/"): value for name, value in tensors.items() if name.startswith(f"{part}/")
            }
            if found:
                models[part] = PartModel.from_tensors(found)
        if not {"patches", "whole"} & set(models):
            raise ValueError("it knows nothing that every picture has")
        return cls(models)


def fit_reference(looks: Sequence[Look], people: Sequence[str], parts: Sequence[Part], components: int) -> Reference:
    """Fit the populations and scales of reals.

    Args:
        looks: Of all windows of all training reals.
        people: Who is seen in each.
        parts: Which are looked at.
        components: Principal directions of each population, at most.

    Raises:
        ValueError: No part is seen of `FEWEST_PEOPLE` people.
    """
    models: dict[str, PartModel] = {}
    for part in parts:
        chosen = [index for index, look in enumerate(looks) if look.part == part]
        if len({people[index] for index in chosen}) >= FEWEST_PEOPLE:
            vectors = np.stack([looks[index].vector for index in chosen])
            models[part] = _fit_part(vectors, [people[index] for index in chosen], components)
    if not models:
        raise ValueError(f"no part of a picture is seen of {FEWEST_PEOPLE} people")
    return Reference(models)


def _fit_part(vectors: Array, people: Sequence[str], components: int) -> PartModel:
    logs = np.zeros(len(vectors))
    for fitted, held_out in hold_out_people(people):
        logs[held_out] = _log_distances(fit_population(vectors[fitted], components), vectors[held_out])
    return PartModel(fit_population(vectors, components), fit_scale(logs, people))


def _log_distances(population: Population, vectors: npt.ArrayLike) -> Array:
    return np.asarray(np.log(population.distances(vectors).clip(_LEAST_DISTANCE)))
