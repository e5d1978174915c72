"""The two networks of DDG (sections 3.3 and 3.4), both generators of pix2pixHD.

human    moved body parts (30 channels) and pose maps (45) → the person before a green background
fusion   the person on the still background (3) and pose maps (45) → the frame

Both outputs are added to an image that the input already holds: the parts put together, and the person cut out and
pasted on the background. The paper's networks generate all of it, in days; a short training gains by starting there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from dancebench.synth.gan.networks import GlobalGenerator, LocalEnhancer, zero_init_last_conv
from dancebench.synth.methods.ddg.conditions import Conditions
from dancebench.synth.methods.ddg.parts import N_PARTS, compose_on
from dancebench.synth.methods.ddg.pose_maps import N_MAPS

GREEN = (-1.0, 1.0, -1.0)
"""The background of the human network's image, in [-1, 1]."""
_NO_PERSON, _PERSON = 0.3, 0.9
"""Distances from green, summed over channels in [0, 1], up to which a pixel is background and from which it is person:
of what people wear, black is at 1, and grey of any shade beyond."""
_RANGE = 2.0
"""What a network can add to an image in [-1, 1]: anything can become anything."""


@dataclass(frozen=True)
class GeneratedImages:
    """What the networks make of it.

    Attributes:
        human: The person before green, (B, 3, H, W) around [-1, 1].
        mask: Where the person is in it, (B, 1, H, W) in [0, 1].
        combined: The person pasted on the background, (B, 3, H, W).
        frame: The final image, (B, 3, H, W).
    """

    human: torch.Tensor
    mask: torch.Tensor
    combined: torch.Tensor
    frame: torch.Tensor


class DdgNetworks(nn.Module):
    """The human and the fusion network and their forward pass.

    Args:
        human: Maps (B, 30 + 15 K, H, W) to (B, 3, H, W) in [-1, 1].
        fusion: Maps (B, 3 + 15 K, H, W) to the same.
    """

    def __init__(self, human: nn.Module, fusion: nn.Module) -> None:
        super().__init__()
        self.human = human
        self.fusion = fusion

    def forward(self, conditions: Conditions) -> GeneratedImages:
        """Generate the person and the frame."""
        green = make_green(conditions.background)
        parts = conditions.moved[:, :, :3].flatten(1, 2)  # (B, 30, H, W)
        residual = self.human(torch.cat([parts, conditions.pose_maps], dim=1)).float()
        human = compose_on(green, conditions.moved) + _RANGE * residual
        mask = key_out_green(human)
        combined = mask * human + (1 - mask) * conditions.background  # Eq. 2
        residual = self.fusion(torch.cat([combined, conditions.pose_maps], dim=1)).float()
        return GeneratedImages(human, mask, combined, combined + _RANGE * residual)


def make_coarse_networks(*, poses: int, ngf: int, n_down: int, n_blocks: int) -> DdgNetworks:
    """Both as global generators, for `poses` stacked poses; other arguments as for `GlobalGenerator`."""
    networks = [
        GlobalGenerator(images + N_MAPS * poses, ngf=ngf, n_down=n_down, n_blocks=n_blocks)
        for images in (3 * N_PARTS, 3)
    ]
    for network in networks:
        zero_init_last_conv(network)
    return DdgNetworks(*networks)


def enhance_networks(coarse: DdgNetworks, *, poses: int, ngf: int, n_blocks: int) -> DdgNetworks:
    """Local enhancers around both, for twice the size."""
    enhanced = []
    for network, images in ((coarse.human, 3 * N_PARTS), (coarse.fusion, 3)):
        assert isinstance(network, GlobalGenerator)
        enhancer = LocalEnhancer(network, images + N_MAPS * poses, ngf=ngf, n_blocks=n_blocks)
        zero_init_last_conv(enhancer.up)
        enhanced.append(enhancer)
    return DdgNetworks(*enhanced)


def make_green(like: torch.Tensor) -> torch.Tensor:
    """Green as (3, 1, 1), on the device of `like`."""
    return like.new_tensor(GREEN).view(3, 1, 1)


def key_out_green(image: torch.Tensor) -> torch.Tensor:
    """Where an image (B, 3, H, W) is not green: (B, 1, H, W), 0 to 1 with a ramp, so that gradients pass.

    The paper's mask is binary; gradients of the frame then reach the human network's colours, but not its outline.
    """
    distance = (image - make_green(image)).abs().sum(dim=1, keepdim=True) / 2
    return ((distance - _NO_PERSON) / (_PERSON - _NO_PERSON)).clamp(0, 1)
