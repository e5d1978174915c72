"""Detectors that are one torch network: windows in, a feature map, a logit out.

A network trains with binary cross-entropy on real (0) and synthesized (1) windows sampled from the pool. What such
detectors share is here: training, scoring in batches, saliency maps, and the weights file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import atomic_path
from dancebench.core.nn.checkpoint import Networks, Optimizers
from dancebench.core.nn.threads import use_one_thread
from dancebench.core.nn.training import Training, load_resumable, train
from dancebench.core.progress import ReportProgress
from dancebench.detect.detectors._gradcam import FeatureMapNetwork, grad_cam
from dancebench.detect.detectors.base import Detector, DetectorConfig, Logits
from dancebench.detect.inputs.pairs import PairPool, Pairs

_SCORING_BATCH = 16
_ORIGIN = "origin"
_BETAS: Final = (0.5, 0.999)
"""Of Adam, as for the synthesis discriminator."""

LabelledPairs = tuple[Pairs, npt.NDArray[np.float32]]
"""A batch: windows, and their labels (B,), 1 for a fake."""


class NeuralConfig(DetectorConfig):
    """Training settings of a network."""

    steps: int = Field(default=300, ge=1)
    batch: int = Field(default=16, ge=2, multiple_of=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    decay_share: float = Field(default=0.5, ge=0, le=1)
    """Learning rate schedule: share of the steps, at the end, over which the rate falls linearly to zero."""


class NeuralDetector(Detector):
    """A detector that consists of its `network`.

    The network is initialised from the config's seed, without changing torch's global random state.
    """

    config: NeuralConfig

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        self._origin: str | None = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = self.build()
        self.network.to(device)

    @abstractmethod
    def build(self) -> FeatureMapNetwork:
        """Build the untrained network, whose input is the output of `normalise`."""

    def to_tensor(self, pairs: Pairs) -> Tensor:
        """uint8 (B, window, H, W, 3) -> the network's input: `normalise` of (B, 3 window, H, W) in [-1, 1].

        Frame by frame, RGB in each. Contiguous: a single frame would keep its colours last, and torch 2.13 crashes on
        that in training on a CPU.
        """
        x = torch.from_numpy(np.ascontiguousarray(pairs)).to(self.device)
        x = x.permute(0, 1, 4, 2, 3).flatten(1, 2).contiguous()  # (B, 3 window, H, W)
        return self.normalise(x.float() / 127.5 - 1)

    def normalise(self, frames: Tensor) -> Tensor:
        """Make the network's input of frames (B, 3 window, H, W) in [-1, 1]: these themselves, unless overridden."""
        return frames

    @property
    def origin(self) -> str | None:
        return self._origin

    def find_initial_weights(self) -> str | None:
        """Replace random initial weights by better ones where the config wants them; returns their `origin`."""
        return None

    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None:
        stored = load_resumable(state, self.training_key)
        self._origin = stored.facts[_ORIGIN] if stored is not None else self.find_initial_weights()

        def draw_batches(steps: range) -> Iterator[LabelledPairs]:
            for step in steps:
                yield pool.draw_batch(self.config.batch, np.random.default_rng((self.config.seed, step)))

        training = Training(
            what="training the detector",
            folder=state,
            key=self.training_key,
            phase="detector",
            steps=self.config.steps,
            learning_rate=self.config.learning_rate,
            decay_share=self.config.decay_share,
            batches=draw_batches,
            device=torch.device(self.device),
            log_every=1,
            save_at_end=True,  # an ensemble goes on to train its other members
            facts={_ORIGIN: self._origin},
        )
        with use_one_thread():
            train(_Classifier(self), training, stored, report)

    @torch.inference_mode()
    def logits(self, pairs: Pairs) -> Logits:
        self.network.eval()
        with use_one_thread():
            parts = [self.network(self.to_tensor(part)).cpu().numpy() for part in _split_batches(pairs)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def saliency(self, pairs: Pairs) -> npt.NDArray[np.float32] | None:
        """Grad-CAM at the last feature map."""
        self.network.eval()
        with use_one_thread():
            maps = [grad_cam(self.network, self.to_tensor(part)) for part in _split_batches(pairs)]
        return np.concatenate(maps) if maps else np.zeros((0, *self.config.size), np.float32)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters() if parameter.requires_grad)

    def save(self, folder: Path) -> None:
        weights = {name: value.cpu().contiguous() for name, value in self.network.state_dict().items()}
        with atomic_path(folder / self.WEIGHTS) as path:
            save_file(weights, path, None if self.origin is None else {_ORIGIN: self.origin})

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        detector = cls(config, device)
        path = folder / cls.WEIGHTS
        try:
            with safe_open(path, framework="pt", device="cpu") as stored:
                detector._origin = (stored.metadata() or {}).get(_ORIGIN)
                names = stored.keys()
                detector.network.load_state_dict({name: stored.get_tensor(name) for name in names})
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = first_line(error)
            raise BenchError(
                f"{path} does not hold the weights of this detector ({reason}).", hint="Train it again."
            ) from error
        return detector


class _Classifier:
    """A detector's network in training, with binary cross-entropy and Adam."""

    def __init__(self, detector: NeuralDetector) -> None:
        self._detector = detector
        self._network = detector.network.train()
        trained = [parameter for parameter in self._network.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.Adam(trained, lr=detector.config.learning_rate, betas=_BETAS)

    def networks(self) -> Networks:
        return {"detector": self._network}

    def optimizers(self) -> Optimizers:
        return {"detector": self._optimizer}

    def train_step(self, batch: LabelledPairs) -> dict[str, Tensor]:
        pairs, labels = batch
        logits = self._network(self._detector.to_tensor(pairs))  # (B,)
        targets = torch.from_numpy(labels).to(logits.device)
        loss = F.binary_cross_entropy_with_logits(logits, targets)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._optimizer.step()
        return {"loss": loss.detach()}


def _split_batches(pairs: Pairs) -> list[Pairs]:
    return [pairs[start : start + _SCORING_BATCH] for start in range(0, len(pairs), _SCORING_BATCH)]
