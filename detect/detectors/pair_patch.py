"""`pair-patch`, the detector of Everybody Dance Now (sections 5 and 8.2): two frames in, one logit out.

The synthesis discriminator's layers at one scale over two consecutive frames (6 channels), global average
pooling, and a linear layer; trained with binary cross-entropy on real (0) and synthesized (1) pairs.

Two defaults differ from the discriminator; `norm: instance` and `high_pass: 0` restore it. The discriminator's
InstanceNorm scales every image's features to the same strength, so that pooling loses how strong an artifact is;
here it is BatchNorm. And the network sees a high-pass residual of the frames, since in a short training the image
content masks the artifacts: with either change alone, 150 to 600 steps on fakes of the `protocol` preset left the
AUC over pairs of unseen people at 0.51 to 0.62; with both, 150 steps gave 0.95.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dancebench.core.nn.patchgan import PatchTrunk
from dancebench.detect.detectors._gradcam import FeatureMapNetwork
from dancebench.detect.detectors._neural import NeuralConfig, NeuralDetector
from dancebench.detect.detectors.base import DETECTORS, DetectorConfig


class PairPatchConfig(NeuralConfig):
    """The paper states no schedule for its detector; these take two or three minutes on one core at 128x64.

    Weights are initialised as by default in torch, not from the discriminator's N(0, 0.02): with that, narrow networks
    (ndf 8 and 16) learned nothing in 200 steps on synthetic fakes that they otherwise detect without error.
    """

    steps: int = Field(default=800, ge=1)
    ndf: int = Field(default=16, ge=1, le=512)
    """Channels of the first layer; 64 in the paper."""
    n_layers: int = Field(default=3, ge=1, le=8)
    norm: Literal["batch", "instance"] = "batch"
    high_pass: float = Field(default=10.0, ge=0)
    """Gain on the residual (frame minus its 3x3 mean), before tanh; with 0 the input is the frames themselves."""


HARDENED: Final = PairPatchConfig(steps=3000, degraded=0.75, copies=3)
"""Longer training on more compressed copies: pair AUC 0.87 instead of 0.81 on the validation set at CRF 40."""


class PairPatchNetwork(FeatureMapNetwork):
    """Two frames, float (B, 6, H, W) in [-1, 1] -> the log-odds that they are synthesized."""

    def __init__(self, config: PairPatchConfig) -> None:
        super().__init__()
        norm = nn.BatchNorm2d if config.norm == "batch" else nn.InstanceNorm2d
        self.high_pass = config.high_pass
        self.trunk = PatchTrunk(6, config.ndf, config.n_layers, norm)
        self.head = nn.Linear(self.trunk.out_channels, 1)

    def feature_maps(self, inputs: Tensor) -> Tensor:
        x = high_pass_residual(inputs, self.high_pass) if self.high_pass > 0 else inputs
        return cast(list[Tensor], self.trunk(x))[-1]  # (B, 8 ndf, H/8 + 2, W/8 + 2)

    def classify(self, maps: Tensor) -> Tensor:
        pooled = maps.mean(dim=(2, 3))  # (B, 8 ndf)
        return cast(Tensor, self.head(pooled)).squeeze(1)  # (B,)


def high_pass_residual(frames: Tensor, gain: float) -> Tensor:
    """Compute frames (B, C, H, W) minus their 3x3 mean, times `gain`, squashed into [-1, 1] by tanh."""
    blurred = F.avg_pool2d(F.pad(frames, (1, 1, 1, 1), mode="reflect"), 3, stride=1)  # (B, C, H, W)
    return (gain * (frames - blurred)).tanh()


@DETECTORS.register("pair-patch")
class PairPatch(NeuralDetector):
    """The paper's detector: the discriminator's layers over two frames."""

    Config = PairPatchConfig
    PRESETS: ClassVar[Mapping[str, DetectorConfig]] = {
        "tiny": PairPatchConfig(ndf=8, steps=60, batch=8, pairs=6),
        "demo": PairPatchConfig(steps=400),  # one seed: video AUC 1.000 on the demo's fakes, as with 800
        "protocol": HARDENED,
    }
    config: PairPatchConfig
    network: PairPatchNetwork

    def build(self) -> PairPatchNetwork:
        return PairPatchNetwork(self.config)
