"""FaceForensics++ (`ondyari/FaceForensics`, dataset/README.md): 1,000 clips of the web and five face manipulations.

    original_sequences/youtube/{raw,c23,c40}/videos/NNN.mp4
    manipulated_sequences/METHOD/{raw,c23,c40}/videos/TTT_SSS.mp4          target_source
    splits/{train,val,test}.json           pairs [a, b]: reals a and b, fakes a_b and b_a
    conversion_dict.json                   clip number -> "YOUTUBE-ID number"

A number is a clip, not a person: the 1,000 clips come from 977 recordings. Seven of these are on two sides of the
official split, computed from the public lists; three further clips show people of others (zyainfal/
One-Shot-Face-Swapping-on-Megapixels, issue 24).
"""

from __future__ import annotations

import itertools
import re
from typing import ClassVar, Final

from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, list_people, make_row
from dancebench.datasets.corpora.lists import read_json_list
from dancebench.datasets.corpora.manifest import OfficialSplit, Terms, VideoRow
from dancebench.datasets.corpora.tree import Tree

FAMILIES: Final = {
    "Deepfakes": "face swap",
    "Face2Face": "face reenactment",
    "FaceSwap": "face swap",
    "NeuralTextures": "face reenactment",
    "FaceShifter": "face swap",
}
SAME_PERSON: Final = (
    ("605", "606"), ("639", "640"), ("755", "756"), ("837", "838"), ("875", "876"), ("954", "955"), ("982", "983"),
    ("043", "343"), ("179", "183", "826"),
)  # fmt: skip
"""Clips of one person: the seven recordings that cross the official split, and two that were found by their faces."""
PEOPLE_OF: Final = {clip: f"ffpp/{clips[0]}" for clips in SAME_PERSON for clip in clips}
COMPRESSION: Final = r"(?P<compression>raw|c0|c23|c40)"
REAL: Final = re.compile(rf"original_sequences/youtube/{COMPRESSION}/videos/(?P<t>\d{{3}})\.mp4")
FAKE: Final = re.compile(
    rf"manipulated_sequences/(?P<method>{'|'.join(FAMILIES)})/{COMPRESSION}/videos/(?P<t>\d{{3}})_(?P<d>\d{{3}})\.mp4"
)
SIDE: Final = re.compile(
    r".*/masks/.*|(.*/)?(downloaded_videos_info|original_sequences/.*/frames/.*|manipulated_sequences/.*/frames/.*)"
)
_SPLITS: Final[dict[str, OfficialSplit]] = {"train": "train", "val": "validation", "test": "test"}
_PAIRS: Final = {"train": 360, "val": 70, "test": 70}
_DFD: Final = re.compile(r"(original_sequences/actors|manipulated_sequences/DeepFakeDetection)/.*")


@CORPORA.register("ffpp")
class FaceForensics(Layout):
    """FaceForensics++: YouTube clips, and five manipulations of each."""

    title: ClassVar[str] = "FaceForensics++"
    url: ClassVar[str] = "https://github.com/ondyari/FaceForensics"
    terms: ClassVar[Terms] = Terms(
        licence="FaceForensics Terms of Use: research only, not commercial",
        form="https://github.com/ondyari/FaceForensics#access",
    )
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = (REAL, FAKE)
    side: ClassVar[re.Pattern[str]] = SIDE
    takes: ClassVar[frozenset[str]] = frozenset({"lists"})

    def read(self, request: CorpusRequest) -> Reading:
        """Read the names, the official pairs and the ids of the recordings."""
        reading = Reading()
        person_of = read_people(request, reading)
        splits = _read_splits(request, reading)
        for name in request.tree.files:
            row = _read_name(name, request, person_of, splits)
            if row is not None:
                reading.rows.append(row)
        _count(reading)
        _compare_with_pairs(reading, splits)
        elsewhere = {name for name in request.tree.files if _DFD.fullmatch(name)}
        if elsewhere:
            reading.used |= elsewhere
            reading.notes.append(f"{len(elsewhere)} files are of DeepFakeDetection: bench data corpus dfd.")
        return reading


def read_people(request: CorpusRequest, reading: Reading) -> dict[str, str]:
    """Clip number -> person: the recording that the clip comes from, with those that show one person taken together."""
    path = request.find_list("conversion_dict.json")
    if path is None:
        reading.notes.append(
            "Without conversion_dict.json each clip counts as its own person, but for the seven pairs that cross the "
            "official split and two groups of one face; 15 further recordings give several clips."
        )
        return dict(PEOPLE_OF)
    recordings = {
        str(clip): str(text).rpartition(" ")[0] or str(text)
        for clip, text in read_json_list(reading, request.tree, path).items()
    }
    first: dict[str, str] = {}  # recording -> person
    for clip, recording in sorted(recordings.items()):
        person = PEOPLE_OF.get(clip)
        if person is not None or recording not in first:
            first[recording] = person or f"ffpp/{clip}"
    return {clip: first[recording] for clip, recording in recordings.items()}


def name_person(clip: str, person_of: dict[str, str]) -> str:
    """Person of a clip by its number."""
    return person_of.get(clip, f"ffpp/{clip}")


def read_real(tree: Tree, name: str, person_of: dict[str, str]) -> VideoRow | None:
    """The row of a clip of the web; None for another file."""
    found = REAL.fullmatch(name)
    if found is None:
        return None
    clip, compression = found["t"], found["compression"]
    return make_row(
        tree, name, 0, list_people(target=name_person(clip, person_of)), video_id=f"youtube/{compression}/{clip}",
        compression=compression,
    )  # fmt: skip


def _read_name(
    name: str, request: CorpusRequest, person_of: dict[str, str], splits: dict[str, OfficialSplit]
) -> VideoRow | None:
    if real := read_real(request.tree, name, person_of):
        return real.model_copy(update={"official_split": splits.get(real.video_id.rpartition("/")[2])})
    if found := FAKE.fullmatch(name):
        target, donor, compression, method = found["t"], found["d"], found["compression"], found["method"]
        swap = FAMILIES[method] == "face swap"
        other = name_person(donor, person_of)
        return make_row(
            request.tree, name, 1,
            list_people(
                target=name_person(target, person_of), donor=other if swap else None, driver=None if swap else other
            ),
            video_id=f"{method}/{compression}/{target}_{donor}", real_of=f"youtube/{compression}/{target}",
            method=method, family=FAMILIES[method], region="face", compression=compression,
            official_split=splits.get(f"{target}_{donor}"),
        )  # fmt: skip
    return None


def _read_splits(request: CorpusRequest, reading: Reading) -> dict[str, OfficialSplit]:
    """Clip or pair -> official split."""
    splits: dict[str, OfficialSplit] = {}
    for stem, split in _SPLITS.items():
        path = request.find_list(f"{stem}.json")
        if path is None:
            reading.problems.append(f"The official list {stem}.json is not there; its videos are in no official split.")
            continue
        pairs = read_json_list(reading, request.tree, path)
        if len(pairs) != _PAIRS[stem]:
            reading.problems.append(f"{path.name} has {len(pairs)} pairs; {_PAIRS[stem]} were published.")
        for first, second in pairs:
            splits |= dict.fromkeys((first, second, f"{first}_{second}", f"{second}_{first}"), split)
        reading.official = "splits/{train,val,test}.json"
    return splits


def _count(reading: Reading) -> None:
    for method in (None, *FAMILIES):
        for compression in sorted({str(row.compression) for row in reading.rows}):
            found = [row for row in reading.rows if (row.method, row.compression) == (method, compression)]
            if found:
                reading.count(f"{method or 'youtube'} {compression}", len(found), 1000)
            for split, pairs in zip(_SPLITS.values(), _PAIRS.values(), strict=True):
                inside = sum(row.official_split == split for row in found)
                if inside:
                    reading.count(f"{method or 'youtube'} {compression} {split}", inside, 2 * pairs)


def _compare_with_pairs(reading: Reading, splits: dict[str, OfficialSplit]) -> None:
    """Of each method and compression that is there: which listed videos are missing, and which are not listed."""
    if not splits:
        return
    there = {row.video_id for row in reading.rows}
    folders = {video.rpartition("/")[0] for video in there}
    listed = {
        f"{folder}/{clip}"
        for folder, clip in itertools.product(folders, splits)
        if ("_" in clip) != folder.startswith("youtube/")
    }
    reading.missing += sorted(listed - there)
    reading.extra += sorted(there - listed)
