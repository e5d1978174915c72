"""Makes `import torchvision` work beside a CPU-only torch.

The published torchvision wheels are compiled against CUDA; beside a CPU build of torch their operators
do not load, and the import of the package then stops at the missing `nms`. Nothing here uses these
operators (only network definitions), so declaring their signatures is enough. Call `declare_missing_ops` before the
first import of torchvision, lpips or torchmetrics.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[torch.library.Library] = []  # a Library withdraws its operators when it is garbage-collected


@functools.cache
def declare_missing_ops() -> None:
    """Declare torchvision's operators where its compiled library cannot be loaded."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    try:
        for library in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError:
        declared = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            declared.define(operator + _SIGNATURE)  # type: ignore[no-untyped-call]
        _libraries.append(declared)
