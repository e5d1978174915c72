"""What makes training fast without changing what is computed: memory layouts, optimizers, autocast, compilation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

import torch
from torch import nn

from dancebench.synth.base import Precision

_BETAS: Final = (0.5, 0.999)


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware computes in bfloat16: a GPU that does, or a CPU with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # missing in older torch
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Run the networks in bfloat16 where `precision` says so; losses are computed in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def to_device_layout(network: nn.Module, device: torch.device) -> nn.Module:
    """Move the network to its device, channels last on a GPU, where it speeds convolutions up; a CPU gains nothing."""
    network = network.to(device)
    return network.to(memory_format=torch.channels_last) if device.type == "cuda" else network  # type: ignore[call-overload]


def make_adam(network: nn.Module, learning_rate: float, betas: tuple[float, float] = _BETAS) -> torch.optim.Adam:
    """Adam in one fused pass over memory, with the paper's betas (EDN 8.2 follows pix2pixHD)."""
    return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=betas, fused=True)
