"""ONNX files: what one may hold, and its execution by onnxruntime within bounds.

A file is read only up to a size, and executed only if every operator in it is one of ONNX's own: no operator of another
domain, which a library would bring, and no tensor that lies in another file. Whatever a graph asks for, its execution
gets a fixed amount of memory.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import read_bytes

MAX_FILE_BYTES: Final = 2**30
MAX_MEMORY_BYTES: Final = 3 * 2**30
"""Of weights and intermediate tensors of all networks of a process."""
_OWN_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_INSTALL: Final = 'pip install "dancebench[onnx]"'


class Interface(NamedTuple):
    """What a network takes and gives."""

    input_name: str
    shape: tuple[int | None, ...]
    """(N, channels, height, width); None where any number will do."""
    parameters: int


def import_optional(name: str) -> Any:
    """Import a library of the extra `onnx`.

    Raises:
        BenchError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BenchError(f"ONNX files need {name}, which is not installed.", hint=_INSTALL) from error


def read_model(path: Path) -> bytes:
    """Read an ONNX file.

    Raises:
        BenchError: There is none, or it is larger than `MAX_FILE_BYTES`.
    """
    if not path.is_file():
        raise BenchError(f"{path} does not exist.", hint="Name an ONNX file: --detector onnx:FILE.")
    if os.path.getsize(path) > MAX_FILE_BYTES:
        raise BenchError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes.", hint="Export it in half precision.")
    return read_bytes(path)


def inspect_model(data: bytes, label: str) -> Interface:
    """Check what a file holds; nothing of it is executed.

    Args:
        data: Of the file.
        label: Its name, for messages.

    Raises:
        BenchError: It is no ONNX, holds what is refused, or has not one input and one output of the expected kind.
    """
    onnx = import_optional("onnx")
    try:
        model = onnx.load_model_from_string(data)
        graph = model.graph
        local = {(function.domain, function.name) for function in model.functions}
        nodes = [*_walk(graph.node), *(node for function in model.functions for node in _walk(function.node))]
        tensors = [*_list_tensors(graph, nodes)]
    except Exception as error:  # of the parser of protobuf, whatever the bytes are
        raise BenchError(f"{label} is no ONNX file ({first_line(error)}).", hint="Export the network again.") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data for tensor in tensors):
        raise BenchError(f"{label} keeps weights in other files, which are not read.", hint="Export it into one file.")
    foreign = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in nodes
            if node.domain not in _OWN_DOMAINS and (node.domain, node.op_type) not in local
        }
    )
    if foreign:
        raise BenchError(
            f"{label} uses operators that are not ONNX's own: {', '.join(foreign[:3])}.",
            hint="Export it with standard operators alone.",
        )
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # of the checker, in C++
        raise BenchError(
            f"{label} is no valid ONNX file ({first_line(error)}).", hint="Export the network again."
        ) from error
    return _read_interface(onnx, graph, label)


def _walk(nodes: Any) -> Iterator[Any]:
    """All nodes, those of the bodies of loops and branches too."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _walk(graph.node)


def _list_tensors(graph: Any, nodes: list[Any]) -> Iterator[Any]:
    """All constant tensors, those of the bodies of loops and branches too."""
    graphs = [graph, *(body for node in nodes for part in node.attribute for body in (part.g, *part.graphs))]
    for each in graphs:
        yield from each.initializer
        for sparse in each.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes:
        for part in node.attribute:
            yield from (part.t, *part.tensors)
            for sparse in (part.sparse_tensor, *part.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _read_interface(onnx: Any, graph: Any, label: str) -> Interface:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in weights]
    for what, found in (("inputs", inputs), ("outputs", list(graph.output))):
        if len(found) != 1:
            raise BenchError(
                f"{label} has {len(found)} {what}, and must have one.",
                hint="Export it with the frames as input and the scores as output.",
            )
    taken = inputs[0].type.tensor_type
    shape = tuple(each.dim_value if each.HasField("dim_value") else None for each in taken.shape.dim)
    if taken.elem_type != onnx.TensorProto.FLOAT or len(shape) != 4 or shape[0] not in (None, 1):
        kind = onnx.TensorProto.DataType.Name(taken.elem_type).lower()
        raise BenchError(
            f"{label} takes {kind} {tuple('any' if each is None else each for each in shape)}.",
            hint="It must take float (N, 3 window, height, width) with any number N of windows, or one.",
        )
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)
    count = sum(math.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type in floats)
    return Interface(inputs[0].name, shape, count)


class Session:
    """A network that onnxruntime executes on one CPU thread, within `MAX_MEMORY_BYTES`.

    Args:
        data: A file that `inspect_model` has checked.
        interface: What it found.
        label: Its name, for messages.

    Raises:
        BenchError: onnxruntime refuses it.
    """

    def __init__(self, data: bytes, interface: Interface, label: str) -> None:
        runtime = import_optional("onnxruntime")
        self._interface, self._label = interface, label
        try:
            _limit_memory()
            options = runtime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1  # scores do not depend on their number
            options.log_severity_level = 4  # what fails is raised, too
            options.add_session_config_entry("session.use_env_allocators", "1")
            self._session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own, of C++
            raise BenchError(
                f"onnxruntime refuses {label} ({first_line(error)}).", hint="Export the network again."
            ) from error

    def run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.floating[Any]]:
        """Compute the output (N, …) of inputs (N, C, H, W).

        Raises:
            BenchError: The graph fails, asks for more memory than there is for it, or gives no numbers.
        """
        size = len(inputs) if self._interface.shape[0] is None else 1
        try:
            parts = [
                self._session.run(None, {self._interface.input_name: inputs[start : start + size]})[0]
                for start in range(0, len(inputs), size)
            ]
            outputs: npt.NDArray[Any] = np.concatenate(parts)
        except Exception as error:  # the runtime's own, of C++
            reason = first_line(error)[:300]
            raise BenchError(f"{self._label} fails on its input ({reason}).", hint="Export it again.") from error
        if not np.issubdtype(outputs.dtype, np.floating) or len(outputs) != len(inputs):
            raise BenchError(
                f"{self._label} gives {outputs.dtype} {outputs.shape} for {len(inputs)} windows.",
                hint="It must give one row of floating-point numbers for each.",
            )
        return outputs


@functools.cache
def _limit_memory() -> None:
    """Give all sessions of this process one allocator with a limit: memory beyond it is refused, not taken."""
    runtime = import_optional("onnxruntime")
    memory = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    arena = runtime.OrtArenaCfg({"max_mem": MAX_MEMORY_BYTES, "arena_extend_strategy": 1})  # as much as is asked for
    runtime.create_and_register_allocator(memory, arena)
