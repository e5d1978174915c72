"""Demo dancers, drawn procedurally: an integer seed in; frames of a dancing person and their keypoints out.

No real person's likeness is needed to try the whole benchmark. A dancer has their own proportions, skin, hair, clothes,
room and way of dancing; frames look enough like video of a person that MediaPipe finds body, face and hands
in them. The same seeds give the same pixels, and a clip's beginning does not depend on its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.datasets.dancers.body import HEIGHT, WIDTH, Body, Camera, build_skeleton, project_keypoints
from dancebench.datasets.dancers.choreography import ARM_POSES, Choreography, MotionStyle
from dancebench.datasets.dancers.figure import Figure
from dancebench.datasets.dancers.look import Look, make_look
from dancebench.datasets.dancers.moving import MovingScene, SceneState, SceneTruth
from dancebench.datasets.dancers.paint import Canvas
from dancebench.datasets.dancers.scene import Scene, draw_scene, make_scene

__all__ = ["GENERATOR_VERSION", "HEIGHT", "WIDTH", "Dancer", "dance", "dance_moving", "make_dancer"]

GENERATOR_VERSION: Final = 1
"""Part of the hash of datasets made from these frames; raised whenever a pixel changes."""
_NOISE_SIGMA: Final = 1.3
"""Of the sensor-like noise, in grey levels."""


@dataclass(frozen=True)
class Dancer:
    """All traits of one person."""

    seed: int
    body: Body
    look: Look
    style: MotionStyle
    scene: Scene
    camera: Camera


def make_dancer(seed: int) -> Dancer:
    """Sample the person with this seed.

    Raises:
        BenchError: The seed is negative.
    """
    _check_seed(seed)
    rng = np.random.default_rng(seed)
    scene = make_scene(rng)
    look = make_look(rng, scene.wall)
    body, style = _make_body(rng), _make_style(rng)
    camera = Camera.frame(body, style.roam_z, height=float(rng.uniform(1.0, 1.25)), zoom=float(rng.uniform(0.97, 1.03)))
    return Dancer(seed, body, look, style, scene, camera)


def dance(
    dancer: Dancer, n_frames: int, fps: float = 25.0, motion_seed: int | None = None
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]]:
    """Render a dance.

    Args:
        dancer: Who dances.
        n_frames: How long; the first frames are the same whatever its value.
        fps: Frames per second; dances are the same at any rate, sampled differently.
        motion_seed: Which of the dancer's dances; None is the one of their own seed.

    Yields:
        A frame, uint8 RGB [512, 256, 3], and its true keypoints, float32 [75, 3]: x and y in pixels (pixel
        centres are whole numbers) and confidence 1, or zeros for the small toes, which dancers lack. Occluded
        points are included.

    Raises:
        BenchError: A negative number of frames or seed, or a rate that is not positive.
    """
    _check_length(n_frames, fps)
    if motion_seed is not None:
        _check_seed(motion_seed)
    choreography = Choreography(dancer.style, dancer.seed if motion_seed is None else motion_seed)
    return _render(dancer, choreography, n_frames, fps)


def _render(
    dancer: Dancer, choreography: Choreography, n_frames: int, fps: float
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]]:
    background = draw_scene(dancer.scene, dancer.camera, np.random.default_rng([dancer.seed, 1]))
    figure = Figure(dancer.body, dancer.look, np.random.default_rng([dancer.seed, 2]))
    grain = _Grain(dancer.seed)
    for index in range(n_frames):
        posed = build_skeleton(dancer.body, dancer.camera, choreography.pose(index / fps))
        canvas = Canvas(background)
        figure.paint(canvas, dancer.camera, posed)
        yield grain.apply(canvas.pixels, index), project_keypoints(dancer.camera, posed)


def dance_moving(
    dancer: Dancer, n_frames: int, fps: float = 25.0
) -> tuple[Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]], SceneTruth]:
    """Render the dancer's own dance before a drifting camera, with a moving ball and changing light.

    Args:
        dancer: Who dances.
        n_frames: How long; the first frames are the same whatever its value.
        fps: Frames per second.

    Returns:
        What `dance` yields, and the truth about camera, ball and light in every frame.

    Raises:
        BenchError: As `dance`.
    """
    _check_length(n_frames, fps)
    scene = MovingScene(dancer.scene, dancer.camera, dancer.seed)
    states = [scene.find_state(index / fps) for index in range(n_frames)]
    return _render_moving(dancer, scene, states, fps), scene.describe(states)


def _render_moving(
    dancer: Dancer, scene: MovingScene, states: list[SceneState], fps: float
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]]:
    choreography = Choreography(dancer.style, dancer.seed)
    figure = Figure(dancer.body, dancer.look, np.random.default_rng([dancer.seed, 2]))
    grain = _Grain(dancer.seed)
    for index, state in enumerate(states):
        # The still camera decides how the dancer keeps within the picture: the drift leaves them there.
        posed = build_skeleton(dancer.body, dancer.camera, choreography.pose(index / fps))
        camera, canvas = scene.move_camera(state), scene.paint_background(state)
        figure.paint(canvas, camera, posed)
        yield grain.apply(scene.apply_light(canvas.pixels, state), index), project_keypoints(camera, posed)


def _check_length(n_frames: int, fps: float) -> None:
    if n_frames < 0 or not fps > 0:
        raise BenchError(
            f"A dance of {n_frames} frames at {fps} frames per second cannot be rendered.",
            hint="Use a non-negative number of frames and a positive rate.",
        )


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise BenchError(f"{seed} is not a valid seed of a dancer.", hint="Seeds are 0 or larger.")


class _Grain:
    """Noise cropped for every frame from one larger image, which is far cheaper than sampling it anew."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        sheet = np.random.default_rng([seed, 3]).standard_normal((HEIGHT + 128, WIDTH + 128, 3), dtype=np.float32)
        self._sheet = _NOISE_SIGMA * sheet + np.float32(0.5)  # so that truncation rounds

    def apply(self, pixels: npt.NDArray[np.float32], index: int) -> npt.NDArray[np.uint8]:
        y, x = np.random.default_rng([self._seed, 4, index]).integers(0, 129, 2)
        noisy = pixels + self._sheet[y : y + HEIGHT, x : x + WIDTH]
        return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def _make_body(rng: np.random.Generator) -> Body:
    build = rng.uniform(-1, 1)  # narrow waist and wide hips, or the shoulders of a swimmer
    girth = float(rng.uniform(0.88, 1.25))
    return Body(
        stature=float(rng.uniform(1.55, 1.88)),
        shoulders=float(0.101 + 0.007 * build + rng.normal(0, 0.002)),
        hips=float(0.053 - 0.003 * build),
        waist=float(0.074 + 0.008 * build + 0.075 * (girth - 1)),
        torso=float(rng.uniform(0.282, 0.305)),
        arm=float(rng.uniform(0.305, 0.33)),
        leg=float(rng.uniform(0.465, 0.495)),
        head=float(rng.uniform(0.078, 0.087)),
        hand=float(rng.uniform(0.114, 0.124)),
        girth=girth,
    )


def _make_style(rng: np.random.Generator) -> MotionStyle:
    names = rng.permutation(sorted(ARM_POSES))
    return MotionStyle(
        tempo=float(rng.uniform(84, 114)),
        energy=float(rng.uniform(0.82, 1.02)),
        favourites=tuple(str(n) for n in names[: rng.integers(7, 11)]),
        mirrored=float(rng.uniform(0.25, 0.7)),
        bounce=float(rng.uniform(0.015, 0.05)),
        dip=float(rng.uniform(0.06, 0.22)),
        sway=float(rng.uniform(0.015, 0.04)),
        turn=float(rng.uniform(0.15, 0.42)),
        lean=float(rng.uniform(0.05, 0.15)),
        lift=float(rng.uniform(0.03, 0.10)),
        stance=float(rng.uniform(0.09, 0.15)),
        roam_x=float(rng.uniform(0.10, 0.17)),
        roam_z=float(rng.uniform(0.36, 0.44)),
        swing=float(rng.uniform(0.08, 0.26)),
    )
