"""What a result depends on beside its inputs: versions, hardware, code, seeds; and what the packages need here."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import platform
import random
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np

import dancebench

_PACKAGES = (
    "torch", "torchvision", "torchmetrics", "lpips", "numpy", "mediapipe",
    "decord", "av", "scikit-learn", "scipy", "pandas", "timm", "skops",
)  # fmt: skip
OPENCV_DISTRIBUTIONS: Final = (
    "opencv-contrib-python", "opencv-python-headless", "opencv-python", "opencv-contrib-python-headless",
)  # fmt: skip
"""All install the module cv2, each over the files of the others."""
_SYSTEM_LIBRARIES: Final = {
    "opencv-contrib-python": {"libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0"},
    "opencv-python": {"libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0"},
    "mediapipe": {"libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2"},
}
"""By distribution, the shared libraries that its Linux wheel does not bring, and their Debian packages."""
_SELF_CONTAINED: Final = {"mediapipe 0.10.21"}
"""Releases whose wheel brings these libraries."""


@functools.cache
def collect_versions() -> dict[str, str]:
    """Versions of Python, dancebench and every package that a number can depend on."""
    versions = {"python": platform.python_version(), "dancebench": dancebench.__version__}
    versions |= {package: _find_version(package) or "not installed" for package in _PACKAGES}
    return versions | find_opencv_distributions()


def _find_version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def find_opencv_distributions() -> dict[str, str]:
    """The installed distributions of OpenCV and their versions; one is right, two overwrite each other."""
    versions = ((name, _find_version(name)) for name in OPENCV_DISTRIBUTIONS)
    return {name: version for name, version in versions if version is not None}


def describe_opencv_conflict() -> list[tuple[str, str]]:
    """Cause and hint where several distributions of OpenCV are installed, else nothing.

    They write the same files: the one installed last is used, and to remove either breaks the other.
    """
    found = find_opencv_distributions()
    if len(found) < 2:
        return []
    several = " and ".join(f"{name} {version}" for name, version in found.items())
    hint = f"pip uninstall {' '.join(found)}, then pip install {suggest_opencv()}."
    return [(f"{several} overwrite each other's files.", hint)]


def suggest_opencv() -> str:
    """The distribution of OpenCV to install: the one that MediaPipe requires, else the one without a display."""
    return "opencv-contrib-python" if _find_version("mediapipe") else "opencv-python-headless"


def find_missing_system_libraries() -> dict[str, str]:
    """Shared libraries that installed packages need and the loader does not find: by name, the Debian package.

    Empty where nothing is missing, and on systems other than Linux, whose wheels bring what they need.
    """
    if sys.platform != "linux":
        return {}
    needed: dict[str, str] = {}
    for name, libraries in _SYSTEM_LIBRARIES.items():
        version = _find_version(name)
        if version is not None and f"{name} {version}" not in _SELF_CONTAINED:
            needed |= libraries
    return {library: package for library, package in needed.items() if not _loads(library)}


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


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
    # `git status` would refresh the index, and lock it against what the user does meanwhile.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy's legacy generator (libraries use it) and torch."""
    import torch  # slow to import; only training and synthesis call this

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)
