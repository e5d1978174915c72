"""What detectors of single frames share: a fixed transform of the picture, and a small residual network on it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import ClassVar, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dancebench.detect.detectors._gradcam import FeatureMapNetwork
from dancebench.detect.detectors._neural import NeuralConfig, NeuralDetector
from dancebench.detect.detectors.base import DetectorConfig


class FrameConfig(NeuralConfig):
    """Trains in one to two minutes on one core at 128x64."""

    steps: int = Field(default=600, ge=1)
    channels: int = Field(default=16, ge=1, le=512)
    """Of the network's first layer; each later stage has twice as many."""


class FrameNetwork(FeatureMapNetwork):
    """A frame, float (B, 3, H, W) in [-1, 1] -> the log-odds that it is synthesized.

    Args:
        transform: Has no weights; its result is the network's input.
        inputs: Channels of that result.
        channels: Of the first layer.
        stages: Residual stages; each halves the picture, the first layer aside, which keeps its size.
    """

    def __init__(self, transform: nn.Module, inputs: int, channels: int, stages: int) -> None:
        super().__init__()
        self.transform = transform
        widths = [channels * 2**stage for stage in range(stages + 1)]
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.stages = nn.Sequential(
            *(ResidualBlock(*pair) for pair in itertools.pairwise(widths))
        )  # fmt: skip
        self.head = nn.Linear(widths[-1], 1)

    def feature_maps(self, inputs: Tensor) -> Tensor:
        return cast(Tensor, self.stages(self.stem(self.transform(inputs))))  # (B, C, H / 2^stages, W / 2^stages)

    def classify(self, maps: Tensor) -> Tensor:
        return cast(Tensor, self.head(maps.mean(dim=(2, 3)))).squeeze(1)  # (B,)


class ResidualBlock(nn.Module):
    """The basic block of ResNet (He et al., CVPR 2016), which halves height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layers(x) + self.shortcut(x))


class FrameDetector(NeuralDetector):
    """A detector that looks at single frames: its windows hold one."""

    Config = FrameConfig
    PRESETS: ClassVar[Mapping[str, DetectorConfig]] = {"tiny": FrameConfig(channels=8, steps=60, batch=8, pairs=6)}
    config: FrameConfig

    @property
    def window(self) -> int:
        return 1
