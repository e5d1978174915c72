"""Checkpoints: everything is restored, damage is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from dancebench.core.errors import BenchError
from dancebench.core.nn.checkpoint import load_checkpoint, save_checkpoint


def trained(steps: int, seed: int = 0) -> tuple[nn.Linear, torch.optim.Adam]:
    torch.manual_seed(seed)
    network = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    for _ in range(steps):
        step(network, optimizer)
    return network, optimizer


def step(network: nn.Linear, optimizer: torch.optim.Adam) -> None:
    optimizer.zero_grad()
    network(torch.ones(1, 3)).square().sum().backward()
    optimizer.step()


def test_weights_moments_and_facts_are_restored(tmp_path: Path) -> None:
    network, optimizer = trained(3)
    save_checkpoint(tmp_path / "state.safetensors", {"n": network}, {"n": optimizer}, {"step": 3, "what": ["a"]})
    state = load_checkpoint(tmp_path / "state.safetensors")
    assert state is not None
    assert state.facts == {"step": 3, "what": ["a"]}
    other, other_optimizer = trained(1, seed=5)
    state.restore({"n": other}, {"n": other_optimizer})
    step(network, optimizer)
    step(other, other_optimizer)
    assert torch.equal(network.weight, other.weight)


def test_moments_take_the_layout_of_their_parameters(tmp_path: Path) -> None:
    """A network on a GPU is channels last, which a file does not store."""

    def network() -> nn.Conv2d:
        torch.manual_seed(0)
        return nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)

    def step(network: nn.Conv2d, optimizer: torch.optim.Adam) -> None:
        optimizer.zero_grad()
        network(torch.arange(100.0).view(1, 4, 5, 5) / 100).square().sum().backward()
        optimizer.step()

    uninterrupted, resumed = network(), network()
    optimizers = [torch.optim.Adam(n.parameters(), lr=0.1, fused=True) for n in (uninterrupted, resumed)]
    step(uninterrupted, optimizers[0])
    save_checkpoint(tmp_path / "state.safetensors", {"n": uninterrupted}, {"n": optimizers[0]}, {})
    state = load_checkpoint(tmp_path / "state.safetensors")
    assert state is not None
    state.restore({"n": resumed}, {"n": optimizers[1]})
    for trained_network, optimizer in zip((uninterrupted, resumed), optimizers, strict=True):
        step(trained_network, optimizer)
    assert torch.equal(uninterrupted.weight, resumed.weight)


def test_no_file_is_no_checkpoint(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "state.safetensors") is None


def test_a_damaged_or_foreign_checkpoint_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"damaged")
    with pytest.raises(BenchError, match="cannot be used"):
        load_checkpoint(path)
    network, optimizer = trained(1)
    save_checkpoint(path, {"n": network}, {"n": optimizer}, {})
    state = load_checkpoint(path)
    assert state is not None
    wider = nn.Linear(4, 2)
    with pytest.raises(BenchError, match="cannot be used") as error:
        state.restore({"n": wider}, {})
    assert error.value.hint == "Remove it to train from the start."
