"""Protocols of a prepared dataset: which methods' fakes they need, and which of these no detector is trained on."""

from __future__ import annotations

from dataclasses import dataclass

from dancebench.core.errors import BenchError
from dancebench.detect.protocol.definition import DATASET, OWN, Protocol


@dataclass(frozen=True)
class DatasetMethods:
    """The synthesis methods of a protocol.

    Attributes:
        trained: Whose fakes detectors are trained on; None: each entry's own.
        others: Whose fakes they are only tested on; None: each entry's own.
    """

    trained: str | None
    others: tuple[str, ...] | None


def is_of_dataset(protocol: Protocol) -> bool:
    """Whether its videos are people of a prepared dataset and their fakes, and of no outside corpus."""
    return all(part.corpus == DATASET for _, part in protocol.parts())


def read_methods(protocol: Protocol) -> DatasetMethods:
    """Which methods a protocol of a dataset fixes.

    Raises:
        BenchError: It is not what a run on a dataset does: the people by their roles, fakes of one method to train and
            validate on, and windows, view and rule of each entry's own.
    """
    hint = "See 'table-5' and 'unseen' for protocols of a prepared dataset."
    if not is_of_dataset(protocol) or len(protocol.folds) != 1:
        raise BenchError(f"Protocol '{protocol.name}' is not one training on people of a prepared dataset.", hint=hint)
    (fold,) = protocol.folds.values()
    sides = [[part.side for part in parts] for parts in (fold.train, fold.validation, *fold.tests.values())]
    if sides != [["train"], ["validation"], ["holdout"]]:
        raise BenchError(f"Protocol '{protocol.name}' does not take a dataset's people by their roles.", hint=hint)
    train, validation, test = fold.train[0], fold.validation[0], next(iter(fold.tests.values()))[0]
    if any(part.without or part.compression or part.lists for part in (train, validation, test)) or any(
        choice != OWN for choice in (protocol.windows, protocol.view, protocol.aggregation)
    ):
        raise BenchError(f"Protocol '{protocol.name}' fixes what a run on a dataset leaves to each entry.", hint=hint)
    if not train.methods and not validation.methods and not test.methods and not protocol.perturbations:
        return DatasetMethods(None, None)
    if len(train.methods) != 1 or validation.methods != train.methods or not set(train.methods) < set(test.methods):
        raise BenchError(
            f"Protocol '{protocol.name}' does not train and validate on one method's fakes and test on further ones.",
            hint=hint,
        )
    (trained,) = train.methods
    return DatasetMethods(trained, tuple(method for method in test.methods if method != trained))
