"""Last stages of generators: a real window of frames in, the same window as a generator's last stage would leave it.

Generators differ, but nearly all end alike: a small feature map is enlarged to a picture, or frames are put between
frames. A real that goes through such a stage and comes out nearly as it was differs from the real by what the stage
leaves, and by nothing else; a network that tells the two apart has learned no faces, no codec and no size. After "final
component" (arXiv 2601.20461) and training on aligned reconstructions (arXiv 2410.11835): their ideas, written anew.

    transposed      auto-encoder, enlarged by a transposed convolution
    nearest         … by nearest neighbour and a convolution
    bilinear        … bilinearly and by a convolution
    shuffle         … by pixel shuffle (sub-pixel convolution)
    temporal        auto-encoder over frames too: half as many in the middle, enlarged by a 3-D transposed convolution
    nearest-4x      auto-encoder of two halvings and 16 numbers for each 4x4 pixels, enlarged by nearest neighbour
    shuffle-8x      … of three halvings and 32 numbers for each 8x8 pixels, enlarged by pixel shuffle

The first five have one layer either way, no more: what they leave is what the enlarging layer leaves. The last two
lose what a latent space loses, as the decoders of diffusion models do. They learn for seconds, on the training people's
reals alone. Frames that are put between others (`interpolate_inner_frames`) are no part of it: a single frame of them
is nearly a real one, and a direction that was learned from them too was no better for it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dancebench.core.nn.training import decay_linearly
from dancebench.core.progress import ReportProgress
from dancebench.detect.inputs.pairs import Pairs

WINDOW: Final = 3
"""Frames of a window: one lies between two others."""
_CHANNELS: Final = 8
"""Of the feature map, for each 2x2 pixels of three colours: two thirds of the numbers."""
_WIDTHS: Final = (24, 48, 64)
"""Channels behind each halving of a deep one."""
MULTIPLE: Final = 8
"""Of which height and width are multiples."""
_BATCH: Final = 8
DrawWindows = Callable[[int, np.random.Generator], Pairs]
"""`draw(count, generator)`: real windows, uint8 (count, WINDOW, H, W, 3)."""
LastStage = Callable[[Pairs], Pairs]
"""Windows uint8 (N, WINDOW, H, W, 3) in, the same through a last stage out; H and W are multiples of `MULTIPLE`."""


def _enlarge(mode: str, inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2, mode=mode), nn.Conv2d(inputs, outputs, 3, padding=1))


_ENLARGERS: Final[Mapping[str, Callable[[int, int], nn.Module]]] = {
    "transposed": lambda inputs, outputs: nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1),
    "nearest": lambda inputs, outputs: _enlarge("nearest", inputs, outputs),
    "bilinear": lambda inputs, outputs: _enlarge("bilinear", inputs, outputs),
    "shuffle": lambda inputs, outputs: nn.Sequential(nn.Conv2d(inputs, 4 * outputs, 3, padding=1), nn.PixelShuffle(2)),
}


class SpatialAutoencoder(nn.Module):
    """Frames float (B, 3, H, W) in [-1, 1] -> the same, through half the rows and columns."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, _CHANNELS, 4, stride=2, padding=1), _ENLARGERS[kind](_CHANNELS, 3))

    def forward(self, frames: Tensor) -> Tensor:
        return cast(Tensor, self.layers(frames))


class DeepAutoencoder(nn.Module):
    """Frames float (B, 3, H, W) in [-1, 1] -> the same, through a latent space.

    Args:
        kind: How it enlarges.
        halvings: Of rows and columns.
        latent: Channels of the latent space.
    """

    def __init__(self, kind: str, halvings: int, latent: int) -> None:
        super().__init__()
        widths = (3, *_WIDTHS[:halvings])
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(widths[-1], latent, 1), nn.Conv2d(latent, widths[-1], 3, padding=1), nn.LeakyReLU(0.2)]
        for inputs, outputs in itertools.pairwise(widths[:0:-1]):
            layers += [_ENLARGERS[kind](inputs, outputs), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, _ENLARGERS[kind](widths[1], 3))

    def forward(self, frames: Tensor) -> Tensor:
        return cast(Tensor, self.layers(frames))


class TemporalAutoencoder(nn.Module):
    """Windows float (B, 3, T, H, W) in [-1, 1] -> the same, through half the frames, rows and columns."""

    def __init__(self) -> None:
        super().__init__()
        channels = 2 * _CHANNELS
        self.layers = nn.Sequential(
            nn.Conv3d(3, channels, 4, stride=2, padding=1), nn.ConvTranspose3d(channels, 3, 4, stride=2, padding=1)
        )

    def forward(self, windows: Tensor) -> Tensor:
        frames = windows.shape[2]
        even = F.pad(windows, (0, 0, 0, 0, 0, frames % 2), mode="replicate")  # (B, 3, T or T + 1, H, W)
        return cast(Tensor, self.layers(even))[:, :, :frames]


_NETWORKS: Final[Mapping[str, tuple[Callable[[], nn.Module], float]]] = {
    **{kind: (functools.partial(SpatialAutoencoder, kind), 2e-2) for kind in _ENLARGERS},
    "temporal": (TemporalAutoencoder, 2e-2),
    "nearest-4x": (functools.partial(DeepAutoencoder, "nearest", 2, 16), 2e-3),
    "shuffle-8x": (functools.partial(DeepAutoencoder, "shuffle", 3, 32), 2e-3),
}
"""Each with the learning rate that it starts with."""
LAST_STAGES: Final = tuple(_NETWORKS)


def learn_last_stages(draw: DrawWindows, steps: int, seed: int, report: ReportProgress) -> dict[str, LastStage]:
    """Train the auto-encoders on real windows; the stages by name.

    Args:
        draw: Draws real windows.
        steps: Of each auto-encoder.
        seed: Of weights and windows; the same seed on the same machine gives the same stages.
        report: Progress.
    """
    stages: dict[str, LastStage] = {}
    for number, (kind, (build, rate)) in enumerate(_NETWORKS.items()):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + number)
            network = build()
        report_steps = functools.partial(report, f"learning the last stage '{kind}'")
        _train(network, rate, draw, steps, np.random.default_rng((seed, number)), report_steps)
        stages[kind] = _apply(network)
    return stages


def _train(
    network: nn.Module, rate: float, draw: DrawWindows, steps: int, generator: np.random.Generator,
    report_steps: Callable[[int, int], None],
) -> None:  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = decay_linearly(rate, 0.5, step, steps)
        inputs = _to_tensor(draw(_BATCH, generator), network)
        loss = F.mse_loss(network(inputs), inputs)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        report_steps(step, steps)
    network.eval()
    report_steps(steps, steps)


def _to_tensor(windows: Pairs, network: nn.Module) -> Tensor:
    """The network's input: (N, 3, T, H, W) of the temporal one, frames by themselves (N T, 3, H, W) of the others."""
    x = torch.from_numpy(np.ascontiguousarray(windows)).float() / 127.5 - 1  # (N, T, H, W, 3)
    x = x.permute(0, 4, 1, 2, 3) if isinstance(network, TemporalAutoencoder) else x.flatten(0, 1).permute(0, 3, 1, 2)
    return x.contiguous()


def _apply(network: nn.Module) -> LastStage:
    @torch.inference_mode()
    def apply(windows: Pairs) -> Pairs:
        made = ((network(_to_tensor(windows, network)).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        if isinstance(network, TemporalAutoencoder):
            return np.asarray(made.permute(0, 2, 3, 4, 1).contiguous().numpy())
        return np.asarray(made.permute(0, 2, 3, 1).reshape(windows.shape).contiguous().numpy())

    return apply


def interpolate_inner_frames(windows: Pairs) -> Pairs:
    """Replace the frames between the first and the last by what lies between these two along their optical flow.

    Each pixel of an inner frame at the share s of the way is taken where it was in the first (s of the flow back) and
    where it will be in the last (1 - s on), and blended by closeness. The flow is DIS (Kroeger et al., ECCV 2016).

    Args:
        windows: uint8 (N, T, H, W, 3).
    """
    return np.stack([_interpolate(window) for window in windows]) if len(windows) else windows


def _interpolate(window: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    first, last, made = window[0], window[-1], window.copy()
    grey = [np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.uint8) for frame in (first, last)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(grey[0], grey[1], None)  # (H, W, 2): x, y
    rows, columns = np.mgrid[: first.shape[0], : first.shape[1]].astype(np.float32)
    for index in range(1, len(window) - 1):
        share = index / (len(window) - 1)
        sides = [
            cv2.remap(
                frame, columns + sign * flow[..., 0], rows + sign * flow[..., 1],
                cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
            ).astype(np.float32)
            for frame, sign in ((first, -share), (last, 1 - share))
        ]  # fmt: skip
        made[index] = ((1 - share) * sides[0] + share * sides[1]).round().astype(np.uint8)
    return made
