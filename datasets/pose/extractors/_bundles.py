"""MediaPipe's model bundles (.task), made from bare TFLite files.

A bundle is a ZIP archive that is stored, not compressed: the landmarker uses its members where they lie, so they begin
at multiples of 16 bytes. Two of the networks do not say, or give, what the landmarkers of today want of them; what is
added stands in front of the file and leaves the file itself, weights and their alignment included, as it is. Equal
files give equal bundles, whatever library versions are installed.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_ALIGNMENT: Final = 16
_ZIP_HEADER: Final = 30
"""Bytes before a member's name."""
_EXTRA_HEADER: Final = 4
"""Bytes before the padding, which is an extra field of the member."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The time that every member carries, so that a bundle does not depend on when it was made."""

# Positions of fields in TFLite's schema, and values of its enumerations.
_MODEL_FIELDS: Final = 8
_VERSION, _OPERATOR_CODES, _SUBGRAPHS, _BUFFERS, _METADATA = 0, 1, 2, 4, 6
_SUBGRAPH_FIELDS: Final = 6
_TENSORS, _OUTPUTS, _OPERATORS, _DEBUG_METADATA_INDEX = 0, 2, 3, 5
_INT32: Final = 2
_GATHER, _GATHER_OPTIONS = 36, 23
_NORMALIZATION_OPTIONS: Final = 1
"""Which of the metadata schema's ProcessUnitOptions."""


def pack_bundle(members: Mapping[str, bytes]) -> bytes:
    """A bundle with these members, in this order; each begins at a multiple of 16 bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system = 3  # whatever system writes it
            begin = out.tell() + _ZIP_HEADER + len(name.encode()) + _EXTRA_HEADER
            padding = -begin % _ALIGNMENT
            member.extra = struct.pack("<HH", 0xFFFF, padding) + bytes(padding)
            archive.writestr(member, data)
    return out.getvalue()


def add_normalisation(model: bytes, *, mean: float, std: float) -> bytes:
    """A TFLite model that says how its only input is normalised: (value - mean) / std, of values from 0 to 255.

    Args:
        model: A TFLite file without a description of its input.
        mean: Subtracted from each value.
        std: What the difference is divided by.

    Returns:
        The model with a new beginning; the bytes of `model` follow it unchanged.

    Raises:
        ValueError: It is not a TFLite file.
    """
    root, fields = _open_model(model)
    described = _Table((_Text(b"TFLITE_METADATA"), _inline(len(_read_vector(model, fields[_BUFFERS])))))
    root[_BUFFERS] = _extend(model, fields[_BUFFERS], _Table((_Bytes(_describe_input(mean, std)),)))
    root[_METADATA] = _extend(model, fields[_METADATA], described)
    return _serialise(_Table(tuple(root)), b"TFL3") + model


def select_output(model: bytes, indices: Sequence[int]) -> bytes:
    """A TFLite model whose first output is made of chosen numbers of what it was: a GATHER along its last axis.

    Args:
        model: A TFLite file with one subgraph.
        indices: Which number stands at each place of the new output; numbers may be left out and repeated.

    Returns:
        The model with a new beginning; the bytes of `model` follow it unchanged.

    Raises:
        ValueError: It is not a TFLite file.
    """
    root, fields = _open_model(model)
    (position,) = _read_vector(model, fields[_SUBGRAPHS])
    parts = _read_table(model, position, _SUBGRAPH_FIELDS)
    tensors, outputs = _read_vector(model, parts[_TENSORS]), _read_integers(model, parts[_OUTPUTS])
    shape = _read_integers(model, _read_table(model, tensors[outputs[0]], 1)[0])
    chosen = _Table((_integers(len(indices)), _inline(_INT32), _inline(len(_read_vector(model, fields[_BUFFERS])))))
    result = _Table((_integers(*shape[:-1], len(indices)),))  # its buffer is the first, which is empty
    code = _Table((_inline(_GATHER), None, None, _inline(_GATHER)))
    operator = _Table((
        _inline(len(_read_vector(model, fields[_OPERATOR_CODES]))),
        _integers(outputs[0], len(tensors)), _integers(len(tensors) + 1),
        _inline(_GATHER_OPTIONS), _Table((_inline(len(shape) - 1),)),
    ))  # fmt: skip
    subgraph = _keep_fields(model, parts, {_DEBUG_METADATA_INDEX})
    subgraph[_TENSORS] = _extend(model, parts[_TENSORS], chosen, result)
    subgraph[_OUTPUTS] = _integers(len(tensors) + 1, *outputs[1:])
    subgraph[_OPERATORS] = _extend(model, parts[_OPERATORS], operator)
    root[_OPERATOR_CODES] = _extend(model, fields[_OPERATOR_CODES], code)
    root[_SUBGRAPHS] = _Vector((_Table(tuple(subgraph)),))
    root[_BUFFERS] = _extend(model, fields[_BUFFERS], _Table((_Bytes(struct.pack(f"<{len(indices)}i", *indices)),)))
    return _serialise(_Table(tuple(root)), b"TFL3") + model


def _open_model(model: bytes) -> tuple[list[_Node | None], list[int | None]]:
    """The fields of a new Model that keeps all that this one has, and where its own stand."""
    if model[4:8] != b"TFL3":
        raise ValueError("not a TFLite file")
    fields = _read_table(model, _read_offset(model, 0), _MODEL_FIELDS)
    return _keep_fields(model, fields, {_VERSION}), fields


def _keep_fields(model: bytes, fields: Sequence[int | None], numbers: Collection[int]) -> list[_Node | None]:
    """The fields of a table as they are: the numbers among them, and references to the rest."""
    return [
        None if at is None else model[at : at + 4] if i in numbers else _Kept(_read_offset(model, at))
        for i, at in enumerate(fields)
    ]


def _extend(model: bytes, field: int | None, *added: _Node) -> _Vector:
    """A vector with what the field's has, and more."""
    return _Vector((*map(_Kept, _read_vector(model, field)), *added))


def _describe_input(mean: float, std: float) -> bytes:
    """TFLite's ModelMetadata: the normalisation of the first input of the first subgraph."""
    options = _Table((_Bytes(struct.pack("<f", mean), size=4), _Bytes(struct.pack("<f", std), size=4)))
    unit = _Table((_inline(_NORMALIZATION_OPTIONS), options))
    tensor = _Table((None, None, None, None, _Vector((unit,))))
    subgraph = _Table((None, None, _Vector((tensor,))))
    return _serialise(_Table((None, None, None, _Vector((subgraph,)))), b"M001")


@dataclass(frozen=True)
class _Table:
    """A FlatBuffers table: its fields in the schema's order, None where one is left out."""

    fields: tuple[_Node | None, ...]


@dataclass(frozen=True)
class _Vector:
    """A vector of references."""

    items: tuple[_Node, ...]


@dataclass(frozen=True)
class _Bytes:
    """A vector of numbers, each of `size` bytes."""

    data: bytes
    size: int = 1


@dataclass(frozen=True)
class _Text:
    """A string."""

    data: bytes


@dataclass(frozen=True)
class _Kept:
    """A reference to what stands at this position of the data that will follow."""

    position: int


_Node = _Table | _Vector | _Bytes | _Text | _Kept | bytes
"""What a field holds; bytes are a number within the table."""


def _inline(number: int) -> bytes:
    return struct.pack("<I", number)


def _integers(*numbers: int) -> _Bytes:
    return _Bytes(struct.pack(f"<{len(numbers)}i", *numbers), size=4)


def _serialise(root: _Table, identifier: bytes) -> bytes:
    """A FlatBuffer, padded to a multiple of 16 bytes; every reference points forward, as the format wants it."""
    out = bytearray(4) + identifier
    kept: list[tuple[int, int]] = []
    _write_references(out, [(0, root)], kept)
    out += bytes(-len(out) % _ALIGNMENT)
    for at, position in kept:
        struct.pack_into("<I", out, at, len(out) + position - at)
    return bytes(out)


def _write_references(out: bytearray, references: Sequence[tuple[int, _Node]], kept: list[tuple[int, int]]) -> None:
    """Write what is referred to, and where it stands into the place of each reference."""
    for at, node in references:
        if isinstance(node, _Kept):
            kept.append((at, node.position))
            continue
        out += bytes(-len(out) % 4)
        position, inner = _write_node(out, node)
        struct.pack_into("<I", out, at, position - at)
        _write_references(out, inner, kept)


def _write_node(out: bytearray, node: _Node) -> tuple[int, list[tuple[int, _Node]]]:
    """Append a node; its position, and the references within it that are still to be filled in."""
    if isinstance(node, _Table):
        return _write_table(out, node)
    position = len(out)
    if isinstance(node, _Vector):
        out += struct.pack("<I", len(node.items)) + bytes(4 * len(node.items))
        return position, [(position + 4 * (i + 1), item) for i, item in enumerate(node.items)]
    if isinstance(node, _Bytes):
        out += struct.pack("<I", len(node.data) // node.size) + node.data
    elif isinstance(node, _Text):
        out += struct.pack("<I", len(node.data)) + node.data + b"\0"
    return position, []


def _write_table(out: bytearray, table: _Table) -> tuple[int, list[tuple[int, _Node]]]:
    slots = [(i, field) for i, field in enumerate(table.fields) if field is not None]
    offsets = [0] * len(table.fields)
    for slot, (i, _) in enumerate(slots):
        offsets[i] = 4 + 4 * slot
    head = struct.pack(f"<{2 + len(offsets)}H", 4 + 2 * len(offsets), 4 + 4 * len(slots), *offsets)
    out += bytes(-(len(out) + len(head)) % 4)
    position = len(out) + len(head)
    out += head + struct.pack("<i", len(head))
    for _, field in slots:
        out += field if isinstance(field, bytes) else bytes(4)
    return position, [(position + offsets[i], field) for i, field in slots if not isinstance(field, bytes)]


def _read_offset(data: bytes, at: int) -> int:
    """The position that the reference at `at` points to."""
    return at + int(struct.unpack_from("<I", data, at)[0])


def _read_table(data: bytes, position: int, n_fields: int) -> list[int | None]:
    """The position of each field of a table; None where it is left out."""
    head = position - struct.unpack_from("<i", data, position)[0]
    known = (struct.unpack_from("<H", data, head)[0] - 4) // 2
    offsets = struct.unpack_from(f"<{known}H", data, head + 4)
    return [position + offsets[i] if i < known and offsets[i] else None for i in range(n_fields)]


def _read_vector(data: bytes, field: int | None) -> list[int]:
    """The positions of what a field's vector of references points to; empty where the field is left out."""
    if field is None:
        return []
    begin = _read_offset(data, field)
    return [_read_offset(data, begin + 4 * (i + 1)) for i in range(struct.unpack_from("<I", data, begin)[0])]


def _read_integers(data: bytes, field: int | None) -> list[int]:
    """The numbers of a field's vector of 32-bit integers; empty where the field is left out."""
    if field is None:
        return []
    begin = _read_offset(data, field)
    (length,) = struct.unpack_from("<I", data, begin)
    return list(struct.unpack_from(f"<{length}i", data, begin + 4))
