"""Material of the shipped detector: a folder of videos and its list in; what is looked at in each video out.

    list (layout `csv`) → views in one rate → looks of evenly placed windows, by member; features of the training domain

Of each video as many windows are looked at as of a questioned one, so its score varies no more than those that
threshold and calibration were fixed on. A line of the list says beside path, label, people and method under which
`licence`, from which `source` and by which `author` a video is. Views and looks are kept in a folder of work: a killed
making goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from dancebench.core.artifacts import ArtifactRecord, reuse_or_make
from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_path, sha256_file, sha256_json
from dancebench.core.progress import ReportProgress
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest
from dancebench.datasets.corpora.manifest import VideoRow
from dancebench.datasets.corpora.tree import Tree
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.extractors.boxes import describe_finder
from dancebench.datasets.video.clips import stream
from dancebench.detect.detectors.base import Detector, DetectorConfig
from dancebench.detect.detectors.ensemble import Ensemble
from dancebench.detect.evaluation.training_domain import measure_clip
from dancebench.detect.inputs.pairs import read_pairs
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.inputs.view_cache import ViewOrder, prepare_views
from dancebench.detect.trunk.look import Look
from dancebench.detect.trunk.network import SHA256

RATE: Final = 15.0
"""Frames per second of what is looked at: most cameras of homes and telephones have as many, and most networks too."""
_NEEDED: Final = ("source", "author")

DetectorT = TypeVar("DetectorT", bound=Detector)
Windows = Sequence[Sequence[Sequence[Look]]]
"""By window of the ensemble and, within it, of the member: what the member looks at."""


class Member(Protocol):
    """A member of the ensemble that says what it looks at."""

    @property
    def config(self) -> DetectorConfig: ...

    @property
    def window(self) -> int: ...

    def look_at(self, window: npt.NDArray[np.uint8]) -> list[Look]:
        """What it looks at in a window, uint8 (T, H, W, 3)."""

    def combine_looks(self, looks: Sequence[Look]) -> float:
        """The logit of a window, from what was looked at in it."""


@dataclass(frozen=True)
class WatchedVideo:
    """A video of the material, and what was looked at in it.

    Attributes:
        row: Of its view.
        seconds: When each window begins (N,).
        windows: What was looked at in each, by the member's name.
        features: For the training domain.
    """

    row: VideoRow
    seconds: npt.NDArray[np.float64]
    windows: Mapping[str, Windows]
    features: Sequence[float]

    @property
    def source(self) -> str:
        """Whose videos share places and cameras."""
        return self.row.attributes["source"]


class LooksRecord(ArtifactRecord):
    """The record beside the looks of a video."""

    SCHEMA_VERSION: ClassVar[int] = 2

    made_from: tuple[Any, ...]
    """The view, and what looked at it."""
    sha256: str
    """Of the file of looks."""
    features: tuple[float, ...]

    @property
    def key(self) -> Any:
        return list(self.made_from)

    def files(self, path: Path) -> Mapping[Path, str]:
        """The looks."""
        return {path.with_suffix(".safetensors"): self.sha256}


def read_material(folder: Path, table: Path) -> VideoSet:
    """Read the list of the material.

    Raises:
        BenchError: A video is missing, or its line lacks licence, source, author or people.
    """
    reading = CORPORA["csv"]().read(CorpusRequest(Tree.scan(folder.resolve()), lists=table.resolve()))
    if reading.missing:
        raise BenchError(
            f"{len(reading.missing)} videos of {table} are not in {folder}, as {reading.missing[0]}.",
            hint="Paths are relative to the folder that is named.",
        )
    for row in reading.rows:
        lacking = [name for name in _NEEDED if not row.attributes.get(name)]
        lacking += [name for name, value in (("licence", row.terms), ("people", row.people)) if not value]
        if lacking:
            raise BenchError(
                f"{table} does not tell the {lacking[0]} of {row.path}.",
                hint="What ships names every author, source and licence: fill the column, or leave the video out.",
            )
    rows = tuple(
        row.model_copy(update={"sha256": sha256_file(folder / row.path), "split": "train", "pictures": "camera"})
        for row in reading.rows
    )
    return VideoSet(folder.resolve(), rows)


def get_members(ensemble: Ensemble) -> dict[str, Member]:
    """Its members by name."""
    members: list[Any] = list(ensemble.members)
    return dict(zip(ensemble.config.members, members, strict=True))


def find_member(ensemble: Ensemble, kind: type[DetectorT]) -> DetectorT:
    """Its member of a kind."""
    return next(member for member in ensemble.members if isinstance(member, kind))


def make_views(videos: VideoSet, ensemble: Ensemble, work: Path, report: ReportProgress) -> VideoSet:
    """Views of all videos in one rate, as the ensemble looks at them; kept in the folder of work.

    Raises:
        BenchError: A video cannot be decoded.
    """
    return prepare_views(ViewOrder(videos, ensemble.config.looks_at, RATE, Workspace(work).open()), report)


def watch(views: VideoSet, ensemble: Ensemble, report: ReportProgress) -> list[WatchedVideo]:
    """Look at all views, in their order; what was looked at before is read from beside the view.

    Raises:
        BenchError: A view cannot be read, or is shorter than a window.
    """
    watched = []
    for done, row in enumerate(views):
        report("looking at videos", done, len(views))
        watched.append(_watch_video(views, row, ensemble))
    report("looking at videos", len(views), len(views))
    return watched


def read_windows(
    views: VideoSet, row: VideoRow, ensemble: Ensemble
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """The windows of a view that are scored: when each begins (N,), and its frames uint8 (N, window, H, W, 3).

    Raises:
        BenchError: The view cannot be read, or is shorter than a window.
    """
    config = ensemble.config
    return read_pairs(views.path(row), config.size, config.count, ensemble.window, row.breaks)


def _watch_video(views: VideoSet, row: VideoRow, ensemble: Ensemble) -> WatchedVideo:
    clip, members = views.path(row), get_members(ensemble)
    settings = [ensemble.config.count, *(member.config.model_dump(mode="json") for member in members.values())]
    key = [row.sha256, list(row.breaks), sha256_json(settings), SHA256, describe_finder()]
    path = clip.with_suffix(".looks.json")
    looks_path = path.with_suffix(".safetensors")

    def make() -> LooksRecord:
        seconds, windows = read_windows(views, row, ensemble)
        looks = {
            name: [[member.look_at(part) for part in _cut(window, member.window)] for window in windows]
            for name, member in members.items()
        }
        _save_looks(looks_path, seconds, looks)
        features = tuple(measure_clip(frame for _, frame in stream(clip)))
        return LooksRecord(made_from=tuple(key), sha256=sha256_file(looks_path), features=features)

    record = reuse_or_make(path, LooksRecord, key, make)
    seconds, looks = _load_looks(
        looks_path, {name: ensemble.window - each.window + 1 for name, each in members.items()}
    )
    return WatchedVideo(row, seconds, looks, record.features)


def _cut(window: npt.NDArray[np.uint8], length: int) -> Iterator[npt.NDArray[np.uint8]]:
    """The shorter windows inside one."""
    for start in range(len(window) - length + 1):
        yield window[start : start + length]


def _save_looks(path: Path, seconds: npt.NDArray[np.float64], looks: Mapping[str, Windows]) -> None:
    tensors: dict[str, npt.NDArray[Any]] = {"seconds": np.ascontiguousarray(seconds, np.float64)}
    for name, windows in looks.items():
        found = [
            (number, inside, look)
            for number, parts in enumerate(windows)
            for inside, looked in enumerate(parts)
            for look in looked
        ]
        for part in dict.fromkeys(look.part for _, _, look in found):
            of_part = [each for each in found if each[2].part == part]
            tensors[f"{name}/{part}/vectors"] = np.stack([look.vector for _, _, look in of_part])
            tensors[f"{name}/{part}/places"] = np.array(
                [(number, inside, *look.box.edges) for number, inside, look in of_part], np.int64
            )
    with atomic_path(path) as target:
        save_file(tensors, target)


def _load_looks(path: Path, counts: Mapping[str, int]) -> tuple[npt.NDArray[np.float64], dict[str, Windows]]:
    """What `_save_looks` wrote, where each member has so many windows inside one of the ensemble."""
    tensors = load_file(path)
    looks: dict[str, list[list[list[Look]]]] = {
        name: [[[] for _ in range(count)] for _ in tensors["seconds"]] for name, count in counts.items()
    }
    for key in sorted(tensor for tensor in tensors if tensor.endswith("/vectors")):
        name, part, _ = key.split("/")
        places = tensors[f"{name}/{part}/places"].tolist()
        for vector, (number, inside, *edges) in zip(tensors[key], places, strict=True):
            looks[name][number][inside].append(Look(part, Box(*edges), vector))
    return tensors["seconds"], dict(looks)
