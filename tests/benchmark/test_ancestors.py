"""Whom ancestors are trained on, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest

from dancebench.benchmark.ancestors import LENGTH, configure_ancestor, configure_warm, list_people, shorten
from dancebench.benchmark.presets import PRESETS, RunSettings, configure_method
from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.catalogue import build_catalogue
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.records import FIRST_POSE_SOURCE
from dancebench.synth.base import METHODS, LearnedMethod, Schedule
from dancebench.synth.gan.method import GanConfig
from dancebench.synth.methods.ddg.method import DdgConfig
from dancebench.synth.methods.fbf_ts_fg import FaceGanConfig

LEARNED = [name for name in METHODS.names() if issubclass(METHODS[name], LearnedMethod)]


def test_the_sides_share_no_training_person_and_leave_none_out(tmp_path: Path) -> None:
    dataset = Dataset.create(Workspace(tmp_path).open(), build_catalogue("demo", FIRST_POSE_SOURCE))
    train, holdout = list_people(dataset, "train"), list_people(dataset, "holdout")
    assert not set(train) & set(holdout)
    assert sorted(train + holdout) == sorted(dataset.ids("train"))
    assert (len(train), len(holdout)) == (20, 20)


def test_too_few_training_people_are_refused(tmp_path: Path) -> None:
    record = build_catalogue("demo-tiny", FIRST_POSE_SOURCE)
    subjects = tuple(each for each in record.subjects if each.id != "train02")
    dataset = Dataset.create(Workspace(tmp_path).open(), record.model_copy(update={"subjects": subjects}))
    with pytest.raises(
        BenchError, match="has 1 training people; a warm start needs one for each of the 2 sides"
    ) as error:
        list_people(dataset, "holdout")
    assert error.value.hint


@pytest.mark.parametrize("method", LEARNED)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_learned_method_has_an_ancestor_of_its_own_shapes_in_every_preset(method: str, preset: str) -> None:
    config = configure_method(preset, method, RunSettings(seed=3, trunk="off", batch=4))
    ancestor = configure_ancestor(preset, method, config)
    assert (type(ancestor), ancestor.long_side, ancestor.seed) == (type(config), config.long_side, 3)
    counted_in_epochs = preset.startswith("paper")  # whose steps are as many more as the pooled examples are
    assert (ancestor == config) == counted_in_epochs


def test_a_run_that_trains_people_for_less_starts_from_the_same_ancestor() -> None:
    whole = configure_method("demo", "fbf", RunSettings())
    fields = {"fbf": {"schedule.steps": 62, "schedule.learning_rate": 1e-4}}
    quarter = configure_method("demo", "fbf", RunSettings(fields=fields))
    wider = configure_method("demo", "fbf", RunSettings(fields={"fbf": {"ngf": 20}}))
    ancestor = configure_ancestor("demo", "fbf", whole)
    assert isinstance(ancestor, GanConfig)
    assert isinstance(whole, GanConfig)
    assert ancestor.schedule.steps == LENGTH * (whole.schedule.steps or 0) == 1000
    assert configure_ancestor("demo", "fbf", quarter) == ancestor
    assert configure_ancestor("demo", "fbf", wider) != ancestor


def test_a_warm_start_takes_the_measured_share_of_the_presets_steps_and_keeps_what_a_run_sets() -> None:
    whole = configure_method("protocol", "ddg", RunSettings(seed=3))
    assert isinstance(whole, DdgConfig)
    quarter = configure_warm("protocol", "ddg", whole)
    assert quarter == whole.model_copy(update={"schedule": whole.schedule.model_copy(update={"steps": 82})})
    assert configure_ancestor("protocol", "ddg", quarter) == configure_ancestor("protocol", "ddg", whole)
    for preset, method, fields in (
        ("protocol", "ddg", {"schedule.steps": 200}),  # set by the run
        ("small", "ddg", {}),  # not measured
        ("protocol", "fbf-ts", {}),  # measured to be worse
    ):
        config = configure_method(preset, method, RunSettings(fields={method: fields}))
        assert configure_warm(preset, method, config) == config


def test_closed_form_every_schedule_of_a_configuration_is_shortened_in_steps_or_epochs() -> None:
    whole = configure_method("paper", "fbf-ts-fg", RunSettings())
    assert isinstance(whole, FaceGanConfig)
    half = shorten(whole, whole, 0.5)
    assert half.face_schedule.epochs == (whole.face_schedule.epochs or 0) / 2
    assert half.main.schedule.epochs == (whole.main.schedule.epochs or 0) / 2
    steps = Schedule(steps=3)
    assert shorten(steps, steps, 0.1).steps == 1


def test_the_base_of_an_ancestor_is_the_ancestor_of_the_base() -> None:
    face = configure_ancestor("demo", "fbf-ts-fg", configure_method("demo", "fbf-ts-fg", RunSettings()))
    assert isinstance(face, FaceGanConfig)
    assert face.main == configure_ancestor("demo", "fbf-ts", configure_method("demo", "fbf-ts", RunSettings()))
    assert face.face_schedule.steps == LENGTH * 150
