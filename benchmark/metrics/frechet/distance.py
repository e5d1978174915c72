"""Fréchet distances between a set of fakes and its set of reals.

What goes in: pairs of clip files of one rate and size, and loaded networks. What comes out: one number over the whole
set for each network. Each clip is cut into windows of as many frames as the network sees, `stride` frames
apart, one after the other without overlap, none across a break of the clock. The metric's name says all that a
number of this kind depends on:

    fvd_s3d_clip16_stride1_fps25_size512x256_n120      120 windows of each side

The distance is between Gaussians of the features (torchmetrics, float64). It is biased upwards for few windows, the
more the fewer: numbers compare at equal n only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

import torch
from torch import nn

from dancebench.benchmark.metrics.frechet.base import LoadedNetwork
from dancebench.core.metric import Metric
from dancebench.core.nn import torchvision_ops
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.video.clips import VideoReader

DISTANCES: Final = ("fid", "fid_vid", "fvd")
_UNIT: Final = "Fréchet distance"
_BATCH_FRAMES: Final = 16


@dataclass(frozen=True)
class ClipFiles:
    """A fake and its real, and what they share.

    Attributes:
        fps: Frames per second.
        size: (height, width).
        breaks: Frames that begin a segment, except for the first.
    """

    fake: Path
    real: Path
    n_frames: int
    fps: float
    size: tuple[int, int]
    breaks: tuple[int, ...] = ()

    def list_windows(self, length: int, stride: int) -> list[range]:
        """The windows of `length` frames, `stride` apart, that follow each other within the segments."""
        span = length * stride
        return [
            range(start, start + span, stride)
            for first, stop in pairwise([0, *self.breaks, self.n_frames])
            for start in range(first, stop - (length - 1) * stride, span)
        ]


class _Given(nn.Module):
    """Passes features through: the metric's own network is another one."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def compute_frechet_distance(fake: torch.Tensor, real: torch.Tensor) -> float:
    """Fréchet distance between the Gaussians of two sets of features.

    Args:
        fake: float64 (N, d), N at least 2.
        real: float64 (M, d), M at least 2.
    """
    torchvision_ops.declare_missing_ops()
    from torchmetrics.image.fid import FrechetInceptionDistance

    distance = FrechetInceptionDistance(feature=_Given(fake.shape[1]))
    distance.update(real, real=True)
    distance.update(fake, real=False)
    return float(distance.compute())


def explain_missing_networks(metrics: Sequence[str] = DISTANCES) -> dict[str, Metric]:
    """These distances as null, since no network was named for them."""
    reason = "no network was named: --network NAME=FILE"
    return {name: Metric(value=None, reason=reason, n=0, unit=_UNIT, higher_is_better=False) for name in metrics}


def measure_distances(
    clips: Sequence[ClipFiles],
    networks: Sequence[LoadedNetwork],
    *,
    stride: int = 1,
    report: ReportProgress = ignore_progress,
) -> dict[str, Metric]:
    """The distance by each network, by names that say what it was measured on.

    Args:
        clips: The pairs.
        networks: With their weights.
        stride: Frames from one to the next within a window.
        report: Progress.

    Returns:
        Null with the reason where there are fewer than two windows, or clips of several rates or sizes.
    """
    return dict(_measure_distance(clips, network, stride, report) for network in networks)


def _measure_distance(
    clips: Sequence[ClipFiles], network: LoadedNetwork, stride: int, report: ReportProgress
) -> tuple[str, Metric]:
    length = network.network.clip_length
    windows = [(each, window) for each in clips for window in each.list_windows(length, stride)]
    rates, sizes = ({f"{each.fps:g}" for each in clips}, {"{}x{}".format(*each.size) for each in clips})
    shown = ["mixed" if len(values) > 1 else next(iter(values), "none") for values in (rates, sizes)]
    name = (
        f"{network.network.metric}_{network.name}_clip{length}_stride{stride}_fps{shown[0]}_size{shown[1]}"
        f"_n{len(windows)}"
    )
    if len(sizes) > 1:
        reason = f"the clips are of several sizes: {', '.join(sorted(sizes))}"
    elif len(rates) > 1 and length > 1:
        reason = f"the clips are of several rates: {', '.join(sorted(rates))}"
    elif len(windows) < 2:
        reason = f"{len(windows)} windows of {length} frames: two are needed"
    else:
        fake, real = _extract_all(windows, network, report)
        value = compute_frechet_distance(fake, real)
        return name, Metric(value=value, n=len(windows), unit=_UNIT, higher_is_better=False)
    return name, Metric(value=None, reason=reason, n=len(windows), unit=_UNIT, higher_is_better=False)


def _extract_all(
    windows: Sequence[tuple[ClipFiles, range]], network: LoadedNetwork, report: ReportProgress
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of the fakes and of the reals, float64 (N, d) each."""
    batch = max(1, _BATCH_FRAMES // network.network.clip_length)
    found: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    done = 0
    for clip, own in _group_by_clip(windows):
        with VideoReader(clip.fake) as fakes, VideoReader(clip.real) as reals:
            remaining = iter(own)
            while part := list(islice(remaining, batch)):
                frames = [t for window in part for t in window]
                for reader, features in zip((fakes, reals), found, strict=True):
                    pixels = torch.from_numpy(reader.read(frames)).reshape(
                        len(part), -1, *clip.size, 3
                    )  # (N, T, H, W, 3)
                    features.append(network.extract(pixels))
                done += len(part)
                report(f"features of {network.name}", done, len(windows))
    return torch.cat(found[0]), torch.cat(found[1])


def _group_by_clip(windows: Sequence[tuple[ClipFiles, range]]) -> Iterator[tuple[ClipFiles, list[range]]]:
    by_clip: dict[ClipFiles, list[range]] = {}
    for clip, window in windows:
        by_clip.setdefault(clip, []).append(window)
    yield from by_clip.items()
