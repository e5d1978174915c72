"""Pairs of consecutive frames: the videos of a manifest in; training batches, and windows to score, out.

A pair is two consecutive frames of one clip; a detector that needs more frames takes longer windows. Scoring takes
K evenly placed pairs; training samples at random from a pool in memory, balanced over labels and people. All frames
of a pair get the same augmentation; a share of the pairs comes from degraded copies of the clips.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.corpora.manifest import VideoRow
from dancebench.datasets.video.clips import VideoReader
from dancebench.datasets.video.frames import resize
from dancebench.detect.inputs.perturbations import degrade
from dancebench.detect.inputs.video_set import VideoSet

Frames = npt.NDArray[np.uint8]
"""uint8 (F, H, W, 3), RGB."""
Pairs = npt.NDArray[np.uint8]
"""uint8 (N, window, H, W, 3), RGB; the window is 2 for pairs proper."""

POOL_BYTES = 1 << 30
"""The pool holds at most this many bytes: 43,690 frames of 128x64, or 2,730 of 512x256."""
MAX_SHIFT = 4
"""Pixels in each direction, so that the position of the codec's 8x8 blocks cannot be memorised."""
MAX_GAIN = 0.1
"""Contrast changes by up to this share, brightness by up to half of it."""


def choose_pair_starts(
    n_frames: int, k: int | None, window: int = 2, breaks: Iterable[int] = ()
) -> npt.NDArray[np.intp]:
    """Choose the first frames of `k` evenly placed windows (None: all): the middles of k equal parts of the clip.

    Args:
        n_frames: Frames of the clip.
        k: Number of windows.
        window: Frames of each.
        breaks: Frames that begin a segment; no window holds frames of two segments.

    Returns:
        Strictly increasing indices in [0, n_frames - window]; all that there are if they are no more than `k`,
        none where no segment has as many frames as a window.
    """
    possible = np.ones(max(n_frames - window + 1, 0), np.bool_)
    for first in breaks:
        possible[max(first - window + 1, 0) : first] = False
    places: npt.NDArray[np.intp] = np.flatnonzero(possible)
    if k is None or len(places) <= k:
        return places
    middles: npt.NDArray[np.intp] = (2 * np.arange(k) + 1) * len(places) // (2 * k)
    return places[middles]


def read_pairs(
    path: Path, size: tuple[int, int], k: int | None, window: int = 2, breaks: Sequence[int] = ()
) -> tuple[npt.NDArray[np.float64], Pairs]:
    """Read the `k` evenly placed windows of a clip (None: all) within its segments, letterboxed to (height, width).

    Returns:
        When the first frame of each is shown, in seconds (N,), and the frames uint8 (N, window, H, W, 3).

    Raises:
        BenchError: The clip cannot be read, or no segment of it has as many frames as a window.
    """
    with VideoReader(path) as reader:
        starts = choose_pair_starts(len(reader), k, window, breaks)
        if len(starts) == 0:
            raise too_short_error(str(path), window, segments=len(breaks) > 0)
        index = starts[:, None] + np.arange(window)  # (N, window)
        needed, places = np.unique(index, return_inverse=True)  # each frame is decoded once
        frames = resize(reader.read(needed.tolist()), size)
        return reader.timestamps[starts], frames[places.reshape(index.shape)]


def too_short_error(what: str, window: int, *, segments: bool = False) -> BenchError:
    """Make the error for a video that is shorter than a window, or all of whose `segments` are."""
    count = "two" if window == 2 else str(window)
    shorter = f"Every segment of {what}" if segments else what
    return BenchError(f"{shorter} has fewer than {count} frames.", hint=f"This detector scores {count} frames at once.")


@dataclass(frozen=True)
class PooledClip:
    """A training clip in memory."""

    subject_id: str
    label: int
    frames: Frames
    firsts: npt.NDArray[np.intp]
    """Positions in `frames` of the first frame of each window; its other frames follow directly."""
    degraded: tuple[Frames, ...] = ()
    """The same frames, downscaled and compressed to several degrees."""


class PairPool:
    """Training windows in memory, from which batches are sampled.

    Args:
        clips: Of the training people.
        window: Frames of a window.
        degraded: Share of the windows that are taken from degraded copies, for clips that have one.
        reals_alone: Whether whoever learns from it needs no fake.

    Raises:
        BenchError: There is no real clip, or no fake one where both are needed.
    """

    def __init__(
        self, clips: Sequence[PooledClip], window: int = 2, degraded: float = 0.0, *, reals_alone: bool = False
    ) -> None:
        self.window = window
        self._clips = clips
        self._degraded = degraded
        self._reals_alone = reals_alone
        self._by_label: list[list[list[PooledClip]]] = []  # label -> subject -> clips
        for label, kind in enumerate(("real", "fake")):
            subjects: dict[str, list[PooledClip]] = {}
            for clip in clips:
                if clip.label == label:
                    subjects.setdefault(clip.subject_id, []).append(clip)
            if not subjects and (kind == "real" or not reals_alone):
                learns = "reals" if reals_alone else "both kinds"
                raise BenchError(f"The training people have no {kind} video.", hint=f"A detector learns from {learns}.")
            self._by_label.append([subjects[name] for name in sorted(subjects)])

    @property
    def people(self) -> list[str]:
        """All subjects, sorted."""
        return sorted({clip.subject_id for clip in self._clips})

    def restrict_to(self, people: Container[str]) -> PairPool:
        """The same pool with only these subjects.

        Raises:
            BenchError: They have no real or no fake clip.
        """
        chosen = [clip for clip in self._clips if clip.subject_id in people]
        return PairPool(chosen, self.window, self._degraded, reals_alone=self._reals_alone)

    def with_window(self, window: int) -> PairPool:
        """The same pool with shorter windows: all those inside the present ones."""
        if window > self.window:
            raise ValueError(f"a pool with windows of {self.window} frames has none of {window} frames")
        within = np.arange(self.window - window + 1)
        clips = [replace(clip, firsts=np.unique(clip.firsts[:, None] + within)) for clip in self._clips]
        return PairPool(clips, window, self._degraded, reals_alone=self._reals_alone)

    def real_windows(self, count: int) -> Iterator[tuple[str, Pairs]]:
        """The person and evenly placed windows, uint8 (N, window, H, W, 3), N at most `count`, of each real clip.

        The share of them that is taken from degraded copies is placed evenly too; nothing is drawn at random.
        """
        for clip in self._clips:
            if clip.label == 0:
                places = np.linspace(0, len(clip.firsts) - 1, min(count, len(clip.firsts))).round().astype(int)
                turns = np.floor(np.arange(len(places) + 1) * self._degraded)  # rises by one where a copy's turn is
                copies = itertools.cycle(clip.degraded or (clip.frames,))
                sources = [next(copies) if turn else clip.frames for turn in np.diff(turns)]
                yield clip.subject_id, np.stack(
                    [source[first : first + self.window]
                     for source, first in zip(sources, clip.firsts[places].tolist(), strict=True)]
                )  # fmt: skip

    def draw_batch(self, size: int, generator: np.random.Generator) -> tuple[Pairs, npt.NDArray[np.float32]]:
        """Sample augmented windows, half of them real: uniformly a person, then a clip of theirs, then a window of it.

        Returns:
            uint8 (size, window, H, W, 3) and labels float32 (size,), 0 and 1 alternating.
        """
        labels = np.arange(size) % 2
        windows = []
        for label in labels:
            subjects = self._by_label[label]
            clips = subjects[generator.integers(len(subjects))]
            clip = clips[generator.integers(len(clips))]
            first = clip.firsts[generator.integers(len(clip.firsts))]
            frames = clip.frames
            if clip.degraded and generator.random() < self._degraded:
                frames = clip.degraded[generator.integers(len(clip.degraded))]
            windows.append(augment(frames[first : first + self.window], generator))
        return np.stack(windows), labels.astype(np.float32)


def load_pool(
    videos: VideoSet,
    size: tuple[int, int],
    report: ReportProgress = ignore_progress,
    *,
    window: int = 2,
    degraded: float = 0.0,
    copies: int = 1,
    seed: int = 0,
    reals_alone: bool = False,
) -> PairPool:
    """Read every video once: all its frames, or as many evenly placed windows as `POOL_BYTES` allows.

    Args:
        videos: The training people's.
        size: (height, width) of the frames in memory.
        report: Progress.
        window: Frames of a window.
        degraded: Share of the windows that are taken from degraded copies; with 0 no copies are made.
        copies: Number of degraded copies of each clip.
        seed: Seed of how strongly each copy is degraded.
        reals_alone: Whether only the reals are read.

    Raises:
        BenchError: A video cannot be read, was changed since the manifest was written, or has no segment as long as a
            window; or one label is missing.
    """
    if reals_alone:
        videos = videos.select(lambda row: row.label == 0)
    copies = copies if degraded > 0 else 0
    share = POOL_BYTES // (1 + copies) // max(len(videos), 1) // (size[0] * size[1] * 3)  # frames a clip may keep
    clips = []
    for done, row in enumerate(videos):
        report("reading training clips", done, len(videos))
        clip = _read_pooled_clip(videos.path(row), row, size, share, window)
        seeds = [(seed, done, copy) for copy in range(copies)]
        degraded_copies = tuple(degrade(clip.frames, row.known_fps, np.random.default_rng(each)) for each in seeds)
        clips.append(replace(clip, degraded=degraded_copies))
    report("reading training clips", len(videos), len(videos))
    return PairPool(clips, window, degraded, reals_alone=reals_alone)


def _read_pooled_clip(path: Path, row: VideoRow, size: tuple[int, int], share: int, window: int) -> PooledClip:
    """Read at most `share` frames of a clip, but at least one window."""
    with VideoReader(path) as reader:
        whole = len(reader) <= share
        starts = choose_pair_starts(len(reader), None if whole else max(share // window, 1), window, row.breaks)
        if len(starts) == 0:
            raise too_short_error(row.video_id, window, segments=len(row.breaks) > 0)
        indices = np.unique(starts[:, None] + np.arange(window))
        frames = resize(reader.read(indices.tolist()), size)
    return PooledClip(row.subject_id, row.label, frames, np.searchsorted(indices, starts))


def augment(pair: Frames, generator: np.random.Generator) -> Frames:
    """Mirror, shift and brighten all frames alike.

    Args:
        pair: uint8 (window, H, W, 3).
        generator: Of random numbers. Always consumes the same number of draws, so that streams stay aligned.
    """
    mirrored = generator.random() < 0.5
    top, left = generator.integers(2 * MAX_SHIFT + 1, size=2)
    gain = 1 + MAX_GAIN * (2 * generator.random() - 1)
    offset = 255 * MAX_GAIN / 2 * (2 * generator.random() - 1)
    height, width = pair.shape[1:3]
    if mirrored:
        pair = pair[:, :, ::-1]
    edges = ((0, 0), (MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT), (0, 0))
    pair = np.pad(pair, edges, mode="reflect")[:, top : top + height, left : left + width]
    return (pair * np.float32(gain) + np.float32(offset)).round().clip(0, 255).astype(np.uint8)
