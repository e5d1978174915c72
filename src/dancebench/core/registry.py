"""Registries: a new method or detector is one new module and a decorator.

METHODS: Registry[type[Method]] = Registry("method", package="dancebench.synth.methods")

@METHODS.register("fbf")
class FrameByFrame(Method): ...
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Generic, TypeVar

from dancebench.core.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to implementations; the modules of `package` are imported on the first look-up."""

    def __init__(self, kind: str, *, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Register the decorated object under `name`; each name can be used once."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        self._discover()
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        self._discover()
        return sorted(self._entries)

    def _discover(self) -> None:
        if self._discovered:
            return
        package = importlib.import_module(self._package)
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
            if not module.name.startswith("_"):  # code that several entries share
                importlib.import_module(f"{self._package}.{module.name}")
        self._discovered = True
