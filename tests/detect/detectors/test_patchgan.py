"""The PatchGAN that the synthesis discriminator and the detector share."""

import pytest
import torch
from torch import nn

from dancebench.core.nn.patchgan import PatchDiscriminator


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# --- closed form


@pytest.mark.parametrize(("scales", "expected"), [(1, 2_767_809), (2, 5_535_618), (3, 8_303_427)])
def test_closed_form_parameter_count_of_a_multiscale_discriminator(scales: int, expected: int) -> None:
    assert sum(parameters(PatchDiscriminator(6, ndf=64, n_layers=3)) for _ in range(scales)) == expected


def test_closed_form_feature_sizes_follow_kernel_4_padding_2() -> None:
    features = PatchDiscriminator(6, ndf=4)(torch.zeros(2, 6, 128, 128))
    assert [tuple(map_.shape) for map_ in features] == [
        (2, 4, 65, 65),
        (2, 8, 33, 33),
        (2, 16, 17, 17),
        (2, 32, 18, 18),
        (2, 1, 19, 19),  # 128 -> 19, as in the face discriminator of pix2pix
    ]


def test_closed_form_receptive_field_of_a_discriminator_output_is_70_pixels() -> None:
    """Without InstanceNorm, whose statistics are of the whole map."""
    discriminator = PatchDiscriminator(1, ndf=2)
    for layer in discriminator.trunk.layers[1:]:
        layer.register_module("1", nn.Identity())
    images = torch.randn(1, 1, 256, 256, requires_grad=True)
    output: torch.Tensor = discriminator(images)[-1]
    torch.autograd.backward(output[0, 0, output.shape[2] // 2, output.shape[3] // 2])
    assert images.grad is not None
    rows = images.grad[0, 0].abs().sum(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_closed_form_weights_are_initialised_from_a_normal_of_002() -> None:
    torch.manual_seed(0)
    weights = torch.cat([p.flatten() for p in PatchDiscriminator(6).parameters() if p.ndim == 4])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert abs(weights.mean().item()) < 1e-4


def test_weights_of_version_0_1_0_whose_last_layer_was_called_verdict_are_loaded() -> None:
    saved = nn.ModuleList([PatchDiscriminator(6, ndf=4), PatchDiscriminator(6, ndf=4)])
    current = saved.state_dict()
    old = {name.replace("score_map", "verdict"): value for name, value in current.items()}
    assert "1.verdict.bias" in old
    loaded = nn.ModuleList([PatchDiscriminator(6, ndf=4), PatchDiscriminator(6, ndf=4)])
    loaded.load_state_dict(old)
    assert list(loaded.state_dict()) == list(current)
    assert all(torch.equal(value, current[name]) for name, value in loaded.state_dict().items())
    assert "1.verdict.bias" in old  # the caller's dictionary is left as it was
    with pytest.raises(RuntimeError, match="score_map"):
        loaded.load_state_dict({name: value for name, value in old.items() if "1.verdict" not in name})


def test_the_trunk_is_the_discriminator_without_its_last_layer() -> None:
    discriminator = PatchDiscriminator(6, ndf=4)
    images = torch.randn(1, 6, 32, 32)
    for ours, theirs in zip(discriminator.trunk(images), discriminator(images)[:-1], strict=True):
        torch.testing.assert_close(ours, theirs)
