"""Material of the shipped detector: a folder of videos and its list in; what is looked at in each video out.

    list (layout `csv`) → views in one rate → looks of evenly placed windows, features of the training domain

Of each video `windows` windows are looked at; a questioned one has `pairs`, no fewer, so its score varies no more than
those that threshold and calibration were fixed on. A line of the list says beside path, label, people and method under
which `licence`, from which `source` and by which `author` a video is. Views and looks are kept in a folder of work: a
killed making goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

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
from dancebench.detect.detectors.typicality import Look, Part
from dancebench.detect.detectors.typicality.detector import Typicality
from dancebench.detect.evaluation.training_domain import measure_clip
from dancebench.detect.inputs.pairs import read_pairs
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.inputs.view_cache import ViewOrder, prepare_views
from dancebench.detect.trunk.network import SHA256

RATE: Final = 15.0
"""Frames per second of what is looked at: most cameras of homes and telephones have as many, and most networks too."""
_NEEDED: Final = ("source", "author")


@dataclass(frozen=True)
class WatchedVideo:
    """A video of the material, and what was looked at in it.

    Attributes:
        row: Of its view.
        seconds: When each window begins (N,).
        windows: What was looked at in each.
        features: For the training domain.
    """

    row: VideoRow
    seconds: npt.NDArray[np.float64]
    windows: Sequence[Sequence[Look]]
    features: Sequence[float]

    @property
    def source(self) -> str:
        """Whose videos share places and cameras."""
        return self.row.attributes["source"]


class LooksRecord(ArtifactRecord):
    """The record beside the looks of a video."""

    SCHEMA_VERSION: ClassVar[int] = 1

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


def watch(videos: VideoSet, detector: Typicality, work: Path, report: ReportProgress) -> list[WatchedVideo]:
    """Look at all videos, in the order of the list; what was looked at before is read from the folder of work.

    Raises:
        BenchError: A video cannot be decoded, or is shorter than a window.
    """
    workspace = Workspace(work).open()
    views = prepare_views(ViewOrder(videos, detector.config.looks_at, RATE, workspace), report)
    watched = []
    for done, row in enumerate(views):
        report("looking at videos", done, len(views))
        watched.append(_watch_video(views, row, detector))
    report("looking at videos", len(views), len(views))
    return watched


def _watch_video(views: VideoSet, row: VideoRow, detector: Typicality) -> WatchedVideo:
    clip = views.path(row)
    settings = detector.config.model_dump(mode="json", exclude={"pairs", "components", "seed"})
    key = [row.sha256, list(row.breaks), sha256_json(settings), SHA256, describe_finder()]
    path = clip.with_suffix(".looks.json")

    def make() -> LooksRecord:
        size, count = detector.config.size, detector.config.windows
        seconds, windows = read_pairs(clip, size, count, detector.window, row.breaks)
        _save_looks(path.with_suffix(".safetensors"), seconds, [detector.look_at(window) for window in windows])
        return LooksRecord(
            made_from=tuple(key),
            sha256=sha256_file(path.with_suffix(".safetensors")),
            features=tuple(measure_clip(frame for _, frame in stream(clip))),
        )

    record = reuse_or_make(path, LooksRecord, key, make)
    seconds, looks = _load_looks(path.with_suffix(".safetensors"), detector.config.parts)
    return WatchedVideo(row, seconds, looks, record.features)


def _save_looks(path: Path, seconds: npt.NDArray[np.float64], windows: Sequence[Sequence[Look]]) -> None:
    tensors: dict[str, npt.NDArray[Any]] = {"seconds": np.ascontiguousarray(seconds, np.float64)}
    for part in {look.part for looks in windows for look in looks}:
        found = [(number, look) for number, looks in enumerate(windows) for look in looks if look.part == part]
        tensors[f"{part}/vectors"] = np.stack([look.vector for _, look in found])
        tensors[f"{part}/places"] = np.array([(number, *look.box.edges) for number, look in found], np.int64)
    with atomic_path(path) as target:
        save_file(tensors, target)


def _load_looks(path: Path, parts: Sequence[Part]) -> tuple[npt.NDArray[np.float64], list[list[Look]]]:
    tensors = load_file(path)
    windows: list[list[Look]] = [[] for _ in tensors["seconds"]]
    for part in parts:
        if f"{part}/vectors" in tensors:
            for vector, (number, *edges) in zip(
                tensors[f"{part}/vectors"], tensors[f"{part}/places"].tolist(), strict=True
            ):
                windows[number].append(Look(part, Box(*edges), vector))
    return tensors["seconds"], windows
