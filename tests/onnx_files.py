"""What tests of ONNX files share: small graphs, valid and not, each with the TOML beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'dancebench[onnx]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'dancebench[onnx]'")

TOML: dict[str, Any] = {
    "height": 64, "width": 32, "window": 2, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0],
    "output": "logits", "fake": "high",
}  # fmt: skip


def write_toml(path: Path, **changes: Any) -> Path:
    """Write what a network takes; a value of None leaves the key out."""
    values = {name: value for name, value in (TOML | changes).items() if value is not None}
    path.write_text("".join(f"{name} = {_write_value(value)}\n" for name, value in values.items()))
    return path


def _write_value(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def make_network(
    *,
    shape: Sequence[int | str] = ("N", 6, 64, 32),
    classes: int = 1,
    nodes: Sequence[Any] = (),
    initializers: Sequence[Any] = (),
    outputs: Mapping[str, Sequence[int | str]] | None = None,
    kind: str = "FLOAT",
    domains: Sequence[str] = (),
) -> Any:
    """A network whose output k is k + 1 times the mean of its input: (N, classes), or (N,) of one.

    Args:
        shape: Of the input.
        classes: Number of its outputs.
        nodes: Further ones.
        initializers: Further ones.
        outputs: Names and shapes, where they are others.
        kind: Type of the input.
        domains: Of operators that are not ONNX's own.
    """
    helper, types = onnx.helper, onnx.TensorProto
    whole = [
        helper.make_node("ReduceMean", ["frames", "axes"], ["mean"], keepdims=1 if classes > 1 else 0),
        *([helper.make_node("Flatten", ["mean"], ["column"]), helper.make_node("Mul", ["column", "gain"], ["scores"])]
          if classes > 1 else [helper.make_node("Identity", ["mean"], ["scores"])]),
    ]  # fmt: skip
    constants = [
        helper.make_tensor("axes", types.INT64, [3], [1, 2, 3]),
        helper.make_tensor("gain", types.FLOAT, [classes], [float(1 + index) for index in range(classes)]),
    ]
    named = outputs or {"scores": [shape[0], classes] if classes > 1 else [shape[0]]}
    graph = helper.make_graph(
        [*whole, *nodes], "network",
        [helper.make_tensor_value_info("frames", types.DataType.Value(kind), shape)],
        [helper.make_tensor_value_info(name, types.FLOAT, dims) for name, dims in named.items()],
        [*constants, *initializers],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def write_network(folder: Path, model: Any = None, **changes: Any) -> str:
    """Write a network and its TOML; returns the detector's name."""
    path = folder / "net.onnx"
    path.write_bytes((make_network() if model is None else model).SerializeToString())
    write_toml(folder / "net.toml", **changes)
    return f"onnx:{path}"
