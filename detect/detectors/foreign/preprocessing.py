"""What a network from elsewhere takes and gives: a small TOML beside its file, `net.toml` beside `net.onnx`.

    height = 224
    width = 224
    window = 1                       # consecutive frames that it sees at once
    view = "frame"                   # what it looks at: the whole frame, letterboxed; or "native", "person", "face"
    mean = [0.485, 0.456, 0.406]     # of red, green and blue in [0, 1]; what it takes is (x - mean) / std
    std = [0.229, 0.224, 0.225]
    output = "logits"                # or "probabilities"
    fake = 1                         # which of its outputs means fake; of one output "high" or "low" values

It takes float32 (N, 3 window, height, width), frame by frame, red, green and blue in each, and gives (N,) or
(N, outputs).
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from dancebench.core.errors import BenchError
from dancebench.core.files import read_bytes
from dancebench.core.schema import Strict
from dancebench.datasets.video.picture_size import MAX_CLIP_SIDE
from dancebench.detect.inputs.pairs import Pairs
from dancebench.detect.inputs.view import ViewName

MAX_WINDOW: Final = 256
_MAX_BYTES: Final = 64 * 1024
_LEAST_PROBABILITY: Final = 1e-7
"""Beyond it a float32 probability is 0 or 1, and its log-odds are infinite."""
_ROUNDING: Final = 1e-3

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=16, le=MAX_CLIP_SIDE)]


class Preprocessing(Strict):
    """What frames become before the network, and what its outputs mean."""

    schema_version: Literal[1] = 1
    height: Side
    width: Side
    window: int = Field(ge=1, le=MAX_WINDOW)
    view: ViewName = "frame"
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]
    output: Literal["logits", "probabilities"]
    fake: Literal["high", "low"] | Annotated[int, Field(ge=0, le=10**6, strict=True)]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the network's input."""
        return 3 * self.window, self.height, self.width

    def normalise(self, windows: Pairs) -> npt.NDArray[np.float32]:
        """uint8 (N, window, H, W, 3) -> the network's input float32 (N, 3 window, H, W)."""
        x = windows.astype(np.float32) / np.float32(255)
        x = (x - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(x.transpose(0, 1, 4, 2, 3)).reshape(len(x), *self.shape)

    def to_log_odds(self, outputs: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Convert outputs (N,) or (N, outputs) into the log-odds of being fake (N,).

        Of several logits they are that of the fake minus the log of the sum of the others' exponentials (softmax).

        Raises:
            BenchError: There is no such output, or what should be probabilities lie outside [0, 1].
        """
        values = outputs.astype(np.float64)
        values = values[:, None] if values.ndim == 1 else values  # (N, outputs)
        if values.ndim != 2 or values.shape[1] == 0:
            raise BenchError(
                f"The network's output has the shape {outputs.shape}.", hint="Give it one row for each window."
            )
        count = values.shape[1]
        if (count == 1) != isinstance(self.fake, str) or (isinstance(self.fake, int) and self.fake >= count):
            raise BenchError(
                f"fake = {self.fake!r} does not fit {count} output{'s' * (count > 1)} of the network.",
                hint='Write "high" or "low" for one output, else the number of the output, from 0.',
            )
        column = 0 if isinstance(self.fake, str) else self.fake
        if self.output == "probabilities":
            odds = _read_probabilities(values[:, column])
        elif count == 1:
            odds = values[:, 0]
        else:
            odds = values[:, column] - np.logaddexp.reduce(np.delete(values, column, axis=1), axis=1)
        return -odds if self.fake == "low" else odds


def _read_probabilities(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log-odds of probabilities (N,)."""
    if ((values < -_ROUNDING) | (values > 1 + _ROUNDING)).any():
        raise BenchError(
            "The network's outputs are no probabilities: some lie outside [0, 1].", hint='Write output = "logits".'
        )
    likely = np.clip(values, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return np.asarray(np.log(likely) - np.log1p(-likely))


def read_preprocessing(path: Path) -> Preprocessing:
    """Read and check a TOML file.

    Raises:
        BenchError: It is missing, too large, no TOML, or not of this form.
    """
    hint = "See 'Your detector' in README for what stands in it."
    if not path.is_file():
        raise BenchError(f"{path} is missing: it says what the network takes.", hint=hint)
    if os.path.getsize(path) > _MAX_BYTES:
        raise BenchError(f"{path} is larger than {_MAX_BYTES:,} bytes.", hint=hint)
    try:
        return Preprocessing.model_validate(tomllib.loads(read_bytes(path).decode()))
    except ValidationError as error:
        first = error.errors()[0]
        where = str(first["loc"][0]) if first["loc"] else "the file"
        raise BenchError(f"{path}: {where}: {first['msg']}.", hint=hint) from error
    except (ValueError, RecursionError) as error:  # of the decoder and of the parser
        reason = " ".join(str(error).split())
        raise BenchError(f"{path} is no TOML ({reason}).", hint=hint) from error
