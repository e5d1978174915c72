"""A scale of reals: values of reals in; the log-odds that another value is higher than a new person's reals, out.

Values are measured on people who were held out of what measures them, so that what was fitted does not look more
typical than a new video will. Their mean and spread, every person counted alike, give a value its log-odds

    log P(a new person's value is lower) / P(it is higher)

by Student's t with as many degrees of freedom as people, less one: zero in the middle of the reals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import scipy.stats
from sklearn.model_selection import GroupKFold

Array = npt.NDArray[np.float64]

FEWEST_PEOPLE: Final = 3
"""Whose values make a scale."""
_FOLDS: Final = 5
_LEAST_SPREAD: Final = 0.05
"""Near-identical reals must not make a new one atypical."""


class Scale(NamedTuple):
    """Where the values of reals lie.

    Attributes:
        centre: Their mean.
        width: Their spread.
        people: How many they are of.
    """

    centre: float
    width: float
    people: int

    def logits(self, values: npt.ArrayLike) -> Array:
        """Log-odds (N,) that values (N,) are higher than those of a new person's reals."""
        z = (np.asarray(values, np.float64) - self.centre) / self.width / np.sqrt(1 + 1 / self.people)
        student = scipy.stats.t(self.people - 1)
        return np.asarray(student.logcdf(z) - student.logsf(z))

    def to_array(self) -> Array:
        """Return its three numbers."""
        return np.array(self, np.float64)

    @classmethod
    def from_array(cls, numbers: npt.NDArray[Any]) -> Self:
        """Read what `to_array` gave.

        Raises:
            ValueError: They are no scale.
        """
        if numbers.shape != (3,) or not (np.isfinite(numbers).all() and numbers[1] > 0 and numbers[2] >= FEWEST_PEOPLE):
            raise ValueError("its scale is none")
        return cls(float(numbers[0]), float(numbers[1]), int(numbers[2]))


def hold_out_people(people: Sequence[str]) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Indices to fit on and indices held out, so that every one is held out once, with all of its person's."""
    groups = np.unique(np.asarray(people, dtype=np.str_), return_inverse=True)[1]
    folds = min(_FOLDS, int(groups.max()) + 1)
    yield from GroupKFold(folds).split(np.zeros(len(groups)), groups=groups)


def fit_scale(values: Array, people: Sequence[str]) -> Scale:
    """The scale of values (N,) that were measured on people held out; every person counts alike."""
    names, groups = np.unique(np.asarray(people, dtype=np.str_), return_inverse=True)
    weights = 1 / np.bincount(groups)[groups] / len(names)
    centre = float((weights * values).sum())
    width = max(float(np.sqrt((weights * (values - centre) ** 2).sum())), _LEAST_SPREAD)
    return Scale(centre, width, len(names))
