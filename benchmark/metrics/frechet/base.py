"""Registry of feature networks, and how their weights are read.

A network is an architecture that a library defines or a module here does; its weights are a file that the user names,
a state dict (`.safetensors`, or `.pth`/`.pt` read with `weights_only=True`). Nothing in a file is executed, so
TorchScript archives and pickled modules are refused. A network of another package (an I3D, say) enters the
registry through the entry point group `dancebench.feature_networks`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load as load_safetensors
from torch import nn

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import read_bytes, sha256_file
from dancebench.core.nn import torchvision_ops
from dancebench.core.registry import Registry

_TORCHSCRIPT: Final = "constants.pkl"
"""A member of every TorchScript archive, and of no state dict."""
State = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class FeatureNetwork:
    """What a Fréchet distance is measured with.

    Attributes:
        metric: The distance that it gives: `fid` of frames, `fid_vid` or `fvd` of clips.
        build: The network with weights from a state dict: `forward` maps frames (N, 3, H, W), or clips
            (N, 3, T, H, W), to features (N, d). It raises RuntimeError, KeyError or ValueError where they do not fit.
        clip_length: Frames of a clip; 1 for frames.
        size: (height, width) that frames are resized to, whatever their shape, bilinear with antialiasing.
        mean: Of each channel, in [0, 1]; subtracted.
        std: Of each channel; divided by.
    """

    metric: str
    build: Callable[[State], nn.Module]
    clip_length: int
    size: tuple[int, int]
    mean: Sequence[float]
    std: Sequence[float]


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network with its weights.

    Attributes:
        name: In the registry.
        module: Frozen, in evaluation mode.
        sha256: Of the file of weights.
    """

    name: str
    network: FeatureNetwork
    module: nn.Module
    sha256: str

    @torch.no_grad()
    def extract(self, frames: torch.Tensor) -> torch.Tensor:
        """Features of clips.

        Args:
            frames: uint8 (N, T, H, W, 3), T frames of each clip.

        Returns:
            float64 (N, d).
        """
        n, t = frames.shape[:2]
        pixels = frames.flatten(0, 1).permute(0, 3, 1, 2).float() / 255  # (N * T, 3, H, W)
        resized = nn.functional.interpolate(pixels, size=self.network.size, mode="bilinear", antialias=True)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.network.mean, self.network.std))
        ready = ((resized - mean) / std).reshape(n, t, 3, *self.network.size)  # (N, T, 3, h, w)
        features: torch.Tensor = self.module(ready[:, 0] if self.network.clip_length == 1 else ready.transpose(1, 2))
        return features.double()


FEATURE_NETWORKS: Final[Registry[FeatureNetwork]] = Registry(
    "feature network",
    package="dancebench.benchmark.metrics.frechet.networks",
    group="dancebench.feature_networks",
)


def load_network(name: str, path: Path) -> LoadedNetwork:
    """A network with weights from a file.

    Raises:
        UnknownNameError: There is no such network.
        BenchError: The file is missing, no state dict, or of another network.
    """
    torchvision_ops.declare_missing_ops()  # networks, those of plug-ins too, may import torchvision
    network = FEATURE_NETWORKS[name]
    state = _read_state(path)
    try:
        module = network.build(state).eval().requires_grad_(False)
    except (RuntimeError, KeyError, ValueError) as error:
        raise BenchError(
            f"{path} does not hold the weights of {name}: {first_line(error).rstrip(':')}.",
            hint="Name the state dict of that network, with its tensors' own names.",
        ) from error
    return LoadedNetwork(name, network, module, sha256_file(path))


def _list_members(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _read_state(path: Path) -> State:
    """The tensors of a file by name; nothing in it is executed."""
    try:
        if path.suffix == ".safetensors":
            return dict(load_safetensors(read_bytes(path)))
        read_bytes(path)  # a pipe or an unreadable file is refused in words
        if zipfile.is_zipfile(path) and _TORCHSCRIPT in {name.rpartition("/")[2] for name in _list_members(path)}:
            raise ValueError("a TorchScript archive")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist.", hint="Name a file of weights: --network NAME=FILE.") from None
    except BenchError:
        raise
    except Exception as error:  # the readers' own: each has classes that no module here may import
        raise BenchError(
            f"{path} is no file of tensors ({first_line(error)}).",
            hint="Save a state dict, best as .safetensors; TorchScript and pickled modules are not opened.",
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BenchError(f"{path} holds no state dict.", hint="Save `network.state_dict()` alone.")
    return state
