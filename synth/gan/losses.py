"""The losses of EDN: least-squares GAN, feature matching, perceptual (Eq. 3; pix2pixHD; LSGAN).

Discriminator features come as `features[scale][layer]`, the last layer being the map of scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

from dancebench.core.nn.trunks import Trunk

Features = Sequence[Sequence[torch.Tensor]]
"""`features[scale][layer]`, the last layer being the map of scores."""

FEATURE_MATCHING_WEIGHT: Final = 10.0

# Layers of torchvision's `features` that end the five taps, with their weights. VGG-19's are the paper's
# (relu1_1 ... relu5_1); SqueezeNet's are the outputs of the stages at its five depths.
_TAPS: Final[dict[str, tuple[tuple[int, float], ...]]] = {
    "vgg19": ((1, 1 / 32), (6, 1 / 16), (11, 1 / 8), (20, 1 / 4), (29, 1.0)),
    "squeeze": ((1, 1 / 32), (4, 1 / 16), (7, 1 / 8), (9, 1 / 4), (12, 1.0)),
}
PERCEPTUAL_TRUNKS: Final = tuple(_TAPS)

_IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)


def gan_loss(features: Features, *, real: bool) -> torch.Tensor:
    """LSGAN (least-squares GAN): squared distance of every score to 1 (real) or 0 (fake), summed over scales."""
    target = 1.0 if real else 0.0
    return torch.stack([(scale[-1].float() - target).square().mean() for scale in features]).sum()


def feature_matching_loss(fake: Features, real: Features) -> torch.Tensor:
    """L1 between the discriminator's features of fake and real; the real ones are a fixed target.

    Weighted by 4 / (n_layers + 1) and 1 / n_scales as in pix2pixHD; the score maps are left out.
    """
    distances = [
        F.l1_loss(a.float(), b.detach().float())
        for fake_scale, real_scale in zip(fake, real, strict=True)
        for a, b in zip(fake_scale[:-1], real_scale[:-1], strict=True)
    ]
    hidden = len(fake[0]) - 1  # n_layers + 1
    return torch.stack(distances).sum() * (4.0 / hidden / len(fake))


class PerceptualLoss(nn.Module):
    """Weighted L1 between a pretrained trunk's features of two images (Johnson et al. 2016; EDN 8.2).

    Args:
        trunk: One of `PERCEPTUAL_TRUNKS`.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        taps = _TAPS[trunk.name]
        starts = [0, *(end + 1 for end, _ in taps[:-1])]
        self.weights = [weight for _, weight in taps]
        self.stages = nn.ModuleList(
            trunk.features[start : end + 1] for start, (end, _) in zip(starts, taps, strict=True)
        )
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Scalar loss of images (B, 3, H, W) in [-1, 1]; no gradient reaches `real`."""
        x, y = self._normalise(fake), self._normalise(real.detach())
        total = fake.new_zeros(())
        for weight, stage in zip(self.weights, self.stages, strict=True):
            x = stage(x)
            with torch.no_grad():
                y = stage(y)
            total = total + weight * F.l1_loss(x.float(), y.float())
        return total

    def _normalise(self, image: torch.Tensor) -> torch.Tensor:
        return ((image + 1) / 2 - self.mean) / self.std
