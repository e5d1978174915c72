"""A constant baseline, the floor of every comparison: the mean of the training frames, whatever the pose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import torch

from dancebench.synth.base import METHODS, Method, SynthConfig
from dancebench.synth.clip import Motion, TrainingClip

_PIECE: Final = 64
"""Frames that are summed at once."""


@METHODS.register("mean-frame")
class MeanFrame(Method):
    """A constant image: what a method that ignores the pose can reach."""

    section: ClassVar[str] = "none: a constant baseline"

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        super().__init__(config, clip, device)
        self._mean: npt.NDArray[np.uint8] | None = None  # [H, W, 3], once it is computed

    def weights(self) -> dict[str, torch.Tensor]:
        return {"mean": torch.from_numpy(self._compute_mean())}

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._mean = weights["mean"].cpu().numpy()

    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        for _ in motion.keypoints:
            yield self._compute_mean()

    def _compute_mean(self) -> npt.NDArray[np.uint8]:
        if self._mean is None:
            pieces = np.array_split(np.arange(len(self.clip)), -(-len(self.clip) // _PIECE))
            total = sum(self.clip.frames[piece].sum(axis=0, dtype=np.int64) for piece in pieces)
            self._mean = np.round(total / len(self.clip)).astype(np.uint8)
        return self._mean
