"""Gradient training that can be killed at any time and resumed: a network and a loss in, a trained network out.

The randomness of a step is seeded by (seed, step) alone, and the checkpoint on disk holds everything else. So a
killed and resumed training gives bitwise the same weights as an uninterrupted one (on a CPU with one thread,
which is what is used there).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dancebench.core.errors import BenchError
from dancebench.core.files import write_text
from dancebench.core.nn.checkpoint import load_checkpoint, save_checkpoint
from dancebench.core.progress import ReportProgress

CHECKPOINT_SECONDS = 10.0
"""Time between checkpoints: at most this much work is lost when a training is killed."""
STATE = "state.safetensors"
LOG = "losses.jsonl"
_NAME = "detector"

StepLoss = Callable[[np.random.Generator], Tensor]
"""Samples a batch with the generator and returns its mean loss, a scalar with gradients."""


@contextmanager
def use_one_thread() -> Iterator[None]:
    """Limit torch to one CPU thread: results depend on their number, and many threads slow parallel processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    network: nn.Module,
    step_loss: StepLoss,
    *,
    steps: int,
    learning_rate: float,
    decay_share: float,
    seed: int,
    state: Path,
    report: ReportProgress,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> None:
    """Train `network` in place with Adam, from the checkpoint on disk if there is one.

    Args:
        network: On its device, initialised by seed (the initial weights are not in the checkpoint).
        step_loss: The loss of one step.
        steps: Number of steps of the whole training.
        learning_rate: Adam's; its betas are (0.5, 0.999), as for the synthesis discriminator.
        decay_share: Learning rate schedule: share of the steps, at the end, over which the rate falls linearly to zero.
        seed: Seed of the batches.
        state: Folder of the checkpoint and of the loss log (JSONL: step and loss).
        report: Progress.
        checkpoint_seconds: Time between two checkpoints.

    Raises:
        BenchError: The checkpoint is damaged, or the loss is no longer finite.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, betas=(0.5, 0.999))
    losses = _restore(state / STATE, network, optimizer, seed)
    saved = time.monotonic()
    network.train()
    with use_one_thread():
        for step in range(len(losses), steps):
            report("training the detector", step, steps)
            decay = decay_share * steps
            optimizer.param_groups[0]["lr"] = learning_rate * min(1.0, (steps - step) / decay if decay else 1.0)
            loss = step_loss(np.random.default_rng((seed, step)))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                raise BenchError(
                    f"The detector's loss is {losses[-1]} at step {step}.", hint="Lower the learning rate."
                )
            if step + 1 == steps or time.monotonic() - saved >= checkpoint_seconds:
                _save(state, network, optimizer, seed, losses)
                saved = time.monotonic()
    report("training the detector", steps, steps)


def _save(folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, seed: int, losses: list[float]) -> None:
    save_checkpoint(folder / STATE, {_NAME: network}, {_NAME: optimizer}, {"seed": seed, "losses": losses})
    lines = (json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in enumerate(losses))
    write_text(folder / LOG, "".join(lines))


def _restore(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> list[float]:
    """Load the checkpoint at `path`, if there is one; returns the losses of the steps that are done."""
    state = load_checkpoint(path)
    if state is None:
        return []
    if state.facts.get("seed") != seed:
        raise BenchError(
            f"The training state {path} cannot be used (it belongs to another training).",
            hint="Remove it to train from the start.",
        )
    state.restore({_NAME: network}, {_NAME: optimizer})
    losses: list[float] = state.facts["losses"]
    return losses
