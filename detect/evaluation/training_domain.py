"""Training domain of a detector: frames in; clip features, and their out-of-distribution distance, out.

The features are those of the trunk (`detect/trunk`), the same for every detector: the mean over a clip's frames of
what its maps hold, from fine texture to shapes. They are measured on the clip that a detector sees, in native patches.
The model is the shrunk Gaussian of `detect/trunk/population.py` over the training clips, reals and fakes alike; the
distance is at most about 1 for one of them. Its limit comes from people held out of the fit, as a bound that 98% of new
people stay within. So that a large distance can be explained, the deviations of each stage are told too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import scipy.stats
from pydantic import Field, model_validator
from sklearn.model_selection import GroupKFold

from dancebench.core.errors import BenchError
from dancebench.core.schema import MAX_COUNT, Strict
from dancebench.datasets.video.upright import Frame
from dancebench.detect.trunk.features import SIZE, find_content, lay_patches, measure_pictures, slice_stages
from dancebench.detect.trunk.population import Population, fit_population

Array = npt.NDArray[np.float64]

MIN_FRAMES: Final = 8
"""Longer clips are subsampled: between this many frames and twice as many, evenly placed, are measured."""
PATCHES: Final = 2
"""Patches of a frame that are measured; frames take turns, so that all of a large picture is seen."""
COMPONENTS: Final = 24
"""Principal directions that a card holds, at most."""
FOLDS: Final = 10
COVERAGE: Final = 0.98
"""Share of new people whose clips should all lie within the limit."""

SHOWN: Final = 2
"""Stages that a reason to abstain names."""

_DIGITS: Final = 6
"""Of the numbers in a record."""
_LEAST_DISTANCE: Final = 1.0
"""Floor on the distance, so that near-identical training clips do not give a limit near zero."""
_LEAST_DEVIATION: Final = 1e-6
_LARGEST: Final = 1e6  # magnitude of a mean; the trunk's are below 100
_Number = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
_Positive = Annotated[float, Field(gt=0, le=_LARGEST)]


# ---------------------------------------------------------------- features


def measure_clip(frames: Iterable[Frame]) -> list[float]:
    """Measure a clip as a detector sees it.

    Args:
        frames: uint8 RGB (H, W, 3), all of the clip; read one at a time.

    Returns:
        The trunk's features (SIZE,), each the mean over the frames that are measured.

    Raises:
        BenchError: There are fewer than two frames.
    """
    kept: list[Frame] = []
    index, stride = -1, 1
    for index, frame in enumerate(frames):
        if index % stride == 0:
            kept.append(frame)
            if len(kept) > 2 * MIN_FRAMES:
                kept, stride = kept[::2], 2 * stride
    if index < 1:
        raise BenchError("A clip of fewer than two frames shows no motion.", hint="Supply a longer video.")
    patches = lay_patches(find_content(np.stack(kept)))
    pictures = [
        frame[box.rows, box.columns]
        for index, frame in enumerate(kept)
        for box in (patches[(index * PATCHES + turn) % len(patches)] for turn in range(min(PATCHES, len(patches))))
    ]
    return _round(measure_pictures(pictures).mean(axis=0))


# ---------------------------------------------------------------- model


class FeatureDeviation(Strict):
    """One feature of a video compared with that of the training clips.

    Since version 6 of a card a feature is one of the trunk's stages, and its value the root mean square of the
    deviations of that stage's channels, each in units of its spread over the training clips.
    """

    feature: str
    value: float
    """In the feature's own unit, as measured."""
    typical: float
    """Centre of the training clips, in the same unit."""
    deviations: float
    """Difference of the two in spreads of the training clips, on the scale where these are nearly normal."""


class OutOfDistribution(Strict):
    """Out-of-distribution distance of a video from the training domain."""

    distance: float
    limit: float
    outside: bool
    """Whether the distance exceeds the limit."""
    furthest: tuple[FeatureDeviation, ...]
    """The features that deviate most, each taken alone."""


class StageSpread(Strict):
    """Distribution over the training clips of one stage's deviations: the logarithm of their root mean square."""

    name: str
    mean: float = Field(ge=-_LARGEST, le=_LARGEST)
    spread: float = Field(gt=0, le=_LARGEST)


class TrainingDomain(Strict):
    """Distribution of the features over the training clips, and the limit of the distance."""

    mean: tuple[_Number, ...] = Field(min_length=1)
    spread: tuple[_Positive, ...]
    basis: tuple[tuple[Annotated[float, Field(ge=-1.001, le=1.001)], ...], ...] = Field(min_length=1)
    variances: tuple[_Positive, ...]
    rest: _Positive
    """As `Population` has them."""
    stages: tuple[StageSpread, ...]
    limit: float = Field(ge=0)
    clips: int = Field(ge=1, le=MAX_COUNT)
    people: int = Field(ge=2, le=MAX_COUNT)

    @model_validator(mode="after")
    def _check_population(self) -> Self:
        """An emptied or altered model would call every video like the training clips."""
        if {len(row) for row in self.basis} != {len(self.mean)}:
            raise ValueError("the directions are not of the features")
        if [stage.name for stage in self.stages] != list(slice_stages()):
            raise ValueError("the stages are not those of the features")
        _ = self.population
        return self

    @property
    def population(self) -> Population:
        """The model behind the distance."""
        tensors = {name: np.array(getattr(self, name)) for name in ("mean", "spread", "basis", "variances")}
        return Population.from_tensors(tensors | {"rest": np.array([self.rest])})

    def compare(self, features: Sequence[float]) -> OutOfDistribution:
        """Compute how far a clip lies from the training domain.

        Args:
            features: As `measure_clip` gives them.

        Raises:
            BenchError: They are of another number: this model was made by another release.
        """
        if len(features) != len(self.mean) or len(features) != SIZE:
            raise BenchError(
                f"The detector's training domain has {len(self.mean)} features, and {len(features)} are measured here.",
                hint="It was made by another release: train the detector again.",
            )
        distance = float(self.population.distances([features])[0])
        z = (np.array(features) - self.mean) / self.spread
        return OutOfDistribution(
            distance=distance, limit=self.limit, outside=distance > self.limit, furthest=self._compare_stages(z)
        )

    def _compare_stages(self, z: Array) -> tuple[FeatureDeviation, ...]:
        found = zip(self.stages, _measure_stages(z[None])[0].tolist(), strict=True)
        deviations = [
            FeatureDeviation(
                feature=stage.name,
                value=math.exp(value),
                typical=math.exp(stage.mean),
                deviations=(value - stage.mean) / stage.spread,
            )
            for stage, value in found
        ]
        return tuple(sorted(deviations, key=lambda each: -each.deviations))


def fit_training_domain(features: Sequence[Sequence[float]], subjects: Sequence[str]) -> TrainingDomain:
    """Fit the training domain, and its limit by cross-validation.

    People are held out by turns (in `FOLDS` folds, or one by one if they are fewer), and each held-out person's
    furthest clip is measured against the others. The logarithms of these distances give the bound that a new
    person stays within with a probability of `COVERAGE`: mean + t · s · sqrt(1 + 1/n), Student's t with n - 1
    degrees of freedom. So few people give a wide limit.

    Args:
        features: Features of each training clip, real and fake, as `measure_clip` gives them.
        subjects: The person in each.

    Raises:
        BenchError: There are fewer than two people.
        ValueError: Lengths differ.
    """
    if len(features) != len(subjects):
        raise ValueError(f"{len(features)} clips but {len(subjects)} subjects")
    people, groups = np.unique(np.asarray(subjects, dtype=np.str_), return_inverse=True)
    if len(people) < 2:
        raise BenchError(
            "A training domain needs at least two people.",
            hint="Give the training split more people.",
        )
    table = np.array(features, dtype=np.float64)  # (N, F)
    population = fit_population(table, COMPONENTS)
    held_out = _hold_out(table, groups, len(people))
    return TrainingDomain(
        mean=tuple(_round(population.mean)),
        spread=tuple(_round(population.spread)),
        basis=tuple(tuple(_round(row)) for row in population.basis),
        variances=tuple(_round(population.variances)),
        rest=_round(population.rest)[0],
        stages=_describe_stages(held_out.stages),
        limit=_fit_limit(held_out.furthest),
        clips=len(features),
        people=len(people),
    )


class _HeldOut(NamedTuple):
    """Of people held out of the fit by turns.

    Attributes:
        furthest: The largest distance of each person's clips (P,).
        stages: `_measure_stages` of each clip (N, stages).
    """

    furthest: Array
    stages: Array


def _hold_out(table: Array, groups: npt.NDArray[np.intp], people: int) -> _HeldOut:
    furthest, stages = np.zeros(people), np.zeros((len(table), len(slice_stages())))
    for fitted, held_out in GroupKFold(min(FOLDS, people)).split(table, groups=groups):
        population = fit_population(table[fitted], COMPONENTS)
        np.maximum.at(furthest, groups[held_out], population.distances(table[held_out]))
        stages[held_out] = _measure_stages((table[held_out] - population.mean) / population.spread)
    return _HeldOut(furthest, stages)


def _measure_stages(z: Array) -> Array:
    """Logarithms (N, stages) of the root mean square of each stage's deviations (N, F)."""
    squares = [(z[:, part] ** 2).mean(axis=1) for part in slice_stages().values()]
    return np.asarray(np.log(np.sqrt(np.stack(squares, axis=1)).clip(_LEAST_DEVIATION)))


def _describe_stages(values: Array) -> tuple[StageSpread, ...]:
    spreads = np.maximum(values.std(axis=0), _LEAST_DEVIATION)
    return tuple(
        StageSpread(name=name, mean=float(mean), spread=float(spread))
        for name, mean, spread in zip(slice_stages(), values.mean(axis=0), spreads, strict=True)
    )


def _fit_limit(furthest: Array) -> float:
    logs, people = np.log(furthest.clip(_LEAST_DISTANCE)), len(furthest)
    margin = float(scipy.stats.t.ppf(COVERAGE, people - 1)) * float(logs.std(ddof=1)) * math.sqrt(1 + 1 / people)
    return math.exp(float(logs.mean()) + margin)


def _round(values: Array) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values.tolist()]
