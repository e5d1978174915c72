"""Several processes at one training, started by torchrun; one process where it was not.

Every process holds the same networks and works on its share of each batch; gradients are averaged before
a step, so that all stay the same. Adversarial steps run several backward passes over parts of the graph,
which the hooks of DistributedDataParallel do not expect; averaging by hand after each is as exact.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

T = TypeVar("T")

_TIMEOUT: Final = timedelta(days=2)
"""How long the others wait while the first draws, encodes and measures between trainings."""


def join_process_group(device: str) -> None:
    """Join the other processes, if torchrun started several. Does nothing a second time.

    Args:
        device: `cpu` or `cuda`, where the training runs; on CUDA each process takes a GPU of its own.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=_TIMEOUT)


def leave_process_group() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def world_size() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main_process() -> bool:
    """Whether this is the process that writes files and talks to people."""
    return not dist.is_initialized() or dist.get_rank() == 0


def broadcast(value: T) -> T:
    """The first process's value, in all of them: what one of them decides, all do."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def split_batch(batch: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The part of a batch that falls to this process: [B / processes, n] of [B, n].

    Raises:
        ValueError: It cannot be divided evenly.
    """
    count = world_size()
    if len(batch) % count:
        raise ValueError(f"a batch of {len(batch)} cannot be divided among {count} processes")
    return np.split(batch, count)[dist.get_rank() if count > 1 else 0]


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Set every gradient to its mean over the processes."""
    count = world_size()
    if count == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])  # one message instead of many
    dist.all_reduce(flat)
    flat /= count
    end = 0
    for gradient in gradients:
        begin, end = end, end + gradient.numel()
        gradient.copy_(flat[begin:end].view_as(gradient))


def average_values(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Scalars by name, each its mean over the processes."""
    if world_size() == 1:
        return values
    stacked = torch.stack(list(values.values()))
    dist.all_reduce(stacked)
    return dict(zip(values, stacked / world_size(), strict=True))
