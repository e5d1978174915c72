"""The networks of PoseWarp (Balakrishnan et al. 2018, section 3): a source image, warped to another pose.

masks        source image and pose → 11 masks, 10 limbs and the background
foreground   limbs, each moved to its place, and the target pose → the person and where to blend it in
background   source image without the person, and its pose → the inpainted background
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from dancebench.synth.methods.posewarp.limbs import JOINTS, LIMBS, draw_heatmaps, fit_limb_transforms, log_prior, warp

_SLOPE = 0.2


class UNet(nn.Module):
    """Downsampling and upsampling convolutions with skip connections; no normalisation.

    Args:
        in_channels: Of the input.
        out_channels: Of the output, which is linear and starts at zero.
        width: Channels at full size; they double with every level up to four times.
        n_down: Levels below full size. Any height and width are accepted.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: int, n_down: int) -> None:
        super().__init__()
        widths = [min(width * 2**k, 4 * width) for k in range(n_down + 1)]
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.deep = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.up = nn.ModuleList(nn.Conv2d(a + b, a, 3, padding=1) for a, b in reversed(list(pairwise(widths))))
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=_SLOPE)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.last.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        x = F.leaky_relu(self.first(x), _SLOPE)
        skips = [x]
        for down in self.down:
            x = F.leaky_relu(down(x), _SLOPE)  # (B, 2 C, H / 2, W / 2)
            skips.append(x)
        x = F.leaky_relu(self.deep(skips.pop()), _SLOPE)
        for up in self.up:
            skip = skips.pop()
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = F.leaky_relu(up(torch.cat([x, skip], dim=1)), _SLOPE)
        result: torch.Tensor = self.last(x)
        return result


@dataclass(frozen=True)
class RedrawnImages:
    """The generated image and the intermediate results.

    Attributes:
        image: (B, 3, H, W) of the range [-1, 1], which it may leave slightly; frames are clipped as they are written.
        masks: Of the source, (B, 11, H, W); they sum to one.
        limbs: The source's limbs in their new places, (B, 10, 3, H, W).
        blend: Where the foreground shows, (B, 1, H, W) in [0, 1]; untrained, where the target's limbs are.
        foreground, background: (B, 3, H, W): input plus correction, linear, so of the same range as the image.
    """

    image: torch.Tensor
    masks: torch.Tensor
    limbs: torch.Tensor
    blend: torch.Tensor
    foreground: torch.Tensor
    background: torch.Tensor


class PoseWarpNetworks(nn.Module):
    """The three U-Nets and their forward pass.

    Args:
        width: Channels of the foreground's network at full size; the other two have half as many, since
            masks are near their prior and a background hardly changes.
        n_down: Levels of each below full size.
        room: How far a logit of the masks or of the blending may move from its prior. Where nothing stops it, the first
            steps of a training can empty every limb or blend nothing in; softmax and sigmoid are flat there, so no
            gradient brings it back.
    """

    def __init__(self, *, width: int, n_down: int, room: float) -> None:
        super().__init__()
        self.room = room
        joints, half = len(JOINTS), max(1, width // 2)
        self.masks = UNet(3 + joints, len(LIMBS) + 1, width=half, n_down=n_down)
        self.foreground = UNet(3 * len(LIMBS) + joints, 4, width=width, n_down=n_down)
        self.background = UNet(4 + joints, 3, width=half, n_down=n_down)

    def forward(self, source: torch.Tensor, source_pose: torch.Tensor, target_pose: torch.Tensor) -> RedrawnImages:
        """Generate the person of `source` in another pose.

        Args:
            source: (B, 3, H, W) in [-1, 1].
            source_pose: (B, 75, 3) in its pixels.
            target_pose: The same shape.
        """
        size = (source.shape[-2], source.shape[-1])
        source_maps, target_maps = draw_heatmaps(source_pose, size), draw_heatmaps(target_pose, size)  # (B, 14, H, W)
        masks_prior, blend_prior = log_prior(source_pose, size), log_prior(target_pose, size)  # (B, 11, H, W)
        correction = self.masks(torch.cat([source, source_maps], dim=1)).float()
        masks = torch.softmax(masks_prior + self._limit(correction), dim=1)  # (B, 11, H, W)
        cut = masks[:, :-1, None] * source[:, None]  # (B, 10, 3, H, W)
        limbs = warp(cut, fit_limb_transforms(source_pose, target_pose))
        output = self.foreground(torch.cat([limbs.flatten(1, 2), target_maps], dim=1)).float()  # (B, 4, H, W)
        foreground = limbs.sum(1) + output[:, :3]
        any_limb = blend_prior[:, :-1].logsumexp(1, keepdim=True) - blend_prior[:, -1:]  # (B, 1, H, W): a logit
        blend = torch.sigmoid(any_limb + self._limit(output[:, 3:]))
        rest = masks[:, -1:]  # (B, 1, H, W): all but the limbs
        visible = rest * source
        residual = self.background(torch.cat([visible, rest, source_maps], dim=1)).float()  # (B, 3, H, W)
        background = visible + residual
        image = blend * foreground + (1 - blend) * background
        return RedrawnImages(image, masks, limbs, blend, foreground, background)

    def _limit(self, correction: torch.Tensor) -> torch.Tensor:
        """The correction of a logit, as it is where it is small and never beyond `room` on either side."""
        return self.room * torch.tanh(correction / self.room)
