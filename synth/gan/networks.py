"""The networks of pix2pixHD as Everybody Dance Now uses them (EDN section 8.2; Wang et al. 2018).

    GlobalGenerator           condition (B, C, H, W) in [-1, 1] → image (B, 3, H, W) in [-1, 1]
    LocalEnhancer             the same at twice the size, around a global generator
    MultiscaleDiscriminator   condition and image, stacked (B, C, H, W) → features per scale and layer

Parameter counts at the paper's widths are tested in tests/synth/gan/test_networks.py.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from dancebench.core.nn.convolution import Conv2d
from dancebench.core.nn.patchgan import PatchDiscriminator, init_weights


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with reflection padding and instance norm around a skip.

    Attributes:
        checkpointed: Gradient checkpointing: activations are recomputed in the backward pass instead of kept:
            less memory, more time, the same numbers.
    """

    checkpointed = False

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → the same shape."""
        residual: torch.Tensor = (
            checkpoint(self.body, x, use_reentrant=False, preserve_rng_state=False)
            if self.checkpointed and torch.is_grad_enabled()
            else self.body(x)
        )
        return x + residual


def _make_input_layers(in_channels: int, width: int) -> list[nn.Module]:
    """The first convolution: `in_channels` → `width` at the full size."""
    return [
        nn.ReflectionPad2d(3),
        Conv2d(in_channels, width, 7),
        nn.InstanceNorm2d(width),
        nn.ReLU(inplace=True),
    ]


def _make_downsampling_layers(width: int) -> list[nn.Module]:
    """Half the size, twice the width."""
    return [
        Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.InstanceNorm2d(2 * width),
        nn.ReLU(inplace=True),
    ]


def _make_upsampling_layers(width: int) -> list[nn.Module]:
    """Twice the size, from 2 `width` to `width`."""
    return [
        nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1),
        nn.InstanceNorm2d(width),
        nn.ReLU(inplace=True),
    ]


def _make_output_layers(width: int, out_channels: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), Conv2d(width, out_channels, 7), nn.Tanh()]


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
        layers = _make_input_layers(in_channels, ngf)
        for k in range(n_down):
            layers += _make_downsampling_layers(ngf * 2**k)
        layers += [ResidualBlock(ngf * 2**n_down) for _ in range(n_blocks)]
        for k in reversed(range(n_down)):
            layers += _make_upsampling_layers(ngf * 2**k)
        layers += _make_output_layers(ngf, out_channels)
        super().__init__(*layers)
        self.apply(init_weights)


class LocalEnhancer(nn.Module):
    """pix2pixHD's local enhancer, around a global generator at half the size without its output layers.

    The halved condition goes through the global generator up to its last features; they are added to the
    features of the full condition, and residual blocks turn the sum into the image.

    Args:
        coarse: The trained global generator; its modules are shared, not copied.
        in_channels: As for `coarse`.
        ngf: Half of the width of `coarse`.
        n_blocks: Residual blocks at half the size.
        out_channels: 3, an RGB image.
    """

    def __init__(
        self, coarse: GlobalGenerator, in_channels: int, *, ngf: int = 32, n_blocks: int = 3, out_channels: int = 3
    ) -> None:
        super().__init__()
        self.down = nn.Sequential(*_make_input_layers(in_channels, ngf), *_make_downsampling_layers(ngf))
        blocks = [ResidualBlock(2 * ngf) for _ in range(n_blocks)]
        self.up = nn.Sequential(*blocks, *_make_upsampling_layers(ngf), *_make_output_layers(ngf, out_channels))
        self.down.apply(init_weights)
        self.up.apply(init_weights)
        self.coarse = nn.Sequential(*list(coarse)[: -len(_make_output_layers(ngf, out_channels))])
        self.halve = _make_downsampler()

    def forward(self, condition: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, 3, H, W)."""
        features = self.down(condition) + self.coarse(self.halve(condition))  # (B, 2 ngf, H/2, W/2)
        image: torch.Tensor = self.up(features)
        return image


def zero_init_last_conv(layers: nn.Sequential) -> None:
    """Start with a zero output, for a generator whose output is added to an image; `layers` are its last ones."""
    last = layers[-2]
    assert isinstance(last, nn.Conv2d)  # before the tanh
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)


def _make_downsampler() -> nn.AvgPool2d:
    return nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)


class MultiscaleDiscriminator(nn.Module):
    """Patch discriminators of one architecture on an image pyramid, each with a 70-pixel receptive field.

    Args:
        in_channels: 6 frame by frame (pose, image); 12 with temporal smoothing (two poses, two images).
        ndf: Width of the first convolution.
        n_scales: 2 in the global stage, 3 in the local stage.
    """

    def __init__(self, in_channels: int, *, ndf: int = 64, n_scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(in_channels, ndf=ndf) for _ in range(n_scales))
        self.halve = _make_downsampler()

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


def checkpoint_activations(network: nn.Module) -> int:
    """Turn gradient checkpointing on in all residual blocks of `network`; returns how many there are."""
    blocks = [module for module in network.modules() if isinstance(module, ResidualBlock)]
    for block in blocks:
        block.checkpointed = True
    return len(blocks)
