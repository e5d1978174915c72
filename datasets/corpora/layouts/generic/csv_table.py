"""Any corpus with a table of its videos: a line per video, or per part of a picture that is one.

Columns, by any of their names, in any order; what has another name is kept as an attribute:

    path (file, video, filename)           relative to the root, or as another machine wrote it; a file or a folder
    label                                  real or fake; or 0 and 1, then the polarity must be said
    people (person, person_id, subject)    "a", or "a:target|b:donor|c:driver"
    split                                  train, validation (val, dev) or test (holdout)
    method (generator), family, region, compression, pair (pair_id), real_of (original), crop ("left,top,width,height")
    licence                                of the one video; sha256: compared when files are hashed
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, get_args

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, make_row, name_video
from dancebench.datasets.corpora.lists import read_table, to_posix
from dancebench.datasets.corpora.manifest import Crop, Label, OfficialSplit, Person, Region, Role, Terms, VideoRow
from dancebench.datasets.corpora.tree import VIDEO_SUFFIXES, Tree

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "path": ("path", "file", "video", "filename", "filepath", "video_path"),
    "label": ("label",),
    "people": ("people", "person", "person_id", "subject", "subject_id", "identity"),
    "split": ("split", "set"),
    "method": ("method", "generator"),
    "family": ("family",),
    "region": ("region",),
    "compression": ("compression",),
    "pair": ("pair", "pair_id"),
    "real_of": ("real_of", "original"),
    "crop": ("crop",),
    "licence": ("licence", "license"),
    "sha256": ("sha256",),
    "fps": ("fps",),
}
_MEASURED: Final = frozenset({"width", "height", "n_frames", "codec"})
"""Columns that are not taken over: the files tell."""
_WORDS: Final[Mapping[str, Label]] = {"real": 0, "fake": 1}
_SPLITS: Final[Mapping[str, OfficialSplit]] = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip


@dataclass(frozen=True)
class _Line:
    """A line of the table: where it stands, its cells by the names above, and the others."""

    where: str
    cells: Mapping[str, str]
    others: Mapping[str, str]

    def get(self, name: str) -> str | None:
        return self.cells.get(name) or None


@CORPORA.register("csv")
class CsvTable(Layout):
    """A table of any corpus: path, label, people, split, method, pair, crop."""

    title: ClassVar[str] = "a table"
    url: ClassVar[str] = ""
    terms: ClassVar[Terms] = Terms(licence="as the owner of the videos says")
    takes: ClassVar[frozenset[str]] = frozenset({"lists", "polarity", "label", "fps"})

    def recognise(self, tree: Tree) -> int:
        """A table at the top of a folder that no other layout knows."""
        return sum(name.lower().endswith((".csv", ".tsv")) and "/" not in name for name in tree.files)

    def read(self, request: CorpusRequest) -> Reading:
        """Read the table."""
        reading = Reading()
        path = _find_table(request)
        lines = [_name_cells(f"{path.name}:{n}", cells) for n, cells in read_table(reading, request.tree, path)]
        if lines and not any("path" in line.cells for line in lines):
            raise BenchError(f"{path} has no column path.", hint=f"Call it one of {', '.join(_COLUMNS['path'])}.")
        labels = _read_labels(path, lines, request)
        for line, label in zip(lines, labels, strict=True):
            name = find_file(request.tree, line.get("path") or "")
            if name is None:
                reading.missing.append(line.get("path") or f"{line.where}: no path")
            else:
                reading.rows.append(_make_row(request, line, name, label))
        if lines and not reading.rows:
            raise BenchError(
                f"None of the {len(lines)} videos of {path.name} is in {request.tree.root}, as {reading.missing[0]}.",
                hint="Paths are relative to the folder that is named.",
            )
        _refuse_swapped_labels(path, reading.rows)
        _link_reals(reading.rows)
        if any(row.official_split for row in reading.rows):
            reading.official = f"the column split of {path.name}"
        listed = {row.path for row in reading.rows}
        reading.extra += [name for name in request.tree.files if _is_video(name) and name not in listed]
        reading.used |= set(reading.extra)
        for kind, label in _WORDS.items():
            reading.count(kind, sum(row.label == label for row in reading.rows), None)
        return reading


def find_file(tree: Tree, path: str) -> str | None:
    """The file or folder of images that a list means, as a path of the tree.

    A path of another machine (absolute, or with a drive) is found by its end.
    """
    name = to_posix(path).rstrip("/")
    absolute = name.startswith("/") or re.match(r"[A-Za-z]:/", name)
    parts = name.split("/")
    for start in range(len(parts) if absolute else 1):
        tail = "/".join(parts[start:])
        if tail in tree.names or tail in tree.image_folders:
            return tail
    return None


def _is_video(name: str) -> bool:
    return name[name.rfind(".") :].lower() in VIDEO_SUFFIXES


def _find_table(request: CorpusRequest) -> Path:
    if request.lists is not None and not request.lists.is_dir():
        return request.lists
    tree = request.tree if request.lists is None else Tree.scan(request.lists)
    found = [name for name in tree.files if name.lower().endswith((".csv", ".tsv")) and "/" not in name]
    if len(found) != 1:
        shown = f"{len(found)}: {', '.join(found[:3])}" if found else "none"
        raise BenchError(f"{tree.root} must hold one table; it holds {shown}.", hint="Name it: --list TABLE.csv.")
    return tree.root / found[0]


def _name_cells(where: str, cells: Mapping[str, str]) -> _Line:
    known = {
        column: next((cells[name] for name in names if name in cells), "")
        for column, names in _COLUMNS.items()
        if any(name in cells for name in names)
    }
    taken = {name for names in _COLUMNS.values() for name in names} | _MEASURED
    return _Line(where, known, {name: text for name, text in cells.items() if name not in taken and text and name})


def _read_labels(path: Path, lines: list[_Line], request: CorpusRequest) -> list[Label]:
    """The labels in our polarity.

    Raises:
        BenchError: There are none and none was said, one is unknown, or it was not said what the numbers mean.
    """
    if not any("label" in line.cells for line in lines):
        if request.label is None:
            raise BenchError(f"{path} has no column label.", hint="If all its videos are real, say --label real.")
        return [request.label] * len(lines)
    if request.label is not None:
        raise BenchError(f"{path} has a column label.", hint="Leave --label out.")
    texts = [(line.get("label") or "").lower() for line in lines]
    numbers: dict[str, Label] = {"0": 0, "1": 1} if request.polarity == "fake=1" else {"0": 1, "1": 0}
    has_numbers = bool({"0", "1"} & set(texts))
    if has_numbers and request.polarity is None:
        raise BenchError(
            f"The labels of {path} are numbers.", hint="Say what they mean: --polarity fake=1 or --polarity real=1."
        )
    if not has_numbers and request.polarity is not None:
        raise BenchError(f"The labels of {path} are words.", hint="Leave --polarity out.")
    known = numbers if has_numbers else _WORDS
    for line, text in zip(lines, texts, strict=True):
        if text not in known:
            raise BenchError(
                f"{line.where}: '{text}' is not a label ({' or '.join(known)}).",
                hint="Correct it; leave videos out whose label nobody knows.",
            )
    return [known[text] for text in texts]


def _make_row(request: CorpusRequest, line: _Line, name: str, label: Label) -> VideoRow:
    crop = None if line.get("crop") is None else _parse_crop(line.where, line.cells["crop"])
    video = name_video(name) if name in request.tree.names else name
    where = "" if crop is None else f"#{crop.left},{crop.top},{crop.width},{crop.height}"
    facts: dict[str, Any] = {}
    if line.get("pair") is not None:
        facts["group"] = f"pair {line.cells['pair']}"
    if line.get("licence") is not None:
        facts["terms"] = Terms(licence=line.cells["licence"])
    listed = {"listed_sha256": line.cells["sha256"].lower()} if line.get("sha256") else {}
    real_of = None if line.get("real_of") is None else find_file(request.tree, line.cells["real_of"])
    return make_row(
        request.tree, name, label, _parse_people(line), video_id=video + where, crop=crop,
        official_split=_parse_split(line), method=_name_method(line, label), family=line.get("family"),
        region=_parse_region(line), compression=line.get("compression"), attributes=dict(line.others) | listed,
        real_of=None if real_of is None else name_video(real_of), fps=_choose_fps(request, name), **facts,
    )  # fmt: skip


def _choose_fps(request: CorpusRequest, name: str) -> float | None:
    return request.fps if name in request.tree.image_folders else None


def _name_method(line: _Line, label: Label) -> str | None:
    """The method that a fake was made by; `unknown` where the table does not tell."""
    method = line.get("method")
    return (method or "unknown") if label else method


def _parse_people(line: _Line) -> tuple[Person, ...]:
    text = line.get("people")
    if text is None:
        return ()
    people = []
    for part in text.split("|"):
        name, _, role = part.strip().rpartition(":")
        chosen = next((known for known in get_args(Role) if known == role), None)
        people.append(Person(id=name, role=chosen) if name and chosen else Person(id=part.strip(), role="target"))
    return tuple(people)


def _parse_split(line: _Line) -> OfficialSplit | None:
    text = line.get("split")
    if text is None:
        return None
    if text.lower() not in _SPLITS:
        raise BenchError(f"{line.where}: '{text}' is not a split.", hint="Write train, validation or test.")
    return _SPLITS[text.lower()]


def _parse_region(line: _Line) -> Region | None:
    text = line.get("region")
    chosen = next((known for known in get_args(Region) if known == text), None)
    if text is not None and chosen is None:
        raise BenchError(f"{line.where}: '{text}' is not a region.", hint="Write face, body or whole.")
    return chosen


def _parse_crop(where: str, text: str) -> Crop:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(part.isdecimal() for part in parts) or "0" in parts[2:]:
        raise BenchError(f"{where}: '{text}' is not a crop.", hint="Write left,top,width,height in pixels.")
    left, top, width, height = map(int, parts)
    return Crop(left=left, top=top, width=width, height=height)


def _refuse_swapped_labels(path: Path, rows: list[VideoRow]) -> None:
    """A method is what made a fake: where the reals name one and no fake does, the labels are the other way round."""
    reals = [row for row in rows if row.label == 0]
    fakes = [row for row in rows if row.label == 1]
    if reals and fakes and all(row.method for row in reals) and all(row.method == "unknown" for row in fakes):
        raise BenchError(
            f"All {len(reals)} reals of {path.name} name a method and no fake does: its labels are swapped.",
            hint="Say the other --polarity, or correct the labels.",
        )
    for index, row in enumerate(rows):
        if row.label == 0 and row.method is not None:
            rows[index] = row.model_copy(update={"method": None, "attributes": row.attributes | {"method": row.method}})


def _link_reals(rows: list[VideoRow]) -> None:
    """A real that is named by its file alone is the one row of that file, if there is one."""
    by_name: dict[str, list[str]] = {}
    for row in rows:
        by_name.setdefault(row.video_id.partition("#")[0], []).append(row.video_id)
    for index, row in enumerate(rows):
        named = by_name.get(row.real_of or "", [])
        if len(named) == 1 and named[0] != row.real_of:
            rows[index] = row.model_copy(update={"real_of": named[0]})
