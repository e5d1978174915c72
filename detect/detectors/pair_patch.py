"""`pair-patch`, the detector of Everybody Dance Now (sections 5 and 8.2): two frames in, one logit out.

The synthesis discriminator's layers at one scale over two consecutive frames (6 channels), global average
pooling, and a linear layer; trained with binary cross-entropy on real (0) and synthesized (1) pairs.
InstanceNorm takes each channel's mean away, and the LeakyReLU behind it brings back what pooling can see:
0.4 times the mean absolute response, which tells sparse responses from even ones.
"""

from __future__ import annotations

from typing import cast

from pydantic import Field
from torch import Tensor, nn

from dancebench.core.patchgan import PatchTrunk
from dancebench.detect.gradcam import MapNetwork
from dancebench.detect.neural import NeuralConfig, NeuralDetector
from dancebench.detect.registry import DETECTORS


class PairPatchConfig(NeuralConfig):
    """The paper states no schedule for its detector; these take about half a minute on one core at 128x64.

    Weights start as torch does, not from the discriminator's N(0, 0.02): from there narrow networks (ndf 8
    and 16) learned nothing in 200 steps on synthetic fakes that they otherwise tell without error.
    """

    ndf: int = Field(default=32, ge=1)
    """Channels of the first layer; 64 in the paper."""
    n_layers: int = Field(default=3, ge=1)


class PairPatchNetwork(MapNetwork):
    """Two frames, float (B, 6, H, W) in [-1, 1] -> the log-odds that they are synthesized."""

    def __init__(self, ndf: int, n_layers: int) -> None:
        super().__init__()
        self.trunk = PatchTrunk(6, ndf, n_layers)
        self.head = nn.Linear(self.trunk.out_channels, 1)

    def maps(self, inputs: Tensor) -> Tensor:
        return cast(list[Tensor], self.trunk(inputs))[-1]  # (B, 8 ndf, H/8 + 2, W/8 + 2)

    def verdict(self, maps: Tensor) -> Tensor:
        pooled = maps.mean(dim=(2, 3))  # (B, 8 ndf)
        return cast(Tensor, self.head(pooled)).squeeze(1)  # (B,)


@DETECTORS.register("pair-patch")
class PairPatch(NeuralDetector):
    """The paper's detector: the discriminator's layers over two frames."""

    Config = PairPatchConfig
    config: PairPatchConfig
    network: PairPatchNetwork

    def build(self) -> PairPatchNetwork:
        return PairPatchNetwork(self.config.ndf, self.config.n_layers)
