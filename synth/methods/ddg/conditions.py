"""What DDG's networks are given: a person's parts in their new places, pose maps and a background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from dancebench.synth.clip import Pixels
from dancebench.synth.methods.ddg.parts import move_parts, segment_parts
from dancebench.synth.methods.ddg.pose_maps import draw_pose_maps

_HALF: Final = 128


@dataclass(frozen=True)
class Conditions:
    """What the networks are given.

    Attributes:
        moved: The body parts in their new places, (B, 10, 4, H, W).
        pose_maps: Those of the pose and the ones before it, (B, 15 K, H, W).
        background: (B, 3, H, W) in [-1, 1].
    """

    moved: torch.Tensor
    pose_maps: torch.Tensor
    background: torch.Tensor


def to_binary(shares: Pixels, device: torch.device) -> torch.Tensor:
    """Masks, 0 or 1, from the share of the person in each pixel, uint8 [...]: the person's are those of half or more.

    As in the paper, and not soft: the outline before green has the colours of the frame, not a mixture with green.
    """
    return (torch.from_numpy(shares).to(device) >= _HALF).float()


def build_conditions(
    frames: torch.Tensor, masks: torch.Tensor, own: torch.Tensor, requested: torch.Tensor, background: torch.Tensor
) -> Conditions:
    """What the networks are given.

    Args:
        frames: Input frames, (B, 3, H, W) in [-1, 1].
        masks: Which of their pixels show the person, (B, H, W), 0 or 1.
        own: The poses in them, (B, 75, 3).
        requested: The poses to generate, each with those before it, oldest first: (B, K, 75, 3).
        background: (B, 3, H, W) in [-1, 1].
    """
    size = (frames.shape[-2], frames.shape[-1])
    moved = move_parts(frames, segment_parts(masks, own), own, requested[:, -1])
    maps = draw_pose_maps(requested.flatten(0, 1), size)  # (B K, 15, H, W)
    return Conditions(moved, maps.view(len(frames), -1, *size), background)
