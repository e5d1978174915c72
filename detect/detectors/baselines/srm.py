"""`srm`, noise residuals of the steganalysis rich model (Fridrich and Kodovský, TIFS 2012): a frame in, a logit out.

Three fixed high-pass filters predict each pixel from its neighbours; what is left of it is noise, in which a camera
and a generator differ. Of the model's 30 linear filters these are the three that forensics uses since Zhou et al.
(CVPR 2018), with the model's names: the second-order `2nd` and the two square ones, `SQUARE 3x3` and `SQUARE 5x5`. The
others are of first and third order, rotations, and the halves (`EDGE`) of the square ones: with all 30 the input of the
network has 90 channels in place of 9, most of them nearly linear combinations of their neighbours. Each colour is
filtered; residuals are in 8-bit levels, truncated at ±2 as in the rich model. In place of the model's co-occurrences a
small residual network classifies them, as in Luo et al. (CVPR 2021).
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dancebench.detect.detectors.base import DETECTORS
from dancebench.detect.detectors.baselines._frame_network import FrameDetector, FrameNetwork

_LEVELS = 127.5
"""8-bit levels of a step of 1 in [-1, 1]."""
_TRUNCATION = 2.0

FILTERS: Final = (
    torch.tensor(
        [
            [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, -2, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
            [[0, 0, 0, 0, 0], [0, -1, 2, -1, 0], [0, 2, -4, 2, 0], [0, -1, 2, -1, 0], [0, 0, 0, 0, 0]],
            [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]],
        ]
    )
    / torch.tensor([2.0, 4.0, 12.0])[:, None, None]
)
"""(3, 5, 5): `2nd`, `SQUARE 3x3`, `SQUARE 5x5`, each over the size of its middle coefficient."""


class NoiseResiduals(nn.Module):
    """The truncated residuals of frames (B, 3, H, W) in [-1, 1]: (B, 9, H, W), three filters of each colour."""

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", FILTERS.repeat(3, 1, 1)[:, None], persistent=False)  # (9, 1, 5, 5)

    def forward(self, frames: Tensor) -> Tensor:
        padded = F.pad(_LEVELS * frames, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded, self.filters, groups=3).clamp(-_TRUNCATION, _TRUNCATION)


@DETECTORS.register("srm")
class SteganalysisRichModel(FrameDetector):
    """Noise residuals of three filters of the steganalysis rich model, and a small residual network."""

    def build(self) -> FrameNetwork:
        return FrameNetwork(NoiseResiduals(), 9, self.config.channels, stages=3)
