"""Protocols of a prepared dataset: which methods they fix, and what a run on a dataset cannot do."""

from typing import Any

import pytest

from dancebench.core.errors import BenchError
from dancebench.detect.protocol.catalogue import load_built_in
from dancebench.detect.protocol.definition import Protocol
from dancebench.detect.protocol.of_dataset import DatasetMethods, is_of_dataset, read_methods


def change(**sides: list[dict[str, Any]]) -> Protocol:
    """`unseen` with fields of the parts of some sides replaced."""
    data = load_built_in("unseen").model_dump(mode="json")
    fold = data["folds"]["all"]
    for side, parts in sides.items():
        if side == "tests":
            fold["tests"]["holdout"] = [fold["tests"]["holdout"][0] | part for part in parts]
        else:
            fold[side] = [fold[side][0] | part for part in parts]
    return Protocol.model_validate(data)


def test_unseen_trains_on_one_method_and_tests_on_four_more() -> None:
    others = ("ddg", "fbf", "fbf-ts-fg", "posewarp")
    assert read_methods(load_built_in("unseen")) == DatasetMethods("fbf-ts", others)


def test_unseen_warm_trains_and_tests_on_other_methods_and_is_else_the_same() -> None:
    warm, unseen = load_built_in("unseen-warm"), load_built_in("unseen")
    assert read_methods(warm) == DatasetMethods("ddg-baseline", ("ddg", "posewarp"))
    assert (warm.perturbations, warm.leading_metric) == (unseen.perturbations, unseen.leading_metric)


def test_table_5_leaves_the_methods_to_each_entry() -> None:
    assert read_methods(load_built_in("table-5")) == DatasetMethods(None, None)
    assert is_of_dataset(load_built_in("table-5"))


@pytest.mark.parametrize(
    ("protocol", "reason"),
    [
        (load_built_in("in-domain"), "is not one training on people of a prepared dataset"),
        (change(train=[{"side": "validation"}]), "does not take a dataset's people by their roles"),
        (change(train=[{}, {}]), "does not take a dataset's people by their roles"),
        (change(train=[{"methods": ["fbf", "fbf-ts"]}]), "does not train and validate on one method's fakes"),
        (change(validation=[{"methods": ["fbf"]}]), "does not train and validate on one method's fakes"),
        (change(tests=[{"methods": ["fbf-ts"]}]), "does not train and validate on one method's fakes"),
        (change(tests=[{"compression": "c40"}]), "fixes what a run on a dataset leaves to each entry"),
        (load_built_in("unseen").model_copy(update={"windows": 16}), "fixes what a run on a dataset leaves"),
    ],
)
def test_what_a_run_on_a_dataset_cannot_do_is_refused(protocol: Protocol, reason: str) -> None:
    with pytest.raises(BenchError, match=reason) as error:
        read_methods(protocol)
    assert "unseen" in str(error.value.hint)
