"""How a demo dancer moves: a style, a seed and a time in; the pose at that time out.

A dance is a pure function of time, so that a clip's beginning does not depend on its length. It has three
layers: arm poses on counted beats, each sampled by its own index, with eased transitions between them; steps, each
foot planted until its next beat; and slow sums of sinusoids with incommensurate periods for the path on the
floor, the torso and the head. Nothing repeats.

World coordinates are metres: x to the right of the picture, y up, z towards the camera. Angles are radians.
Of each pair the first is the person's right, which is on the left of the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

SIDES: Final = (-1.0, 1.0)
"""The sign of x of the person's right and left."""

# Arm poses in degrees. Upper arm and forearm each have an angle in the picture plane (0 hangs, 90 points
# outwards, 180 up, negative across the body) and one towards the camera.
ARM_POSES: Final[dict[str, tuple[float, float, float, float]]] = {
    "rest": (14, 4, 10, 14),
    "hip": (48, -8, -48, 14),
    "low": (38, 8, 56, 10),
    "wing": (72, 8, 112, 12),
    "up": (158, 8, 172, 6),
    "vee": (134, 8, 146, 10),
    "goal": (88, 8, 178, 12),
    "scarecrow": (82, 14, 8, 12),
    "chest": (34, 24, -98, 34),
    "push": (40, 46, 118, 36),
    "crown": (138, 8, 208, 12),
    "temple": (106, 14, 214, 24),
    "frame": (56, 30, 168, 30),
    "cross": (18, 34, -42, 36),
    "point": (118, 4, 124, 6),
    "flex": (64, 16, 146, 22),
    "wave": (76, 20, 158, 24),
}
_REST: Final = np.radians(ARM_POSES["rest"])

# Streams of random numbers that must not share a seed.
_ARMS, _STEPS, _DIPS, _WAVES = range(4)
_FIRST: Final = 8
"""Number of beats before time 0 that a dance may refer to."""


@dataclass(frozen=True)
class MotionStyle:
    """The traits of a person's way of dancing."""

    tempo: float
    """Beats per minute."""
    energy: float
    """How far the arms go from rest to each pose; 1 is the whole way."""
    favourites: tuple[str, ...]
    """Names of ARM_POSES, sampled uniformly."""
    mirrored: float
    """Share of arm poses in which both arms do the same."""
    bounce: float
    """How far the hips drop on each beat, in metres."""
    dip: float
    """How far the hips drop in the deepest squats, in metres."""
    sway: float
    """How far the hips swing sideways, in metres."""
    turn: float
    """Largest turn of the hips; the shoulders turn on top of it."""
    lean: float
    lift: float
    """How high the feet are lifted in a step, in metres."""
    stance: float
    """Half the distance between the feet, in metres."""
    roam_x: float
    roam_z: float
    """Half the range of the path on the floor, in metres."""
    swing: float
    """How far the forearms swing with the beat."""


class Arm(NamedTuple):
    """Angles in and out of the picture plane, as in ARM_POSES; then those of the hand."""

    upper: float
    upper_out: float
    fore: float
    fore_out: float
    wrist: float
    roll: float
    spread: float
    curl: float


class Foot(NamedTuple):
    """Position of the sole's middle in metres, its height, and the foot's turn."""

    x: float
    z: float
    lift: float
    turnout: float


@dataclass(frozen=True)
class Pose:
    """All that the choreography decides at one time."""

    x: float
    z: float
    drop: float
    yaw: float
    twist: float
    lean: float
    bow: float
    head: tuple[float, float, float]
    """Turn to the picture's right, nod down, tilt to the picture's right."""
    arms: tuple[Arm, Arm]
    feet: tuple[Foot, Foot]


class Choreography:
    """One dance.

    Args:
        style: Whose dance it is.
        seed: Which of their dances.
    """

    def __init__(self, style: MotionStyle, seed: int) -> None:
        self.style = style
        self._seed = seed
        self._beat = 60.0 / style.tempo
        rng = self._make_rng(_WAVES, 0)
        self._x = _Wave(rng, 5.1, 6.9)
        self._z = _Wave(rng, 5.6, 7.4)
        self._yaw, self._twist, self._lean = _Wave(rng, 3.1, 4.6), _Wave(rng, 2.2, 3.4), _Wave(rng, 2.6, 3.9)
        self._head = (_Wave(rng, 2.4, 3.8), _Wave(rng, 2.1, 3.3), _Wave(rng, 2.7, 4.2))
        self._hands = tuple(tuple(_Wave(rng, 1.6, 3.2) for _ in range(4)) for _ in SIDES)
        self._late = float(rng.uniform(0.0, 0.12))
        self._swing_phase = rng.uniform(0, 2 * math.pi, 2)

    def pose(self, time: float) -> Pose:
        """The pose at `time` seconds (0 or later)."""
        style, beats = self.style, time / self._beat
        pulse = math.sin(math.pi * beats) ** 2
        yaw = style.turn * self._yaw(time)
        nod = 0.05 + 0.07 * self._head[1](time) + 0.05 * pulse
        look = 0.24 * self._head[0](time) - 0.5 * yaw
        return Pose(
            x=self._compute_path(time)[0] + style.sway * math.sin(math.pi * (beats - 0.5)),
            z=self._compute_path(time)[1],
            drop=style.bounce * pulse + style.dip * self._compute_dip(beats),
            yaw=yaw,
            twist=0.8 * style.turn * self._twist(time),
            lean=style.lean * self._lean(time),
            bow=0.05 + 0.25 * style.dip * self._compute_dip(beats) + 0.03 * self._head[1](time),
            head=(look, nod, 0.17 * self._head[2](time)),
            arms=(self._compute_arm(0, time), self._compute_arm(1, time)),
            feet=(self._compute_foot(0, beats), self._compute_foot(1, beats)),
        )

    def _make_rng(self, stream: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, stream, index])

    def _compute_path(self, time: float) -> tuple[float, float]:
        near = self._z(time)
        narrowing = 1 - 0.2 * (1 + near)  # the picture is narrower near the camera
        return self.style.roam_x * narrowing * self._x(time), self.style.roam_z * near

    def _compute_arm(self, side: int, time: float) -> Arm:
        """Both arms move quickly from one pose to the next, one slightly later, and swing with the beat."""
        count = max(0.0, time / self._beat / 2 - side * self._late)
        index = math.floor(count)
        start, end = self._sample_arm_key(index, side), self._sample_arm_key(index + 1, side)
        angles = start[:4] + (end[:4] - start[:4]) * _ease((count - index) / end[4])
        swing = self.style.swing * math.sin(math.pi * time / self._beat + float(self._swing_phase[side]))
        wave = [w(time) for w in self._hands[side]]
        # A hanging hand shows its back, a raised one its palm.
        roll = 0.35 * wave[1] + 2.5 * (1 - _ease((float(angles[2]) + 0.15) / 1.2))
        return Arm(
            upper=float(angles[0]) + 0.3 * swing,
            upper_out=float(angles[1]),
            fore=float(angles[2]) + swing,
            fore_out=float(angles[3]),
            wrist=0.22 * wave[0],
            roll=roll,
            spread=1.15 + 0.35 * wave[2],
            curl=0.16 + 0.13 * wave[3],
        )

    def _sample_arm_key(self, index: int, side: int) -> npt.NDArray[np.float64]:
        """Four angles, and the share of the count that the transition takes."""
        rng = self._make_rng(_ARMS, index)
        names = rng.choice(self.style.favourites, 2)
        if rng.random() < self.style.mirrored:
            names[1] = names[0]
        jitter = np.radians(rng.normal(0, (5, 4, 8, 4), (2, 4)))
        durations = rng.uniform(0.72, 1.0, 2)
        angles = _REST + self.style.energy * (np.radians(ARM_POSES[names[side]]) - _REST) + jitter[side]
        return np.append(angles, durations[side])

    def _compute_foot(self, side: int, beats: float) -> Foot:
        """A foot swings on every second beat to where the path will be, and stands in between."""
        step = math.floor(beats)
        step -= (step - side) % 2
        start, end = self._sample_footprint(step - 2), self._sample_footprint(step)
        share = min(1.0, (beats - step) / 0.9)
        at = start + (end - start) * _ease(share)
        lift = float(end[3]) * math.sin(math.pi * share) ** 2
        # A foot lifted high comes forwards and outwards, with its knee.
        return Foot(float(at[0]) + 0.25 * SIDES[side] * lift, float(at[1]) + 0.5 * lift, lift, float(at[2]))

    def _sample_footprint(self, step: int) -> npt.NDArray[np.float64]:
        """x, z, turnout, and how high the foot is lifted during the step."""
        style, side = self.style, step % 2
        rng = self._make_rng(_STEPS, step + _FIRST)
        x, z = self._compute_path((step + 1.4) * self._beat)
        wide = style.stance * rng.uniform(0.75, 1.45)
        lift = style.lift * rng.choice((0.5, 1.0, 2.6), p=(0.35, 0.45, 0.2))
        place = (x + SIDES[side] * wide, z + rng.uniform(-0.07, 0.07), rng.uniform(0.3, 0.75), lift)
        return np.array(place)

    def _compute_dip(self, beats: float) -> float:
        """Squats come every fourth beat, deep or hardly at all."""
        count = beats / 4
        index = math.floor(count)
        depths = [self._make_rng(_DIPS, index + k).random() ** 2 for k in range(2)]
        return float(depths[0] + (depths[1] - depths[0]) * _ease(count - index))


class _Wave:
    """A smooth wandering in [-1, 1]: three sinusoids, the slowest with a period in [low, high] seconds."""

    def __init__(self, rng: np.random.Generator, low: float, high: float) -> None:
        period = rng.uniform(low, high)
        ratios = np.array([1.0, rng.uniform(1.55, 1.68), rng.uniform(2.55, 2.75)])
        self._speeds = 2 * math.pi / period * ratios
        self._phases = rng.uniform(0, 2 * math.pi, 3)
        self._weights = np.array([0.66, 0.22, 0.12])

    def __call__(self, time: float) -> float:
        return float(self._weights @ np.sin(self._speeds * time + self._phases))


def _ease(share: float) -> float:
    """0 to 1 with no speed at either end."""
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)
