"""The floor under every comparison: the mean of the training frames, whatever the pose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from dancebench.synth.clip import TrainingClip
from dancebench.synth.method import METHODS, Method, Motion, SynthConfig


@METHODS.register("mean-frame")
class MeanFrame(Method):
    """A constant picture: what a method reaches that ignores the pose."""

    section: ClassVar[str] = "none: a constant baseline"

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        super().__init__(config, clip, device)
        self._mean = np.round(clip.frames.mean(axis=0)).astype(np.uint8)  # [H, W, 3]

    def weights(self) -> dict[str, torch.Tensor]:
        return {"mean": torch.from_numpy(self._mean)}

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._mean = weights["mean"].numpy()

    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        for _ in motion.keypoints:
            yield self._mean
