"""`pair-patch`, the detector of Everybody Dance Now (sections 5 and 8.2): two frames in, one logit out.

The synthesis discriminator's layers at one scale over two consecutive frames (6 channels), global average
pooling, and a linear layer; trained with binary cross-entropy on real (0) and synthesized (1) pairs.
InstanceNorm takes each channel's mean away, and the LeakyReLU behind it brings back what pooling can see:
0.4 times the mean absolute response, which tells sparse responses from even ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_path
from dancebench.core.patchgan import PatchTrunk
from dancebench.core.progress import Report
from dancebench.detect.pairs import PairPool, Pairs
from dancebench.detect.registry import DETECTORS, Detector, DetectorConfig, Logits
from dancebench.detect.training import one_thread, train

_SCORING_BATCH = 16


class PairPatchConfig(DetectorConfig):
    """The paper states no schedule for its detector; these take about half a minute on one core at 128x64.

    Weights start as torch does, not from the discriminator's N(0, 0.02): from there narrow networks (ndf 8
    and 16) learned nothing in 200 steps on synthetic fakes that they otherwise tell without error.
    """

    ndf: int = Field(default=32, ge=1)
    """Channels of the first layer; 64 in the paper."""
    n_layers: int = Field(default=3, ge=1)
    steps: int = Field(default=300, ge=1)
    batch: int = Field(default=16, ge=2, multiple_of=2)
    learning_rate: float = Field(default=5e-4, gt=0)


class PairPatchNetwork(nn.Module):
    """Two frames -> the log-odds that they are synthesized."""

    def __init__(self, ndf: int, n_layers: int) -> None:
        super().__init__()
        self.trunk = PatchTrunk(6, ndf, n_layers)
        self.head = nn.Linear(self.trunk.out_channels, 1)

    def forward(self, pairs: Tensor) -> Tensor:
        """Logits (B,) of float pairs (B, 6, H, W) in [-1, 1]."""
        features = self.trunk(pairs)[-1]  # (B, 8 ndf, H/8 + 2, W/8 + 2)
        pooled = features.mean(dim=(2, 3))  # (B, 8 ndf)
        return cast(Tensor, self.head(pooled)).squeeze(1)  # (B,)


@DETECTORS.register("pair-patch")
class PairPatch(Detector):
    """See the module."""

    Config = PairPatchConfig
    config: PairPatchConfig

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = PairPatchNetwork(self.config.ndf, self.config.n_layers)
        self.network.to(device)

    def fit(self, pool: PairPool, state: Path, report: Report) -> None:
        def step_loss(generator: np.random.Generator) -> Tensor:
            pairs, labels = pool.batch(self.config.batch, generator)
            logits = self.network(self._tensor(pairs))
            return F.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels).to(self.device))

        train(
            self.network,
            step_loss,
            steps=self.config.steps,
            learning_rate=self.config.learning_rate,
            seed=self.config.seed,
            state=state,
            report=report,
        )

    @torch.inference_mode()
    def logits(self, pairs: Pairs) -> Logits:
        self.network.eval()
        with one_thread():
            parts = [
                self.network(self._tensor(pairs[start : start + _SCORING_BATCH])).cpu().numpy()
                for start in range(0, len(pairs), _SCORING_BATCH)
            ]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    def save(self, folder: Path) -> None:
        weights = {name: value.cpu().contiguous() for name, value in self.network.state_dict().items()}
        with atomic_path(folder / self.WEIGHTS) as path:
            save_file(weights, path)

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        detector = cls(config, device)
        path = folder / cls.WEIGHTS
        try:
            detector.network.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise BenchError(
                f"{path} does not hold the weights of this detector ({reason}).", hint="Train it again."
            ) from error
        return detector

    def _tensor(self, pairs: Pairs) -> Tensor:
        """uint8 (B, 2, H, W, 3) -> float (B, 6, H, W) in [-1, 1]: frame by frame, RGB in each."""
        x = torch.from_numpy(np.ascontiguousarray(pairs)).to(self.device)
        x = x.permute(0, 1, 4, 2, 3).flatten(1, 2)  # (B, 6, H, W)
        return x.float() / 127.5 - 1
