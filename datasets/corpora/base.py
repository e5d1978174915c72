"""The layout interface and registry: the folder of an outside corpus in, rows of a manifest and what was found out.

A corpus is read where it lies; nothing is copied. A new layout is one new module in `datasets/corpora/layouts/` with
a class under a decorator:

    @CORPORA.register("dfd")
    class DeepFakeDetection(Layout): ...
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from dancebench.core.registry import Registry, list_missing_parts
from dancebench.core.schema import Strict
from dancebench.datasets.corpora.manifest import Label, Person, Role, Terms, VideoRow
from dancebench.datasets.corpora.tree import Tree

Polarity = Literal["fake=1", "real=1"]
"""What a number says in a list of labels."""


@dataclass(frozen=True)
class CorpusRequest:
    """What is to be read; a layout refuses options that it does not use.

    Attributes:
        tree: The corpus.
        reals: Where its reals lie, if they come with another corpus.
        lists: The list of its videos, or the folder of its lists; None: they are looked for in the tree.
        polarity: What the numbers of a list say.
        label: Label of all videos, where a list has none.
        fps: Rate of folders of images; None: not known.
    """

    tree: Tree
    reals: Tree | None = None
    lists: Path | None = None
    polarity: Polarity | None = None
    label: Label | None = None
    fps: float | None = None

    def find_list(self, name: str) -> Path | None:
        """A list by its file name: the one that was named, else in the folder that was named, else in the tree."""
        if self.lists is None:
            return self.tree.find(name)
        if self.lists.is_dir():
            return Tree.scan(self.lists).find(name)
        return self.lists if self.lists.name == name else None


class Count(Strict):
    """How many videos were found, beside how many were published."""

    what: str
    found: int
    official: int | None
    """None where no number is published."""


@dataclass
class Reading:
    """What a layout found; it fills the lists as it goes.

    Attributes:
        rows: A row per video, without what its header tells; in no split.
        counts: By class, method or split.
        lists: SHA-256 of each list that was read, by its name.
        missing: Videos that a list names and that are not there.
        extra: Videos that are there and that no list names.
        mismatches: Videos whose label in a list is not that of their folder, in words.
        problems: Everything else that keeps the corpus from being the published one.
        notes: What a reader of results must know.
        used: Files that are no videos and were understood.
        official: What the official split is; None where the corpus has none.
        version: Of the corpus, where it has several.
    """

    rows: list[VideoRow] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    lists: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    official: str | None = None
    version: str | None = None

    def count(self, what: str, found: int, official: int | None) -> None:
        """State a number of videos."""
        self.counts.append(Count(what=what, found=found, official=official))


class Layout(ABC):
    """How a corpus lays out its files, and what is published of it."""

    title: ClassVar[str]
    """Name of the corpus."""
    url: ClassVar[str]
    """Where it is described."""
    terms: ClassVar[Terms]
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = ()
    """Whole relative paths of its videos; a root is recognised by them."""
    side: ClassVar[re.Pattern[str]] = re.compile(r"(?!)")
    """Whole relative paths of files that are no videos of it and are known: masks, documents."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """Options that it uses: `reals`, `lists`, `polarity`, `label`, `fps`."""

    def recognise(self, tree: Tree) -> int:
        """Number of files that look like this layout's."""
        return sum(any(pattern.fullmatch(name) for pattern in self.patterns) for name in tree.files)

    @abstractmethod
    def read(self, request: CorpusRequest) -> Reading:
        """Read the names and lists of a corpus; no video is opened.

        Raises:
            BenchError: A list cannot be read, or says the opposite of the folders.
        """


CORPORA: Registry[type[Layout]] = Registry(
    "corpus layout",
    package="dancebench.datasets.corpora.layouts",
    group="dancebench.corpora",
    list_missing=lambda entry: list_missing_parts(entry, Layout, ("title", "url", "terms")),
)


def make_row(tree: Tree, path: str, label: Label, people: tuple[Person, ...] = (), **facts: Any) -> VideoRow:
    """A row before its file is opened and its group is known.

    Args:
        tree: Where the file lies.
        path: Relative to the tree; without its suffix it is the video_id unless `facts` holds one.
        label: 1 for a fake.
        people: Who has a part in it.
        **facts: Further fields of the row.
    """
    named = {"video_id": name_video(path), "group": None if people else name_video(path), "method": None}
    unknown = dict.fromkeys(("sha256", "split", "fps", "n_frames", "codec", "crf", "width", "height"))
    return VideoRow.model_validate(
        unknown | named | {"path": tree.prefix + path, "label": label, "people": people, "status": "claimed"} | facts
    )


def name_video(path: str) -> str:
    """The video_id of a path: the path without the suffix of its file."""
    pure = PurePosixPath(path)
    return pure.with_suffix("").as_posix() if pure.suffix else path


def list_people(**roles: str | None) -> tuple[Person, ...]:
    """People by role; `None` is nobody."""
    known: dict[str, Role] = {"target": "target", "donor": "donor", "driver": "driver"}
    return tuple(Person(id=name, role=known[role]) for role, name in roles.items() if name is not None)
