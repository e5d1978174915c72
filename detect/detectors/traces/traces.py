"""`traces`: what generators leave, learned from pairs of a real and the same real through a generator's last stage.

    a real window of a training person → through a last stage drawn at random (`last_stages.py`) → both degraded alike
    → a network on their high-pass residuals: which of the two?

No fake is seen in training: every method is one that it does not know. What could tell the two apart otherwise is
equal: person, moment, size and codec are the real's, and every degradation is drawn once for both. The network sees
native patches; a frame's logit is the mean over the quarter of its places where the evidence is strongest, since a
fake may be one in a part of the picture alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, cast

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field
from torch import Tensor, nn

from dancebench.core.progress import ReportProgress
from dancebench.detect.detectors._gradcam import FeatureMapNetwork
from dancebench.detect.detectors._neural import LabelledPairs, NeuralConfig, NeuralDetector, use_one_thread
from dancebench.detect.detectors.base import DETECTORS, DetectorConfig
from dancebench.detect.detectors.baselines._frame_network import ResidualBlock
from dancebench.detect.detectors.pair_patch import high_pass_residual
from dancebench.detect.detectors.traces.last_stages import WINDOW, LastStage, learn_last_stages
from dancebench.detect.inputs.pairs import PairPool, Pairs

_STRONGEST: Final = 0.25
"""Share of the places in a picture whose logits are averaged."""
_GAIN: Final = 10.0
"""On the high-pass residual, before tanh."""
_REAL: Final = 0
"""Label of the windows that are learned from."""


class TracesConfig(NeuralConfig):
    """Trains in about three minutes on one core."""

    steps: int = Field(default=800, ge=1)
    stage_steps: int = Field(default=400, ge=1)
    """Of each auto-encoder."""
    channels: int = Field(default=16, ge=1, le=512)
    """Of the network's first layer; each later stage has twice as many."""
    patch: int = Field(default=64, ge=16, multiple_of=2)
    """Side of the patches of training, in native pixels."""


class TracesNetwork(FeatureMapNetwork):
    """A window of frames, float (B, 9, H, W) in [-1, 1] -> the log-odds that it is synthesized."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3 * WINDOW, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.stages = nn.Sequential(ResidualBlock(channels, 2 * channels), ResidualBlock(2 * channels, 4 * channels))
        self.head = nn.Conv2d(4 * channels, 1, 1)

    def feature_maps(self, inputs: Tensor) -> Tensor:
        return cast(Tensor, self.stages(self.stem(high_pass_residual(inputs, _GAIN))))  # (B, 4 C, H / 4, W / 4)

    def classify(self, maps: Tensor) -> Tensor:
        places = self.head(maps).flatten(1)  # (B, places)
        strongest = places.topk(max(1, round(_STRONGEST * places.shape[1])), dim=1).values
        return cast(Tensor, strongest.mean(dim=1))  # (B,)


@dataclass(frozen=True)
class PairedPool:
    """Reals of a pool, and the same through last stages.

    Attributes:
        pool: Windows of the training people; its fakes are not used.
        stages: What the reals go through.
        side: Of the patches, in pixels.
    """

    pool: PairPool
    stages: Mapping[str, LastStage]
    side: int

    def draw_batch(self, size: int, generator: np.random.Generator) -> LabelledPairs:
        """Sample real patches, each followed by itself through a last stage: (size, WINDOW, side, side, 3)."""
        names = sorted(self.stages)
        windows = []
        for _ in range(size // 2):
            real = draw_patch(self.pool, self.side, generator)
            made = self.stages[names[generator.integers(len(names))]](real[None])[0]
            windows += degrade_alike((real, made), generator)
        return np.stack(windows), np.tile(np.array([0, 1], np.float32), size // 2)


def draw_patch(pool: PairPool, side: int, generator: np.random.Generator) -> Pairs:
    """Sample a patch of a real window, augmented: uint8 (WINDOW, side, side, 3), or as large as the frames allow."""
    window = pool.draw_window(_REAL, generator)
    height, width = (min(side, extent // 2 * 2) for extent in window.shape[1:3])
    top = generator.integers(window.shape[1] - height + 1)
    left = generator.integers(window.shape[2] - width + 1)
    return window[:, top : top + height, left : left + width]


def degrade_alike(windows: tuple[Pairs, Pairs], generator: np.random.Generator) -> list[Pairs]:
    """Reduce, blur, compress and add noise to two windows (T, H, W, 3), by numbers and noise that are drawn once."""
    factor = generator.uniform(0.5, 1.0) if generator.random() < 0.5 else 1.0
    sigma = generator.uniform(0.3, 1.2) if generator.random() < 0.3 else 0.0
    quality = int(generator.integers(40, 96)) if generator.random() < 0.7 else None
    strength = generator.uniform(0.5, 4.0) if generator.random() < 0.3 else 0.0
    noise = generator.normal(0, 1, windows[0].shape)
    return [
        np.stack([_degrade(*each, factor, sigma, quality, strength) for each in zip(window, noise, strict=True)])
        for window in windows
    ]


def _degrade(
    frame: npt.NDArray[np.uint8], noise: npt.NDArray[np.float64],
    factor: float, sigma: float, quality: int | None, strength: float,
) -> npt.NDArray[np.uint8]:  # fmt: skip
    height, width = frame.shape[:2]
    changed = frame
    if factor < 1:
        small = cv2.resize(frame, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_AREA)
        changed = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    if sigma > 0:
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), sigma), dtype=np.uint8)
    if strength > 0:
        changed = (changed + strength * noise).round().clip(0, 255).astype(np.uint8)
    if quality is not None:
        _, coded = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, quality])
        changed = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return changed


@DETECTORS.register("traces")
class Traces(NeuralDetector):
    """What the last stages of generators leave, learned from reals alone."""

    Config = TracesConfig
    PRESETS: ClassVar[Mapping[str, DetectorConfig]] = {
        "tiny": TracesConfig(channels=8, steps=60, stage_steps=20, batch=8, patch=32, pairs=6)
    }
    config: TracesConfig

    @property
    def window(self) -> int:
        return WINDOW

    def build(self) -> TracesNetwork:
        return TracesNetwork(self.config.channels)

    def prepare_pool(self, pool: PairPool, report: ReportProgress) -> PairedPool:
        """Train the auto-encoders; after an interruption they are trained again, to the same weights."""

        def draw(count: int, generator: np.random.Generator) -> Pairs:
            return np.stack([draw_patch(pool, self.config.patch, generator) for _ in range(count)])

        with use_one_thread():
            stages = learn_last_stages(draw, self.config.stage_steps, self.config.seed, report)
        return PairedPool(pool, stages, self.config.patch)
