"""Pairs of consecutive frames: from the videos of a manifest to what a detector learns from and scores.

A pair is two neighbouring frames of one clip. Scoring takes K evenly placed pairs; training draws at random
from a pool in memory, as many fakes as reals, people evenly. Both frames of a pair get the same augmentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.core.progress import Report, silent
from dancebench.datasets.frames import resize
from dancebench.datasets.manifest import VideoRow, contained
from dancebench.datasets.video import VideoReader

Frames = npt.NDArray[np.uint8]
"""uint8 (F, H, W, 3), RGB."""
Pairs = npt.NDArray[np.uint8]
"""uint8 (N, 2, H, W, 3), RGB."""

POOL_BYTES = 1 << 30
"""The pool holds at most this much: 43,690 frames of 128x64, or 2,730 of 512x256."""
MAX_SHIFT = 4
"""Pixels, each way; so that the place of the codec's 8x8 blocks cannot be learned by heart."""
MAX_GAIN = 0.1
"""Contrast changes by up to this share, brightness by up to half of it."""


def pair_starts(n_frames: int, k: int) -> npt.NDArray[np.intp]:
    """First frames of `k` evenly placed pairs: the middles of k equal parts of the clip.

    Returns:
        Strictly increasing indices in [0, n_frames - 2]; all of them where there are no more than `k`,
        none for fewer than two frames.
    """
    places = max(n_frames - 1, 0)
    if places <= k:
        return np.arange(places)
    return (2 * np.arange(k) + 1) * places // (2 * k)


def read_pairs(path: Path, size: tuple[int, int], k: int) -> tuple[npt.NDArray[np.float64], Pairs]:
    """The `k` evenly placed pairs of a clip, letterboxed to `size` (height, width).

    Returns:
        When the first frame of each pair is shown, in seconds (N,), and the pairs uint8 (N, 2, H, W, 3).

    Raises:
        BenchError: The clip cannot be read or has fewer than two frames.
    """
    with VideoReader(path) as reader:
        starts = pair_starts(len(reader), k)
        if len(starts) == 0:
            raise BenchError(f"{path} has fewer than two frames.", hint="A detector judges pairs of frames.")
        frames = resize(reader.read(np.stack([starts, starts + 1], axis=1).ravel().tolist()), size)
        return reader.timestamps[starts], frames.reshape(len(starts), 2, *frames.shape[1:])


@dataclass(frozen=True)
class PooledClip:
    """A training clip in memory."""

    subject_id: str
    label: int
    frames: Frames
    firsts: npt.NDArray[np.intp]
    """Positions in `frames` of the first frame of each pair; its second frame stands next to it."""


class PairPool:
    """Training pairs in memory, to draw batches from.

    Raises:
        BenchError: There is no real or no fake clip.
    """

    def __init__(self, clips: Sequence[PooledClip]) -> None:
        self._by_label: list[list[list[PooledClip]]] = []  # label -> subject -> clips
        for label, kind in enumerate(("real", "fake")):
            subjects: dict[str, list[PooledClip]] = {}
            for clip in clips:
                if clip.label == label:
                    subjects.setdefault(clip.subject_id, []).append(clip)
            if not subjects:
                raise BenchError(
                    f"The training people have no {kind} video.", hint="A detector learns from both kinds."
                )
            self._by_label.append([subjects[name] for name in sorted(subjects)])

    def batch(self, size: int, generator: np.random.Generator) -> tuple[Pairs, npt.NDArray[np.float32]]:
        """Draw augmented pairs: half of them real, people evenly, then their clips, then the pairs.

        Returns:
            uint8 (size, 2, H, W, 3) and labels float32 (size,), 0 and 1 by turns.
        """
        labels = np.arange(size) % 2
        drawn = []
        for label in labels:
            subjects = self._by_label[label]
            clips = subjects[generator.integers(len(subjects))]
            clip = clips[generator.integers(len(clips))]
            first = clip.firsts[generator.integers(len(clip.firsts))]
            drawn.append(augment(clip.frames[first : first + 2], generator))
        return np.stack(drawn), labels.astype(np.float32)


def load_pool(root: Path, rows: Sequence[VideoRow], size: tuple[int, int], report: Report = silent) -> PairPool:
    """Read every video once: all its frames, or evenly placed pairs where `POOL_BYTES` holds no more.

    Args:
        root: The manifest's folder.
        rows: The training people's videos.
        size: (height, width) of the frames in memory.
        report: Progress.

    Raises:
        BenchError: A video cannot be read, was changed since the manifest was written, or has fewer than
            two frames; or one label is missing.
    """
    share = POOL_BYTES // max(len(rows), 1) // (size[0] * size[1] * 3)  # frames a clip may keep
    clips = []
    for done, row in enumerate(rows):
        report("reading training clips", done, len(rows))
        clips.append(_pooled(checked_path(root, row), row, size, share))
    report("reading training clips", len(rows), len(rows))
    return PairPool(clips)


def _pooled(path: Path, row: VideoRow, size: tuple[int, int], share: int) -> PooledClip:
    """At most `share` frames (but one pair) of a clip."""
    with VideoReader(path) as reader:
        starts = pair_starts(len(reader), len(reader) if len(reader) <= share else max(share // 2, 1))
        if len(starts) == 0:
            raise BenchError(f"{row.video_id} has fewer than two frames.", hint="Take it out of the manifest.")
        indices = np.union1d(starts, starts + 1)
        frames = resize(reader.read(indices.tolist()), size)
    return PooledClip(row.subject_id, row.label, frames, np.searchsorted(indices, starts))


def checked_path(root: Path, row: VideoRow) -> Path:
    """Where a manifest's video lies.

    Raises:
        BenchError: It is missing, or its bytes are not those that the manifest names.
    """
    path = contained(root, row.path)
    if not path.is_file():
        raise BenchError(f"{row.video_id}: {path} does not exist.", hint="Make the manifest's videos again.")
    if sha256_file(path) != row.sha256:
        raise BenchError(
            f"{row.video_id}: {path} was changed after the manifest was written.",
            hint="Make the video and its manifest again.",
        )
    return path


def augment(pair: Frames, generator: np.random.Generator) -> Frames:
    """Mirror, shift and brighten both frames alike.

    Args:
        pair: uint8 (2, H, W, 3).
        generator: Drawn from the same number of times whatever comes out.
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
