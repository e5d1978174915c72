"""What a synthesis method is, and the registry of methods.

A method learns one person from a clip's training frames and then draws that person in any poses. A new
method is one module in `synth/methods/` with a class under `@METHODS.register(name)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import nn

from dancebench.core.registry import Registry
from dancebench.core.schema import Strict
from dancebench.core.trunks import Trunk
from dancebench.datasets.skeleton import Keypoints
from dancebench.synth.clip import Batch, TrainingClip

TrunkChoice = Literal["off", "vgg19", "squeeze"]


class SynthConfig(Strict):
    """Everything that decides what a synthesizer becomes, beside its data."""

    long_side: int = Field(ge=32)
    """Larger side of the training frames in pixels; the clip's aspect is kept."""
    ngf: int = Field(ge=1)
    n_down: int = Field(ge=1)
    n_blocks: int = Field(ge=0)
    ndf: int = Field(ge=1)
    n_scales: int = Field(ge=1)
    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    """Length of the training, in updates or in passes over the clip's examples: one of the two."""
    batch: int = Field(ge=1)
    learning_rate: float = Field(2e-4, gt=0)
    decay_share: float = Field(default=0.0, ge=0, le=1)
    """Last share of the steps over which the learning rate falls linearly to zero, as pix2pixHD does over
    its second half; 0 keeps it constant."""
    trunk: TrunkChoice = "off"
    perceptual_weight: float = 5.0
    pixel_weight: float = Field(0.0, ge=0)
    """Weight of an L1 loss on pixels, as in pix2pix. The paper has none; it steadies short trainings that
    have no perceptual trunk."""
    seed: int = 0

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("the length of a training is given in steps or in epochs, one of the two")
        return self

    def n_steps(self, examples: int) -> int:
        """Updates of a training that draws from this many examples."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None  # the validator saw to it
        return max(1, round(self.epochs * examples / self.batch))

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of step `step` (from 0) of `steps`."""
        falling = self.decay_share * steps
        return self.learning_rate * min(1.0, (steps - step) / falling) if falling > 0 else self.learning_rate


@dataclass(frozen=True)
class Motion:
    """Poses that drive a synthesis.

    Attributes:
        keypoints: float32 [T, 75, 3], in pixels of a picture of `size`.
        size: (height, width).
    """

    keypoints: Keypoints
    size: tuple[int, int]


class Method(ABC):
    """A synthesizer of one person.

    Args:
        config: Sizes and schedule.
        clip: The training span; retrieval methods draw from it, learned ones take their size from it.
        device: Where tensors live.

    Class attributes:
        section: Where the paper describes it.
    """

    section: ClassVar[str]

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        self.config = config
        self.clip = clip
        self.device = device

    @abstractmethod
    def weights(self) -> dict[str, torch.Tensor]:
        """What synthesis needs, as tensors by name."""

    @abstractmethod
    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take back what `weights` gave."""

    @abstractmethod
    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        """Draw the person in each pose, in order: uint8 RGB [H, W, 3] of the training size."""


class LearnedMethod(Method):
    """A method that the training loop trains by steps.

    Class attributes:
        window: Consecutive frames that one training example holds.
    """

    window: ClassVar[int]

    @abstractmethod
    def begin_training(self, trunk: Trunk | None) -> None:
        """Build what only training needs: losses (perceptual with `trunk`), judges, optimizers."""

    @abstractmethod
    def networks(self) -> Mapping[str, nn.Module]:
        """All networks under training, by name."""

    @abstractmethod
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Their optimizers, by name."""

    @abstractmethod
    def train_step(self, batch: Batch) -> dict[str, float]:
        """One update of all networks; returns the losses by name."""


METHODS: Registry[type[Method]] = Registry("method", package="dancebench.synth.methods")
