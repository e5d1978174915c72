"""Temporal flicker of the static background: how much pixels change that should not.

What goes in: two clips of the same frames, and the poses that say where the person is. The background of a
frame lies outside the body's bounding box, grown by a tenth of its larger side, in this frame and in the
previous one. In 8-bit levels, over its pixels and colour channels:

    background_flicker         mean |I(t) - I(t-1)| of the fake
    background_flicker_real    the same of the real clip: sensor noise and compression
    background_flicker_excess  |fake - real| of these two means; lower is better

The excess compares the means, not single pixels: two clips of the same noise strength have none. Per
subject, `background_flicker_ratio` is the quotient of the two means over all frames: 1 is ideal, above 1 the
background flickers, below 1 it was blurred, so lower is not better.

Null, with the reason in the column `background_reason`: no previous frame, no pose in one of the two,
a background under 5% of the frame, or a moving one. It moves where the real clip's changes by more than 12
levels (a cut, a flash), or shifts as a whole by more than a quarter of a pixel: a slow pan over a smooth
background changes it by 2 levels, less than the noise of many cameras. If it moves in most frames the
camera is not still, and all frames are null.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.benchmark.metrics.base import METRICS, MetricInfo, Ratio
from dancebench.benchmark.metrics.chunks import FakeAndReal, Frames
from dancebench.datasets.pose.skeleton import Keypoints, compute_body_box

MIN_SHARE: Final = 0.05
"""The smallest share of the frame's pixels that the background must have."""
MOST_CHANGE: Final = 12.0
"""Levels of real flicker above which the background counts as moving; a noisy sensor shows about 5."""
MOST_SHIFT: Final = 0.25
"""Pixels by which the real background may shift between two frames and still count as static."""

NO_FRAME_BEFORE: Final = "there is no previous frame"
NO_POSE: Final = "no pose: where the background lies is unknown"
TOO_SMALL: Final = f"the background is under {MIN_SHARE:.0%} of the frame"
MOVING: Final = "the background moves: the camera is not still"

Mask = npt.NDArray[np.bool_]


def hide_moving(rows: pd.DataFrame) -> pd.DataFrame:
    """Set a whole clip's rows to null where its background moves; adds `background_flicker_excess`."""
    measured = rows["background_flicker_real"].notna()
    moving = rows["background_moves"]
    if moving.sum() * 2 > measured.sum():
        moving = measured
    fake, real = (rows[name].mask(moving) for name in ("background_flicker", "background_flicker_real"))
    return rows.drop(columns="background_moves").assign(
        background_flicker=fake,
        background_flicker_real=real,
        background_flicker_excess=(fake - real).abs(),
        background_reason=rows["background_reason"].mask(moving, MOVING),
    )


def _describe(unit: str, higher_is_better: bool | None) -> MetricInfo:
    return MetricInfo(
        unit, higher_is_better, "no two consecutive frames show a still background", reasons="background_reason"
    )


METRICS.register_ratio(
    "background_flicker_ratio",
    _describe("ratio to the real clip's", None),
    Ratio("background_flicker", "background_flicker_real", undefined="nothing changes in the real clip"),
    module=__name__,
)


@METRICS.register_frames(
    {
        "background_flicker": _describe("8-bit levels", None),
        "background_flicker_real": _describe("8-bit levels", None),
        "background_flicker_excess": _describe("8-bit levels", False),
    },
    finish=hide_moving,
)
def measure_flicker(clips: FakeAndReal[Frames]) -> pd.DataFrame:
    """Measure the flicker of both clips, before it is known whether the camera is still (`hide_moving`).

    Returns:
        One row per frame: `background_flicker`, `background_flicker_real`, `background_reason`, and whether
        the background moves, `background_moves`.
    """
    fake, real, keypoints, follows = clips.fake, clips.real, clips.keypoints, clips.follows
    moves = np.zeros(len(real), np.bool_)
    flicker = np.full((len(real), 2), np.nan)
    reasons: list[str | None] = []
    for t in range(len(real)):
        if not follows[t]:
            reasons.append(NO_FRAME_BEFORE)
            continue
        background = _mask_background(keypoints[t - 1 : t + 1], real.shape[1], real.shape[2])
        reasons.append(background if isinstance(background, str) else None)
        if not isinstance(background, str):
            flicker[t] = [_compute_mean_change(clip[t - 1], clip[t], background) for clip in (fake, real)]
            moves[t] = flicker[t, 1] > MOST_CHANGE or _estimate_shift(real[t - 1], real[t], background) > MOST_SHIFT
    return pd.DataFrame(
        {
            "background_flicker": flicker[:, 0],
            "background_flicker_real": flicker[:, 1],
            "background_reason": pd.Series(reasons, dtype=object),
            "background_moves": moves,
        }
    )


def _mask_background(keypoints: Keypoints, height: int, width: int) -> Mask | str:
    """Pixels [H, W] outside the body in both frames of `keypoints` [2, 75, 3], or the reason why there are none."""
    mask = np.ones((height, width), np.bool_)
    for points in keypoints:
        box = compute_body_box(points)
        if box is None:
            return NO_POSE
        mask[_find_touched_pixels(box.top, box.bottom), _find_touched_pixels(box.left, box.right)] = False
    return TOO_SMALL if mask.mean() < MIN_SHARE else mask


def _find_touched_pixels(low: float, high: float) -> slice:
    """Whole pixels that [low, high] touches; pixel centres are whole numbers."""
    return slice(max(0, math.floor(low)), max(0, math.ceil(high) + 1))


def _compute_mean_change(before: npt.NDArray[np.uint8], now: npt.NDArray[np.uint8], mask: Mask) -> float:
    """Mean |now - before| over the pixels of `mask`, in float: uint8 would wrap round."""
    return float(np.abs(now[mask].astype(np.float64) - before[mask]).mean())


def _estimate_shift(before: npt.NDArray[np.uint8], now: npt.NDArray[np.uint8], mask: Mask) -> float:
    """Lower bound on the pixels by which a background moved as a whole, so that noise does not count as motion.

    The least-squares step of Lucas and Kanade (1981), minus three of its standard errors.
    """
    earlier, later = (frame.mean(axis=-1, dtype=np.float64) for frame in (before, now))  # (H, W)
    gradients = np.stack([np.asarray(gradient)[mask] for gradient in np.gradient((earlier + later) / 2)])  # (2, pixels)
    change = (earlier - later)[mask]
    inverse = np.linalg.pinv(gradients @ gradients.T)
    step = inverse @ gradients @ change  # (y, x)
    residual = float(np.square(change - step @ gradients).mean())
    return float(np.linalg.norm(step) - 3.0 * np.sqrt(residual * np.trace(inverse)))
