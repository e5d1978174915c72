"""The items that a calibration is fitted on: which of them count, and how much each one weighs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError

Array = npt.NDArray[np.float64]


class CalibrationItems(NamedTuple):
    """Labelled scores (N,) to fit a calibration on, each with its person and method."""

    labels: npt.NDArray[np.int64]
    """1 = fake, 0 = real."""
    scores: Array
    subjects: npt.NDArray[np.str_]
    methods: npt.NDArray[np.str_]
    """Of a real it does not matter."""
    unseen: bool
    """Whether the fakes are of methods that the detector did not see."""

    def select(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> CalibrationItems:
        """Select the items where `chosen` is true, or of these indices."""
        return CalibrationItems(
            self.labels[chosen], self.scores[chosen], self.subjects[chosen], self.methods[chosen], self.unseen
        )


def collect_items(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    subjects: Sequence[str],
    methods: Sequence[str],
    seen: Collection[str] = (),
) -> CalibrationItems:
    """Collect the reals, and the fakes of unseen methods; all fakes where there are none of these.

    Args:
        labels: (N,), 1 = fake, 0 = real.
        scores: (N,), finite. Where methods were left out of training in turn, those of a left-out method come from the
            detector that was trained without it.
        subjects: The person of each item.
        methods: The method of each item; of a real it does not matter.
        seen: Methods that the detector saw in training.

    Raises:
        BenchError: A score is not finite.
        ValueError: Lengths differ.
    """
    columns = (np.asarray(labels, np.int64), np.asarray(scores, np.float64))
    names = (np.asarray(subjects, np.str_), np.asarray(methods, np.str_))
    if len({column.shape for column in (*columns, *names)}) > 1:
        raise ValueError(f"{columns[0].size} labels but {names[0].size} subjects and {names[1].size} methods")
    if not np.isfinite(columns[1]).all():
        raise BenchError("Calibration needs finite scores.", hint="The detector's weights are unusable: train it.")
    items = CalibrationItems(*columns, *names, unseen=False)
    unseen = (items.labels == 1) & ~np.isin(items.methods, np.asarray(list(seen), np.str_))
    return items.select((items.labels == 0) | unseen)._replace(unseen=True) if unseen.any() else items


def balance_weights(labels: npt.ArrayLike, subjects: Sequence[str], methods: Sequence[str] | None = None) -> Array:
    """Compute weights (N,) that sum to 1: half for each class, in it the same for each person, then for their items.

    Args:
        labels: (N,), 1 = fake, 0 = real.
        subjects: The person of each item.
        methods: The method of each item: fakes have the same weight for each method, in it for each person.

    Raises:
        BenchError: One kind is missing.
        ValueError: Lengths differ.
    """
    labels, people = np.asarray(labels), np.asarray(subjects, np.str_)
    if labels.shape != people.shape:
        raise ValueError(f"{labels.size} labels but {people.size} subjects")
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise BenchError(
            "Calibration needs real and fake videos of validation people.",
            hint="Give the manifest both kinds under split 'validation'.",
        )
    weights = np.empty(len(labels))
    weights[labels == 0] = share_evenly(people[labels == 0], 0.5)
    names = np.full(len(labels), "") if methods is None else np.asarray(methods, np.str_)
    found = np.unique(names[labels == 1])
    for method in found:
        chosen = (labels == 1) & (names == method)
        weights[chosen] = share_evenly(people[chosen], 0.5 / len(found))
    return weights


def smooth_targets(labels: npt.ArrayLike, subjects: Sequence[str]) -> Array:
    """Compute Platt's smoothed targets (N,) in (0, 1), counting the people of a class, not their items."""
    labels, people = np.asarray(labels), np.asarray(subjects, dtype=np.str_)
    reals, fakes = (len(np.unique(people[labels == label])) for label in (0, 1))
    return np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))


def share_evenly(people: npt.NDArray[np.str_], total: float = 1.0) -> Array:
    """Compute weights (N,) that sum to `total`, the same for each person, then for their items."""
    _, codes, counts = np.unique(people, return_inverse=True, return_counts=True)
    return total / len(counts) / counts[codes]
