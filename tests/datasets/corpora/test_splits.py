"""Groups and splits of outside corpora: laws, and what is cut where groups are too large."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from corpora_toys import names_tree
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.base import list_people, make_row
from dancebench.datasets.corpora.groups import group_rows
from dancebench.datasets.corpora.manifest import VideoRow
from dancebench.datasets.corpora.splits import (
    SHARES,
    count_videos,
    list_lacks,
    split_by_group,
    split_by_person,
    split_officially,
)
from dancebench.detect.inputs.leak_audit import find_leaks

TREE = names_tree([])


def real(person: int) -> VideoRow:
    return make_row(TREE, f"real/{person}.mp4", 0, list_people(target=f"p{person:02d}"))


def fake(target: int, donor: int, number: int = 0) -> VideoRow:
    people = list_people(target=f"p{target:02d}", donor=f"p{donor:02d}")
    return make_row(
        TREE, f"fake/{target}_{donor}_{number}.mp4", 1, people, method="swap", real_of=f"real/{target}"
    )  # fmt: skip


def components(rows: Sequence[VideoRow]) -> set[frozenset[str]]:
    """Foreign reference: merging of sets of people, until nothing changes."""
    found = [{person.id for person in row.people} for row in rows]
    merged = True
    while merged:
        merged = False
        for first in range(len(found)):
            for second in range(first + 1, len(found)):
                if found[first] & found[second]:
                    found[first] |= found.pop(second)
                    merged = True
                    break
            if merged:
                break
    return {frozenset(people) for people in found}


corpora = st.builds(
    lambda people, swaps: [
        *(real(person) for person in range(people)),
        *(fake(a % people, b % people, k) for k, (a, b) in enumerate(swaps) if a % people != b % people),
    ],
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30),
)


@given(corpora)
def test_groups_are_the_connected_components_of_people(rows: list[VideoRow]) -> None:
    groups: dict[str | None, set[str]] = {}
    for row in group_rows(rows):
        groups.setdefault(row.group, set()).update(person.id for person in row.people)
    assert {frozenset(people) for people in groups.values()} == components(rows)
    assert all(group == min(people) for group, people in groups.items())


@given(corpora, st.integers(0, 3))
def test_no_person_is_on_two_sides_and_only_videos_across_are_left_out(rows: list[VideoRow], seed: int) -> None:
    grouped = group_rows(rows)
    division = split_by_person(grouped, seed)
    assert [row.video_id for row in division.rows] == [row.video_id for row in rows]
    assert not find_leaks(division.rows)
    assert {row.video_id for row in division.rows if row.split is None} == division.left_out.keys()
    sides = {person.id: row.split for row in division.rows if row.split for person in row.people}
    for row in division.rows:
        if row.split is None:
            assert len({sides[person.id] for person in row.people}) > 1
    assert split_by_person(grouped, seed).rows == division.rows


@given(corpora, st.integers(0, 3))
def test_a_split_by_group_leaves_nothing_out_and_parts_no_group(rows: list[VideoRow], seed: int) -> None:
    division = split_by_group(group_rows(rows), seed)
    assert not division.left_out
    sides: dict[str | None, set[str | None]] = {}
    for row in division.rows:
        sides.setdefault(row.group, set()).add(row.split)
    assert all(len(found) == 1 for found in sides.values())


def test_closed_form_three_groups_of_fakes_are_one_for_each_side() -> None:
    rows = group_rows([*map(real, range(6)), *(fake(a, b) for k in (0, 2, 4) for a, b in ((k, k + 1), (k + 1, k)))])
    for seed in range(5):
        division = split_by_person(rows, seed)
        assert not division.left_out
        assert {side: n["fake"] for side, n in count_videos(division.rows).items()} == dict.fromkeys(SHARES, 2)


def test_many_small_groups_come_near_the_shares() -> None:
    rows = group_rows([*map(real, range(400)), *(fake(k, k + 1) for k in range(0, 400, 2))])
    division = split_by_person(rows, seed=1)
    for side, kinds in count_videos(division.rows).items():
        assert kinds["real"] == pytest.approx(400 * SHARES[side], abs=4)  # type: ignore[index]
        assert kinds["fake"] == pytest.approx(200 * SHARES[side], abs=2)  # type: ignore[index]
    assert {row.split for row in split_by_person(rows, seed=2).rows} == set(SHARES)
    assert split_by_person(rows, seed=2).rows != division.rows


def test_one_group_of_all_is_divided_and_the_videos_across_are_named() -> None:
    rows = group_rows([*map(real, range(12)), *(fake(a, b) for a in range(12) for b in range(12) if a != b)])
    division = split_by_person(rows, seed=0)
    assert list_lacks(division.rows) == []
    assert 0 < len(division.left_out) < 132
    video, reason = next(iter(division.left_out.items()))
    assert video.startswith("fake/")
    assert "its people lie on several sides: p" in reason


def test_where_dividing_does_not_help_no_video_is_left_out() -> None:
    """All reals show one person: two sides have none, whatever else is divided."""
    others = [fake(2 * k + 1, 2 * k + 2) for k in range(30)]
    division = split_by_person(group_rows([real(0), real(0).model_copy(update={"video_id": "again"}), *others]), seed=0)
    assert not division.left_out
    assert len(list_lacks(division.rows)) == 2


def test_parts_of_a_file_and_fakes_of_one_real_are_one_group() -> None:
    parts = [
        make_row(TREE, "grid.mp4", 1, video_id=f"grid#{k}", group=f"grid#{k}", method="x") for k in range(3)
    ]  # fmt: skip
    others = [make_row(TREE, f"{k}.mp4", 1, method="x", real_of="r") for k in range(2)]
    rows = group_rows([*parts, *others, make_row(TREE, "r.mp4", 0), make_row(TREE, "s.mp4", 0)])
    assert [row.group for row in rows] == ["grid#0", "grid#0", "grid#0", "0", "0", "0", "s"]
    with pytest.raises(BenchError, match="Nobody knows who is seen in 7 of 7 videos"):
        split_by_person(rows, seed=0)


def test_an_official_split_is_taken_as_it_is() -> None:
    rows = [real(0).model_copy(update={"official_split": split}) for split in ("train", "validation", "test", None)]
    named = [row.model_copy(update={"video_id": str(k)}) for k, row in enumerate(rows)]
    division = split_officially(named)
    assert [row.split for row in division.rows] == ["train", "validation", "holdout", None]
    assert division.left_out == {"3": "in no official split"}


def test_no_video_at_all() -> None:
    assert group_rows([]) == []
    assert split_by_person([], seed=0).rows == []
