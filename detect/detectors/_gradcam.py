"""Where a network looks: Grad-CAM (Selvaraju et al., ICCV 2017, equations 1 and 2) at its last feature map.

With feature maps A_k (h, w) and the logit y, each map weighs α_k = mean over places of ∂y / ∂A_k, and the
picture is ReLU(Σ_k α_k A_k): what is there and speaks for a fake. Normalised per window by its largest value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeatureMapNetwork(nn.Module, ABC):
    """A network in two halves: a feature map, and the verdict on it."""

    @abstractmethod
    def feature_maps(self, inputs: Tensor) -> Tensor:
        """Feature maps (B, C, h, w) of inputs (B, channels, H, W)."""

    @abstractmethod
    def classify(self, maps: Tensor) -> Tensor:
        """Logits (B,) of feature maps."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B,)."""
        return self.classify(self.feature_maps(inputs))


def grad_cam(network: FeatureMapNetwork, inputs: Tensor) -> npt.NDArray[np.float32]:
    """What speaks for a fake in each input.

    Args:
        network: In evaluation mode: one input then has no part in another's logit.
        inputs: float (B, channels, H, W).

    Returns:
        float32 (B, H, W) in [0, 1], with maximum 1; all zero where nothing speaks for a fake.
    """
    with torch.no_grad():
        maps = network.feature_maps(inputs)  # (B, C, h, w)
    with torch.enable_grad():
        maps.requires_grad_(True)
        (gradients,) = torch.autograd.grad(network.classify(maps).sum(), maps)
    weights = gradients.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
    seen = F.relu((weights * maps.detach()).sum(dim=1, keepdim=True))  # (B, 1, h, w)
    size = inputs.shape[2], inputs.shape[3]
    picture = F.interpolate(seen, size, mode="bilinear", align_corners=False).squeeze(1)  # (B, H, W)
    largest = picture.amax(dim=(1, 2), keepdim=True)
    normalised = picture / torch.where(largest > 0, largest, 1.0)
    return cast(npt.NDArray[np.float32], normalised.cpu().numpy())
