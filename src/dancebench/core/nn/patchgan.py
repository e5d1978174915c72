"""The PatchGAN discriminator of pix2pixHD: images in, feature maps of every layer out.

It is shared: the synthesis discriminator classifies patches with it, and the fake detector "matches that of the
discriminator" (Everybody Dance Now, section 8.2). Five 4x4 convolutions with padding 2 at the usual depth;
each output of the last sees 70x70 input pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from dancebench.core.nn.convolution import Conv2d

_MAX_CHANNELS = 512


class PatchTrunk(nn.Module):
    """The discriminator without its last, one-channel convolution.

    `n_layers` convolutions halve the image size, one more keeps it; LeakyReLU 0.2 after each, a
    normalisation on all but the first. Weights keep torch's default initialisation.

    Args:
        in_channels: Channels of the input, e.g. 6 for two RGB frames.
        ndf: Channels of the first layer; they double with every layer up to 512.
        n_layers: How many convolutions have stride 2.
        norm: Builds the normalisation for a number of channels; the discriminator's is InstanceNorm without parameters.
    """

    def __init__(
        self, in_channels: int, ndf: int = 64, n_layers: int = 3, norm: Callable[[int], nn.Module] = nn.InstanceNorm2d
    ) -> None:
        super().__init__()
        widths = [min(ndf * 2**depth, _MAX_CHANNELS) for depth in range(n_layers + 1)]
        first = Conv2d(in_channels, ndf, kernel_size=4, stride=2, padding=2)
        layers = [nn.Sequential(first, nn.LeakyReLU(0.2))]
        for depth in range(1, n_layers + 1):
            stride = 2 if depth < n_layers else 1
            convolution = Conv2d(widths[depth - 1], widths[depth], kernel_size=4, stride=stride, padding=2)
            layers.append(nn.Sequential(convolution, norm(widths[depth]), nn.LeakyReLU(0.2)))
        self.layers = nn.ModuleList(layers)
        self.out_channels = widths[-1]

    def forward(self, images: Tensor) -> list[Tensor]:
        """`n_layers + 1` feature maps, from the largest to the smallest.

        Args:
            images: float (B, in_channels, H, W) in [-1, 1].
        """
        features = []
        x = images  # (B, C, H, W)
        for layer in self.layers:
            x = layer(x)  # (B, 2 C, H/2 + 1, W/2 + 1); the last, with stride 1: (B, 2 C, H + 1, W + 1)
            features.append(x)
        return features


class PatchDiscriminator(nn.Module):
    """The trunk and the one-channel map of patch scores (no sigmoid: LSGAN), one scale.

    Weights are initialised from N(0, 0.02).

    Args: as for `PatchTrunk`.
    """

    def __init__(self, in_channels: int, ndf: int = 64, n_layers: int = 3) -> None:
        super().__init__()
        self.trunk = PatchTrunk(in_channels, ndf, n_layers)
        self.score_map = Conv2d(self.trunk.out_channels, 1, kernel_size=4, stride=1, padding=2)
        self.apply(init_weights)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Called by load_state_dict. Training checkpoints of version 0.1.0 call the last layer `verdict`.
        for name in self.score_map.state_dict():
            if (old := f"{prefix}verdict.{name}") in state_dict:
                state_dict[f"{prefix}score_map.{name}"] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, images: Tensor) -> list[Tensor]:
        """`n_layers + 2` feature maps (feature matching compares them); the last is the score map (B, 1, h, w).

        Args:
            images: float (B, in_channels, H, W) in [-1, 1].
        """
        features = self.trunk(images)
        return [*features, self.score_map(features[-1])]


def init_weights(module: nn.Module) -> None:
    """Initialise a convolution's weights from N(0, 0.02); biases and other modules keep torch's default."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
