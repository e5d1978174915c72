"""Painting for the demo dancers: shapes and fabrics in, a shaded picture out.

A `Canvas` is a float picture that takes round limbs (`draw_tube`) and cut cloth (`draw_cloth`), lit from the upper left
by one lamp. Small things with detail (faces, hands, shoes) are drawn flat on a `Sketch` of four times
the resolution, which is composited on the canvas in one step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dancebench.core.opencv import cv2

Colour = tuple[float, float, float]
Points = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]

TILE: Final = 64
"""Pixels along a fabric's tile."""
FINE: Final = 4
"""Resolution of a sketch relative to the canvas."""
_SHIFT: Final = 4
_LIGHT: Final = (-0.50, -0.45, 0.74)
_AMBIENT, _LAMP = 0.60, 0.52


@dataclass(frozen=True, eq=False)
class Fabric:
    """What a surface is made of: one colour, or a pattern that repeats."""

    colour: Colour
    tile: FloatImage | None = None
    """[TILE, TILE, 3]"""
    metres: float = 0.2
    """Size of the tile on the body."""


def tint(colour: Colour, factor: float) -> Colour:
    """Lighter (factor > 1, towards white) or darker."""
    if factor <= 1:
        return colour[0] * factor, colour[1] * factor, colour[2] * factor
    share = factor - 1
    r, g, b = (c + (255 - c) * share for c in colour)
    return r, g, b


def smooth_outline(corners: Points, per_side: int = 6) -> Points:
    """A closed Catmull-Rom curve through corners [N, 2]: [N · per_side, 2]."""
    t = np.linspace(0, 1, per_side, endpoint=False)[None, :, None]
    before, start, end, after = (np.roll(corners, k, axis=0)[:, None] for k in (1, 0, -1, -2))
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return np.asarray(curve.reshape(-1, 2))


class Canvas:
    """A picture that is being painted.

    Args:
        background: float32 RGB [H, W, 3] in 0-255; copied.
    """

    def __init__(self, background: FloatImage) -> None:
        self.pixels = background.copy()

    def draw_tube(
        self,
        start: Points,
        end: Points,
        radii: tuple[float, float],
        fabric: Fabric,
        scale: float,
        *,
        bulge: float = 0.0,
        halo: float = 0.0,
        cut: bool = False,
    ) -> None:
        """A round limb from `start` to `end`, in pixels, with round ends.

        Args:
            start: One end [2].
            end: The other.
            radii: At the two ends.
            fabric: What it is made of.
            scale: Pixels per metre, for the pattern.
            bulge: How much thicker, as a share, it is at a third of its length.
            halo: Depth of the soft shadow around it, 0-1, which separates it from what lies behind.
            cut: End straight, as a sleeve does, with a seam.
        """
        reach = max(radii) * (1 + bulge) + (4 if halo else 1)
        (x0, y0), (x1, y1) = start.tolist(), end.tolist()
        region = self._select_region(min(x0, x1) - reach, min(y0, y1) - reach, max(x0, x1) + reach, max(y0, y1) + reach)
        if region is None:
            return
        patch, x, y = region
        length = max(1e-3, math.hypot(x1 - x0, y1 - y0))
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        x, y = x - x0, y - y0
        along, aside = x * ux + y * uy, y * ux - x * uy
        share = np.clip(along / length, 0, 1)
        radius = radii[0] + (radii[1] - radii[0]) * share
        if bulge:
            radius = radius * (1 + bulge * np.sin(math.pi * np.sqrt(share)) ** 2)
        over = along - share * length
        distance = np.sqrt(aside * aside + over * over) - radius
        if halo:
            patch *= (1 - halo * np.clip(1 - distance / 4, 0, 1))[..., None]
        across = np.clip(aside / radius, -1, 1)
        light = _shade(across, -uy, ux)
        cover = np.clip(0.5 - distance, 0, 1)
        if cut:
            past = along - length - radii[1] * 0.22 * np.sqrt(1 - across * across)
            cover = cover * np.clip(0.5 - past, 0, 1)
            light = light * (1 - 0.22 * np.clip(past + 2.2, 0, 1))
        self._blend(patch, cover, _sample_weave(fabric, across * radius, along, scale), light)

    def draw_cloth(
        self,
        outline: Points,
        fabric: Fabric,
        scale: float,
        *,
        top: Points,
        bottom: Points,
        half_width: float,
        halo: float = 0.0,
        folds: FloatImage | None = None,
    ) -> None:
        """A cut piece with outline [N, 2], shaded as a round body about the axis from `top` to `bottom`.

        Args:
            outline: Its edge, in pixels.
            fabric: What it is made of.
            scale: Pixels per metre, for the pattern.
            top: Upper end of the axis, where the pattern begins.
            bottom: Lower end of the axis.
            half_width: Pixels from the axis to where the body turns away.
            halo: As in `draw_tube`.
            folds: float32 [TILE, TILE], shades laid over the piece from `top` to `bottom`.
        """
        margin = 6 if halo else 2
        region = self._select_region(*(outline.min(axis=0) - margin).tolist(), *(outline.max(axis=0) + margin).tolist())
        if region is None:
            return
        patch, x, y = region
        mask = np.zeros(patch.shape[:2], np.uint8)
        corner = np.array([x[0, 0], y[0, 0]])
        fixed = np.rint((outline - corner) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
        cover = mask.astype(np.float32) / 255
        if halo:
            patch *= 1 - halo * cv2.GaussianBlur(cover, (0, 0), 2.5)[..., None]
        length = max(1e-3, math.hypot(*(bottom - top)))
        ux, uy = ((bottom - top) / length).tolist()
        x, y = x - float(top[0]), y - float(top[1])
        along, aside = x * ux + y * uy, y * ux - x * uy
        light = _shade(np.clip(aside / half_width, -1, 1) * np.float32(0.93), -uy, ux)
        if folds is not None:
            u, v = (aside / half_width + 1) * (TILE / 2), along / length * (TILE * 0.9)
            light = light * cv2.remap(
                folds,
                u.astype(np.float32),
                v.astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_WRAP,
            )
        self._blend(patch, cover, _sample_weave(fabric, aside, along, scale), light)

    def darken(self, centre: Points, radii: tuple[float, float], depth: float) -> None:
        """Paint a soft elliptic shadow."""
        cx, cy = centre.tolist()
        reach = 2.3 * radii[0], 2.3 * radii[1]
        region = self._select_region(cx - reach[0], cy - reach[1], cx + reach[0], cy + reach[1])
        if region is None:
            return
        patch, x, y = region
        row, column = np.exp(-(((x - cx) / radii[0]) ** 2)), np.exp(-(((y - cy) / radii[1]) ** 2))
        patch *= (1 - depth * column * row)[..., None]

    def lay(self, sketch: Sketch, light: FloatImage | None = None) -> None:
        """Put a sketch on top; `light` is a shade per canvas pixel of the sketch's region."""
        fine = cv2.resize(sketch.pixels, None, fx=1 / FINE, fy=1 / FINE, interpolation=cv2.INTER_AREA)
        left, top = sketch.corner
        height, width = self.pixels.shape[:2]
        y0, y1, x0, x1 = (
            max(0, top),
            min(height, top + fine.shape[0]),
            max(0, left),
            min(width, left + fine.shape[1]),
        )
        if y0 >= y1 or x0 >= x1:
            return
        inside = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        cut = fine[inside].astype(np.float32)
        colour = cut[..., :3] if light is None else cut[..., :3] * light[inside][..., None]
        patch = self.pixels[y0:y1, x0:x1]
        patch *= 1 - cut[..., 3:] / 255
        patch += colour

    def _select_region(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[FloatImage, FloatImage, FloatImage] | None:
        """The part of the picture between these pixels, and its x [1, w] and y [h, 1]; None outside."""
        height, width = self.pixels.shape[:2]
        x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
        x1, y1 = min(width, math.ceil(right) + 1), min(height, math.ceil(bottom) + 1)
        if x0 >= x1 or y0 >= y1:
            return None
        x = np.arange(x0, x1, dtype=np.float32)[None, :]
        y = np.arange(y0, y1, dtype=np.float32)[:, None]
        return self.pixels[y0:y1, x0:x1], x, y

    @staticmethod
    def _blend(patch: FloatImage, cover: npt.NDArray[np.floating[Any]], colour: FloatImage, light: FloatImage) -> None:
        patch += cover[..., None] * (colour * light[..., None] - patch)


class Sketch:
    """A transparent picture of a small region, at a higher resolution.

    Args:
        points: [N, 2] canvas pixels that it must hold.
        margin: Canvas pixels around them.
    """

    def __init__(self, points: Points, margin: float) -> None:
        low = np.floor(points.min(axis=0) - margin).astype(int)
        size = np.ceil(points.max(axis=0) + margin).astype(int) - low + 1
        self.corner = (int(low[0]), int(low[1]))
        self.size = (int(size[1]), int(size[0]))
        self.pixels = np.zeros((size[1] * FINE, size[0] * FINE, 4), np.uint8)
        self._offset = ((0.5 - low) * FINE - 0.5) * (1 << _SHIFT)

    def fill(self, outline: Points, colour: Colour) -> None:
        """Fill a polygon [N, 2]."""
        cv2.fillPoly(self.pixels, [self._to_fine_pixels(outline)], (*colour, 255), shift=_SHIFT)

    def line(self, points: Points, width: float, colour: Colour) -> None:
        """Draw an open line through [N, 2]."""
        thick = max(1, round(width * FINE))
        cv2.polylines(self.pixels, [self._to_fine_pixels(points)], False, (*colour, 255), thick, cv2.LINE_8, _SHIFT)

    def disc(self, centre: Points, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        x, y = self._to_fine_pixels(centre[None])[0]
        size = round(radius * FINE * (1 << _SHIFT))
        cv2.circle(self.pixels, (int(x), int(y)), size, (*colour, 255), -1, cv2.LINE_8, _SHIFT)

    def grid(self) -> tuple[FloatImage, FloatImage]:
        """X and y of the canvas pixels below it, [h, w]."""
        y, x = np.mgrid[: self.size[0], : self.size[1]].astype(np.float32)
        return x + np.float32(self.corner[0]), y + np.float32(self.corner[1])

    def _to_fine_pixels(self, points: Points) -> npt.NDArray[np.int32]:
        return np.asarray(np.rint(points * (FINE << _SHIFT) + self._offset), np.int32)


def _shade(across: FloatImage, nx: float, ny: float) -> FloatImage:
    """Shade of a cylinder; `across` (-1 to 1) is the normal's part along picture direction (nx, ny)."""
    facing = across * (nx * _LIGHT[0] + ny * _LIGHT[1]) + np.sqrt(1 - across * across) * _LIGHT[2]
    return np.asarray(_AMBIENT + _LAMP * facing, dtype=np.float32)


def _sample_weave(fabric: Fabric, aside: FloatImage, along: FloatImage, scale: float) -> FloatImage:
    """Colour per pixel, [h, w, 3] or [3], of a fabric at pixels (aside, along) of its piece."""
    if fabric.tile is None:
        return np.asarray(fabric.colour, np.float32)
    per_pixel = TILE / (fabric.metres * scale)
    # BORDER_WRAP needs no offset, but a pattern centred on the piece looks tailored.
    u = (aside * per_pixel + TILE / 2).astype(np.float32)
    v = (along * per_pixel).astype(np.float32)
    woven = cv2.remap(fabric.tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(woven, np.float32)
