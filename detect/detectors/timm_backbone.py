"""`timm:NAME`, any backbone of timm over two frames and their difference: a pair in, one logit out.

Both frames are normalised by the mean and standard deviation of the backbone's own pretraining; their difference
(second minus first) follows as a third image, so the first convolution has 9 input channels. timm repeats
pretrained filters of 3 channels over them, scaled to a third. timm's own head pools the last feature map into
one linear logit. Trained with binary cross-entropy on real (0) and synthesized (1) pairs.

Pretrained weights are looked for in the folder `BENCH_WEIGHTS` (NAME.safetensors or NAME.pth), then at the
Hugging Face hub and in its cache; if there are none, the weights are initialised at random and `origin` says so.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator
from safetensors import SafetensorError
from torch import Tensor

from dancebench.core.errors import BenchError, UnknownNameError, first_line
from dancebench.core.files import sha256_file
from dancebench.core.nn import torchvision_ops
from dancebench.detect.detectors._gradcam import FeatureMapNetwork
from dancebench.detect.detectors._neural import NeuralConfig, NeuralDetector
from dancebench.detect.detectors.base import DETECTORS
from dancebench.detect.inputs.pairs import Pairs

_HUB_SECONDS = 5.0


def import_timm() -> Any:
    """Import the library, late since that takes seconds."""
    torchvision_ops.declare_missing_ops()
    import timm as library

    return library


class TimmConfig(NeuralConfig):
    """Trains in one to two minutes on one core at 128x64 with mobilenetv3_small_050 or resnet10t."""

    backbone: str
    """A name of timm's `list_models`."""
    pretrained: bool = True
    """Start from timm's published weights if they are available."""
    steps: int = Field(default=200, ge=1)

    @field_validator("backbone")
    @classmethod
    def _check_backbone(cls, name: str) -> str:
        """Raise UnknownNameError, which proposes known names, for a backbone that timm does not have."""
        if not import_timm().is_model(name):
            raise UnknownNameError("timm backbone", name, import_timm().list_models())
        return name


class TimmNetwork(FeatureMapNetwork):
    """Two frames and their difference, float (B, 9, H, W) -> the log-odds that they are synthesized."""

    def __init__(self, backbone: str, size: tuple[int, int]) -> None:
        super().__init__()
        self.backbone = _create_backbone(backbone, size)

    def feature_maps(self, inputs: Tensor) -> Tensor:
        return cast(Tensor, self.backbone.forward_features(inputs))  # (B, C, h, w); tokens (B, T, C) of a ViT

    def classify(self, maps: Tensor) -> Tensor:
        return cast(Tensor, self.backbone.forward_head(maps)).squeeze(1)  # (B,)


@DETECTORS.register("timm")
class TimmBackbone(NeuralDetector):
    """Any timm backbone over two frames and their difference."""

    VARIANT = "backbone"
    Config = TimmConfig
    config: TimmConfig
    network: TimmNetwork

    def build(self) -> TimmNetwork:
        return TimmNetwork(self.config.backbone, self.config.size)

    def to_tensor(self, pairs: Pairs) -> Tensor:
        """uint8 (B, 2, H, W, 3) -> float (B, 9, H, W): two normalised frames and their difference."""
        pretraining = self.network.backbone.pretrained_cfg
        mean, std = (torch.tensor(pretraining[name], device=self.device).repeat(2) for name in ("mean", "std"))
        x = (super().to_tensor(pairs) + 1) / 2  # (B, 6, H, W) in [0, 1]
        x = (x - mean[:, None, None]) / std[:, None, None]
        return torch.cat([x, x[:, 3:] - x[:, :3]], dim=1)

    def find_initial_weights(self) -> str | None:
        return self._load_pretrained() if self.config.pretrained else None

    def saliency(self, pairs: Pairs) -> npt.NDArray[np.float32] | None:
        """Grad-CAM at the last feature map; None for a backbone that ends in tokens or keeps channels last."""
        with torch.inference_mode():
            dimensions = self.network.eval().feature_maps(self.to_tensor(pairs[:1])).ndim
        channels_last = getattr(self.network.backbone, "output_fmt", "NCHW") == "NHWC"
        return super().saliency(pairs) if dimensions == 4 and not channels_last else None

    def _load_pretrained(self) -> str:
        """Load pretrained weights; returns where they are from, or why they are not.

        Raises:
            BenchError: A file has the right name but not the weights.
        """
        name = self.config.backbone
        found, reason = _find_pretrained(name)
        if found is None:
            return f"at random, since pretrained weights of {name} are not in BENCH_WEIGHTS and {reason}"
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.config.seed)  # of the head, which has no pretrained weights
                backbone = _create_backbone(name, self.config.size, found)
            _check_all_loaded(self.network.backbone, backbone)
        except (OSError, EOFError, RuntimeError, LookupError, TypeError, AttributeError, ValueError, MemoryError,
                SafetensorError) as error:  # fmt: skip
            raise BenchError(
                f"{found} does not hold the weights of {name} ({first_line(error)}).",
                hint="Remove the file, or put the right one there.",
            ) from error
        self.network.backbone.load_state_dict(backbone.state_dict())
        return f"pretrained {name}, SHA-256 {sha256_file(found)}"


def _create_backbone(name: str, size: tuple[int, int], weights: Path | None = None) -> Any:
    """Create the backbone for 9 channels and one logit, at random or from a file (only read, never executed)."""
    fixed = {"img_size": size} if import_timm().get_pretrained_cfg(name).fixed_input_size else {}
    source = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}} if weights else {}
    return import_timm().create_model(name, in_chans=9, num_classes=1, **fixed, **source)


def _check_all_loaded(start: Any, backbone: Any) -> None:
    """Check that a file set all weights of the backbone: timm skips missing ones if the head differs.

    Args:
        start: The randomly initialised backbone, from the same seed.
        backbone: The backbone after the file was read.

    Raises:
        ValueError: A weight still has its random value.
    """
    head = backbone.pretrained_cfg["classifier"]
    before = dict(start.named_parameters())
    for name, weight in backbone.named_parameters():
        in_head = name.startswith((head,) if isinstance(head, str) else tuple(head))
        if not in_head and weight.ndim > 1 and torch.equal(weight, before[name].cpu()):
            raise ValueError(f"it has no {name}")


def _find_pretrained(name: str) -> tuple[Path | None, str]:
    """Find the file of a backbone's published weights, or the reason why there is none."""
    if folder := os.environ.get("BENCH_WEIGHTS"):
        for path in (Path(folder) / f"{name}.safetensors", Path(folder) / f"{name}.pth"):
            if path.is_file():
                return path, ""
    hub_name = import_timm().get_pretrained_cfg(name).hf_hub_id
    if not hub_name:
        return None, "none are published"
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(hub_name, "model.safetensors")
    if isinstance(cached, str):
        return Path(cached), ""
    try:
        with urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=_HUB_SECONDS):
            pass  # the hub's own client retries for a minute where there is no network
        return Path(hf_hub_download(hub_name, "model.safetensors")), ""
    except (OSError, urllib.error.URLError) as error:
        return None, f"could not be downloaded ({type(error).__name__})"
