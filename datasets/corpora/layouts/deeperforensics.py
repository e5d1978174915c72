"""DeeperForensics-1.0 (`EndlessSora/DeeperForensics-1.0`): faces of 100 paid actors on clips of FaceForensics++.

    manipulated_videos/VERSION/NNN_{M,W}XXX.mp4       target clip and actor, in 11 versions
    lists/splits/{train,val,test}.txt                 703/96/201 swaps, parted by the actor
    source_videos/                                    the actors before the camera: not the reals of the swaps

The reals are the targets in FaceForensics++ c23 (`--reals`). The 11 versions of a swap are one clip.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, list_people, make_row
from dancebench.datasets.corpora.layouts import ffpp
from dancebench.datasets.corpora.lists import read_list
from dancebench.datasets.corpora.manifest import OfficialSplit, Terms, VideoRow

VERSIONS: Final = (
    "end_to_end", *(f"end_to_end_level_{level}" for level in range(1, 6)), "end_to_end_random_level",
    *(f"end_to_end_mix_{number}_distortions" for number in (2, 3, 4)), "reenact_postprocess",
)  # fmt: skip
FAKE: Final = re.compile(
    rf"manipulated_videos/(?P<version>{'|'.join(VERSIONS)})/(?P<t>\d{{3}})_(?P<a>[MW]\d{{3}})\.mp4"
)
_SPLITS: Final[dict[str, OfficialSplit]] = {"train": "train", "val": "validation", "test": "test"}
_PUBLISHED: Final = {"train": 703, "val": 96, "test": 201}


@CORPORA.register("deeperforensics")
class DeeperForensics(Layout):
    """DeeperForensics-1.0: faces of actors on clips of FaceForensics++, in 11 versions."""

    title: ClassVar[str] = "DeeperForensics-1.0"
    url: ClassVar[str] = "https://github.com/EndlessSora/DeeperForensics-1.0"
    terms: ClassVar[Terms] = Terms(
        licence="DeeperForensics Terms of Use: research only, not commercial",
        form="https://github.com/EndlessSora/DeeperForensics-1.0/tree/master/dataset",
    )
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = (FAKE,)
    side: ClassVar[re.Pattern[str]] = re.compile(r"source_videos/.*|.*\.(md|pdf)|lists/.*")
    takes: ClassVar[frozenset[str]] = frozenset({"reals", "lists"})

    def read(self, request: CorpusRequest) -> Reading:
        """Read the names, the lists, and the names of the reals."""
        reading = Reading()
        splits = _read_splits(request, reading)
        for name in request.tree.files:
            if found := FAKE.fullmatch(name):
                reading.rows.append(_make_row(request, name, found, splits.get(f"{found['t']}_{found['a']}")))
        swaps = {row.video_id.rpartition("/")[2] for row in reading.rows}
        reading.missing += sorted(splits.keys() - swaps)
        reading.extra += sorted(swaps - splits.keys()) if splits else []
        for version in VERSIONS:
            reading.count(version, sum(row.attributes["version"] == version for row in reading.rows), 1000)
        _add_reals(request, reading)
        reading.notes.append(
            "The split parts the actors; the clips that their faces are on are of all parts of FaceForensics++: a "
            "detector trained there has seen bodies of this test part."
        )
        return reading


def _read_splits(request: CorpusRequest, reading: Reading) -> dict[str, OfficialSplit]:
    """Swap -> part."""
    splits: dict[str, OfficialSplit] = {}
    for stem, split in _SPLITS.items():
        path = request.find_list(f"{stem}.txt")
        if path is None:
            reading.problems.append(f"The official list {stem}.txt is not there; its videos are in no official split.")
            continue
        names = [line.strip().removesuffix(".mp4") for line in read_list(reading, request.tree, path).splitlines()]
        swaps = [name.rpartition("/")[2] for name in names if name]
        if len(swaps) != _PUBLISHED[stem]:
            reading.problems.append(f"{path.name} has {len(swaps)} lines; {_PUBLISHED[stem]} were published.")
        splits |= dict.fromkeys(swaps, split)
        reading.official = "lists/splits/{train,val,test}.txt"
    return splits


def _make_row(request: CorpusRequest, name: str, found: re.Match[str], split: OfficialSplit | None) -> VideoRow:
    swap, version = f"{found['t']}_{found['a']}", found["version"]
    people = list_people(target=ffpp.name_person(found["t"], ffpp.PEOPLE_OF), donor=f"deeperforensics/{found['a']}")
    distorted = version.startswith("end_to_end_")
    return make_row(
        request.tree, name, 1, people, video_id=f"{version}/{swap}", real_of=f"youtube/c23/{found['t']}",
        method="reenact_postprocess" if version == "reenact_postprocess" else "end_to_end", family="face swap",
        region="face", derived_from=f"end_to_end/{swap}" if distorted else None, attributes={"version": version},
        perturbation=version if distorted else None, official_split=split,
    )  # fmt: skip


def _add_reals(request: CorpusRequest, reading: Reading) -> None:
    """The targets, each in the part of the swap that was made of it."""
    if request.reals is None:
        reading.problems.append("The reals are clips of FaceForensics++ (c23): name its folder by --reals.")
        return
    splits = {row.real_of: row.official_split for row in reading.rows}
    for name in request.reals.files:
        row: VideoRow | None = ffpp.read_real(request.reals, name, ffpp.PEOPLE_OF)
        if row is not None and row.video_id in splits:
            reading.rows.append(row.model_copy(update={"official_split": splits[row.video_id]}))
