"""The batches of a phase, in order: the batch of step `s` depends on (seed, phase, s) alone.

On a GPU a thread prepares the next batches in pinned memory while the device computes, and the host does not
wait for their copies. On a CPU there is nothing to overlap with.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Final

import numpy as np
import torch

from dancebench.core.nn.distributed import split_batch
from dancebench.synth.base import Phase
from dancebench.synth.clip import Batch, HostBatch

_AHEAD: Final = 3
"""Batches prefetched into pinned memory."""


def iterate_batches(phase: Phase, seeds: tuple[int, int], steps: range, device: torch.device) -> Iterator[Batch]:
    """The batch of each step; with several processes, this rank's share of it.

    Args:
        phase: Samples the examples.
        seeds: The training's seed and the phase's number.
        steps: The steps that remain to be done.
        device: Where the batches go.
    """
    indices = (split_batch(phase.sample_examples(np.random.default_rng([*seeds, step]))) for step in steps)
    if device.type != "cuda":
        return (phase.clip.read_batch(index, device) for index in indices)
    return (batch.to(device) for batch in _prefetch(phase.clip.read_host_batch(index).pin() for index in indices))


def _prefetch(source: Iterator[HostBatch]) -> Iterator[HostBatch]:
    """The same items, prepared by a background thread; an exception in it is raised here."""
    ready: queue.Queue[HostBatch | BaseException | None] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(item: HostBatch | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in source:
                put(item)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        worker.join()
