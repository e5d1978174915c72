"""Another split of the clips than the dataset's own: laws of the division, names, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import make_dataset
from hypothesis import given
from hypothesis import strategies as st

from dancebench.benchmark.runs.synthesis import open_dataset, view_dataset
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.catalogue import build_catalogue
from dancebench.datasets.subjects.dataset import Dataset, read_split_name
from dancebench.datasets.subjects.records import FIRST_POSE_SOURCE, SubjectRecord

DEMO = Dataset(Path("nowhere"), build_catalogue("demo-tiny", FIRST_POSE_SOURCE))


@given(st.integers(1, 999_999))
def test_law_a_name_says_the_split_and_only_one_split_has_it(millionths: int) -> None:
    fraction = millionths / 1e6
    divided = DEMO.divide(fraction)
    if fraction == 0.8:
        assert divided is DEMO
        return
    assert read_split_name(divided.name) == ("demo-tiny", fraction)
    assert divided.record.split.train_fraction == fraction
    assert divided.record.dataset_id != DEMO.record.dataset_id
    assert divided.divide(fraction) == divided
    assert divided.divide(0.85).name == "demo-tiny.train-0.85"


@pytest.mark.parametrize(
    "name", ["demo", "demo.train-1", "demo.train-0", "demo.train-0.0", "a.train-0.1234567", ".train-0.5"]
)
def test_other_names_say_no_split(name: str) -> None:
    assert read_split_name(name) == (name, None)


def test_closed_form_the_first_85_percent_train_and_the_clip_is_not_prepared_again(tmp_path: Path) -> None:
    whole = make_dataset(tmp_path, n_frames=40)
    workspace = Workspace(tmp_path)
    divided = open_dataset(workspace, "toy", 0.85)
    subject = divided.subject("walker")
    assert (subject.train, subject.test) == (range(34), range(34, 40))
    assert subject.folder == whole.subject("walker").folder
    assert (divided.name, divided.record.dataset_id) == ("toy.train-0.85", whole.divide(0.85).record.dataset_id)
    assert divided.content_sha256(["walker"]) == whole.content_sha256(["walker"])
    for again in (open_dataset(workspace, "toy.train-0.850"), Dataset.open(workspace, "toy.train-0.85")):
        assert again == divided
    assert open_dataset(workspace, "toy.train-0.85", 0.8).subject("walker").train == range(32)
    assert open_dataset(workspace, "toy", 0.8) == whole
    assert workspace.list_datasets() == ["toy"]
    assert Dataset.open(workspace, "toy") == whole


def test_a_demo_catalogue_is_divided_whether_or_not_it_is_there(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    seen = view_dataset(workspace, "demo-tiny.train-0.85")
    assert not workspace.list_datasets()
    opened = open_dataset(workspace.open(), "demo-tiny.train-0.85")
    assert seen == opened == view_dataset(workspace, "demo-tiny.train-0.85")
    assert opened.record.split.train_fraction == 0.85
    assert Dataset.open(workspace, "demo-tiny").record.split.train_fraction == 0.8


def test_a_subject_with_its_own_training_part_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    path = dataset.subject_folder("walker") / "subject.json"
    SubjectRecord.load(path).model_copy(update={"n_train": 20, "breaks": (20,)}).save(path)
    assert dataset.subject("walker").train == range(20)
    with pytest.raises(BenchError, match="own training part: the first 20 of its 30 frames") as caught:
        dataset.divide(0.85).subject("walker")
    assert caught.value.hint == "Leave --train-fraction out: the dataset's own name, without .train-…, keeps that part."
    assert dataset.divide(0.8).subject("walker").train == range(20)


def test_what_is_not_there_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    with pytest.raises(UnknownNameError, match=r"toi\.train-0\.85"):
        Dataset.open(Workspace(tmp_path), "toi.train-0.85")
    long = make_dataset(tmp_path, name="x" * 60)
    with pytest.raises(BenchError, match="cannot be the name of a dataset"):
        long.divide(0.85)
