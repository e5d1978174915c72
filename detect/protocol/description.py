"""What holds of a set of videos whatever the detector: measured once per manifest, kept as `video_set.json`.

    leak audit, clip size        a set that leaks has no description
    training-domain features     of the training and held-out clips
    shortcut and bytes baselines negative controls that see no frame
    quality of the fakes         mean body SSIM per method, where whoever made the fakes measures it

Every detector of a run reads it, and so does `bench detect --submit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, get_args

from dancebench.core.artifacts import ArtifactRecord, reuse_or_make
from dancebench.core.errors import BenchError
from dancebench.core.metric import Metric
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.corpora.manifest import Split
from dancebench.datasets.video.clips import stream
from dancebench.detect.evaluation.controls import measure_shortcuts
from dancebench.detect.evaluation.training_domain import measure_clip
from dancebench.detect.inputs.leak_audit import LeakError, audit_frames, audit_leaks, find_leaks, require_one_size
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.trunk.features import SIZE

SHORTCUTS: Final = ("shortcut_auc", "shortcut_p", "bytes_per_frame_auc")
"""Names of the controls that no detector has a part in."""


class VideoSetRecord(ArtifactRecord):
    """`video_set.json` of a manifest."""

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2

    videos_sha256: str
    """Hash of the manifest's rows."""
    seed: int
    """Seed of the permutations behind `shortcut_p`."""
    clip_height: int
    clip_width: int
    features: dict[str, tuple[float, ...]]
    """video_id -> what `training_domain.measure_clip` gives, of the training and held-out videos that can be read."""
    unreadable: dict[str, str]
    """video_id of a validation or held-out video that cannot be read -> why."""
    controls: dict[str, Metric]
    """`SHORTCUTS`."""
    quality: dict[str, float]
    """Method -> mean body SSIM of its held-out fakes in their own person's motion; empty if not measured."""
    fakes_sha256: str
    """Hash of the fakes whose quality is that."""
    leaks: tuple[str, ...] = ()
    """What the leak audit found, where leaks are reported and do not stop a run."""
    refuses_leaks: bool = True
    """Whether they stop it."""

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Leave out the features of version 1, which were others: the videos are described again."""
        return data | {"features": {}} if data["schema_version"] < 2 else data

    @property
    def key(self) -> Any:
        """With a video that could not be read it is never the artifact: that one was not audited."""
        features = len(next(iter(self.features.values()), ()))
        reported = [] if self.refuses_leaks else ["leaks are reported"]
        return [self.videos_sha256, self.seed, self.fakes_sha256, features, list(self.unreadable), *reported]

    def files(self, path: Path) -> Mapping[Path, str]:
        """None: it describes videos that the manifest has the hashes of."""
        return {}


def describe_video_set(
    videos: VideoSet,
    path: Path,
    *,
    seed: int,
    fakes_sha256: str = "",
    measure_quality: Callable[[], dict[str, float]] = dict,
    refuse_leaks: bool = True,
    report: ReportProgress = ignore_progress,
) -> VideoSetRecord:
    """Audit and describe a set of videos, or read what an earlier call wrote.

    Args:
        videos: All splits of a manifest.
        path: Where the record lies.
        seed: Seed of the permutations behind `shortcut_p`.
        fakes_sha256: Hash of the fakes whose quality is measured.
        measure_quality: Measures the fakes: method -> mean body SSIM.
        refuse_leaks: Whether leaks between the splits stop it; else they are in the record: published splits leak.
        report: Progress.

    Raises:
        BenchError: A split is empty, the set leaks or has clips of several sizes, or a training video cannot be
            read or was changed.
    """

    def describe() -> VideoSetRecord:
        leaks = _audit(videos, report, refuse_leaks=refuse_leaks)
        height, width = require_one_size(videos.rows)
        features, unreadable = _measure_clips(videos.split("train", "holdout"), report)
        known = videos.split("train").methods
        compared = videos.select(lambda row: row.video_id in features and (row.method is None or row.method in known))
        return VideoSetRecord(
            videos_sha256=videos.sha256,
            seed=seed,
            clip_height=height,
            clip_width=width,
            features=features,
            unreadable=unreadable | _list_unreadable(videos.split("validation")),
            controls=measure_shortcuts(compared, seed=seed),
            quality=measure_quality(),
            fakes_sha256=fakes_sha256,
            leaks=leaks,
            refuses_leaks=refuse_leaks,
        )

    key = [videos.sha256, seed, fakes_sha256, SIZE, [], *([] if refuse_leaks else ["leaks are reported"])]
    return reuse_or_make(path, VideoSetRecord, key, describe)


def find_description(videos: VideoSet, path: Path) -> VideoSetRecord | None:
    """The record at `path`, if it describes these videos."""
    record = VideoSetRecord.load_if_usable(path)
    return record if record is not None and record.videos_sha256 == videos.sha256 else None


def _audit(videos: VideoSet, report: ReportProgress, *, refuse_leaks: bool) -> tuple[str, ...]:
    """Refuse a set that lacks a split or has clips of several sizes; the leaks between its splits, if not refused."""
    missing = [split for split in get_args(Split) if not videos.split(split)]
    if missing:
        raise BenchError(
            f"The manifest has no videos of split {' and '.join(missing)}.",
            hint="A detector is trained, its threshold chosen and its result measured on different people.",
        )
    if refuse_leaks:
        audit_leaks(videos.rows)
    require_one_size(videos.rows)
    try:
        audit_frames(videos, report)
    except LeakError as error:
        if refuse_leaks:
            raise
        return (*find_leaks(videos.rows), error.message)
    return () if refuse_leaks else tuple(find_leaks(videos.rows))


def _measure_clips(videos: VideoSet, report: ReportProgress) -> tuple[dict[str, tuple[float, ...]], dict[str, str]]:
    """Training-domain features by video_id, and why a held-out video has none."""
    features: dict[str, tuple[float, ...]] = {}
    unreadable: dict[str, str] = {}
    for done, row in enumerate(videos):
        report("describing clips", done, len(videos))
        if row.problem is not None:
            continue
        try:
            frames = (frame for _, frame in stream(videos.path(row)))
            features[row.video_id] = tuple(measure_clip(frames))
        except BenchError as error:
            if row.split == "train":
                reason = error.message.removeprefix(f"{row.video_id}: ")
                raise BenchError(f"{row.video_id}: {reason}", hint=error.hint) from error
            unreadable[row.video_id] = error.message
    report("describing clips", len(videos), len(videos))
    return features, unreadable


def _list_unreadable(videos: VideoSet) -> dict[str, str]:
    """The videos that are missing or changed, and why they were not audited."""
    found: dict[str, str] = {}
    for row in videos.select(lambda row: row.problem is None):
        try:
            videos.path(row)
        except BenchError as error:
            found[row.video_id] = error.message
    return found
