"""Exclusion rules: each leaves out what it says, and tells so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from study_site import plan_study

from dancebench.benchmark.study.exclusion import Used, apply_rules, count_failed_checks
from dancebench.benchmark.study.make import make_study
from dancebench.benchmark.study.records import Item, StudyFolder, StudyRecord
from dancebench.benchmark.study.store import Rater, Trial
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset

PLAY = {"ended": True, "played_s": 0.24, "wall_s": 0.24, "stalls": 0, "dropped": 0, "frames": 6}


@pytest.fixture(scope="module")
def study(toys: tuple[Workspace, Dataset]) -> StudyRecord:
    folder = StudyFolder(toys[0], "rules")
    return folder.load() if folder.path.exists() else make_study(plan_study(*toys, "rules"))


def make_trials(
    study: StudyRecord, choose: Callable[[int, Item], str], order: tuple[int, ...] = (0, 1), **log: Any
) -> list[Trial]:
    """A rater who answered every pair and one check of each kind."""
    checks = [next(check for check in study.checks if check.kind == kind) for kind in ("instructed", "obvious")]
    return [
        Trial(
            "r1", at, item.id, order, "answered", None, {"realistic": choose(at, item)},
            {"playback": {"a": PLAY, "b": PLAY}, "reaction_ms": 900, **log},
        )
        for at, item in enumerate([*study.items, *checks])
    ]  # fmt: skip


def attend(at: int, item: Item) -> str:
    if item.kind == "question":
        return "ab"[at % 2]
    return "ab"[item.clips.index(item.expected or "")]


def use(study: StudyRecord, trials: list[Trial], state: str = "finished") -> Used:
    rater = Rater("r1", 0, state, {}, {}, "2026-01-01T00:00:00+00:00", None)  # type: ignore[arg-type]
    return apply_rules(study, [rater], trials)


def test_who_attends_is_used(study: StudyRecord) -> None:
    used = use(study, make_trials(study, attend))
    assert (used.raters, used.excluded, used.dropped) == (["r1"], {}, {})
    assert len(used.votes) == len(study.items)
    assert set(used.per_item.values()) == {1}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_vote_is_for_what_stood_there(study: StudyRecord, order: tuple[int, ...]) -> None:
    def choose(at: int, item: Item) -> str:
        if item.kind == "question":
            return "ab"[at % 2]
        shown = item.arrange(order)
        return "ab"[shown.index(item.expected or "")]

    trials = make_trials(study, choose, order)
    for vote, item, at in zip(use(study, trials).votes, study.items, range(99), strict=False):
        shown = item.arrange(order)
        assert vote.options == tuple(study.clip_of[clip].method for clip in shown)
        assert vote.choice == study.clip_of[shown[at % 2]].method


@pytest.mark.parametrize("kind", ["instructed", "obvious"])
def test_a_failed_check_of_either_kind_excludes(study: StudyRecord, kind: str) -> None:
    def choose(at: int, item: Item) -> str:
        right = attend(at, item)
        return {"a": "b", "b": "a"}[right] if item.kind == kind else right

    trials = make_trials(study, choose)
    used = use(study, trials)
    assert count_failed_checks(study, trials) == 1
    assert used.excluded == {"r1": "failed more than 0 attention checks"}
    assert used.votes == []
    assert set(used.per_item.values()) == {0}


def test_who_did_not_finish_or_always_says_the_same(study: StudyRecord) -> None:
    assert use(study, make_trials(study, attend), "active").excluded == {"r1": "did not come to the end"}

    def same(at: int, item: Item) -> str:
        return "a" if item.kind == "question" else attend(at, item)

    assert "the same answer" in use(study, make_trials(study, same)).excluded["r1"]
    few = make_trials(study, same)[:9]
    assert use(study, few).excluded == {}


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ({"reaction_ms": 100}, "answered within 0.2 s"),
        ({"playback": {"a": PLAY, "b": PLAY | {"wall_s": 0.8}}}, "a video stood still"),
        ({"playback": {"a": PLAY | {"dropped": 2}, "b": PLAY}}, "dropped more than 20% of its frames"),
        ({"reaction_ms": None, "playback": {"a": PLAY | {"wall_s": None, "frames": 0}, "b": PLAY}}, None),
    ],
)
def test_single_answers_are_dropped_with_the_reason(
    study: StudyRecord, log: dict[str, Any], reason: str | None
) -> None:
    used = use(study, make_trials(study, attend, **log))
    assert used.excluded == {}
    if reason is None:
        assert used.dropped == {}
        assert len(used.votes) == len(study.items)
    else:
        [(said, count)] = used.dropped.items()
        assert reason in said
        assert (count, used.votes) == (len(study.items), [])


def test_voided_trials_are_counted_by_reason(study: StudyRecord) -> None:
    trials = make_trials(study, attend)
    trials[0] = trials[0]._replace(state="void", reason="not decoded", answers=None, log=None)
    used = use(study, trials)
    assert used.voided == {"not decoded": 1}
    assert used.per_item[study.items[0].id] == 0
