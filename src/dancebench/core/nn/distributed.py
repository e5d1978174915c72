"""Distributed data-parallel training under torchrun; a single process without it.

Every rank holds the same networks and works on its share of each batch; gradients are averaged before
a step, so that all ranks stay the same. Adversarial steps run several backward passes over parts of the graph,
which the hooks of DistributedDataParallel do not expect; averaging by hand after each is as exact.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

T = TypeVar("T")

_TIMEOUT: Final = timedelta(days=2)
"""How long the worker ranks wait while rank 0 generates, encodes and measures between trainings."""


def join_process_group(device: str) -> None:
    """Join the process group, if torchrun started several ranks. A second call does nothing.

    Args:
        device: `cpu` or `cuda`, where the training runs; on CUDA each rank takes a GPU of its own.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=_TIMEOUT)


def leave_process_group() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()


def world_size() -> int:
    """The number of ranks; 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main_process() -> bool:
    """Whether this is the main process (rank 0), which writes files and prints messages."""
    return not dist.is_initialized() or dist.get_rank() == 0


def broadcast(value: T) -> T:
    """Rank 0's value, on every rank: all follow its decision."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


class RankRendezvous(Generic[T]):
    """Where the ranks meet: rank 0 announces each job that all compute together, the worker ranks follow."""

    def announce(self, job: T) -> None:
        """Rank 0: start this job on every rank."""
        broadcast(job)

    def follow(self) -> Iterator[T]:
        """Worker ranks: the jobs, as rank 0 announces them, until it dismisses the ranks."""
        nothing: T | None = None
        while (job := broadcast(nothing)) is not None:
            yield job
        leave_process_group()

    def dismiss(self) -> None:
        """Rank 0: no job is left; every rank leaves the process group."""
        broadcast(None)
        leave_process_group()


def split_batch(batch: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The part of a batch for this rank: [B / ranks, n] of [B, n].

    Raises:
        ValueError: It cannot be divided evenly.
    """
    count = world_size()
    if len(batch) % count:
        raise ValueError(f"a batch of {len(batch)} cannot be divided among {count} processes")
    return np.split(batch, count)[dist.get_rank() if count > 1 else 0]


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Set every gradient to its mean over the ranks."""
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
    """Scalars by name, each averaged over the ranks."""
    if world_size() == 1:
        return values
    stacked = torch.stack(list(values.values()))
    dist.all_reduce(stacked)
    return dict(zip(values, stacked / world_size(), strict=True))
