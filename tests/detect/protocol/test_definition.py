"""Protocols as documents: their hash, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.detect.evaluation.robustness import UNSEEN_AUC
from dancebench.detect.protocol.catalogue import load_built_in
from dancebench.detect.protocol.definition import Part, Protocol, check_protocol, read_protocol


def dump(name: str = "in-domain") -> dict[str, Any]:
    return load_built_in(name).model_dump(mode="json")


def change(**fields: Any) -> Protocol:
    return Protocol.model_validate(dump() | fields)


def test_names_and_sources_change_no_hash() -> None:
    assert change(name="mine", title="Another", source="us").sha256 == load_built_in("in-domain").sha256


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1}, {"leaks": "refuse"}, {"windows": 16}, {"windows": "all"}, {"view": "person"},
        {"aggregation": "product"}, {"leading_metric": "pair_auc"},
        {"perturbations": ["blur1"], "leading_metric": UNSEEN_AUC},
        {"folds": {"other": dump()["folds"]["all"]}},
    ],
)  # fmt: skip
def test_what_decides_a_number_changes_the_hash(fields: dict[str, Any]) -> None:
    assert change(**fields).sha256 != load_built_in("in-domain").sha256


@pytest.mark.parametrize(
    "fields",
    [{"version": "2"}, {"split": "person-disjoint"}, {"methods": ["Deepfakes"]}, {"without": ["FaceSwap"]},
     {"compression": "c40"}, {"lists": {"train.json": "ab" * 32}}],
)  # fmt: skip
def test_every_field_of_a_part_changes_the_hash(fields: dict[str, Any]) -> None:
    folds = dump()["folds"]
    folds["all"]["train"][0] |= fields
    assert change(folds=folds).sha256 != load_built_in("in-domain").sha256


def test_the_order_of_methods_changes_no_hash() -> None:
    folds = dump()["folds"]
    folds["all"]["train"][0]["methods"].reverse()
    assert change(folds=folds).sha256 == load_built_in("in-domain").sha256


def test_a_protocol_is_read_as_it_was_written(tmp_path: Path) -> None:
    protocol = load_built_in("cross-dataset")
    protocol.save(tmp_path / "cross-dataset.json")
    assert read_protocol(tmp_path / "cross-dataset.json") == protocol


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ({"aggregation": "mean-prop"}, "Unknown aggregator 'mean-prop'.", "Did you mean 'mean-prob'?"),
        ({"perturbations": ["blur11"], "leading_metric": UNSEEN_AUC}, "Unknown perturbation 'blur11'.",
         "Did you mean 'blur1'"),
        ({"leading_metric": "video_aux"}, "Unknown leading metric of protocol 'in-domain' 'video_aux'.",
         "Did you mean 'video_auc'?"),
    ],
)  # fmt: skip
def test_unknown_names_are_refused(fields: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as error:
        check_protocol(change(**fields))
    assert error.value.message == message
    assert hint in str(error.value.hint)


@pytest.mark.parametrize("name", ["none", "crf40", "resize25", "darker", "flatter"])
def test_no_perturbation_of_training_counts_as_unseen(name: str) -> None:
    with pytest.raises(BenchError, match=f"counts '{name}' as unseen, which detectors are trained under") as error:
        check_protocol(change(perturbations=["blur1", name], leading_metric=UNSEEN_AUC))
    assert error.value.hint == "Leave out every perturbation of none, h264, resize, brightness, contrast."


@pytest.mark.parametrize("fields", [{"perturbations": ["blur1"]}, {"leading_metric": UNSEEN_AUC}])
def test_perturbations_and_the_metric_over_them_are_named_together(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="perturbations are named where video_auc_unseen leads"):
        change(**fields)


def test_the_order_of_perturbations_changes_no_hash() -> None:
    names = ["blur1", "noise5"]
    one, other = (change(perturbations=each, leading_metric=UNSEEN_AUC) for each in (names, names[::-1]))
    assert one.sha256 == other.sha256


def test_a_document_of_version_1_is_read_with_the_same_hash(tmp_path: Path) -> None:
    fields = {name: value for name, value in dump().items() if name != "perturbations"}
    (tmp_path / "in-domain.json").write_text(json.dumps(fields | {"schema_version": 1}))
    assert read_protocol(tmp_path / "in-domain.json").sha256 == load_built_in("in-domain").sha256


def test_an_unknown_corpus_is_refused_with_its_place() -> None:
    folds = dump()["folds"]
    folds["all"]["validation"][0]["corpus"] = "fpp"
    with pytest.raises(UnknownNameError) as error:
        check_protocol(change(folds=folds))
    assert error.value.message == "Unknown corpus in folds.all.validation of protocol 'in-domain' 'fpp'."
    assert "Did you mean 'ffpp'?" in str(error.value.hint)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"corpus": "ffpp", "split": "official"}, "a part is the whole corpus, or a side of a split"),
        ({"corpus": "ffpp", "split": "whole", "side": "train"}, "a part is the whole corpus, or a side of a split"),
        ({"corpus": "ffpp", "split": "roles", "side": "train"}, "divided by roles"),
        ({"corpus": "dataset", "split": "official", "side": "train"}, "divided by roles"),
        ({"corpus": "ffpp", "split": "by-hand", "side": "train"}, "Input should be"),
        ({"corpus": "ffpp", "split": "official", "side": "test"}, "Input should be"),
    ],
)
def test_a_part_that_means_nothing_is_refused(part: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Part.model_validate(part)


@pytest.mark.parametrize(
    "fields",
    [{"windows": 0}, {"windows": "many"}, {"view": "hand"}, {"folds": {}}, {"leaks": "ignore"}, {"novelty": 1}],
)
def test_a_file_with_a_wrong_value_is_one_line_with_its_place(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = tmp_path / "in-domain.json"
    path.write_text(json.dumps(dump() | fields))
    with pytest.raises(BenchError, match=f"is not a valid Protocol file: {next(iter(fields))}") as error:
        read_protocol(path)
    assert "\n" not in error.value.message
    assert error.value.hint


def test_a_file_under_another_name_is_refused(tmp_path: Path) -> None:
    load_built_in("in-domain").save(tmp_path / "mine.json")
    with pytest.raises(BenchError, match="holds the protocol 'in-domain', not 'mine'"):
        read_protocol(tmp_path / "mine.json")


def test_a_later_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in-domain.json"
    path.write_text(json.dumps(dump() | {"schema_version": 9}))
    with pytest.raises(BenchError, match="schema version 9"):
        read_protocol(path)


def test_an_unknown_fold_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="fold of protocol 'in-domain'"):
        load_built_in("in-domain").find_fold("second")
