"""Blocks: balanced over pairs, methods and sides whoever gives up, the same for the same seed."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dancebench.benchmark.study.design import PlannedTrial, list_orders, plan_block
from dancebench.benchmark.study.records import ExclusionRules, Item, ShownClip, StudyRecord, Task


@cache
def compose(task: Task = "edn", methods: int = 4, subjects: int = 5, trials: int = 18, seed: int = 0) -> StudyRecord:
    names = [f"m{k}" for k in range(methods)]
    clips = [
        ShownClip(
            id=f"{subject}-{method}", subject=str(subject), source=str(subject), method=method, sha256="",
            from_sha256="", start_s=0, seconds=1, n_frames=25, fps=25, height=64, width=64,
        )
        for subject in range(subjects)
        for method in [*names, *([None] if task == "real-or-fake" else [])]
    ]  # fmt: skip
    if task == "real-or-fake":
        items = [Item(id=clip.id, kind="question", clips=(clip.id,)) for clip in clips]
    elif task == "ddg":
        items = [
            Item(id=f"{subject}", kind="question", clips=tuple(f"{subject}-{name}" for name in names))
            for subject in range(subjects)
        ]
    else:
        items = [
            Item(id=f"{subject}:{i}:{j}", kind="question", clips=(f"{subject}-m{i}", f"{subject}-m{j}"))
            for subject in range(subjects)
            for i in range(methods)
            for j in range(i + 1, methods)
        ]
    checks = [
        Item(id=f"{kind}{k}", kind=kind, clips=items[k].clips, expected=items[k].clips[0])
        for kind in ("instructed", "obvious")
        for k in range(3)
    ]
    return StudyRecord(
        name="x", task=task, seed=seed, dataset="d", dataset_id="a" * 64, preset="p", methods=tuple(names),
        subjects=tuple(map(str, range(subjects))), frame_size="native", seconds=10, trials_per_rater=trials,
        checks_per_rater=2, contact="c", rules=ExclusionRules(), clips=tuple(clips), items=tuple(items),
        checks=tuple(checks),
    )  # fmt: skip


def plan_all(study: StudyRecord, raters: int, leaves: set[int]) -> tuple[list[list[PlannedTrial]], Counter[str]]:
    """The blocks of raters one after the other; those who leave give no vote."""
    votes: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    blocks = []
    for number in range(raters):
        block = plan_block(study, number, votes, shown)
        blocks.append(block)
        items = [trial.item for trial in block]
        shown.update(items)
        if number not in leaves:
            votes.update(items)
    return blocks, votes


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(3, 5), st.integers(1, 6), st.integers(1, 20), st.sets(st.integers(0, 19)))
def test_votes_of_two_pairs_differ_by_one_at_most(
    seed: int, methods: int, subjects: int, raters: int, leaves: set[int]
) -> None:
    study = compose(methods=methods, subjects=subjects, seed=seed)
    blocks, votes = plan_all(study, raters, leaves)
    counts = [votes[item.id] for item in study.items]
    assert max(counts) - min(counts) <= 1
    for block in blocks:
        items = [trial.item for trial in block]
        assert len(set(items)) == len(items), "no rater sees anything twice"
        assert len(items) == min(18, len(study.items)) + 2


def test_a_block_is_balanced_over_methods_and_subjects_and_starts_with_a_question() -> None:
    study = compose()
    blocks, _ = plan_all(study, 40, set())
    for block in blocks:
        assert study.item_of[block[0].item].kind == "question"
        kinds = Counter(study.item_of[trial.item].kind for trial in block)
        assert kinds == {"question": 18, "instructed": 1, "obvious": 1}
    first = [study.item_of[trial.item] for trial in blocks[0]]
    pairs = Counter(item.id.partition(":")[2] for item in first if item.kind == "question")
    assert set(pairs.values()) == {3}, "six pairs of methods, three times each"


def test_each_pair_stands_each_way_round_half_of_the_time() -> None:
    study = compose()
    blocks, votes = plan_all(study, 100, set())
    flipped = Counter(trial.item for block in blocks for trial in block if trial.order == (1, 0))
    for item in study.items:
        assert abs(2 * flipped[item.id] - votes[item.id]) <= 1


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_closed_form_everything_stands_everywhere_and_after_everything_else_equally_often(n: int) -> None:
    orders = list_orders(n)
    assert len(orders) == (n if n % 2 == 0 or n == 1 else 2 * n)
    assert all(sorted(order) == list(range(n)) for order in orders)
    for place in range(n):
        assert set(Counter(order[place] for order in orders).values()) == {len(orders) // n}
    after = Counter(pair for order in orders for pair in itertools.pairwise(order))
    assert len(after) == n * (n - 1)
    assert len(set(after.values())) <= 1


def test_four_at_once_stand_in_each_place_equally_often() -> None:
    study = compose("ddg", subjects=18)
    blocks, votes = plan_all(study, 40, set())
    assert {votes[item.id] for item in study.items} == {40}
    for item in study.items:
        for place in range(4):
            stood = Counter(trial.order[place] for block in blocks for trial in block if trial.item == item.id)
            assert stood == dict.fromkeys(range(4), 10)


def test_half_of_the_single_videos_are_real() -> None:
    study = compose("real-or-fake", subjects=10)
    block = plan_block(study, 0, {}, {})
    clips = [study.clip_of[study.item_of[trial.item].clips[0]] for trial in block]
    questions = [clip for clip, trial in zip(clips, block, strict=True) if study.item_of[trial.item].kind == "question"]
    assert sum(clip.method is None for clip in questions) == 9


def test_the_seed_and_the_rater_decide_the_order() -> None:
    study, other = compose(), compose(seed=1)
    assert plan_block(study, 3, {}, {}) == plan_block(study, 3, {}, {})
    assert plan_block(study, 3, {}, {}) != plan_block(study, 4, {}, {})
    assert plan_block(study, 3, {}, {}) != plan_block(other, 3, {}, {})


@pytest.mark.parametrize("raters", [60])
def test_positions_of_checks_are_spread(raters: int) -> None:
    study = compose()
    blocks, _ = plan_all(study, raters, set())
    places = [at for block in blocks for at, trial in enumerate(block) if study.item_of[trial.item].kind != "question"]
    assert np.std(places) > 4
    assert min(places) >= 1
