"""Pairs that `traces` learns from: patches of reals in; what is measured in each, and in the same through last stages.

What could tell the two of a pair apart is equal: person, moment, place and size are the real's own, and every
degradation is drawn once for all that come from one real.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.core.opencv import cv2
from dancebench.core.progress import ReportProgress
from dancebench.detect.detectors.traces.last_stages import MULTIPLE, WINDOW, DrawWindows, LastStage
from dancebench.detect.inputs.pairs import Pairs
from dancebench.detect.inputs.perturbations import blur, compress, compress_jpeg, reduce_frame, to_uint8
from dancebench.detect.trunk.features import PATCH, Array, Picture, find_content, measure_pictures

STAGES: Final = (0, 1, 2)
"""Of the trunk, whose maps show texture: what they hold says little of what a picture shows."""
ROWS: Final = 3
"""Of each patch: as it is, as a shared picture and as a shared video."""
_RATE: Final = 25
"""Of what is compressed, in frames per second: windows are of many rates."""
_GAIN: Final = 8
"""On the high-pass residual."""
_SIGMA: Final = 0.8
_PLACES: Final = 8
"""That are tried for a patch with some texture."""
_FLAT: Final = 12.0
"""Standard deviation in levels below which a patch shows next to nothing."""


@dataclass(frozen=True)
class PairVectors:
    """What was measured in patches of reals, and in the same patches through last stages.

    Attributes:
        vectors: float64 (N, 1 + stages, features): of the real, then of each stage.
        people: Who is seen in each of the N.
        stages: Names, in order.
    """

    vectors: Array
    people: Sequence[str]
    stages: Sequence[str]


def measure_patches(pictures: Sequence[Picture]) -> Array:
    """Measure patches (H, W, 3), uint8 RGB: float64 (N, features), of each and of its high-pass residual."""
    residuals = [_pass_high(picture) for picture in pictures]
    return np.concatenate([measure_pictures(pictures, STAGES), measure_pictures(residuals, STAGES)], axis=1)


def _pass_high(picture: Picture) -> Picture:
    blurred = cv2.GaussianBlur(picture, (3, 3), _SIGMA)
    return np.asarray((127.5 + _GAIN * (picture.astype(np.float32) - blurred)).round().clip(0, 255), np.uint8)


def draw_patches(window: Pairs, count: int, generator: np.random.Generator) -> list[Pairs]:
    """Sample patches with some texture of a real window (T, H, W, 3), of the `WINDOW` frames in its middle.

    Returns:
        uint8 (WINDOW, h, w, 3) each, at most `PATCH` a side; none of a picture that is smaller than `MULTIPLE`.
    """
    start = (len(window) - WINDOW) // 2
    window = window[start : start + WINDOW]
    content = find_content(window)
    height, width = (min(PATCH, side) // MULTIPLE * MULTIPLE for side in (content.height, content.width))
    if min(height, width) == 0:
        return []
    patches = []
    for _ in range(count):
        for _ in range(_PLACES):
            top = content.top + generator.integers(content.height - height + 1)
            left = content.left + generator.integers(content.width - width + 1)
            patch = window[:, top : top + height, left : left + width]
            if patch[len(patch) // 2].std() > _FLAT:
                break
        patches.append(patch)
    return patches


def draw_small_patches(patches: Sequence[Pairs], side: int) -> DrawWindows:
    """What the auto-encoders learn from: squares of at most `side` pixels of patches, where these are as large."""
    side = min(side, max(min(patch.shape[1:3]) for patch in patches))
    large = [patch for patch in patches if min(patch.shape[1:3]) >= side]

    def draw(count: int, generator: np.random.Generator) -> Pairs:
        found = []
        for _ in range(count):
            patch = large[generator.integers(len(large))]
            top, left = (generator.integers(extent - side + 1) for extent in patch.shape[1:3])
            found.append(patch[:, top : top + side, left : left + side])
        return np.stack(found)

    return draw


def measure_pairs(
    patches: Sequence[Pairs],
    people: Sequence[str],
    stages: Mapping[str, LastStage],
    generator: np.random.Generator,
    report: ReportProgress,
) -> PairVectors:
    """Measure patches of reals and the same through last stages, each as it is and degraded.

    Args:
        patches: uint8 (T, H, W, 3) each.
        people: Who is seen in each.
        stages: By name.
        generator: Of the degradations.
        report: Progress.

    Returns:
        Of each patch three rows: as it is, as a shared picture and as a shared video.
    """
    vectors = []
    for done, patch in enumerate(patches):
        report("measuring what last stages leave", done, len(patches))
        windows = [patch, *(stage(patch[None])[0] for stage in stages.values())]
        pictures = [window[len(window) // 2] for window in windows]
        vectors.append(measure_patches(pictures))
        vectors.append(measure_patches(degrade_pictures_alike(pictures, generator)))
        vectors.append(measure_patches(degrade_windows_alike(windows, generator)))
    report("measuring what last stages leave", len(patches), len(patches))
    return PairVectors(np.stack(vectors), [person for person in people for _ in range(ROWS)], tuple(stages))


def degrade_pictures_alike(pictures: Sequence[Picture], generator: np.random.Generator) -> list[Picture]:
    """Reduce, blur, add noise to and compress pictures (H, W, 3) as JPEG, by numbers and noise that are drawn once."""
    factor = generator.uniform(0.5, 1.0) if generator.random() < 0.5 else 1.0
    sigma = generator.uniform(0.3, 1.2) if generator.random() < 0.3 else 0.0
    quality = int(generator.integers(40, 96)) if generator.random() < 0.7 else None
    noise = _draw_noise(pictures[0].shape, generator)
    degraded = [_degrade(picture, noise, factor, sigma) for picture in pictures]
    return degraded if quality is None else [compress_jpeg(picture, quality) for picture in degraded]


def degrade_windows_alike(windows: Sequence[Pairs], generator: np.random.Generator) -> list[Picture]:
    """Degrade windows (T, H, W, 3) as a shared video is, by numbers and noise that are drawn once; their middle frames.

    They are reduced, blurred, have noise added and are then compressed as H.264. Without it a real of a low rate looks
    like one that has lost its texture to a last stage.
    """
    factor = generator.uniform(0.25, 1.0) if generator.random() < 0.7 else 1.0
    sigma = generator.uniform(0.3, 2.0) if generator.random() < 0.3 else 0.0
    crf = int(generator.integers(18, 42)) if generator.random() < 0.8 else None
    noise = _draw_noise(windows[0].shape[1:], generator)
    middles = []
    for window in windows:
        frames = [_degrade(frame, noise, factor, sigma) for frame in window]
        frames = frames if crf is None else list(compress(frames, _RATE, crf=crf))
        middles.append(frames[len(frames) // 2])
    return middles


def _draw_noise(shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    strength = generator.uniform(0.5, 4.0) if generator.random() < 0.3 else 0.0
    return strength * generator.normal(0, 1, shape)


def _degrade(picture: Picture, noise: npt.NDArray[np.float64], factor: float, sigma: float) -> Picture:
    changed = reduce_frame(picture, factor) if factor < 1 else picture
    changed = blur(changed, sigma) if sigma > 0 else changed
    return to_uint8(changed + noise)
