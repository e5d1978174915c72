"""Deepfake Detection Challenge, the full data: who is seen is not told, only from which real a fake was made.

    dfdc_train_part_N/FILE.mp4, dfdc_train_part_N/metadata.json
                                {FILE: {"label": "REAL"|"FAKE", "split": "train", "original": FILE}}
    test/FILE.mp4               with labels.csv (filename,label: 1 = fake) or metadata.json beside it

The 400 clips of Kaggle's `test_videos` have no labels; they are not the test part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Final

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, make_row
from dancebench.datasets.corpora.lists import read_json_list, read_table
from dancebench.datasets.corpora.manifest import Label, OfficialSplit, Terms

TRAIN: Final = re.compile(r"(?:.*/)?(?P<folder>dfdc_train_part_\d+)/[^/]+\.mp4")
TEST: Final = re.compile(r"(?:.*/)?(?P<folder>test)/(?:videos/)?[^/]+\.mp4")
_TRAIN_LIST: Final = re.compile(r"(?:.*/)?dfdc_train_part_\d+/metadata\.json")
_KAGGLE: Final = re.compile(r"(?:.*/)?test_videos/[^/]+\.mp4")
_PUBLISHED: Final[dict[tuple[OfficialSplit, Label], int]] = {
    ("train", 0): 19154,
    ("train", 1): 100000,
    ("test", 0): 2500,
    ("test", 1): 2500,
}
_LABELS: Final[dict[str, Label]] = {"REAL": 0, "FAKE": 1, "0": 0, "1": 1}


@CORPORA.register("dfdc")
class DeepfakeDetectionChallenge(Layout):
    """Deepfake Detection Challenge: crowd videos, fakes linked to their reals, no identities."""

    title: ClassVar[str] = "Deepfake Detection Challenge"
    url: ClassVar[str] = "https://ai.meta.com/datasets/dfdc/"
    terms: ClassVar[Terms] = Terms(
        licence="DFDC terms: research on the detection of deepfakes only", form="https://ai.meta.com/datasets/dfdc/"
    )
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = (TRAIN, TEST)
    side: ClassVar[re.Pattern[str]] = _KAGGLE

    def read(self, request: CorpusRequest) -> Reading:
        """Read the lists of each part."""
        reading = Reading(official="the folders dfdc_train_part_N and test")
        listed: set[str] = set()
        videos = {name for name in request.tree.files if TRAIN.fullmatch(name) or TEST.fullmatch(name)}
        for folder, split, path in _find_lists(request, videos):
            for file, entry in _read_entries(request, reading, path):
                name = f"{folder}/{file}"
                listed.add(name)
                _add(request, reading, name, split, entry, there=name in videos)
        reading.extra += sorted(videos - listed)
        reading.used |= set(reading.extra)
        for (part, label), number in _PUBLISHED.items():
            found = sum((row.official_split, row.label) == (part, label) for row in reading.rows)
            if found:
                reading.count(f"{part} {'fake' if label else 'real'}", found, number)
        reading.notes.append("DFDC does not tell who is seen; videos that come from one real are one group.")
        kaggle = sum(_KAGGLE.fullmatch(name) is not None for name in request.tree.files)
        if kaggle:
            reading.problems.append(f"The {kaggle} clips of test_videos have no labels: they are not the test part.")
        return reading


def _find_lists(request: CorpusRequest, videos: set[str]) -> Iterator[tuple[str, OfficialSplit, Path]]:
    """Folder, its part, and its list; a folder without a list is extra."""
    lists = {name for name in request.tree.files if _TRAIN_LIST.fullmatch(name)}  # of a part without its videos too
    for folder in sorted({name.rpartition("/")[0] for name in videos | lists}):
        split: OfficialSplit = "train" if "dfdc_train_part_" in folder else "test"
        beside = PurePosixPath(folder)
        for where in (beside, beside.parent):
            for file in ("metadata.json", "labels.csv"):
                name = (where / file).as_posix()
                if name in request.tree.names:
                    yield folder, split, request.tree.root / name
                    break
            else:
                continue
            break


def _read_entries(request: CorpusRequest, reading: Reading, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """File name -> its entry, from either kind of list; its hash is kept under the name of its folder too."""
    if path.suffix == ".csv":
        entries = {cells.get("filename", ""): dict(cells) for _, cells in read_table(reading, request.tree, path)}
    else:
        entries = read_json_list(reading, request.tree, path)
    reading.lists[f"{path.parent.name}/{path.name}"] = reading.lists.pop(path.name)
    for file, entry in entries.items():
        if not isinstance(entry, dict) or str(entry.get("label")).upper() not in _LABELS:
            raise BenchError(f"{path}: {file} has no label REAL or FAKE.", hint="Get the list again.")
        yield file, entry


def _add(
    request: CorpusRequest, reading: Reading, name: str, split: OfficialSplit, entry: dict[str, Any], *, there: bool
) -> None:
    if not there:
        reading.missing.append(name)
        return
    label = _LABELS[str(entry["label"]).upper()]
    original = entry.get("original")
    row = make_row(
        request.tree, name, label, video_id=f"{split}/{PurePosixPath(name).stem}", group=f"{split}/{name}",
        real_of=f"{split}/{PurePosixPath(original).stem}" if original and label else None,
        method="DFDC" if label else None, region="face" if label else None, official_split=split,
    )  # fmt: skip
    reading.rows.append(row)
