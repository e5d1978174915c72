"""SSIM, PSNR, MSE and LPIPS of aligned clips: per frame and region, in float, batched.

What goes in: two clips of the same frames, as uint8 RGB, and the poses that define the regions. What
comes out: one row per frame. Conventions:

    ssim    torchmetrics, colour (mean over channels), Gaussian window 11 with sigma 1.5, data range 1;
            all pixels of the crop count, windows at its edge are padded by reflection
    psnr    dB, data range 1; averaged over items, never computed from a mean MSE
    mse     squared 8-bit levels, 0 to 65025 (as in Dance Dance Generation's tables)
    lpips_B version 0.1 with backbone B, inputs in [-1, 1]
    diff_mse  MSE of the difference of consecutive frames (DDG, T3), in squared 8-bit levels

A value is null if the region is missing in that frame, or if it needs a previous frame and there is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from dancebench.benchmark.metrics.base import REGION_METRICS
from dancebench.benchmark.metrics.chunks import Frames, SegmentStarts, measure_in_chunks, start_once
from dancebench.benchmark.metrics.perceptual import Lpips
from dancebench.benchmark.metrics.regions import REGIONS, locate_region
from dancebench.core.errors import BenchError
from dancebench.core.nn import torchvision_ops
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.video.box import Box

_BATCH: Final = 32


def measure_images(
    fake: Frames, real: Frames, keypoints: Keypoints, *, lpips: Lpips | None, starts: SegmentStarts | None = None
) -> pd.DataFrame:
    """Compare two clips frame by frame.

    Args:
        fake: uint8 RGB [T, H, W, 3].
        real: The same frames of the real clip.
        keypoints: float32 [T, 75, 3] of the real frames, in pixels of these frames.
        lpips: None leaves the LPIPS columns null.
        starts: Where a segment of consecutive frames starts, bool [T]; None for a clip without gaps.

    Returns:
        One row per frame: `t` and a column `REGION_METRIC` each; NaN stands for null.

    Raises:
        BenchError: The clips differ in length or size.
    """
    if fake.shape != real.shape or len(keypoints) != len(real):
        raise BenchError(
            f"The clips cannot be compared frame by frame: {fake.shape[:3]} against {real.shape[:3]} "
            f"with {len(keypoints)} poses.",
            hint="Both must hold the same frames at the same size.",
        )
    columns = {f"{region}_{metric}": np.full(len(real), np.nan) for region in REGIONS for metric in REGION_METRICS}
    follows = ~(start_once(len(real)) if starts is None else starts)
    for region in REGIONS:
        boxes = [locate_region(region, points, (real.shape[1], real.shape[2])) for points in keypoints]
        for index, box in _group_by_shape(boxes):
            found = _compare(_crop(fake[index], box), _crop(real[index], box), lpips)
            for metric, values in found.items():
                columns[f"{region}_{metric}"][index] = values
        columns[f"{region}_diff_mse"][1:] = list(_compare_differences(fake, real, boxes, follows))
    return pd.DataFrame({"t": np.arange(len(real)), **columns})


def measure_clips(fake: Path, real: Path, keypoints: Keypoints, *, lpips: Lpips | None) -> pd.DataFrame:
    """`measure_images` on two clip files without gaps, in chunks.

    >>> from dancebench import measure_clips
    >>> rows = measure_clips(fake, real, keypoints, lpips=None)
    >>> len(rows) == len(keypoints), bool(rows["body_ssim"].between(-1, 1).all())
    (True, True)
    """
    return measure_in_chunks(
        fake,
        real,
        len(keypoints),
        lambda fakes, reals, span: measure_images(fakes, reals, keypoints[span], lpips=lpips),
    )


def _group_by_shape(boxes: list[Box[int] | None]) -> Iterator[tuple[list[int], list[Box[int]]]]:
    """Frames whose bounding boxes have the same shape, at most `_BATCH` at once."""
    by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
    for t, box in enumerate(boxes):
        if box is not None:
            by_shape[box.height, box.width].append(t)
    for frames in by_shape.values():
        for k in range(0, len(frames), _BATCH):
            index = frames[k : k + _BATCH]
            yield index, [box for t in index if (box := boxes[t]) is not None]


def _crop(frames: Frames, boxes: list[Box[int]]) -> torch.Tensor:
    """uint8 [N, H, W, 3] → float (N, 3, h, w) in [0, 1]."""
    crops = [frame[box.rows, box.columns] for frame, box in zip(frames, boxes, strict=True)]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255.0


def _compare(fake: torch.Tensor, real: torch.Tensor, lpips: Lpips | None) -> dict[str, npt.NDArray[np.float64]]:
    """Per-item metrics of crops (N, 3, h, w) in [0, 1]."""
    torchvision_ops.declare_missing_ops()
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    settings: dict[str, Any] = {"data_range": 1.0, "reduction": "none"}
    found = {
        "ssim": structural_similarity_index_measure(fake, real, gaussian_kernel=True, sigma=1.5, **settings),
        "psnr": peak_signal_noise_ratio(fake, real, dim=(1, 2, 3), **settings),
        "mse": (fake - real).square().mean(dim=(1, 2, 3)) * 255.0**2,
    }
    if lpips is not None:
        found[f"lpips_{lpips.backbone}"] = lpips(fake * 2 - 1, real * 2 - 1)
    return {name: _to_finite(value) for name, value in found.items()}


def _to_finite(value: Any) -> npt.NDArray[np.float64]:
    """As float64 [N]; infinite (the PSNR of equal images) becomes null."""
    values = torch.as_tensor(value).detach().double().reshape(-1).numpy().copy()
    values[~np.isfinite(values)] = np.nan
    return np.asarray(values, dtype=np.float64)


def _compare_differences(
    fake: Frames, real: Frames, boxes: list[Box[int] | None], follows: npt.NDArray[np.bool_]
) -> Iterator[float]:
    """MSE between the frame differences of the two clips, for every frame but the first."""
    for t in range(1, len(real)):
        box = boxes[t]
        if box is None or not follows[t]:
            yield float("nan")
            continue
        window = box.rows, box.columns
        changes = [clip[t][window].astype(np.float64) - clip[t - 1][window] for clip in (fake, real)]
        yield float(np.square(changes[0] - changes[1]).mean())
