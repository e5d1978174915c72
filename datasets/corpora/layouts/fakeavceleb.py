"""FakeAVCeleb v1.2 (`DASH-Lab/FakeAVCeleb`): 500 celebrities, a real clip of each, fakes of picture, sound or both.

    {RealVideo,FakeVideo}-{RealAudio,FakeAudio}/RACE/GENDER/ID/CLIP.mp4
    meta_data.csv    source,target1,target2,method,category,type,race,gender,path,folder

What counts here is the picture: RealVideo-FakeAudio is a real whose sound is fake.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, make_row
from dancebench.datasets.corpora.lists import read_table, to_posix
from dancebench.datasets.corpora.manifest import Person, Terms, VideoRow

VIDEO: Final = re.compile(
    r"(?:FakeAVCeleb[^/]*/)?(?P<type>(?P<video>Real|Fake)Video-(?P<audio>Real|Fake)Audio)/(?P<race>[^/]+)/"
    r"(?P<gender>[^/]+)/(?P<id>[^/]+)/(?P<clip>[^/]+)\.mp4"
)
_PUBLISHED: Final = {
    "RealVideo-RealAudio": 500,
    "RealVideo-FakeAudio": 500,
    "FakeVideo-RealAudio": 9709,
    "FakeVideo-FakeAudio": 10835,
}
_NOBODY: Final = frozenset({"", "-"})


@CORPORA.register("fakeavceleb")
class FakeAVCeleb(Layout):
    """FakeAVCeleb: celebrities; fakes of picture, sound or both."""

    title: ClassVar[str] = "FakeAVCeleb"
    url: ClassVar[str] = "https://github.com/DASH-Lab/FakeAVCeleb"
    terms: ClassVar[Terms] = Terms(
        licence="CC BY 4.0 and the FakeAVCeleb form: research only", form="https://github.com/DASH-Lab/FakeAVCeleb"
    )
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = (VIDEO,)
    takes: ClassVar[frozenset[str]] = frozenset({"lists"})

    def read(self, request: CorpusRequest) -> Reading:
        """Read the names, and meta_data.csv."""
        reading = Reading()
        listed = _read_listed(request, reading)
        types: dict[str, int] = dict.fromkeys(_PUBLISHED, 0)
        for name in request.tree.files:
            found = VIDEO.fullmatch(name)
            if found is None:
                continue
            types[found["type"]] += 1
            key = f"{found['id']}/{found['clip']}.mp4"
            entry = listed.get(f"{found['type']}/{key}")
            if entry is None and listed:
                others = [kind for kind in _PUBLISHED if f"{kind}/{key}" in listed]
                reading.mismatches += [f"{name}: {kind} in meta_data.csv" for kind in others]
                reading.extra += [] if others else [name]
            reading.rows.append(_make_row(request, name, found, entry or {}))
        _link_reals(reading.rows)
        there = {f"{row.attributes['type']}/{'/'.join(row.path.split('/')[-2:])}" for row in reading.rows}
        reading.missing += sorted(listed.keys() - there)
        for kind, number in types.items():
            reading.count(kind, number, _PUBLISHED[kind])
        return reading


def _read_listed(request: CorpusRequest, reading: Reading) -> dict[str, dict[str, str]]:
    """TYPE/ID/FILE -> its line of meta_data.csv; empty without the list."""
    path = request.find_list("meta_data.csv")
    if path is None:
        reading.problems.append("meta_data.csv is not there: whose face and voice were given is not known.")
        return {}
    listed = {}
    for _, cells in read_table(reading, request.tree, path):
        folder = to_posix(cells.get("folder") or "").rstrip("/").rpartition("/")[2] or cells.get("source", "")
        listed[f"{cells.get('type', '')}/{folder}/{to_posix(cells.get('path', '')).rpartition('/')[2]}"] = cells
    return listed


def _make_row(request: CorpusRequest, name: str, found: re.Match[str], entry: dict[str, str]) -> VideoRow:
    fake = found["video"] == "Fake"
    source = entry.get("source") or found["id"]
    donors = [entry[key] for key in ("target1", "target2") if entry.get(key, "") not in _NOBODY]
    people = [Person(id=f"fakeavceleb/{source}", role="target")]
    people += [Person(id=f"fakeavceleb/{donor}", role="donor") for donor in dict.fromkeys(donors) if donor != source]
    method = entry.get("method") or "unknown"
    attributes = {"type": found["type"], "race": found["race"], "gender": found["gender"]}
    if not fake and found["audio"] == "Fake":
        attributes["audio_method"] = method
    return make_row(
        request.tree, name, 1 if fake else 0, tuple(people),
        video_id=f"{found['type']}/{found['id']}/{found['clip']}",
        label_audio=int(found["audio"] == "Fake"), method=method if fake else None, region="face" if fake else None,
        attributes=attributes,
    )  # fmt: skip


def _link_reals(rows: list[VideoRow]) -> None:
    """A person has one real of picture and sound; all others of that person were made from it."""
    real_of = {row.subject_id: row.video_id for row in rows if row.attributes["type"] == "RealVideo-RealAudio"}
    for index, row in enumerate(rows):
        if row.attributes["type"] != "RealVideo-RealAudio" and row.subject_id in real_of:
            rows[index] = row.model_copy(update={"real_of": real_of[row.subject_id]})
