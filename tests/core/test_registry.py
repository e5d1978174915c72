"""Registries find the modules of their package and plug-ins; what is wrong with one is said in a line."""

import importlib
import multiprocessing
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugins import write_plugin

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.registry import Registry, list_missing_parts

PACKAGE = "dancebench_test_package"
GROUP = "dancebench.tests"
REGISTER = f"from {PACKAGE} import REGISTRY\n@REGISTRY.register('{{entry}}')\nclass Entry: ...\n"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[type]]:
    """The registry of a package whose two modules each register a class."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from dancebench.core.registry import Registry\n"
        f"REGISTRY: Registry[type] = Registry('method', package='{PACKAGE}', group='{GROUP}')\n"
    )
    for module, entry in (("zebra", "fbf"), ("ant", "fbf-ts")):
        (folder / f"{module}.py").write_text(REGISTER.format(entry=entry))
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    found: Registry[type] = importlib.import_module(PACKAGE).REGISTRY
    yield found
    for module in set(sys.modules) - before:
        del sys.modules[module]


def test_modules_are_found_on_the_first_look_up(registry: Registry[type]) -> None:
    assert f"{PACKAGE}.ant" not in sys.modules
    assert registry.names() == ["fbf", "fbf-ts"]
    assert registry["fbf"].__module__ == f"{PACKAGE}.zebra"
    assert registry.source("fbf") == "built in"
    assert list(registry.entries()) == ["fbf-ts", "fbf"]  # in the order of the modules
    assert "fbf" in registry
    assert "fbff" not in registry


def test_unknown_name_suggests_the_nearest(registry: Registry[type]) -> None:
    with pytest.raises(UnknownNameError, match="Unknown method 'fbff'") as caught:
        registry["fbff"]
    assert caught.value.hint == "Did you mean 'fbf'? Available: fbf, fbf-ts."


def test_a_name_is_taken_once_and_is_also_a_safe_folder_name(registry: Registry[type]) -> None:
    registry.register("a")(int)
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("a")(str)
    assert registry["a"] is int
    for name in ("a@b", "a/b", "", ".a"):
        with pytest.raises(ValueError, match="cannot be the name of a method"):
            registry.register(name)(int)


# ---------------------------------------------------------------- plug-ins


def test_a_plugin_is_found_with_its_distribution(
    registry: Registry[type], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plugin(tmp_path, "acme", GROUP, REGISTER.format(entry="acme-method"), version="2.3")
    assert registry.names() == ["acme-method", "fbf", "fbf-ts"]
    assert registry["acme-method"].__module__ == "acme"
    assert registry.source("acme-method") == "acme 2.3"
    assert capsys.readouterr().err == ""


def test_a_plugin_that_was_imported_before_is_known_by_its_distribution(
    registry: Registry[type], tmp_path: Path
) -> None:
    write_plugin(tmp_path, "acme", GROUP, REGISTER.format(entry="acme-method"))
    importlib.import_module("acme")
    assert registry.source("acme-method") == "acme 1.0"


@pytest.mark.parametrize(
    ("last_line", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import acme_needs_this", "ModuleNotFoundError: No module named 'acme_needs_this'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise RuntimeError('of\\ntwo lines')", "RuntimeError: of two lines"),
        ("raise RuntimeError", "RuntimeError: no reason given"),
        ("def", "SyntaxError: invalid syntax"),
        (REGISTER.format(entry="a@b"), "ValueError: 'a@b' cannot be the name"),
    ],
)
def test_a_plugin_that_fails_to_import_is_one_warning_and_the_rest_works(
    registry: Registry[type], tmp_path: Path, capsys: pytest.CaptureFixture[str], last_line: str, reason: str
) -> None:
    write_plugin(tmp_path, "broken", GROUP, REGISTER.format(entry="half") + last_line)
    write_plugin(tmp_path, "whole", GROUP, REGISTER.format(entry="whole"))
    assert registry.names() == ["fbf", "fbf-ts", "whole"]  # nothing of the broken one is kept
    [warning] = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: the plug-in 'broken' ({GROUP}) of broken 1.0 is left out: {reason}")
    assert registry["whole"].__module__ == "whole"


def test_an_entry_point_that_names_no_module_is_a_warning(
    registry: Registry[type], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plugin(tmp_path, "acme", GROUP, "")
    (tmp_path / "acme-1.0.dist-info" / "entry_points.txt").write_text(f"[{GROUP}]\nacme = no module at all\n")
    assert registry.names() == ["fbf", "fbf-ts"]
    [warning] = capsys.readouterr().err.splitlines()
    assert "the plug-in 'acme'" in warning


def test_of_two_with_one_name_the_built_in_wins_and_both_are_named(
    registry: Registry[type], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plugin(tmp_path, "acme", GROUP, REGISTER.format(entry="fbf"))
    assert registry["fbf"].__module__ == f"{PACKAGE}.zebra"
    assert registry.source("fbf") == "built in"
    [warning] = capsys.readouterr().err.splitlines()
    assert warning == "warning: two methods are named 'fbf': the built-in one is used, that of acme 1.0 is not"


def test_a_plugin_does_not_win_by_being_imported_first(registry: Registry[type], tmp_path: Path) -> None:
    write_plugin(tmp_path, "acme", GROUP, REGISTER.format(entry="fbf"))
    importlib.import_module("acme")
    assert registry["fbf"].__module__ == f"{PACKAGE}.zebra"


def test_of_two_plugins_with_one_name_the_first_distribution_wins(
    registry: Registry[type], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("zeta", "beta"):
        write_plugin(tmp_path, name, GROUP, REGISTER.format(entry="same"))
    assert registry.source("same") == "beta 1.0"
    [warning] = capsys.readouterr().err.splitlines()
    assert warning == "warning: two methods are named 'same': that of beta 1.0 is used, that of zeta 1.0 is not"


def test_worker_processes_do_not_repeat_the_warnings(
    registry: Registry[type], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plugin(tmp_path, "broken", GROUP, "1 / 0")
    monkeypatch.setattr(multiprocessing, "parent_process", multiprocessing.current_process)
    assert registry.names() == ["fbf", "fbf-ts"]
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------- what an entry lacks


class Interface(ABC):
    Config: type

    @abstractmethod
    def fit(self) -> None: ...

    @abstractmethod
    def logits(self) -> None: ...


class Half(Interface):
    def fit(self) -> None: ...


class Whole(Half):
    Config = int

    def logits(self) -> None: ...


def test_what_a_class_lacks_is_named() -> None:
    assert list_missing_parts(Half, Interface, ("Config",)) == ["Config", "logits"]
    assert list_missing_parts(Whole, Interface, ("Config",)) == []
    assert list_missing_parts(int, Interface) == list_missing_parts(3, Interface) == ["the base class Interface"]


def test_an_entry_that_lacks_something_is_refused_when_it_is_looked_up() -> None:
    registry = Registry[type](
        "detector", package="tests_of_nothing", group=GROUP, list_missing=lambda entry: list_missing_parts(entry, Half)
    )
    registry._discovered = True
    registry.register("half")(Interface)
    registry.register("whole")(Whole)
    assert registry.names() == ["half", "whole"]
    assert list(registry.entries()) == ["whole"]
    with pytest.raises(
        BenchError, match=r"The detector 'half' of module \S+ cannot be used: it lacks the base"
    ) as caught:
        registry["half"]
    assert caught.value.hint == "Add what it lacks, or choose another detector (see bench list)."


# ---------------------------------------------------------------- hints


def test_hint_without_a_near_name_lists_at_most_twelve() -> None:
    error = UnknownNameError("method", "qqq", [f"m{number:02d}" for number in range(20)])
    assert error.hint == f"Available: {', '.join(f'm{number:02d}' for number in range(12))}, …."


def test_hint_of_an_empty_registry() -> None:
    assert UnknownNameError("method", "fbf", []).hint == "Available: none yet."
