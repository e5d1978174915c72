"""`pose-jitter`, a detector of motion alone: a window of frames in, their estimated poses, one logit out.

A synthesizer that generates frame by frame makes limbs jitter, change their length, or vanish. Features of the
landmarks that a pose extractor finds in consecutive frames, in units of the torso (neck to mid-hip, the median of
the window):

    PART velocity, acceleration, jerk    log of the mean size of the first, second, third difference in time
    PART missing, flicker                share of its points not found; share of changes between found and not
    BONE variation                       standard deviation of its length over the window, relative to its mean
    BONE asymmetry                       |log| of its mean length left over right
    confidence, confidence change        the body's confidence, and its mean change from frame to frame
    torso                                log of its length over the frame's height
    person missing                       share of frames without a torso

A feature that cannot be measured is 0, and the missing shares show it. A logistic regression on the standardised
features gives the logit. If nobody is found, all windows get the same logit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import atomic_path
from dancebench.core.progress import ReportProgress
from dancebench.datasets.pose import skeleton as body
from dancebench.datasets.pose.extractors.base import PoseExtractor, open_extractor
from dancebench.datasets.pose.skeleton import Keypoints, has_person, is_found
from dancebench.detect.detectors._features import FeatureDetector, Features, make_linear_model
from dancebench.detect.detectors.base import DETECTORS, MAX_PAIRS, DetectorConfig
from dancebench.detect.inputs.pairs import PairPool, Pairs

STATE: Final = "features.safetensors"
_SAVE_EVERY: Final = 8  # windows: some ten seconds of work
_STILL: Final = 1e-3  # torsos per frame; slower points count as at rest

PARTS: Final[dict[str, tuple[int, ...]]] = {
    "head": (body.NOSE, body.R_EYE, body.L_EYE, body.R_EAR, body.L_EAR),
    "trunk": (body.NECK, body.R_SHOULDER, body.L_SHOULDER, body.MID_HIP, body.R_HIP, body.L_HIP),
    "arms": (body.R_ELBOW, body.L_ELBOW, body.R_WRIST, body.L_WRIST),
    "legs": (body.R_KNEE, body.L_KNEE, body.R_ANKLE, body.L_ANKLE),
    "hands": tuple(range(25, 67)),
    "face": tuple(range(67, 75)),
}
BONES: Final[dict[str, tuple[tuple[int, int], tuple[int, int]]]] = {
    "shoulder": ((body.NECK, body.L_SHOULDER), (body.NECK, body.R_SHOULDER)),
    "upper arm": ((body.L_SHOULDER, body.L_ELBOW), (body.R_SHOULDER, body.R_ELBOW)),
    "forearm": ((body.L_ELBOW, body.L_WRIST), (body.R_ELBOW, body.R_WRIST)),
    "thigh": ((body.L_HIP, body.L_KNEE), (body.R_HIP, body.R_KNEE)),
    "shin": ((body.L_KNEE, body.L_ANKLE), (body.R_KNEE, body.R_ANKLE)),
}
"""Left and right."""
_ORDERS: Final = ("velocity", "acceleration", "jerk")
NAMES: Final = (
    *(f"{part} {what}" for part in PARTS for what in (*_ORDERS, "missing", "flicker")),
    *(f"{bone} {what}" for bone in BONES for what in ("variation", "asymmetry")),
    "confidence",
    "confidence change",
    "torso",
    "person missing",
)
"""Names of the features, in order."""


class PoseJitterConfig(DetectorConfig):
    """Trains in about three minutes on one core: MediaPipe takes nearly a second a window, restarting for each."""

    pairs: Annotated[int, Field(ge=1, le=MAX_PAIRS)] | Literal["all"] = 4
    """Number of evenly placed windows of each video that are scored."""
    frames: int = Field(default=12, ge=4, le=64)
    """Length of a window in frames; the third difference (jerk) takes four."""
    windows: int = Field(default=200, ge=4, multiple_of=2)
    """Number of augmented windows that it is trained on."""
    extractor: str = "holistic"
    """Pose extractor that finds the landmarks; features of two are not comparable."""
    strength: float = Field(default=0.05, gt=0)
    """Inverse L2 strength of the logistic regression (C); smaller regularises more."""


@DETECTORS.register("pose-jitter")
class PoseJitter(FeatureDetector):
    """Jitter of the poses found in a dozen consecutive frames, and a logistic regression."""

    Config = PoseJitterConfig
    NAMES = NAMES
    config: PoseJitterConfig

    @property
    def window(self) -> int:
        return self.config.frames

    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None:
        count, what = self.config.windows, "estimating poses"
        features = _restore(state / STATE, self.training_key)
        for index in range(len(features), count, 2):
            report(what, index, count)
            windows, _ = pool.draw_batch(2, np.random.default_rng((self.config.seed, index)))  # a real, then a fake
            features = np.concatenate([features, self.measure(windows)])
            if len(features) % _SAVE_EVERY == 0:
                with atomic_path(state / STATE) as path:
                    save_file({"features": features}, path, {"key": self.training_key})
        report(what, count, count)
        self.model = make_linear_model(self.config.strength).fit(features, np.arange(count) % 2)

    def measure(self, pairs: Pairs) -> Features:
        return measure_jitter(pairs, open_extractor(self.config.extractor))


def _restore(path: Path, key: str) -> Features:
    """Read the features (n, len(NAMES)) that an interrupted extraction saved; empty if this training saved none.

    Raises:
        BenchError: The file is damaged.
    """
    if not path.exists():
        return np.zeros((0, len(NAMES)))
    try:
        with safe_open(path, framework="numpy") as stored:
            if (stored.metadata() or {}).get("key") != key:
                return np.zeros((0, len(NAMES)))
            features: Features = stored.get_tensor("features")
        return features.reshape(-1, len(NAMES))
    except (SafetensorError, ValueError) as error:
        raise BenchError(
            f"The training state {path} cannot be used ({first_line(error)}).",
            hint="Remove it to train from the start.",
        ) from error


def measure_jitter(windows: Pairs, extractor: PoseExtractor) -> Features:
    """Find the person in each window and measure the features that the module lists.

    Args:
        windows: uint8 (N, T, H, W, 3), T at least 4.
        extractor: What finds the landmarks.

    Returns:
        float64 (N, features), in the order of `NAMES`; finite whatever is found.
    """
    rows = [measure_poses(np.stack(list(extractor.extract(window))), window.shape[1]) for window in windows]
    return np.array(rows).reshape(-1, len(NAMES))


def measure_poses(poses: Keypoints, height: int) -> npt.NDArray[np.float64]:
    """Measure the features that the module lists.

    Args:
        poses: float32 (T, 75, 3), T at least 4.
        height: Of the frame in pixels.

    Returns:
        float64 (features,), in the order of `NAMES`.
    """
    found, person = is_found(poses), has_person(poses)  # (T, 75), (T,)
    lengths = np.linalg.norm(poses[:, body.NECK, :2] - poses[:, body.MID_HIP, :2], axis=-1)[person]
    torso = max(float(np.median(lengths)), 1.0) if len(lengths) else float(height)
    points = poses[..., :2].astype(np.float64) / torso  # (T, 75, 2)
    values: list[float] = []
    for part in PARTS.values():
        part_found = found[:, part]  # (T, P)
        values += [_log_motion(points[:, part], part_found, order) for order in (1, 2, 3)]
        values += [1 - float(part_found.mean()), float((part_found[1:] != part_found[:-1]).mean())]
    for left, right in BONES.values():
        values += _variation_and_asymmetry(_bone_lengths(points, found, left), _bone_lengths(points, found, right))
    confidence = poses[:, body.BODY, 2]
    change = float(np.abs(np.diff(confidence, axis=0)).mean())
    size = np.log(torso / height) if len(lengths) else 0.0
    return np.array([*values, float(confidence.mean()), change, size, 1 - float(person.mean())])


def _log_motion(points: npt.NDArray[np.float64], found: npt.NDArray[np.bool_], order: int) -> float:
    """Log of the mean size of a difference of points (T, P, 2) in time, where the point was found in all its frames."""
    sizes = np.linalg.norm(np.diff(points, order, axis=0), axis=-1)  # (T - order, P)
    complete = np.all([found[shift : len(found) - order + shift] for shift in range(order + 1)], axis=0)
    return float(np.log(sizes[complete].mean() / _STILL + 1)) if complete.any() else 0.0


def _bone_lengths(
    points: npt.NDArray[np.float64], found: npt.NDArray[np.bool_], bone: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Lengths of a bone in the frames in which both its ends were found (n,)."""
    both = found[:, bone].all(axis=1)
    return np.asarray(np.linalg.norm(points[both, bone[0]] - points[both, bone[1]], axis=-1))


def _variation_and_asymmetry(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> list[float]:
    """Variation and asymmetry of a bone's lengths on both sides."""
    sides = [side for side in (left, right) if len(side)]
    if not sides:
        return [0.0, 0.0]
    variation = float(np.mean([side.std() / (side.mean() + _STILL) for side in sides]))
    if len(sides) < 2:
        return [variation, 0.0]
    return [variation, float(abs(np.log((left.mean() + _STILL) / (right.mean() + _STILL))))]
