"""Our own networks as ONNX files, with the TOML that says what they take: what `onnx:FILE` reads, here or elsewhere."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import write_bytes, write_text
from dancebench.core.nn.threads import use_one_thread
from dancebench.detect.detectors._neural import NeuralDetector
from dancebench.detect.detectors.base import Detector
from dancebench.detect.detectors.foreign._onnx_model import import_optional

_BATCH = 2
"""Of the example that the exporter follows; the file takes any number of windows."""

_TOML = """\
# What {name} takes and gives. Frames are uint8 RGB, letterboxed to this size.
schema_version = 1
height = {height}
width = {width}
window = {window}
view = "{view}"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
output = "logits"
fake = "high"
"""


class _Scores(nn.Module):
    """Frames float (N, 3 window, H, W) in [-1, 1] -> logits (N,), with what the detector does before its network."""

    def __init__(self, detector: NeuralDetector) -> None:
        super().__init__()
        self.network = detector.network
        self.detector = detector

    def forward(self, frames: Tensor) -> Tensor:
        return cast(Tensor, self.network(self.detector.normalise(frames)))


def export_onnx(detector: Detector, path: Path) -> None:
    """Write a detector's network as `path`, and what it takes as the TOML beside it.

    The file holds no name of this machine's folders; the same weights give the same file.

    Args:
        detector: One that consists of a network.
        path: Ends in `.onnx`.

    Raises:
        BenchError: It is no network, a part of it has no counterpart in ONNX, or a library is missing.
    """
    data = make_onnx(detector)
    height, width = detector.config.size
    write_text(
        path.with_suffix(".toml"),
        _TOML.format(name=path.name, height=height, width=width, window=detector.window, view=detector.config.view),
    )
    write_bytes(path, data)


def make_onnx(detector: Detector) -> bytes:
    """The bytes of the file that `export_onnx` writes.

    Raises:
        BenchError: As `export_onnx`.
    """
    name = type(detector).__name__
    if not isinstance(detector, NeuralDetector):
        raise BenchError(
            f"A detector that is no torch network ({name}) cannot be exported.",
            hint="Leave --export out, or choose pair-patch, npr, srm or timm:NAME.",
        )
    for library in ("onnx", "onnxscript"):
        import_optional(library)
    cpu = copy.copy(detector)
    cpu.device, cpu.network = "cpu", copy.deepcopy(detector.network).cpu().eval()
    example = torch.zeros((_BATCH, 3 * detector.window, *detector.config.size))
    try:
        with use_one_thread(), _silence(), torch.no_grad():
            program = torch.onnx.export(
                _Scores(cpu).eval(), (example,), dynamo=True, verbose=False, external_data=False,
                input_names=["frames"], output_names=["logits"],
                dynamic_shapes={"frames": {0: torch.export.Dim.DYNAMIC}},
            )  # fmt: skip
    except Exception as error:  # the exporter's own, and whatever meets it in a network
        raise BenchError(
            f"The network {name} has no counterpart in ONNX ({first_line(_find_cause(error))}).",
            hint="Leave --export out.",
        ) from error
    model: Any = cast(Any, program).model_proto
    _remove_traces(model)
    return cast(bytes, model.SerializeToString(deterministic=True))


def _find_cause(error: BaseException) -> BaseException:
    """What the exporter met, under the advice that it wraps around it."""
    return error if error.__cause__ is None else _find_cause(error.__cause__)


def _remove_traces(model: Any) -> None:
    """Remove what the exporter notes of this machine: stack traces with the paths of its files."""
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, *model.functions,
                 *model.graph.input, *model.graph.output):  # fmt: skip
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's reports from the screen; what fails is raised."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
