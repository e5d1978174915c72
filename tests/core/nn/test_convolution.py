"""The convolution as one matrix product gives torch's output, within rounding, and all its gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dancebench.core.nn import convolution
from dancebench.core.nn.convolution import Conv2d


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 0), (4, 2, 2), (4, 1, 2), (3, 2, 1)])
@pytest.mark.parametrize("batch", [1, 3])
def test_foreign_reference_output_and_gradients_are_torchs(
    monkeypatch: pytest.MonkeyPatch, kernel: int, stride: int, padding: int, batch: int
) -> None:
    monkeypatch.setattr(convolution, "_MIN_WEIGHTS", 0)
    monkeypatch.setattr(convolution, "_MAX_POSITIONS", 1000)
    torch.manual_seed(0)
    ours = Conv2d(6, 5, kernel, stride=stride, padding=padding)
    theirs = nn.Conv2d(6, 5, kernel, stride=stride, padding=padding)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(batch, 6, 7, 6)
    taken = []
    product = Conv2d._multiply
    monkeypatch.setattr(Conv2d, "_multiply", lambda *a: taken.append(1) or product(*a))
    found = []
    for network in (ours, theirs):
        leaf = x.clone().requires_grad_()
        out = network(leaf)
        out.square().sum().backward()
        found.append((out, leaf.grad, network.weight.grad, network.bias.grad))
    assert taken == [1]
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("channels", "size", "fast"), [(512, (8, 4), True), (512, (16, 16), False), (32, (8, 4), False)]
)
def test_the_fast_path_is_taken_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, channels: int, size: tuple[int, int], fast: bool
) -> None:
    taken = []
    product = Conv2d._multiply
    monkeypatch.setattr(Conv2d, "_multiply", lambda *a: taken.append(1) or product(*a))
    with torch.no_grad():
        Conv2d(channels, channels, 3, padding=1)(torch.zeros(1, channels, *size))
    assert bool(taken) == fast
