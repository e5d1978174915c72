"""Shared by tests of outside media: files as cameras, broadcasts and editing leave them, each made here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]


def copy_packets(source: Path, path: Path, keep: Callable[[int], bool] = lambda _: True, shift: int = 0) -> Path:
    """Copy those packets whose numbers are kept, as cutting without re-encoding does; stamps move by `shift` units."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        out = new.add_stream_from_template(stream)
        for index, packet in enumerate(packet for packet in old.demux(stream) if packet.size):
            if keep(index):
                packet.stream = out
                if packet.pts is not None:
                    packet.pts += shift
                if packet.dts is not None:
                    packet.dts += shift
                new.mux(packet)
    return path


def concatenate(path: Path, *parts: Path) -> Path:
    """Put files one after the other, byte for byte."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def overwrite(path: Path, begin: float, end: float, seed: int = 1) -> Path:
    """Overwrite the bytes between two shares of a file with noise."""
    data = bytearray(path.read_bytes())
    first, last = int(begin * len(data)), int(end * len(data))
    data[first:last] = np.random.default_rng(seed).bytes(last - first)
    path.write_bytes(data)
    return path


def write_streams(
    path: Path, streams: Sequence[Sequence[Frame]], *, codecs: Sequence[str] | None = None, default: int | None = 0
) -> Path:
    """Write several video streams into one file; `default` is the number of the one that a player shows."""
    with av.open(str(path), "w") as container:
        outs: list[Any] = []
        for number, frames in enumerate(streams):
            codec = codecs[number] if codecs else "libx264"
            out: Any = container.add_stream(codec, rate=25)
            out.height, out.width = frames[0].shape[:2]
            out.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            out.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
            outs.append(out)
        for out, frames in zip(outs, streams, strict=True):
            for index, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=out.pix_fmt)
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(out.encode(frame))
            container.mux(out.encode(None))
    return path


# ---------------------------------------------------------------- H.264 whose fields are coded apart


class _Bits:
    """Writes the syntax elements of H.264: u(n), ue(v), se(v) (clause 7.2 and 9.1)."""

    def __init__(self) -> None:
        self.bits: list[int] = []

    def u(self, n: int, *values: int) -> None:
        for value in values:
            self.bits += [value >> place & 1 for place in range(n - 1, -1, -1)]

    def ue(self, *values: int) -> None:
        for value in values:
            length = (value + 1).bit_length()
            self.u(2 * length - 1, value + 1)

    def end(self) -> bytes:
        self.u(1, 1)
        self.align()
        return np.packbits(np.array(self.bits, np.uint8)).tobytes()

    def align(self) -> None:
        self.bits += [0] * (-len(self.bits) % 8)


def _wrap(header: int, payload: bytes) -> bytes:
    """A NAL unit with its start code and emulation prevention bytes."""
    out, zeros = bytearray([0, 0, 0, 1, header]), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def _write_parameter_sets(height: int, width: int) -> bytes:
    sps = _Bits()
    sps.u(8, 77, 0, 30)  # Main profile
    sps.ue(0, 0, 0, 4, 1)  # order of display by picture order count, one reference
    sps.u(1, 0)
    sps.ue(width // 16 - 1, height // 32 - 1)
    sps.u(1, 0, 0, 1, 0, 1)  # fields allowed; timing follows
    sps.u(1, 0, 0, 0, 0, 1)
    sps.u(32, 1, 50)
    sps.u(1, 1, 0, 0, 0, 0)
    pps = _Bits()
    pps.ue(0, 0)
    pps.u(1, 0, 0)
    pps.ue(0, 0, 0)
    pps.u(1, 0)
    pps.u(2, 0)
    pps.ue(0, 0, 0)
    pps.u(1, 1, 0, 0)
    return _wrap(0x67, sps.end()) + _wrap(0x68, pps.end())


def _write_field(number: int, parity: int, luma: npt.NDArray[np.uint8]) -> bytes:
    """One field of uncompressed macroblocks (I_PCM); the first of all begins the sequence."""
    first = number == 0 and parity == 0
    out = _Bits()
    out.ue(0, 7, 0)
    out.u(4, 0 if number == 0 else number % 16)
    out.u(1, 1, parity)
    if first:
        out.ue(0)
    out.u(8, (2 * number + parity) % 256)
    out.u(1, *((0, 0) if first else (0,)))
    out.ue(0, 1)
    for top in range(0, luma.shape[0], 16):
        for left in range(0, luma.shape[1], 16):
            out.ue(25)
            out.align()
            out.u(8, *luma[top : top + 16, left : left + 16].ravel().tolist(), *[128] * 128)
    return _wrap(0x25 if first else 0x21, out.end())


def write_field_coded(path: Path, n_frames: int, *, size: tuple[int, int] = (64, 32)) -> Path:
    """Write a grey H.264 stream at 25 fps whose two fields a frame are coded apart, as AVCHD camcorders do."""
    height, width = size
    data = bytearray()
    for number in range(n_frames):
        luma = np.full(size, 60, np.uint8)
        luma[:, 2 * number % width :][:, :4] = 230
        for parity in (0, 1):
            data += _wrap(0x09, b"\xf0")
            data += _write_parameter_sets(height, width) if number == parity == 0 else b""
            data += _write_field(number, parity, luma[parity::2])
    raw = path.with_suffix(".h264")
    raw.write_bytes(data)
    with av.open(str(raw)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        out = new.add_stream_from_template(stream)
        for index, packet in enumerate(packet for packet in old.demux(stream) if packet.size):
            packet.stream, packet.time_base = out, Fraction(1, 50)
            packet.pts = packet.dts = index
            new.mux(packet)
    return path
