"""Folders of images, one per video, under a folder that says what they are.

    real/VIDEO/*.png        (or original)
    fake/VIDEO/*.png        (or fake/METHOD/VIDEO/*.png)
    train/real/VIDEO/…      a split may stand above or below

Nobody is known: nothing is said of people.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, make_row
from dancebench.datasets.corpora.manifest import Label, OfficialSplit, Terms, VideoRow
from dancebench.datasets.corpora.tree import Tree

_LABELS: Final[dict[str, Label]] = {"real": 0, "original": 0, "fake": 1}
_SPLITS: Final[dict[str, OfficialSplit]] = {
    "train": "train", "val": "validation", "validation": "validation", "test": "test"
}  # fmt: skip


@CORPORA.register("frames")
class FrameFolders(Layout):
    """Folders of images under real/ and fake/, one per video."""

    title: ClassVar[str] = "folders of images"
    url: ClassVar[str] = ""
    terms: ClassVar[Terms] = Terms(licence="as the owner of the images says")
    takes: ClassVar[frozenset[str]] = frozenset({"fps"})

    def recognise(self, tree: Tree) -> int:
        """Folders of images under a folder that is a label."""
        return sum(_find_label(folder) is not None for folder in tree.image_folders)

    def read(self, request: CorpusRequest) -> Reading:
        """Read the folders' names."""
        reading = Reading()
        for folder in sorted(request.tree.image_folders):
            label = _find_label(folder)
            if label is not None:
                reading.rows.append(_make_row(request, folder, label))
        for kind, label in (("real", 0), ("fake", 1)):
            reading.count(kind, sum(row.label == label for row in reading.rows), None)
        if any(row.official_split for row in reading.rows):
            reading.official = "the folders train, val and test"
        if request.fps is None:
            reading.notes.append("The rate of the images is not known: say --fps if it is.")
        reading.notes.append("Folders do not tell who is seen.")
        return reading


def _find_label(folder: str) -> Label | None:
    """What the nearest folder above a video says; None where no folder does."""
    for part in reversed(folder.lower().split("/")[:-1]):
        if part in _LABELS:
            return _LABELS[part]
    return None


def _make_row(request: CorpusRequest, folder: str, label: Label) -> VideoRow:
    parts = folder.split("/")
    split = next((_SPLITS[part] for part in map(str.lower, parts[:-1]) if part in _SPLITS), None)
    between = [part for part in parts[:-1] if part.lower() not in _LABELS and part.lower() not in _SPLITS]
    method = ("/".join(between) or "unknown") if label else None
    return make_row(
        request.tree, folder, label, video_id=folder, group=re.sub(r"^.*/", "", folder), method=method,
        official_split=split, fps=request.fps,
    )  # fmt: skip
