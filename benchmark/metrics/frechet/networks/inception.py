"""Inception-v3 for FID, in two versions that give different numbers: their names tell them apart.

    inception-v3       torchvision's network and weights (`inception_v3_google-*.pth`, 1,000 classes)
    inception-v3-fid   the network that FID was defined with (Heusel et al. 2017), as ported from TensorFlow
                       (`pt_inception-2015-12-05-*.pth`, 1,008 classes): average pooling does not count the padding, and
                       the last block pools by maximum

Features are the 2,048 of the last pooling; frames are resized as in Clean-FID (Parmar et al. 2022), with antialiasing.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from dancebench.benchmark.metrics.frechet.base import FEATURE_NETWORKS, FeatureNetwork, State

_HALF: Final = (0.5, 0.5, 0.5)
_SIZE: Final = (299, 299)
_AVERAGING: Final = (
    "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b",
)  # fmt: skip
"""The blocks whose pooling branch averages."""


def build_inception(state: State) -> nn.Module:
    """Torchvision's Inception-v3 without its classifier: (N, 3, 299, 299) to (N, 2048)."""
    return _load(state, 1000, aux_logits=any(name.startswith("AuxLogits.") for name in state))


def build_fid_inception(state: State) -> nn.Module:
    """FID's Inception-v3 without its classifier: (N, 3, 299, 299) to (N, 2048)."""
    network = _load(state, 1008, aux_logits=False)
    for name in _AVERAGING:
        network.get_submodule(f"{name}.branch_pool").register_forward_pre_hook(_uncount_padding)
    _pool_by_maximum(network.get_submodule("Mixed_7c"))
    return network


def _load(state: State, classes: int, *, aux_logits: bool) -> nn.Module:
    """The network with its weights, and without its classifier."""
    import torchvision  # `load_network` has made this possible beside a CPU build of torch

    network: nn.Module = torchvision.models.Inception3(classes, aux_logits, transform_input=False, init_weights=False)
    network.load_state_dict(dict(state))
    network.fc = nn.Identity()
    return network


def _uncount_padding(module: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    """Turn means over 3x3 with zeros as padding into means over what lies inside."""
    (pooled,) = inputs
    share = nn.functional.avg_pool2d(torch.ones_like(pooled[:1, :1]), kernel_size=3, stride=1, padding=1)
    return (pooled / share,)


def _pool_by_maximum(block: nn.Module) -> None:
    """Give the pooling branch of a block maxima in place of means."""
    kept: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        kept[:] = inputs

    def pool(module: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (nn.functional.max_pool2d(kept.pop(), kernel_size=3, stride=1, padding=1),)

    block.register_forward_pre_hook(keep)
    block.get_submodule("branch_pool").register_forward_pre_hook(pool)


for _name, _build in (("inception-v3", build_inception), ("inception-v3-fid", build_fid_inception)):
    FEATURE_NETWORKS.enter(_name, FeatureNetwork("fid", _build, 1, _SIZE, _HALF, _HALF), module=__name__)
