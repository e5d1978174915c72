"""The adversarial loss of DDG (section 3.5, Eq. 4): relativistic average least squares with a gradient penalty.

The discriminator scores how much more real an image is than the other kind is on average. The targets are as
printed: the real exceeds the fake's mean by 1, the fake the real's mean by 0; the generator has them exchanged.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from dancebench.synth.gan.losses import Features


def relativistic_loss(higher: Features, lower: Features) -> torch.Tensor:
    """Eq. 4 without the penalty: `higher` shall exceed the mean of `lower` by 1, and `lower` that of `higher` by 0.

    The discriminator's loss has the real as `higher`, the generator's the fake. Means are over the batch and the map
    of scores; scales are summed.
    """
    losses = []
    for above, below in zip(higher, lower, strict=True):
        a, b = above[-1].float(), below[-1].float()  # (B, 1, h, w)
        losses.append((a - b.mean() - 1).square().mean() + (b - a.mean()).square().mean())
    return 0.5 * torch.stack(losses).sum()


def gradient_penalty(
    discriminate: Callable[[torch.Tensor], Features], real: torch.Tensor, fake: torch.Tensor, share: torch.Tensor
) -> torch.Tensor:
    """Squared difference to 1 of the norm of the gradient of an image's mean score (Gulrajani et al. 2017).

    Eq. 4 prints the norm of the gradient of "D(x, p)" as if the discriminator gave one number, and does not say at
    which points. This one gives a map of scores. An image's score is taken as the mean of its map: the gradient of a
    sum grows with the map's size, so that a penalty on it would be above 2,000 at the start of a training, and would
    leave scores that hardly depend on the image. The points are those of the work that Eq. 4 cites, one between each
    real and its fake, and the gradient is with respect to all of the discriminator's input.

    Args:
        discriminate: Maps inputs (B, C, H, W) to features by scale and layer.
        real: Its input for real images, (B, C, H, W).
        fake: The same for fakes.
        share: Of the real in the point between, (B,) in [0, 1].

    Returns:
        A scalar, averaged over the batch and summed over the scales, whose gradient flows to the discriminator alone.
    """
    weight = share.view(-1, 1, 1, 1)
    between = (weight * real + (1 - weight) * fake).detach().requires_grad_()
    penalties = []
    for scale in discriminate(between):
        scores = scale[-1].float().flatten(1).mean(dim=1)  # (B,)
        (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)  # of each item's own score
        norm = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()  # (B,); the root of 0 has no derivative
        penalties.append((norm - 1).square().mean())
    return torch.stack(penalties).sum()
