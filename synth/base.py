"""What a synthesis method is, and the registry of methods.

A method learns one person from a clip's training frames and then generates frames of that person in any poses.
A new method is one module in `synth/methods/` with a class under `@METHODS.register(name)`.

    Method         synthesizes: weights, load_weights, render
    LearnedMethod  is trained in phases, one after the other
    LayeredMethod  knows where the person is in its frames
    Phase          what the training loop runs: networks, optimizers, a learning rate schedule, one update
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import nn

from dancebench.core.nn.trunks import Trunk
from dancebench.core.progress import ReportProgress
from dancebench.core.registry import Registry, list_missing_parts
from dancebench.core.schema import Strict
from dancebench.synth.clip import Batch, Motion, TrainingClip

TrunkChoice = Literal["off", "vgg19", "squeeze"]
Precision = Literal["fp32", "bf16"]


class Schedule(Strict):
    """Training schedule of a phase: its length, batch size and learning rate."""

    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    """Length of the phase, in updates or in passes over the clip's examples: one of the two."""
    batch: int = Field(1, ge=1)
    learning_rate: float = Field(2e-4, gt=0)
    decay_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the steps, the last ones, over which the scheduler decays the learning rate linearly to zero, as
    pix2pixHD does over its second half; 0 keeps it constant."""

    @model_validator(mode="after")
    def _check_one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("the length of a training is given in steps or in epochs, one of the two")
        return self

    def count_steps(self, examples: int) -> int:
        """Number of updates of a phase that has this many training examples."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None  # ensured by the validator
        return max(1, round(self.epochs * examples / self.batch))


class SynthConfig(Strict):
    """What determines a trained synthesizer, besides its data; a method adds its own fields in a subclass."""

    long_side: int = Field(ge=32)
    """Larger side of the synthesized frames in pixels; the clip's aspect is kept."""
    trunk: TrunkChoice = "off"
    """Pretrained trunk of the perceptual loss."""
    precision: Precision = "fp32"
    """`bf16` runs the networks of a training under autocast; weights, losses and synthesis stay float32."""
    seed: int = 0


class Method(ABC):
    """A synthesizer of one person.

    Args:
        config: An instance of the method's own `Config`.
        clip: The training span; retrieval methods return its frames, learned ones take their frame size from it.
        device: Device of all tensors.

    Class attributes:
        Config: Class of its configuration.
        presets: Its configurations by name of the preset; in other presets its defaults apply.
        section: Section of the paper that describes it.
        revision: Raised whenever the same configuration, data and seed give other frames than before: what an earlier
            revision trained is trained anew, not rendered with code that it does not belong to.
    """

    Config: ClassVar[type[SynthConfig]] = SynthConfig
    presets: ClassVar[Mapping[str, SynthConfig]] = {}
    section: ClassVar[str]
    revision: ClassVar[int] = 1

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        self.clip = clip
        self.device = device

    @abstractmethod
    def weights(self) -> dict[str, torch.Tensor]:
        """What synthesis needs, as tensors by name."""

    @abstractmethod
    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Load what `weights` returned."""

    @abstractmethod
    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        """Generate a frame of the person for each pose, in order: uint8 RGB [H, W, 3] of the training size."""


class LearnedMethod(Method):
    """A method that the training loop trains.

    Class attributes:
        base: Another method, trained first on the same subject, whose weights this one loads and keeps
            frozen; None where it has no base.
        warm_shares: By preset, the share of its steps that a training from an ancestor takes, where that was measured
            to be no worse than all of them from nothing; in other presets it takes all.
    """

    base: ClassVar[str | None] = None
    warm_shares: ClassVar[Mapping[str, float]] = {}

    @classmethod
    def get_base_config(cls, config: SynthConfig) -> SynthConfig:
        """The configuration of the base method, taken from this method's own.

        Raises:
            TypeError: The method has no base.
        """
        raise TypeError(f"{cls.__name__} has no base method")

    def load_base(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Load the weights of the trained base method.

        Raises:
            TypeError: The method has no base.
        """
        raise TypeError(f"{type(self).__name__} has no base method")

    @abstractmethod
    def list_phases(self) -> Sequence[str]:
        """The phases of the training, in order."""

    @abstractmethod
    def start_phase(self, name: str, trunk: Trunk | None) -> Phase:
        """Build what only this phase needs: losses (perceptual with `trunk`), discriminators, optimizers."""

    @abstractmethod
    def inference_networks(self) -> Mapping[str, nn.Module]:
        """The networks that synthesis uses, by name."""

    def inherited_networks(self) -> Mapping[str, nn.Module]:
        """The networks that a warm start takes over from an ancestor, by name: all that its own phases train and keep.

        By default those that synthesis uses.
        """
        return self.inference_networks()

    def weights(self) -> dict[str, torch.Tensor]:
        return {
            f"{name}.{key}": value
            for name, network in self.inference_networks().items()
            for key, value in network.state_dict().items()
        }

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        for name, network in self.inference_networks().items():
            prefix = f"{name}."
            network.load_state_dict(
                {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
            )


@dataclass(frozen=True)
class Layers:
    """A generated frame, and where the person is in it.

    Attributes:
        frame: uint8 RGB [H, W, 3].
        person: bool [H, W].
    """

    frame: npt.NDArray[np.uint8]
    person: npt.NDArray[np.bool_]


class LayeredMethod(LearnedMethod):
    """A learned method that knows where the person is in its frames, so that the background can be replaced."""

    @abstractmethod
    def render_layers(self, motion: Motion) -> Iterator[Layers]:
        """Generate what `render` does, with the person's place in each frame."""

    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        return (layers.frame for layers in self.render_layers(motion))


class Phase(ABC):
    """One phase of a training: some networks, one frame size, one schedule.

    Args:
        clip: The training span at the phase's own size.
        schedule: Length, batch size and learning rate.

    Class attributes:
        window: Frames that one training example holds.
    """

    window: int

    def __init__(self, clip: TrainingClip, schedule: Schedule) -> None:
        self.clip = clip
        self.schedule = schedule

    @cached_property
    def example_starts(self) -> npt.NDArray[np.intp]:
        """First frames of all training examples of the phase.

        Raises:
            BenchError: There is none.
        """
        return self.clip.list_example_starts(self.window)

    def sample_examples(self, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        """Frames of the examples of one update, [B, window]: by default `window` consecutive ones."""
        starts = rng.choice(self.example_starts, self.schedule.batch)
        return np.asarray(starts[:, None] + np.arange(self.window), dtype=np.intp)

    def prepare(self, report: ReportProgress) -> None:  # noqa: B027 most phases need nothing
        """Do what must precede the first step; by default nothing."""

    @abstractmethod
    def networks(self) -> Mapping[str, nn.Module]:
        """All networks that this phase trains, by name."""

    def inherited_discriminators(self) -> Mapping[str, nn.Module]:
        """The networks of this phase alone that a warm start takes over too, by name; by default none."""
        return {}

    @abstractmethod
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Their optimizers, by name."""

    @abstractmethod
    def train_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One update of all networks; returns the losses by name, detached scalars on the device."""

    @abstractmethod
    def preview(self, batch: Batch) -> torch.Tensor:
        """Samples of training progress: (N, 3, H, W) in [-1, 1], real and generated images alternating in N."""


METHODS: Registry[type[Method]] = Registry(
    "method",
    package="dancebench.synth.methods",
    group="dancebench.methods",
    list_missing=lambda entry: list_missing_parts(entry, Method, ("section",)),
)


def find_base_method(method: str) -> str | None:
    """The base method that another one builds on; None where it has none."""
    method_class = METHODS[method]
    return method_class.base if issubclass(method_class, LearnedMethod) else None
