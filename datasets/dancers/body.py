"""The body of a demo dancer: proportions and a pose in; 75 points in space, and their pixels, out.

Limbs are chains of directions from the hips upwards; legs are solved by inverse kinematics from the feet.
Arms that would leave the picture sideways reach towards the camera instead, so the whole person is always
seen. World coordinates are those of the choreography.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.datasets.dancers.choreography import SIDES, Arm, Foot, Pose
from dancebench.datasets.pose.skeleton import (
    FACE,
    L_ANKLE,
    L_BIG_TOE,
    L_EAR,
    L_ELBOW,
    L_EYE,
    L_HEEL,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_SMALL_TOE,
    L_WRIST,
    LEFT_HAND,
    MID_HIP,
    N_POINTS,
    NECK,
    NOSE,
    R_ANKLE,
    R_BIG_TOE,
    R_EAR,
    R_ELBOW,
    R_EYE,
    R_HEEL,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_SMALL_TOE,
    R_WRIST,
    RIGHT_HAND,
)  # fmt: skip

HEIGHT, WIDTH = 512, 256
DISTANCE: Final = 4.2
"""From the camera to the middle of the dance floor, in metres."""
_MARGIN: Final = 8.0
"""Least number of pixels between the figure and the frame's border."""

Points = npt.NDArray[np.float64]

ARM_JOINTS: Final = ((R_SHOULDER, R_ELBOW, R_WRIST), (L_SHOULDER, L_ELBOW, L_WRIST))
LEG_JOINTS: Final = ((R_HIP, R_KNEE, R_ANKLE), (L_HIP, L_KNEE, L_ANKLE))
FOOT_JOINTS: Final = ((R_BIG_TOE, R_HEEL), (L_BIG_TOE, L_HEEL))
HANDS: Final = (RIGHT_HAND, LEFT_HAND)
MISSING: Final = (L_SMALL_TOE, R_SMALL_TOE)

# An open hand: along the hand and towards the thumb, in hand lengths, in MediaPipe's order.
_HAND: Final = np.array([
    (0, 0),
    (0.14, 0.17), (0.30, 0.33), (0.44, 0.45), (0.56, 0.55),
    (0.50, 0.20), (0.70, 0.25), (0.82, 0.275), (0.93, 0.295),
    (0.52, 0.06), (0.75, 0.07), (0.88, 0.075), (1.0, 0.08),
    (0.49, -0.08), (0.70, -0.105), (0.83, -0.12), (0.94, -0.13),
    (0.43, -0.20), (0.58, -0.26), (0.68, -0.30), (0.78, -0.335),
])  # fmt: skip

# In the head's own axes (person's left, up, forwards), in half head heights.
FACE_POINTS: Final[dict[str, tuple[float, float, float]]] = {
    "eye": (0.33, 0.06, 0.70),
    "brow": (0.34, 0.30, 0.72),
    "ear": (0.76, -0.08, -0.02),
    "jaw": (0.70, -0.12, 0.12),
    "bridge": (0.0, 0.07, 0.86),
    "tip": (0.0, -0.29, 1.04),
    "base": (0.0, -0.40, 0.86),
    "mouth": (0.0, -0.60, 0.80),
    "chin": (0.0, -1.0, 0.50),
}


@dataclass(frozen=True)
class Body:
    """Proportions; lengths are shares of the stature unless stated."""

    stature: float
    """Metres."""
    shoulders: float
    """Half the distance between the shoulder joints."""
    hips: float
    """Half the distance between the hip joints."""
    waist: float
    """Half the width of the waist."""
    torso: float
    arm: float
    leg: float
    """From hip joint to ankle."""
    head: float
    """Half the height of the head."""
    hand: float
    girth: float
    """Thickness of the limbs; 1 is average."""

    def to_metres(self, share: float) -> float:
        return share * self.stature


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at `height` metres, looking along the floor.

    x = WIDTH/2 - 0.5 + shift + focal·X / (DISTANCE - Z), y = horizon - focal·(Y - height) / (DISTANCE - Z).
    """

    focal: float
    height: float
    horizon: float
    shift: float = 0.0

    @classmethod
    def frame(cls, body: Body, roam_z: float, *, height: float, zoom: float) -> Camera:
        """The closest camera (times `zoom` < 1) that keeps raised arms and near feet in the picture."""
        reach = body.to_metres(body.leg + 0.05 + body.torso + body.arm + 0.95 * body.hand)
        near_toe = DISTANCE - roam_z - 0.28
        span = (reach - height) / (DISTANCE - roam_z - 0.12) + height / near_toe
        focal = zoom * (HEIGHT - 2 * _MARGIN) / span
        return cls(focal, height, HEIGHT - _MARGIN - focal * height / near_toe)

    def scale(self, z: Points) -> Points:
        """Pixels per metre at depth `z`."""
        return np.asarray(self.focal / (DISTANCE - z))

    def project(self, world: Points) -> Points:
        """Pixels [..., 2] of points [..., 3]."""
        scale = self.scale(world[..., 2])
        x = WIDTH / 2 - 0.5 + self.shift + scale * world[..., 0]
        y = self.horizon - scale * (world[..., 1] - self.height)
        return np.stack([x, y], axis=-1)

    def half_width(self, z: Points) -> Points:
        """Metres from the picture's middle to the margin at its border, at depth `z`."""
        return (WIDTH / 2 - _MARGIN) * (DISTANCE - z) / self.focal


@dataclass(frozen=True)
class Skeleton:
    """A posed body."""

    world: Points
    """[75, 3] in metres; NaN where the layout has a point that the body lacks."""
    head_centre: Points
    head_axes: Points
    """[3, 3]: rows are the person's left, up and forwards in the world."""


def build_skeleton(body: Body, camera: Camera, pose: Pose) -> Skeleton:
    """Place all joints of `body` in `pose`."""
    world = np.full((N_POINTS, 3), np.nan)
    hips_turn = _make_rotation(pose.yaw)
    pelvis = np.array([pose.x, body.to_metres(0.985 * body.leg + 0.045) - pose.drop, pose.z])
    ankles = [_place_foot(world, body, side, pose.feet[side]) for side in range(2)]
    hip_offsets = [SIDES[side] * body.to_metres(body.hips) * hips_turn[0] for side in range(2)]
    pelvis[1] = _limit_reach(body, pelvis, hip_offsets, ankles)
    for side, (hip, knee, ankle) in enumerate(LEG_JOINTS):
        world[hip] = pelvis + hip_offsets[side]
        world[ankle] = ankles[side]
        pole = 0.45 * SIDES[side] * hips_turn[0] + hips_turn[2]
        world[knee] = _place_knee(world[hip], world[ankle], body.to_metres(body.leg) / 2, pole)
    world[MID_HIP] = pelvis

    spine = _make_rotation(pose.yaw + 0.5 * pose.twist)
    up = _normalise(math.sin(pose.lean) * spine[0] + math.cos(pose.lean) * spine[1] + math.sin(pose.bow) * spine[2])
    across = _make_rotation(pose.yaw + pose.twist)[0]
    across = _normalise(across - (across @ up) * up)
    world[NECK] = pelvis + body.to_metres(body.torso) * up
    for side in range(2):
        _place_arm(world, body, camera, side, pose.arms[side], across, up)

    axes = _compute_head_axes(pose)
    centre = world[NECK] + body.to_metres(0.045) * up + body.to_metres(1.05 * body.head) * (0.6 * up + 0.4 * axes[1])
    _place_face(world, body.to_metres(body.head), centre, axes)
    return Skeleton(world, centre, axes)


def project_keypoints(camera: Camera, figure: Skeleton) -> npt.NDArray[np.float32]:
    """The true keypoints [75, 3] of a posed body: x, y in pixels and 1, or zeros for what it lacks."""
    out = np.zeros((N_POINTS, 3), np.float32)
    present = ~np.isnan(figure.world[:, 0])
    out[present, :2] = camera.project(figure.world[present])
    out[present, 2] = 1.0
    return out


def _normalise(v: Points) -> Points:
    return np.asarray(v / np.sqrt(v @ v))


def _make_rotation(angle: float) -> Points:
    """Rows are left, up and forwards of a person turned by `angle` to the picture's right."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])


def _place_foot(world: Points, body: Body, side: int, foot: Foot) -> Points:
    """Sets toe and heel; returns the ankle."""
    toe, heel = FOOT_JOINTS[side]
    angle = SIDES[side] * foot.turnout
    forward = np.array([math.sin(angle), 0.0, math.cos(angle)])
    pitch = min(0.9, 2.2 * foot.lift)
    along = math.cos(pitch) * forward - math.sin(pitch) * np.array([0.0, 1.0, 0.0])
    ankle = np.array([foot.x, body.to_metres(0.045) + foot.lift, foot.z - body.to_metres(0.03)])
    world[toe] = ankle + body.to_metres(0.098) * along - np.array([0.0, body.to_metres(0.034), 0.0])
    world[heel] = ankle - body.to_metres(0.032) * along - np.array([0.0, body.to_metres(0.034), 0.0])
    return ankle


def _limit_reach(body: Body, pelvis: Points, offsets: list[Points], ankles: list[Points]) -> float:
    """The height of the hips at which both legs reach the ground: a smooth minimum over the two."""
    heights = [pelvis[1]]
    for offset, ankle in zip(offsets, ankles, strict=True):
        gap = pelvis + offset - ankle
        apart = gap[0] ** 2 + gap[2] ** 2
        heights.append(float(ankle[1]) + math.sqrt(max(0.0, (0.99 * body.to_metres(body.leg)) ** 2 - apart)))
    sharp = 60.0
    return -math.log(sum(math.exp(-sharp * h) for h in heights)) / sharp


def _place_knee(hip: Points, ankle: Points, bone: float, pole: Points) -> Points:
    """Where two bones of one length meet between hip and ankle, on the side of `pole`."""
    gap = ankle - hip
    half = math.sqrt(float(gap @ gap)) / 2
    direction = gap / (2 * half)
    aside = _normalise(pole - (pole @ direction) * direction)
    return np.asarray(hip + gap / 2 + math.sqrt(max(0.0, bone**2 - half**2)) * aside)


def _place_arm(world: Points, body: Body, camera: Camera, side: int, arm: Arm, across: Points, up: Points) -> None:
    sign = SIDES[side]
    shoulder, elbow, wrist = ARM_JOINTS[side]
    raised = 0.02 * (1 - math.cos(arm.upper)) / 2
    world[shoulder] = world[NECK] + sign * body.to_metres(body.shoulders) * across + body.to_metres(raised - 0.018) * up
    forwards = np.cross(across, up)
    frame = np.stack([sign * across, up, forwards])
    hand_angle, hand_out = arm.fore + arm.wrist, 0.4 * arm.fore_out
    bones = np.stack([
        body.to_metres(0.52 * body.arm) * _compute_arm_direction(arm.upper, arm.upper_out) @ frame,
        body.to_metres(0.48 * body.arm) * _compute_arm_direction(arm.fore, arm.fore_out) @ frame,
        body.to_metres(body.hand) * _compute_arm_direction(hand_angle, hand_out) @ frame,
    ])  # fmt: skip
    bones = _fold_arm(camera, world[shoulder], bones, sign)
    world[elbow] = world[shoulder] + bones[0]
    world[wrist] = world[elbow] + bones[1]
    _place_hand(world, HANDS[side], bones[2], sign, arm)


def _compute_arm_direction(angle: float, out: float) -> Points:
    """Outwards, up, forwards."""
    return np.array([
        math.cos(out) * math.sin(angle), -math.cos(out) * math.cos(angle), math.sin(out)
    ])  # fmt: skip


def _fold_arm(camera: Camera, shoulder: Points, bones: Points, sign: float) -> Points:
    """The same bones, reaching to the front as far as they would leave the picture sideways.

    What is nearer to the camera has less room, so later passes correct the first. Bones that pointed backwards
    come out a little shorter in space, which a single view cannot show.
    """
    hand = math.sqrt(float(bones[2] @ bones[2]))
    for _ in range(3):
        joints = shoulder + np.cumsum(bones, axis=0)
        outwards = sign * joints[:, 0] - sign * shoulder[0]
        upright = abs(bones[2, 1]) / math.hypot(bones[2, 0], bones[2, 1] + 1e-9)
        outwards[1:] += 0.62 * hand * upright  # thumb and little finger stick out
        room = np.maximum(camera.half_width(joints[:, 2] + 0.2 * hand) - sign * shoulder[0], 0.05)
        kept = (1 + np.maximum(outwards / room, 0.0).max() ** 12) ** (-1 / 12)
        lost = bones[:, 0] ** 2 * (1 - kept**2)
        forwards = np.sqrt(np.maximum(bones[:, 2], 0.0) ** 2 + lost) + np.minimum(bones[:, 2], 0.0)
        bones = np.stack([kept * bones[:, 0], bones[:, 1], forwards], axis=1)
    return bones


def _place_hand(world: Points, part: slice, bone: Points, sign: float, arm: Arm) -> None:
    """The 21 points of a hand along `bone`; its palm faces the camera where the roll is 0."""
    length = math.sqrt(float(bone @ bone))
    along = bone / length
    thumb = _normalise(np.array([-sign * along[1], sign * along[0], 0.0]))
    palm = -sign * np.cross(thumb, along)
    c, s = math.cos(arm.roll), math.sin(arm.roll)
    thumb, palm = c * thumb + s * palm, c * palm - s * thumb
    points = np.empty((21, 3))
    points[0] = 0.0
    for finger in range(5):
        first = 1 + 4 * finger
        spread = 1.0 if finger == 0 else arm.spread
        base = _HAND[first]
        points[first] = base[0] * along + base[1] * thumb
        for k in range(1, 4):
            step = _HAND[first + k] - _HAND[first + k - 1]
            curl = arm.curl * (k + 0.3) * (0.4 if finger == 0 else 1.0)
            straight = step[0] * along + (step[1] + 0.1 * (spread - 1) * _HAND[first, 1] / 0.2) * thumb
            size = math.sqrt(float(step @ step))
            points[first + k] = points[first + k - 1] + math.cos(curl) * straight + math.sin(curl) * size * palm
    world[part] = world[ARM_JOINTS[0 if sign < 0 else 1][2]] + length * points


def _compute_head_axes(pose: Pose) -> Points:
    yaw, nod, tilt = pose.yaw + pose.head[0], pose.head[1], pose.head[2] + 0.3 * pose.lean
    left, up, forwards = _make_rotation(yaw)
    up, forwards = (
        math.cos(nod) * up + math.sin(nod) * forwards,
        math.cos(nod) * forwards - math.sin(nod) * up,
    )
    c, s = math.cos(tilt), math.sin(tilt)
    roll = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(np.stack([left, up, forwards]) @ roll)


def _place_face(world: Points, size: float, centre: Points, axes: Points) -> None:
    def at(name: str, sign: float = 1.0) -> Points:
        return np.asarray(centre + size * (np.array(FACE_POINTS[name]) * (sign, 1, 1)) @ axes)

    for joint, name, sign in (
        (NOSE, "tip", 1.0), (R_EYE, "eye", -1.0), (L_EYE, "eye", 1.0), (R_EAR, "ear", -1.0),
        (L_EAR, "ear", 1.0),
    ):  # fmt: skip
        world[joint] = at(name, sign)
    world[FACE] = [
        at("bridge"), at("tip"), at("chin"), at("jaw", -1.0), at("jaw", 1.0), at("base"),
        at("eye", -1.0), at("eye", 1.0),
    ]  # fmt: skip
