"""What a generator is conditioned on: stick figures, or one Gaussian map for each point.

Stick figures are the paper's (EDN 3.1). Heatmaps, which a widespread summary of it describes instead, are an ablation.
"""

from __future__ import annotations

from typing import Final, Literal

import torch

from dancebench.datasets.pose.skeleton import N_POINTS

Conditioning = Literal["sticks", "heatmaps"]
CHANNELS: Final[dict[Conditioning, int]] = {"sticks": 3, "heatmaps": N_POINTS}

_SIGMA: Final = 0.0125
"""Standard deviation of a Gaussian as a share of the frame's height: as wide as the limbs of stick figures."""


def draw_heatmaps(keypoints: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A Gaussian at each point, 1 at its centre and -1 far from it, where pose maps are black; -1 without the point.

    Args:
        keypoints: (..., 75, 3) in pixels of an image of `size`; confidence 0 = missing.
        size: (H, W).

    Returns:
        (..., 75, H, W) in [-1, 1].
    """
    sigma = max(1.0, _SIGMA * size[0])
    x, y, confidence = keypoints.unbind(-1)  # (..., 75) each
    rows, columns = (torch.arange(side, device=keypoints.device, dtype=keypoints.dtype) for side in size)
    down = torch.exp(-((rows - y[..., None]) ** 2) / (2 * sigma**2)) * (confidence > 0)[..., None]  # (..., 75, H)
    across = torch.exp(-((columns - x[..., None]) ** 2) / (2 * sigma**2))  # (..., 75, W)
    return 2 * down[..., :, None] * across[..., None, :] - 1
