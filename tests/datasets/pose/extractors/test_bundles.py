"""Model bundles: what the ZIP and the FlatBuffers formats want of them, and that their bytes depend on nothing else."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import struct
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.extractors._bundles import add_normalisation, pack_bundle, select_output
from dancebench.datasets.pose.extractors._models import read_models
from dancebench.datasets.pose.extractors.tasks import MODELS, make_bundles

# The smallest TFLite file: a Model without a field.
EMPTY = struct.pack("<I4sHHi", 12, b"TFL3", 4, 4, 4)


@pytest.fixture(scope="module")
def models() -> dict[str, bytes]:
    """The content of the real model files, or a skip with the reason."""
    try:
        return read_models(MODELS)
    except BenchError as error:
        pytest.skip(error.message)


@functools.cache
def find_schema(name: str) -> ModuleType:
    """A module of an installed MediaPipe's generated schemas, loaded without MediaPipe; or a skip."""
    package = importlib.util.find_spec("mediapipe")
    if package is None or not package.submodule_search_locations:
        pytest.skip("no MediaPipe is installed whose schemas could be asked")
    path = Path(package.submodule_search_locations[0]) / "tasks" / "metadata" / f"{name}_py_generated.py"
    spec = importlib.util.spec_from_file_location(f"foreign_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# ---- closed form


NAMES = st.text("abcdefghijklmnopqrstuvwxyz_.", min_size=1, max_size=40)


@given(st.dictionaries(NAMES, st.binary(max_size=200), max_size=5))
def test_closed_form_members_are_stored_in_order_at_multiples_of_16(members: dict[str, bytes]) -> None:
    bundle = pack_bundle(members)
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == members
        assert archive.namelist() == list(members)
        for member in archive.infolist():
            assert member.compress_type == zipfile.ZIP_STORED
            name_length, extra_length = struct.unpack_from("<HH", bundle, member.header_offset + 26)
            begin = member.header_offset + 30 + name_length + extra_length
            assert begin % 16 == 0
            assert bundle[begin : begin + member.file_size] == members[member.filename]
    assert pack_bundle(members) == bundle


def test_closed_form_the_model_follows_unchanged_at_a_multiple_of_16() -> None:
    described = add_normalisation(EMPTY, mean=0, std=255)
    assert described.endswith(EMPTY)
    assert (len(described) - len(EMPTY)) % 16 == 0
    assert described[4:8] == b"TFL3"
    assert add_normalisation(EMPTY, mean=0, std=255) == described


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0\0\0\0TFL2" + bytes(40)])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a TFLite file"):
        add_normalisation(content, mean=0, std=255)
    with pytest.raises(ValueError, match="not a TFLite file"):
        select_output(content, [0])


# ---- foreign reference


@given(mean=st.floats(-1000, 1000, width=32), std=st.floats(0.5, 1000, width=32))
def test_foreign_reference_the_schema_reads_the_normalisation(mean: float, std: float) -> None:
    schema, metadata = find_schema("schema"), find_schema("metadata_schema")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(add_normalisation(EMPTY, mean=mean, std=std), 0))
    (entry,) = model.metadata
    assert entry.name == b"TFLITE_METADATA"
    content = bytes(model.buffers[entry.buffer].data)
    assert metadata.ModelMetadata.ModelMetadataBufferHasIdentifier(content, 0)
    described = metadata.ModelMetadataT.InitFromObj(metadata.ModelMetadata.GetRootAs(content, 0))
    (unit,) = described.subgraphMetadata[0].inputTensorMetadata[0].processUnits
    assert unit.optionsType == metadata.ProcessUnitOptions.NormalizationOptions
    assert (list(unit.options.mean), list(unit.options.std)) == ([mean], [std])


def read_both(before: bytes, after: bytes) -> tuple[Any, Any]:
    """Two models as the schema reads them."""
    schema = find_schema("schema")
    first, second = (schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)) for content in (before, after))
    return first, second


def check_the_same_network(before: Any, after: Any) -> None:
    """All that the first model has is in the second, under the same numbers."""
    assert (after.version, after.description) == (before.version, before.description)
    for old, new in zip(before.buffers, after.buffers, strict=False):
        assert (old.data is None and new.data is None) or bytes(old.data) == bytes(new.data)
    for old, new in zip(before.subgraphs, after.subgraphs, strict=True):
        assert list(old.inputs) == list(new.inputs)
        for one, other in zip(old.tensors, new.tensors, strict=False):
            assert (one.name, list(one.shape), one.buffer) == (other.name, list(other.shape), other.buffer)
        for one, other in zip(old.operators, new.operators, strict=False):
            assert (one.opcodeIndex, list(one.inputs)) == (other.opcodeIndex, list(other.inputs))


def test_foreign_reference_the_rest_of_a_described_model_reads_as_before(models: dict[str, bytes]) -> None:
    plain = models["pose_landmark_full.tflite"]
    before, after = read_both(plain, add_normalisation(plain, mean=0, std=255))
    check_the_same_network(before, after)
    assert [each.name for each in after.metadata] == [*(each.name for each in before.metadata), b"TFLITE_METADATA"]
    assert len(after.buffers) == len(before.buffers) + 1
    assert [len(each.operators) for each in after.subgraphs] == [len(each.operators) for each in before.subgraphs]


def test_foreign_reference_a_selected_output_is_a_gather_behind_the_network(models: dict[str, bytes]) -> None:
    schema, plain = find_schema("schema"), models["face_landmark.tflite"]
    before, after = read_both(plain, select_output(plain, [5, 0, 5]))
    check_the_same_network(before, after)
    (old,), (new,) = before.subgraphs, after.subgraphs
    gather = new.operators[-1]
    assert len(new.operators) == len(old.operators) + 1
    assert after.operatorCodes[gather.opcodeIndex].builtinCode == schema.BuiltinOperator.GATHER
    assert gather.builtinOptionsType == schema.BuiltinOptions.GatherOptions
    assert gather.builtinOptions.axis == 3
    source, indices = (new.tensors[i] for i in gather.inputs)
    assert source.name == old.tensors[old.outputs[0]].name
    assert indices.type == schema.TensorType.INT32
    assert np.frombuffer(bytes(after.buffers[indices.buffer].data), "<i4").tolist() == [5, 0, 5]
    (result,) = gather.outputs
    assert list(new.tensors[result].shape) == [1, 1, 1, 3]
    assert list(new.outputs) == [result, *old.outputs[1:]]


# ---- frozen


def test_frozen_the_bundles_of_the_real_models(models: dict[str, bytes]) -> None:
    """Poses may change with these bytes: what `describe` says has to change with them."""
    assert [hashlib.sha256(bundle).hexdigest()[:16] for bundle in make_bundles(models)] == FROZEN


FROZEN = ["b598e0054ae617a9", "6ffb9f160c8d3071", "f23221d4b53dd8d6"]
