"""`spsl`, spatial-phase shallow learning (Liu et al., CVPR 2021): one frame in, one logit out.

Enlarging a picture repeats its spectrum, and the phase shows the repetition more clearly than the amplitude. With F the
discrete Fourier transform of the grey frame, the fourth channel beside red, green and blue is

    P = F^-1(F / |F|),   the picture of the phase alone, of unit amplitude at every frequency

scaled to unit variance. A shallow network follows, so that it judges texture, not content: two halving stages here
and a receptive field of 19 pixels; the paper cuts Xception short. Written from the paper's equations.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from dancebench.detect.detectors.base import DETECTORS
from dancebench.detect.detectors.baselines._frame_network import FrameDetector, FrameNetwork

_GREY = (0.299, 0.587, 0.114)
_ABSENT = 1e-3
"""Amplitude below which a frequency is absent: rounding to 8 bits alone leaves a hundred times as much at 128x64."""


class PhaseChannel(nn.Module):
    """Frames (B, 3, H, W) in [-1, 1] -> (B, 4, H, W): with the picture of their phase."""

    grey: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("grey", torch.tensor(_GREY)[:, None, None], persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        grey = (frames * self.grey).sum(dim=1, keepdim=True)  # (B, 1, H, W)
        return torch.cat([frames, draw_phase(grey)], dim=1)


def draw_phase(images: Tensor) -> Tensor:
    """Draw images (…, H, W) with unit amplitude at every frequency but the mean, which has none: unit variance.

    A frequency that an image lacks stays absent. Shifting an image in a circle shifts the result, and neither a gain
    nor an offset changes it.
    """
    spectrum = torch.fft.fft2(images - images.mean(dim=(-2, -1), keepdim=True))
    amplitude = spectrum.abs()
    phase = torch.where(amplitude > _ABSENT, spectrum / amplitude.clamp_min(_ABSENT), 0)
    return cast(Tensor, torch.fft.ifft2(phase, norm="ortho").real)


@DETECTORS.register("spsl")
class SpatialPhaseShallowLearning(FrameDetector):
    """The picture of the phase as a fourth channel, and a shallow residual network."""

    def build(self) -> FrameNetwork:
        return FrameNetwork(PhaseChannel(), 4, self.config.channels, stages=2)
