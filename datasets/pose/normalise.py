"""Global pose normalisation (EDN section 8.5, Eq. 7-9): retarget a source's poses to the target's position and size.

Both clips' keypoints go in, in pixels of the target's frame (see `scale_keypoints`); the source's poses come out
with their depth range mapped onto the target's: s_far -> t_far and s_close -> t_close, in size and in position.
Positions are ankle positions: the mean of the two ankles or, where only one is found, that one. The greater
their y, the closer the person. A height is the distance from the ankle position to the nose.

A clip's range is measured on the frames that show nose and ankle, in one of two ways:

- `paper`: s_close is the largest ankle y, s_far is Eq. 9 with alpha 0.7, and the heights are those of the same
  frames. As printed, Eq. 9 takes the *largest* y of its set, which lies at the median however far the person
  walks; the farthest position, the smallest y, is meant. Where the set is empty, s_far is the median.
- `robust`: the 95% and 5% quantiles of ankle y, and the median heights of the tenth of the frames nearest to
  each; all on frames in which the person stands (`find_standing_frames`), so that jumps and kicks do not affect them.

Eq. 7's "translation" is an absolute y: the shift is that y less the ankle's own. Eq. 8's scale works around the
frame's own ankle position, in x and y, so the feet stay on the ground and the person does not move sideways.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.datasets.pose.similarity import SIMILARITY, Similarity, fit_similarity
from dancebench.datasets.pose.skeleton import L_ANKLE, NOSE, R_ANKLE, Keypoints, is_found

RANGES: Final = ("paper", "robust")
"""Ways of measuring a clip's depth range."""
NORMALISATIONS: Final = (*RANGES, SIMILARITY)

Floats = npt.NDArray[np.float64]

ALPHA: Final = 0.7
"""Eq. 9: how far beyond the median s_far may lie, as a share of s_close's distance from it."""
ONE_DEPTH: Final = 0.05
"""A source whose range is a smaller share of the frame's height than this stays at one depth."""
SCALE_SLACK: Final = 2.0
"""Beyond the range, how much smaller or larger than at its ends the scale may become."""
QUANTILES: Final = (0.05, 0.95)

# Thresholds for feet in the air, in shares of the person's height. The window is about a second of a prepared
# clip; a jump lasts less than half of that, so the median of a window is the ground.
UNLEVEL_ANKLES: Final = 0.15
ABOVE_GROUND: Final = 0.05
GROUND_WINDOW: Final = 31


@dataclass(frozen=True)
class PoseRange:
    """The depth range of a person in a clip, with the person's heights; all in pixels."""

    far: float
    close: float
    """Ankle y at the ends of the range; far <= close."""
    height_far: float
    height_close: float
    median_ankle: float
    median_height: float
    n_frames: int
    """Number of frames that it was measured on."""


@dataclass(frozen=True)
class Normalisation:
    """The map from a source's poses to a target's position and size."""

    source: PoseRange
    target: PoseRange
    kind: str
    flat: bool
    """The source stays at one depth: one shift (of median ankles) and one scale (of median heights) for all."""

    def map_y(self, y: npt.ArrayLike) -> Floats:
        """Eq. 7: the target y of ankles at `y`, in pixels; extrapolated linearly beyond the range. Same shape."""
        y = np.asarray(y, np.float64)
        if self.flat:
            return np.asarray(y + (self.target.median_ankle - self.source.median_ankle))
        # Weighted ends: one end plus a difference would miss the other end by a rounding error.
        depth = self._depth(y)
        return np.asarray((1 - depth) * self.target.far + depth * self.target.close)

    def scale(self, y: npt.ArrayLike) -> Floats:
        """Eq. 8: how many times larger a pose with ankles at `y` becomes. Same shape; always positive.

        Beyond the range, `robust` keeps the scale of the nearer end: most frames there have feet in the air.
        `paper` extrapolates linearly, but not below half the smaller end's scale (the line reaches 0 and less
        far enough out) nor above twice the larger one's.
        """
        y = np.asarray(y, np.float64)
        if self.flat:
            return np.full_like(y, self.target.median_height / self.source.median_height)
        depth = self._depth(y)
        if self.kind == "robust":
            depth = np.clip(depth, 0.0, 1.0)
        far = self.target.height_far / self.source.height_far
        close = self.target.height_close / self.source.height_close
        along = (1 - depth) * far + depth * close
        return np.asarray(np.clip(along, min(far, close) / SCALE_SLACK, max(far, close) * SCALE_SLACK))

    def apply(self, keypoints: Keypoints) -> Keypoints:
        """Poses of the source, moved and scaled; missing points stay missing (all zeros).

        A frame without ankles takes the ankle position between its neighbours that have them, by linear
        interpolation in time; before the first and after the last of these, theirs holds.

        Args:
            keypoints: float32 [T, 75, 3], in pixels of the target's frame.

        Returns:
            float32 [T, 75, 3]; confidences as they were.

        Raises:
            BenchError: No frame shows an ankle.
        """
        pivot = _fill_gaps(locate_ankles(keypoints))  # (T, 2)
        ground = np.stack([pivot[:, 0], self.map_y(pivot[:, 1])], axis=-1)  # (T, 2)
        scale = self.scale(pivot[:, 1])[:, None, None]  # (T, 1, 1)
        points = keypoints[..., :2].astype(np.float64)
        moved = np.concatenate([ground[:, None] + scale * (points - pivot[:, None]), keypoints[..., 2:]], axis=-1)
        return np.where(is_found(keypoints)[..., None], moved, 0.0).astype(np.float32)

    def facts(self) -> dict[str, Any]:
        """All that defines it, as JSON values, for a fake's record."""
        return asdict(self)

    def _depth(self, y: Floats) -> Floats:
        """0 at the source's far end, 1 at its close end."""
        return (y - self.source.far) / (self.source.close - self.source.far)


def fit(source: Keypoints, target: Keypoints, *, frame_height: int, kind: str) -> Normalisation | Similarity:
    """Fit a source's poses to a target's by one of NORMALISATIONS; arguments and errors as those of the two ways.

    Raises:
        UnknownNameError: There is no such kind.
    """
    if kind not in NORMALISATIONS:
        raise UnknownNameError("normalisation", kind, NORMALISATIONS)
    if kind == SIMILARITY:
        return fit_similarity(source, target)
    return fit_normalisation(source, target, frame_height=frame_height, kind=kind)


def fit_normalisation(source: Keypoints, target: Keypoints, *, frame_height: int, kind: str) -> Normalisation:
    """Measure both clips and map the source's range onto the target's.

    Where the source's range is under 5% of the frame's height, Eq. 7 and 8 would blow up noise, so one shift and
    one scale serve all frames. Where only the target's is, they apply unchanged: a source that walks in depth
    is kept at the target's one depth and size.

    Args:
        source: float32 [S, 75, 3], in pixels of the target's frame.
        target: float32 [T, 75, 3].
        frame_height: Of the target's frame, in pixels.
        kind: One of RANGES.

    Raises:
        BenchError: One of the clips never shows nose and ankle together.
        UnknownNameError: There is no such kind.
    """
    ranges = measure_range(source, kind, clip="source"), measure_range(target, kind, clip="target")
    flat = ranges[0].close - ranges[0].far < ONE_DEPTH * frame_height
    return Normalisation(*ranges, kind=kind, flat=flat)


def measure_range(keypoints: Keypoints, kind: str, *, clip: str = "measured") -> PoseRange:
    """Measure how far and how close a person comes, and the person's height there.

    Args:
        keypoints: float32 [T, 75, 3].
        kind: One of RANGES.
        clip: What to call the clip in an error.

    Raises:
        BenchError: No frame shows nose and ankle together.
        UnknownNameError: There is no such kind.
    """
    if kind not in RANGES:
        raise UnknownNameError("normalisation", kind, RANGES)
    ankle, height = locate_ankles(keypoints), measure_heights(keypoints)
    use = height > 0  # a missing height is NaN; one of 0 cannot be scaled
    if not use.any():
        raise BenchError(
            f"No frame of the {clip} clip shows nose and ankle together ({len(keypoints)} looked at).",
            hint="Pose normalisation needs the whole person in view: take another clip or another part of it.",
        )
    if kind == "robust":
        stands = find_standing_frames(keypoints[use])
        use[use] = stands if stands.any() else True
    ankle_y, height = ankle[use, 1], height[use]
    far, close = _find_paper_ends(ankle_y) if kind == "paper" else np.quantile(ankle_y, QUANTILES)
    near = 1 if kind == "paper" else max(1, len(ankle_y) // 10)

    def height_at(y: float) -> float:
        nearest = np.argsort(np.abs(ankle_y - y), kind="stable")[:near]
        return float(np.median(height[nearest]))

    return PoseRange(
        far=float(far),
        close=float(close),
        height_far=height_at(far),
        height_close=height_at(close),
        median_ankle=float(np.median(ankle_y)),
        median_height=float(np.median(height)),
        n_frames=len(ankle_y),
    )


def locate_ankles(keypoints: Keypoints) -> Floats:
    """Mean of the found ankles: float64 [T, 2], (x, y) in pixels, from [T, 75, 3]; NaN where neither is found."""
    ankles = keypoints[:, [R_ANKLE, L_ANKLE]].astype(np.float64)  # (T, 2 ankles, 3)
    there = ankles[..., 2:] > 0  # (T, 2, 1)
    count = there.sum(axis=1)  # (T, 1)
    total = np.where(there, ankles[..., :2], 0.0).sum(axis=1)  # (T, 2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def measure_heights(keypoints: Keypoints) -> Floats:
    """Distance from ankle position to nose: float64 [T], pixels, from [T, 75, 3]; NaN where either is missing."""
    distance = np.linalg.norm(keypoints[:, NOSE, :2] - locate_ankles(keypoints), axis=-1)
    return np.where(is_found(keypoints)[:, NOSE], distance, np.nan)


def find_standing_frames(keypoints: Keypoints) -> npt.NDArray[np.bool_]:
    """Frames in which the person seems to stand on the ground: [T] from [T, 75, 3], all with nose and ankle.

    Two signs of feet in the air: the ankles are not level (by over 15% of the height), or the ankle position is
    above the running median over 31 frames (by over 5%). A jump held longer than half that window is not detected.
    """
    right, left = keypoints[:, R_ANKLE], keypoints[:, L_ANKLE]  # (T, 3)
    height, ankle_y = measure_heights(keypoints), locate_ankles(keypoints)[:, 1]
    both = (right[:, 2] > 0) & (left[:, 2] > 0)
    level = ~both | (np.abs(right[:, 1] - left[:, 1]) <= UNLEVEL_ANKLES * height)
    ground = median_filter(ankle_y, size=GROUND_WINDOW, mode="nearest")
    return np.asarray(level & (ground - ankle_y <= ABOVE_GROUND * height))


def _find_paper_ends(ankle_y: Floats) -> tuple[float, float]:
    """s_far (Eq. 9, its farthest position) and s_close, from the ankle y of each frame."""
    close, median = float(ankle_y.max()), float(np.median(ankle_y))
    beyond = ankle_y[(ankle_y < median) & (np.abs(ankle_y - median) < ALPHA * abs(close - median))]
    return float(beyond.min(initial=median)), close


def _fill_gaps(positions: Floats) -> Floats:
    """Ankle positions [T, 2] with the NaN of frames without ankles interpolated in time; constant beyond the ends."""
    frames = np.arange(len(positions))
    there = np.isfinite(positions[:, 1])
    if not there.any():
        raise BenchError(
            f"No frame shows an ankle ({len(positions)} looked at), so its poses cannot be set on the ground.",
            hint="Pose normalisation needs the feet in view: take another clip or another part of it.",
        )
    return np.stack([np.interp(frames, frames[there], axis[there]) for axis in positions.T], axis=-1)
