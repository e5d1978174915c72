"""Pretrained convolutional backbones (trunks): found locally or downloaded, verified by hash, or refused.

LPIPS and perceptual losses compare a trunk's features. It is looked for in the folder `BENCH_WEIGHTS`, then in
the torch hub cache, then, where the caller allows it, downloaded. Files are opened with
`weights_only=True`, so nothing in them is executed.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from torch import nn

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.files import sha256_file
from dancebench.core.nn import torchvision_ops


class TrunkUnavailableError(BenchError):
    """The trunk's weights were not found locally and could not be downloaded."""


@dataclass(frozen=True)
class TrunkSpec:
    """Which torchvision network a trunk is the `features` of.

    Attributes:
        network: Constructor and weights in torchvision's model registry.
        features_file: A file that holds the features' state dict alone, with its SHA-256.
    """

    network: str
    weights: str
    features_file: tuple[str, str] | None = None


_DOWNLOAD_TIMEOUT: Final = 30.0

TRUNKS: Final = {
    "alex": TrunkSpec("alexnet", "AlexNet_Weights.IMAGENET1K_V1"),
    "vgg19": TrunkSpec("vgg19", "VGG19_Weights.IMAGENET1K_V1"),
    "squeeze": TrunkSpec(
        "squeezenet1_1",
        "SqueezeNet1_1_Weights.IMAGENET1K_V1",
        ("squeezenet1_1_features.pth", "435cedb387e95bc8291893f61a3a64f0345b8c23a05139aceef43947efb3d52d"),
    ),
}


@dataclass(frozen=True)
class Trunk:
    """A frozen feature extractor and the hash of the file that its weights came from."""

    name: str
    features: nn.Sequential
    sha256: str


def load_trunk(name: str, *, download: bool) -> Trunk:
    """The convolutional features of a pretrained network, frozen and in evaluation mode.

    Args:
        name: A key of `TRUNKS`.
        download: Whether the weights may be downloaded where they are not found locally.

    Raises:
        UnknownNameError: There is no trunk of that name.
        TrunkUnavailableError: Its weights cannot be found (the message says where they were looked for), or a
            file has the right name but not the right hash.
    """
    spec = _find_spec(name)
    torchvision = _import_torchvision()
    # First, also where there are no weights: the random numbers that it draws are part of what a training gives.
    features: nn.Sequential = torchvision.models.get_model(spec.network, weights=None).features
    path, sha256 = find_trunk_file(name, download=download)
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    state = {key.removeprefix("features."): value for key, value in state.items() if "classifier" not in key}
    features.load_state_dict(state)
    return Trunk(name, features.eval().requires_grad_(False), sha256)


def find_trunk_file(name: str, *, download: bool) -> tuple[Path, str]:
    """The file of a pretrained network's weights, and its SHA-256: that of the published ones.

    Args:
        name: As for `load_trunk`.
        download: As for `load_trunk`.

    Raises:
        UnknownNameError: As `load_trunk`.
        TrunkUnavailableError: As `load_trunk`.
    """
    spec = _find_spec(name)
    weights = _import_torchvision().models.get_weight(spec.weights)
    path, prefix = _locate(spec, weights, download=download, name=name)
    sha256 = sha256_file(path)
    if not sha256.startswith(prefix):
        raise TrunkUnavailableError(
            f"{path} is not the {name} trunk: its SHA-256 begins with {sha256[:8]}, not {prefix[:8]}.",
            hint="Remove the file, or put the right one there.",
        )
    return path, sha256


def _find_spec(name: str) -> TrunkSpec:
    if name not in TRUNKS:
        raise UnknownNameError("trunk", name, TRUNKS)
    return TRUNKS[name]


def _import_torchvision() -> ModuleType:
    torchvision_ops.declare_missing_ops()
    import torchvision

    return torchvision  # type: ignore[no-any-return]


def _locate(spec: TrunkSpec, weights: Any, *, download: bool, name: str) -> tuple[Path, str]:
    """The weights' file, and the hash (or its beginning) that the file must have."""
    published = Path(weights.url).name  # e.g. vgg19-<first 8 of the hash>.pth
    prefix = published.removesuffix(".pth").rsplit("-", 1)[1]
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    folders = [Path(os.environ["BENCH_WEIGHTS"])] if os.environ.get("BENCH_WEIGHTS") else []
    for folder in folders:
        if spec.features_file and (folder / spec.features_file[0]).exists():
            return folder / spec.features_file[0], spec.features_file[1]
    for folder in (*folders, cache):
        if (folder / published).exists():
            return folder / published, prefix
    if download:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with _limit_socket_wait(_DOWNLOAD_TIMEOUT):
                torch.hub.download_url_to_file(weights.url, str(cache / published), prefix, progress=False)
            return cache / published, prefix
        except (OSError, RuntimeError) as error:
            raise _unavailable_error(name, f"and could not be downloaded ({error})") from error
    raise _unavailable_error(name, "and downloads are off")


@contextlib.contextmanager
def _limit_socket_wait(seconds: float) -> Iterator[None]:
    """Time out on a network that drops packets instead of waiting for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _unavailable_error(name: str, why: str) -> TrunkUnavailableError:
    return TrunkUnavailableError(
        f"The weights of the {name} trunk are not in BENCH_WEIGHTS nor in the torch hub cache, {why}.",
        hint=f"Put the file into the folder that BENCH_WEIGHTS names ({Path(torch.hub.get_dir())} also works).",
    )
