"""Features of pictures: what the trunk's maps hold, pooled; frames in, float64 vectors out.

Of each stage the mean and the standard deviation of every channel over the picture: the mean says what is there, the
spread how it varies. Pictures are looked at in their own pixels, in patches of at most `PATCH` a side laid evenly over
them, never in the middle alone; black bars are no part of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dancebench.core.nn.threads import use_one_thread
from dancebench.datasets.pose.box import Box
from dancebench.detect.trunk.network import CHANNELS, load_trunk

Array = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""

PATCH: Final = 224
"""Largest side of what is looked at once, in pixels: that of the trunk's own training."""
STAGES: Final[dict[str, int]] = {"fine texture": 1, "texture": 2, "parts": 3, "shapes": 4}
"""Whose maps are pooled, by what they show: the larger the number, the larger what one point of the map sees."""
SIZE: Final = 2 * sum(CHANNELS[stage] for stage in STAGES.values())
"""Features of a picture, of all of `STAGES`."""

_BATCH: Final = 8
_BLACK: Final = 24
"""Levels of black bars: those of `TV range` and what a codec adds."""
_LEAST: Final = 16
"""Smallest side of what is left between bars, in pixels."""


def slice_stages() -> dict[str, slice]:
    """Where each stage's features lie in a vector."""
    ends = np.cumsum([2 * CHANNELS[stage] for stage in STAGES.values()]).tolist()
    return {
        name: slice(end - 2 * CHANNELS[stage], end) for (name, stage), end in zip(STAGES.items(), ends, strict=True)
    }


def measure_pictures(pictures: Sequence[Picture], stages: Collection[int] = tuple(STAGES.values())) -> Array:
    """Measure the features of pictures.

    Args:
        pictures: uint8 RGB (H, W, 3) each, of any sizes; equal neighbours are computed together.
        stages: Of the trunk, whose maps are pooled.

    Returns:
        float64 (N, features): by stage, the means and then the spreads of its channels. Each depends on its own
        picture alone.
    """
    with use_one_thread():
        parts = [_measure_batch(batch, stages) for batch in _batch_equal_sizes(pictures)]
    return np.concatenate(parts) if parts else np.zeros((0, 2 * sum(CHANNELS[stage] for stage in stages)))


def _measure_batch(pictures: Sequence[Picture], stages: Collection[int]) -> Array:
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()  # (B, 3, H, W)
    maps = load_trunk().feature_maps(x.float() / 127.5 - 1, depth=max(stages) + 1)
    return torch.cat([_pool(maps[stage]) for stage in stages], dim=1).numpy()


def _pool(features: Tensor) -> Tensor:
    """(B, C, h, w) -> float64 (B, 2C): in double precision, as single precision would sum it in another order."""
    flat = features.double().flatten(2)
    return torch.cat([flat.mean(dim=2), flat.std(dim=2, correction=0)], dim=1)


def _batch_equal_sizes(pictures: Sequence[Picture]) -> Iterator[list[Picture]]:
    batch: list[Picture] = []
    for picture in pictures:
        if batch and (picture.shape != batch[0].shape or len(batch) == _BATCH):
            yield batch
            batch = []
        batch.append(picture)
    if batch:
        yield batch


# ---------------------------------------------------------------- where to look


def find_content(frames: npt.NDArray[np.uint8]) -> Box[int]:
    """The part of frames (T, H, W, 3) between black bars; all of it where next to nothing would be left."""
    lit = frames.max(axis=(0, 3)) >= _BLACK  # (H, W)
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    height, width = lit.shape
    if len(rows) == 0 or rows[-1] - rows[0] + 1 < _LEAST or columns[-1] - columns[0] + 1 < _LEAST:
        return Box(0, height, 0, width)
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def lay_patches(content: Box[int]) -> list[Box[int]]:
    """Patches of at most `PATCH` a side that cover a part of a picture evenly, row by row; the last may overlap."""
    return [
        Box(top, min(top + PATCH, content.bottom), left, min(left + PATCH, content.right))
        for top in _lay(content.top, content.bottom)
        for left in _lay(content.left, content.right)
    ]


def choose_patches(content: Box[int], count: int) -> list[Box[int]]:
    """At most `count` of the patches that cover the content, evenly from the first to the last."""
    laid = lay_patches(content)
    places = (np.arange(min(count, len(laid))) + 0.5) * len(laid) / min(count, len(laid))
    return [laid[place] for place in places.astype(int).tolist()]


def _lay(start: int, end: int) -> list[int]:
    count = -(-(end - start) // PATCH)
    places: list[int] = np.linspace(start, max(end - PATCH, start), count).round().astype(int).tolist()
    return places
