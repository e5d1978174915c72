"""What `typicality` knows of reals: their looks in; for each aspect of a look how atypical it is, out.

An aspect is the appearance of a part, the vector of its middle frame, or its motion, the geometry of its path. Each has
a `Population` of the training reals, and a scale: the logarithm of the distance of windows of people who were held out
of the fit by turns (so that what was fitted does not look more typical than a new video will), as a mean and a spread
with every person counted alike. From these an aspect gets its log-odds of being atypical,

    log P(a new person's distance is smaller) / P(it is larger)

by Student's t with as many degrees of freedom as people, less one: zero for a distance in the middle of the reals'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Self, get_args

import numpy as np
import numpy.typing as npt
import scipy.stats
from sklearn.model_selection import GroupKFold

from dancebench.detect.detectors.typicality._looks import Look, Part, describe_path
from dancebench.detect.trunk.features import Array
from dancebench.detect.trunk.population import Population, fit_population

Aspect = Literal["appearance", "motion"]
ASPECTS: Final[tuple[Aspect, ...]] = get_args(Aspect)

FOLDS: Final = 5
FEWEST_PEOPLE: Final = 3
"""Of whom an aspect is known; with fewer it is left out."""
_LEAST_SPREAD: Final = 0.05
"""Of the logarithms: near-identical reals must not make a new one atypical."""


class Finding(NamedTuple):
    """How atypical one aspect of one look is.

    Attributes:
        look: The look.
        aspect: Which aspect of it.
        logit: Log-odds of being atypical.
    """

    look: Look
    aspect: Aspect
    logit: float


@dataclass(frozen=True)
class AspectModel:
    """One aspect of one part.

    Attributes:
        population: Of the training reals.
        centre: Mean of the logarithms of held-out people's distances.
        width: Their spread.
        people: How many they are.
    """

    population: Population
    centre: float
    width: float
    people: int

    def logits(self, vectors: Array) -> Array:
        """Log-odds (N,) that vectors (N, D) are atypical."""
        z = (np.log(self.population.distances(vectors).clip(1e-9)) - self.centre) / self.width
        z /= np.sqrt(1 + 1 / self.people)
        student = scipy.stats.t(self.people - 1)
        return np.asarray(student.logcdf(z) - student.logsf(z))

    def to_tensors(self) -> dict[str, Array]:
        """Return its arrays by name."""
        return self.population.to_tensors() | {"scale": np.array([self.centre, self.width, self.people])}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read what `to_tensors` gave.

        Raises:
            KeyError: An array is missing.
            ValueError: They are no such model.
        """
        scale = np.asarray(tensors["scale"], np.float64)
        if scale.shape != (3,) or not (np.isfinite(scale).all() and scale[1] > 0 and scale[2] >= FEWEST_PEOPLE):
            raise ValueError("the scale of an aspect is none")
        return cls(Population.from_tensors(tensors), float(scale[0]), float(scale[1]), int(scale[2]))


class Reference:
    """All aspects of all parts that are known.

    Args:
        models: By part and aspect.
    """

    def __init__(self, models: Mapping[tuple[Part, Aspect], AspectModel]) -> None:
        self._models = models

    @property
    def known(self) -> list[tuple[Part, Aspect]]:
        """What it has a model of, in order."""
        return list(self._models)

    @property
    def parameters(self) -> int:
        """Numbers in it."""
        return sum(array.size for array in self.to_tensors().values())

    def judge(self, looks: Iterable[Look]) -> list[Finding]:
        """How atypical each aspect of each look is; what there is no model of is left out."""
        return [
            Finding(look, aspect, float(model.logits(_describe(look, aspect)[None])[0]))
            for look in looks
            for aspect in ASPECTS
            if (model := self._models.get((look.part, aspect))) is not None
        ]

    def to_tensors(self) -> dict[str, Array]:
        """Return its arrays by name, `PART/ASPECT/NAME`."""
        return {
            f"{part}/{aspect}/{name}": value
            for (part, aspect), model in self._models.items()
            for name, value in model.to_tensors().items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]], parts: Sequence[Part]) -> Self:
        """Read what `to_tensors` gave.

        Raises:
            KeyError: An array is missing.
            ValueError: They are no such model, or one of nothing.
        """
        models: dict[tuple[Part, Aspect], AspectModel] = {}
        for part in parts:
            for aspect in ASPECTS:
                prefix = f"{part}/{aspect}/"
                found = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
                if found:
                    models[part, aspect] = AspectModel.from_tensors(found)
        if not models:
            raise ValueError("it knows no part of a picture")
        return cls(models)


def fit_reference(
    looks: Sequence[Look], people: Sequence[str], parts: Sequence[Part], components: int
) -> Reference:
    """Fit the populations and scales of reals.

    Args:
        looks: Of all windows of all training reals.
        people: Who is seen in each.
        parts: Which are looked at.
        components: Principal directions of each population, at most.

    Raises:
        ValueError: No part is seen of `FEWEST_PEOPLE` people.
    """
    models: dict[tuple[Part, Aspect], AspectModel] = {}
    for part in parts:
        for aspect in ASPECTS:
            chosen = [
                (look, person)
                for look, person in zip(looks, people, strict=True)
                if look.part == part and (aspect == "appearance" or len(look.vectors) > 2)
            ]
            if len({person for _, person in chosen}) >= FEWEST_PEOPLE:
                vectors = np.stack([_describe(look, aspect) for look, _ in chosen])
                models[part, aspect] = _fit_aspect(vectors, [person for _, person in chosen], components)
    if not models:
        raise ValueError(f"no part of a picture is seen of {FEWEST_PEOPLE} people")
    return Reference(models)


def _describe(look: Look, aspect: Aspect) -> Array:
    return look.appearance if aspect == "appearance" else describe_path(look.vectors)


def _fit_aspect(vectors: Array, people: Sequence[str], components: int) -> AspectModel:
    names, groups = np.unique(np.asarray(people, dtype=np.str_), return_inverse=True)
    logs = np.zeros(len(vectors))
    for fitted, held_out in GroupKFold(min(FOLDS, len(names))).split(vectors, groups=groups):
        population = fit_population(vectors[fitted], components)
        logs[held_out] = np.log(population.distances(vectors[held_out]).clip(1e-9))
    weights = 1 / np.bincount(groups)[groups] / len(names)  # every person counts alike
    centre = float((weights * logs).sum())
    width = max(float(np.sqrt((weights * (logs - centre) ** 2).sum())), _LEAST_SPREAD)
    return AspectModel(fit_population(vectors, components), centre, width, len(names))
