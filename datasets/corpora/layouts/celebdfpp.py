"""Celeb-DF++ (`OUC-VAS/Celeb-DF-PP`): Celeb-DF with 22 methods of three kinds.

Celeb-real, YouTube-real                                        as Celeb-DF
Celeb-synthesis/{FaceSwap,FaceReenact}/METHOD/idT_idD_NNNN.mp4
Celeb-synthesis/TalkingFace/METHOD/idT_NNNN_test_REFERENCE.mp4
List_of_testing_videos.txt                                      178 reals; 200, 200 and 300 fakes per method
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, list_people, make_row
from dancebench.datasets.corpora.layouts.celebdf import CELEB, YOUTUBE, read_name, read_testing_list
from dancebench.datasets.corpora.manifest import Terms, VideoRow
from dancebench.datasets.corpora.tree import Tree

SWAP: Final = re.compile(
    r"Celeb-synthesis/(?P<kind>FaceSwap|FaceReenact)/(?P<method>[^/]+)/(?:.*/)?id(?P<t>\d+)_id(?P<d>\d+)_(?P<n>\d{4})\.mp4"
)
TALKING: Final = re.compile(
    r"Celeb-synthesis/(?P<kind>TalkingFace)/(?P<method>[^/]+)/(?:.*/)?id(?P<t>\d+)_(?P<n>[^_/]+)_test_(?P<ref>[^/]+)\.mp4"
)
_FAMILIES: Final = {"FaceSwap": "face swap", "FaceReenact": "face reenactment", "TalkingFace": "talking face"}
_TEST: Final = {"FaceSwap": 200, "FaceReenact": 200, "TalkingFace": 300}
_TEST_REALS: Final = 178


@CORPORA.register("celebdfpp")
class CelebDFPlusPlus(Layout):
    """Celeb-DF++: Celeb-DF with 22 methods of three kinds."""

    title: ClassVar[str] = "Celeb-DF++"
    url: ClassVar[str] = "https://github.com/OUC-VAS/Celeb-DF-PP"
    terms: ClassVar[Terms] = Terms(licence="CC BY-NC 4.0", form="https://github.com/OUC-VAS/Celeb-DF-PP")
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = (CELEB, YOUTUBE, SWAP, TALKING)
    takes: ClassVar[frozenset[str]] = frozenset({"lists"})

    def recognise(self, tree: Tree) -> int:
        """Celeb-DF's reals count where there are fakes of a method."""
        return super().recognise(tree) if any(SWAP.fullmatch(n) or TALKING.fullmatch(n) for n in tree.files) else 0

    def read(self, request: CorpusRequest) -> Reading:
        """Read the names and the list of testing videos."""
        reading = Reading()
        rows: dict[str, VideoRow] = {}
        for name in request.tree.files:
            row = _read_fake(request, name) or read_name(request.tree, name)
            if row is not None:
                rows[name] = row
        testing = read_testing_list(request, reading, rows)
        for name, row in rows.items():
            split = None if testing is None else ("test" if name in testing else "train")
            reading.rows.append(row.model_copy(update={"official_split": split}))
        _count(reading)
        return reading


def _read_fake(request: CorpusRequest, name: str) -> VideoRow | None:
    found = SWAP.fullmatch(name) or TALKING.fullmatch(name)
    if found is None:
        return None
    groups = found.groupdict()
    other = groups.get("d") or next(iter(re.findall(r"^id(\d+)", groups.get("ref") or "")), None)
    person = None if other is None else f"celebdf/id{other}"
    swap = found["kind"] == "FaceSwap"
    return make_row(
        request.tree, name, 1,
        list_people(target=f"celebdf/id{found['t']}", donor=person if swap else None, driver=None if swap else person),
        video_id=f"{found['kind']}/{found['method']}/{name.rpartition('/')[2].removesuffix('.mp4')}",
        real_of=f"Celeb-real/id{found['t']}_{found['n']}", method=found["method"], family=_FAMILIES[found["kind"]],
        region="face",
    )  # fmt: skip


def _count(reading: Reading) -> None:
    tested = [row for row in reading.rows if row.official_split == "test"]
    reading.count("real", sum(row.label == 0 for row in reading.rows), None)
    reading.count("real test", sum(row.label == 0 for row in tested), _TEST_REALS)
    methods = {str(row.method): row.video_id.split("/")[0] for row in reading.rows if row.label}
    reading.count("methods", len(methods), 22)
    for method, kind in sorted(methods.items()):
        reading.count(f"{kind} {method}", sum(row.method == method for row in reading.rows), None)
        reading.count(f"{kind} {method} test", sum(row.method == method for row in tested), _TEST[kind])
