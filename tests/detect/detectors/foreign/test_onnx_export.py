"""Our own networks as ONNX files: the same scores there and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_files import onnx

from dancebench.core.errors import BenchError
from dancebench.core.progress import ignore_progress
from dancebench.detect.detectors.base import configure_detector, find_detector_class
from dancebench.detect.detectors.foreign.onnx_export import export_onnx, make_onnx
from dancebench.detect.inputs.pairs import PairPool, PooledClip

pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'dancebench[onnx]'")


def noise(n: int, window: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, window, 64, 32, 3), dtype=np.uint8)


def train(name: str, folder: Path, **settings: Any) -> Any:
    config = configure_detector(name, height=64, width=32, steps=3, batch=4, **settings)
    detector = find_detector_class(name)(config)
    clips = [PooledClip("a", label, noise(3, 2)[:, label], np.arange(3 - detector.window + 1)) for label in (0, 1)]
    detector.fit(PairPool(clips, detector.window), folder / "state", ignore_progress)
    return detector


def check_scores_are_the_same(detector: Any, network: Path) -> None:
    back = f"onnx:{network}"
    config = configure_detector(back)
    again = find_detector_class(back)(config)
    assert (config.size, again.window) == ((64, 32), detector.window)
    some = noise(21, detector.window)
    np.testing.assert_allclose(again.logits(some), detector.logits(some), atol=1e-4)


@pytest.fixture(scope="module")
def pair_patch(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A trained detector and its network as a file."""
    folder = tmp_path_factory.mktemp("pair-patch")
    detector = train("pair-patch", folder, ndf=8)
    export_onnx(detector, folder / "net.onnx")
    return detector, folder / "net.onnx"


def test_pair_patch_exported_gives_the_same_scores(pair_patch: tuple[Any, Path]) -> None:
    check_scores_are_the_same(*pair_patch)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("npr", {"channels": 4}),
        ("srm", {"channels": 4}),
        ("timm:test_vit", {"pretrained": False}),
    ],
)
def test_an_exported_network_gives_the_same_scores(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    detector = train(name, tmp_path, **settings)
    export_onnx(detector, tmp_path / "net.onnx")
    check_scores_are_the_same(detector, tmp_path / "net.onnx")


def test_the_file_holds_no_path_and_follows_from_the_weights(pair_patch: tuple[Any, Path]) -> None:
    detector, network = pair_patch
    data = network.read_bytes()
    assert make_onnx(detector) == data
    assert b"/detect/" not in data
    assert b".py" not in data
    onnx.checker.check_model(onnx.load_model_from_string(data))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("spectrum", r"no torch network \(Spectrum\)"),
        ("spsl", "SpatialPhaseShallowLearning has no counterpart in ONNX"),
    ],
)
def test_what_has_no_counterpart_is_refused_in_one_line(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=reason) as caught:
        export_onnx(find_detector_class(name)(configure_detector(name)), tmp_path / "net.onnx")
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message
    assert not list(tmp_path.iterdir())
