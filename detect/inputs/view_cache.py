"""Views of a set of videos, each made once per view and kept in the workspace: a set in, the set of its views out.

A video is read where it lies; its clip is written whole or not at all, with a record beside it of what it was made
from. So a killed preparation goes on where it was. Where no view can be made the row stays, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from dancebench.core.artifacts import ArtifactRecord, find_existing
from dancebench.core.errors import BenchError
from dancebench.core.files import explain_read_error, sha256_json
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import VideoRow, ViewFacts
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.extractors.boxes import describe_finder
from dancebench.datasets.video.clips import ENCODER, ClipInfo, describe_encoder
from dancebench.detect.inputs.recordings import open_recording
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.inputs.view import View
from dancebench.detect.inputs.views import RULES_VERSION, NothingToSeeError, write_view

LOWEST_RATE: Final = 10.0
"""Frames per second below which no set is brought down: a few slow videos must not slow all others."""


class ViewRecord(ArtifactRecord):
    """The record beside a view of a video."""

    SCHEMA_VERSION: ClassVar[int] = 1

    made_from: tuple[Any, ...]
    """Video, crop, view, rate, encoder, and what finds people."""
    sha256: str | None
    """Of the clip; None where there is none."""
    fps: float | None
    n_frames: int | None
    breaks: tuple[int, ...]
    facts: ViewFacts

    @property
    def key(self) -> Any:
        return list(self.made_from)

    def files(self, path: Path) -> Mapping[Path, str]:
        """The clip."""
        return {} if self.sha256 is None else {path.with_suffix(".mp4"): self.sha256}


@dataclass(frozen=True)
class ViewOrder:
    """Views that are to be made.

    Attributes:
        videos: Of which videos.
        view: What of them is looked at.
        fps: Frames per second of the clips; a slower video keeps its own rate.
        workspace: Where they are kept.
    """

    videos: VideoSet
    view: View
    fps: float
    workspace: Workspace


def choose_rate(videos: VideoSet) -> float:
    """The rate of a set's views: that of its slowest training video, but at least `LOWEST_RATE`.

    So every video that is not slower has one rate, whatever it was recorded at.
    """
    known = [row.fps for row in videos if row.split == "train" and row.fps is not None]
    return max(min(known, default=LOWEST_RATE), LOWEST_RATE)


def prepare_views(order: ViewOrder, report: ReportProgress = ignore_progress) -> VideoSet:
    """Make the missing views of a set; the rows come in the same order, their paths relative to the workspace.

    Raises:
        BenchError: Nobody can be looked for on this machine, or the workspace cannot be written.
    """
    maker = [f"rules {RULES_VERSION}", describe_encoder(), *([] if order.view.is_whole else [describe_finder()])]
    rows = []
    for done, row in enumerate(order.videos):
        report(f"preparing views ({order.view})", done, len(order.videos))
        rows.append(_prepare_view(order, row, maker))
    report(f"preparing views ({order.view})", len(order.videos), len(order.videos))
    return VideoSet(order.workspace.root, tuple(rows))


def _prepare_view(order: ViewOrder, row: VideoRow, maker: list[str]) -> VideoRow:
    """The row of a video's view, or of the video with the reason why there is none."""
    digest = sha256_json([str(order.videos.root), row.video_id, row.path, None if row.crop is None else row.crop.key])
    clip = order.workspace.view_of_video(str(order.view), order.fps, digest)
    try:
        video = order.videos.path(row)
        key = [_identify(row, video), None if row.crop is None else row.crop.key, str(order.view), order.fps, *maker]
        record = find_existing(clip.with_suffix(".json"), ViewRecord, key)
        if record is None:
            record = _make_view(order, row, video, clip, key)
            record.save(clip.with_suffix(".json"))
    except BenchError as error:  # the video is missing, changed or damaged: that may be mended, and is not kept
        facts = ViewFacts(view=str(order.view), problem=error.message)
        record = ViewRecord(made_from=(), sha256=None, fps=None, n_frames=None, breaks=(), facts=facts)
    return _describe(order, row, clip, record)


def _identify(row: VideoRow, video: Path) -> Any:
    """What tells the video's content: its hash where the corpus has it, else size and time of the last change."""
    if row.sha256 is not None:
        return row.sha256
    found = video.stat()
    return [found.st_size, found.st_mtime_ns]


def _make_view(order: ViewOrder, row: VideoRow, video: Path, clip: Path, key: list[Any]) -> ViewRecord:
    crop = row.crop
    part = None if crop is None else Box(crop.top, crop.top + crop.height, crop.left, crop.left + crop.width)
    try:
        recording = open_recording(video, row.fps)
        view = write_view(recording, order.view, order.fps, clip, crop=part)
    except NothingToSeeError as error:
        return ViewRecord(made_from=tuple(key), sha256=None, fps=None, n_frames=None, breaks=(), facts=error.facts)
    except OSError as error:
        raise explain_read_error(video, error) from error
    made: ClipInfo = view.clip
    return ViewRecord(
        made_from=tuple(key), sha256=made.sha256, fps=made.fps, n_frames=made.n_frames,
        breaks=tuple(sorted(view.breaks)), facts=view.facts,
    )  # fmt: skip


def _describe(order: ViewOrder, row: VideoRow, clip: Path, record: ViewRecord) -> VideoRow:
    """The row with what holds of the view in place of what holds of the video."""
    made = record.sha256 is not None
    return row.model_copy(
        update={
            "path": clip.relative_to(order.workspace.root).as_posix(),
            "sha256": record.sha256,
            "view": record.facts,
            "fps": record.fps,
            "n_frames": record.n_frames,
            "breaks": record.breaks,
            "codec": "h264" if made else None,
            "crf": ENCODER.crf if made else None,
            "width": order.view.width if made else None,
            "height": order.view.height if made else None,
            "crop": None,
            "status": "decoded" if made else "unreadable",
        }
    )
