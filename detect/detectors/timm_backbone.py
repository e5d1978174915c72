"""`timm:NAME`, any backbone of timm over two frames and their difference: a pair in, one logit out.

Both frames are normalised by the mean and standard deviation of the backbone's own pretraining; their difference
(second minus first) follows as a third image, so the first convolution has 9 input channels. timm repeats
pretrained filters of 3 channels over them, scaled to a third. timm's own head pools the last feature map into
one linear logit. Trained with binary cross-entropy on real (0) and synthesized (1) pairs.

`tune` says which weights are trained. `all` is the above. With `norm` (the head and the affine weights of the
normalisation layers: LN-tuning of a ViT) and `head` (a linear probe) the filters stay as they were pretrained, and
repeated over two frames and their difference they would see the second frame alone, at two thirds: the input is one
frame, as it was in the pretraining.

Pretrained weights are looked for in the folder `BENCH_WEIGHTS` (NAME.safetensors or NAME.pth), in installed packages
that carry them, then at the Hugging Face hub and in its cache; if there are none, the weights are initialised at random
and `origin` says so, or, where they would stay so, training is refused.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer
from safetensors import SafetensorError
from torch import Tensor, nn

from dancebench.core.errors import BenchError, UnknownNameError, first_line
from dancebench.core.files import sha256_file
from dancebench.core.nn import torchvision_ops
from dancebench.detect.detectors._gradcam import FeatureMapNetwork
from dancebench.detect.detectors._neural import NeuralConfig, NeuralDetector
from dancebench.detect.detectors._packaged_weights import find_packaged, read_packaged
from dancebench.detect.detectors.base import DETECTORS
from dancebench.detect.inputs.pairs import Pairs

Tune = Literal["head", "norm", "all"]

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
    tune: Tune = "all"
    """Which weights are trained: those of the head, these and of the normalisation layers, or all."""
    steps: int = Field(default=200, ge=1)

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is tuned where it is all, as before there was a choice: hashes of configurations stay."""
        fields = self._leave_out_whole_frames(serialise)
        return {name: value for name, value in fields.items() if (name, value) != ("tune", "all")}

    @field_validator("backbone")
    @classmethod
    def _check_backbone(cls, name: str) -> str:
        """Raise UnknownNameError, which proposes known names, for a backbone that timm does not have."""
        if not import_timm().is_model(name):
            raise UnknownNameError("timm backbone", name, import_timm().list_models())
        return name


class TimmNetwork(FeatureMapNetwork):
    """Images float (B, channels, H, W) -> the log-odds that they are synthesized.

    Args:
        backbone: Its name.
        size: (height, width).
        channels: Of the input: 9 for two frames and their difference, 3 for one frame.
        tune: Which weights require gradients.
    """

    def __init__(self, backbone: str, size: tuple[int, int], channels: int = 9, tune: Tune = "all") -> None:
        super().__init__()
        self.backbone = _create_backbone(backbone, size, channels)
        self.channels = channels
        self.tune = tune
        if tune != "all":
            self.backbone.requires_grad_(False)
            for part in self._list_tuned(tune):
                part.requires_grad_(True)

    def _list_tuned(self, tune: Tune) -> list[nn.Module]:
        norms = _list_norms(self.backbone) if tune == "norm" else []
        return [self.backbone.get_classifier(), *norms]

    def train(self, mode: bool = True) -> TimmNetwork:
        """Set training mode; a trunk that only feeds a trained head keeps its statistics."""
        super().train(mode)
        if self.tune == "head":
            self.backbone.eval()
        return self

    def feature_maps(self, inputs: Tensor) -> Tensor:
        return cast(Tensor, self.backbone.forward_features(inputs))  # (B, C, h, w); tokens (B, T, C) of a ViT

    def classify(self, maps: Tensor) -> Tensor:
        return cast(Tensor, self.backbone.forward_head(maps)).squeeze(1)  # (B,)


@DETECTORS.register("timm")
class TimmBackbone(NeuralDetector):
    """Any timm backbone over two frames and their difference."""

    VARIANT = "backbone"
    EXAMPLE = "resnet18"
    Config = TimmConfig
    config: TimmConfig
    network: TimmNetwork

    @property
    def window(self) -> int:
        return 2 if self.config.tune == "all" else 1

    def build(self) -> TimmNetwork:
        channels = 9 if self.window == 2 else 3
        return TimmNetwork(self.config.backbone, self.config.size, channels, self.config.tune)

    def normalise(self, frames: Tensor) -> Tensor:
        """(B, 3 window, H, W) in [-1, 1] -> frames as in the pretraining, a pair with its difference (B, 9, H, W)."""
        pretraining = self.network.backbone.pretrained_cfg
        mean, std = (
            torch.tensor(pretraining[name], device=self.device).repeat(self.window) for name in ("mean", "std")
        )
        x = (frames + 1) / 2  # in [0, 1]
        x = (x - mean[:, None, None]) / std[:, None, None]
        return x if self.window == 1 else torch.cat([x, x[:, 3:] - x[:, :3]], dim=1)

    def find_initial_weights(self) -> str | None:
        if self.config.pretrained:
            return self._load_pretrained()
        self._require_all_tuned("pretrained is false")
        return None

    def saliency(self, pairs: Pairs) -> npt.NDArray[np.float32] | None:
        """Grad-CAM at the last feature map; None for a backbone that ends in tokens or keeps channels last."""
        with torch.inference_mode():
            dimensions = self.network.eval().feature_maps(self.to_tensor(pairs[:1])).ndim
        channels_last = getattr(self.network.backbone, "output_fmt", "NCHW") == "NHWC"
        return super().saliency(pairs) if dimensions == 4 and not channels_last else None

    def _load_pretrained(self) -> str:
        """Load pretrained weights; returns where they are from, or why they are not.

        Raises:
            BenchError: A file has the right name but not the weights, or weights that are not trained would be random.
        """
        name = self.config.backbone
        found, reason = _find_pretrained(name)
        if found is None:
            self._require_all_tuned(f"they are not in BENCH_WEIGHTS and {reason}")
            return f"at random, since pretrained weights of {name} are not in BENCH_WEIGHTS and {reason}"
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.config.seed)  # of the head, which has no pretrained weights
                backbone = _create_backbone(name, self.config.size, self.network.channels, found)
            _check_all_loaded(self.network.backbone, backbone)
        except (OSError, EOFError, RuntimeError, LookupError, TypeError, AttributeError, ValueError, MemoryError,
                SafetensorError) as error:  # fmt: skip
            raise BenchError(
                f"{found} does not hold the weights of {name} ({first_line(error)}).",
                hint="Remove the file, or put the right one there.",
            ) from error
        self.network.backbone.load_state_dict(backbone.state_dict())
        return f"pretrained {name}, SHA-256 {sha256_file(found)}"

    def _require_all_tuned(self, why_random: str) -> None:
        """Refuse to train a head on random weights that stay as they are."""
        if self.config.tune != "all":
            raise BenchError(
                f"tune={self.config.tune} needs pretrained weights of {self.config.backbone}: {why_random}.",
                hint="Put them into BENCH_WEIGHTS, or tune all.",
            )


def _create_backbone(name: str, size: tuple[int, int], channels: int, weights: Path | None = None) -> Any:
    """Create the backbone for so many channels and one logit, at random or from a file (only read, never executed)."""
    fixed = {"img_size": size} if import_timm().get_pretrained_cfg(name).fixed_input_size else {}
    source: dict[str, Any] = {}
    if weights is not None:
        packaged = weights == find_packaged(name)
        read = {"state_dict": read_packaged(name, _list_tensors(name))} if packaged else {"file": str(weights)}
        source = {"pretrained": True, "pretrained_cfg_overlay": read}
    return import_timm().create_model(name, in_chans=channels, num_classes=1, **fixed, **source)


def _list_tensors(name: str) -> dict[str, torch.Size]:
    """Names and shapes of a backbone's published tensors, in order."""
    return {key: value.shape for key, value in import_timm().create_model(name).state_dict().items()}


def _list_norms(backbone: nn.Module) -> list[nn.Module]:
    """The normalisation layers, whatever is normalised."""
    kinds = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm, import_timm().layers.RmsNorm)
    return [part for part in backbone.modules() if isinstance(part, kinds)]


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
    if packaged := find_packaged(name):
        return packaged, ""
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
