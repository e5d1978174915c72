"""The public face: every name is there, and the example in its docstring does what it says."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dancebench
from dancebench.datasets.subjects.prepare import read_poses
from dancebench.datasets.video.clips import VideoReader


@pytest.fixture(scope="module")
def names(tiny_demo: Path) -> dict[str, Any]:
    """What the examples speak of: a detector, its manifest, a fake with its real clip and poses."""
    (folder,) = tiny_demo.glob("detectors/pair-patch/*")
    fake = next(tiny_demo.glob("fakes/fbf-ts/demo-tiny/1/*/1.mp4"))
    real = next(tiny_demo.glob("reals/demo-tiny/1/*.mp4"))
    with VideoReader(fake) as reader:
        shown = len(reader)
    poses = read_poses(tiny_demo / "datasets/demo-tiny/subjects/1/poses.npz")[-shown:]
    return {
        "folder": folder,
        "manifest": tiny_demo / "manifests" / f"{folder.name}.jsonl",
        "video": fake,
        "fake": fake,
        "real": real,
        "keypoints": poses * np.array([0.25, 0.25, 1], np.float32),
    }


@pytest.mark.parametrize("name", dancebench.__all__)
def test_the_example_of_a_public_name_holds(name: str, names: dict[str, Any]) -> None:
    public = getattr(dancebench, name)
    tests = [test for test in doctest.DocTestFinder().find(public, name, globs=dict(names)) if test.examples]
    assert tests, f"{name} has no example"
    runner = doctest.DocTestRunner(verbose=False)
    for test in tests:
        said: list[str] = []
        assert runner.run(test, out=said.append).failed == 0, "".join(said)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert set(dancebench.__all__) <= set(dir(dancebench))
    with pytest.raises(AttributeError, match="load_detectors"):
        _ = dancebench.load_detectors


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, dancebench; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
