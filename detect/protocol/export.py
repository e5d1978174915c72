"""A trained detector's network as an ONNX file beside its card, with the TOML that says what it takes."""

from __future__ import annotations

from pathlib import Path

from dancebench.core.files import to_file_name
from dancebench.detect.detectors.foreign.onnx_export import export_onnx
from dancebench.detect.protocol.card import load_detector


def export_trained(folder: Path) -> Path:
    """Write `NAME.onnx` and `NAME.toml` into the folder of a trained detector.

    Returns:
        The ONNX file.

    Raises:
        BenchError: As `load_detector` and `export_onnx`.
    """
    loaded = load_detector(folder)
    path = folder / f"{to_file_name(loaded.card.detector)}.onnx"
    export_onnx(loaded.detector, path)
    return path
