"""The store: one row a trial, of one study, readable after anything."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from study_site import plan_study

from dancebench.benchmark.study.make import make_study
from dancebench.benchmark.study.records import StudyFolder, StudyRecord
from dancebench.benchmark.study.store import MAX_REPLACEMENTS, AnsweredTwiceError, Store
from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset


@pytest.fixture(scope="module")
def study(toys: tuple[Workspace, Dataset]) -> StudyRecord:
    folder = StudyFolder(toys[0], "store")
    return folder.load() if folder.path.exists() else make_study(plan_study(*toys, "store"))


@pytest.fixture
def store(study: StudyRecord, tmp_path: Path) -> Store:
    return Store(tmp_path / "votes.sqlite", study)


def test_a_store_belongs_to_the_study_that_opened_it(study: StudyRecord, store: Store) -> None:
    store.enrol({}, {})
    store.close()
    softer = study.model_copy(update={"rules": study.rules.model_copy(update={"max_failed_checks": 2})})
    with pytest.raises(BenchError, match=r"another study\.json") as caught:
        Store(store.path, softer)
    assert "before the first vote" in (caught.value.hint or "")
    assert len(Store(store.path, study).list_raters()) == 1


def test_files_that_are_no_store(study: StudyRecord, tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("x" * 5000)
    for path in (tmp_path / "text.sqlite", tmp_path / "none" / "votes.sqlite", tmp_path):
        with pytest.raises(BenchError) as caught:
            Store(path, study)
        assert caught.value.hint
    assert (tmp_path / "text.sqlite").read_text() == "x" * 5000


def test_a_store_of_a_later_release_is_left_alone(study: StudyRecord, store: Store) -> None:
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE facts SET value = '2' WHERE name = 'schema_version'")
    with pytest.raises(BenchError, match="later release"):
        Store(store.path, study)


def test_a_voided_trial_is_replaced_by_one_that_the_rater_has_not_seen(store: Store, study: StudyRecord) -> None:
    small = study.model_copy(update={"trials_per_rater": 5})
    other = Store(store.path.with_name("small.sqlite"), small)
    rater = other.enrol({}, {}).rater
    before = other.list_trials(rater.id)
    position = next(trial.position for trial in before if small.item_of[trial.item].kind == "question")
    other.void(rater.id, position, "not decoded")
    after = other.list_trials(rater.id)
    assert len(after) == len(before) + 1
    assert after[-1].item not in {trial.item for trial in before}
    assert small.item_of[after[-1].item].kind == "question"
    check = next(trial for trial in before if small.item_of[trial.item].kind == "instructed")
    other.void(rater.id, check.position, "not decoded")
    assert small.item_of[other.list_trials(rater.id)[-1].item].kind == "instructed"
    for trial in other.list_trials(rater.id):
        if trial.state == "open":
            other.void(rater.id, trial.position, "not decoded")
    trials = other.list_trials(rater.id)
    assert len(trials) <= len(before) + MAX_REPLACEMENTS
    assert Counter(trial.state for trial in trials)["open"] >= 0


def test_answers_to_what_is_not_there(store: Store) -> None:
    rater = store.enrol({}, {}).rater
    with pytest.raises(LookupError):
        store.answer(rater.id, 99, {"realistic": "a"}, {})
    with pytest.raises(LookupError):
        store.answer("nobody", 0, {"realistic": "a"}, {})
    store.void(rater.id, 0, "not decoded")
    with pytest.raises(AnsweredTwiceError):
        store.answer(rater.id, 0, {"realistic": "a"}, {})
    assert not store.erase("nobody")


def test_a_full_disk_enrols_nobody(store: Store) -> None:
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")

    def enrol_all() -> None:
        for _ in range(100):
            store.enrol({}, {})

    with pytest.raises(BenchError, match="full") as caught:
        enrol_all()
    assert "The disk is full" in (caught.value.hint or "")
    complete = {trial.rater for trial in store.list_trials()}
    assert {rater.id for rater in store.list_raters()} == complete, "no rater without trials"


def test_open_trials_of_who_left_are_given_to_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = store.enrol({}, {}).rater
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE raters SET seen = '2020-01-01T00:00:00+00:00'")
    with store._transaction() as connection:
        votes, shown = store._count_items(connection)
    assert sum(votes.values()) == 0
    assert sum(shown.values()) == len(store.list_trials(gone.id))
