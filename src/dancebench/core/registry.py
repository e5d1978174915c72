"""Registries: a new method, detector, metric, rule or layout is one new module and a decorator.

METHODS: Registry[type[Method]] = Registry("method", package="dancebench.synth.methods", group="dancebench.methods")

@METHODS.register("fbf")
class FrameByFrame(Method): ...

A package outside this one offers the same through an entry point of the registry's group, which names the module
that holds the decorated object; what the entry point itself is called does not matter:

    [project.entry-points."dancebench.methods"]
    acme = "acme.methods"

A plug-in that cannot be imported is one warning on standard error, and everything else works without it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Generic, TypeVar

from dancebench.core.errors import BenchError, UnknownNameError

T = TypeVar("T")
E = TypeVar("E")
BUILT_IN: Final = "built in"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, order=True)
class Source:
    """Where an entry comes from; of two entries with one name that of the smaller source is used."""

    is_plugin: bool
    label: str
    """`built in`, name and version of a distribution, or the module where nobody installed it."""

    def __str__(self) -> str:
        return f"that of {self.label}" if self.is_plugin else "the built-in one"


@dataclass(frozen=True)
class _Entry(Generic[T]):
    value: T
    source: Source


def list_missing_parts(entry: Any, interface: type, attributes: Iterable[str] = ()) -> list[str]:
    """What a class lacks to be used as an `interface`: that it is none, or its missing methods and class attributes."""
    if not (isinstance(entry, type) and issubclass(entry, interface)):
        return [f"the base class {interface.__name__}"]
    return sorted(
        {*getattr(entry, "__abstractmethods__", ()), *(name for name in attributes if not hasattr(entry, name))}
    )


class Registry(Generic[T]):
    """Names to implementations; the modules of `package`, and the plug-ins, are imported on the first look-up.

    Args:
        kind: What an entry is called in messages.
        package: Package whose modules enter what is built in, those whose name begins with `_` aside; or one module.
        group: Group of entry points that name the modules of plug-ins.
        list_missing: What an entry lacks to be used; checked when it is looked up.

    >>> from dancebench import DETECTORS
    >>> "pair-patch" in DETECTORS, DETECTORS.source("pair-patch")
    (True, 'built in')
    >>> DETECTORS["pair-patch"].Config().size
    (128, 64)
    """

    def __init__(
        self, kind: str, *, package: str, group: str, list_missing: Callable[[T], list[str]] | None = None
    ) -> None:
        self.kind = kind
        self._package = package
        self._group = group
        self._list_missing = list_missing
        self._entries: dict[str, _Entry[T]] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[E], E]:
        """Enter the decorated object under `name`; see `enter`."""

        def decorate(entry: E) -> E:
            self.enter(name, entry, module=entry.__module__)  # type: ignore[arg-type] # checked when it is looked up
            return entry

        return decorate

    def enter(self, name: str, entry: T, *, module: str) -> None:
        """Enter an object under `name`.

        Two sources may offer one name: what is built in is used, else the plug-in whose distribution comes first by
        name, and a warning names both.

        Args:
            name: What it is looked up by.
            entry: The object.
            module: Name of the module that it was made in.

        Raises:
            ValueError: The same source registers a name twice, or it is not made of letters, digits, dots, dashes and
                underscores.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{name}' cannot be the name of a {self.kind}: letters, digits and . _ - can")
        entered = _Entry(entry, self._trace(module))
        known = self._entries.get(name)
        if known is not None and known.source == entered.source:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        if known is None:
            self._entries[name] = entered
            return
        used, unused = sorted((known, entered), key=lambda each: each.source)
        self._entries[name] = used
        _warn(f"two {self.kind}s are named '{name}': {used.source} is used, {unused.source} is not")

    def __getitem__(self, name: str) -> T:
        """The entry of that name.

        Raises:
            UnknownNameError: There is none.
            BenchError: It lacks something that it needs.
        """
        known = self._find(name)
        missing = self.list_missing(name)
        if missing:
            raise BenchError(
                f"The {self.kind} '{name}' of {known.source.label} cannot be used: it lacks {', '.join(missing)}.",
                hint=f"Add what it lacks, or choose another {self.kind} (see bench list).",
            )
        return known.value

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._entries

    def names(self) -> list[str]:
        """All names, sorted."""
        self._discover()
        return sorted(self._entries)

    def entries(self) -> dict[str, T]:
        """All entries that lack nothing, by name, in the order of their registration: what is built in comes first."""
        self._discover()
        return {name: each.value for name, each in self._entries.items() if not self.list_missing(name)}

    def source(self, name: str) -> str:
        """Where an entry comes from: `built in`, or name and version of its distribution.

        Raises:
            UnknownNameError: There is none.
        """
        return self._find(name).source.label

    def list_missing(self, name: str) -> list[str]:
        """What an entry lacks to be used; empty where it can be used.

        Raises:
            UnknownNameError: There is none.
        """
        known = self._find(name)
        return [] if self._list_missing is None else self._list_missing(known.value)

    def _find(self, name: str) -> _Entry[T]:
        self._discover()
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def _discover(self) -> None:
        if self._discovered:
            return
        package = importlib.import_module(self._package)
        modules = pkgutil.iter_modules(getattr(package, "__path__", ()))
        for module in sorted(modules, key=lambda module: module.name):
            if not module.name.startswith("_"):  # code that several entries share
                importlib.import_module(f"{self._package}.{module.name}")
        self._discovered = True
        for plugin in self._list_plugins():
            self._load(plugin)

    def _list_plugins(self) -> list[EntryPoint]:
        """The entry points of the group, by name and version of their distribution."""
        return sorted(entry_points(group=self._group), key=lambda each: (_label_distribution(each), each.name))

    def _load(self, plugin: EntryPoint) -> None:
        """Import a plug-in; where that fails, a warning, and nothing that it registered is kept."""
        before = dict(self._entries)
        try:
            plugin.load()
        except (Exception, SystemExit) as error:
            self._entries = before
            reason = " ".join(str(error).split()) or "no reason given"
            _warn(f"the plug-in '{plugin.name}' ({self._group}) of {_label_distribution(plugin)} is left out: "
                  f"{type(error).__name__}: {reason}")  # fmt: skip

    def _trace(self, module: str) -> Source:
        """The source of a module: the distribution whose entry point names it, or its package."""
        if module == self._package or module.startswith(f"{self._package}."):
            return Source(is_plugin=False, label=BUILT_IN)
        plugins = self._list_plugins()
        named = [each for each in plugins if _name_module(each) == module]
        beside = [each for each in plugins if _name_module(each).partition(".")[0] == module.partition(".")[0]]
        for plugin in (*named, *beside):
            return Source(is_plugin=True, label=_label_distribution(plugin))
        return Source(is_plugin=True, label=f"module {module}")


def _name_module(plugin: EntryPoint) -> str:
    return plugin.value.partition(":")[0].strip()


def _label_distribution(plugin: EntryPoint) -> str:
    """Name and version of the distribution that offers a plug-in."""
    return "an unknown distribution" if plugin.dist is None else f"{plugin.dist.name} {plugin.dist.version}"


def _warn(text: str) -> None:
    """One line on standard error; worker processes import the same plug-ins again and stay silent."""
    if multiprocessing.parent_process() is None:
        sys.stderr.write(f"warning: {text}\n")
