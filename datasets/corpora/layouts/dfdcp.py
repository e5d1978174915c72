"""Deepfake Detection Challenge, the preview data: 66 actors whose ids are told.

dataset.json                {PATH: {"label": "real"|"fake", "set": "train"|"test", "target_id": …, "swapped_id": …}}
original_videos/ID/….mp4
method_{A,B}/TARGET/TARGET_*/SWAPPED_TARGET_*_N.mp4
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, list_people, make_row
from dancebench.datasets.corpora.lists import compare_with_list, read_json_list, to_posix
from dancebench.datasets.corpora.manifest import Label, OfficialSplit, Terms, VideoRow

REAL: Final = re.compile(r"original_videos/(?P<t>[^/]+)/.+\.mp4")
FAKE: Final = re.compile(r"(?P<method>method_[AB])/(?P<t>[^/]+)/.*?(?P<d>[^/_]+)_(?P=t)_[^/]*\.mp4")
_PUBLISHED: Final = {0: 1131, 1: 4119}
_TEST: Final = {0: 276, 1: 501}
_LABELS: Final[dict[str, Label]] = {"real": 0, "fake": 1}
_SPLITS: Final[dict[str, OfficialSplit]] = {"train": "train", "test": "test"}


@CORPORA.register("dfdcp")
class DeepfakeDetectionChallengePreview(Layout):
    """Deepfake Detection Challenge Preview: actors with ids, two methods."""

    title: ClassVar[str] = "Deepfake Detection Challenge Preview"
    url: ClassVar[str] = "https://ai.meta.com/datasets/dfdc/"
    terms: ClassVar[Terms] = Terms(
        licence="DFDC terms: research on the detection of deepfakes only", form="https://ai.meta.com/datasets/dfdc/"
    )
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = (REAL, FAKE)

    def read(self, request: CorpusRequest) -> Reading:
        """Read the names, and dataset.json."""
        reading = Reading()
        entries = _read_entries(request, reading)
        rows = {name: row for name in request.tree.files if (row := _read_name(request, name, entries.get(name, {})))}
        reading.rows = list(rows.values())
        if entries:
            compare_with_list(reading, {name: entry["label"] for name, entry in entries.items()}, rows)
            reading.extra += sorted(rows.keys() - entries.keys())
        for label, kind in enumerate(("real", "fake")):
            of_kind = [row for row in reading.rows if row.label == label]
            reading.count(kind, len(of_kind), _PUBLISHED[label])
            if entries:
                reading.count(f"{kind} test", sum(row.official_split == "test" for row in of_kind), _TEST[label])
        return reading


def _read_entries(request: CorpusRequest, reading: Reading) -> dict[str, dict[str, Any]]:
    """Path -> label, split and people of the list; empty without the list."""
    path = request.find_list("dataset.json")
    if path is None:
        reading.problems.append("dataset.json is not there: no video is in the official split.")
        return {}
    reading.official = "the sets of dataset.json"
    entries = {}
    for name, entry in read_json_list(reading, request.tree, path).items():
        if str(entry.get("label")).lower() not in _LABELS or entry.get("set") not in _SPLITS:
            raise BenchError(f"{path}: {name} has no label real or fake and set train or test.", hint="Get it again.")
        entries[to_posix(name)] = {
            "label": _LABELS[str(entry["label"]).lower()],
            "split": _SPLITS[entry["set"]],
            "target": entry.get("target_id"),
            "donor": entry.get("swapped_id"),
        }
    return entries


def _read_name(request: CorpusRequest, name: str, entry: dict[str, Any]) -> VideoRow | None:
    split = entry.get("split")
    if found := REAL.fullmatch(name):
        people = list_people(target=f"dfdcp/{entry.get('target') or found['t']}")
        return make_row(request.tree, name, 0, people, official_split=split)
    if found := FAKE.fullmatch(name):
        target, donor = entry.get("target") or found["t"], entry.get("donor") or found["d"]
        return make_row(
            request.tree, name, 1, list_people(target=f"dfdcp/{target}", donor=f"dfdcp/{donor}"),
            method=found["method"], family="face swap", region="face", official_split=split,
        )  # fmt: skip
    return None
