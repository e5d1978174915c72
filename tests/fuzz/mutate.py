"""Mutators: a valid file in, a damaged or hostile one out, by the draws of a generator alone.

Bytes are flipped, overwritten, removed, doubled, swapped and cut; declared sizes get hostile values; a file is
continued by another. JSON and CSV also get hostile values in the place of a field, and archives inside of a member.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np

Mutator = Callable[[bytes, bytes, np.random.Generator], bytes]
"""A file, another of its kind, and the draws -> the mutated file."""

LARGEST_SHARE = 0.1
"""Of a file, that one mutation touches at most, except where it cuts or continues it."""


def mutate(name: str, data: bytes, other: bytes, draws: np.random.Generator) -> bytes:
    """Mutate a file by what its name says that it is; text and archives are half of the time taken as bytes."""
    suffix = name.rsplit(".", 1)[-1].lower()
    structured: dict[str, Mutator] = {
        "json": mutate_json, "jsonl": mutate_json, "csv": mutate_csv,
        "skops": mutate_archive, "npz": mutate_archive, "safetensors": mutate_safetensors,
    }  # fmt: skip
    if suffix in structured and draws.random() < 0.7:
        return structured[suffix](data, other, draws)
    return mutate_bytes(data, other, draws)


# ---------------------------------------------------------------- bytes


def mutate_bytes(data: bytes, other: bytes, draws: np.random.Generator) -> bytes:
    """Apply one mutation, or a few; half of the time PNG checksums are made to fit, so that the picture is read."""
    strength = 1 if draws.random() < 0.5 else int(draws.integers(2, 6))
    for _ in range(strength):
        if data:
            data = _BYTE_MUTATORS[draws.choice(len(_BYTE_MUTATORS), p=_CHANCES)](data, other, draws)
    return repair_png(data) if draws.random() < 0.5 else data


def _draw_range(size: int, draws: np.random.Generator) -> tuple[int, int]:
    """A range of 1 byte to `LARGEST_SHARE` of the file; all lengths of one order are as likely as those of another."""
    length = int(np.exp(draws.uniform(0, np.log(max(size * LARGEST_SHARE, 2)))))
    begin = int(draws.integers(0, max(size - length, 0) + 1))
    return begin, min(begin + length, size)


def flip_bits(data: bytes, _: bytes, draws: np.random.Generator) -> bytes:
    """Flip 1 to 16 bits."""
    changed = bytearray(data)
    for place in draws.integers(0, len(data), int(draws.integers(1, 17))):
        changed[place] ^= 1 << int(draws.integers(8))
    return bytes(changed)


def overwrite(data: bytes, _: bytes, draws: np.random.Generator) -> bytes:
    """Overwrite a range with noise."""
    begin, end = _draw_range(len(data), draws)
    return data[:begin] + draws.bytes(end - begin) + data[end:]


def zero(data: bytes, _: bytes, draws: np.random.Generator) -> bytes:
    """Overwrite a range with zeros."""
    begin, end = _draw_range(len(data), draws)
    return data[:begin] + bytes(end - begin) + data[end:]


def remove(data: bytes, _: bytes, draws: np.random.Generator) -> bytes:
    """Remove a range."""
    begin, end = _draw_range(len(data), draws)
    return data[:begin] + data[end:]


def duplicate(data: bytes, _: bytes, draws: np.random.Generator) -> bytes:
    """Repeat a range."""
    begin, end = _draw_range(len(data), draws)
    return data[:end] + data[begin:end] + data[end:]


def swap(data: bytes, _: bytes, draws: np.random.Generator) -> bytes:
    """Exchange two ranges that follow each other."""
    begin, middle = _draw_range(len(data), draws)
    end = min(2 * middle - begin, len(data))
    return data[:begin] + data[middle:end] + data[begin:middle] + data[end:]


def truncate(data: bytes, _: bytes, draws: np.random.Generator) -> bytes:
    """Cut the end off, as a broken transfer does."""
    return data[: int(len(data) * draws.uniform(0.0, 1.0) ** 0.3)]


def splice(data: bytes, other: bytes, draws: np.random.Generator) -> bytes:
    """Continue a file by the end of another."""
    at = draws.uniform(0.3, 1.0)
    return data[: int(at * len(data))] + other[int(draws.uniform(0.0, 1.0) * len(other)) :]


_FIELDS: Final = (
    (rb"(?:ftyp|moov|mdat|trak|mdia|minf|stbl|st[bsct][dszco]|co64|elst|edts|avcC|hvcC|uuid|free|meta|jumb)", -4, ">I"),
    (rb"(?:stsz|stts|stsc|stco|ctts|elst|stss|stsd)", 8, ">I"),  # number of entries
    (rb"(?:avc1|hev1|hvc1|mp4v|jpeg)", 28, ">H"),  # width
    (rb"(?:avc1|hev1|hvc1|mp4v|jpeg)", 30, ">H"),  # height
    (rb"(?:mvhd|mdhd)", 16, ">I"),  # time scale
    (rb"(?:mvhd|mdhd)", 20, ">I"),  # duration
    (rb"tkhd", 80, ">I"),  # width in 1/65536
    (rb"(?:RIFF|LIST|avih|strh|strf|movi|idx1|JUNK)", 4, "<I"),
    (rb"strf", 12, "<I"),  # width
    (rb"strf", 16, "<I"),  # height
    (rb"avih", 24, "<I"),  # frames
    (rb"IHDR", 4, ">I"),
    (rb"IHDR", 8, ">I"),
    (rb"(?:IHDR|IDAT|PLTE)", -4, ">I"),
    (rb"GIF8[79]a", 6, "<H"),
    (rb"GIF8[79]a", 8, "<H"),
    (rb"\xff[\xc0\xc2]\x00", 5, ">H"),  # height of a JPEG
    (rb"\xff[\xc0\xc2]\x00", 7, ">H"),
    (rb"\x18\x53\x80\x67", 4, ">I"),  # EBML: segment
    (rb"(?:\x1f\x43\xb6\x75|\x16\x54\xae\x6b|\x1c\x53\xbb\x6b)", 4, ">I"),  # cluster, tracks, cues
    (rb"[\xb0\xba]\x82", 2, ">H"),  # width and height of a Matroska track
    (rb"(?:width|height|duration|framerate)\x00", 7, ">Q"),  # FLV
    (rb"\x00\x00\x01\xb3", 4, ">H"),  # MPEG-2 sequence
    (rb"OggS", 22, "<I"),  # checksum
    (rb"\x47.{2}[\x10-\x3f]", 4, ">H"),  # what follows the header of a transport packet
)
"""Declared sizes, counts and times of containers and pictures: what stands before one, its offset, how it is coded."""


def change_field(data: bytes, other: bytes, draws: np.random.Generator) -> bytes:
    """Give one declared size, count or time a hostile value; where none is known, flip bits."""
    start = int(draws.integers(len(_FIELDS)))
    for pattern, offset, code in (*_FIELDS[start:], *_FIELDS[:start]):
        width = struct.calcsize(code)
        places = [
            found.start() + offset
            for found in re.finditer(pattern, data, re.DOTALL)
            if 0 <= found.start() + offset <= len(data) - width
        ]
        if places:
            place = places[int(draws.integers(len(places)))]
            (value,) = struct.unpack_from(code, data, place)
            return data[:place] + struct.pack(code, _draw_integer(value, 8 * width, draws)) + data[place + width :]
    return flip_bits(data, other, draws)


def _draw_integer(value: int, bits: int, draws: np.random.Generator) -> int:
    """A hostile unsigned integer."""
    hostile = (0, 1, 7, 8, 16, 16_385, 30_000, 65_535, 2**31 - 1, 2**31, 2**32 - 1, value + 1, value - 1, 2 * value)
    return hostile[int(draws.integers(len(hostile)))] % 2**bits


_BYTE_MUTATORS: Final[tuple[Mutator, ...]] = (
    flip_bits, overwrite, zero, remove, duplicate, swap, truncate, splice, change_field,
)  # fmt: skip
_CHANCES: Final = np.array([3, 2, 2, 2, 1, 1, 1.5, 1, 4]) / 17.5


def repair_png(data: bytes) -> bytes:
    """Compute the checksums of a PNG's chunks again; other files are left as they are."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    fixed, place = bytearray(data), 8
    while place + 12 <= len(fixed):
        (length,) = struct.unpack_from(">I", fixed, place)
        end = place + 8 + length
        if end + 4 > len(fixed):
            break
        struct.pack_into(">I", fixed, end, zlib.crc32(fixed[place + 4 : end]))
        place = end + 4
    return bytes(fixed)


# ---------------------------------------------------------------- text

_HOSTILE: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 1, 1e308, -1e-308, 2**63, 10**40, float("nan"), float("inf"), float("-inf"), "", "x", "../../x",
    "/dev/zero", "é\x00\x1b[31m", "a" * 5000, "=1+1", [], {}, [[]], [None], {"": None},
)  # fmt: skip


def _draw_value(value: Any, draws: np.random.Generator) -> Any:
    """A hostile value in the place of one of a document."""
    if isinstance(value, int | float) and not isinstance(value, bool) and draws.random() < 0.4:
        return [-value, value * 1000, value + 1, value / 3, 0][int(draws.integers(5))]
    if isinstance(value, list) and value and draws.random() < 0.5:
        return [value[:-1], value * 2, value[::-1]][int(draws.integers(3))]
    return _HOSTILE[int(draws.integers(len(_HOSTILE)))]


def _change_value(document: Any, draws: np.random.Generator) -> Any:
    """A copy of a JSON value, in which one value at any depth is another, or a key is missing, renamed or new."""
    if not isinstance(document, dict | list) or not document or draws.random() < 0.15:
        return _draw_value(document, draws)
    if isinstance(document, list):
        at = int(draws.integers(len(document)))
        return [_change_value(each, draws) if index == at else each for index, each in enumerate(document)]
    key = list(document)[int(draws.integers(len(document)))]
    kind = draws.random()
    if kind < 0.1:
        return {name: value for name, value in document.items() if name != key}
    if kind < 0.15:
        return {("renamed" if name == key else name): value for name, value in document.items()}
    if kind < 0.2:
        return {**document, "new": document[key]}
    return {**document, key: _change_value(document[key], draws)}


def mutate_json(data: bytes, other: bytes, draws: np.random.Generator) -> bytes:
    """Change values of a JSON document, or of a line of JSONL; now and then nest it deeply."""
    try:
        text = data.decode()
        lines = text.splitlines()
        whole = not all(line.startswith("{") and line.endswith("}") for line in lines) or len(lines) < 2
        if draws.random() < 0.03:
            return b"[" * 100_000 if draws.random() < 0.5 else b'{"a":' * 100_000
        for _ in range(int(draws.integers(1, 4))):
            if whole:
                lines = [json.dumps(_change_value(json.loads("\n".join(lines)), draws), indent=1)]
            else:
                at = int(draws.integers(len(lines)))
                lines[at] = json.dumps(_change_value(json.loads(lines[at]), draws))
    except ValueError:
        return mutate_bytes(data, other, draws)
    return "\n".join(lines).encode("utf-8", "surrogatepass") + b"\n"


def mutate_csv(data: bytes, other: bytes, draws: np.random.Generator) -> bytes:
    """Change cells, double or remove lines, take another separator."""
    lines = data.decode(errors="replace").splitlines()
    for _ in range(int(draws.integers(1, 5))):
        if not lines:
            return b""
        at = int(draws.integers(len(lines)))
        kind = draws.random()
        if kind < 0.6:
            cells = lines[at].split(",")
            cells[int(draws.integers(len(cells)))] = str(_draw_value(0.5, draws))
            lines[at] = ",".join(cells)
        elif kind < 0.75:
            lines.insert(at, lines[at])
        elif kind < 0.9:
            del lines[at]
        else:
            lines = [line.replace(",", ";\t, "[int(draws.integers(3))]) for line in lines]
    return "\n".join(lines).encode("utf-8", "surrogatepass") + b"\n"


# ---------------------------------------------------------------- archives


def mutate_archive(data: bytes, _: bytes, draws: np.random.Generator) -> bytes:
    """Mutate one member of a ZIP archive (skops, npz), and write the archive anew with checksums that fit."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    chosen = list(members)[int(draws.integers(len(members)))]
    name = chosen if "." in chosen else f"{chosen}.json"
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, mutate(name, content, content, draws) if member == chosen else content)
    return changed.getvalue()


def mutate_safetensors(data: bytes, other: bytes, draws: np.random.Generator) -> bytes:
    """Change the JSON header of a safetensors file; its length fits."""
    if len(data) < 8:
        return mutate_bytes(data, other, draws)
    (length,) = struct.unpack("<Q", data[:8])
    header = mutate_json(data[8 : 8 + length], other, draws)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]
