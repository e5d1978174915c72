"""torchvision's video networks, trained on Kinetics-400, for distances between sets of clips of 16 frames.

    r3d_18      3D ResNet: the family of FID-VID; 512 features
    s3d         separable I3D: the family of FVD; 1,024 features
    mvit_v2_s   transformer; 768 features

None is the network of the published FID-VID (3D ResNeXt-101 or ResNet-50) or FVD (I3D): the numbers do not compare with
published ones, which is why the network stands in the metric's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from torch import nn

from dancebench.benchmark.metrics.frechet.base import FEATURE_NETWORKS, FeatureNetwork, State

CLIP_LENGTH: Final = 16


class _Entry(NamedTuple):
    metric: str
    classifier: str
    """Module that turns features into classes."""
    side: int
    mean: Sequence[float]
    std: Sequence[float]


_KINETICS: Final = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
_ENTRIES: Final = {
    "r3d_18": _Entry("fid_vid", "fc", 112, *_KINETICS),
    "s3d": _Entry("fvd", "classifier", 224, *_KINETICS),
    "mvit_v2_s": _Entry("fvd", "head", 224, (0.45,) * 3, (0.225,) * 3),
}


def _make_builder(name: str, classifier: str) -> Callable[[State], nn.Module]:
    def build(state: State) -> nn.Module:
        import torchvision  # `load_network` has made this possible beside a CPU build of torch

        network: nn.Module = torchvision.models.get_model(name, weights=None)
        network.load_state_dict(dict(state))
        setattr(network, classifier, nn.Identity())
        return network

    return build


for _name, _entry in _ENTRIES.items():
    FEATURE_NETWORKS.enter(
        _name,
        FeatureNetwork(
            _entry.metric,
            _make_builder(_name, _entry.classifier),
            CLIP_LENGTH,
            (_entry.side, _entry.side),
            _entry.mean,
            _entry.std,
        ),
        module=__name__,
    )
