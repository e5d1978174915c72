"""What a detector is: pairs of consecutive frames in, one logit per pair out; higher = more likely fake.

A new detector is one new module in `detect/detectors/` with a typed config and a decorator:

    @DETECTORS.register("pair-patch")
    class PairPatch(Detector): ...

A detector that needs to see more time asks for a longer `window` of consecutive frames; all that is said of
pairs then holds of its windows. A family of detectors takes its member's name behind a colon (`timm:resnet18`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress
from dancebench.core.registry import Registry
from dancebench.core.schema import Strict
from dancebench.detect.inputs.pairs import PairPool, Pairs

Logits = npt.NDArray[np.float32]


class DetectorConfig(Strict):
    """What every detector needs to know; each adds its own fields."""

    height: int = Field(default=128, ge=16)
    width: int = Field(default=64, ge=16)
    """Size of the frames that the detector sees; videos are letterboxed to it."""
    pairs: Annotated[int, Field(ge=1)] | Literal["all"] = 16
    """How many evenly placed pairs of each video are scored."""
    degraded: float = Field(default=0.5, ge=0, le=1)
    """Share of the training pairs that are drawn from compressed and reduced copies of the clips."""
    copies: int = Field(default=1, ge=1)
    """How many such copies of each clip there are, each degraded otherwise; none are made where `degraded` is 0."""
    seed: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def count(self) -> int | None:
        """How many pairs are scored; None for all."""
        return None if self.pairs == "all" else self.pairs


class Detector(ABC):
    """A detector with its weights.

    Args:
        config: Of the class `Config`.
        device: `cpu` or `cuda`.
    """

    Config: ClassVar[type[DetectorConfig]]
    WEIGHTS: ClassVar[str] = "weights.safetensors"
    """Name of the one file that `save` writes."""
    VARIANT: ClassVar[str | None] = None
    """Field of the config that the text behind the colon of a name sets; None where there is no such text."""

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        self.config = config
        self.device = device

    @property
    def window(self) -> int:
        """Consecutive frames that it sees at once: a pair unless it says otherwise."""
        return 2

    @property
    def origin(self) -> str | None:
        """Where its weights started, and why so where that is not as configured; None: at random, as meant."""
        return None

    @abstractmethod
    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None:
        """Learn from labelled pairs.

        Args:
            pool: Windows of the training people, at `config.size`.
            state: Folder for resumable state: an interrupted call leaves there what the same call with the
                same config and pairs continues from. The caller removes it once the weights are saved.
            report: Progress.
        """

    @abstractmethod
    def logits(self, pairs: Pairs) -> Logits:
        """Log-odds of being fake, as the detector sees it (not calibrated).

        Args:
            pairs: uint8 (N, window, H, W, 3) RGB at `config.size`; N may be 0.

        Returns:
            float32 (N,); each depends on its own pair alone.
        """

    def saliency(self, pairs: Pairs) -> npt.NDArray[np.float32] | None:
        """Where it sees signs of a fake, for each pair by itself.

        Args:
            pairs: As `logits`.

        Returns:
            float32 (N, H, W) in [0, 1] at `config.size`; None where it cannot say where.
        """
        return None

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


def find_detector_class(name: str) -> type[Detector]:
    """The class of a detector, by its full name.

    Raises:
        UnknownNameError: There is no such detector.
        BenchError: A family was named without its member, or a detector that has none with one.
    """
    family, colon, variant = name.partition(":")
    kind = DETECTORS[family]
    if kind.VARIANT is None and colon:
        raise BenchError(f"The detector '{family}' has no variants.", hint=f"Name it '{family}'.")
    if kind.VARIANT is not None and not variant:
        raise BenchError(
            f"'{family}' is a family of detectors.", hint=f"Name the {kind.VARIANT} too, like {family}:resnet18."
        )
    return kind


def configure_detector(name: str, standard: DetectorConfig | None = None, **settings: Any) -> DetectorConfig:
    """The configuration of a detector: a standard one, or its defaults, with the variant and settings over it.

    Raises:
        UnknownNameError: There is no such detector.
        BenchError: As `find_detector_class`.
    """
    kind = find_detector_class(name)
    if kind.VARIANT is not None:
        settings = {kind.VARIANT: name.partition(":")[2], **settings}
    base = standard.model_dump() if standard is not None else {}
    return kind.Config.model_validate(base | settings)
