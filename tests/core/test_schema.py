"""Documents: validated on read, upgraded when older, refused when newer; a metric has a value or a reason."""

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import TypeAdapter, ValidationError

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.metric import Metric
from dancebench.core.schema import Document, Name, NewerSchemaError, Strict, describe_fields, set_fields


class Recipe(Document):
    """A document in its second version: `minutes` was called `time` in the first."""

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2
    minutes: float

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        old = dict(data)
        return {"minutes": old.pop("time"), **old}


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_round_trip(tmp_path: Path) -> None:
    Recipe(minutes=1.5).save(tmp_path / "a.json")
    assert Recipe.load(tmp_path / "a.json") == Recipe(minutes=1.5)
    assert json.loads((tmp_path / "a.json").read_text()) == {"schema_version": 2, "minutes": 1.5}


def test_older_version_is_upgraded(tmp_path: Path) -> None:
    loaded = Recipe.load(write(tmp_path / "a.json", {"schema_version": 1, "time": 3}))
    assert (loaded.minutes, loaded.schema_version) == (3, 2)


def test_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"schema_version": 3, "minutes": 3, "novelty": 1})
    with pytest.raises(NewerSchemaError, match=r"a\.json has schema version 3; this release reads up to 2"):
        Recipe.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "no schema_version"),
        ('{"minutes": 1}', "no schema_version"),
        ('{"schema_version": "2", "minutes": 1}', "no schema_version"),
        ("[" * 100_000, "not valid JSON"),
        ('{"schema_version": ' + "1" * 5000 + "}", "not valid JSON"),
        ('{"schema_version": 1}', "not a valid Recipe file of version 1: KeyError: 'time'"),
        ('{"schema_version": 2}', "not a valid Recipe file: minutes"),
        ('{"schema_version": 2, "minutes": NaN}', "not a valid Recipe file: minutes"),
        ('{"schema_version": 2, "minutes": 1, "seconds": 2}', "not a valid Recipe file: seconds"),
    ],
)
def test_bad_files_are_reported_with_the_field(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(BenchError, match=message) as caught:
        Recipe.load(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_bytes_that_are_not_text_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchError, match="not valid JSON"):
        Recipe.load(tmp_path / "a.json")


def test_what_lies_in_the_place_of_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    for path, words in (
        (tmp_path / "folder.json", "cannot be read: Is a directory"),
        (tmp_path / "pipe.json", "is not a regular file"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(BenchError, match=words) as caught:
            Recipe.load(path)
        assert caught.value.hint
        assert Recipe.load_if_usable(path) is None


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="does not exist"):
        Recipe.load(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["a", "s01", "Subject-1.b_c", "0" * 64])
def test_names_that_can_be_folders(name: str) -> None:
    assert TypeAdapter[str](Name).validate_python(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "-rf", ".hidden", "ä", "0" * 65, "a\n"])
def test_names_that_cannot(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[str](Name).validate_python(name)


@pytest.mark.parametrize(
    ("value", "reason"), [(None, None), (1.0, "but why"), (float("nan"), None), (float("inf"), None)]
)
def test_metric_has_a_finite_value_or_a_reason(value: float | None, reason: str | None) -> None:
    with pytest.raises(ValidationError):
        Metric(value=value, reason=reason, n=1, unit="dB", higher_is_better=True)


class Inner(Strict):
    steps: int = 3


class Outer(Strict):
    inner: Inner = Inner()
    name: str = "a"
    sizes: tuple[int, ...] = (1, 2)
    seed: int = 0


def test_fields_are_set_by_path_and_the_original_is_kept() -> None:
    config = Outer()
    changed = set_fields("x", config, {"inner.steps": 5, "sizes": [3]}, {})
    assert changed == Outer(inner=Inner(steps=5), sizes=(3,))
    assert config == Outer()
    assert set_fields("x", changed, {}, {}) == changed
    assert describe_fields({"sizes": [3], "inner.steps": 5}) == "inner.steps=5, sizes=[3]"


def test_fields_that_cannot_be_set_are_named() -> None:
    with pytest.raises(UnknownNameError, match="Unknown setting of 'x' 'step'") as unknown:
        set_fields("x", Outer(), {"inner.step": 5}, {})
    assert unknown.value.hint == "Did you mean 'steps'? Available: steps."
    with pytest.raises(BenchError, match=r"'x.seed' is not set here") as elsewhere:
        set_fields("x", Outer(), {"seed": 5}, {"seed": "--seed"})
    assert elsewhere.value.hint == "It is set by --seed."
    with pytest.raises(BenchError, match=r"x.inner.steps is refused: Input should be a valid integer"):
        set_fields("x", Outer(), {"inner.steps": "many"}, {})
    with pytest.raises(BenchError, match="'name' has no fields"):
        set_fields("x", Outer(), {"name.length": 1}, {})
