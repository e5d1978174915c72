"""Frames as stored → frames as a player shows them: RGB, alpha over black, square pixels, upright."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Final, cast

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import VideoReformatter

from dancebench.core.opencv import cv2

Frame = npt.NDArray[np.uint8]
"""uint8 RGB (H, W, 3)."""

SQUARE: Final = Fraction(1)
_ROWS: Final = 64
"""Rows of a picture that are composited at once."""
_MAX_ASPECT: Final = 8
"""A pixel that is claimed to be longer than so many times its other side is taken for square: a damaged header."""


def read_pixel_aspect(source: av.video.VideoStream) -> Fraction:
    """Width over height of a stored pixel, by the container or else by the stream; 1 where it is not stated."""
    aspect = source.sample_aspect_ratio
    if not aspect or not Fraction(1, _MAX_ASPECT) <= aspect <= _MAX_ASPECT:
        return SQUARE
    return Fraction(aspect)


def to_upright(frame: av.VideoFrame, pixel_aspect: Fraction = SQUARE) -> Frame:
    """RGB as a player shows it: alpha over black, pixels made square, then turned and mirrored by the display matrix.

    Args:
        frame: As stored.
        pixel_aspect: Width over height of a stored pixel. The shorter side is stretched, so that no line is lost.
    """
    pixels = _make_square(_to_rgb(frame), pixel_aspect)
    matrix = _read_display_matrix(frame)
    if matrix is None:
        return pixels
    a, b, c, d = matrix
    if abs(b) > abs(a):
        pixels = pixels.swapaxes(0, 1)
        a, d = c, b
    pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(pixels)


def _make_square(pixels: Frame, aspect: Fraction) -> Frame:
    if aspect == SQUARE:
        return pixels
    height, width = pixels.shape[:2]
    size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    return cast(Frame, cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR))


def _read_display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """The matrix (a b; c d) that maps stored (x, y) to displayed (a x + c y, b x + d y), in fixed point."""
    side_data = cast(SideDataContainer, frame.side_data)  # PyAV's type stubs declare a dict
    if SideDataType.DISPLAYMATRIX not in side_data:
        return None
    matrix = np.frombuffer(bytes(side_data[SideDataType.DISPLAYMATRIX]), dtype=np.int32)
    return int(matrix[0]), int(matrix[1]), int(matrix[3]), int(matrix[4])


def has_alpha(frame: av.VideoFrame) -> bool:
    """Whether the stored frame may be transparent."""
    return frame.format.has_palette or any(part.is_alpha for part in frame.format.components)


def _to_rgb(frame: av.VideoFrame) -> Frame:
    if has_alpha(frame):
        return composite_over_black(_convert(frame, "rgba"))
    return _convert(frame, "rgb24")


class _Converters(threading.local):
    """The converter of each thread: made anew for every frame, it takes longer than a small frame's conversion."""

    def __init__(self) -> None:
        self.converter = VideoReformatter()


_CONVERTERS: Final = _Converters()


def _convert(frame: av.VideoFrame, pixel_format: str) -> Frame:
    return cast(Frame, _CONVERTERS.converter.reformat(frame, format=pixel_format).to_ndarray())


def composite_over_black(rgba: Frame) -> Frame:
    """Straight alpha over black: uint8 (H, W, 4) → (H, W, 3)."""
    composed = np.empty((*rgba.shape[:2], 3), np.uint8)
    for row in range(0, len(rgba), _ROWS):  # the products have 16 bits: not for the whole picture at once
        part = rgba[row : row + _ROWS]
        composed[row : row + _ROWS] = (part[..., :3] * part[..., 3:].astype(np.uint16) + 127) // 255
    return composed
