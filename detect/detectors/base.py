"""Interface of detectors: pairs of consecutive frames in, one logit per pair out; higher = more likely fake.

A new detector is one new module in `detect/detectors/` with a typed config and a decorator:

    @DETECTORS.register("pair-patch")
    class PairPatch(Detector): ...

or one module of another package, offered through an entry point of the group `dancebench.detectors`.
A detector that needs more temporal context sets a longer `window` of consecutive frames; what is said of pairs
then applies to its windows. A family of detectors takes its variant's name after a colon (`timm:resnet18`); before the
colon may stand a Python module instead, whose factory makes a detector that was trained elsewhere (`foreign/`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json
from dancebench.core.progress import ReportProgress
from dancebench.core.registry import Registry, list_missing_parts
from dancebench.core.schema import Strict
from dancebench.datasets.video.picture_size import MAX_CLIP_SIDE
from dancebench.detect.inputs.pairs import PairPool, Pairs
from dancebench.detect.inputs.view import View, ViewName

Logits = npt.NDArray[np.float32]


MAX_PAIRS: Final = 100_000
"""Windows of a video that a card may ask for; `all` is what a longer video has."""


class DetectorConfig(Strict):
    """Settings that all detectors share; each detector adds its own."""

    height: int = Field(default=128, ge=16, le=MAX_CLIP_SIDE)
    width: int = Field(default=64, ge=16, le=MAX_CLIP_SIDE)
    """Size of the frames that the detector sees."""
    view: ViewName = "frame"
    """What of a video's frames it sees: all of it, letterboxed, or a box around a person or a face."""
    pairs: Annotated[int, Field(ge=1, le=MAX_PAIRS)] | Literal["all"] = 16
    """Number of evenly placed pairs of each video that are scored."""
    degraded: float = Field(default=0.5, ge=0, le=1)
    """Share of the training pairs that are taken from downscaled and compressed copies of the clips."""
    copies: int = Field(default=1, ge=1)
    """Number of such copies of each clip, each degraded differently; none are made if `degraded` is 0."""
    seed: int = Field(default=0, ge=0, lt=2**63)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def looks_at(self) -> View:
        """The view, with its size."""
        return View(self.view, self.height, self.width)

    @property
    def count(self) -> int | None:
        """How many pairs are scored; None for all."""
        return None if self.pairs == "all" else self.pairs

    @model_serializer(mode="wrap")
    def _leave_out_whole_frames(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the view where it is the frame, as before there were views: hashes of configurations stay."""
        fields: dict[str, Any] = serialise(self)
        if self.view == "frame" and type(self).model_fields["view"].default == "frame":
            fields.pop("view", None)
        return fields


class Scorer(Protocol):
    """What anything that scores videos offers, and nothing more: a network trained elsewhere needs one method.

    Attributes:
        config: The size of the frames that it sees, and how many windows of a video are scored.
        window: Consecutive frames that it sees at once.
    """

    @property
    def config(self) -> DetectorConfig: ...

    @property
    def window(self) -> int: ...

    def logits(self, pairs: Pairs) -> Logits:
        """Log-odds of being fake: uint8 (N, window, H, W, 3) RGB at `config.size` → float32 (N,)."""


def add_revision(made_of: list[Any], revision: int) -> list[Any]:
    """What identifies a training, with the revision of its code; the first adds nothing, so that older ids remain."""
    return made_of if revision == 1 else [*made_of, revision]


class Detector(ABC):
    """A detector with its weights.

    Args:
        config: An instance of `Config`.
        device: `cpu` or `cuda`.
    """

    Config: ClassVar[type[DetectorConfig]]
    PRESETS: ClassVar[Mapping[str, DetectorConfig]] = {}
    """Its settings by name of the preset, size and seed aside; in other presets its defaults apply."""
    WEIGHTS: ClassVar[str] = "weights.safetensors"
    """Name of the one file that `save` writes."""
    VARIANT: ClassVar[str | None] = None
    """Field of the config that the text after the colon of a name sets; None if the detector has no variants."""
    EXAMPLE: ClassVar[str] = "NAME"
    """A variant, for messages."""
    LEARNS: ClassVar[bool] = True
    """Whether it is trained here. One that is not comes with its weights and has its own settings and size of frames;
    threshold and calibration are fixed here like any other's."""
    REALS_ALONE: ClassVar[bool] = False
    """Whether it learns from reals alone: fakes are then used for threshold and calibration only."""
    REVISION: ClassVar[int] = 1
    """Raised whenever the same configuration, videos and seed give other logits than before: what an earlier revision
    trained is trained anew, and scores nothing with code that it does not belong to. A detector that is made of others
    is raised with any of them."""

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        self.config = config
        self.device = device

    @classmethod
    def read_variant(cls, variant: str) -> dict[str, Any]:
        """Settings that the text after the colon of a name stands for: those of the config.

        Raises:
            BenchError: It names nothing that can be used.
        """
        return {} if cls.VARIANT is None else {cls.VARIANT: variant}

    @classmethod
    def label_variant(cls, variant: str) -> str:
        """What records and tables call a variant."""
        return variant

    @property
    def window(self) -> int:
        """Number of consecutive frames of one input: 2 by default."""
        return 2

    @property
    def origin(self) -> str | None:
        """What the weights were initialised from, and why if not as configured; None: at random, as configured."""
        return None

    @property
    def training_key(self) -> str:
        """Identifies a training by its settings: a training state with another key is not resumed."""
        settings = self.config.model_dump(mode="json", exclude={"pairs"})  # how many pairs are scored changes no weight
        return sha256_json(add_revision([type(self).__name__, settings], self.REVISION))

    @abstractmethod
    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None:
        """Train on labelled pairs.

        Args:
            pool: Windows of the training people, at `config.size`.
            state: Folder of the training state: after an interruption the same call with the same config and
                pairs resumes from it; with another config, training starts anew. The caller removes it once the
                weights are saved.
            report: Progress.
        """

    @abstractmethod
    def logits(self, pairs: Pairs) -> Logits:
        """Compute the log-odds of being fake, not calibrated.

        Args:
            pairs: uint8 (N, window, H, W, 3) RGB at `config.size`; N may be 0.

        Returns:
            float32 (N,); each depends only on its own pair.
        """

    def saliency(self, pairs: Pairs) -> npt.NDArray[np.float32] | None:
        """Compute a map of the evidence for a fake, for each pair separately.

        Args:
            pairs: As `logits`.

        Returns:
            float32 (N, H, W) in [0, 1] at `config.size`; None if the detector has no saliency map.
        """
        return None

    def explain(self, pairs: Pairs) -> list[str] | None:
        """Say in words what of each pair is the most evidence for a fake.

        Args:
            pairs: As `logits`.

        Returns:
            A phrase for each; None if the detector cannot say.
        """
        return None

    @property
    @abstractmethod
    def parameters(self) -> int | None:
        """Number of trained parameters; None where that is not known."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write `WEIGHTS` into `folder` atomically."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        """Read what `save` wrote; the caller has checked its hash.

        Raises:
            BenchError: The weights do not fit the config.
        """


DETECTORS: Registry[type[Detector]] = Registry(
    "detector",
    package="dancebench.detect.detectors",
    group="dancebench.detectors",
    list_missing=lambda entry: list_missing_parts(entry, Detector, ("Config",)),
)


def find_detector_class(name: str) -> type[Detector]:
    """Find the class of a detector by its full name.

    Raises:
        UnknownNameError: There is no such detector.
        BenchError: A family was named without a variant, or a detector without variants with one.
    """
    family, colon, variant = name.partition(":")
    if colon and family not in DETECTORS:
        from dancebench.detect.detectors.foreign.python_factory import FactoryDetector  # which imports this module

        return FactoryDetector
    detector_class = DETECTORS[family]
    if detector_class.VARIANT is None and colon:
        raise BenchError(f"The detector '{family}' has no variants.", hint=f"Name it '{family}'.")
    if detector_class.VARIANT is not None and not variant:
        raise BenchError(
            f"'{family}' is a family of detectors.",
            hint=f"Name the {detector_class.VARIANT} too, like {family}:{detector_class.EXAMPLE}.",
        )
    return detector_class


def configure_detector(name: str, standard: DetectorConfig | None = None, **settings: Any) -> DetectorConfig:
    """Make the configuration of a detector: a standard one, or its defaults, overridden by the variant and settings.

    Raises:
        UnknownNameError: There is no such detector.
        BenchError: As `find_detector_class`, or the variant names nothing that can be used.
    """
    detector_class = find_detector_class(name)
    base = standard.model_dump() if standard is not None else {}
    return detector_class.Config.model_validate(base | detector_class.read_variant(_read_variant(name)) | settings)


def label_detector(name: str) -> str:
    """What records, tables and folders call a detector; nothing of its variant is opened.

    >>> label_detector("onnx:models/net.onnx"), label_detector("spectrum")
    ('onnx:net.onnx', 'spectrum')
    """
    family, colon, variant = name.partition(":")
    return f"{family}:{DETECTORS[family].label_variant(variant)}" if colon and family in DETECTORS else name


def _read_variant(name: str) -> str:
    """The text after the colon of a family's name; all of MODULE:FACTORY."""
    family, _, variant = name.partition(":")
    return variant if family in DETECTORS else name
