"""A demo dancer on a canvas: a posed body and a look in; the person, painted from back to front, out."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from dancebench.datasets.dancers.body import (
    ARM_JOINTS,
    FOOT_JOINTS,
    HANDS,
    LEG_JOINTS,
    Body,
    Camera,
    Skeleton,
)  # fmt: skip
from dancebench.datasets.dancers.choreography import SIDES
from dancebench.datasets.dancers.head import Head
from dancebench.datasets.dancers.look import Look, make_folds, weave
from dancebench.datasets.dancers.paint import Canvas, Fabric, Points, Sketch, smooth_outline, tint
from dancebench.datasets.pose.skeleton import FINGERS, L_HIP, L_SHOULDER, MID_HIP, NECK, R_HIP, R_SHOULDER

_ARM_RADII: Final = ((0.0262, 0.0225), (0.0232, 0.0165))
_LEG_RADII: Final = ((0.047, 0.034), (0.034, 0.0225))
_FINGER_RADIUS: Final = 0.056
"""In hand lengths."""


class Figure:
    """A person who can be painted in any pose.

    Args:
        body: Their proportions.
        look: Their clothes, hair and face.
        rng: For the creases of the clothes.
    """

    def __init__(self, body: Body, look: Look, rng: np.random.Generator) -> None:
        self.body, self.look = body, look
        self.skin = Fabric(look.skin)
        self.top, self.bottom = weave(look.top), weave(look.bottom)
        self.creases = make_folds(rng)

    def paint(self, canvas: Canvas, camera: Camera, figure: Skeleton) -> None:
        """Paint the posed body with its shadow."""
        _Painting(self, canvas, camera, figure).paint_all()


class _Painting:
    """One frame of one person."""

    def __init__(self, person: Figure, canvas: Canvas, camera: Camera, figure: Skeleton) -> None:
        self.person, self.body, self.look, self.canvas = person, person.body, person.look, canvas
        self.camera, self.figure, self.world = camera, figure, figure.world
        self.at = camera.project(figure.world)
        self.scale = camera.scale(figure.world[:, 2])

    def paint_all(self) -> None:
        self._paint_shadow()
        head = Head(self.figure, self.camera, self.body, self.look)
        head.paint_back(self.canvas)
        for side in sorted(range(2), key=lambda s: float(self.world[LEG_JOINTS[s][2], 2])):
            self._paint_leg(side)
        arms = sorted(range(2), key=self._measure_arm_depth)
        behind = [s for s in arms if self._measure_arm_depth(s) < self.world[NECK, 2] - 0.06]
        for side in behind:
            self._paint_arm(side)
        self._paint_hips()
        self._paint_torso()
        self._paint_neck()
        head.paint(self.canvas)
        for side in arms:
            if side not in behind:
                self._paint_arm(side)

    def _to_pixels(self, share: float, joint: int) -> float:
        """Pixels of a share of the stature at a joint's depth."""
        return self.body.to_metres(share) * float(self.scale[joint])

    def _measure_arm_depth(self, side: int) -> float:
        return float(self.world[list(ARM_JOINTS[side][1:]), 2].max())

    def _paint_shadow(self) -> None:
        floor = self.camera.project(np.array([self.world[MID_HIP, 0] + 0.05, 0.0, self.world[MID_HIP, 2] - 0.04]))
        width = 0.36 * float(self.scale[MID_HIP])
        self.canvas.darken(floor, (width, 0.27 * width), 0.40)
        for side, (toe, heel) in enumerate(FOOT_JOINTS):
            sole = (self.world[toe] + self.world[heel]) / 2
            high = max(0.0, float(self.world[LEG_JOINTS[side][2], 1]) - self.body.to_metres(0.045))
            under = self.camera.project(sole * (1, 0, 1))
            size = 0.14 * float(self.scale[toe])
            self.canvas.darken(under, (size, 0.45 * size), 0.5 * math.exp(-12 * high))

    def _paint_leg(self, side: int) -> None:
        hip, knee, ankle = LEG_JOINTS[side]
        kind, girth = self.look.bottom_kind, self.body.girth
        self._paint_shoe(side)
        thigh = [self._to_pixels(r * girth, j) for r, j in zip(_LEG_RADII[0], (hip, knee), strict=True)]
        shin = [self._to_pixels(r * girth, j) for r, j in zip(_LEG_RADII[1], (knee, ankle), strict=True)]
        covered = self.person.bottom if kind in ("trousers", "leggings") else self.person.skin
        wide = kind == "trousers"
        loose = 1.16 if wide else 1.0
        end = self.at[ankle] + (0.06 if wide else 0.0) * (self.at[ankle] - self.at[knee])
        self.canvas.draw_tube(
            self.at[knee], end, (shin[0] * loose, shin[1] * loose * (1.25 if wide else 1)), covered,
            float(self.scale[knee]), bulge=0.02 if wide else 0.13, halo=0.18, cut=wide,
        )  # fmt: skip
        self.canvas.draw_tube(
            self.at[hip], self.at[knee], (thigh[0] * loose, thigh[1] * loose), covered,
            float(self.scale[hip]), bulge=0.04, halo=0.12,
        )  # fmt: skip
        if kind == "shorts":
            hem = self.at[hip] + 0.72 * (self.at[knee] - self.at[hip])
            self.canvas.draw_tube(
                self.at[hip], hem, (thigh[0] * 1.06, thigh[1] * 1.4), self.person.bottom,
                float(self.scale[hip]), cut=True,
            )  # fmt: skip

    def _paint_shoe(self, side: int) -> None:
        toe, heel = FOOT_JOINTS[side]
        ankle = LEG_JOINTS[side][2]
        size = self._to_pixels(0.026, toe)
        points = self.at[[heel, toe, ankle]]
        sketch = Sketch(points, 2.2 * size)
        along = points[1] - points[0]
        ball = points[0] + 0.72 * along
        top = points[2]
        for drop, grow, colour in (
            (0.42, 1.12, self.look.soles), (0.0, 1.0, tint(self.look.shoes, 0.84)),
        ):  # fmt: skip
            down = np.array([0.0, drop * size])
            for centre, radius in ((points[0], 0.92), (ball, 1.12), (points[1], 0.86)):
                sketch.disc(centre + down, radius * size * grow, colour)
            sketch.line(np.stack([points[0] + down, ball + down]), 1.9 * size * grow, colour)
            sketch.line(np.stack([ball + down, points[1] + down]), 1.8 * size * grow, colour)
        wide = size * np.array([1.0, 0.0])
        front = ball - np.array([0.0, 0.3 * size])
        upper = np.stack([top - wide, top + wide, front + 0.95 * wide, front - 0.95 * wide])
        sketch.fill(upper, self.look.shoes)
        sketch.disc(ball - (0, 0.25 * size), 0.95 * size, self.look.shoes)
        for k in range(3):
            middle = top + (0.3 + 0.25 * k) * (ball - top)
            lace = np.array([[-0.42 * size, 0.0], [0.42 * size, 0.0]])
            sketch.line(middle + lace, 0.22 * size, self.look.soles)
        self.canvas.lay(sketch)

    def _paint_hips(self) -> None:
        """The seat of the trousers, from under the shirt down to where the thighs begin."""
        if self.look.bottom_kind == "skirt":
            self._paint_skirt()
            return
        middle, up = self.at[MID_HIP], 0.14 * (self.at[NECK] - self.at[MID_HIP])
        wide = self._to_pixels(0.95 * self.body.hips + 0.04 * self.body.girth, MID_HIP)
        thigh = self._to_pixels(0.044 * self.body.girth, MID_HIP)
        across = (self.at[L_HIP] - self.at[R_HIP]) / math.hypot(*(self.at[L_HIP] - self.at[R_HIP]))
        edges = []
        for sign, (hip, knee, _) in zip(SIDES, LEG_JOINTS, strict=True):
            below = self.at[hip] + 0.15 * (self.at[knee] - self.at[hip])
            edges.append([middle + up + sign * wide * across, self.at[hip] + sign * thigh * across,
                          below + 0.8 * sign * thigh * across])  # fmt: skip
        crotch = middle - 0.32 * up
        self.canvas.draw_cloth(
            np.stack([*edges[0], crotch, *edges[1][::-1]]), self.person.bottom, float(self.scale[MID_HIP]),
            top=middle + up, bottom=crotch, half_width=1.2 * wide,
        )  # fmt: skip

    def _paint_skirt(self) -> None:
        waist = self.at[MID_HIP] + 0.2 * (self.at[NECK] - self.at[MID_HIP])
        half = self._to_pixels(self.body.waist * 1.05, MID_HIP)
        knees = self.at[[LEG_JOINTS[0][1], LEG_JOINTS[1][1]]]
        hems = self.at[[R_HIP, L_HIP]] + 0.78 * (knees - self.at[[R_HIP, L_HIP]])
        hems = hems[np.argsort(hems[:, 0])]
        flare = self._to_pixels(0.062 * self.body.girth, MID_HIP)
        hips = self._to_pixels(0.1 * self.body.girth, MID_HIP)
        side = np.array([1.0, 0.0])
        low = np.array([0.0, 0.35 * flare])
        outline = np.stack([
            waist - half * side, waist + half * side, self.at[MID_HIP] + hips * side, hems[1] + flare * side,
            hems[1] + low, hems.mean(axis=0) + 1.1 * low, hems[0] + low, hems[0] - flare * side,
            self.at[MID_HIP] - hips * side,
        ])  # fmt: skip
        self.canvas.draw_cloth(
            smooth_outline(outline), self.person.bottom, float(self.scale[MID_HIP]), top=waist,
            bottom=hems.mean(axis=0), half_width=float(np.ptp(outline[:, 0])) / 2 + 1, halo=0.2,
            folds=self.person.creases,
        )  # fmt: skip

    def _paint_torso(self) -> None:
        """Shoulders, waist and hem, narrowing as the body turns sideways, at least to its depth."""
        body, top, bottom = self.body, self.at[NECK], self.at[MID_HIP]
        down = bottom - top
        down = down / math.hypot(*down)
        across = np.array([-down[1], down[0]]) * -1
        gap = self.at[L_SHOULDER] - self.at[R_SHOULDER]
        facing = min(1.0, math.hypot(*gap) / (2 * self._to_pixels(body.shoulders, NECK)))
        narrow = math.sqrt(facing**2 + 0.42 * (1 - facing**2))
        hip = body.hips + 0.043 * body.girth
        rows = ((body.shoulders * 0.90, 0.22), (0.5 * (body.shoulders * 0.86 + body.waist), 0.42),
                (body.waist, 0.66), (hip, 0.92), (hip * 1.01, 1.03))  # fmt: skip
        length = math.hypot(*(bottom - top))

        def edge(sign: float) -> list[Points]:
            joint = self.at[L_SHOULDER if sign > 0 else R_SHOULDER]
            slim = self._to_pixels(0.041, NECK)
            points = [
                top + sign * slim * across - 0.075 * length * down,
                (top + joint) / 2 + sign * 0.2 * slim * across - 0.042 * length * down,
                joint + sign * self._to_pixels(0.017, NECK) * across * facing - 0.02 * length * down,
            ]
            for width, share in rows:
                half = self._to_pixels(width, NECK) * narrow
                points.append(top + share * length * down + sign * half * across)
            return points

        left, right = edge(1.0), edge(-1.0)
        outline = smooth_outline(np.stack(left + right[::-1]), 4)
        self.canvas.draw_cloth(
            outline, self.person.top, float(self.scale[NECK]), top=top, bottom=bottom,
            half_width=self._to_pixels(body.shoulders * 1.22, NECK) * narrow, halo=0.15, folds=self.person.creases,
        )  # fmt: skip

    def _paint_neck(self) -> None:
        centre = self.camera.project(self.figure.head_centre)
        radius = self._to_pixels(0.0335 * (0.6 + 0.4 * self.body.girth), NECK)
        down = self.at[MID_HIP] - self.at[NECK]
        base = self.at[NECK] - 0.02 * down
        collar = tint(self.look.top.second if self.look.top.pattern != "plain" else self.look.top.colour, 0.72)
        self.canvas.draw_tube(base, base - 0.05 * down, (radius * 1.28, radius * 1.2), Fabric(collar), 1.0)
        self.canvas.draw_tube(base - 0.012 * down, centre, (radius * 1.08, radius), self.person.skin, 1.0)
        chin = base + 0.55 * (centre - base)
        self.canvas.darken(chin, (1.1 * radius, 0.9 * radius), 0.3)

    def _paint_arm(self, side: int) -> None:
        shoulder, elbow, wrist = ARM_JOINTS[side]
        parts = [self._paint_upper_arm, self._paint_forearm]
        if self.world[wrist, 2] + 0.03 < self.world[shoulder, 2]:
            parts.reverse()
        for part in parts:
            part(side, (shoulder, elbow, wrist))

    def _paint_upper_arm(self, side: int, joints: tuple[int, int, int]) -> None:
        shoulder, elbow, _ = joints
        radii = [self._to_pixels(r * self.body.girth, j) for r, j in zip(_ARM_RADII[0], (shoulder, elbow), strict=True)]
        scale, sleeve = float(self.scale[shoulder]), self.look.sleeve
        fabric = self.person.top if sleeve > 1 else self.person.skin
        loose = 1.12 if sleeve > 1 else 1.0
        self.canvas.draw_tube(
            self.at[shoulder], self.at[elbow], (radii[0] * 1.04, radii[1] * loose), fabric, scale, halo=0.15
        )
        if 0 < sleeve < 1:
            end = self.at[shoulder] + sleeve * (self.at[elbow] - self.at[shoulder])
            self.canvas.draw_tube(
                self.at[shoulder], end, (radii[0] * 1.06, radii[0] * 1.22), self.person.top, scale, cut=True
            )

    def _paint_forearm(self, side: int, joints: tuple[int, int, int]) -> None:
        _, elbow, wrist = joints
        radii = [self._to_pixels(r * self.body.girth, j) for r, j in zip(_ARM_RADII[1], (elbow, wrist), strict=True)]
        sleeved = self.look.sleeve > 1
        if sleeved:
            self._paint_hand(side)
        end = self.at[wrist] - (0.08 if sleeved else 0.0) * (self.at[wrist] - self.at[elbow])
        loose = 1.16 if sleeved else 1.0
        self.canvas.draw_tube(
            self.at[elbow], end, (radii[0] * loose, radii[1] * loose * (1.1 if sleeved else 1)),
            self.person.top if sleeved else self.person.skin, float(self.scale[elbow]), bulge=0.07, halo=0.22,
            cut=sleeved,
        )  # fmt: skip
        if not sleeved:
            self._paint_hand(side)

    def _paint_hand(self, side: int) -> None:
        """A palm and five fingers, each outlined, the farther ones first."""
        points, world = self.at[HANDS[side]], self.world[HANDS[side]]
        size = self.body.to_metres(self.body.hand) * float(self.scale[ARM_JOINTS[side][2]])
        sketch = Sketch(points, 0.16 * size + 2)
        skin, dark = self.look.skin, tint(self.look.skin, 0.60)
        radius, rim = _FINGER_RADIUS * size, 0.9
        along = points[9] - points[0]
        aside = np.array([-along[1], along[0]]) / max(1e-6, math.hypot(*along))
        flip = math.copysign(1.0, float(aside @ (points[5] - points[17])))
        wrist = [
            points[0] + k * flip * self._to_pixels(0.0165 * self.body.girth, ARM_JOINTS[side][2]) * aside
            for k in (1, -1)
        ]
        palm = np.stack(
            [wrist[0], 0.5 * (points[1] + points[2]), points[5], points[9], points[13], points[17], wrist[1]]
        )
        shows_palm = _cross_product(world[5] - world[0], world[17] - world[0])[2] * SIDES[side] < 0

        def finger(joints: tuple[int, ...], thick: float) -> None:
            line = points[list(joints)]
            for width, colour in ((2 * radius * thick + 2 * rim, dark), (2 * radius * thick, skin)):
                sketch.line(line, width, colour)
                sketch.disc(line[-1], width / 2, colour)
            sketch.line(line[1:] + np.array([-0.3, -0.3]) * radius, 0.7 * radius, tint(skin, 1.16))
            if not shows_palm:
                sketch.disc(line[-1], 0.55 * radius, tint(skin, 1.45))

        def draw_palm() -> None:
            sketch.line(np.concatenate([palm, palm[:1]]), 2 * radius + 2 * rim, dark)
            sketch.fill(palm, skin)
            sketch.line(np.concatenate([palm, palm[:1]]), 2 * radius, skin)
            centre = palm[1:].mean(axis=0)
            sketch.fill(centre + 0.55 * (palm - centre), tint(skin, 1.1 if shows_palm else 0.95))

        order = sorted(range(5), key=lambda f: float(world[FINGERS[f][4], 2]))
        behind = [f for f in order if world[FINGERS[f][2], 2] < world[9, 2] - 0.005]
        for f in behind:
            finger(FINGERS[f][1:], 1.15 if f == 0 else 1.0)
        draw_palm()
        for f in order:
            if f not in behind:
                finger(FINGERS[f][1:], 1.15 if f == 0 else (0.88 if f == 4 else 1.0))
        self.canvas.lay(sketch)


def _cross_product(a: Points, b: Points) -> Points:
    return np.asarray(np.cross(a, b))
