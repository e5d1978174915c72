"""Which videos a protocol selects: a protocol and copies of its corpora in; the videos of each part out, audited.

A corpus is divided whole, then a part's methods and compression are picked, so that every compression of a clip
and every fake of a person lie on one side. The rows say on which side of the protocol they are, whatever their corpus'
own split says: `train`, `validation`, or `holdout` for the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.manifest import Split, VideoRow
from dancebench.datasets.corpora.splits import Division, split_by_group, split_by_person, split_officially
from dancebench.detect.inputs.leak_audit import find_leaks
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol.definition import Part, Protocol

_SHOWN = 3
_DIVIDE: Final[Mapping[str, Callable[[Sequence[VideoRow], int], Division]]] = {
    "official": lambda rows, _: split_officially(rows),
    "person-disjoint": split_by_person,
    "group-disjoint": split_by_group,
    "roles": lambda rows, _: Division(list(rows), {}),
    "whole": lambda rows, _: Division(list(rows), {}),
}


@dataclass(frozen=True)
class CorpusCopy:
    """A corpus as it lies on this disk.

    Attributes:
        name: In the workspace.
        layout: That it was read as, or `dataset`.
        manifest: Of all its videos; it is read when they are first asked for.
        version: Of the corpus, where it has several.
        lists: Name of an official list -> its SHA-256.
    """

    name: str
    layout: str
    manifest: Path
    version: str | None = None
    lists: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def videos(self) -> VideoSet:
        """All videos.

        Raises:
            BenchError: The manifest is missing or damaged.
        """
        return VideoSet.open(self.manifest)


@dataclass(frozen=True)
class FoldVideos:
    """The videos of one fold; each set is of one corpus.

    Attributes:
        train: A set for each part.
        validation: A set for each part.
        tests: Test set -> a set of videos for each part.
        leaks: What the leak audit finds between the sides, one line each; empty unless the protocol reports leaks.
        left_out: Name of a corpus -> video_id of a video that is on no side of its split -> why.
    """

    train: tuple[VideoSet, ...]
    validation: tuple[VideoSet, ...]
    tests: Mapping[str, tuple[VideoSet, ...]]
    leaks: tuple[str, ...]
    left_out: Mapping[str, Mapping[str, str]]


def select_fold(protocol: Protocol, fold: str, copies: Sequence[CorpusCopy]) -> FoldVideos:
    """Select the videos of a fold and audit them for leaks.

    Args:
        protocol: Of known names.
        fold: One of its folds.
        copies: The corpora of this disk; those that the protocol does not name are not touched.

    Raises:
        UnknownNameError: There is no such fold.
        BenchError: A corpus is not here, or twice, or was read with another list; it lacks a split, method, compression
            or class that the protocol names; or people are on two sides of a protocol that refuses leaks.
    """
    parts = protocol.find_fold(fold)
    selector = _Selector(protocol, copies, {})
    train = selector.select("train", "train", parts.train)
    validation = selector.select("validation", "validation", parts.validation)
    tests = {name: selector.select(f"tests.{name}", "holdout", wanted) for name, wanted in parts.tests.items()}
    sides = (train, validation, *tests.values())
    leaks = list(dict.fromkeys(find_leaks([row for side in sides for videos in side for row in videos])))
    if leaks and protocol.leaks == "refuse":
        more = f" and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
        raise BenchError(
            f"Protocol '{protocol.name}', fold '{fold}' leaks: {'; '.join(leaks[:_SHOWN])}{more}.",
            hint="Use a split that is disjoint by person, or a protocol that reports leaks.",
        )
    left_out: dict[str, Mapping[str, str]] = {}
    for (name, _), division in selector.divided.items():
        left_out[name] = {**left_out.get(name, {}), **division.left_out}
    return FoldVideos(train, validation, tests, tuple(leaks), left_out)


def find_copy(part: Part, copies: Sequence[CorpusCopy]) -> CorpusCopy:
    """The one copy of a part's corpus.

    Raises:
        BenchError: There is none, or several, or it was read with another official list.
    """
    found = list_fitting(part, copies)
    if not found:
        raise BenchError(f"{part.label} is not in this workspace.", hint=_say_how_to_get(part))
    if len(found) > 1:
        names = ", ".join(sorted(copy.name for copy in found))
        raise BenchError(f"{part.label} is in this workspace several times: {names}.", hint="Keep one of them.")
    for name, sha256 in part.lists.items():
        if found[0].lists.get(name) != sha256:
            raise BenchError(
                f"{found[0].name} was not read with the list {name} that the protocol names ({sha256[:12]}…).",
                hint="Read the corpus again with that list.",
            )
    return found[0]


def list_fitting(part: Part, copies: Sequence[CorpusCopy]) -> list[CorpusCopy]:
    """The copies of a part's corpus, in its version."""
    return [copy for copy in copies if copy.layout == part.corpus and part.version in (None, copy.version)]


def _say_how_to_get(part: Part) -> str:
    return "bench data demo" if part.split == "roles" else f"bench data corpus {part.corpus} ROOT"


@dataclass(frozen=True)
class _Selector:
    protocol: Protocol
    copies: Sequence[CorpusCopy]
    divided: dict[tuple[str, str], Division]
    """(name of a copy, split) -> its rows, each with its side; dividing a large corpus takes seconds."""

    def select(self, place: str, side: Split, parts: Sequence[Part]) -> tuple[VideoSet, ...]:
        """The videos of the parts of one side, each row with that side.

        Raises:
            BenchError: As `select_fold`.
        """
        sets = tuple(self._select_part(part, side) for part in parts)
        labels = {row.label for videos in sets for row in videos}
        if labels != {0, 1}:
            lacking = " and ".join(kind for label, kind in ((0, "reals"), (1, "fakes")) if label not in labels)
            corpora = ", ".join(part.label for part in parts)
            raise BenchError(
                f"Protocol '{self.protocol.name}': no {lacking} of {corpora} for {place}.",
                hint="Compare the counts of bench data corpus with those that are published.",
            )
        return sets

    def _select_part(self, part: Part, side: Split) -> VideoSet:
        copy = find_copy(part, self.copies)
        self._require_known(part, copy)
        key = (copy.name, part.split)
        if key not in self.divided:
            self.divided[key] = _divide(part, copy, self.protocol.seed)
        chosen = (row for row in self.divided[key].rows if part.side in (None, row.split) and _matches(part, row))
        return VideoSet(copy.videos.root, tuple(row.model_copy(update={"split": side}) for row in chosen))

    def _require_known(self, part: Part, copy: CorpusCopy) -> None:
        """Refuse methods and compressions that the corpus does not have."""
        compressions = {row.compression for row in copy.videos if row.compression is not None}
        for kind, wanted, known in (
            ("fakes of method", set(part.methods), copy.videos.methods),
            ("videos of compression", {part.compression} - {None}, compressions),
        ):
            for name in sorted(str(each) for each in wanted - known):
                raise BenchError(f"{copy.name} has no {kind} '{name}'.", hint=f"It has: {', '.join(sorted(known))}.")


def _divide(part: Part, copy: CorpusCopy, seed: int) -> Division:
    """The rows of a copy, each with its side of the part's split."""
    rows = copy.videos.rows
    if part.split == "official" and all(row.official_split is None for row in rows):
        raise BenchError(f"{copy.name} has no official split.", hint="Use it whole, or divide it by person or group.")
    return _DIVIDE[part.split](rows, seed)


def _matches(part: Part, row: VideoRow) -> bool:
    """Whether a row is of the part's methods and compression; reals are of every method."""
    if part.compression not in (None, row.compression):
        return False
    if row.label == 0:
        return True
    return row.method not in part.without and (not part.methods or row.method in part.methods)
