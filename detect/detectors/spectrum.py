"""`spectrum`, a detector without a network: synthesis artifacts in frequencies and noise, a pair in, one logit out.

Features of the grey frames of a pair, in [0, 1]:

    spectrum 0…15     log power of radial frequencies, both frames' mean, minus its mean over frequencies:
                      up-sampling leaves peaks, blur a steep fall-off (Durall et al., CVPR 2020)
    change 0…15       log power of the frames' difference over that of the frames, at the same frequencies
    residual …        noise residual, the frames minus their 3x3 median: log variance, log kurtosis and the correlation
                      of neighbours across, down and diagonally (cf. co-occurrences, Cozzolino et al., 2014)
    flicker …         the same of the residuals' change from frame to frame, and the residuals' correlation in time
    colour …          correlation of the residuals of red and green, green and blue

A logistic regression on the standardised features gives the logit. Frequencies are in 16 equal rings of cycles per
pixel from 0 to 0.5; frames are windowed (Hann) after their mean is removed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dancebench.core.opencv import cv2
from dancebench.core.progress import ReportProgress
from dancebench.detect.detectors._features import FeatureDetector, Features, make_linear_model
from dancebench.detect.detectors.base import DETECTORS, DetectorConfig
from dancebench.detect.inputs.pairs import PairPool, Pairs

RINGS: Final = 16
_TINY: Final = 1e-8  # a thousandth of the variance of rounding to 8 bits
_BATCH: Final = 32

Image = npt.NDArray[np.float32]

_STATISTICS: Final = ("variance", "kurtosis", "across", "down", "diagonal")
NAMES: Final = (
    *(f"spectrum {ring}" for ring in range(RINGS)),
    *(f"change {ring}" for ring in range(RINGS)),
    *(f"residual {name}" for name in _STATISTICS),
    *(f"flicker {name}" for name in _STATISTICS),
    "flicker in time",
    "colour red-green",
    "colour green-blue",
)
"""Names of the features, in order."""


class SpectrumConfig(DetectorConfig):
    """Trains in some ten seconds on one core at 128x64."""

    windows: int = Field(default=2000, ge=4, multiple_of=2)
    """Number of augmented pairs that it is trained on."""
    strength: float = Field(default=0.1, gt=0)
    """Inverse L2 strength of the logistic regression (C); smaller regularises more."""


@DETECTORS.register("spectrum")
class Spectrum(FeatureDetector):
    """Radial power spectrum and noise residual of two frames, and a logistic regression."""

    Config = SpectrumConfig
    PRESETS: ClassVar[Mapping[str, DetectorConfig]] = {"tiny": SpectrumConfig(windows=120, pairs=6)}
    NAMES = NAMES
    config: SpectrumConfig

    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None:
        """Train as in the base class, but without a training state: it takes seconds, and starts over."""
        features, labels = [], []
        for start in range(0, self.config.windows, _BATCH):
            report("measuring spectra", start, self.config.windows)
            size = min(_BATCH, self.config.windows - start)
            pairs, batch_labels = pool.draw_batch(size, np.random.default_rng((self.config.seed, start)))
            features.append(measure_spectra(pairs))
            labels.append(batch_labels)
        self.model = make_linear_model(self.config.strength).fit(np.concatenate(features), np.concatenate(labels))
        report("measuring spectra", self.config.windows, self.config.windows)

    def measure(self, pairs: Pairs) -> Features:
        return measure_spectra(pairs)


def measure_spectra(pairs: Pairs) -> Features:
    """Measure the features that the module lists.

    Args:
        pairs: uint8 (N, 2, H, W, 3).

    Returns:
        float64 (N, features), in the order of `NAMES`; finite whatever the frames are.
    """
    return np.array([_measure_pair(pair.astype(np.float32) / 255) for pair in pairs]).reshape(-1, len(NAMES))


def _measure_pair(pair: Image) -> npt.NDArray[np.float64]:
    """Measure the features of float32 (2, H, W, 3) in [0, 1]."""
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in pair])  # (2, H, W)
    frames = (radial_power(grey[0]) + radial_power(grey[1])) / 2  # (RINGS,)
    shape = np.log(frames + _TINY)
    change = np.log(radial_power(grey[1] - grey[0]) + _TINY) - shape
    noise = np.stack([frame - cv2.medianBlur(frame, 3) for frame in grey])
    colours = pair[0] - cv2.medianBlur(pair[0], 3)
    return np.array(
        [
            *(shape - shape.mean()),
            *change,
            *np.mean([_residual_statistics(frame) for frame in noise], axis=0),
            *_residual_statistics(noise[1] - noise[0]),
            _correlation(noise[0], noise[1]),
            _correlation(colours[..., 0], colours[..., 1]),
            _correlation(colours[..., 1], colours[..., 2]),
        ]
    )


def radial_power(image: Image) -> npt.NDArray[np.float64]:
    """Compute the mean power of each ring of frequencies, per pixel: for white noise its variance in every ring.

    Args:
        image: float (H, W); its mean is removed.

    Returns:
        float64 (RINGS,), from 0 to 0.5 cycles per pixel.
    """
    height, width = image.shape
    taper = np.outer(np.hanning(height), np.hanning(width))  # (H, W)
    power = np.abs(np.fft.fft2((image - image.mean()) * taper)) ** 2 / (taper**2).sum()
    rings, counts = _assign_rings(height, width)
    sums = np.bincount(rings.ravel(), weights=power.ravel(), minlength=RINGS + 1)[:RINGS]
    return np.asarray(sums / counts)


@functools.cache
def _assign_rings(height: int, width: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Ring of each frequency (H, W), `RINGS` for the corners beyond 0.5; frequencies per ring (at least 1)."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))  # cycles per pixel
    rings = np.minimum((radius * 2 * RINGS).astype(np.intp), RINGS)
    return rings, np.maximum(np.bincount(rings.ravel(), minlength=RINGS + 1)[:RINGS], 1)


def _residual_statistics(noise: Image) -> list[float]:
    """Compute `_STATISTICS` of a residual (H, W)."""
    centred = noise - noise.mean()
    variance = float((centred**2).mean()) + _TINY
    return [
        float(np.log(variance)),
        float(np.log((centred**4).mean() / variance**2 + 1)),
        _correlation(noise[:, 1:], noise[:, :-1]),
        _correlation(noise[1:], noise[:-1]),
        _correlation(noise[1:, 1:], noise[:-1, :-1]),
    ]


def _correlation(a: Image, b: Image) -> float:
    """Pearson correlation, shrunk to 0 for images of almost no variance."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).mean() / np.sqrt(((a**2).mean() + _TINY) * ((b**2).mean() + _TINY)))
