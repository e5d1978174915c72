"""The trunk: EfficientNet-Lite0 up to its fifth stage, pictures in, feature maps of several depths out.

The weights are those of `NOTICE`, with each batch normalisation folded into the convolution before it; they lie in one
safetensors file beside this module, which is read only if its content is the known one. A unit of the network is

    expand (1x1, ReLU6)  →  depthwise (3x3 or 5x5, ReLU6)  →  project (1x1), plus its input where shapes agree

Strided convolutions are padded as in TensorFlow: more at the bottom and right. Pictures are in [-1, 1].
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_once

WEIGHTS: Final = Path(__file__).with_name("efficientnet_lite0_stages.safetensors")
SHA256: Final = "145d95728b6e6de823caa5fa33a1e3093b638a44006cc6947567fea5da0b03c4"


class Unit(NamedTuple):
    """An inverted residual.

    Attributes:
        name: Prefix of its tensors.
        stride: Of its depthwise convolution.
        expands: Whether it begins with an expansion; the first unit does not.
    """

    name: str
    stride: int = 1
    expands: bool = True


STAGES: Final = (
    (Unit("0.0", expands=False),),
    (Unit("1.0", 2), Unit("1.1")),
    (Unit("2.0", 2), Unit("2.1")),
    (Unit("3.0", 2), Unit("3.1"), Unit("3.2")),
    (Unit("4.0"), Unit("4.1"), Unit("4.2")),
)
"""The maps behind them are 1/2, 1/4, 1/8, 1/16 and 1/16 of the picture's sides."""
CHANNELS: Final = (16, 24, 40, 80, 112)
"""Of the map behind each stage."""


class Trunk:
    """The network, ready to compute.

    Args:
        weights: As `load_trunk` reads them.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    @torch.inference_mode()
    def feature_maps(self, pictures: Tensor, depth: int = len(STAGES)) -> list[Tensor]:
        """Compute the map behind each of the first `depth` of `STAGES`.

        Args:
            pictures: float32 (B, 3, H, W), RGB in [-1, 1].
            depth: How many.

        Returns:
            (B, C, h, w) each, C as in `CHANNELS`; h and w are rounded up.
        """
        x = F.relu6(self._convolve(pictures, "stem", stride=2))  # (B, 32, H / 2, W / 2)
        maps = []
        for stage in STAGES[:depth]:
            for unit in stage:
                x = self._apply(unit, x)
            maps.append(x)
        return maps

    def _apply(self, unit: Unit, x: Tensor) -> Tensor:
        y = F.relu6(self._convolve(x, f"{unit.name}.expand")) if unit.expands else x
        depthwise = f"{unit.name}.depthwise"
        y = F.relu6(self._convolve(y, depthwise, unit.stride, groups=y.shape[1]))
        y = self._convolve(y, f"{unit.name}.project")
        return x + y if x.shape == y.shape else y

    def _convolve(self, x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        side = weight.shape[-1]
        if stride == 1:
            return F.conv2d(x, weight, bias, padding=side // 2, groups=groups)
        across, down = (max((-(-n // stride) - 1) * stride + side - n, 0) for n in (x.shape[3], x.shape[2]))
        x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return F.conv2d(x, weight, bias, stride, groups=groups)


@functools.cache
def load_trunk() -> Trunk:
    """Read the weights that ship with the project, once.

    Raises:
        BenchError: The file is missing or damaged.
    """
    try:
        if sha256_once(WEIGHTS) != SHA256:
            raise ValueError("its content is not the known one")
        return Trunk(load_file(WEIGHTS))
    except (OSError, SafetensorError, ValueError) as error:
        raise BenchError(
            f"{WEIGHTS} does not hold the network that ships with dancebench ({error}).",
            hint="Install dancebench again: the file is missing or damaged.",
        ) from error
