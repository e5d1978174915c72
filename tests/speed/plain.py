"""The baseline of training speed: a plain loop over the same networks, in the manner of pix2pixHD's public code.

Eager, float32, contiguous, Adam as torch gives it by default. A step: the generator's two frames; the
discriminator on the fake (detached), on the real and on the fake; the generator's step, then the
discriminator's. Nothing is shared between passes, and each backward pass computes all gradients of its graph.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from dancebench.core.nn.convolution import Conv2d
from dancebench.synth.gan.losses import FEATURE_MATCHING_WEIGHT, feature_matching_loss
from dancebench.synth.gan.networks import GlobalGenerator, MultiscaleDiscriminator

Step = Callable[[torch.Tensor, torch.Tensor], dict[str, float]]
"""From (poses, frames), both (B, 2, 3, H, W), to the losses of the step."""


def plain_step(generator: GlobalGenerator, discriminator: MultiscaleDiscriminator, learning_rate: float) -> Step:
    """Two-frame training of `generator` against `discriminator`, one call a step."""
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=learning_rate, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    ]

    def discriminate(poses: torch.Tensor, images: torch.Tensor) -> list[list[torch.Tensor]]:
        features: list[list[torch.Tensor]] = discriminator(torch.cat([poses, images], dim=1).flatten(1, 2))
        return features

    def step(poses: torch.Tensor, frames: torch.Tensor) -> dict[str, float]:
        first = generator(torch.cat([poses[:, 0], torch.zeros_like(poses[:, 0])], dim=1))
        second = generator(torch.cat([poses[:, 1], first], dim=1))
        fake = torch.stack([first, second], dim=1)
        detached_outputs, real_outputs = discriminate(poses, fake.detach()), discriminate(poses, frames)
        fake_outputs = discriminate(poses, fake)
        losses = {
            "g_gan": _compute_squares(fake_outputs, 1.0),
            "g_features": FEATURE_MATCHING_WEIGHT * feature_matching_loss(fake_outputs, real_outputs),
            "d_real": _compute_squares(real_outputs, 1.0),
            "d_fake": _compute_squares(detached_outputs, 0.0),
        }
        totals = (losses["g_gan"] + losses["g_features"], 0.5 * (losses["d_real"] + losses["d_fake"]))
        for optimizer, loss in zip(optimizers, totals, strict=True):
            optimizer.zero_grad()
            loss.backward(retain_graph=True)
            if optimizer is optimizers[0]:
                optimizer.step()
        optimizers[1].step()
        return {name: loss.item() for name, loss in losses.items()}

    return step


def _compute_squares(features: list[list[torch.Tensor]], target: float) -> torch.Tensor:
    scores = [scale[-1] for scale in features]
    return torch.stack([F.mse_loss(score, torch.full_like(score, target)) for score in scores]).sum()


def networks(
    device: torch.device, *, ngf: int, ndf: int, n_down: int, n_blocks: int
) -> tuple[GlobalGenerator, MultiscaleDiscriminator]:
    """A generator and a discriminator for two-frame training, new, with torch's own convolutions."""
    generator = GlobalGenerator(6, ngf=ngf, n_down=n_down, n_blocks=n_blocks).to(device)
    discriminator = MultiscaleDiscriminator(12, ndf=ndf).to(device)
    for module in [*generator.modules(), *discriminator.modules()]:
        if isinstance(module, Conv2d):
            module.__class__ = nn.Conv2d
    return generator, discriminator
