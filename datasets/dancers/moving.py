"""What moves around a demo dancer: a drifting camera, a ball behind the dancer and changing light, with the truth.

Videos from the internet rarely have a still camera in steady light; this is their drawn counterpart. All of it is a
function of the seed and of time, so a clip's beginning does not depend on its length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.core.opencv import cv2
from dancebench.datasets.dancers.body import HEIGHT, WIDTH, Camera
from dancebench.datasets.dancers.paint import Canvas, Colour, FloatImage, Points, Sketch, tint
from dancebench.datasets.dancers.scene import Scene, draw_scene

MARGIN: Final = 32
"""Pixels of the room around the still camera's picture, which the drift uncovers."""
_CENTRE: Final = np.array([WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5])
_ZOOM, _ZOOM_CHANGE = 0.95, 0.02
# The farthest drift in pixels: less than what the smaller picture leaves free around the figure.
_DRIFT: Final = np.array([(9.0, 2.0), (6.0, 1.5)])
_BALL_RADIUS: Final = 0.14  # metres
_BALL_Z: Final = -0.75
_LIGHT, _LIGHT_CHANGE = 0.94, (0.13, 0.05)
_TINT_CHANGE: Final = 0.05
_COLOURS: Final[tuple[Colour, ...]] = ((210, 60, 50), (60, 110, 200), (230, 180, 50), (70, 160, 90))


@dataclass(frozen=True)
class SceneState:
    """The truth about one frame, besides the keypoints.

    Attributes:
        scale: How many times larger the picture is than the still camera's, about the frame's middle.
        drift: Pixels by which it is moved right and down, [2].
        ball: World position of the ball's centre in metres, [3].
        turn: Radians by which the ball has rolled.
        light: Gain of red, green and blue, [3].
    """

    scale: float
    drift: Points
    ball: Points
    turn: float
    light: Points


@dataclass(frozen=True)
class SceneTruth:
    """The truth about a clip's frames.

    Attributes:
        camera: Scale, and pixels right and down, relative to the still camera: float64 [T, 3].
        ball: x, y and radius in pixels of the frame, whose centres are whole numbers: float64 [T, 3].
        light: Gain of red, green and blue: float64 [T, 3].
    """

    camera: npt.NDArray[np.float64]
    ball: npt.NDArray[np.float64]
    light: npt.NDArray[np.float64]


class MovingScene:
    """The surroundings of a dancer.

    Args:
        scene: The room.
        camera: The still camera.
        seed: Of the dancer.
    """

    def __init__(self, scene: Scene, camera: Camera, seed: int) -> None:
        self._room = draw_scene(scene, camera, np.random.default_rng([seed, 1]), margin=MARGIN)
        self._camera = camera
        rng = np.random.default_rng([seed, 5])
        self._phases = rng.uniform(0, 2 * math.pi, 10)
        self._periods = rng.uniform(0.85, 1.2, 10) * (11.0, 2.7, 7.0, 2.1, 9.0, 6.0, 1.1, 7.0, 1.7, 9.0)  # seconds
        self._colour = _COLOURS[rng.integers(len(_COLOURS))]

    def find_state(self, seconds: float) -> SceneState:
        """What is where at a time."""
        waves = np.sin(2 * math.pi * seconds / self._periods + self._phases)
        side = 0.75 * self._camera.half_width(np.array(_BALL_Z)) * waves[5]
        bounce = 0.5 * abs(waves[6])
        light = _LIGHT + _LIGHT_CHANGE[0] * waves[7] + _LIGHT_CHANGE[1] * waves[8]
        return SceneState(
            scale=float(_ZOOM + _ZOOM_CHANGE * waves[4]),
            drift=(_DRIFT * waves[:4].reshape(2, 2)).sum(axis=1),
            ball=np.array([float(side), _BALL_RADIUS + bounce, _BALL_Z]),
            turn=float(side) / _BALL_RADIUS,
            light=light * (1 + _TINT_CHANGE * waves[9] * np.array([1.0, 0.0, -1.0])),
        )

    def move_camera(self, state: SceneState) -> Camera:
        """The camera that sees what the still one sees, scaled about the frame's middle and moved."""
        still, middle = self._camera, float(_CENTRE[1])
        return replace(
            still,
            focal=state.scale * still.focal,
            horizon=middle + state.scale * (still.horizon - middle) + float(state.drift[1]),
            shift=float(state.drift[0]),
        )

    def paint_background(self, state: SceneState) -> Canvas:
        """The room with the ball as the moved camera sees them, before the light is changed."""
        offset = _CENTRE + state.drift - state.scale * (_CENTRE + MARGIN)
        matrix = np.hstack([state.scale * np.eye(2), offset[:, None]])
        canvas = Canvas(np.asarray(cv2.warpAffine(self._room, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)))
        self._paint_ball(canvas, state)
        return canvas

    def apply_light(self, pixels: FloatImage, state: SceneState) -> FloatImage:
        """The picture in the state's light."""
        return np.asarray(pixels * state.light.astype(np.float32))

    def locate_ball(self, state: SceneState) -> tuple[Points, float]:
        """Its centre (x, y) and its radius, in pixels of the frame."""
        camera = self.move_camera(state)
        return camera.project(state.ball), _BALL_RADIUS * float(camera.scale(state.ball[2]))

    def describe(self, states: list[SceneState]) -> SceneTruth:
        """The truth about some frames, as arrays."""
        balls = [self.locate_ball(state) for state in states]
        return SceneTruth(
            camera=np.array([(state.scale, *state.drift) for state in states]).reshape(-1, 3),
            ball=np.array([(*centre, radius) for centre, radius in balls]).reshape(-1, 3),
            light=np.array([state.light for state in states]).reshape(-1, 3),
        )

    def _paint_ball(self, canvas: Canvas, state: SceneState) -> None:
        centre, radius = self.locate_ball(state)
        ground = self.move_camera(state).project(state.ball * (1.0, 0.0, 1.0))
        canvas.darken(ground, (1.1 * radius, 0.3 * radius), 0.45 / (1 + 3 * float(state.ball[1] - _BALL_RADIUS)))
        sketch = Sketch(np.stack([centre - radius, centre + radius]), 2)
        sketch.disc(centre, radius, self._colour)
        along = 0.97 * radius * np.array([math.cos(state.turn), math.sin(state.turn)])
        sketch.line(np.stack([centre - along, centre + along]), 0.3 * radius, tint(self._colour, 1.6))
        x, y = sketch.grid()
        facing = ((x - centre[0]) * -0.4 + (y - centre[1]) * -0.6) / radius
        canvas.lay(sketch, np.clip(0.75 + 0.35 * facing, 0.3, 1.2).astype(np.float32))
