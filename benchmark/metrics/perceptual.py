"""LPIPS v0.1 (Zhang et al. 2018) through the lpips package, with a trunk whose hash was checked.

The package carries the linear weights; the backbone's come from `core.nn.trunks`.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import torch

from dancebench.benchmark.metrics.base import METRICS, MetricInfo
from dancebench.core.nn import torchvision_ops
from dancebench.core.nn.trunks import TrunkUnavailableError, load_trunk

_SQUEEZE: Final = "squeeze"


class Lpips:
    """Perceptual distance of image batches.

    Args:
        backbone: `squeeze`, `alex`; its weights must be on disk, since evaluation downloads nothing.

    Raises:
        TrunkUnavailableError: The weights are missing or not the expected ones.
    """

    def __init__(self, backbone: str = "squeeze") -> None:
        trunk = load_trunk(backbone, download=False)
        torchvision_ops.declare_missing_ops()
        import lpips

        self.backbone = backbone
        self._model = lpips.LPIPS(net=backbone, pnet_rand=True, verbose=False).eval()
        # The package slices the trunk into stages but keeps the layers' numbers as their names.
        expected = self._model.net.state_dict()
        weights = trunk.features.state_dict()
        self._model.net.load_state_dict({name: weights[name.split(".", 1)[1]] for name in expected})
        self._model.requires_grad_(False)

    @torch.no_grad()
    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Distances (N,) of images (N, 3, H, W) in [-1, 1], each side at least 32 pixels; lower is more similar."""
        distance: torch.Tensor = self._model(a, b)  # (N, 1, 1, 1)
        return distance.flatten()


@cache
def load_lpips(backbone: str) -> Lpips:
    """The distance of a backbone, loaded once a process.

    Raises:
        TrunkUnavailableError: As `Lpips`.
    """
    return Lpips(backbone)


def explain_missing_trunk() -> str | None:
    """Why LPIPS cannot be measured on this machine; None where its trunk is on disk."""
    try:
        load_lpips(_SQUEEZE)
    except TrunkUnavailableError as error:
        return error.message
    return None


@METRICS.register_image(
    "lpips_squeeze", MetricInfo("LPIPS v0.1, SqueezeNet", False), explain_absence=explain_missing_trunk
)
def lpips_squeeze(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """LPIPS of images (N, 3, H, W) in [0, 1]: (N,)."""
    return load_lpips(_SQUEEZE)(fake * 2 - 1, real * 2 - 1)
