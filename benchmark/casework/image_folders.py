"""A folder of images as a clip: its frames, at the rate that was stated, are scored like any video's."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import av

from dancebench.core.errors import BenchError
from dancebench.core.files import explain_read_error
from dancebench.core.progress import ReportProgress
from dancebench.datasets.video.clips import to_clip_rate
from dancebench.datasets.video.frames import FolderSource, open_source
from dancebench.detect.casework.content_credentials import Credentials
from dancebench.detect.casework.file_names import describe_path
from dancebench.detect.casework.score import (
    ScoredVideo,
    ScoreSettings,
    VideoScore,
    make_failed_score,
    score_video,
)
from dancebench.detect.protocol.card import LoadedDetector

_CREDENTIALS = Credentials(status="not-checked", reason="a folder of images has none as a whole")


def score_image_folder(
    folder: Path,
    loaded: LoadedDetector,
    settings: ScoreSettings,
    report: ReportProgress,
    *,
    pictures: bool,
    fingerprint: bool,
    scratch: Path,
) -> ScoredVideo:
    """Score the images of a folder, in the order of the numbers in their names, as one video.

    Args:
        folder: Holds images of one size.
        loaded: A trained detector with its card.
        settings: With the rate of the images, `frames_per_second`.
        report: Progress.
        pictures: Keep images of the most suspicious pairs.
        fingerprint: Compute that of its frames.
        scratch: Folder for temporary files; a lossless video of the frames is kept there meanwhile.
    """
    assert settings.frames_per_second is not None
    with tempfile.TemporaryDirectory(dir=scratch) as temporary:
        video = Path(temporary) / "frames.mov"
        try:
            source = open_source(folder, fps=settings.frames_per_second)
            assert isinstance(source, FolderSource)
            _write_lossless(video, source)
        except BenchError as error:
            return ScoredVideo(make_failed_score(folder, loaded.card, error.message))
        except OSError as error:
            return ScoredVideo(make_failed_score(folder, loaded.card, explain_read_error(folder, error).message))
        scored = score_video(
            video, loaded, settings, report, pictures=pictures, fingerprint=fingerprint, scratch=scratch
        )
        return dataclasses.replace(scored, record=_describe_folder(scored.record, folder, source, video))


def _write_lossless(path: Path, source: FolderSource) -> None:
    """Write the frames as they are; QuickTime counts time in any unit, so each is shown at its exact time."""
    rate = to_clip_rate(source.fps)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("png", rate=rate, options={"compression_level": "1"})
        stream.height, stream.width, stream.pix_fmt = source.height, source.width, "rgb24"
        stream.codec_context.time_base = 1 / rate
        for index, (_, pixels) in enumerate(source.frames()):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _describe_folder(record: VideoScore, folder: Path, source: FolderSource, video: Path) -> VideoScore:
    """The score with the facts of the folder in place of those of the video that was made of it."""
    name = describe_path(folder)
    facts = name | {
        "sha256": source.sha256,
        "bytes": sum(image.stat().st_size for image in source.images),
        "reason": None if record.reason is None else record.reason.replace(str(video), name["path"]),
    }
    if record.container is not None:
        suffixes = sorted({image.suffix.lower().removeprefix(".") for image in source.images})
        facts |= {"container": "folder of images", "codec": ", ".join(suffixes), "credentials": _CREDENTIALS}
    facts["pairs"] = tuple(pair.model_copy(update={"pts": None}) for pair in record.pairs)
    return record.model_copy(update=facts)
