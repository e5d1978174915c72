"""What a detector is: pairs of consecutive frames in, one logit per pair out; higher = more likely fake.

A new detector is one new module in `detect/detectors/` with a typed config and a decorator:

    @DETECTORS.register("pair-patch")
    class PairPatch(Detector): ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dancebench.core.progress import Report
from dancebench.core.registry import Registry
from dancebench.core.schema import Strict
from dancebench.detect.pairs import PairPool, Pairs

Logits = npt.NDArray[np.float32]


class DetectorConfig(Strict):
    """What every detector needs to know; each adds its own fields."""

    height: int = Field(default=128, ge=16)
    width: int = Field(default=64, ge=16)
    """Size of the frames that the detector sees; videos are letterboxed to it."""
    pairs: int = Field(default=16, ge=1)
    """How many evenly placed pairs of each video are scored."""
    seed: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width


class Detector(ABC):
    """A detector with its weights.

    Args:
        config: Of the class `Config`.
        device: `cpu` or `cuda`.
    """

    Config: ClassVar[type[DetectorConfig]]
    WEIGHTS: ClassVar[str] = "weights.safetensors"
    """Name of the one file that `save` writes."""

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        self.config = config
        self.device = device

    @abstractmethod
    def fit(self, pool: PairPool, state: Path, report: Report) -> None:
        """Learn from labelled pairs.

        Args:
            pool: Pairs of the training people, at `config.size`.
            state: Folder for resumable state: an interrupted call leaves there what the same call with the
                same config and pairs continues from. The caller removes it once the weights are saved.
            report: Progress.
        """

    @abstractmethod
    def logits(self, pairs: Pairs) -> Logits:
        """Log-odds of being fake, as the detector sees it (not calibrated).

        Args:
            pairs: uint8 (N, 2, H, W, 3) RGB at `config.size`; N may be 0.

        Returns:
            float32 (N,); each depends on its own pair alone.
        """

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Number of learned numbers."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write `WEIGHTS` into `folder`, whole or not at all."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        """Read what `save` wrote; the caller has compared its hash.

        Raises:
            BenchError: The weights do not fit the config.
        """


DETECTORS: Registry[type[Detector]] = Registry("detector", package="dancebench.detect.detectors")
