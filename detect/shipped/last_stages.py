"""What the shipped detector learns from pairs, and reals that went through last stages whole, to measure it on.

    views of the reals → patches → pairs of each and itself through last stages (kept)
    reals that fakes were made from → through last stages of another training → clips (kept): fakes like any other

A clip through a last stage is scored by a detector that did not learn from this stage.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from dancebench.core.artifacts import ArtifactRecord, reuse_or_make
from dancebench.core.files import atomic_path, sha256_file
from dancebench.core.progress import ReportProgress
from dancebench.datasets.corpora.manifest import VideoRow
from dancebench.datasets.video.clips import VideoReader, describe_encoder, write_clip
from dancebench.datasets.video.upright import Frame
from dancebench.detect.detectors.ensemble import Ensemble
from dancebench.detect.detectors.traces.detector import Traces
from dancebench.detect.detectors.traces.last_stages import MULTIPLE, WINDOW, LastStage, interpolate_inner_frames
from dancebench.detect.detectors.traces.pairs import ROWS, PairVectors, draw_patches
from dancebench.detect.inputs.pairs import Pairs
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.shipped.material import read_windows

RECONSTRUCTIONS: Final = ("transposed", "bilinear", "temporal", "shuffle-8x", "interpolation")
"""Last stages that whole clips go through; `interpolation` is none that is learned from."""
FAMILY: Final = "reconstruction"
"""What the methods of such clips begin with."""
_SEED: Final = 1000
"""Of the last stages of whole clips: others than those that are learned from."""

LearnStages = Callable[[int], Mapping[str, LastStage]]


class PairsRecord(ArtifactRecord):
    """The record beside the pairs."""

    SCHEMA_VERSION: ClassVar[int] = 2

    made_from: tuple[Any, ...]
    people: tuple[str, ...]
    sources: tuple[str, ...]
    """Of each pair."""
    stages: tuple[str, ...]
    sha256: str

    @property
    def key(self) -> Any:
        return list(self.made_from)

    def files(self, path: Path) -> Mapping[Path, str]:
        """What was measured."""
        return {path.with_suffix(".safetensors"): self.sha256}


class MaterialPairs:
    """Pairs of the material, some of which may be left out.

    Args:
        pairs: All.
        sources: Of each.
    """

    def __init__(self, pairs: PairVectors, sources: Iterable[str]) -> None:
        self._pairs = pairs
        self._sources = np.array(list(sources), dtype=np.str_)

    def leave_out(self, source: str | None, method: str | None = None) -> PairVectors:
        """Without those of a source, and without the last stage that a reconstruction went through."""
        kept = np.flatnonzero(self._sources != source)
        stages = [number for number, name in enumerate(self._pairs.stages) if f"{FAMILY}:{name}" != method]
        return PairVectors(
            self._pairs.vectors[kept][:, [0, *(number + 1 for number in stages)]],
            [self._pairs.people[number] for number in kept],
            [self._pairs.stages[number] for number in stages],
        )


def draw_material_patches(views: VideoSet, ensemble: Ensemble, traces: Traces) -> tuple[list[Pairs], list[VideoRow]]:
    """Patches of the reals among the views, and the row of each; the same views give the same patches."""
    patches: list[Pairs] = []
    rows: list[VideoRow] = []
    for row in (row for row in views if row.label == 0):
        generator = np.random.default_rng([traces.config.seed, len(rows)])
        for window in read_windows(views, row, ensemble)[1]:
            found = draw_patches(window, traces.config.drawn, generator)
            patches += [patch.copy() for patch in found]
            rows += [row] * len(found)
    return patches, rows


def measure_material_pairs(
    views: VideoSet, ensemble: Ensemble, traces: Traces, work: Path, report: ReportProgress
) -> tuple[MaterialPairs, LearnStages]:
    """What last stages leave in the reals among the views; how to learn further stages from the same patches.

    Raises:
        BenchError: A view cannot be read, or the reals show fewer than three people.
    """
    draw = functools.cache(functools.partial(draw_material_patches, views, ensemble, traces))

    def learn(seed: int) -> Mapping[str, LastStage]:
        return traces.learn_stages(draw()[0], seed, report)

    settings = traces.config.model_dump(mode="json", exclude={"pairs", "patches"})
    key = [[[row.video_id, row.sha256] for row in views if row.label == 0], settings, ensemble.config.count]
    path = work / "pairs.json"
    vectors_path = path.with_suffix(".safetensors")

    def make() -> PairsRecord:
        patches, rows = draw()
        pairs = traces.measure_pairs(patches, [row.subject_id for row in rows], report)
        with atomic_path(vectors_path) as target:
            save_file({"vectors": pairs.vectors}, target)
        return PairsRecord(
            made_from=tuple(key),
            people=tuple(pairs.people),
            sources=tuple(row.attributes["source"] for row in rows for _ in range(ROWS)),
            stages=tuple(pairs.stages),
            sha256=sha256_file(vectors_path),
        )

    record = reuse_or_make(path, PairsRecord, key, make)
    pairs = PairVectors(load_file(vectors_path)["vectors"], record.people, record.stages)
    return MaterialPairs(pairs, record.sources), learn


class ReconstructionRecord(ArtifactRecord):
    """The record beside a clip that went through a last stage."""

    SCHEMA_VERSION: ClassVar[int] = 1

    made_from: tuple[Any, ...]
    sha256: str

    @property
    def key(self) -> Any:
        return list(self.made_from)

    def files(self, path: Path) -> Mapping[Path, str]:
        """The clip."""
        return {path.with_suffix(".mp4"): self.sha256}


def make_reconstructions(
    videos: VideoSet, names: Sequence[str], traces: Traces, learn: LearnStages, work: Path, report: ReportProgress
) -> VideoSet:
    """Put the reals that fakes were made from through last stages of these names, as clips in the folder of work.

    Raises:
        BenchError: A real cannot be read.
    """
    made_from = {row.real_of for row in videos if row.label == 1}
    wanted = [(name, row) for name in names for row in videos if row.video_id in made_from]
    learned = functools.cache(lambda: {**learn(_SEED), "interpolation": interpolate_inner_frames})
    settings = traces.config.model_dump(mode="json", exclude={"pairs", "patches", "windows"})
    rows = []
    for done, (name, row) in enumerate(wanted):
        report("putting reals through last stages", done, len(wanted))
        path = work / "reconstructions" / name / f"{row.sha256}.json"
        key = [row.sha256, name, settings, describe_encoder()]

        make = functools.partial(_reconstruct, videos, row, name, learned, path, key)
        record = reuse_or_make(path, ReconstructionRecord, key, make)
        changes = {
            "video_id": f"{FAMILY}/{name}/{row.video_id}", "path": f"reconstructions/{name}/{row.sha256}.mp4",
            "sha256": record.sha256, "label": 1, "method": f"{FAMILY}:{name}", "real_of": row.video_id,
        }  # fmt: skip
        rows.append(row.model_copy(update=changes))
    report("putting reals through last stages", len(wanted), len(wanted))
    return VideoSet(work, tuple(rows))


def _reconstruct(
    videos: VideoSet, row: VideoRow, name: str, learned: Callable[[], Mapping[str, LastStage]], path: Path,
    key: list[Any],
) -> ReconstructionRecord:  # fmt: skip
    clip = path.with_suffix(".mp4")
    clip.parent.mkdir(parents=True, exist_ok=True)
    with VideoReader(videos.path(row)) as reader:
        write_clip(clip, _pass_through(reader, learned()[name]), reader.fps)
    return ReconstructionRecord(made_from=tuple(key), sha256=sha256_file(clip))


def _pass_through(frames: Iterable[Frame], stage: LastStage) -> Iterator[Frame]:
    """Frames in windows through a last stage; a window that is not full at the end stays away."""
    window: list[npt.NDArray[np.uint8]] = []
    for frame in frames:
        height, width = (side // MULTIPLE * MULTIPLE for side in frame.shape[:2])
        window.append(frame[:height, :width])
        if len(window) == WINDOW:
            yield from stage(np.stack(window)[None])[0]
            window = []
