"""The networks against the parameter counts of the paper's implementation, and their shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dancebench.synth.gan.networks import GlobalGenerator, LocalEnhancer, MultiscaleDiscriminator


def parameters(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


@pytest.mark.parametrize(("channels", "count"), [(3, 182_443_267), (6, 182_452_675)])
def test_closed_form_generator_has_the_papers_parameters(channels: int, count: int) -> None:
    with torch.device("meta"):
        assert parameters(GlobalGenerator(channels)) == count


@pytest.mark.parametrize(("ngf", "millions"), [(32, 45.62), (16, 11.41)])
def test_closed_form_narrow_generators(ngf: int, millions: float) -> None:
    with torch.device("meta"):
        assert parameters(GlobalGenerator(3, ngf=ngf)) / 1e6 == pytest.approx(millions, abs=0.006)


def test_closed_form_face_generator() -> None:
    with torch.device("meta"):
        assert parameters(GlobalGenerator(6, n_down=3, n_blocks=5)) / 1e6 == pytest.approx(26.7, abs=0.05)


@pytest.mark.parametrize(
    ("channels", "scales", "count"), [(6, 2, 5_535_618), (6, 3, 8_303_427), (12, 2, 5_547_906), (12, 3, 8_321_859)]
)
def test_closed_form_discriminator_has_the_papers_parameters(channels: int, scales: int, count: int) -> None:
    with torch.device("meta"):
        assert parameters(MultiscaleDiscriminator(channels, n_scales=scales)) == count


def test_generator_keeps_the_size_and_stays_in_range() -> None:
    generator = GlobalGenerator(6, ngf=4, n_down=2, n_blocks=1)
    image = generator(torch.randn(2, 6, 32, 16))
    assert image.shape == (2, 3, 32, 16)
    assert image.abs().max() <= 1


def test_discriminator_gives_features_of_every_scale_and_layer() -> None:
    features = MultiscaleDiscriminator(6, ndf=4, n_scales=2)(torch.randn(1, 6, 128, 64))
    assert [len(scale) for scale in features] == [5, 5]
    assert features[0][-1].shape == (1, 1, 19, 11)  # 128 → 65 → 33 → 17 → 18 → 19, as 128² → 19x19 in the paper
    assert features[1][-1].shape[-2:] < features[0][-1].shape[-2:]


def test_closed_form_a_score_sees_70_pixels() -> None:
    discriminator = MultiscaleDiscriminator(3, ndf=4, n_scales=1).double()
    for module in discriminator.modules():  # instance norm mixes all pixels: leave it out to see the receptive field
        if isinstance(module, nn.Sequential):
            for k, layer in enumerate(module):
                if isinstance(layer, nn.InstanceNorm2d):
                    module[k] = nn.Identity()
    image = torch.randn(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    scores = discriminator(image)[0][-1]
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert image.grad is not None
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


@pytest.mark.parametrize(("channels", "count"), [(3, 182_701_827), (6, 182_715_939)])
def test_closed_form_local_enhancer_has_the_papers_parameters(channels: int, count: int) -> None:
    with torch.device("meta"):
        assert parameters(LocalEnhancer(GlobalGenerator(channels), channels)) == count


def test_the_local_enhancer_generates_at_twice_the_size_of_its_global_generator() -> None:
    coarse = GlobalGenerator(6, ngf=4, n_down=2, n_blocks=1)
    input_sizes: list[torch.Size] = []
    coarse[0].register_forward_pre_hook(lambda _, inputs: input_sizes.append(inputs[0].shape))
    image = LocalEnhancer(coarse, 6, ngf=2, n_blocks=1)(torch.randn(1, 6, 64, 32))
    assert image.shape == (1, 3, 64, 32)
    assert input_sizes == [(1, 6, 32, 16)]
