"""Frame-by-frame synthesis, the paper's first ablation (EDN section 4.1): pix2pixHD on single frames."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from dancebench.synth.base import METHODS
from dancebench.synth.gan.method import GanMethod


@METHODS.register("fbf")
class FrameByFrame(GanMethod):
    """The generator G(x_t) sees pose map t alone; the discriminator D sees (x_t, I_t), 6 channels."""

    section: ClassVar[str] = "EDN 4.1, FBF"
    window: ClassVar[int] = 1
    feeds_back: ClassVar[bool] = False

    def generate_window(self, generator: nn.Module, poses: torch.Tensor) -> torch.Tensor:
        image: torch.Tensor = generator(poses[:, 0])
        return image[:, None]  # (B, 1, 3, H, W)

    def build_condition(self, pose: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        return pose
