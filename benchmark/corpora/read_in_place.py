"""`bench data corpus`: an outside corpus in; its manifest and what is found of it, beside each other, out.

Read in place: what is written is `corpora/NAME/` of the workspace, with no video in it. `official` is the split that
was published with what the leak audit finds in it, `person-disjoint` and `group-disjoint` are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dancebench.benchmark.corpora.deep import list_changed, list_near_duplicates, read_deeply
from dancebench.core.errors import BenchError
from dancebench.core.files import lock_folder, sha256_file
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest
from dancebench.datasets.corpora.card import write_card
from dancebench.datasets.corpora.file_facts import FileFactsRecord
from dancebench.datasets.corpora.manifest import VideoRow, write_manifest
from dancebench.datasets.corpora.reading import CorpusReading, add_what_was_read, read_corpus
from dancebench.datasets.corpora.record import CorpusRecord, SplitRecord
from dancebench.datasets.corpora.splits import (
    Division,
    SplitKind,
    count_videos,
    list_lacks,
    require_people,
    split_by_group,
    split_by_person,
    split_officially,
)
from dancebench.detect.inputs.leak_audit import find_leaks

_OURS: Final[dict[SplitKind, str]] = {
    "person-disjoint": "whole groups of people and clips on one side, by seed",
    "group-disjoint": "whole groups of clips on one side, by seed; nobody knows who is seen",
}


@dataclass(frozen=True)
class Corpus:
    """A corpus that was read, and where its files are."""

    folder: Path
    record: CorpusRecord

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.jsonl"


def read_into_workspace(
    workspace: Workspace,
    name: str,
    layout: str,
    request: CorpusRequest,
    *,
    split: SplitKind | None = None,
    seed: int = 0,
    deep: bool = False,
    report: ReportProgress = ignore_progress,
) -> Corpus:
    """Read a corpus where it lies and write its manifest and record; an earlier reading of that name is replaced.

    Args:
        workspace: Where they are written.
        name: Of the corpus there.
        layout: How its files lie.
        request: Where they lie.
        split: Which split the manifest has; None: the official one, else one disjoint by person, else by group.
        seed: Of the disjoint splits.
        deep: Hash all files and compare their frames, which takes hours for a large corpus.
        report: Progress.

    Raises:
        BenchError: There is no such layout or corpus, or the split cannot be had.
    """
    folder = workspace.corpus(name)
    with lock_folder(folder):
        _refuse_another(folder, layout, request)
        cache = folder / "files.json"
        reading = read_corpus(layout, request, FileFactsRecord.load_if_usable(cache) or FileFactsRecord(), report)
        if deep:
            files = read_deeply(reading.root, reading.rows, reading.files, cache, report)
            reading = add_what_was_read(reading, files)
        divisions = _make_divisions(reading, seed)
        chosen = _choose_split(divisions, split, reading)
        FileFactsRecord(files=reading.files).save(cache)
        rows = divisions[chosen].rows
        write_manifest(folder / "manifest.jsonl", rows)
        record = _make_record(
            name, layout, request, reading, divisions, chosen, seed, sha256_file(folder / "manifest.jsonl")
        )
        if deep:
            record = _add_deep_findings(record, reading)
        record.save(folder / "corpus.json")
        write_card(folder / "card.jsonld", record, rows)
    return Corpus(folder, record)


def _add_deep_findings(record: CorpusRecord, reading: CorpusReading) -> CorpusRecord:
    return record.model_copy(
        update={
            "deep": True,
            "near_duplicates": tuple(list_near_duplicates(reading.root, reading.rows, reading.files)),
            "problems": (*record.problems, *list_changed(reading.rows)),
        }
    )


def _refuse_another(folder: Path, layout: str, request: CorpusRequest) -> None:
    """Keep a corpus of this name that was read from another folder."""
    record = CorpusRecord.load_if_usable(folder / "corpus.json")
    if record is not None and (record.layout, record.read_from) != (layout, str(request.tree.root)):
        raise BenchError(
            f"There is a corpus '{record.name}' of another folder: {record.layout} in {record.read_from}.",
            hint="Give this one a name: --name NAME.",
        )


def _make_divisions(reading: CorpusReading, seed: int) -> dict[SplitKind, Division]:
    """All splits that the corpus can have."""
    divisions: dict[SplitKind, Division] = {}
    if reading.found.official is not None:
        divisions["official"] = split_officially(reading.rows)
    if all(row.identified for row in reading.rows):
        divisions["person-disjoint"] = split_by_person(reading.rows, seed)
    else:
        divisions["group-disjoint"] = split_by_group(reading.rows, seed)
    return divisions


def _choose_split(divisions: dict[SplitKind, Division], split: SplitKind | None, reading: CorpusReading) -> SplitKind:
    if split is None:
        return next(iter(divisions))
    if split == "person-disjoint":
        require_people(reading.rows)
    if split not in divisions:
        raise BenchError(f"This corpus has no split '{split}'.", hint=f"It has {' and '.join(divisions)}.")
    return split


def _describe_split(kind: SplitKind, division: Division, reading: CorpusReading) -> SplitRecord:
    leaks = find_leaks(division.rows)
    identified = all(row.identified for row in division.rows if row.split is not None)
    return SplitRecord(
        what=reading.found.official or "" if kind == "official" else _OURS[kind],
        counts=count_videos(division.rows),
        leaks=tuple(leaks),
        left_out=division.left_out,
        lacks=tuple(list_lacks(division.rows)),
        person_disjoint=not any(leak.startswith("The person") for leak in leaks) if identified else None,
    )


def _make_record(
    name: str,
    layout: str,
    request: CorpusRequest,
    reading: CorpusReading,
    divisions: dict[SplitKind, Division],
    chosen: SplitKind,
    seed: int,
    manifest_sha256: str,
) -> CorpusRecord:
    found, rows = reading.found, reading.rows
    about = CORPORA[layout]
    return CorpusRecord(
        name=name,
        layout=layout,
        layout_source=CORPORA.source(layout),
        root=str(reading.root),
        read_from=str(request.tree.root),
        version=found.version,
        title=about.title,
        url=about.url,
        terms=about.terms,
        lists=found.lists,
        counts=tuple(found.counts),
        missing=tuple(found.missing),
        extra=tuple(found.extra),
        mismatches=tuple(found.mismatches),
        problems=tuple(found.problems + _find_problems(rows)),
        not_understood=reading.not_understood,
        unreadable=reading.unreadable,
        without_real=reading.without_real,
        notes=tuple(found.notes),
        n_videos=len(rows),
        n_people=len({person.id for row in rows for person in row.people}),
        n_groups=len({row.group for row in rows}),
        n_identified=sum(row.identified for row in rows),
        split=chosen,
        seed=seed,
        splits={kind: _describe_split(kind, division, reading) for kind, division in divisions.items()},
        manifest_sha256=manifest_sha256,
        deep=False,
        near_duplicates=None,
    )


def _find_problems(rows: Sequence[VideoRow]) -> list[str]:
    labels = {row.label for row in rows}
    return [f"There is no {kind}." for kind, label in (("real", 0), ("fake", 1)) if label not in labels]
