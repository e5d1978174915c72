"""Registry of the metrics of a fake: unit, which direction is better, and why a value may be missing.

`METRICS` has the metric columns of per-frame rows by their full name (`body_ssim`, `pose_distance`) and
the ratios of `RATIOS`, which are computed per subject. How each is measured is described in the module
that measures it: `image`, `pose`, `flicker`, `warp`.

A name in `_real` is the same metric on the real clip, the value that a perfect fake would have. For such a
value, and for a ratio to it, neither direction is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dancebench.benchmark.metrics.regions import REGIONS


@dataclass(frozen=True)
class MetricInfo:
    """What a metric's value means."""

    unit: str
    higher_is_better: bool | None
    """None where neither direction is better."""
    missing: str = "no frame has a value"
    """The reason that a record states if no frame has a value."""


REGION_METRICS: Final = {
    "ssim": MetricInfo("SSIM in [-1, 1]", True),
    "psnr": MetricInfo("dB", True),
    "mse": MetricInfo("squared 8-bit levels", False),
    "lpips_squeeze": MetricInfo("LPIPS v0.1, SqueezeNet", False),
    "diff_mse": MetricInfo("squared 8-bit levels", False),
}
"""Measured in every region: the column is `REGION_METRIC`."""

_HEIGHT = "% of frame height"
_MISSED = "joints of 25 per frame"
_LEVELS = "8-bit levels"
_RATIO = "ratio to the real clip's"
_UNDETECTED = "no frame has both an input pose and a detected one"
_NO_TRUTH = "the true keypoints are not known"
_NO_BACKGROUND = "no two consecutive frames show a still background"
_NO_MOTION = "the true motion is not known"

METRICS: Final = {
    **{f"{region}_{name}": info for region in REGIONS for name, info in REGION_METRICS.items()},
    "pose_distance": MetricInfo(_HEIGHT, False, _UNDETECTED),
    "pose_distance_real": MetricInfo(_HEIGHT, None, _UNDETECTED),
    "pose_missed": MetricInfo(_MISSED, False, "no frame has an input pose"),
    "pose_missed_real": MetricInfo(_MISSED, None, "no frame has an input pose"),
    "pose_distance_true": MetricInfo(_HEIGHT, False, _NO_TRUTH),
    "pose_distance_true_real": MetricInfo(_HEIGHT, None, _NO_TRUTH),
    "background_flicker": MetricInfo(_LEVELS, None, _NO_BACKGROUND),
    "background_flicker_real": MetricInfo(_LEVELS, None, _NO_BACKGROUND),
    "background_flicker_excess": MetricInfo(_LEVELS, False, _NO_BACKGROUND),
    "background_flicker_ratio": MetricInfo(_RATIO, None, _NO_BACKGROUND),
    "warp_error": MetricInfo(_LEVELS, None, _NO_MOTION),
    "warp_error_real": MetricInfo(_LEVELS, None, _NO_MOTION),
    "warp_error_ratio": MetricInfo(_RATIO, None, _NO_MOTION),
}
"""Every metric by its full name."""

RATIOS: Final = {
    "background_flicker_ratio": ("background_flicker", "background_flicker_real"),
    "warp_error_ratio": ("warp_error", "warp_error_real"),
}
"""Computed per subject, not per frame: the mean of the first column over the mean of the second."""


def find_metric(name: str) -> MetricInfo | None:
    """Look up a column or ratio such as `body_ssim`; None if it is not a metric."""
    return METRICS.get(name)
