"""Artifacts: kept while what they were made from and their files are the same, made again otherwise."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dancebench.core.artifacts import ArtifactRecord, find_existing, reuse_or_make
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.core.schema import NewerSchemaError


class Loaf(ArtifactRecord):
    """`loaf.json`: a loaf of two halves, and the flour that it was made from."""

    flour: str
    minutes: int
    sha256: tuple[str, str]

    @property
    def key(self) -> Any:
        return [self.flour, self.minutes]

    def files(self, path: Path) -> Mapping[Path, str]:
        return dict(zip(halves(path), self.sha256, strict=True))


def halves(path: Path) -> tuple[Path, Path]:
    return path.with_suffix(".left"), path.with_suffix(".right")


class Bakery:
    """Bakes loaves and counts them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "shelf" / "loaf.json"
        self.baked = 0

    def ask(self, flour: str = "rye", minutes: int = 40) -> Loaf:
        """The loaf from the shelf, or a new one."""

        def bake() -> Loaf:
            self.baked += 1
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for half in halves(self.path):
                half.write_text(f"{half.suffix} of {flour}, {minutes}")
            left, right = (sha256_file(half) for half in halves(self.path))
            return Loaf(flour=flour, minutes=minutes, sha256=(left, right))

        return reuse_or_make(self.path, Loaf, [flour, minutes], bake)

    def on_shelf(self, flour: str = "rye", minutes: int = 40) -> Loaf | None:
        return find_existing(self.path, Loaf, [flour, minutes])


@pytest.fixture
def bakery(tmp_path: Path) -> Bakery:
    return Bakery(tmp_path)


def test_the_same_key_is_kept(bakery: Bakery) -> None:
    assert bakery.on_shelf() is None
    first = bakery.ask()
    stamps = [half.stat().st_mtime_ns for half in (bakery.path, *halves(bakery.path))]
    assert bakery.ask() == first == bakery.on_shelf() == Loaf.load(bakery.path)
    assert bakery.baked == 1
    assert [half.stat().st_mtime_ns for half in (bakery.path, *halves(bakery.path))] == stamps


@pytest.mark.parametrize(("flour", "minutes"), [("spelt", 40), ("rye", 41)])
def test_another_key_is_made_again_and_replaces(bakery: Bakery, flour: str, minutes: int) -> None:
    bakery.ask()
    assert bakery.on_shelf(flour, minutes) is None
    other = bakery.ask(flour, minutes)
    assert (other.key, bakery.baked) == ([flour, minutes], 2)
    assert bakery.on_shelf(flour, minutes) == other
    assert bakery.on_shelf() is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(["rye", "spelt"]), st.integers(1, 2)), min_size=1, max_size=8))
def test_as_many_are_made_as_the_key_changes(tmp_path: Path, asked: list[tuple[str, int]]) -> None:
    bakery = Bakery(tmp_path)
    bakery.path.unlink(missing_ok=True)
    for flour, minutes in asked:
        assert bakery.ask(flour, minutes).key == [flour, minutes]
    changes = sum(one != other for one, other in itertools.pairwise(asked))
    assert bakery.baked == 1 + changes


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_file_is_made_again(bakery: Bakery, which: int) -> None:
    first = bakery.ask()
    halves(bakery.path)[which].unlink()
    assert bakery.on_shelf() is None
    assert bakery.ask() == first
    assert bakery.baked == 2
    assert halves(bakery.path)[which].is_file()


def test_a_folder_in_place_of_a_file_is_no_artifact(bakery: Bakery) -> None:
    bakery.ask()
    left, _ = halves(bakery.path)
    left.unlink()
    left.mkdir()
    assert bakery.on_shelf() is None


@pytest.mark.parametrize("which", [0, 1])
def test_a_changed_file_is_made_again(bakery: Bakery, which: int) -> None:
    first = bakery.ask()
    half = halves(bakery.path)[which]
    whole = half.read_text()
    half.write_text(whole + "!")
    assert bakery.on_shelf() is None
    assert bakery.ask() == first
    assert (bakery.baked, half.read_text()) == (2, whole)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[1]",
        b'{"schema_version": 1}',
        b'{"schema_version": 1, "flour": "rye", "minutes": "x"}',
    ],
)
def test_a_damaged_record_is_made_again(bakery: Bakery, damage: bytes) -> None:
    first = bakery.ask()
    bakery.path.write_bytes(damage)
    assert bakery.on_shelf() is None
    assert bakery.ask() == first
    assert bakery.baked == 2
    assert Loaf.load(bakery.path) == first


def test_the_record_is_written_last(bakery: Bakery) -> None:
    def bake() -> Loaf:
        assert not bakery.path.exists()
        raise BenchError("The oven is cold.", hint="Wait.")

    with pytest.raises(BenchError, match="The oven is cold"):
        reuse_or_make(bakery.path, Loaf, ["rye", 40], bake)
    assert not bakery.path.exists()
    assert bakery.ask().flour == "rye"
    assert bakery.baked == 1


def test_after_a_failure_half_way_neither_the_old_nor_the_new_is_found(bakery: Bakery) -> None:
    bakery.ask()

    def bake() -> Loaf:
        halves(bakery.path)[0].write_text("half of a loaf")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reuse_or_make(bakery.path, Loaf, ["spelt", 40], bake)
    assert bakery.on_shelf() is None
    assert bakery.on_shelf("spelt") is None


def test_a_failure_before_anything_is_written_leaves_the_old(bakery: Bakery) -> None:
    first = bakery.ask()

    def bake() -> Loaf:
        raise BenchError("The oven is cold.", hint="Wait.")

    with pytest.raises(BenchError):
        reuse_or_make(bakery.path, Loaf, ["spelt", 40], bake)
    assert bakery.on_shelf() == first


def test_a_record_of_a_later_release_is_refused_and_kept(bakery: Bakery) -> None:
    bakery.ask()
    later = json.loads(bakery.path.read_text()) | {"schema_version": 2}
    bakery.path.write_text(json.dumps(later))
    for ask in (bakery.ask, bakery.on_shelf):
        with pytest.raises(NewerSchemaError, match="schema version 2"):
            ask()
    assert json.loads(bakery.path.read_text()) == later
    assert bakery.baked == 1
