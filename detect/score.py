"""Outside videos in, a score each out, with the error rates that belong to it. A score is not a verdict.

A video goes the last stretch of the way that the training clips went: frames dropped by time stamp to their
rate, letterboxed to their size, and written by the same encoder; then K evenly placed pairs are read back and
scored. (Training reals were encoded once before that, at the larger size of prepared clips.) The
whole video is encoded, not windows around the pairs, because the training clips are continuous: a frame's
coding (its place in the group of pictures, what it is predicted from) is then as it was in training. Decoding
costs more than encoding at these sizes, and has to be done anyway. Frames go through one at a time, so
memory grows with the length by 8 bytes a frame; the temporary clip is on disk and small.
"""

from __future__ import annotations

import glob
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from dancebench.core.errors import BenchError
from dancebench.core.files import is_temporary, sha256_file
from dancebench.core.progress import Report, silent
from dancebench.core.schema import Strict
from dancebench.datasets.frames import Letterbox, normalised_rate, resample
from dancebench.datasets.video import Frame, probe, stream, write_clip
from dancebench.detect.aggregate import aggregate
from dancebench.detect.card import LoadedDetector
from dancebench.detect.evaluate import ErrorRates
from dancebench.detect.pairs import Pairs, pair_starts, read_pairs, too_short

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".gif", ".mpg", ".mpeg", ".ts"})


class PairScore(Strict):
    """One pair of consecutive frames."""

    t: float
    """When its first frame is shown, in seconds by the video's own clock."""
    logit: float


class VideoScore(Strict):
    """What a detector says of one video.

    The score is in the detector's own units and not a probability that the video is fake: that would also
    need to know how many fakes there are where it comes from. The error rates say how often its threshold
    misled on held-out people of the detector's own kind of data.
    """

    path: str
    sha256: str | None
    """None where the file cannot be read."""
    status: Literal["ok", "failed"]
    reason: str | None = None
    """Why it failed."""
    score: float | None = None
    """Higher = more likely synthesized."""
    n_pairs: int = 0
    aggregator: str
    threshold: float
    above_threshold: bool | None = None
    error_rates: ErrorRates
    """Of that threshold, on held-out people."""
    pairs: tuple[PairScore, ...] = ()

    @model_validator(mode="after")
    def _failed_has_a_reason(self) -> Self:
        if (self.status == "failed") != (self.reason is not None) or (self.score is None) != (self.status == "failed"):
            raise ValueError("a video has a score, or failed for a reason")
        return self


def score_video(path: Path, loaded: LoadedDetector, report: Report = silent) -> VideoScore:
    """Score a video from outside; one that cannot be scored comes back with its reason.

    Args:
        path: Any video file that PyAV reads.
        loaded: A trained detector with its card.
        report: Progress.
    """
    card = loaded.card
    digest = None
    try:
        digest = sha256_file(path) if path.is_file() else None
        times, pairs = prepared_pairs(path, loaded, report)
        logits = loaded.detector.logits(pairs)
        score = aggregate(logits, card.aggregator)
    except (BenchError, OSError) as error:
        return VideoScore(
            path=str(path),
            sha256=digest,
            status="failed",
            reason=str(error),
            aggregator=card.aggregator,
            threshold=card.thresholds.video,
            error_rates=card.error_rates,
        )
    return VideoScore(
        path=str(path),
        sha256=digest,
        status="ok",
        score=score,
        n_pairs=len(logits),
        aggregator=card.aggregator,
        threshold=card.thresholds.video,
        above_threshold=score > card.thresholds.video,
        error_rates=card.error_rates,
        pairs=tuple(PairScore(t=t, logit=float(logit)) for t, logit in zip(times, logits, strict=True)),
    )


def score_videos(names: Sequence[str], loaded: LoadedDetector, report: Report = silent) -> Iterator[VideoScore]:
    """Score files, folders (searched through) and globs, one after the other.

    Args:
        names: As given on a command line; what matches nothing comes back as a failed row.
        loaded: A trained detector with its card.
        report: Progress.
    """
    for path in expand(names):
        yield score_video(path, loaded, report)


def expand(names: Sequence[str]) -> list[Path]:
    """The video files that `names` stand for, each once, in order; a name without any stands for itself."""
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if path.exists():
            matches = [path]
        else:
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True)) or [path]
        for match in matches:
            inside = sorted(_videos_in(match)) if match.is_dir() else []
            found |= dict.fromkeys(inside or [match])
    return list(found)


def _videos_in(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    return [path for path in files if path.is_file() and not is_temporary(path)]


def prepared_pairs(path: Path, loaded: LoadedDetector, report: Report = silent) -> tuple[list[float], Pairs]:
    """The pairs of an outside video as the detector knows them, and when each is shown, in seconds.

    Raises:
        BenchError: The video cannot be read, or is shorter than two frames.
    """
    info, domain, config = probe(path), loaded.card.domain, loaded.detector.config
    window = loaded.detector.window
    letterbox = Letterbox((info.height, info.width), (domain.clip_height, domain.clip_width))
    rate = normalised_rate(info.fps, domain.fps_max)
    expected = max(1, round(info.n_frames * float(rate) / info.fps))
    times = array("d")

    def frames() -> Iterator[Frame]:
        for seconds, frame in resample(stream(path), info.fps, domain.fps_max):
            times.append(seconds)
            yield letterbox.apply(frame)
            report(f"reading {path}", min(len(times), expected), expected)

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip, frames(), rate)
        if len(times) < window:
            raise too_short(str(path), window)
        _, pairs = read_pairs(clip, config.size, config.count, window)
    starts = pair_starts(len(times), config.count, window)
    return np.asarray(times)[starts].tolist(), pairs
