"""The import of cv2 and its errors."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

_SHOW = """
from dancebench.core.errors import BenchError
try:
    from dancebench.core.opencv import cv2
except BenchError as error:
    print(error.message, '|', error.hint)
"""


@pytest.mark.parametrize("library", ["libGL.so.1", "libgthread-2.0.so.0"])
def test_missing_system_library_names_the_debian_packages(library: str, tmp_path: Path) -> None:
    reason = f"{library}: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({reason!r})\n")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{_SHOW}"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert library in shown
    assert "apt-get install libgl1 libglib2.0-0" in shown


def install_beside(folder: Path, name: str, version: str) -> None:
    """Pretend that a distribution is installed; it holds no module."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_two_opencvs_are_one_warning_and_one_is_none(tmp_path: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{_SHOW}"
    assert "warning" not in subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr
    install_beside(tmp_path, "opencv-python", "4.9.0.80")
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (line,) = shown.stderr.splitlines()
    assert line.startswith("warning: opencv-")
    assert "opencv-python 4.9.0.80 overwrite each other's files. pip uninstall opencv-" in line


def test_missing_package_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "dancebench.core.opencv", raising=False)
    with pytest.raises(Exception, match="OpenCV does not load") as caught:
        importlib.import_module("dancebench.core.opencv")
    assert "pip install opencv-" in getattr(caught.value, "hint", "")


def test_one_thread() -> None:
    from dancebench.core.opencv import cv2

    assert cv2.getNumThreads() == 1
