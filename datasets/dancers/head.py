"""The head of a demo dancer: where it is and how it is turned in; hair, ears and a face on the canvas out."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from dancebench.datasets.dancers.body import FACE_POINTS, Body, Camera, Skeleton
from dancebench.datasets.dancers.look import Look
from dancebench.datasets.dancers.paint import Canvas, Colour, Points, Sketch, smooth_outline, tint

# The right half of the face's outline from the top down, in half head heights.
_OUTLINE: Final = np.array([
    (0, 1.0), (0.46, 0.91), (0.72, 0.58), (0.77, 0.12), (0.73, -0.30), (0.60, -0.66), (0.34, -0.94),
    (0, -1.03),
])  # fmt: skip
# Hairline on the right, from the temple to the middle: (x, y, z) on the skull.
_HAIRLINE: Final = (
    (0.76, -0.05, 0.1),
    (0.68, 0.22, 0.35),
    (0.60, 0.52, 0.55),
    (0.30, 0.66, 0.68),
    (0, 0.68, 0.72),
)
_VOLUME: Final = {"short": 1.10, "quiff": 1.12, "bob": 1.14, "long": 1.13, "ponytail": 1.07, "bun": 1.07,
                  "afro": 1.2, "curly": 1.16, "buzz": 1.03, "beanie": 1.16}  # fmt: skip


class Head:
    """One frame's head, ready to be painted back part first.

    Args:
        figure: Where the head is.
        camera: Sees it.
        body: Gives its size.
        look: Gives its hair and face.
    """

    def __init__(self, figure: Skeleton, camera: Camera, body: Body, look: Look) -> None:
        self._figure, self._camera, self._look = figure, camera, look
        self._metres = body.to_metres(body.head)
        self.size = self._metres * float(camera.scale(figure.head_centre[2]))
        self.centre = camera.project(figure.head_centre)
        up = figure.head_axes[1][:2] * (1, -1)
        self._up = up / math.hypot(*up)
        self._side = np.array([-self._up[1], self._up[0]])
        self._forwards = figure.head_axes[2][:2] * (1, -1)

    def paint_back(self, canvas: Canvas) -> None:
        """Hair that hangs behind the shoulders."""
        style = self._look.hair_style
        corners = {
            "long": [(0, 0.9), (0.86, 0.5), (1.0, -0.4), (1.02, -1.5), (0.72, -2.15), (0, -2.25)],
            "bob": [(0, 0.9), (0.9, 0.5), (1.02, -0.3), (0.98, -1.02), (0.5, -1.1), (0, -0.9)],
        }.get(style)
        if corners is None and style != "ponytail":
            return
        sketch = Sketch(np.stack([self.centre]), 2.6 * self.size)
        colour = tint(self._look.hair, 0.78)
        if corners is not None:
            sketch.fill(smooth_outline(self._place_flat(_mirror(np.array(corners)))), colour)
        else:
            hang = self._figure.head_axes[0][1]  # a tilted head lets it swing
            tail = np.array([(0.1, 0.7), (0.75, 0.75), (1.15, 0.2), (1.1 - hang, -0.8), (0.95 - hang, -1.5),
                             (0.85 - hang, -0.7), (0.7, 0.1)])  # fmt: skip
            sketch.fill(smooth_outline(self._place_flat(tail * (math.copysign(1, self._look.hair_part), 1))), colour)
        canvas.lay(sketch)

    def paint(self, canvas: Canvas) -> None:
        """Everything else, painted in front of the neck."""
        look = self._look
        sketch = Sketch(np.stack([self.centre]), 1.75 * self.size)
        curls = {"afro": (1.32, 22, 0.30), "curly": (1.06, 18, 0.22)}.get(look.hair_style)
        if curls is not None:
            sketch.fill(self._place_curls(*curls), tint(look.hair, 0.92))
        for sign in (-1, 1):
            ear = np.array(FACE_POINTS["ear"]) * (sign * look.face_width, 1, 1)
            sketch.fill(self._place_solid(ear + _sample_ring(12, 0.13, 0.22)), tint(look.skin, 0.86))
        face = self._place_flat(smooth_outline(_mirror(_OUTLINE) * (look.face_width, 1)))
        sketch.fill(face, look.skin)
        if look.beard:
            self._paint_beard(sketch)
        self._paint_features(sketch)
        self._paint_hair(sketch)
        x, y = sketch.grid()
        across = ((x - self.centre[0]) * self._side[0] + (y - self.centre[1]) * self._side[1]) / (1.05 * self.size)
        rise = ((x - self.centre[0]) * self._up[0] + (y - self.centre[1]) * self._up[1]) / (1.35 * self.size)
        flat = np.clip(1 - across * across - rise * rise, 0.0, 1)
        light = 0.64 + 0.40 * np.sqrt(flat) - 0.13 * across + 0.07 * rise
        canvas.lay(sketch, light.astype(np.float32))

    def _place_solid(self, local: Points) -> Points:
        """Pixels of points [N, 3] in the head's own axes."""
        world = self._figure.head_centre + self._metres * local @ self._figure.head_axes
        return self._camera.project(world)

    def _place_flat(self, local: Points) -> Points:
        """Pixels of outline points [N, 2], which turn with the head only as far as a ball's outline does."""
        depth = 0.10 + 0.26 * np.clip(-local[:, 1:], 0, 1)
        shift = depth * self._forwards
        return np.asarray(self.centre + self.size * (local[:, :1] * self._side + local[:, 1:] * self._up + shift))

    def _paint_features(self, sketch: Sketch) -> None:
        look, dark = self._look, tint(self._look.skin, 0.52)
        for sign in (-1, 1):
            self._paint_eye(sketch, sign)
        side = 1.0
        nose = np.array([(0.07, 0.02, 0.84), (0.10, -0.18, 0.92), (0.17, -0.34, 0.86), (0.10, -0.40, 0.88),
                         (0, -0.36, 1.0), (0.02, -0.1, 0.92)])  # fmt: skip
        sketch.fill(self._place_solid(nose * (side, 1, 1)), tint(look.skin, 0.80))
        tip = np.array(FACE_POINTS["tip"])
        sketch.fill(self._place_solid(tip + _sample_ring(10, 0.10, 0.09)), tint(look.skin, 1.10))
        for sign in (-1, 1):
            nostril = np.array([(0.09 * sign, -0.40, 0.90)])
            sketch.disc(self._place_solid(nostril)[0], 0.038 * self.size, dark)
        self._paint_mouth(sketch)

    def _paint_eye(self, sketch: Sketch, sign: int) -> None:
        look, ink = self._look, (38.0, 26.0, 24.0)
        centre = np.array(FACE_POINTS["eye"]) * (sign, 1, 1)
        t = np.linspace(-1, 1, 9)
        curve = np.stack([0.195 * t, 0.0 * t, -0.06 * sign * t - 0.03 * t * t], axis=1)
        upper = centre + curve + np.outer(1 - t * t, (0, 0.105, 0.02))
        lower = centre + curve - np.outer(1 - t * t, (0, 0.075, 0))
        socket = np.concatenate([upper + np.array([0, 0.045, 0]), lower[::-1] - np.array([0, 0.03, 0])])
        sketch.fill(self._place_solid(socket), tint(look.skin, 0.82))
        sketch.fill(self._place_solid(np.concatenate([upper, lower[::-1]])), (248, 246, 242))
        iris = self._place_solid(centre[None] + (0, 0.015, 0.02))[0]
        sketch.disc(iris, 0.090 * self.size, look.eyes)
        sketch.disc(iris, 0.047 * self.size, (14, 12, 14))
        sketch.disc(iris + 0.035 * self.size * np.array([-1, -1]), 0.024 * self.size, (255, 255, 255))
        sketch.line(self._place_solid(upper), 0.05 * self.size, ink)
        brow = np.array(FACE_POINTS["brow"]) * (sign, 1, 1)
        arch = np.stack([0.22 * t, 0.06 * (1 - t * t) - 0.03 * t * sign, -0.05 * t * sign], axis=1)
        sketch.line(self._place_solid(brow + arch), 0.085 * self.size, tint(look.hair, 0.8))
        if look.glasses:
            rim = centre + _sample_ring(18, 0.27, 0.22) + (0, 0, 0.12)
            sketch.line(self._place_solid(np.concatenate([rim, rim[:1]])), 0.045 * self.size, (30, 30, 36))
            bow = np.array([(0.07 * sign, 0.08, 0.86), (0.0, 0.1, 0.9)])
            sketch.line(self._place_solid(bow), 0.04 * self.size, (30, 30, 36))

    def _paint_mouth(self, sketch: Sketch) -> None:
        smile = self._look.smile
        lips = _mix(self._look.skin, (176, 48, 56), 0.55)
        t = np.linspace(-1, 1, 11)
        seam = np.array(FACE_POINTS["mouth"]) + np.stack([0.27 * t, smile * (t * t - 0.35), -0.12 * t * t], axis=1)
        upper = seam + np.outer((1 - t * t) * (0.8 + 0.35 * np.abs(t)), (0, 0.075, 0))
        lower = seam - np.outer(1 - t * t, (0, 0.115, 0))
        sketch.fill(self._place_solid(np.concatenate([upper, lower[::-1]])), lips)
        sketch.line(self._place_solid(seam), 0.035 * self.size, tint(lips, 0.5))
        shade = seam[3:8] - (0, 0.19, 0)
        sketch.line(self._place_solid(shade), 0.04 * self.size, tint(self._look.skin, 0.84))

    def _paint_beard(self, sketch: Sketch) -> None:
        jaw = [(0.74, -0.1), (0.70, -0.45), (0.55, -0.78), (0.30, -1.02), (0, -1.10)]
        inner = [(0, -0.50), (0.34, -0.52), (0.48, -0.45), (0.62, -0.2)]
        half = np.array(jaw + inner)
        outline = np.concatenate([half[:5], half[:4][::-1] * (-1, 1), half[6:][::-1] * (-1, 1), half[5:]])
        sketch.fill(
            self._place_flat(outline * (self._look.face_width, 1)), _mix(self._look.hair, self._look.skin, 0.25)
        )

    def _paint_hair(self, sketch: Sketch) -> None:
        look = self._look
        volume, colour = _VOLUME[look.hair_style], look.hair
        if look.hair_style == "buzz":
            colour = _mix(look.hair, look.skin, 0.25)
        if look.hair_style == "beanie":
            self._paint_beanie(sketch)
            return
        if look.hair_style == "bun":
            sketch.disc(self._place_flat(np.array([(0, 1.22)]))[0], 0.36 * self.size, tint(colour, 0.9))
        reach = -0.35 if look.hair_style in ("bob", "long") else -0.02
        outer = np.array([(0.77, reach), (0.82, 0.45), (0.52, 0.92), (0, 1.0)]) * (
            look.face_width * volume,
            volume,
        )
        if look.hair_style == "quiff":
            outer[2:] += ((0.06, 0.12), (0.0, 0.22))
        crown = np.concatenate([outer, outer[:3][::-1] * (-1, 1)])
        line = np.array(_HAIRLINE) * (look.face_width, 1, 1)
        line = np.concatenate([line[:4] * (-1, 1, 1), line[::-1]])
        if look.hair_style in ("short", "long", "bob"):  # a parting lifts the hairline, a fringe lowers it
            near = np.exp(-(((line[:, 0] - look.hair_part * 0.6) / 0.25) ** 2))
            line[:, 1] += 0.12 * near - (0.10 if look.hair_style == "bob" else 0.03)
        cap = np.concatenate([smooth_outline(self._place_flat(crown))[: 6 * 6 + 1], self._place_solid(line)])
        sketch.fill(cap, colour)
        for k, x in enumerate((-0.5, -0.2, 0.15, 0.45)):
            strand = np.array([(x * 0.6 + 0.3 * look.hair_part, 0.98), (x, 0.9), (x * 1.25, 0.76)]) * (
                1,
                0.98 * volume,
            )
            sketch.line(self._place_flat(strand), 0.05 * self.size, tint(colour, 1.14 if k < 2 else 0.82))

    def _paint_beanie(self, sketch: Sketch) -> None:
        colour = self._look.shoes
        dome = np.array([(0.86, 0.42), (0.80, 0.85), (0.45, 1.18), (0, 1.26)])
        sketch.fill(smooth_outline(self._place_flat(np.concatenate([dome, dome[:3][::-1] * (-1, 1)]))), colour)
        band = np.array([(0.88, 0.36), (0.88, 0.62), (0, 0.78), (-0.88, 0.62), (-0.88, 0.36), (0, 0.54)])
        sketch.fill(self._place_flat(band), tint(colour, 0.8))
        for sign in (-1, 1):
            lock = np.array([(0.80, 0.42), (0.84, 0.0), (0.70, -0.1), (0.66, 0.4)]) * (sign, 1)
            sketch.fill(self._place_flat(lock * (self._look.face_width, 1)), self._look.hair)

    def _place_curls(self, spread: float, number: int, rise: float) -> Points:
        """A scalloped outline around the skull's upper part."""
        angle = np.linspace(-0.22 * math.pi, 1.22 * math.pi, number * 6)
        wobble = spread * (0.94 + 0.13 * np.abs(np.sin(angle * number / 3)))
        return self._place_flat(np.stack([0.92 * wobble * np.cos(angle), rise + 0.88 * wobble * np.sin(angle)], axis=1))


def _mirror(half: Points) -> Points:
    """A closed outline from its right half, which starts and ends in the middle."""
    return np.concatenate([half, half[1:-1][::-1] * (-1, 1)])


def _sample_ring(number: int, width: float, height: float) -> Points:
    """An ellipse [number, 3] facing forwards."""
    angle = np.arange(number) * 2 * math.pi / number
    return np.stack([width * np.cos(angle), height * np.sin(angle), np.zeros(number)], axis=1)


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    x, y, z = ((1 - share) * p + share * q for p, q in zip(a, b, strict=True))
    return x, y, z
