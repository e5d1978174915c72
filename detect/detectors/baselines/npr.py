"""`npr`, neighbouring pixel relations (Tan et al., CVPR 2024): one frame in, one logit out.

Generators enlarge their feature maps, which ties each pixel to its neighbours. The residual

    NPR(x) = x - up(down(x)),   both by a factor of 2, nearest neighbour

is a pixel's difference from the upper left one of its 2x2 cell; it is zero where a picture was enlarged so. A small
residual network classifies it: three halving stages here, the first two stages of ResNet-50 in the paper, which trains
on ProGAN's pictures of 256x256. Written from the paper's equations.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dancebench.detect.detectors.base import DETECTORS
from dancebench.detect.detectors.baselines._frame_network import FrameDetector, FrameNetwork

_LEVELS = 127.5
"""8-bit levels of a step of 1 in [-1, 1]."""


class UpsamplingResidual(nn.Module):
    """The residual of frames (B, C, H, W) in [-1, 1], in 8-bit levels."""

    def forward(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[2:]
        corners = frames[:, :, ::2, ::2]  # (B, C, ceil(H / 2), ceil(W / 2)): nearest neighbour takes the upper left
        enlarged = F.interpolate(corners, scale_factor=2.0, mode="nearest")[:, :, :height, :width]
        return _LEVELS * (frames - enlarged)


@DETECTORS.register("npr")
class NeighbouringPixelRelations(FrameDetector):
    """What enlarging leaves between neighbouring pixels (NPR), and a small residual network."""

    def build(self) -> FrameNetwork:
        return FrameNetwork(UpsamplingResidual(), 3, self.config.channels, stages=3)
