"""Training checkpoints: the resumable state in one safetensors file, written atomically so that its parts agree.

network/NAME/KEY             weights of a network
optimizer/NAME/INDEX/KEY     moments of its optimizer
header                       all other facts, as JSON under `facts`
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import atomic_path

Networks = Mapping[str, nn.Module]
Optimizers = Mapping[str, torch.optim.Optimizer]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: its facts, and the tensors that `restore` loads."""

    path: Path
    facts: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    def restore(self, networks: Networks, optimizers: Optimizers) -> None:
        """Load the weights and the optimizer moments.

        Raises:
            BenchError: They do not fit these networks.
        """
        try:
            for name, network in networks.items():
                network.load_state_dict(self._select(f"network/{name}/"))
            for name, optimizer in optimizers.items():
                moments: dict[int, dict[str, torch.Tensor]] = {}
                for key, value in self._select(f"optimizer/{name}/").items():
                    index, moment = key.split("/")
                    moments.setdefault(int(index), {})[moment] = value
                groups = optimizer.state_dict()["param_groups"]
                optimizer.load_state_dict({"state": moments, "param_groups": groups})
                _match_memory_layout(optimizer)
        except (RuntimeError, ValueError) as error:
            raise _unusable_error(self.path, error) from error
        self.tensors.clear()  # as large as the networks and optimizers themselves

    def _select(self, prefix: str) -> dict[str, torch.Tensor]:
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}


def _match_memory_layout(optimizer: torch.optim.Optimizer) -> None:
    """Give moments the memory layout of their parameters: fused optimizers iterate over both in parallel."""
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter).copy_(value)


def save_checkpoint(path: Path, networks: Networks, optimizers: Optimizers, facts: Mapping[str, Any]) -> None:
    """Write the checkpoint atomically; `facts` are JSON."""
    tensors = {
        f"network/{name}/{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    for name, optimizer in optimizers.items():
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{key}": value for key, value in moments.items()}
    with atomic_path(path) as temporary:
        save_file(
            {name: value.contiguous() for name, value in tensors.items()}, temporary, {"facts": json.dumps(facts)}
        )


def load_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint at `path`; None where there is none.

    Raises:
        BenchError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        if not path.is_file():
            raise ValueError("it is not a regular file")
        with safe_open(path, framework="pt", device="cpu") as stored:
            facts = json.loads(stored.metadata()["facts"])
            names = stored.keys()
            return Checkpoint(path, facts, {name: stored.get_tensor(name) for name in names})
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _unusable_error(path, error) from error


def _unusable_error(path: Path, error: Exception) -> BenchError:
    reason = first_line(error)
    return BenchError(
        f"The training state {path} cannot be used ({reason}).", hint="Remove it to train from the start."
    )
