"""`onnx:FILE`, a network from elsewhere in an ONNX file, with a TOML beside it that says what it takes and gives.

The file is copied to the detector's folder, so that a card goes on to hold when the original is changed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from dancebench.core.errors import BenchError
from dancebench.core.files import write_bytes
from dancebench.detect.detectors.base import DETECTORS, DetectorConfig, Logits
from dancebench.detect.detectors.foreign._onnx_model import Session, inspect_model, read_model
from dancebench.detect.detectors.foreign._trained_elsewhere import ForeignDetector, check_logits
from dancebench.detect.detectors.foreign.preprocessing import Preprocessing, read_preprocessing
from dancebench.detect.inputs.pairs import Pairs

_BATCH = 16


class OnnxConfig(DetectorConfig):
    """Settings of a network in an ONNX file."""

    file: str = Field(default="", exclude=True)
    """Where it lies; what identifies it is its hash."""
    sha256: str
    preprocessing: Preprocessing

    @model_validator(mode="after")
    def _has_one_size(self) -> Self:
        told = self.preprocessing
        if (self.view, *self.size) != (told.view, told.height, told.width):
            raise ValueError("the view of the frames is not that of the preprocessing")
        return self


@DETECTORS.register("onnx")
class OnnxDetector(ForeignDetector):
    """A network in an ONNX file, with a TOML beside it."""

    VARIANT: ClassVar[str | None] = "file"
    EXAMPLE: ClassVar[str] = "net.onnx"
    WEIGHTS = "model.onnx"
    Config = OnnxConfig
    config: OnnxConfig

    def __init__(self, config: DetectorConfig, device: str = "cpu", *, folder: Path | None = None) -> None:
        super().__init__(config, device)
        path = Path(self.config.file) if folder is None else folder / self.WEIGHTS
        self._data = read_model(path)
        if hashlib.sha256(self._data).hexdigest() != self.config.sha256:
            raise BenchError(f"{path} was changed.", hint="Start the command again.")
        self._interface = inspect_model(self._data, path.name)
        self._session = Session(self._data, self._interface, path.name)

    @classmethod
    def read_variant(cls, variant: str) -> dict[str, Any]:
        """Settings of a file and the TOML beside it.

        Raises:
            BenchError: One of them is missing or refused, or they do not agree.
        """
        path = Path(variant)
        data = read_model(path)
        preprocessing = read_preprocessing(path.with_suffix(".toml"))
        interface = inspect_model(data, path.name)
        shape = preprocessing.shape
        if any(own not in (None, told) for own, told in zip(interface.shape[1:], shape, strict=True)):
            own = "x".join("any" if each is None else str(each) for each in interface.shape[1:])
            raise BenchError(
                f"{path.name} takes {own}, but {path.stem}.toml says {'x'.join(map(str, shape))} "
                "(3 colours of each frame, height, width).",
                hint=f"Correct height, width or window in {path.stem}.toml.",
            )
        blank = np.zeros((1, preprocessing.window, preprocessing.height, preprocessing.width, 3), np.uint8)
        session = Session(data, interface, path.name)
        preprocessing.to_log_odds(session.run(preprocessing.normalise(blank)))  # only this tells what it gives
        return {
            "file": variant, "sha256": hashlib.sha256(data).hexdigest(), "preprocessing": preprocessing.model_dump(),
            "height": preprocessing.height, "width": preprocessing.width, "view": preprocessing.view,
        }  # fmt: skip

    @classmethod
    def label_variant(cls, variant: str) -> str:
        return Path(variant).name

    @property
    def window(self) -> int:
        return self.config.preprocessing.window

    @property
    def origin(self) -> str:
        return f"trained elsewhere, on what is not known; ONNX file, SHA-256 {self.config.sha256}"

    def logits(self, pairs: Pairs) -> Logits:
        preprocessing, parts = self.config.preprocessing, []
        for start in range(0, len(pairs), _BATCH):
            windows = pairs[start : start + _BATCH]
            odds = preprocessing.to_log_odds(self._session.run(preprocessing.normalise(windows)))
            parts.append(check_logits(odds, len(windows), "the network"))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    @property
    def parameters(self) -> int:
        """Number of its weights."""
        return self._interface.parameters

    def save(self, folder: Path) -> None:
        write_bytes(folder / self.WEIGHTS, self._data)

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        return cls(config, device, folder=folder)
