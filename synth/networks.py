"""The networks of pix2pixHD as Everybody Dance Now uses them (EDN section 8.2; Wang et al. 2018).

    GlobalGenerator           condition (B, C, H, W) in [-1, 1] → image (B, 3, H, W) in [-1, 1]
    MultiscaleDiscriminator   condition and image, stacked (B, C, H, W) → features per scale and layer

Parameter counts at the paper's widths are the check (tests/synth/test_networks.py).
"""

from __future__ import annotations

import torch
from torch import nn

from dancebench.core.patchgan import PatchDiscriminator, init_weights


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with reflection padding and instance norm around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → the same shape."""
        change: torch.Tensor = self.body(x)
        return x + change


class GlobalGenerator(nn.Sequential):
    """pix2pixHD's global generator.

    Args:
        in_channels: 3 frame by frame (pose), 6 with temporal smoothing (pose and previous output).
        ngf: Width of the first convolution; doubles with every downsampling.
        n_down: Downsamplings; height and width must be divisible by 2**n_down.
        n_blocks: Residual blocks at the bottom.
        out_channels: 3, an RGB image.
    """

    def __init__(
        self, in_channels: int, *, ngf: int = 64, n_down: int = 4, n_blocks: int = 9, out_channels: int = 3
    ) -> None:
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(in_channels, ngf, 7),
            nn.InstanceNorm2d(ngf),
            nn.ReLU(inplace=True),
        ]
        for k in range(n_down):
            width = ngf * 2**k
            layers += [
                nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
                nn.InstanceNorm2d(2 * width),
                nn.ReLU(inplace=True),
            ]
        layers += [ResidualBlock(ngf * 2**n_down) for _ in range(n_blocks)]
        for k in reversed(range(n_down)):
            width = ngf * 2**k
            layers += [
                nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1),
                nn.InstanceNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, out_channels, 7), nn.Tanh()]
        super().__init__(*layers)
        self.apply(init_weights)


class MultiscaleDiscriminator(nn.Module):
    """Patch discriminators of one layout on an image pyramid, each with a 70-pixel receptive field.

    Args:
        in_channels: 6 frame by frame (pose, image); 12 with temporal smoothing (two poses, two images).
        ndf: Width of the first convolution.
        n_scales: 2 in the global stage, 3 in the local stage.
    """

    def __init__(self, in_channels: int, *, ndf: int = 64, n_scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(in_channels, ndf=ndf) for _ in range(n_scales))
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> list[list[torch.Tensor]]:
        """Features of every scale, finest first; each scale's last entry is its map of scores.

        Args:
            x: (B, C, H, W), condition and image stacked along the channels.
        """
        features = []
        for k, scale in enumerate(self.scales):
            if k > 0:
                x = self.halve(x)  # (B, C, H / 2**k, W / 2**k)
            features.append(scale(x))
        return features
