"""`corpus.json`: what was found of an outside corpus, beside its manifest."""

from __future__ import annotations

from pathlib import Path

from dancebench.core.schema import Document, Name, Strict
from dancebench.datasets.corpora.base import Count
from dancebench.datasets.corpora.manifest import Terms
from dancebench.datasets.corpora.splits import SplitKind


class SplitRecord(Strict):
    """What a split of the corpus is worth.

    Attributes:
        what: Where it comes from.
        counts: Side -> reals and fakes.
        leaks: What the leak audit finds across its sides, one line each.
        left_out: video_id -> why it is on no side.
        lacks: Sides without reals or fakes.
        person_disjoint: Whether no person is on two sides; None where nobody knows who is seen.
    """

    what: str
    counts: dict[str, dict[str, int]]
    leaks: tuple[str, ...]
    left_out: dict[str, str]
    lacks: tuple[str, ...]
    person_disjoint: bool | None


class CorpusRecord(Document):
    """An outside corpus that is read where it lies.

    Attributes:
        name: Of the corpus in this workspace.
        layout: That it was read as, and where that layout comes from.
        root: Folder that the rows' paths are relative to.
        read_from: Folder of the corpus: the root, or below it where the reals are another corpus'.
        version: Of the corpus, where it has several.
        terms: Licence and form that the corpus asks for.
        lists: Name of a list -> its SHA-256.
        counts: Videos found and published.
        missing: Videos of a list that are not there.
        extra: Videos that no list names.
        mismatches: Labels of a list that are not those of the folders.
        problems: What else keeps it from being the published corpus.
        not_understood: Files that the layout does not know.
        unreadable: video_id -> why its header cannot be read.
        without_real: Fakes whose real is not there.
        notes: What a reader of results must know.
        n_videos: Rows of the manifest.
        n_people: People with a part in a video; 0 where the corpus does not tell.
        n_groups: Groups of videos that no split may part.
        n_identified: Videos whose people are known.
        split: Which of the splits the manifest has.
        seed: Of the disjoint splits.
        splits: All splits that it can have.
        manifest_sha256: Of the manifest's bytes.
        deep: Whether all files were hashed and their frames compared.
        near_duplicates: Videos that show one recording in different groups; None unless frames were compared.
    """

    name: Name
    layout: str
    layout_source: str
    root: str
    read_from: str
    version: str | None
    terms: Terms
    url: str
    title: str
    lists: dict[str, str]
    counts: tuple[Count, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    mismatches: tuple[str, ...]
    problems: tuple[str, ...]
    not_understood: tuple[str, ...]
    unreadable: dict[str, str]
    without_real: tuple[str, ...]
    notes: tuple[str, ...]
    n_videos: int
    n_people: int
    n_groups: int
    n_identified: int
    split: SplitKind
    seed: int
    splits: dict[SplitKind, SplitRecord]
    manifest_sha256: str
    deep: bool
    near_duplicates: tuple[str, ...] | None

    @classmethod
    def beside(cls, manifest: Path) -> CorpusRecord | None:
        """The record of the corpus that a manifest belongs to; None for a manifest of another kind.

        Raises:
            BenchError: It is damaged.
        """
        path = manifest.absolute().parent / "corpus.json"
        return cls.load(path) if manifest.name == "manifest.jsonl" and path.exists() else None
