"""SSIM, PSNR and MSE of aligned clips, and how metrics of images are measured: per frame and region, in batches.

What goes in: two clips of the same frames, as uint8 RGB, and the poses that define the regions. What
comes out: one row per frame. Conventions:

    ssim    torchmetrics, colour (mean over channels), Gaussian window 11 with sigma 1.5, data range 1;
            all pixels of the crop count, windows at its edge are padded by reflection
    ssim_valid  the same over the windows that lie within the frame, in float64: what scikit-image and Wang's own
            code give, and most papers print
    psnr    dB, data range 1; averaged over items, never computed from a mean MSE
    mse     squared 8-bit levels, 0 to 65025 (as in Dance Dance Generation's tables)
    l1      mean absolute error of pixels in [0, 1]
    diff_mse  MSE of the difference of consecutive frames (DDG, T3), in squared 8-bit levels

SSIM, PSNR, MSE and diff_mse are also measured on the foreground (DDG, T2 and T3): in both clips every pixel that does
not show the person in the real one is black, and all pixels of the frame count, the black ones too. The paper does not
say so; its values do: a foreground MSE below that of the whole frame, and an SSIM of 0.93. The value of a frame
therefore depends on how much of it the person fills, and compares on the same frames alone.

A value is null if the region is missing in that frame, or if it needs a previous frame and there is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from dancebench.benchmark.metrics.base import METRICS, ImageFunction, ImageMeasure, MetricInfo
from dancebench.benchmark.metrics.chunks import FakeAndReal, Frames, measure_in_chunks
from dancebench.benchmark.metrics.regions import REGIONS, locate_region
from dancebench.core.errors import BenchError
from dancebench.core.nn import torchvision_ops
from dancebench.core.opencv import cv2
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.subjects.masks import PersonMasks

_BATCH: Final = 32
_BATCH_PIXELS: Final = 32 * 1024 * 512
"""Pixels of the crops that are measured at once: larger crops come in smaller batches."""
_MARGIN: Final = 5
"""Pixels from the edge of a picture to the centre of its first whole window of 11."""
_TORCHMETRICS: Final[dict[str, Any]] = {"data_range": 1.0, "reduction": "none"}


# ---------------------------------------------------------------- metrics of crops (N, 3, h, w) in [0, 1], each (N,)


@METRICS.register_image("ssim", MetricInfo("SSIM in [-1, 1]", True))
def ssim(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Structural similarity (Wang et al. 2004)."""
    torchvision_ops.declare_missing_ops()
    from torchmetrics.functional.image import structural_similarity_index_measure

    found = structural_similarity_index_measure(fake, real, gaussian_kernel=True, sigma=1.5, **_TORCHMETRICS)
    return torch.as_tensor(found)


@METRICS.register_image("ssim_valid", MetricInfo("SSIM in [-1, 1], windows within the frame", True), regions=("frame",))
def ssim_valid(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Structural similarity over whole windows alone, in float64."""
    torchvision_ops.declare_missing_ops()
    from torchmetrics.functional.image import structural_similarity_index_measure

    values = []
    for one, other in zip(fake.double(), real.double(), strict=True):  # one by one: float64 takes memory
        _, whole = structural_similarity_index_measure(
            one[None], other[None], gaussian_kernel=True, sigma=1.5, return_full_image=True, **_TORCHMETRICS
        )
        values.append(whole[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN].mean())
    return torch.stack(values)


@METRICS.register_image(
    "psnr", MetricInfo("dB", True, "no frame shows the region, or fake and real are equal there: infinite")
)
def psnr(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio; infinite, so null, of equal images."""
    torchvision_ops.declare_missing_ops()
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return torch.as_tensor(peak_signal_noise_ratio(fake, real, dim=(1, 2, 3), **_TORCHMETRICS))


@METRICS.register_image("mse", MetricInfo("squared 8-bit levels", False))
def mse(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Mean squared error."""
    return (fake - real).square().mean(dim=(1, 2, 3)) * 255.0**2


@METRICS.register_image("l1", MetricInfo("mean absolute error in [0, 1]", False))
def l1(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Mean absolute error."""
    return (fake - real).abs().mean(dim=(1, 2, 3))


# ---------------------------------------------------------------- measuring them


def measure_images(clips: FakeAndReal[Frames], only: Collection[str] | None = None) -> pd.DataFrame:
    """Compare two clips frame by frame, with every metric of images that can be measured on this machine.

    Args:
        clips: Frames of two clips.
        only: Full names of the metrics to measure; None: all.

    Returns:
        One row per frame, and a column `REGION_METRIC` each; NaN stands for null.

    Raises:
        BenchError: The clips differ in length or size, or a metric does not give one value for each image.
    """
    fake, real, keypoints = clips.fake, clips.real, clips.keypoints
    if fake.shape != real.shape or len(keypoints) != len(real):
        raise BenchError(
            f"The clips cannot be compared frame by frame: {fake.shape[:3]} against {real.shape[:3]} "
            f"with {len(keypoints)} poses.",
            hint="Both must hold the same frames at the same size.",
        )
    measures = {
        name: metric.measure
        for name, metric in METRICS.entries().items()
        if isinstance(metric.measure, ImageMeasure) and (only is None or name in only)
    }
    columns = {name: np.full(len(real), np.nan) for name in measures}
    for region in REGIONS:
        own = {
            name: measure.compare
            for name, measure in measures.items()
            if measure.region == region and measure.explain_absence() is None
        }
        boxes = [locate_region(region, points, (real.shape[1], real.shape[2])) for points in keypoints] if own else []
        for index, group in _group_by_shape(boxes):
            crops = _crop(fake[index], group), _crop(real[index], group)
            for name, compare in own.items():
                columns[name][index] = _compare(name, compare, *crops)
    return pd.DataFrame(columns)


def measure_clips(fake: Path, real: Path, keypoints: Keypoints, *, only: Collection[str] | None = None) -> pd.DataFrame:
    """`measure_images` on two clip files without gaps, in chunks.

    >>> from dancebench import measure_clips
    >>> rows = measure_clips(fake, real, keypoints, only=["body_ssim"])
    >>> len(rows) == len(keypoints), bool(rows["body_ssim"].between(-1, 1).all())
    (True, True)
    """
    return measure_in_chunks(FakeAndReal(fake, real, keypoints), lambda clips: measure_images(clips, only))


def _group_by_shape(boxes: list[Box[int] | None]) -> Iterator[tuple[list[int], list[Box[int]]]]:
    """Frames whose bounding boxes have the same shape, at most `_BATCH` and `_BATCH_PIXELS` at once."""
    by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
    for t, box in enumerate(boxes):
        if box is not None:
            by_shape[box.height, box.width].append(t)
    for (height, width), frames in by_shape.items():
        batch = min(_BATCH, max(1, _BATCH_PIXELS // (height * width)))
        for k in range(0, len(frames), batch):
            index = frames[k : k + batch]
            yield index, [box for t in index if (box := boxes[t]) is not None]


def _crop(frames: Frames, boxes: list[Box[int]]) -> torch.Tensor:
    """uint8 [N, H, W, 3] → float (N, 3, h, w) in [0, 1]."""
    crops = [frame[box.rows, box.columns] for frame, box in zip(frames, boxes, strict=True)]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255.0


def _compare(name: str, compare: ImageFunction, fake: torch.Tensor, real: torch.Tensor) -> npt.NDArray[np.float64]:
    """Values of a metric, float64 [N]; infinite ones become null."""
    with torch.no_grad():
        values = torch.as_tensor(compare(fake, real)).double().reshape(-1).numpy().copy()
    if len(values) != len(fake):
        raise BenchError(
            f"The metric '{name}' gives {len(values)} values for {len(fake)} images.",
            hint="Its function must return a tensor (N,).",
        )
    values[~np.isfinite(values)] = np.nan
    return np.asarray(values, dtype=np.float64)


# ---------------------------------------------------------------- differences of consecutive frames


@METRICS.register_frames({f"{region}_diff_mse": MetricInfo("squared 8-bit levels", False) for region in REGIONS})
def measure_differences(clips: FakeAndReal[Frames]) -> pd.DataFrame:
    """MSE between the frame differences of the two clips, in every region: a column `REGION_diff_mse` each."""
    size = clips.real.shape[1], clips.real.shape[2]
    return pd.DataFrame(
        {
            f"{region}_diff_mse": [
                _compare_difference(clips, t, locate_region(region, clips.keypoints[t], size)) if follows else np.nan
                for t, follows in enumerate(clips.follows)
            ]
            for region in REGIONS
        },
        dtype=np.float64,
    )


def _compare_difference(clips: FakeAndReal[Frames], t: int, box: Box[int] | None) -> float:
    """MSE between the changes from the frame before `t` to it, inside a box; NaN without one."""
    if box is None:
        return float("nan")
    window = box.rows, box.columns
    changes = [clip[t][window].astype(np.float64) - clip[t - 1][window] for clip in (clips.fake, clips.real)]
    return float(np.square(changes[0] - changes[1]).mean())


# ---------------------------------------------------------------- the foreground

_REASON: Final = "foreground_reason"
_NO_PERSON: Final = "the person was not found in the real frame"
_OF_FOREGROUND: Final = {
    f"foreground_{name}": replace(METRICS[f"frame_{name}"].info, reasons=_REASON)
    for name in ("ssim", "psnr", "mse", "diff_mse")
}


@METRICS.register_frames(_OF_FOREGROUND)
def measure_foreground(clips: FakeAndReal[Frames]) -> pd.DataFrame:
    """Measure the clips with all but the person black, in every frame in which the person was found.

    Returns:
        One row per frame: the columns `foreground_…`, and `foreground_reason` where no person was found.
    """
    if isinstance(clips.masks, str):
        nothing = dict.fromkeys(_OF_FOREGROUND, np.nan)
        return pd.DataFrame({**nothing, _REASON: clips.masks}, index=range(len(clips.real)))
    shown = _resize_masks(clips.masks, (clips.real.shape[1], clips.real.shape[2]))  # [T, H, W]
    masked = replace(clips, fake=clips.fake * shown[..., None], real=clips.real * shown[..., None])
    whole, found = Box(0, shown.shape[1], 0, shown.shape[2]), shown.any(axis=(1, 2))
    has_both = clips.follows & found & np.roll(found, 1)  # the first frame follows none
    rows = measure_images(masked, only={"frame_ssim", "frame_psnr", "frame_mse"})
    rows.columns = rows.columns.str.replace("frame_", "foreground_")
    rows[~found] = np.nan
    rows["foreground_diff_mse"] = [
        _compare_difference(masked, t, whole if has_both[t] else None) for t in range(len(found))
    ]
    reasons = [None if each else _NO_PERSON for each in found]
    return rows.assign(**{_REASON: pd.Series(reasons, dtype=object)})


def _resize_masks(masks: PersonMasks, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Masks at a size (height, width): the pixels that the person at least half fills, bool [T, height, width]."""
    height, width = size
    shares = [
        cv2.resize(masks[t].astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        for t in range(len(masks.packed))
    ]
    return np.asarray(shares, np.float32).reshape(-1, height, width) >= 0.5
