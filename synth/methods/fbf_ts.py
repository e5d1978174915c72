"""Temporal smoothing (EDN section 3.2, Eq. 1): every frame is conditioned on the previous output."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from dancebench.synth.base import METHODS
from dancebench.synth.gan.method import GanMethod


@METHODS.register("fbf-ts")
class TemporalSmoothing(GanMethod):
    """Generator G(x_t, G(x_{t-1}, 0)); the discriminator D sees (x_{t-1}, x_t, I_{t-1}, I_t), 12 channels.

    A training step generates two frames, and the gradient of the second flows back through the first. The
    zero image before the first frame is mid-grey, since images live in [-1, 1].
    """

    section: ClassVar[str] = "EDN 3.2, FBF+TS"
    window: ClassVar[int] = 2
    feeds_back: ClassVar[bool] = True

    def generate_window(self, generator: nn.Module, poses: torch.Tensor) -> torch.Tensor:
        zero_image = torch.zeros_like(poses[:, 0, :3])
        first: torch.Tensor = generator(self.build_condition(poses[:, 0], zero_image))
        second: torch.Tensor = generator(self.build_condition(poses[:, 1], first))
        return torch.stack([first, second], dim=1)  # (B, 2, 3, H, W)

    def build_condition(self, pose: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        return torch.cat([pose, previous], dim=1)  # (B, C + 3, H, W)
