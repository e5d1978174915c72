"""Registries find the modules of their package; for unknown names the nearest known one is suggested."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dancebench.core.errors import UnknownNameError
from dancebench.core.registry import Registry

PACKAGE = "dancebench_test_plugins"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[type]]:
    """The registry of a package whose two modules each register a class."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from dancebench.core.registry import Registry\n"
        f"REGISTRY: Registry[type] = Registry('method', package='{PACKAGE}')\n"
    )
    for module, entry in (("zebra", "fbf"), ("ant", "fbf-ts")):
        (folder / f"{module}.py").write_text(
            f"from {PACKAGE} import REGISTRY\n@REGISTRY.register('{entry}')\nclass Entry: ...\n"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    found: Registry[type] = importlib.import_module(PACKAGE).REGISTRY
    yield found
    for module in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[module]


def test_modules_are_found_on_the_first_look_up(registry: Registry[type]) -> None:
    assert f"{PACKAGE}.ant" not in sys.modules
    assert registry.names() == ["fbf", "fbf-ts"]
    assert registry["fbf"].__module__ == f"{PACKAGE}.zebra"


def test_unknown_name_suggests_the_nearest(registry: Registry[type]) -> None:
    with pytest.raises(UnknownNameError, match="Unknown method 'fbff'") as caught:
        registry["fbff"]
    assert caught.value.hint == "Did you mean 'fbf'? Available: fbf, fbf-ts."


def test_a_name_can_be_registered_once(registry: Registry[type]) -> None:
    registry.register("a")(int)
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("a")(str)
    assert registry["a"] is int


def test_hint_without_a_near_name_lists_at_most_twelve() -> None:
    error = UnknownNameError("method", "qqq", [f"m{number:02d}" for number in range(20)])
    assert error.hint == f"Available: {', '.join(f'm{number:02d}' for number in range(12))}, …."


def test_hint_of_an_empty_registry() -> None:
    assert UnknownNameError("method", "fbf", []).hint == "Available: none yet."
