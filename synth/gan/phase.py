"""One adversarial update, shared by every method that has a discriminator.

Both networks are judged and differentiated before either steps, on one forward pass of the discriminator
for the fake and one for the real. The gradients are those of the usual order (the generator steps first,
then the discriminator sees the fake again): the discriminator has not changed between its two looks, and
what the generator becomes does not touch a fake that was already made. It saves a pass, and each backward
pass computes the gradients of its own network alone.
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
    """What the discriminator makes of a batch: features per scale and layer, the last being the scores."""

    fake: Features
    real: Features


class AdversarialPhase(Phase):
    """A generator against a discriminator (LSGAN).

    Args:
        clip: The training span at this phase's size.
        schedule: How long and how fast.
        generator: What is trained, on its device.
        discriminator: Its judge, new.
        device: Where both are.
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

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"generator": self._generator_optimizer, "discriminator": self._discriminator_optimizer}

    @abstractmethod
    def generate(self, batch: Batch) -> torch.Tensor:
        """The fakes of a batch (B, window, 3, h, w), with their gradients."""

    @abstractmethod
    def discriminator_input(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        """What the discriminator sees of the images (B, window, 3, h, w): (B, C, h, w)."""

    def discriminate(self, judged: torch.Tensor) -> Features:
        """The discriminator's features of what it sees, by scale and layer."""
        features: Features = self.discriminator(judged)
        return features

    @abstractmethod
    def generator_losses(
        self, batch: Batch, fake: torch.Tensor, verdicts: DiscriminatorOutputs
    ) -> dict[str, torch.Tensor]:
        """The generator's losses by name, weighted; `fake` and `verdicts` carry gradients."""

    def train_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        with autocast(self.device, self.precision):
            fake = self.generate(batch)
            verdicts = DiscriminatorOutputs(
                fake=self.discriminate(self.discriminator_input(batch, fake)),
                real=self.discriminate(self.discriminator_input(batch, batch.frames)),
            )
            of_generator = self.generator_losses(batch, fake.float(), verdicts)
            of_discriminator = {
                "d_real": gan_loss(verdicts.real, real=True),
                "d_fake": gan_loss(verdicts.fake, real=False),
            }
        judge, maker = list(self.discriminator.parameters()), list(self.generator.parameters())
        judge_loss = 0.5 * (of_discriminator["d_real"] + of_discriminator["d_fake"])
        self._set_gradients(judge_loss, judge, keep=True)
        self._set_gradients(torch.stack(list(of_generator.values())).sum(), maker, keep=False)
        self._generator_optimizer.step()
        self._discriminator_optimizer.step()
        return {name: value.detach() for name, value in (of_generator | of_discriminator).items()}

    @staticmethod
    def _set_gradients(loss: torch.Tensor, parameters: list[nn.Parameter], *, keep: bool) -> None:
        """Set the gradients of `parameters` alone; `keep` the graph for another backward pass."""
        for parameter in parameters:
            parameter.grad = None
        torch.autograd.backward(loss, retain_graph=keep, inputs=parameters)
        average_gradients(parameters)
