"""Celeb-DF, versions 1 and 2 (`yuezunli/celeb-deepfakeforensics`): celebrities, and swaps of their faces.

    Celeb-real/idT_NNNN.mp4                59 celebrities
    YouTube-real/NNNNN.mp4                 people of the web, without identities
    Celeb-synthesis/idT_idD_NNNN.mp4       target first, donor second, clip third
    List_of_testing_videos.txt             "LABEL FOLDER/FILE", where 1 is REAL and 0 is FAKE

The test part is the list, everything else is free for training; people are on both sides. Public copies of the list
exist that lost their 70 lines of YouTube-real.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, list_people, make_row
from dancebench.datasets.corpora.lists import compare_with_list, read_list, to_posix
from dancebench.datasets.corpora.manifest import Label, Terms, VideoRow
from dancebench.datasets.corpora.tree import Tree

CELEB: Final = re.compile(r"Celeb-real/(?:videos/)?id(?P<t>\d+)_(?P<n>\d{4})\.mp4")
YOUTUBE: Final = re.compile(r"YouTube-real/(?:videos/)?(?P<n>\d{5})\.mp4")
SWAP: Final = re.compile(r"Celeb-synthesis/(?:videos/)?id(?P<t>\d+)_id(?P<d>\d+)_(?P<n>\d{4})\.mp4")
TEST_LIST: Final = "List_of_testing_videos.txt"
_VERSIONS: Final = {
    "1": {"Celeb-real": 158, "YouTube-real": 250, "Celeb-synthesis": 795},
    "2": {"Celeb-real": 590, "YouTube-real": 300, "Celeb-synthesis": 5639},
}
_LISTED: Final = {"YouTube-real": 70, "Celeb-real": 108, "Celeb-synthesis": 340}
"""Lines of the list of version 2."""
_LISTED_V1: Final = 100
_TERMS: Final = Terms(
    licence="Celeb-DF Terms of Use: research only, not commercial",
    form="https://github.com/yuezunli/celeb-deepfakeforensics#download",
)


@CORPORA.register("celebdf")
class CelebDF(Layout):
    """Celeb-DF (v1 or v2): celebrities, and swaps of their faces."""

    title: ClassVar[str] = "Celeb-DF"
    url: ClassVar[str] = "https://github.com/yuezunli/celeb-deepfakeforensics"
    terms: ClassVar[Terms] = _TERMS
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = (CELEB, YOUTUBE, SWAP)
    side: ClassVar[re.Pattern[str]] = re.compile(r"README.*")
    takes: ClassVar[frozenset[str]] = frozenset({"lists"})

    def read(self, request: CorpusRequest) -> Reading:
        """Read the names and the list of testing videos."""
        reading = Reading()
        rows = {name: row for name in request.tree.files if (row := read_name(request.tree, name))}
        testing = read_testing_list(request, reading, rows)
        for name, row in rows.items():
            split = None if testing is None else ("test" if name in testing else "train")
            reading.rows.append(row.model_copy(update={"official_split": split}))
        _count(reading, rows, testing)
        _note_loose_reals(reading)
        return reading


def read_name(tree: Tree, name: str) -> VideoRow | None:
    """The row of a real, or of a swap of the first two versions; None for another file."""
    if found := CELEB.fullmatch(name):
        video_id = f"Celeb-real/id{found['t']}_{found['n']}"
        return make_row(tree, name, 0, list_people(target=f"celebdf/id{found['t']}"), video_id=video_id)
    if found := YOUTUBE.fullmatch(name):
        video_id = f"YouTube-real/{found['n']}"
        return make_row(tree, name, 0, list_people(target=f"celebdf/youtube{found['n']}"), video_id=video_id)
    if found := SWAP.fullmatch(name):
        target, donor, number = found["t"], found["d"], found["n"]
        return make_row(
            tree, name, 1, list_people(target=f"celebdf/id{target}", donor=f"celebdf/id{donor}"),
            video_id=f"Celeb-synthesis/id{target}_id{donor}_{number}", real_of=f"Celeb-real/id{target}_{number}",
            method="Celeb-synthesis", family="face swap", region="face",
        )  # fmt: skip
    return None


def read_testing_list(request: CorpusRequest, reading: Reading, rows: dict[str, VideoRow]) -> set[str] | None:
    """The names of the test videos; None where the list is not there.

    Raises:
        BenchError: A line is not "LABEL FOLDER/FILE", or the labels are the opposite of the folders.
    """
    path = request.find_list(TEST_LIST)
    if path is None:
        reading.problems.append(f"{TEST_LIST} is not there: no video is in the official split.")
        return None
    by_folder = {(name.partition("/")[0], name.rpartition("/")[2]): name for name in rows}
    listed: dict[str, Label | None] = {}
    for number, line in enumerate(read_list(reading, request.tree, path).splitlines(), start=1):
        if not line.strip():
            continue
        label, _, name = line.strip().partition(" ")
        name = to_posix(name)
        if label not in ("0", "1") or not name:
            raise BenchError(f"{path}:{number} is not '1 FOLDER/FILE' or '0 FOLDER/FILE'.", hint="Get the list again.")
        found = by_folder.get((name.partition("/")[0], name.rpartition("/")[2]), name)
        listed[found] = 0 if label == "1" else 1  # 1 is REAL
    compare_with_list(reading, listed, rows)
    reading.official = f"{TEST_LIST} is the test part, everything else is for training"
    return set(listed)


def _note_loose_reals(reading: Reading) -> None:
    """Say how many fakes of the test part show a real that anybody may train on."""
    tested = {row.video_id for row in reading.rows if row.official_split == "test"}
    fakes = [row for row in reading.rows if row.label == 1 and row.video_id in tested]
    loose = sum(row.real_of not in tested for row in fakes)
    if loose:
        reading.notes.append(
            f"{loose} of the {len(fakes)} fakes of the test part are made over a real that is free for training."
        )


def _count(reading: Reading, rows: dict[str, VideoRow], testing: set[str] | None) -> None:
    found = {folder: sum(name.startswith(f"{folder}/") for name in rows) for folder in _LISTED}
    version = min(_VERSIONS, key=lambda each: sum(abs(_VERSIONS[each][folder] - found[folder]) for folder in found))
    reading.version = version
    for folder, number in found.items():
        reading.count(folder, number, _VERSIONS[version][folder])
    if testing is None:
        return
    if version == "1":
        reading.count("list", len(testing), _LISTED_V1)
        return
    listed = {folder: sum(name.startswith(f"{folder}/") for name in testing) for folder in _LISTED}
    for folder, number in listed.items():
        reading.count(f"list {folder}", number, _LISTED[folder])
    lost = {folder: _LISTED[folder] - number for folder, number in listed.items() if number != _LISTED[folder]}
    if lost:
        told = ", ".join(f"{folder} {listed[folder]} of {_LISTED[folder]}" for folder in lost)
        reading.problems.append(f"{TEST_LIST} is not the published one: {told} lines.")
