"""Detectors that look at boxes of a window and judge each by a model of reals: what they share.

    window → looks → log-odds of each by the model → one logit

They learn from reals alone, on the trunk that ships with the project, in closed form: a training has no state and
starts over after an interruption.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import atomic_path
from dancebench.detect.detectors.base import Detector, DetectorConfig, Logits
from dancebench.detect.inputs.pairs import Pairs
from dancebench.detect.trunk.features import Array
from dancebench.detect.trunk.look import Look
from dancebench.detect.trunk.network import SHA256
from dancebench.detect.trunk.scale import FEWEST_PEOPLE

Judged = tuple[Look, float]
"""A look, and its log-odds of not being a new person's real."""


class Model(Protocol):
    """What a detector has learned."""

    def judge(self, looks: Sequence[Look]) -> list[Judged]:
        """Each look with its log-odds; those that it knows nothing of are left out."""

    def to_tensors(self) -> dict[str, Array]:
        """Return its arrays by name."""


class LookingDetector(Detector):
    """A detector that consists of its `model`."""

    REALS_ALONE: ClassVar[bool] = True
    REACH: ClassVar[float]
    """Log-odds at which a saliency map is saturated."""
    LEARNED: ClassVar[str]
    """What its model is, for messages."""

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        self.model: Model | None = None

    @property
    def origin(self) -> str | None:
        """The trunk, which is not trained."""
        return f"EfficientNet-Lite0 that ships with dancebench, SHA-256 {SHA256}"

    @abstractmethod
    def look_at(self, window: npt.NDArray[np.uint8]) -> list[Look]:
        """What it looks at in a window, uint8 (T, H, W, 3)."""

    @staticmethod
    @abstractmethod
    def combine(judged: Sequence[Judged]) -> float:
        """Combine the looks of a window into one logit."""

    @classmethod
    @abstractmethod
    def read_model(cls, tensors: Mapping[str, npt.NDArray[Any]], config: DetectorConfig) -> Model:
        """Read what the model's `to_tensors` gave.

        Raises:
            KeyError: An array is missing.
            ValueError: They are no such model.
        """

    def combine_looks(self, looks: Sequence[Look]) -> float:
        """The logit of a window, from what was looked at in it."""
        return self.combine(self._learned.judge(looks))

    def judge(self, pairs: Pairs) -> Iterator[list[Judged]]:
        """Look at each window and judge it."""
        for window in pairs:
            yield self._learned.judge(self.look_at(window))

    def logits(self, pairs: Pairs) -> Logits:
        return np.array([self.combine(judged) for judged in self.judge(pairs)], np.float32)

    def saliency(self, pairs: Pairs) -> npt.NDArray[np.float32]:
        """Where the evidence is: each box by its log-odds, nothing where it looks like a real."""
        maps = np.zeros((len(pairs), *self.config.size), np.float32)
        for drawn, judged in zip(maps, self.judge(pairs), strict=True):
            for look, logit in judged:
                inside = drawn[look.box.rows, look.box.columns]
                np.maximum(inside, np.float32(min(max(logit / self.REACH, 0.0), 1.0)), out=inside)
        return maps

    @property
    def parameters(self) -> int:
        return 0 if self.model is None else sum(array.size for array in self.model.to_tensors().values())

    def save(self, folder: Path) -> None:
        with atomic_path(folder / self.WEIGHTS) as path:
            save_file(self._learned.to_tensors(), path)

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        detector = cls(config, device)
        path = folder / cls.WEIGHTS
        try:
            detector.model = cls.read_model(load_file(path), config)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BenchError(
                f"{path} does not hold the {cls.LEARNED} of this detector ({first_line(error)}).",
                hint="Train it again.",
            ) from error
        return detector

    @property
    def _learned(self) -> Model:
        if self.model is None:
            raise ValueError("a detector must be trained before it scores or is saved")
        return self.model


def require_people(name: str, people: Sequence[str]) -> None:
    """Refuse to learn from too few people.

    Raises:
        BenchError: They are fewer than three.
    """
    if len(set(people)) < FEWEST_PEOPLE:
        raise BenchError(
            f"The training reals show {len(set(people))} people; '{name}' needs {FEWEST_PEOPLE}.",
            hint="Its scale comes from people held out by turns: give the training split more people.",
        )
