"""Losses against closed forms."""

from __future__ import annotations

from pathlib import Path

import torch

from dancebench.core.nn.trunks import load_trunk
from dancebench.synth.gan.losses import PerceptualLoss, feature_matching_loss, gan_loss


def test_closed_form_lsgan_is_zero_at_its_target_and_sums_over_scales() -> None:
    ones = [[torch.ones(2, 1, 3, 3)], [torch.ones(2, 1, 2, 2)]]
    assert gan_loss(ones, real=True) == 0
    assert gan_loss(ones, real=False) == 2
    assert gan_loss([[torch.full((1, 1, 2, 2), 0.5)]], real=True) == 0.25


def test_closed_form_feature_matching() -> None:
    real = [[torch.zeros(1, 2, 2, 2)] * 4 + [torch.zeros(1, 1, 2, 2)]] * 2
    fake = [[torch.ones(1, 2, 2, 2)] * 4 + [torch.full((1, 1, 2, 2), 9.0)]] * 2
    # Four hidden layers at distance 1 on two scales: (4 / 4) · (1 / 2) · 8 = 4; the scores are left out.
    assert feature_matching_loss(fake, real) == 4


def test_feature_matching_holds_the_real_features_fixed() -> None:
    real = torch.zeros(1, 1, 2, 2, requires_grad=True)
    fake = torch.ones(1, 1, 2, 2, requires_grad=True)
    feature_matching_loss([[fake, fake]], [[real, real]]).backward()
    assert real.grad is None
    assert fake.grad is not None


def test_perceptual_loss_of_equal_images_is_zero_and_grows_with_noise(trunk_weights: Path) -> None:
    loss = PerceptualLoss(load_trunk("squeeze", download=False))
    image = torch.rand(1, 3, 64, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    assert loss(image, image) == 0
    near, far = loss(image + 0.05 * noise, image), loss(image + 0.3 * noise, image)
    assert 0 < float(near) < float(far)


def test_perceptual_loss_reaches_the_fake_and_not_the_trunk(trunk_weights: Path) -> None:
    loss = PerceptualLoss(load_trunk("squeeze", download=False))
    fake = torch.zeros(1, 3, 32, 32, requires_grad=True)
    loss(fake, torch.ones(1, 3, 32, 32)).backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert all(not weight.requires_grad for weight in loss.parameters())
