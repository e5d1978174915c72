"""One adversarial update, shared by every method that has a discriminator.

The losses and gradients of both networks are computed before either takes a step, on one forward pass of the
discriminator for the fake and one for the real. The gradients are those of the usual order (the generator
steps first, then the discriminator sees the fake again): the discriminator does not change between its two
passes, and the generator's step does not change a fake that is already generated. It saves a forward pass,
and each backward pass computes the gradients of its own network alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from dancebench.core.nn.distributed import average_gradients
from dancebench.synth.acceleration import autocast, make_adam, to_device_layout
from dancebench.synth.base import Phase, Precision, Schedule
from dancebench.synth.clip import Batch, TrainingClip
from dancebench.synth.gan.losses import Features, gan_loss


@dataclass(frozen=True)
class DiscriminatorOutputs:
    """Discriminator outputs for a batch: features per scale and layer, the last being the scores."""

    fake: Features
    real: Features


class AdversarialPhase(Phase):
    """A generator against a discriminator (LSGAN).

    Args:
        clip: The training span at this phase's size.
        schedule: Length, batch size and learning rate.
        generator: The network to train, on its device.
        discriminator: The discriminator that it is trained against, new.
        device: Device of both.
        precision: Of the networks' computations.
    """

    def __init__(
        self,
        clip: TrainingClip,
        schedule: Schedule,
        generator: nn.Module,
        discriminator: nn.Module,
        device: torch.device,
        precision: Precision,
    ) -> None:
        super().__init__(clip, schedule)
        self.device = device
        self.precision = precision
        self.generator = to_device_layout(generator.train(), device)
        self.discriminator = to_device_layout(discriminator, device)
        self._generator_optimizer = make_adam(self.generator, schedule.learning_rate)
        self._discriminator_optimizer = make_adam(self.discriminator, schedule.learning_rate)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def inherited_discriminators(self) -> Mapping[str, nn.Module]:
        return {"discriminator": self.discriminator}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"generator": self._generator_optimizer, "discriminator": self._discriminator_optimizer}

    @abstractmethod
    def generate(self, batch: Batch) -> torch.Tensor:
        """Generate the fakes of a batch, (B, window, 3, h, w), with gradients."""

    @abstractmethod
    def discriminator_input(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        """The discriminator's input (B, C, h, w) for images (B, window, 3, h, w)."""

    def discriminate(self, inputs: torch.Tensor) -> Features:
        """The discriminator's features of its input, by scale and layer."""
        features: Features = self.discriminator(inputs)
        return features

    @abstractmethod
    def generator_losses(
        self, batch: Batch, fake: torch.Tensor, outputs: DiscriminatorOutputs
    ) -> dict[str, torch.Tensor]:
        """The generator's losses by name, weighted; `fake` and `outputs` carry gradients."""

    def train_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        with autocast(self.device, self.precision):
            fake = self.generate(batch)
            outputs = DiscriminatorOutputs(
                fake=self.discriminate(self.discriminator_input(batch, fake)),
                real=self.discriminate(self.discriminator_input(batch, batch.frames)),
            )
            generator_losses = self.generator_losses(batch, fake.float(), outputs)
            discriminator_losses = {
                "d_real": gan_loss(outputs.real, real=True),
                "d_fake": gan_loss(outputs.fake, real=False),
            }
        discriminator_loss = 0.5 * (discriminator_losses["d_real"] + discriminator_losses["d_fake"])
        generator_loss = torch.stack(list(generator_losses.values())).sum()
        set_gradients(discriminator_loss, list(self.discriminator.parameters()), keep=True)
        set_gradients(generator_loss, list(self.generator.parameters()), keep=False)
        self._generator_optimizer.step()
        self._discriminator_optimizer.step()
        return {name: value.detach() for name, value in (generator_losses | discriminator_losses).items()}


def set_gradients(loss: torch.Tensor, parameters: list[nn.Parameter], *, keep: bool) -> None:
    """Set the gradients of `parameters` alone; `keep` the graph for another backward pass."""
    for parameter in parameters:
        parameter.grad = None
    torch.autograd.backward(loss, retain_graph=keep, inputs=parameters)
    average_gradients(parameters)
