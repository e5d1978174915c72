"""GenVideo (DeMamba): videos of generators, and reals of the web; nobody is identified.

    Real/…/VIDEO.mp4, Fake/GENERATOR/…/VIDEO.mp4          or folders of JPEGs, taken at 2 frames per second
    *.csv    content_path,image_path,type_id,label,frame_len,frame_seq       label 1 = generated

Fakes have 8 frames per second and fixed sizes: rate and size alone nearly tell them apart. The table of the test fakes
adds up to 8,588; the total beside it says 1,000 more.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Final

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, make_row, name_video
from dancebench.datasets.corpora.lists import compare_with_list, read_table, to_posix
from dancebench.datasets.corpora.manifest import Label, Terms, VideoRow
from dancebench.datasets.corpora.tree import Tree

FILE: Final = re.compile(r"(?:.*/)?(?:Real|Fake/(?P<generator>[^/]+))/(?:.+/)?[^/]+\.(?:mp4|avi|mov|mkv|webm|gif)")
FOLDER: Final = re.compile(r"(?:.*/)?(?:Real|Fake/(?P<generator>[^/]+))/(?:.+/)?[^/]+")
_FPS: Final = 2.0
_TEST: Final = {"real": 10000, "fake": 8588}


@CORPORA.register("genvideo")
class GenVideo(Layout):
    """GenVideo: videos of ten and more generators, and reals of the web."""

    title: ClassVar[str] = "GenVideo"
    url: ClassVar[str] = "https://github.com/chenhaoxing/DeMamba"
    terms: ClassVar[Terms] = Terms(licence="research only; the reals under the terms of MSR-VTT, Kinetics, Youku")
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = (FILE,)
    takes: ClassVar[frozenset[str]] = frozenset({"lists"})

    def recognise(self, tree: Tree) -> int:
        """Videos or folders of images below Real/ and Fake/."""
        return super().recognise(tree) + sum(FOLDER.fullmatch(folder) is not None for folder in tree.image_folders)

    def read(self, request: CorpusRequest) -> Reading:
        """Read the names, and the tables."""
        reading = Reading()
        rows: dict[str, VideoRow] = {}
        for name in request.tree.files:
            if found := FILE.fullmatch(name):
                rows[name] = _make_row(request, name, found["generator"], None)
        for folder in request.tree.image_folders:
            if found := FOLDER.fullmatch(folder):
                rows[folder] = _make_row(request, folder, found["generator"], _FPS)
        listed = _read_tables(request, reading, rows)
        if listed:
            compare_with_list(reading, listed, rows)
            reading.extra += sorted(rows.keys() - listed.keys())
        reading.rows = list(rows.values())
        for generator in sorted({row.method for row in reading.rows if row.method}):
            reading.count(generator, sum(row.method == generator for row in reading.rows), None)
        for kind, number in _TEST.items():
            reading.count(f"{kind} (test)", sum((kind == "fake") == row.label for row in reading.rows), number)
        reading.notes.append("GenVideo does not tell who is seen; each video is a group of its own.")
        return reading


def _make_row(request: CorpusRequest, name: str, generator: str | None, fps: float | None) -> VideoRow:
    video = name_video(name) if fps is None else name
    return make_row(
        request.tree, name, 0 if generator is None else 1, video_id=video, group=video, method=generator,
        family=None if generator is None else "video generator", region=None if generator is None else "whole", fps=fps,
    )  # fmt: skip


def _read_tables(request: CorpusRequest, reading: Reading, rows: dict[str, VideoRow]) -> dict[str, Label | None]:
    """Path -> label, of all tables; 1 is generated."""
    listed: dict[str, Label | None] = {}
    for path in _find_tables(request):
        for number, cells in read_table(reading, request.tree, path):
            if cells.get("label") not in ("0", "1"):
                raise BenchError(f"{path}:{number} has no label 0 or 1.", hint="Get the table again.")
            names = [to_posix(cells.get(column, "")) for column in ("image_path", "content_path")]
            known = next((found for name in names if name and (found := _find(rows, name))), names[0] or names[1])
            listed[known] = 1 if cells["label"] == "1" else 0
    return listed


def _find_tables(request: CorpusRequest) -> list[Path]:
    if request.lists is not None and not request.lists.is_dir():
        return [request.lists]
    tree = request.tree if request.lists is None else Tree.scan(request.lists)
    return [tree.root / name for name in tree.files if name.endswith(".csv")]


def _find(rows: dict[str, VideoRow], name: str) -> str | None:
    """The video that a path of another machine means: by its end."""
    parts = name.strip("/").split("/")
    return next((tail for start in range(len(parts)) if (tail := "/".join(parts[start:])) in rows), None)
