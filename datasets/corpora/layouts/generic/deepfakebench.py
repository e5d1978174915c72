"""The lists of DeepfakeBench (`SCLBD/DeepfakeBench`), and the frames that they name.

    {DATASET: {LABEL_KEY: {train|val|test: {[c23|c40:] {VIDEO: {"label": KEY, "frames": [...], "masks": [...]}}}}}}

Paths of frames are relative to the folder of the frames, on some machines with backslashes. `FF-real` and keys that end
in `real` are real, every other known key is fake. Its splits are shown, not trusted: DFD's clips stand in all three
parts, and where a dataset has two folders of reals the second overwrote the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from dancebench.core.errors import BenchError
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, list_people, make_row
from dancebench.datasets.corpora.layouts.ffpp import FAMILIES, PEOPLE_OF, name_person
from dancebench.datasets.corpora.lists import read_json_list, to_posix
from dancebench.datasets.corpora.manifest import Label, OfficialSplit, Person, Terms, VideoRow
from dancebench.datasets.corpora.tree import Tree

_SPLITS: Final[dict[str, OfficialSplit]] = {"train": "train", "val": "validation", "test": "test"}
_METHODS: Final = {
    "FF-DF": "Deepfakes", "FF-F2F": "Face2Face", "FF-FS": "FaceSwap", "FF-NT": "NeuralTextures", "FF-SH": "FaceShifter",
    "FF-FH": "FaceShifter",
}  # fmt: skip
_COMPRESSIONS: Final = frozenset({"raw", "c0", "c23", "c40"})
_NAMES: Final = {
    "ffpp": re.compile(r"(?P<t>\d{3})(?:_(?P<d>\d{3}))?"),
    "celebdf": re.compile(r"id(?P<t>\d+)(?:_id(?P<d>\d+))?_\d{4}"),
    "dfd": re.compile(r"(?P<t>\d\d)(?:_(?P<d>\d\d))?__.+"),
}
"""Whose names can be read off those of the videos, by corpus."""


@dataclass
class _Video:
    """A video of the lists, with all parts that it stands in."""

    dataset: str
    key: str
    compression: str | None
    name: str
    label: str
    """As its entry says: the key above it, or the list contradicts itself."""
    frames: list[str]
    splits: list[OfficialSplit] = field(default_factory=list)

    @property
    def video_id(self) -> str:
        return "/".join(part for part in (self.dataset, self.key, self.compression, self.name) if part)


@CORPORA.register("deepfakebench")
class DeepfakeBench(Layout):
    """The JSON lists of DeepfakeBench with the frames that they name."""

    title: ClassVar[str] = "lists of DeepfakeBench"
    url: ClassVar[str] = "https://github.com/SCLBD/DeepfakeBench"
    terms: ClassVar[Terms] = Terms(licence="CC BY-NC 4.0 for the lists; the videos are under their corpora's terms")
    side: ClassVar[re.Pattern[str]] = re.compile(r".*/(masks|landmarks)/.*|.*\.npy")
    takes: ClassVar[frozenset[str]] = frozenset({"lists", "fps"})

    def recognise(self, tree: Tree) -> int:
        """Folders of frames, where there is a list."""
        lists = any(name.endswith(".json") for name in tree.files)
        return sum("/frames/" in f"/{folder}/" for folder in tree.image_folders) if lists else 0

    def read(self, request: CorpusRequest) -> Reading:
        """Read the lists, and look for the folders of the frames."""
        reading = Reading()
        videos: dict[str, _Video] = {}
        for path in _find_lists(request):
            for video, split in _list_videos(path, read_json_list(reading, request.tree, path)):
                known = videos.setdefault(video.video_id, video)
                if split not in known.splits:
                    known.splits.append(split)
        short = []
        for video in videos.values():
            if video.label != video.key:
                reading.mismatches.append(f"{video.video_id}: {video.label} in its entry, {video.key} above it")
            folder = _find_folder(request.tree, video)
            if folder is None:
                reading.missing.append(video.video_id)
                continue
            reading.rows.append(_make_row(request, video, folder))
            if request.tree.image_folders[folder] < len(set(video.frames)):
                short.append(video.video_id)
        if short:
            reading.problems.append(f"{len(short)} videos have fewer frames than their list names, as {short[0]}.")
        reading.official = "the lists' train, val and test"
        _report_splits(reading, list(videos.values()))
        _report_overwritten(reading, list(videos.values()))
        _count(reading, list(videos.values()))
        return reading


def _find_lists(request: CorpusRequest) -> list[Path]:
    if request.lists is not None and not request.lists.is_dir():
        return [request.lists]
    tree = request.tree if request.lists is None else Tree.scan(request.lists)
    found = [tree.root / name for name in tree.files if name.endswith(".json") and "/" not in name]
    if not found:
        raise BenchError(f"{tree.root} holds no list (*.json).", hint="Name it: --list LIST.json.")
    return found


def _list_videos(path: Path, data: Any) -> Iterator[tuple[_Video, OfficialSplit]]:
    """All videos of a list, each with a part that it stands in."""
    try:
        for dataset, keys in data.items():
            for key, splits in keys.items():
                for split, entries in splits.items():
                    for compression, name, entry in _flatten(entries):
                        frames = [to_posix(str(frame)) for frame in entry["frames"]]
                        label = str(entry.get("label", key))
                        yield _Video(dataset, key, compression, name, label, frames), _SPLITS[split]
    except (AttributeError, KeyError, TypeError) as error:
        raise BenchError(
            f"{path} is not a list of DeepfakeBench ({type(error).__name__}: {error}).",
            hint="Expected {dataset: {label: {train|val|test: {video: {label, frames}}}}}.",
        ) from error


def _flatten(entries: dict[str, Any]) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    for name, entry in entries.items():
        if name in _COMPRESSIONS and "frames" not in entry:
            yield from ((name, video, inner) for video, inner in entry.items())
        else:
            yield None, name, entry


def _find_folder(tree: Tree, video: _Video) -> str | None:
    """The folder of a video's frames: as the list says, below the root or below a folder that the root lies in."""
    if not video.frames:
        return None
    parts = video.frames[0].rpartition("/")[0].split("/")
    for start in range(len(parts)):
        folder = "/".join(parts[start:])
        if folder in tree.image_folders:
            return folder
    return None


def _make_row(request: CorpusRequest, video: _Video, folder: str) -> VideoRow:
    label = _read_label(video.key)
    method = _METHODS.get(video.key, video.key) if label else None
    return make_row(
        request.tree, folder, label, _name_people(video), video_id=video.video_id, method=method,
        family=FAMILIES.get(method or ""), compression=video.compression, fps=request.fps,
        official_split=video.splits[0] if len(video.splits) == 1 else None,
    )  # fmt: skip


def _read_label(key: str) -> Label:
    if re.fullmatch(r".*[-_]real", key, flags=re.IGNORECASE):
        return 0
    if key in _METHODS or re.search("fake", key, flags=re.IGNORECASE):
        return 1
    raise BenchError(
        f"'{key}' is not a label of DeepfakeBench that is known.", hint="Bring such a list as a table: layout csv."
    )


def _name_corpus(video: _Video) -> str | None:
    if video.key.startswith("FF-"):
        return "ffpp"
    if video.key.lower().startswith("celebdf"):
        return "celebdf"
    return "dfd" if video.key.lower().startswith("dfd_") else None


def _name_people(video: _Video) -> tuple[Person, ...]:
    corpus = _name_corpus(video)
    found = _NAMES[corpus].fullmatch(video.name) if corpus else None
    if found is None and corpus == "celebdf" and re.fullmatch(r"\d{5}", video.name):
        return list_people(target=f"celebdf/youtube{video.name}")
    if found is None:
        return ()
    target, donor = found["t"], found["d"]
    if corpus == "ffpp":
        return list_people(
            target=name_person(target, PEOPLE_OF), donor=None if donor is None else name_person(donor, PEOPLE_OF)
        )
    prefix = "celebdf/id" if corpus == "celebdf" else "dfd/"
    return list_people(target=prefix + target, donor=None if donor is None else prefix + donor)


def _report_splits(reading: Reading, videos: list[_Video]) -> None:
    several = [video for video in videos if len(video.splits) > 1]
    if several:
        first = several[0]
        reading.problems.append(
            f"{len(several)} videos are in several parts of the lists, as {first.video_id} in "
            f"{', '.join(first.splits)}: they are in no official split."
        )


def _report_overwritten(reading: Reading, videos: list[_Video]) -> None:
    """Celeb-DF has two folders of reals; a list with one of them lost the other."""
    reals = [video for video in videos if re.fullmatch(r"celebdf.*real", video.key, flags=re.IGNORECASE)]
    for key in sorted({video.key for video in reals}):
        names = [video.name for video in reals if video.key == key]
        for folder, pattern in (("Celeb-real", r"id\d+_\d{4}"), ("YouTube-real", r"\d{5}")):
            if not any(re.fullmatch(pattern, name) for name in names):
                reading.problems.append(f"{key} has no video of {folder}: its list was overwritten by the other's.")


def _count(reading: Reading, videos: list[_Video]) -> None:
    for dataset, key in sorted({(video.dataset, video.key) for video in videos}):
        for split in _SPLITS.values():
            of_key = [each for each in videos if (each.dataset, each.key) == (dataset, key) and split in each.splits]
            if of_key:
                reading.count(f"{dataset} {key} {split}", len(of_key), None)
