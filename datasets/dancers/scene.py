"""The room behind a demo dancer: a random number generator and a camera in; a still picture out.

A wall with paper, bricks, boards or plaster, a floor of planks, tiles or carpet in the camera's perspective,
and things along the wall.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.core.opencv import cv2
from dancebench.datasets.dancers.body import DISTANCE, HEIGHT, WIDTH, Camera
from dancebench.datasets.dancers.paint import Colour, FloatImage, Points, tint

_FINE: Final = 2
_WALL_Z: Final = -1.35

WALLS: Final[tuple[Colour, ...]] = (
    (206, 214, 204), (176, 196, 208), (222, 206, 184), (154, 176, 166), (196, 180, 200), (128, 146, 164),
    (214, 190, 176), (168, 160, 146), (190, 200, 160), (110, 124, 120), (232, 226, 214), (150, 134, 150),
)  # fmt: skip
FLOORS: Final[tuple[Colour, ...]] = (
    (168, 122, 80), (134, 94, 62), (196, 158, 114), (122, 122, 126), (176, 170, 160), (96, 84, 78),
    (110, 90, 104), (92, 110, 120),
)  # fmt: skip
PAPERS: Final = ("plaster", "stripes", "bricks", "boards", "dots")
GROUNDS: Final = ("planks", "tiles", "carpet")


@dataclass(frozen=True)
class Scene:
    """What the room is like; things are (name, metres from the middle)."""

    wall: Colour
    paper: str
    floor: Colour
    ground: str
    rug: Colour | None
    things: tuple[tuple[str, float], ...]
    light: float
    """Where the wall is brightest, -1 to 1."""


def make_scene(rng: np.random.Generator) -> Scene:
    """Sample a room."""
    names = rng.permutation(sorted(_THINGS))[:3]
    places = [*rng.permutation([-0.62, 0.62]).tolist(), float(rng.uniform(-0.15, 0.15))]
    return Scene(
        wall=WALLS[rng.integers(len(WALLS))],
        paper=str(rng.choice(PAPERS)),
        floor=FLOORS[rng.integers(len(FLOORS))],
        ground=str(rng.choice(GROUNDS)),
        rug=FLOORS[rng.integers(len(FLOORS))] if rng.random() < 0.4 else None,
        things=tuple((str(n), float(p) + float(rng.uniform(-0.08, 0.08))) for n, p in zip(names, places, strict=True)),
        light=float(rng.uniform(-0.9, 0.9)),
    )


def draw_scene(scene: Scene, camera: Camera, rng: np.random.Generator, *, margin: int = 0) -> FloatImage:
    """float32 RGB [HEIGHT, WIDTH, 3], 0-255; with `margin` so many more pixels on every side."""
    rows, columns = HEIGHT + 2 * margin, WIDTH + 2 * margin
    y, x = np.mgrid[: rows * _FINE, : columns * _FINE].astype(np.float32) / _FINE - np.float32(margin)
    edge = camera.project(np.array([0.0, 0.0, _WALL_Z]))[1]
    wall_scale = float(camera.scale(np.array(_WALL_Z)))
    across = (x - WIDTH / 2) / wall_scale
    up = (edge - y) / wall_scale
    picture = _paint_wall(scene, across, up, rng)
    depth = camera.focal * camera.height / np.maximum(y - camera.horizon, 1.0)  # DISTANCE - z
    ground = _paint_ground(scene, (x - WIDTH / 2) * depth / camera.focal, DISTANCE - depth, rng)
    picture = np.where((y > edge)[..., None], ground, picture)
    room = _Room(np.ascontiguousarray(picture), edge, wall_scale, margin)
    room.box(-3, 3, 0, 0.09, tint(scene.wall, 1.5))
    room.box(-3, 3, 0.085, 0.10, tint(scene.wall, 0.75))
    for name, place in scene.things:
        _THINGS[name](room, place, rng)
    glow = 1.07 - 0.20 * ((x / WIDTH - 0.5 - 0.4 * scene.light) ** 2) - 0.16 * (y / HEIGHT - 0.35) ** 2
    shade = 1 - 0.22 * np.exp(-np.abs(y - edge) / 9)
    room.pixels *= (glow * shade)[..., None]
    small = cv2.resize(room.pixels, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(small, 0, 255), np.float32)


def _make_noise(rng: np.random.Generator, sigma: float, shape: tuple[int, ...]) -> FloatImage:
    """Smooth noise of this shape with unit deviation; beyond the still camera's picture it is mirrored, so that the
    picture is the same with a margin.
    """
    raw = rng.normal(0, 1, (HEIGHT * _FINE, WIDTH * _FINE)).astype(np.float32)
    soft = cv2.GaussianBlur(raw, (0, 0), sigma)
    return np.pad(np.asarray(soft / soft.std(), np.float32), (shape[0] - HEIGHT * _FINE) // 2, mode="reflect")


def _paint_wall(scene: Scene, x: FloatImage, y: FloatImage, rng: np.random.Generator) -> FloatImage:
    shade = 1 + 0.018 * _make_noise(rng, 5, x.shape) + 0.012 * _make_noise(rng, 1.0, x.shape)
    match scene.paper:
        case "stripes":
            shade = shade * (1 + 0.09 * np.sign(np.sin(x * 2 * math.pi / 0.16)))
        case "bricks":
            row = np.floor(y / 0.085)
            joint = ((y % 0.085) < 0.012) | (((x + 0.11 * (row % 2)) % 0.22) < 0.012)
            brick = np.floor((x + 0.11 * (row % 2)) / 0.22)
            shade = shade * np.where(joint, 1.14, 0.94 + 0.08 * np.sin(row * 12.9 + brick * 78.2))
        case "boards":
            low = y < 0.85
            shade = shade * np.where(low & ((x % 0.18) < 0.012), 0.78, 1) * np.where(low, 0.88, 1)
            shade = shade * np.where(np.abs(y - 0.87) < 0.025, 1.2, 1)
        case "dots":
            a, b = (x % 0.2) - 0.1, (y % 0.2) - 0.1
            c, d = ((x + 0.1) % 0.2) - 0.1, ((y + 0.1) % 0.2) - 0.1
            shade = shade * np.where(np.minimum(a * a + b * b, c * c + d * d) < 0.025**2, 0.86, 1)
    return np.asarray(shade[..., None] * np.array(scene.wall), np.float32)


def _paint_ground(scene: Scene, x: FloatImage, z: FloatImage, rng: np.random.Generator) -> FloatImage:
    shade = 1 + 0.03 * _make_noise(rng, 1.2, x.shape)
    match scene.ground:
        case "planks":
            plank = np.floor(x / 0.15)
            along = z + 0.37 * np.sin(plank * 91.7)
            shade = shade * (1 + 0.07 * np.sin(plank * 47.3 + 13 * np.floor(along / 0.9)))
            shade = shade * np.where(((x % 0.15) < 0.008) | ((along % 0.9) < 0.012), 0.72, 1)
        case "tiles":
            dark = (np.floor(x / 0.3) + np.floor(z / 0.3)) % 2
            shade = shade * (1 - 0.16 * dark)
            shade = shade * np.where(((x % 0.3) < 0.01) | ((z % 0.3) < 0.012), 0.82, 1)
        case "carpet":
            shade = shade + 0.06 * _make_noise(rng, 0.8, x.shape)
    colour = shade[..., None] * np.array(scene.floor)
    if scene.rug is not None:
        disc = (x / 0.85) ** 2 + (z / 0.62) ** 2
        for limit, factor in ((1.0, 1.0), (0.86, 1.3), (0.76, 0.9)):
            colour = np.where((disc < limit)[..., None], shade[..., None] * np.array(tint(scene.rug, factor)), colour)
    return np.asarray(colour, np.float32)


class _Room:
    """The wall as a drawing board in metres: x from the middle, y from the floor."""

    def __init__(self, pixels: FloatImage, edge: float, scale: float, margin: int) -> None:
        self.pixels, self._edge, self._scale, self._margin = pixels, edge, scale, margin

    def _at(self, points: Points) -> npt.NDArray[np.int32]:
        pixel = np.stack([WIDTH / 2 + points[:, 0] * self._scale, self._edge - points[:, 1] * self._scale], axis=1)
        return np.asarray(np.rint((pixel + self._margin) * _FINE * 16), np.int32)

    def shape(self, points: Points, colour: Colour) -> None:
        cv2.fillPoly(self.pixels, [self._at(points)], colour, lineType=cv2.LINE_AA, shift=4)

    def box(self, x0: float, x1: float, y0: float, y1: float, colour: Colour) -> None:
        self.shape(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]), colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0) -> None:
        t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        ring = np.stack([rx * np.cos(t), ry * np.sin(t)], axis=1)
        c, s = math.cos(turn), math.sin(turn)
        self.shape(ring @ np.array([[c, s], [-s, c]]) + (x, y), colour)


def _draw_window(room: _Room, x: float, rng: np.random.Generator) -> None:
    room.box(x - 0.36, x + 0.36, 1.05, 2.15, (240, 238, 232))
    room.box(x - 0.31, x + 0.31, 1.10, 2.10, (168, 206, 236))
    room.ellipse(x + 0.1, 1.75, 0.16, 0.06, (232, 240, 246))
    room.ellipse(x - 0.02, 1.72, 0.12, 0.05, (232, 240, 246))
    hill = float(rng.uniform(1.2, 1.4))
    left, right = x - 0.31, x + 0.31
    outline = np.array([(left, 1.1), (right, 1.1), (right, hill), (x, hill - 0.06), (left, hill + 0.08)])
    room.shape(outline, (128, 168, 116))
    room.box(x - 0.02, x + 0.02, 1.1, 2.1, (240, 238, 232))
    room.box(x - 0.31, x + 0.31, 1.62, 1.66, (240, 238, 232))


def _draw_pictures(room: _Room, x: float, rng: np.random.Generator) -> None:
    for k, (dx, y) in enumerate(((-0.13, 1.75), (0.16, 1.45))):
        frame = (70.0, 52.0, 40.0) if k else (206.0, 176.0, 110.0)
        inside: Colour = tuple(float(c) for c in rng.uniform(90, 220, 3))  # type: ignore[assignment]
        room.box(x + dx - 0.13, x + dx + 0.13, y - 0.16, y + 0.16, frame)
        room.box(x + dx - 0.105, x + dx + 0.105, y - 0.135, y + 0.135, (242, 238, 228))
        room.box(x + dx - 0.08, x + dx + 0.08, y - 0.11, y + 0.11, inside)
        room.ellipse(x + dx - 0.02, y - 0.02, 0.05, 0.06, tint(inside, 0.6))


def _draw_plant(room: _Room, x: float, rng: np.random.Generator) -> None:
    for k in range(9):
        angle = math.pi * (0.12 + 0.76 * k / 8) + float(rng.normal(0, 0.05))
        reach = float(rng.uniform(0.26, 0.42))
        green = (58.0 + 10 * (k % 3), 122.0 + 14 * (k % 4), 70.0)
        room.ellipse(
            x + 0.5 * reach * math.cos(angle),
            0.42 + 0.75 * reach * math.sin(angle),
            0.6 * reach,
            0.055,
            green,
            angle,
        )
    room.shape(np.array([(x - 0.15, 0.36), (x + 0.15, 0.36), (x + 0.11, -0.03), (x - 0.11, -0.03)]), (184, 104, 76))
    room.box(x - 0.165, x + 0.165, 0.32, 0.39, (204, 122, 90))


def _draw_lamp(room: _Room, x: float, rng: np.random.Generator) -> None:
    room.box(x - 0.012, x + 0.012, 0, 1.5, (62, 60, 62))
    room.ellipse(x, 0.0, 0.14, 0.03, (52, 50, 52))
    warm = (250.0, 226.0, 168.0 + float(rng.uniform(-20, 30)))
    room.shape(np.array([(x - 0.10, 1.78), (x + 0.10, 1.78), (x + 0.20, 1.45), (x - 0.20, 1.45)]), warm)


def _draw_shelf(room: _Room, x: float, rng: np.random.Generator) -> None:
    room.box(x - 0.30, x + 0.30, 0, 1.6, (134, 96, 66))
    for row in range(4):
        low = 0.06 + 0.39 * row
        room.box(x - 0.27, x + 0.27, low, low + 0.34, (88, 62, 44))
        at = x - 0.26
        while at < x + 0.20:
            wide, tall = float(rng.uniform(0.03, 0.06)), float(rng.uniform(0.2, 0.31))
            red, green, blue = rng.uniform(60, 210, 3)
            room.box(at, at + wide, low, low + tall, (float(red), float(green), float(blue)))
            at += wide + 0.004


def _draw_door(room: _Room, x: float, rng: np.random.Generator) -> None:
    wood = tint((172.0, 138.0, 100.0), float(rng.uniform(0.7, 1.4)))
    room.box(x - 0.42, x + 0.42, 0, 2.1, tint(wood, 1.35))
    room.box(x - 0.36, x + 0.36, 0, 2.04, wood)
    for y in (0.2, 1.15):
        room.box(x - 0.26, x + 0.26, y, y + 0.72, tint(wood, 0.86))
        room.box(x - 0.23, x + 0.23, y + 0.03, y + 0.69, tint(wood, 1.08))
    room.ellipse(x + 0.30, 1.02, 0.03, 0.03, (220, 190, 110))


def _draw_speaker(room: _Room, x: float, rng: np.random.Generator) -> None:
    tall = float(rng.uniform(0.8, 1.0))
    room.box(x - 0.18, x + 0.18, -0.04, tall, (44, 44, 50))
    for y, r in ((0.27 * tall, 0.13), (0.66 * tall, 0.09), (0.88 * tall, 0.04)):
        room.ellipse(x, y, r, r, (92, 92, 100))
        room.ellipse(x, y, 0.8 * r, 0.8 * r, (30, 30, 34))
        room.ellipse(x, y, 0.3 * r, 0.3 * r, (110, 110, 116))


_THINGS: Final[dict[str, Callable[[_Room, float, np.random.Generator], None]]] = {
    "window": _draw_window, "pictures": _draw_pictures, "plant": _draw_plant, "lamp": _draw_lamp,
    "shelf": _draw_shelf, "door": _draw_door, "speaker": _draw_speaker,
}  # fmt: skip
