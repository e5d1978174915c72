"""Stick figures: keypoints in, the colour-coded pose map (conditioning image) of a generator out.

Body limbs are filled ellipses, joints discs, hands thin lines, the face eight dots. A figure is drawn on a
canvas of fixed height and then downscaled, so that lines thinner than a pixel of the target survive as
shades (EDN section 3.1 draws joints and connecting lines; sizes here are our own, stated below).
"""

from __future__ import annotations

import colorsys
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.core.opencv import cv2
from dancebench.datasets.pose.skeleton import (
    BODY,
    FACE,
    HAND_BONES,
    LEFT_HAND,
    LIMBS,
    RIGHT_HAND,
    Keypoints,
    is_found,
    scale_keypoints,
)  # fmt: skip

_CANVAS_HEIGHT: Final = 512
# Widths as shares of the canvas height.
_LIMB_WIDTH: Final = 0.0125
_JOINT_RADIUS: Final = 0.0095
_HAND_WIDTH: Final = 0.004
_FACE_RADIUS: Final = 0.004

Colour = tuple[int, int, int]


def _make_colour_wheel(n: int, *, value: float, offset: float = 0.0) -> list[Colour]:
    """`n` hues, evenly spaced, as RGB."""
    hues = [colorsys.hsv_to_rgb((offset + k / n) % 1.0, 1.0, value) for k in range(n)]
    return [(round(r * 255), round(g * 255), round(b * 255)) for r, g, b in hues]


_LIMB_COLOURS: Final = _make_colour_wheel(len(LIMBS), value=0.85)
_JOINT_COLOURS: Final = _make_colour_wheel(BODY.stop, value=1.0, offset=0.02)
_HAND_COLOURS: Final = {LEFT_HAND.start: (255, 170, 200), RIGHT_HAND.start: (170, 255, 200)}
_FACE_COLOUR: Final = (255, 255, 255)


def draw_stick_figure(
    keypoints: Keypoints, source_size: tuple[int, int], size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Draw one frame's keypoints.

    Args:
        keypoints: float32 [75, 3], in pixels of an image of `source_size`.
        source_size: (height, width) that the keypoints refer to.
        size: (height, width) to return, of the same aspect.

    Returns:
        uint8 RGB [height, width, 3], black where nothing is drawn. Limbs with a missing end are left out.
    """
    height = max(_CANVAS_HEIGHT, size[0])
    width = round(height * size[1] / size[0])
    canvas = np.zeros((height, width, 3), np.uint8)
    found = is_found(keypoints)
    points = scale_keypoints(keypoints, width / source_size[1], height / source_size[0])[:, :2]
    for (a, b), colour in zip(LIMBS, _LIMB_COLOURS, strict=True):
        if found[a] and found[b]:
            _draw_limb(canvas, points[a], points[b], _LIMB_WIDTH * height, colour)
    for joint in range(BODY.stop):
        if found[joint]:
            _draw_disc(canvas, points[joint], _JOINT_RADIUS * height, _JOINT_COLOURS[joint])
    for first, colour in _HAND_COLOURS.items():
        for a, b in HAND_BONES:
            if found[first + a] and found[first + b]:
                _draw_line(canvas, points[first + a], points[first + b], _HAND_WIDTH * height, colour)
    for dot in range(FACE.start, FACE.stop):
        if found[dot]:
            _draw_disc(canvas, points[dot], _FACE_RADIUS * height, _FACE_COLOUR)
    if canvas.shape[:2] != size:
        canvas = cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return canvas


_SHIFT = 4  # cv2 takes positions in 1/16 pixel, so that slow motion moves the figure smoothly


def _to_fixed_point(value: float) -> int:
    return round(float(value) * (1 << _SHIFT))


def _draw_limb(
    canvas: npt.NDArray[np.uint8],
    a: npt.NDArray[np.float32],
    b: npt.NDArray[np.float32],
    width: float,
    colour: Colour,
) -> None:
    centre = (a + b) / 2
    length = float(np.hypot(*(b - a)))
    angle = math.degrees(math.atan2(float(b[1] - a[1]), float(b[0] - a[0])))
    axes = (round(length * 8), round(width * 8))  # in 1/16 pixel: cv2 returns whole numbers
    polygon = np.asarray(cv2.ellipse2Poly((0, 0), axes, 0, 0, 360, 10), np.float64) / 16.0
    turn = math.radians(angle)
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    outline = np.round((polygon @ rotation + centre) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(canvas, outline, colour, lineType=cv2.LINE_AA, shift=_SHIFT)


def _draw_disc(canvas: npt.NDArray[np.uint8], at: npt.NDArray[np.float32], radius: float, colour: Colour) -> None:
    centre = (_to_fixed_point(at[0]), _to_fixed_point(at[1]))
    cv2.circle(canvas, centre, _to_fixed_point(radius), colour, -1, lineType=cv2.LINE_AA, shift=_SHIFT)


def _draw_line(
    canvas: npt.NDArray[np.uint8],
    a: npt.NDArray[np.float32],
    b: npt.NDArray[np.float32],
    width: float,
    colour: Colour,
) -> None:
    ends = (_to_fixed_point(a[0]), _to_fixed_point(a[1])), (_to_fixed_point(b[0]), _to_fixed_point(b[1]))
    cv2.line(canvas, *ends, colour, max(1, round(width)), lineType=cv2.LINE_AA, shift=_SHIFT)
