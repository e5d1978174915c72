"""Training domain of a detector: frames in; clip features, and their out-of-distribution distance, out.

The features are plain statistics of image and motion, the same for every detector, so that a large distance can
be explained: brightness, colour, detail by frequency, noise, motion, bars, rate. They are measured on the
clip that a detector sees, and made nearly normal by a logarithm or a logit. With z the deviations from the
mean of the training clips, each in units of its spread, and C their covariance (shrunk as by Ledoit and Wolf,
2004, over reals and fakes alike), the Mahalanobis distance is sqrt(z' C⁻¹ z / number of features): about 1 for a
training clip. The limit comes from people held out of the fit, as a bound that 98% of new people stay within.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats
from pydantic import Field, model_validator
from sklearn.covariance import ledoit_wolf
from sklearn.model_selection import GroupKFold

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.core.schema import MAX_COUNT, Strict
from dancebench.datasets.video.upright import Frame

Array = npt.NDArray[np.float64]
Scale = Literal["linear", "log", "logit"]

MIN_PAIRS: Final = 32
"""Longer clips are subsampled: between this many pairs and twice as many, evenly placed, are measured."""
FOLDS: Final = 10
COVERAGE: Final = 0.98
"""Share of new people whose clips should all lie within the limit."""
SHOWN: Final = 3

_LEAST_DISTANCE: Final = 1.0
"""Floor on the distance, so that near-identical training clips do not give a limit near zero."""
_LEAST_SHARE: Final = 1e-3  # shares are kept this far from 0 and 1, so that their logit is finite
_LARGEST: Final = 100.0  # magnitude of a mean on its scale; brightness, rates and their logarithms are far below
_LEAST_SPREAD: Final = 1e-6  # the least of FEATURES is 0.01
_LARGEST_PRECISION: Final = 1e12
_GREY: Final = 1e-3  # below this mean distance from grey the hue is undefined
_BANDS: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # in cycles per pixel: edges of octaves


class Feature(NamedTuple):
    """One statistic of a clip.

    Attributes:
        scale: On which it is nearly normal.
        noise: Insignificant spread on that scale, added to that of the training clips: if a feature happens to be
            constant in all of them (the rate, no bars), a tiny difference must not be out-of-distribution.
        least: Smaller values are replaced by it.
    """

    scale: Scale
    noise: float
    least: float = 0.0


FEATURES: Final[Mapping[str, Feature]] = {
    "brightness": Feature("linear", 0.02),  # mean luma in [0, 1]
    "contrast": Feature("log", 0.1, 0.01),  # standard deviation of the luma
    "dark_pixels": Feature("logit", 0.3),  # share below 32 of 255
    "bright_pixels": Feature("logit", 0.3),  # share above 223
    "saturation": Feature("log", 0.1, 0.01),  # mean of maximum less minimum of R, G, B, in [0, 1]
    "hue_spread": Feature("logit", 0.3),  # 1 - length of the mean hue vector, weighted by saturation
    "warmth": Feature("linear", 0.02),  # mean of R less B, in [-1, 1]
    "greenness": Feature("linear", 0.01),  # mean of G less that of R and B, in [-1, 1]
    "coarse_detail": Feature("log", 0.2, 1e-6),  # power density of the luma, by octaves of frequency
    "middle_detail": Feature("log", 0.2, 1e-6),
    "fine_detail": Feature("log", 0.2, 1e-6),
    "finest_detail": Feature("log", 0.2, 1e-6),
    "noise": Feature("log", 0.1, 0.1),  # standard deviation in 1/255 (Immerkær 1996)
    "black_bars": Feature("linear", 0.02),  # share of the frame
    "motion": Feature("log", 0.1, 0.05),  # mean change of a pixel from frame to frame, in 1/255
    "still_pixels": Feature("logit", 0.3),  # share that changes by at most 2 of 255
    "unrest": Feature("log", 0.2, 0.02),  # mean change of the half that changes least, in 1/255
    "flicker": Feature("log", 0.2, 0.02),  # change of the mean luma, in 1/255
    "frame_rate": Feature("log", 0.1, 0.1),  # frames a second
}
"""What is measured, by name; each is a mean over pairs of frames."""


# ---------------------------------------------------------------- features


def measure_clip(frames: Iterable[Frame], fps: float, breaks: Collection[int] = ()) -> dict[str, float]:
    """Measure a clip as a detector sees it.

    Args:
        frames: uint8 RGB (H, W, 3), all of the clip; read one at a time.
        fps: Frames a second.
        breaks: Frames that do not follow the one before.

    Returns:
        The `FEATURES` in their own units.

    Raises:
        BenchError: There are fewer than two frames.
    """
    measured: list[dict[str, float]] = []
    stride, previous = 1, None
    for index, frame in enumerate(frames):
        if previous is not None and (index - 1) % stride == 0 and index not in breaks:
            measured.append(_measure_pair(previous, frame))
            if len(measured) > 2 * MIN_PAIRS:
                measured, stride = measured[::2], 2 * stride  # 2^k does not alias with the codec's groups of 15
        previous = frame
    if not measured:
        raise BenchError("A clip of fewer than two frames shows no motion.", hint="Supply a longer video.")
    means = {name: float(np.mean([pair[name] for pair in measured])) for name in measured[0]}
    return means | {"frame_rate": float(fps)}


def _measure_pair(first: Frame, second: Frame) -> dict[str, float]:
    luma, after = (_to_luma(frame) for frame in (first, second))  # (H, W) each
    return _measure_luma(luma) | _measure_colour(first) | _measure_motion(luma, after)


def _to_luma(frame: Frame) -> npt.NDArray[np.float32]:
    grey: npt.NDArray[np.float32] = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey


def _measure_luma(luma: npt.NDArray[np.float32]) -> dict[str, float]:
    window, bands = _plan_spectrum(luma.shape[0], luma.shape[1])
    power = np.abs(np.fft.rfft2((luma - luma.mean()) / 255 * window)) ** 2  # (H, W // 2 + 1)
    sums, counts = (np.bincount(bands.ravel(), each, len(_BANDS) + 1)[1:-1] for each in (power.ravel(), None))
    density = sums / (counts.clip(1) * float((window**2).sum()))  # (4,)
    names = ("coarse_detail", "middle_detail", "fine_detail", "finest_detail")
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    ripple = np.abs(cv2.filter2D(luma, -1, mask)).mean()
    return dict(zip(names, density.tolist(), strict=True)) | {
        "brightness": float(luma.mean()) / 255,
        "contrast": float(luma.std()) / 255,
        "dark_pixels": float((luma < 32).mean()),
        "bright_pixels": float((luma > 223).mean()),
        "noise": float(ripple) * math.sqrt(math.pi / 2) / 6,
        "black_bars": _measure_black_bars(luma),
    }


@functools.lru_cache(maxsize=8)
def _plan_spectrum(height: int, width: int) -> tuple[Array, npt.NDArray[np.intp]]:
    """Hann window (H, W), and the band of each frequency (H, W // 2 + 1): 0 and the last are outside all bands."""
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    return window, np.digitize(radius, _BANDS, right=True)


def _measure_black_bars(luma: npt.NDArray[np.float32]) -> float:
    """Measure the share of the frame in black rows and columns at its edges."""
    lit = luma >= 24
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if len(rows) == 0:
        return 1.0
    inner = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return 1 - float(inner) / luma.size


def _measure_colour(frame: Frame) -> dict[str, float]:
    red, green, blue = np.ascontiguousarray(frame.transpose(2, 0, 1)).astype(np.float32) / 255  # (H, W) each
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    # Each pixel as a vector in the plane of hues: its direction is the hue, its length the distance from grey.
    across, along = red - (green + blue) / 2, (green - blue) * np.float32(math.sqrt(3) / 2)
    lengths = float(np.hypot(across, along).mean())
    resultant = math.hypot(float(across.mean()), float(along.mean()))
    mean_red, mean_green, mean_blue = (float(plane.mean()) for plane in (red, green, blue))
    return {
        "saturation": float(chroma.mean()),
        "hue_spread": 1 - resultant / lengths if lengths > _GREY else 1.0,
        "warmth": mean_red - mean_blue,
        "greenness": mean_green - (mean_red + mean_blue) / 2,
    }


def _measure_motion(luma: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> dict[str, float]:
    change = np.abs(after - luma).ravel()
    half = len(change) // 2
    return {
        "motion": float(change.mean()),
        "still_pixels": float((change <= 2).mean()),
        "unrest": float(np.partition(change, half)[:half].mean()) if half else 0.0,
        "flicker": abs(float(after.mean()) - float(luma.mean())),
    }


# ---------------------------------------------------------------- model


class FeatureDeviation(Strict):
    """One feature of a video compared with that of the training clips."""

    feature: str
    value: float
    """In the feature's own unit, as measured."""
    typical: float
    """Centre of the training clips, in the same unit."""
    deviations: float
    """Difference of the two in spreads of the training clips, on the scale where these are nearly normal."""


class OutOfDistribution(Strict):
    """Out-of-distribution distance of a video from the training domain."""

    distance: float
    limit: float
    outside: bool
    """Whether the distance exceeds the limit."""
    furthest: tuple[FeatureDeviation, ...]
    """The features that deviate most, each taken alone."""


class FeatureSpread(Strict):
    """Distribution of a feature over the training clips, on its scale."""

    name: str
    scale: Scale
    least: float = Field(ge=0)
    mean: float = Field(ge=-_LARGEST, le=_LARGEST)
    spread: float = Field(ge=_LEAST_SPREAD)
    """Of the clips and of the feature's `noise` together."""


class TrainingDomain(Strict):
    """Distribution of the features over the training clips, and the limit of the distance."""

    features: tuple[FeatureSpread, ...] = Field(min_length=1)
    precision: tuple[tuple[float, ...], ...]
    """Inverse covariance (features, features) of the deviations."""
    limit: float = Field(ge=0)
    clips: int = Field(ge=1, le=MAX_COUNT)
    people: int = Field(ge=2, le=MAX_COUNT)

    @model_validator(mode="after")
    def _check_precision(self) -> Self:
        """An emptied or altered model would call every video like the training clips."""
        if {len(self.precision), *map(len, self.precision)} != {len(self.features)}:
            raise ValueError("precision is no matrix of features by features")
        matrix = np.array(self.precision)
        values = np.linalg.eigvalsh(matrix) if np.abs(matrix).max() <= _LARGEST_PRECISION else np.array([-1.0])
        if not (np.allclose(matrix, matrix.T) and values[-1] > 0 and values[0] >= -1e-9 * values[-1]):
            raise ValueError("precision is not the inverse of a covariance")
        return self

    def compare(self, features: Mapping[str, float]) -> OutOfDistribution:
        """Compute how far a clip lies from the training domain.

        Args:
            features: As `measure_clip` gives them.

        Raises:
            BenchError: A feature is missing: this model was made by another release.
        """
        missing = [each.name for each in self.features if each.name not in features]
        if missing:
            raise BenchError(
                f"The detector's training domain has the feature '{missing[0]}', which is not measured here.",
                hint="It was made by another release: train the detector again.",
            )
        values = [_to_scale(features[each.name], each.scale, each.least) for each in self.features]
        deviations = np.array([(v - each.mean) / each.spread for v, each in zip(values, self.features, strict=True)])
        distance = float(_mahalanobis_distances(deviations[None], np.array(self.precision))[0])
        order = np.argsort(-np.abs(deviations), kind="stable")[:SHOWN]
        furthest = tuple(
            FeatureDeviation(
                feature=self.features[k].name,
                value=features[self.features[k].name],
                typical=_from_scale(self.features[k].mean, self.features[k].scale),
                deviations=float(deviations[k]),
            )
            for k in order
        )
        return OutOfDistribution(distance=distance, limit=self.limit, outside=distance > self.limit, furthest=furthest)


def fit_training_domain(features: Sequence[Mapping[str, float]], subjects: Sequence[str]) -> TrainingDomain:
    """Fit the training domain, and its limit by cross-validation.

    People are held out by turns (in `FOLDS` folds, or one by one if they are fewer), and each held-out person's
    furthest clip is measured against the others. The logarithms of these distances give the bound that a new
    person stays within with a probability of `COVERAGE`: mean + t · s · sqrt(1 + 1/n), Student's t with n - 1
    degrees of freedom. So few people give a wide limit.

    Args:
        features: Features of each training clip, real and fake, as `measure_clip` gives them.
        subjects: The person in each.

    Raises:
        BenchError: There are fewer than two people.
        ValueError: Lengths differ.
    """
    if len(features) != len(subjects):
        raise ValueError(f"{len(features)} clips but {len(subjects)} subjects")
    people, groups = np.unique(np.asarray(subjects, dtype=np.str_), return_inverse=True)
    if len(people) < 2:
        raise BenchError(
            "A training domain needs at least two people.",
            hint="Give the training split more people.",
        )
    table = np.array(
        [[_to_scale(clip[name], each.scale, each.least) for name, each in FEATURES.items()] for clip in features]
    )  # (N, F)
    mean, spread, precision = _fit_gaussian(table)
    spreads = tuple(
        FeatureSpread(name=name, scale=each.scale, least=each.least, mean=float(mean[k]), spread=float(spread[k]))
        for k, (name, each) in enumerate(FEATURES.items())
    )
    return TrainingDomain(
        features=spreads,
        precision=tuple(tuple(row) for row in precision.tolist()),
        limit=_fit_limit(table, groups, len(people)),
        clips=len(features),
        people=len(people),
    )


def _fit_gaussian(table: Array) -> tuple[Array, Array, Array]:
    """Fit mean (F,), spread (F,) and precision (F, F) of the deviations of clips (N, F)."""
    noise = np.array([each.noise for each in FEATURES.values()])
    mean = table.mean(axis=0)
    spread = np.sqrt(table.var(axis=0) + noise**2)
    covariance, _ = ledoit_wolf((table - mean) / spread, assume_centered=True)
    return mean, spread, np.linalg.inv(covariance + np.diag((noise / spread) ** 2))


def _mahalanobis_distances(deviations: Array, precision: Array) -> Array:
    """Mahalanobis distances (N,) of deviations (N, F), divided by sqrt(F)."""
    squared: Array = np.einsum("nf,fg,ng->n", deviations, precision, deviations)
    distances: Array = np.sqrt(squared.clip(0) / deviations.shape[1])
    return distances


def _fit_limit(table: Array, groups: npt.NDArray[np.intp], people: int) -> float:
    furthest = np.zeros(people)
    for fitted, held_out in GroupKFold(min(FOLDS, people)).split(table, groups=groups):
        mean, spread, precision = _fit_gaussian(table[fitted])
        distances = _mahalanobis_distances((table[held_out] - mean) / spread, precision)
        np.maximum.at(furthest, groups[held_out], distances)
    logs = np.log(furthest.clip(_LEAST_DISTANCE))
    margin = float(scipy.stats.t.ppf(COVERAGE, people - 1)) * float(logs.std(ddof=1)) * math.sqrt(1 + 1 / people)
    return math.exp(float(logs.mean()) + margin)


def _to_scale(value: float, scale: Scale, least: float) -> float:
    if scale == "log":
        return math.log(max(value, least))
    if scale == "logit":
        return float(scipy.special.logit(min(max(value, _LEAST_SHARE), 1 - _LEAST_SHARE)))
    return value


def _from_scale(value: float, scale: Scale) -> float:
    if scale == "log":
        return math.exp(value)
    return float(scipy.special.expit(value)) if scale == "logit" else value
