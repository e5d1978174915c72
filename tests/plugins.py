"""What tests of plug-ins share: a distribution with entry points, as an installer would leave it on the path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dancebench.core.registry import Registry


def write_plugin(folder: Path, name: str, group: str, source: str, *, version: str = "1.0") -> Path:
    """Write module `name` and the metadata of its distribution, which offers it to `group`; returns the folder."""
    (folder / f"{name}.py").write_text(source)
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}\n")
    return folder


def discover_again(registry: Registry[object], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a registry find the distributions of `folder`; what it found goes when the test ends."""
    registry.names()  # what is built in, which must stay when the test ends
    monkeypatch.syspath_prepend(str(folder))
    for module in folder.glob("*.py"):
        monkeypatch.delitem(sys.modules, module.stem, raising=False)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_discovered", False)
