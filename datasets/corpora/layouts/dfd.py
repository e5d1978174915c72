"""DeepFakeDetection (Google and Jigsaw), which comes in the tree of FaceForensics++: 28 actors in their scenes.

    original_sequences/actors/{raw,c23,c40}/videos/AA__SCENE.mp4
    manipulated_sequences/DeepFakeDetection/{raw,c23,c40}/videos/TT_DD__SCENE__8CHARACTERS.mp4    target, donor

No split was published; it is for testing. Lists exist in which every clip is in all three parts.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, list_people, make_row
from dancebench.datasets.corpora.layouts.ffpp import COMPRESSION, SIDE, FaceForensics
from dancebench.datasets.corpora.manifest import Terms, VideoRow
from dancebench.datasets.corpora.tree import Tree

REAL: Final = re.compile(rf"original_sequences/actors/{COMPRESSION}/videos/(?P<t>\d\d)__(?P<scene>.+)\.mp4")
FAKE: Final = re.compile(
    rf"manipulated_sequences/DeepFakeDetection/{COMPRESSION}/videos/"
    r"(?P<t>\d\d)_(?P<d>\d\d)__(?P<scene>.+)__[A-Z0-9]{8}\.mp4"
)
_PUBLISHED: Final = {"actors": 363, "DeepFakeDetection": 3068}
_OF_FFPP: Final = re.compile(
    r"original_sequences/youtube/.*|manipulated_sequences/(?!DeepFakeDetection/).*|splits/.*|conversion_dict\.json"
)


@CORPORA.register("dfd")
class DeepFakeDetection(Layout):
    """DeepFakeDetection: actors, and swaps of their faces."""

    title: ClassVar[str] = "DeepFakeDetection"
    url: ClassVar[str] = FaceForensics.url
    terms: ClassVar[Terms] = FaceForensics.terms
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = (REAL, FAKE)
    side: ClassVar[re.Pattern[str]] = re.compile(f"{SIDE.pattern}|{_OF_FFPP.pattern}")

    def read(self, request: CorpusRequest) -> Reading:
        """Read the names."""
        reading = Reading(official="none was published: all is for testing")
        reading.rows = [row for name in request.tree.files if (row := read_name(request.tree, name))]
        for kind, number in _PUBLISHED.items():
            of_kind = [row for row in reading.rows if row.video_id.startswith(f"{kind}/")]
            for compression in sorted({str(row.compression) for row in of_kind}):
                found = sum(row.compression == compression for row in of_kind)
                reading.count(f"{kind} {compression}", found, number)
        return reading


def read_name(tree: Tree, name: str) -> VideoRow | None:
    """The row of a real or a swap; None for another file."""
    if found := REAL.fullmatch(name):
        return make_row(
            tree, name, 0, list_people(target=f"dfd/{found['t']}"), compression=found["compression"],
            video_id=f"actors/{found['compression']}/{found['t']}__{found['scene']}", official_split="test",
        )  # fmt: skip
    if found := FAKE.fullmatch(name):
        return make_row(
            tree, name, 1, list_people(target=f"dfd/{found['t']}", donor=f"dfd/{found['d']}"),
            video_id=f"DeepFakeDetection/{found['compression']}/{name.rpartition('/')[2].removesuffix('.mp4')}",
            real_of=f"actors/{found['compression']}/{found['t']}__{found['scene']}",
            method="DeepFakeDetection", family="face swap", region="face", compression=found["compression"],
            official_split="test",
        )  # fmt: skip
    return None
