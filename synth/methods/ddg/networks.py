"""The two networks of DDG (sections 3.3 and 3.4), both generators of pix2pixHD or U-Nets.

human    moved body parts (30 channels) and pose maps (45) → the person before a green background
fusion   the person on the still background (3) and pose maps (45) → the frame

Both outputs are added to an image that the input already holds: the parts put together, and the person cut out and
pasted on the background. The paper's networks generate all of it, in days; a short training gains by starting there.
Shorter ones still have U-Nets (those of PoseWarp): pix2pixHD's generators pass everything through their lowest level,
and need long to learn a correction as fine as a seam.

For the same reason the human network has a fourth output, the outline: how much of each pixel is the person's, the
rest being green. By colours alone, strands of hair that a part took along turned half green in a short training, not
wholly, and half green passes the chroma mask. What is pasted on the background is the person's colour before it was
mixed with green.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from dancebench.synth.gan.networks import GlobalGenerator, LocalEnhancer, zero_init_last_conv
from dancebench.synth.methods.ddg.conditions import Conditions
from dancebench.synth.methods.ddg.parts import N_PARTS, merge_parts
from dancebench.synth.methods.ddg.pose_maps import N_MAPS
from dancebench.synth.methods.posewarp.networks import UNet

GREEN = (-1.0, 1.0, -1.0)
"""The background of the human network's image, in [-1, 1]."""
_NO_PERSON, _PERSON = 0.3, 0.9
"""Distances from green, summed over channels in [0, 1], up to which a pixel is background and from which it is person:
of what people wear, black is at 1, and grey of any shade beyond."""
_GAIN = 2.0
"""Of a network whose output is in [-1, 1]: so that any colour can become any other."""
_UNET_GAINS = (1.0, 0.25)
"""Of the U-Nets, whose outputs have no bounds. The fusion network's is small: at 1 its frame jumped by more than the
range of colours in single steps of a short training."""
_SHARPNESS = 8.0
"""Slope of the outline's logit over the share of the parts: without a correction, parts that cover a pixel show 98 % of
their colour in it, and 2 % of a pixel that they leave uncovered."""
_OUTLINE_ROOM = 0.75
"""By how much of a share the outline is corrected at most. Without a bound a short training could take the person away,
to where the outline's gradient vanishes: it never came back."""


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
        human: Maps (B, 30 + 15 K, H, W) to (B, 4, H, W): corrections of the parts' colour and of their share.
        fusion: Maps (B, 3 + 15 K, H, W) to a correction of the frame, (B, 3, H, W).
        gains: By which their outputs are multiplied before they are added to an image.
    """

    def __init__(self, human: nn.Module, fusion: nn.Module, *, gains: tuple[float, float]) -> None:
        super().__init__()
        self.human_gain, self.fusion_gain = gains
        self.human = human
        self.fusion = fusion

    def forward(self, conditions: Conditions) -> GeneratedImages:
        """Generate the person and the frame."""
        green = make_green(conditions.background)
        parts = conditions.moved[:, :, :3].flatten(1, 2)  # (B, 30, H, W)
        correction = (
            self.human_gain * self.human(torch.cat([parts, conditions.pose_maps], dim=1)).float()
        )  # (B, 4, H, W)
        colour, share = merge_parts(conditions.moved)
        person = colour + correction[:, :3]
        reshaped = share + _OUTLINE_ROOM * torch.tanh(correction[:, 3:])  # (B, 1, H, W)
        outline = torch.sigmoid(_SHARPNESS * (reshaped - 0.5))
        human = outline * person + (1 - outline) * green
        mask = key_out_green(human)
        combined = mask * person + (1 - mask) * conditions.background  # Eq. 2
        residual = self.fusion(torch.cat([combined, conditions.pose_maps], dim=1)).float()
        return GeneratedImages(human, mask, combined, combined + self.fusion_gain * residual)


def make_coarse_networks(*, poses: int, ngf: int, n_down: int, n_blocks: int) -> DdgNetworks:
    """Both as pix2pixHD's global generators, for `poses` stacked poses; other arguments as for `GlobalGenerator`."""
    human, fusion = (
        GlobalGenerator(inputs, ngf=ngf, n_down=n_down, n_blocks=n_blocks, out_channels=outputs)
        for inputs, outputs in _count_channels(poses)
    )
    zero_init_last_conv(human)
    zero_init_last_conv(fusion)
    return DdgNetworks(human, fusion, gains=(_GAIN, _GAIN))


def make_unets(*, poses: int, width: int, n_down: int) -> DdgNetworks:
    """Both as U-Nets, for `poses` stacked poses; other arguments as for `UNet`."""
    human, fusion = (UNet(inputs, outputs, width=width, n_down=n_down) for inputs, outputs in _count_channels(poses))
    return DdgNetworks(human, fusion, gains=_UNET_GAINS)


def _count_channels(poses: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Channels that go in and come out, of the human and of the fusion network."""
    return (3 * N_PARTS + N_MAPS * poses, 4), (3 + N_MAPS * poses, 3)


def enhance_networks(coarse: DdgNetworks, *, poses: int, ngf: int, n_blocks: int) -> DdgNetworks:
    """Local enhancers around both, for twice the size."""
    enhanced = []
    for network, (inputs, outputs) in zip((coarse.human, coarse.fusion), _count_channels(poses), strict=True):
        assert isinstance(network, GlobalGenerator)
        enhancer = LocalEnhancer(network, inputs, ngf=ngf, n_blocks=n_blocks, out_channels=outputs)
        zero_init_last_conv(enhancer.up)
        enhanced.append(enhancer)
    return DdgNetworks(*enhanced, gains=(_GAIN, _GAIN))


def make_green(like: torch.Tensor) -> torch.Tensor:
    """Green as (3, 1, 1), on the device of `like`."""
    return like.new_tensor(GREEN).view(3, 1, 1)


def key_out_green(image: torch.Tensor) -> torch.Tensor:
    """Where an image (B, 3, H, W) is not green: (B, 1, H, W), 0 to 1 with a ramp, so that gradients pass.

    The paper's mask is binary; gradients of the frame then reach the human network's colours, but not its outline.
    """
    distance = (image - make_green(image)).abs().sum(dim=1, keepdim=True) / 2
    return ((distance - _NO_PERSON) / (_PERSON - _NO_PERSON)).clamp(0, 1)
