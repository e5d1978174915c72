"""The adversarial methods' common ground: networks, one update, synthesis.

A subclass says how many consecutive frames an example holds and what the generator is conditioned on;
the losses and the order of the updates are the same for all (EDN Eq. 3; the generator steps first).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from dancebench.core.trunks import Trunk
from dancebench.datasets.sticks import draw_sticks
from dancebench.synth.clip import Batch, TrainingClip, to_pixels, to_tensor
from dancebench.synth.losses import FEATURE_MATCHING_WEIGHT, PerceptualLoss, feature_matching_loss, gan_loss
from dancebench.synth.method import LearnedMethod, Motion, SynthConfig
from dancebench.synth.networks import GlobalGenerator, MultiscaleDiscriminator

_BETAS = (0.5, 0.999)


class GanMethod(LearnedMethod):
    """A global generator against a multiscale discriminator.

    Class attributes:
        generator_channels: 3 for a pose alone, 6 with the previous output beside it.
    """

    generator_channels: ClassVar[int]
    discriminator: MultiscaleDiscriminator
    perceptual: PerceptualLoss | None

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        super().__init__(config, clip, device)
        self.generator = GlobalGenerator(
            self.generator_channels, ngf=config.ngf, n_down=config.n_down, n_blocks=config.n_blocks
        ).to(device)

    def begin_training(self, trunk: Trunk | None) -> None:
        config = self.config
        self.discriminator = MultiscaleDiscriminator(6 * self.window, ndf=config.ndf, n_scales=config.n_scales).to(
            self.device
        )
        self.perceptual = PerceptualLoss(trunk).to(self.device) if trunk else None
        self._generator_optimizer = self._adam(self.generator)
        self._discriminator_optimizer = self._adam(self.discriminator)
        self.generator.train()

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), lr=self.config.learning_rate, betas=_BETAS)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"generator": self._generator_optimizer, "discriminator": self._discriminator_optimizer}

    @abstractmethod
    def generate(self, poses: torch.Tensor) -> torch.Tensor:
        """Images for one example's poses, both (B, window, 3, H, W), with the gradient kept throughout."""

    def train_step(self, batch: Batch) -> dict[str, float]:
        fake = self.generate(batch.poses)
        judged_real = self._judge(batch.poses, batch.frames)
        losses = self._step_generator(batch, fake, judged_real)
        losses |= self._step_discriminator(batch, fake.detach(), judged_real)
        return {name: float(value.detach()) for name, value in losses.items()}

    def _judge(self, poses: torch.Tensor, images: torch.Tensor) -> list[list[torch.Tensor]]:
        stacked = torch.cat([poses, images], dim=1).flatten(1, 2)  # (B, 6 * window, H, W): poses, then images
        features: list[list[torch.Tensor]] = self.discriminator(stacked)
        return features

    def _step_generator(
        self, batch: Batch, fake: torch.Tensor, judged_real: list[list[torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        self.discriminator.requires_grad_(False)
        judged = self._judge(batch.poses, fake)
        losses = {
            "g_gan": gan_loss(judged, real=True),
            "g_features": FEATURE_MATCHING_WEIGHT * feature_matching_loss(judged, judged_real),
        }
        if self.perceptual is not None:
            distance = self.perceptual(fake.flatten(0, 1), batch.frames.flatten(0, 1))
            # The mean over the frames of an example; Eq. 3 adds the loss of each of them.
            losses["g_perceptual"] = self.config.perceptual_weight * self.window * distance
        if self.config.pixel_weight > 0:
            losses["g_pixels"] = self.config.pixel_weight * F.l1_loss(fake, batch.frames)
        self._generator_optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        self._generator_optimizer.step()
        self.discriminator.requires_grad_(True)
        return losses

    def _step_discriminator(
        self, batch: Batch, fake: torch.Tensor, judged_real: list[list[torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        # `judged_real` was computed before the generator stepped, with this very discriminator.
        losses = {
            "d_real": gan_loss(judged_real, real=True),
            "d_fake": gan_loss(self._judge(batch.poses, fake), real=False),
        }
        self._discriminator_optimizer.zero_grad(set_to_none=True)
        (0.5 * (losses["d_real"] + losses["d_fake"])).backward()  # type: ignore[no-untyped-call]
        self._discriminator_optimizer.step()
        return losses

    def weights(self) -> dict[str, torch.Tensor]:
        return {f"generator.{name}": value for name, value in self.generator.state_dict().items()}

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.generator.load_state_dict({name.removeprefix("generator."): value for name, value in weights.items()})

    @abstractmethod
    def condition(self, pose: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        """What the generator sees, (B, C, H, W), for a pose and the previous output, both (B, 3, H, W)."""

    @torch.no_grad()
    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        self.generator.eval()
        height, width = self.clip.size
        previous = torch.zeros(1, 3, height, width, device=self.device)
        for points in motion.keypoints:
            sticks = draw_sticks(points, motion.size, self.clip.size)
            pose = to_tensor(sticks[None], self.device)  # (1, 3, H, W)
            previous = self.generator(self.condition(pose, previous))
            yield to_pixels(previous[0])
