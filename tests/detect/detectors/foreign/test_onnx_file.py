"""Networks in ONNX files: what one gives, and what is refused before anything of it is executed."""

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_files import make_network, onnx, write_network, write_toml
from pydantic import ValidationError

from dancebench.core.errors import BenchError
from dancebench.core.progress import ignore_progress
from dancebench.detect.detectors.base import DETECTORS, configure_detector, find_detector_class, label_detector
from dancebench.detect.detectors.foreign import _onnx_model
from dancebench.detect.detectors.foreign.onnx_file import OnnxConfig, OnnxDetector

helper, types = onnx.helper, onnx.TensorProto


def windows(n: int, window: int = 2) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, window, 64, 32, 3), dtype=np.uint8)


def open_detector(name: str) -> OnnxDetector:
    detector = find_detector_class(name)(configure_detector(name))
    assert isinstance(detector, OnnxDetector)
    return detector


# --- closed form


def test_closed_form_a_network_gives_the_mean_of_its_frames(tmp_path: Path) -> None:
    detector = open_detector(write_network(tmp_path, mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5]))
    assert (detector.config.size, detector.window, detector.LEARNS) == ((64, 32), 2, False)
    some = windows(19)
    expected = (some / 255).mean(axis=(1, 2, 3, 4)) * 2 - 1
    np.testing.assert_allclose(detector.logits(some), expected, atol=1e-5)
    assert detector.logits(some[:0]).shape == (0,)
    assert detector.saliency(some) is None
    assert detector.parameters == 1  # the gain


def test_closed_form_of_two_classes_the_difference_is_what_counts(tmp_path: Path) -> None:
    detector = open_detector(write_network(tmp_path, make_network(classes=2), fake=1))
    some = windows(3)
    np.testing.assert_allclose(detector.logits(some), (some / 255).mean(axis=(1, 2, 3, 4)), atol=1e-5)


def test_a_network_for_single_windows_or_any_size_is_run_so(tmp_path: Path) -> None:
    any_size = open_detector(write_network(tmp_path))
    (tmp_path / "one").mkdir()
    single = open_detector(write_network(tmp_path / "one", make_network(shape=(1, 6, 64, 32))))
    (tmp_path / "free").mkdir()
    free = open_detector(write_network(tmp_path / "free", make_network(shape=("N", "C", "H", "W"))))
    some = windows(5)
    for each in (single, free):
        np.testing.assert_allclose(each.logits(some), any_size.logits(some), atol=1e-6)


def test_it_is_copied_to_its_folder_and_known_by_its_content(tmp_path: Path) -> None:
    name = write_network(tmp_path)
    detector = open_detector(name)
    assert label_detector(name) == "onnx:net.onnx"
    (tmp_path / "folder").mkdir()
    detector.save(tmp_path / "folder")
    stored = detector.config.model_dump(mode="json")
    assert "file" not in stored
    (tmp_path / "net.onnx").write_bytes(b"changed")
    again = OnnxDetector.load(tmp_path / "folder", OnnxConfig.model_validate(stored))
    np.testing.assert_array_equal(again.logits(windows(3)), detector.logits(windows(3)))
    assert again.origin == detector.origin
    assert "trained elsewhere" in again.origin
    with pytest.raises(BenchError, match="was changed"):
        OnnxDetector(detector.config)
    with pytest.raises(ValueError, match="not trained here"):
        again.fit(None, tmp_path, ignore_progress)  # type: ignore[arg-type]


def test_a_card_with_two_views_is_refused(tmp_path: Path) -> None:
    stored = open_detector(write_network(tmp_path)).config.model_dump(mode="json")
    for other in ({"height": 32}, {"view": "face"}):
        with pytest.raises(ValidationError, match="is not that of the preprocessing"):
            OnnxConfig.model_validate(stored | other)


# --- bad input


def external(folder: Path) -> Any:
    weights = helper.make_tensor("far", types.FLOAT, [1], [1.0])
    weights.ClearField("float_data")
    weights.data_location = types.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    (folder / "weights.bin").write_bytes(b"\0" * 4)
    return make_network(initializers=[weights])


def in_a_branch(node: Any, initializers: Any = ()) -> Any:
    """A node within the branch of a condition."""
    info = helper.make_tensor_value_info("inner", types.FLOAT, None)
    body = helper.make_graph([node], "body", [], [info], initializers)
    condition = helper.make_tensor("condition", types.BOOL, [], [True])
    branch = helper.make_node("If", ["condition"], ["chosen"], then_branch=body, else_branch=body)
    return make_network(nodes=[branch], initializers=[condition], domains=[node.domain] if node.domain else [])


def custom(domain: str) -> Any:
    return helper.make_node("Gelu" if domain == "com.microsoft" else "Run", ["mean"], ["inner"], domain=domain)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _: make_network(shape=("N", 3, 64, 32)), r"net.onnx takes 3x64x32, but net.toml says 6x64x32 \(3 col"),
        (lambda _: make_network(shape=("N", 6, 32, 64)), "net.onnx takes 6x32x64, but net.toml says 6x64x32"),
        (lambda _: make_network(shape=("N", 6, 64)), "takes float"),
        (lambda _: make_network(shape=(4, 6, 64, 32)), r"takes float \(4, 6, 64, 32\)"),
        (lambda _: make_network(kind="DOUBLE"), r"takes double \('any', 6, 64, 32\)"),
        (lambda _: make_network(outputs={"scores": ["N"], "mean": ["N"]}), "has 2 outputs, and must have one"),
        (lambda _: make_network(classes=2), "fake = 'high' does not fit 2 outputs"),
        (external, "keeps weights in other files, which are not read"),
        (lambda _: make_network(nodes=[custom("com.acme")], domains=["com.acme"]), "not ONNX's own: com.acme.Run"),
        (lambda _: make_network(nodes=[custom("com.microsoft")], domains=["com.microsoft"]), "own: com.microsoft.Gelu"),
        (lambda _: in_a_branch(custom("com.acme")), "not ONNX's own: com.acme.Run"),
        (lambda folder: in_a_branch(helper.make_node("Identity", ["mean"], ["inner"]),
                                    external(folder).graph.initializer), "keeps weights in other files"),
        (lambda _: make_network(nodes=[helper.make_node("Nothing", ["mean"], ["x"])]), "is no valid ONNX file"),
        (lambda _: make_network(nodes=[helper.make_node("Relu", ["unknown"], ["x"])]), "is no valid ONNX file"),
    ],
)  # fmt: skip
def test_a_network_of_another_kind_is_refused_in_one_line(make: Any, reason: str, tmp_path: Path) -> None:
    name = write_network(tmp_path, make(tmp_path))
    with pytest.raises(BenchError, match=reason) as caught:
        configure_detector(name)
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message
    assert caught.value.hint


def test_a_toml_of_another_size_is_refused(tmp_path: Path) -> None:
    name = write_network(tmp_path)
    write_toml(tmp_path / "net.toml", width=64)
    with pytest.raises(BenchError, match=r"net.onnx takes 6x64x32, but net.toml says 6x64x64"):
        configure_detector(name)
    (tmp_path / "net.toml").unlink()
    with pytest.raises(BenchError, match=r"net.toml is missing"):
        configure_detector(name)


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 1000, b"\x08\x09"])
def test_what_is_no_onnx_is_refused(content: bytes, tmp_path: Path) -> None:
    name = write_network(tmp_path)
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(BenchError, match=r"net.onnx (is no|has 0)") as caught:
        configure_detector(name)
    assert "\n" not in caught.value.message


def test_a_mutated_file_is_refused_or_gives_logits(tmp_path: Path) -> None:
    name = write_network(tmp_path)
    whole = (tmp_path / "net.onnx").read_bytes()
    refused = []
    for seed in range(150):
        generator = np.random.default_rng(seed)
        changed = bytearray(whole)
        changed[generator.integers(len(whole))] = generator.integers(256)
        (tmp_path / "net.onnx").write_bytes(bytes(changed))
        try:
            assert open_detector(name).logits(windows(2)).shape == (2,)
        except BenchError as error:
            refused.append(error.message)
    assert 0 < len(refused) < 150
    assert not any("\n" in message for message in refused)


def test_a_file_that_is_missing_or_too_large_is_not_read(tmp_path: Path) -> None:
    name = write_network(tmp_path)
    with (tmp_path / "net.onnx").open("wb") as file:
        file.truncate(2**40)  # holds no block on the disk
    with pytest.raises(BenchError, match="is larger than 1,073,741,824 bytes"):
        configure_detector(name)
    with pytest.raises(BenchError, match="does not exist"):
        configure_detector(f"onnx:{tmp_path / 'other.onnx'}")
    with pytest.raises(BenchError, match="'onnx' is a family") as caught:
        configure_detector("onnx")
    assert caught.value.hint == "Name the file too, like onnx:net.onnx."


@pytest.mark.parametrize("count", [10**9, 10**12])
def test_a_graph_that_asks_for_more_memory_than_it_may_have_gets_none(count: int, tmp_path: Path) -> None:
    size = helper.make_tensor("size", types.INT64, [1], [count])
    one = helper.make_tensor("one", types.FLOAT, [1], [1.0])
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["large"], value=one),
        helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0),
        helper.make_node("Add", ["scores", "sum"], ["more"]),
    ]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    name = write_network(tmp_path, make_network(nodes=nodes, initializers=[size], outputs={"more": ["N"]}))
    with pytest.raises(BenchError, match=r"net.onnx fails on its input") as caught:
        configure_detector(name)
    assert "\n" not in caught.value.message
    if sys.platform == "linux":  # where it counts kilobytes
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Log", ["scores"], ["logs"])]
    detector = open_detector(write_network(tmp_path, make_network(nodes=nodes, outputs={"logs": ["N"]})))
    with pytest.raises(BenchError, match="returned values that are not finite"):
        detector.logits(np.zeros((1, 2, 64, 32, 3), np.uint8))


def test_without_the_libraries_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write_network(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BenchError, match="need onnxruntime, which is not installed") as caught:
        configure_detector(name)
    assert caught.value.hint == 'pip install "dancebench[onnx]"'
    assert "onnx" in DETECTORS
    assert _onnx_model.MAX_FILE_BYTES < _onnx_model.MAX_MEMORY_BYTES
