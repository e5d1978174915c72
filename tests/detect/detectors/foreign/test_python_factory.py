"""Detectors in Python: a factory of the user's own that returns a scorer."""

import sys
from pathlib import Path

import numpy as np
import pytest

from dancebench.core.errors import BenchError
from dancebench.detect.detectors.base import configure_detector, find_detector_class, label_detector
from dancebench.detect.detectors.foreign.python_factory import FactoryConfig, FactoryDetector

MODULE = """\
import numpy as np
from dancebench.detect.detectors.base import DetectorConfig


class Energy:
    config, window = DetectorConfig(height=32, width=16, pairs=5), 2

    def logits(self, pairs):
        return -np.abs(np.diff(pairs.astype(np.float32), axis=3)).mean(axis=(1, 2, 3, 4))


def make():
    return Energy()
"""
PAIRS = np.random.default_rng(0).integers(0, 256, (4, 2, 32, 16, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the command is called, whose modules are forgotten when the test ends."""
    monkeypatch.chdir(tmp_path)
    for name in ("foreign_energy", "foreign_other"):
        monkeypatch.setitem(sys.modules, name, None)  # so that it is put back
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def write(folder: Path, source: str = MODULE) -> str:
    (folder / "foreign_energy.py").write_text(source)
    return "foreign_energy:make"


def open_detector(name: str) -> FactoryDetector:
    detector = find_detector_class(name)(configure_detector(name))
    assert isinstance(detector, FactoryDetector)
    return detector


# --- what it gives


def test_a_factory_of_the_folder_makes_a_detector(folder: Path) -> None:
    name = write(folder)
    detector = open_detector(name)
    assert (detector.config.size, detector.window, detector.config.count) == ((32, 16), 2, 5)
    assert (detector.LEARNS, detector.parameters, label_detector(name)) == (False, None, name)
    expected = -np.abs(np.diff(PAIRS.astype(np.float64), axis=3)).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(detector.logits(PAIRS), expected, rtol=1e-5)
    assert detector.logits(PAIRS[:0]).shape == (0,)
    assert configure_detector(name, pairs=7).pairs == 7


def test_a_module_on_the_path_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "raise RuntimeError")
    (folder / "path").mkdir()
    write(folder / "path")
    monkeypatch.syspath_prepend(str(folder / "path"))
    assert open_detector("foreign_energy:make").window == 2
    assert open_detector("foreign_energy:Energy").window == 2  # a class is a factory, too


def test_what_is_saved_is_its_name_and_the_hash_of_its_source(folder: Path) -> None:
    detector = open_detector(write(folder))
    detector.save(folder)
    config = FactoryConfig.model_validate(detector.config.model_dump(mode="json"))
    np.testing.assert_array_equal(FactoryDetector.load(folder, config).logits(PAIRS), detector.logits(PAIRS))
    assert detector.config.source_sha256 in detector.origin
    write(folder, MODULE + "# changed\n")
    with pytest.raises(BenchError, match="was changed since its thresholds were fixed"):
        FactoryDetector.load(folder, config)


# --- bad input


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("foreign_other:make", "neither a detector 'foreign_other' nor a Python module of that name"),
        ("foreign_energy:other", "has no factory 'other'"),
        ("foreign_energy:np", "has no factory 'np'"),
        ("foreign_energy:", "names no factory"),
        ("../foreign_energy:make", "names no factory"),
        ("foreign_energy:make()", "names no factory"),
        ("foreign_energy.deeper:make", "cannot be imported|neither a detector"),
        ("numpy.linalg.nothing:make", "neither a detector"),
    ],
)
def test_a_name_without_a_factory_is_refused(folder: Path, name: str, reason: str) -> None:
    write(folder)
    with pytest.raises(BenchError, match=reason) as caught:
        configure_detector(name)
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def make(", "cannot be imported: SyntaxError"),
        ("import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit"),
        ("def make(): raise ValueError('no weights\\nhere')", "'foreign_energy:make' raised ValueError: no weights$"),
        ("def make(): raise SystemExit", "raised SystemExit"),
        ("def make(device): ...", "raised TypeError"),
        ("def make(): return 3", "is no scorer: it lacks config, a DetectorConfig; window, a number of frames; logits"),
        (MODULE.replace(", 2\n", ", 0\n"), "lacks window"),
        (MODULE.replace("def logits", "def scores"), r"lacks logits\(pairs\)"),
    ],
)
def test_a_factory_that_fails_is_refused_in_one_line(folder: Path, source: str, reason: str) -> None:
    with pytest.raises(BenchError, match=reason) as caught:
        configure_detector(write(folder, source))
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert "foreign_energy" not in sys.modules or "cannot be imported" not in caught.value.message


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise KeyError('x')", "raised KeyError while it scored"),
        ("return np.zeros(len(pairs) + 1)", r"returned an array of shape \(5,\)"),
        ("return np.full(len(pairs), np.nan)", "returned values that are not finite"),
        ("return 'high'", "returned no numbers"),
        ("return None", "returned (no numbers|an array)"),
    ],
)
def test_scores_that_are_none_are_refused(folder: Path, body: str, reason: str) -> None:
    line = next(line for line in MODULE.splitlines() if "return -np" in line)
    detector = open_detector(write(folder, MODULE.replace(line.strip(), body)))
    with pytest.raises(BenchError, match=reason):
        detector.logits(PAIRS)
