"""Near-duplicate clips: frames in; pairs of clips of different groups that show the same recording out.

Each clip is represented by a few evenly placed frames, as grey thumbnails of 32x32. There are two stages, since
people in similar poses before similar backgrounds have similar hashes: a pair of frames whose perceptual hashes (64
bits of the thumbnail's cosine transform, OpenCV's `pHash`) differ in few bits is a candidate; it is confirmed if
the thumbnails correlate when aligned at the best of a few scales and shifts. Neither stage depends on brightness,
contrast, size or compression, nor much on a light crop; a mirrored copy is not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dancebench.core.opencv import cv2
from dancebench.datasets.video.upright import Frame

FRAMES: Final = 8
"""How many frames of a clip are compared."""
BITS: Final = 64
MAX_BITS: Final = 12
"""Frames whose hashes differ in no more bits are candidates; hashes of unrelated pictures differ in about 30."""
CORRELATION: Final = 0.92
"""Thumbnails that correlate by at least this are near-duplicates. Measured on demo dancers: two people 0.83 at
most, in one room 0.90; brightened copies at CRF 35: of 256x128 0.99, of 64x32 from 0.91 on (3 of 14 are missed);
cropped by a twentieth at each edge 0.96."""

_SIDE: Final = 32  # of a thumbnail, in pixels
_CORE: Final = 24  # side of its central part, which is matched within the other thumbnail
_SCALES: Final = (26, 28, 30, 32, 34, 36, 38)  # sizes to which the other is scaled: crops of up to a tenth at an edge
_FLAT: Final = 4.0  # grey levels of 255: a thumbnail with a lower standard deviation has too little contrast to match
_MAX_CANDIDATES: Final = 8  # nearest pairs of frames of two clips whose correlation is computed
_BLOCK: Final = 1024  # hashes compared at once: 8 MB per thousand hashes that they are compared with

Thumbnails = npt.NDArray[np.uint8]
"""uint8 (N, 32, 32), grey."""


@dataclass(frozen=True)
class Fingerprint:
    """Thumbnails and hashes of a clip's frames, without those of too little contrast."""

    thumbnails: Thumbnails
    signs: npt.NDArray[np.float32]
    """Their hashes (N, 64), each bit as -1 or 1."""


@dataclass(frozen=True)
class Resemblance:
    """Two clips that show the same recording, by index."""

    first: int
    second: int
    bits: int
    """Bits by which the hashes of the confirmed pair of frames differ."""
    correlation: float
    """Of those thumbnails, in [-1, 1]."""


def compute_fingerprint(frames: Sequence[Frame]) -> Fingerprint:
    """Compute thumbnails and hashes of some frames of a clip, uint8 RGB (H, W, 3) each."""
    thumbnails = np.array([_make_thumbnail(frame) for frame in frames], dtype=np.uint8).reshape(-1, _SIDE, _SIDE)
    thumbnails = thumbnails[thumbnails.std(axis=(1, 2)) >= _FLAT]
    hashes = [_compute_hash(thumbnail) for thumbnail in thumbnails]
    bits = np.unpackbits(np.array(hashes, dtype=np.uint8).reshape(-1, BITS // 8), axis=1)
    return Fingerprint(thumbnails, 2 * bits.astype(np.float32) - 1)


def write_hashes(fingerprint: Fingerprint) -> tuple[str, ...]:
    """The hashes of a clip's frames, 16 hexadecimal digits each: what is kept where thumbnails take too much room."""
    bits = np.packbits(fingerprint.signs > 0, axis=1)
    return tuple(row.tobytes().hex() for row in bits)


def read_hashes(texts: Sequence[str]) -> Fingerprint:
    """A fingerprint of hashes alone, which `list_candidates` takes.

    Raises:
        ValueError: A text is not 16 hexadecimal digits.
    """
    rows = np.array([list(bytes.fromhex(text)) for text in texts], dtype=np.uint8).reshape(-1, BITS // 8)
    signs = 2 * np.unpackbits(rows, axis=1).astype(np.float32) - 1
    return Fingerprint(np.zeros((0, _SIDE, _SIDE), np.uint8), signs)


def list_candidates(fingerprints: Sequence[Fingerprint], groups: Sequence[str]) -> list[int]:
    """Clips with a frame whose hash is close to that of a frame of a clip of another group, by index."""
    return sorted({clip for pair in _find_candidates(fingerprints, groups) for clip in pair})


def hamming_distances(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Bits by which hashes (N, 64) and (M, 64) of signs differ: (N, M)."""
    different: npt.NDArray[np.int64] = np.rint((BITS - first @ second.T) / 2).astype(np.int64)
    return different


def find_near_duplicates(fingerprints: Sequence[Fingerprint], groups: Sequence[str]) -> list[Resemblance]:
    """Find clips of different groups that show the same recording.

    Args:
        fingerprints: One for each clip.
        groups: Group of each clip; clips of one group are not compared.

    Returns:
        In order of the clips, each pair of clips once.

    Raises:
        ValueError: Lengths differ.
    """
    if len(fingerprints) != len(groups):
        raise ValueError(f"{len(fingerprints)} clips but {len(groups)} groups")
    found = []
    for (first, second), frame_pairs in sorted(_find_candidates(fingerprints, groups).items()):
        for bits, frame, other in sorted(frame_pairs)[:_MAX_CANDIDATES]:
            thumbnails = fingerprints[first].thumbnails[frame], fingerprints[second].thumbnails[other]
            correlation = aligned_correlation(*thumbnails)
            if correlation >= CORRELATION:
                found.append(Resemblance(first, second, bits, correlation))
                break
    return found


def aligned_correlation(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    """Correlation of two thumbnails (32, 32) in [-1, 1] at the best of a few scales and shifts.

    The central part of each is matched within the other, enlarged or reduced, since either may be the cropped one.
    """
    return max(_best_correlation(first, second), _best_correlation(second, first))


# ---------------------------------------------------------------- steps


def _make_thumbnail(frame: Frame) -> npt.NDArray[np.uint8]:
    small: Any = cv2.resize(np.ascontiguousarray(frame), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    grey: npt.NDArray[np.uint8] = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return grey


def _compute_hash(thumbnail: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(8,) bytes."""
    packed: npt.NDArray[np.uint8] = cv2.img_hash.pHash(thumbnail)[0]
    return packed


def _find_candidates(
    fingerprints: Sequence[Fingerprint], groups: Sequence[str]
) -> dict[tuple[int, int], list[tuple[int, int, int]]]:
    """Candidates: (clip, clip) of different groups -> (bits, frame, frame) of their similar frames."""
    signs = np.concatenate([each.signs for each in fingerprints] or [np.zeros((0, BITS), np.float32)])  # (N, 64)
    counts = [len(each.signs) for each in fingerprints]
    clips = np.repeat(np.arange(len(fingerprints)), counts)  # (N,)
    frame_of = np.concatenate([np.arange(count) for count in counts] or [np.zeros(0, np.intp)])  # (N,) within the clip
    _, codes = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    found: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for start in range(0, len(signs), _BLOCK):
        rows = slice(start, start + _BLOCK)
        bits = hamming_distances(signs[rows], signs)  # (B, N)
        other_group = codes[clips[rows]][:, None] != codes[clips][None]
        later = clips[rows][:, None] < clips[None]  # each pair once
        for row, column in np.argwhere((bits <= MAX_BITS) & other_group & later).tolist():
            pair = int(clips[start + row]), int(clips[column])
            frames = int(frame_of[start + row]), int(frame_of[column])
            found.setdefault(pair, []).append((int(bits[row, column]), *frames))
    return found


def _best_correlation(template: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """Best correlation of the template's central part within the other thumbnail, over scales and shifts."""
    margin = (_SIDE - _CORE) // 2
    core = template[margin:-margin, margin:-margin]
    if core.std() < _FLAT:
        return -1.0
    best = -1.0
    for side in _SCALES:
        scaled = cv2.resize(other, (side, side), interpolation=cv2.INTER_LINEAR)
        correlations = cv2.matchTemplate(scaled, core, cv2.TM_CCOEFF_NORMED)
        best = max(best, float(np.nan_to_num(correlations, nan=-1.0, posinf=-1.0).max()))
    return best
