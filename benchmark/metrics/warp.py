"""Warp error: how much the colours of moving points change, where the true motion is known.

What goes in: two clips of the same frames and the drawn dancer's true keypoints. Points are sampled along
every limb whose two joints are known in two consecutive frames, at the same fractions of its length in both.
What comes out, in 8-bit levels, as the mean over points and colour channels:

    warp_error       |fake(t) at the point's place in t - fake(t-1) at its place in t-1|, bilinear
    warp_error_real  the same of the real clip: occlusion, turning limbs, shading and noise, which no fake
                     can avoid

Every limb has the same weight, whatever its length. Per subject, `warp_error_ratio` is the quotient of the
two means over all frames: 1 is ideal, above 1 textures do not move with the body, below 1 they are blurred, so
lower is not better.

Null: no true keypoints, no previous frame, or no point inside both frames.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import map_coordinates

from dancebench.benchmark.metrics.base import METRICS, MetricInfo, Ratio
from dancebench.benchmark.metrics.chunks import FakeAndReal, Frames
from dancebench.datasets.pose.skeleton import LIMBS, Keypoints, is_found

POINTS_PER_LIMB: Final = 8
_FRACTIONS: Final = (np.arange(POINTS_PER_LIMB) + 0.5) / POINTS_PER_LIMB  # joints themselves belong to two limbs
_FROM, _TO = (list(ends) for ends in zip(*LIMBS, strict=True))

Places = npt.NDArray[np.float64]
"""[N, 2]: x and y in pixels; pixel centres are whole numbers."""


_MISSING: Final = "the true motion is not known"

METRICS.register_ratio(
    "warp_error_ratio",
    MetricInfo("ratio to the real clip's", None, _MISSING),
    Ratio("warp_error", "warp_error_real", undefined="nothing changes in the real clip"),
    module=__name__,
)


@METRICS.register_frames(
    {name: MetricInfo("8-bit levels", None, _MISSING) for name in ("warp_error", "warp_error_real")}
)
def measure_warp(clips: FakeAndReal[Frames]) -> pd.DataFrame:
    """Measure the warp error of both clips.

    Returns:
        One row per frame: `warp_error`, `warp_error_real`.
    """
    fake, real, truth, follows = clips.fake, clips.real, clips.truth, clips.follows
    errors = np.full((len(real), 2), np.nan)
    if truth is not None:
        for t in np.flatnonzero(follows):
            places = _sample_limb_points(truth[t - 1 : t + 1], real.shape[1], real.shape[2])
            errors[t] = [_compute_mean_colour_change(clip[t - 1 : t + 1], places) for clip in (fake, real)]
    return pd.DataFrame({"warp_error": errors[:, 0], "warp_error_real": errors[:, 1]})


def _sample_limb_points(truth: Keypoints, height: int, width: int) -> tuple[Places, Places]:
    """Sample points on the limbs in two frames: those known, and inside, in both. `truth` is [2, 75, 3]."""
    known = is_found(truth)[:, _FROM] & is_found(truth)[:, _TO]  # (2, limbs)
    points = truth[..., :2].astype(np.float64)
    first, last = points[:, _FROM, None], points[:, _TO, None]  # (2, limbs, 1, 2)
    places = first + _FRACTIONS[:, None] * (last - first)  # (2, limbs, points, 2)
    inside = ((places >= 0) & (places <= (width - 1, height - 1))).all(axis=-1)  # (2, limbs, points)
    both = (inside & known[..., None]).all(axis=0)  # (limbs, points)
    return places[0][both], places[1][both]


def _compute_mean_colour_change(frames: Frames, places: tuple[Places, Places]) -> float:
    """Mean absolute difference of the points' colours in two frames [2, H, W, 3]; NaN without points."""
    if len(places[0]) == 0:
        return float("nan")
    before, now = (_sample_colours(frame, points) for frame, points in zip(frames, places, strict=True))
    return float(np.abs(now - before).mean())


def _sample_colours(frame: npt.NDArray[np.uint8], places: Places) -> npt.NDArray[np.float64]:
    """Bilinear colours float64 [3, N] of a frame uint8 [H, W, 3]."""
    rows_columns = places[:, ::-1].T
    return np.stack([map_coordinates(frame[..., c], rows_columns, output=np.float64, order=1) for c in range(3)])
