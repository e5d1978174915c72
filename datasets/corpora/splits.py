"""Splits of an outside corpus: as published, and disjoint by person or by group of clips.

A disjoint split gives whole groups (connected components over people and clips) to one side each, balanced over reals
and fakes. Where one group is so large that a side would lack reals or fakes, as where every actor is swapped with every
other, its people are divided instead, and the videos whose people do not all lie on one side are left out by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json
from dancebench.datasets.corpora.manifest import Label, OfficialSplit, Split, VideoRow

SHARES: Final[Mapping[Split, float]] = {"train": 0.6, "validation": 0.15, "holdout": 0.25}
"""Part of the reals, and of the fakes, that each side of a disjoint split is to have."""
SplitKind = Literal["official", "person-disjoint", "group-disjoint"]
OF_OFFICIAL: Final[Mapping[OfficialSplit, Split]] = {"train": "train", "validation": "validation", "test": "holdout"}

Parts = npt.NDArray[np.float64]
"""float64 (2,): a part of all reals, and of all fakes."""


@dataclass(frozen=True)
class Division:
    """A split of a corpus.

    Attributes:
        rows: All rows, each with its side; None where it is left out.
        left_out: Those in no side, each with the reason.
    """

    rows: list[VideoRow]
    left_out: dict[str, str]


def split_officially(rows: Sequence[VideoRow]) -> Division:
    """The split that the corpus was published with; its test part is the holdout."""
    sides = {row.video_id: OF_OFFICIAL[row.official_split] for row in rows if row.official_split is not None}
    return _divide(rows, sides, {row.video_id: "in no official split" for row in rows if row.official_split is None})


def split_by_group(rows: Sequence[VideoRow], seed: int) -> Division:
    """A split that parts no group; nobody is said to be on one side only.

    Args:
        rows: With their groups.
        seed: Which of equally large groups goes where.
    """
    items = _weigh(rows, [str(row.group) for row in rows])
    sides = _assign(items, seed)
    return _divide(rows, {row.video_id: sides[str(row.group)] for row in rows}, {})


def split_by_person(rows: Sequence[VideoRow], seed: int) -> Division:
    """A split in which every person is on one side, whatever their role.

    Args:
        rows: With their people and groups.
        seed: Which of equally large groups goes where.

    Raises:
        BenchError: The people of a video are not known.
    """
    require_people(rows)
    whole = _split_people(rows, set(), seed)
    division, divided = whole, set[str]()
    while lacking := _find_lacking_labels(division.rows):
        largest = _find_largest_group(rows, divided, lacking)
        if largest is None:
            return whole  # to divide groups does not help, so none is divided
        divided.add(largest)
        division = _split_people(rows, divided, seed)
    return division


def require_people(rows: Sequence[VideoRow]) -> None:
    """Raise unless it is known who is seen in every video.

    Raises:
        BenchError: The people of a video are not known.
    """
    unknown = [row.video_id for row in rows if not row.identified]
    if unknown:
        raise BenchError(
            f"Nobody knows who is seen in {len(unknown)} of {len(rows)} videos, as in {unknown[0]}: no split of them "
            "can be disjoint by person.",
            hint="Use --split group-disjoint, which parts no group of clips.",
        )


def count_videos(rows: Iterable[VideoRow]) -> dict[str, dict[str, int]]:
    """Side -> how many reals and fakes it has."""
    counts: dict[str, dict[str, int]] = {side: {"real": 0, "fake": 0} for side in SHARES}
    for row in rows:
        if row.split is not None:
            counts[row.split]["fake" if row.label else "real"] += 1
    return counts


def list_lacks(rows: Sequence[VideoRow]) -> list[str]:
    """Sides that lack reals or fakes, in words."""
    return [
        f"{side} has no {kind}s" for side, kinds in count_videos(rows).items() for kind, n in kinds.items() if n == 0
    ]


# ---------------------------------------------------------------- steps


def _split_people(rows: Sequence[VideoRow], divided: set[str], seed: int) -> Division:
    """Assign whole groups, but of the groups in `divided` the people one by one."""

    def name_unit(row: VideoRow, person: str) -> str:
        return f"person {person}" if row.group in divided else f"group {row.group}"

    items = _weigh(rows, [name_unit(row, row.subject_id) for row in rows])
    for row in rows:  # who is in no video of their own has a side too
        for person in row.people:
            items.setdefault(name_unit(row, person.id), np.zeros(2))
    side_of = _assign(items, seed)
    sides: dict[str, Split] = {}
    left_out: dict[str, str] = {}
    for row in rows:
        of_people = {person.id: side_of[name_unit(row, person.id)] for person in row.people}
        if len(set(of_people.values())) == 1:
            sides[row.video_id] = next(iter(of_people.values()))
        else:
            listed = ", ".join(f"{person} ({side})" for person, side in of_people.items())
            left_out[row.video_id] = f"its people lie on several sides: {listed}"
    return _divide(rows, sides, left_out)


def _weigh(rows: Sequence[VideoRow], units: Sequence[str]) -> dict[str, Parts]:
    """Unit -> its part of all reals and of all fakes (2,)."""
    totals = np.bincount([row.label for row in rows], minlength=2).clip(min=1)
    weights: dict[str, Parts] = {}
    for row, unit in zip(rows, units, strict=True):
        weights.setdefault(unit, np.zeros(2))[row.label] += 1 / totals[row.label]
    return weights


def _assign(items: Mapping[str, Parts], seed: int) -> dict[str, Split]:
    """Give each unit to the side that lacks most of what it has, the largest first.

    The last units that hold a class are kept for the sides that have none of it.
    """
    sides = list(SHARES)
    lacking = np.array([[share, share] for share in SHARES.values()])  # (side, class)
    holds = np.zeros((len(sides), 2), dtype=bool)  # (side, class)
    left = np.sum([parts > 0 for parts in items.values()], axis=0) if items else np.zeros(2)  # units by class
    chosen: dict[str, Split] = {}
    for unit in sorted(items, key=lambda name: (-round(float(items[name].sum()), 9), sha256_json([seed, name]))):
        parts = items[unit]
        in_need = (parts > 0) & (left <= (~holds).sum(axis=0))  # classes (2,)
        waiting = (~holds & in_need).any(axis=1)  # sides
        values = lacking @ (parts if parts.any() else np.ones(2))
        best = int(np.argmax(np.where(waiting, values, -np.inf) if waiting.any() else values))
        chosen[unit] = sides[best]
        lacking[best] -= parts
        holds[best] |= parts > 0
        left = left - (parts > 0)
    return chosen


def _divide(rows: Sequence[VideoRow], sides: Mapping[str, Split], left_out: dict[str, str]) -> Division:
    return Division([row.model_copy(update={"split": sides.get(row.video_id)}) for row in rows], left_out)


def _find_lacking_labels(rows: Sequence[VideoRow]) -> set[Label]:
    """Labels that the corpus has and a side has not."""
    sides = {label: {row.split for row in rows if row.label == label} for label in {row.label for row in rows}}
    return {label for label, found in sides.items() if not set(SHARES) <= found}


def _find_largest_group(rows: Sequence[VideoRow], divided: set[str], labels: set[Label]) -> str | None:
    """The whole group with most videos of these labels, among those that show several people in them."""
    shown: dict[str, list[str]] = {}
    for row in rows:
        if row.group is not None and row.group not in divided and row.label in labels:
            shown.setdefault(row.group, []).append(row.subject_id)
    several = {group: len(people) for group, people in shown.items() if len(set(people)) > 1}
    return max(several, key=lambda group: (several[group], group), default=None)
