"""Preparation of an outside video for a detector: a file in; a clip, its time stamps and decode warnings out.

A video goes through the last steps that the training clips went through: frames dropped by time stamp to their
rate, cropped to the person if requested, letterboxed to their size, and written by the same encoder.
(Training reals were encoded once before that, at the larger size of prepared clips.) The whole video is
encoded, not windows around the pairs, because the training clips are continuous: a frame's coding (its place in
the group of pictures, what it is predicted from) is then as it was in training. Each frame is decoded once and
processed alone, so only the time stamps need memory that grows with the length; the clip is on disk and small.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.schema import Strict
from dancebench.datasets.pose.extractors.base import open_extractor
from dancebench.datasets.pose.skeleton import compute_body_box
from dancebench.datasets.video.box import Box
from dancebench.datasets.video.clips import Frame, VideoReader, stream, write_clip
from dancebench.datasets.video.decoding import Inspection, decode_video, to_upright
from dancebench.datasets.video.frames import Letterbox, reduce_rate, resample, resize
from dancebench.detect.inputs.pairs import Pairs, choose_pair_starts, too_short_error
from dancebench.detect.protocol.card import ClipFormat

WindowStarts = npt.NDArray[np.intp]
"""Indices of the first frames of windows, increasing (N,)."""

PERSON_FRAMES = 16
"""Frames, evenly spaced, in which a person is looked for."""
_MARGIN = 0.15
"""Share of a bounding box added on each side: a pose's topmost points are the eyes, its outermost the fingers."""
_BATCH = 64
"""Windows in memory at once."""
_PQ, _HLG = 16, 18
_UNEVEN = 0.1
"""Share of the median step between frames by which a step may differ at a constant frame rate."""


class Crop(Strict):
    """The part of the upright picture that was scored, in pixels."""

    left: int
    top: int
    width: int
    height: int
    looked_at: int
    """Frames in which a person was looked for."""
    found_in: int
    """Frames in which one was found."""

    @property
    def box(self) -> Box[int]:
        """The same as edges."""
        return Box(self.top, self.top + self.height, self.left, self.left + self.width)


@dataclass(frozen=True)
class PreparedVideo:
    """An outside video as a clip like those that the detector was trained on."""

    clip: Path
    fps: float
    """Of the clip."""
    times: npt.NDArray[np.float64]
    """When each frame of the clip is shown, in seconds by the time stamps of the original (T,)."""
    pts: npt.NDArray[np.int64] | None
    """The same in the original's own time base; None where its time stamps are missing or repeated."""

    def choose_starts(self, k: int | None, window: int) -> WindowStarts:
        """Choose the first frames of `k` evenly placed windows (None: all).

        Raises:
            BenchError: The clip has fewer frames than a window.
        """
        starts = choose_pair_starts(len(self.times), k, window)
        if len(starts) == 0:
            raise too_short_error("The video", window)
        return starts

    def read_windows(self, starts: WindowStarts, size: tuple[int, int], window: int) -> Iterator[Pairs]:
        """Read the windows that start at these frames, letterboxed to `size`: batches of uint8 (N, window, H, W, 3)."""
        with VideoReader(self.clip) as reader:
            for first in range(0, len(starts), _BATCH):
                index = starts[first : first + _BATCH, None] + np.arange(window)  # (N, window)
                needed, places = np.unique(index, return_inverse=True)  # each frame is decoded once
                frames = resize(reader.read(needed.tolist()), size)
                yield frames[places.reshape(index.shape)]

    def frames(self) -> Iterator[Frame]:
        """All frames of the clip, uint8 RGB (H, W, 3)."""
        return (frame for _, frame in stream(self.clip))


def prepare_video(
    found: Inspection, clips: ClipFormat, crop: Crop | None, folder: Path, report: ReportProgress = ignore_progress
) -> PreparedVideo:
    """Re-encode a video like the clips that a detector was trained on.

    Args:
        found: The video.
        clips: Size and rate of those clips.
        crop: Keep only this part of the frame.
        folder: Where the clip is written.
        report: Progress.

    Raises:
        BenchError: The video cannot be decoded.
    """
    info = found.info
    letterbox = Letterbox(cropped_size(found, crop), (clips.clip_height, clips.clip_width))
    rate = reduce_rate(info.fps, clips.fps_max)
    expected = max(1, round(info.n_frames * float(rate) / info.fps))
    times = array("d")

    def frames() -> Iterator[Frame]:
        for seconds, stored in resample(decode_video(info.path), info.fps, clips.fps_max):
            times.append(seconds)
            yield letterbox.apply(_crop(to_upright(stored), crop))
            report(f"reading {info.path.name}", min(len(times), expected - 1), expected)
        report(f"reading {info.path.name}", expected, expected)

    clip = folder / "clip.mp4"
    write_clip(clip, frames(), rate)
    seconds = np.asarray(times, dtype=np.float64)
    return PreparedVideo(clip, float(rate), seconds, _to_pts(seconds, found))


def cropped_size(found: Inspection, crop: Crop | None) -> tuple[int, int]:
    """(height, width) of the part of the frame that is scored."""
    return (found.info.height, found.info.width) if crop is None else (crop.height, crop.width)


def _crop(frame: Frame, crop: Crop | None) -> Frame:
    if crop is None:
        return frame
    box = crop.box
    return frame[box.rows, box.columns]


def _to_pts(seconds: npt.NDArray[np.float64], found: Inspection) -> npt.NDArray[np.int64] | None:
    if not found.timeline.pts:
        return None
    base: Fraction = found.timeline.time_base
    stamps: npt.NDArray[np.int64] = np.rint(seconds * base.denominator / base.numerator).astype(np.int64)
    return stamps


# ---------------------------------------------------------------- decode warnings


def list_decode_warnings(found: Inspection) -> list[str]:
    """Properties of a file, and conversions of its frames, that no training clip has, in words."""
    info, picture = found.info, found.picture
    warnings = []
    if found.claimed_frames > info.n_frames:
        warnings.append(f"its header claims {found.claimed_frames} frames, {info.n_frames} were found")
    if steps := _find_uneven_steps(found.timeline.timestamps, float(found.timeline.time_base)):
        warnings.append(f"variable frame rate: {steps[0]:.3g} to {steps[1]:.3g} s between frames; none was repeated")
    if info.rotation:
        warnings.append(f"turned upright by {info.rotation} degrees, as its metadata say")
    curve = {_PQ: "PQ", _HLG: "HLG"}.get(picture.transfer)
    if curve is not None:
        warnings.append(f"high dynamic range ({curve}): not tone-mapped, so colours are off")
    if picture.bits > 8:
        warnings.append(f"{picture.bits} bits a component: reduced to 8")
    if picture.interlaced:
        warnings.append("interlaced: not deinterlaced, so moving edges are combed")
    if picture.alpha == "over black":
        warnings.append("transparency is shown over black")
    if picture.alpha == "ignored":
        warnings.append("its transparency is not decoded")
    if info.height % 2 or info.width % 2:
        warnings.append(f"odd picture size: {info.width}x{info.height}")
    return warnings


def _find_uneven_steps(timestamps: npt.NDArray[np.float64], tick: float) -> tuple[float, float] | None:
    """Shortest and longest step in seconds, if they differ by more than the rounding of a container."""
    if len(timestamps) < 3:
        return None
    steps = np.diff(timestamps)
    median = float(np.median(steps))
    if np.abs(steps - median).max() <= max(_UNEVEN * median, 1.5 * tick):
        return None
    return float(steps.min()), float(steps.max())


# ---------------------------------------------------------------- the person


def find_person(found: Inspection, aspect: float) -> Crop:
    """Find the part of the frame in which the person moves: one bounding box for the whole video.

    Poses are looked for in `PERSON_FRAMES` evenly spaced frames; the box holds all points found, with a margin, and is
    widened to the aspect ratio of the detector's clips as far as the frame allows.

    Args:
        found: The video.
        aspect: Width over height of the clips that the detector was trained on.

    Raises:
        BenchError: No person was found, or no pose extractor can run on this machine.
    """
    info = found.info
    indices = choose_pair_starts(info.n_frames, PERSON_FRAMES, 1).tolist()
    with VideoReader(info.path, decoder="pyav") as reader:
        poses = list(open_extractor().extract(_read_undamaged(reader, indices)))
    boxes = [box for points in poses if (box := compute_body_box(points, margin=0)) is not None]
    if not boxes:
        raise BenchError(
            f"No person was found in {len(poses)} frames of {info.path}.",
            hint="Score the whole picture: leave --person-crop out.",
        )
    tops, bottoms, lefts, rights = zip(*(box.edges for box in boxes), strict=True)
    person = Box(min(tops), max(bottoms), min(lefts), max(rights))
    fitted = fit_box(person, aspect, (info.height, info.width))
    return Crop(
        left=fitted.left,
        top=fitted.top,
        width=fitted.width,
        height=fitted.height,
        looked_at=len(poses),
        found_in=len(boxes),
    )


def _read_undamaged(reader: VideoReader, indices: list[int]) -> Iterator[Frame]:
    for index in indices:
        try:
            frame = reader[index]
        except BenchError:
            continue  # damaged there: the other frames decide
        yield frame


def fit_box(person: Box[float], aspect: float, size: tuple[int, int]) -> Box[int]:
    """Add the margin to a bounding box, and widen it to an aspect ratio as far as the frame allows.

    Args:
        person: Of the points found.
        aspect: Width over height.
        size: (height, width) of the frame.

    Returns:
        Whole pixels within the frame, at least one each way.
    """
    low, high = np.array([person.left, person.top]), np.array([person.right, person.bottom])
    limit = np.array([size[1], size[0]], dtype=np.float64)
    centre, extent = (low + high) / 2, np.maximum(high - low, 1) * (1 + 2 * _MARGIN)
    wanted = np.maximum(extent, [extent[1] * aspect, extent[0] / aspect])
    sides = np.minimum(np.ceil(wanted), limit)
    corner = np.clip(np.floor(centre - sides / 2), 0, limit - sides)  # shifted inwards rather than cut
    left, top, width, height = (int(number) for number in (*corner, *sides))
    return Box(top, top + height, left, left + width)
