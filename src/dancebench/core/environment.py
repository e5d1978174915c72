"""What a result depends on beside its inputs: versions, hardware, code, seeds."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import random
import subprocess
from pathlib import Path

import numpy as np

import dancebench

_PACKAGES = (
    "torch", "torchvision", "torchmetrics", "lpips", "numpy", "opencv-contrib-python", "mediapipe",
    "decord", "av", "scikit-learn", "scipy", "pandas", "timm", "skops",
)  # fmt: skip


@functools.cache
def collect_versions() -> dict[str, str]:
    """Versions of Python, dancebench and every package that a number can depend on."""
    versions = {"python": platform.python_version(), "dancebench": dancebench.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


@functools.cache
def describe_hardware() -> dict[str, str | int]:
    """Processor, cores and, where there is one, the CUDA device."""
    import torch  # slow to import; records are the only caller

    hardware: dict[str, str | int] = {"cpu": _read_cpu_name(), "cores": os.cpu_count() or 1}
    if torch.cuda.is_available():
        hardware["gpu"] = torch.cuda.get_device_name()
    return hardware


def _read_cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux: ask the platform module below
    return platform.processor() or platform.machine()


@functools.cache
def read_code_version() -> tuple[str | None, bool | None]:
    """Git commit of the running code and whether it was changed since; None where it is not a checkout."""
    here = Path(dancebench.__file__).resolve().parent
    try:
        sha = _run_git(here, "rev-parse", "HEAD")
        return sha.strip(), bool(_run_git(here, "status", "--porcelain", "--untracked-files=no").strip())
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _run_git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy's legacy generator (libraries use it) and torch."""
    import torch  # slow to import; only training and synthesis call this

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)
