"""Saliency by Grad-CAM (Selvaraju et al., ICCV 2017, equations 1 and 2) at a network's last feature map.

With feature maps A_k (h, w) and the logit y, each map has the weight α_k = mean over positions of ∂y / ∂A_k, and the
saliency map is ReLU(Σ_k α_k A_k): the evidence for a fake. Normalised per window by its largest value.
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
    """A network in two parts: feature maps, and a classifier on them."""

    @abstractmethod
    def feature_maps(self, inputs: Tensor) -> Tensor:
        """Compute feature maps (B, C, h, w) of inputs (B, channels, H, W)."""

    @abstractmethod
    def classify(self, maps: Tensor) -> Tensor:
        """Compute logits (B,) of feature maps."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute logits (B,)."""
        return self.classify(self.feature_maps(inputs))


def grad_cam(network: FeatureMapNetwork, inputs: Tensor) -> npt.NDArray[np.float32]:
    """Compute the Grad-CAM map of each input, for the class fake.

    Args:
        network: In evaluation mode, where a logit does not depend on the other inputs.
        inputs: float (B, channels, H, W).

    Returns:
        float32 (B, H, W) in [0, 1], with maximum 1; all zero if nothing is evidence for a fake.
    """
    with torch.no_grad():
        maps = network.feature_maps(inputs)  # (B, C, h, w)
    with torch.enable_grad():
        maps.requires_grad_(True)
        (gradients,) = torch.autograd.grad(network.classify(maps).sum(), maps)
    weights = gradients.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
    evidence = F.relu((weights * maps.detach()).sum(dim=1, keepdim=True))  # (B, 1, h, w)
    size = inputs.shape[2], inputs.shape[3]
    saliency = F.interpolate(evidence, size, mode="bilinear", align_corners=False).squeeze(1)  # (B, H, W)
    largest = saliency.amax(dim=(1, 2), keepdim=True)
    normalised = saliency / torch.where(largest > 0, largest, 1.0)
    return cast(npt.NDArray[np.float32], normalised.cpu().numpy())
