"""How a demo dancer looks: a random number generator in; skin, hair, clothes and their cloth out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dancebench.core.opencv import cv2
from dancebench.datasets.dancers.paint import TILE, Colour, Fabric, FloatImage, tint

SKINS: Final[tuple[Colour, ...]] = (
    (250, 218, 194), (240, 196, 164), (228, 176, 138), (206, 150, 112), (178, 122, 84), (148, 98, 66),
    (118, 76, 52), (94, 62, 46),
)  # fmt: skip
HAIRS: Final[tuple[Colour, ...]] = (
    (34, 28, 28), (58, 40, 32), (92, 60, 40), (134, 86, 48), (176, 122, 62), (214, 172, 104), (150, 62, 34),
    (150, 150, 156), (112, 58, 120), (42, 92, 128),
)  # fmt: skip
CLOTHES: Final[tuple[Colour, ...]] = (
    (196, 52, 52), (226, 112, 48), (238, 186, 62), (92, 158, 82), (44, 112, 92), (52, 148, 168),
    (58, 102, 180), (44, 58, 112), (122, 76, 158), (204, 92, 146), (240, 236, 226), (60, 62, 70), (142, 148, 156),
    (118, 74, 52), (168, 206, 214), (242, 168, 160),
)  # fmt: skip
TROUSERS: Final[tuple[Colour, ...]] = (
    (52, 74, 118), (92, 122, 164), (46, 48, 56), (122, 102, 78), (196, 178, 146), (84, 92, 76), (112, 44, 56),
    (226, 222, 214), (76, 60, 104), (38, 92, 96),
)  # fmt: skip
EYES: Final[tuple[Colour, ...]] = ((74, 48, 30), (58, 96, 140), (70, 112, 72), (48, 34, 28), (104, 82, 50))
HAIR_STYLES: Final = (
    "short", "quiff", "bob", "long", "ponytail", "bun", "afro", "curly", "buzz", "beanie",
)  # fmt: skip
PATTERNS: Final = ("plain", "stripes", "checks", "dots", "zigzag")


@dataclass(frozen=True)
class Cloth:
    """A pattern in two colours; `metres` is its repeat."""

    pattern: str
    colour: Colour
    second: Colour
    metres: float


@dataclass(frozen=True)
class Look:
    """Face, hair and clothes."""

    skin: Colour
    hair: Colour
    hair_style: str
    hair_part: float
    """Where the hair parts, -1 to 1."""
    eyes: Colour
    face_width: float
    smile: float
    beard: bool
    glasses: bool
    top: Cloth
    sleeve: float
    """How far down the arm it reaches: 0 has none, 0.55 ends above the elbow, 2 at the wrist."""
    bottom: Cloth
    bottom_kind: str
    """trousers, shorts, skirt or leggings"""
    shoes: Colour
    soles: Colour


def make_look(rng: np.random.Generator, wall: Colour) -> Look:
    """Sample a look that contrasts with the wall behind it."""
    skins = [skin for skin in SKINS if _colour_distance(skin, wall) > 40]
    skin = skins[rng.integers(len(skins))]
    natural = len(HAIRS) - 2
    hair = HAIRS[rng.integers(len(HAIRS) if rng.random() < 0.4 else natural)]
    top = _pick_apart(rng, CLOTHES, (wall, 80), (skin, 70))
    bottom = _pick_apart(rng, TROUSERS, (wall, 70), (top, 80), (skin, 60))
    kind = str(rng.choice(("trousers", "trousers", "shorts", "skirt", "leggings")))
    return Look(
        skin=skin,
        hair=hair if _colour_distance(hair, skin) > 60 else HAIRS[0],
        hair_style=str(rng.choice(HAIR_STYLES)),
        hair_part=float(rng.uniform(-0.6, 0.6)),
        eyes=EYES[rng.integers(len(EYES))],
        face_width=float(rng.uniform(0.92, 1.06)),
        smile=float(rng.uniform(0.03, 0.13)),
        beard=bool(rng.random() < 0.18),
        glasses=bool(rng.random() < 0.22),
        top=_make_cloth(rng, top, plain=0.2),
        sleeve=float(rng.choice((0.0, 0.5, 0.62, 2.0))),
        bottom=_make_cloth(rng, bottom, plain=0.35 if kind == "skirt" else 0.75),
        bottom_kind=kind,
        shoes=_pick_apart(rng, CLOTHES, (bottom, 60)),
        soles=(244, 242, 236) if rng.random() < 0.7 else (52, 48, 48),
    )


def weave(cloth: Cloth) -> Fabric:
    """The tile of a cloth, smoothed as if seen through a lens."""
    y, x = np.mgrid[:TILE, :TILE] / TILE  # one repeat: 0 to 1
    match cloth.pattern:
        case "stripes":
            second = (y % 0.5) < 0.22
        case "checks":
            second = ((x % 0.5) < 0.25) ^ ((y % 0.5) < 0.25)
        case "dots":
            first_dots = (x - 0.25) ** 2 + (y - 0.25) ** 2
            second = np.minimum(first_dots, (x - 0.75) ** 2 + (y - 0.75) ** 2) < 0.15**2
        case "zigzag":
            second = ((y + 0.5 * np.abs((x * 2) % 1 - 0.5)) % 0.5) < 0.22
        case _:
            return Fabric(cloth.colour)
    tile: FloatImage = np.where(second[..., None], cloth.second, cloth.colour).astype(np.float32)
    wrapped = np.tile(tile, (3, 3, 1))
    smooth = cv2.GaussianBlur(wrapped, (0, 0), 1.6)[TILE : 2 * TILE, TILE : 2 * TILE]
    return Fabric(cloth.colour, np.ascontiguousarray(smooth), cloth.metres)


def make_folds(rng: np.random.Generator) -> FloatImage:
    """Soft creases of a shirt: shades [TILE, TILE] around 1."""
    noise = rng.normal(0, 1, (TILE, TILE)).astype(np.float32)
    wide = cv2.GaussianBlur(np.tile(noise, (3, 3)), (0, 0), sigmaX=9, sigmaY=5)[TILE : 2 * TILE, TILE : 2 * TILE]
    return np.asarray(1 + 0.05 * wide / wide.std(), np.float32)


def _make_cloth(rng: np.random.Generator, colour: Colour, *, plain: float) -> Cloth:
    pattern = "plain" if rng.random() < plain else str(rng.choice(PATTERNS[1:]))
    second = _pick_apart(rng, CLOTHES, (colour, 90))
    if rng.random() < 0.4:
        second = tint(colour, 1.55 if sum(colour) < 400 else 0.62)
    return Cloth(pattern, colour, second, float(rng.uniform(0.13, 0.22)))


def _colour_distance(a: Colour, b: Colour) -> float:
    return float(np.linalg.norm(np.subtract(a, b)))


def _pick_apart(rng: np.random.Generator, palette: tuple[Colour, ...], *others: tuple[Colour, float]) -> Colour:
    """A random colour with the required distances from others; where there is none, the one that comes closest."""

    def slack(colour: Colour) -> float:
        return min(0.0, *(_colour_distance(colour, other) - least for other, least in others))

    shuffled = [palette[k] for k in rng.permutation(len(palette))]
    return max(shuffled, key=slack)
