"""`traces`: what generators leave, learned from pairs of a real and the same real through a generator's last stage.

    patches of the training people's reals → through last stages (`last_stages.py`) → all degraded alike (`pairs.py`)
    → texture features of the trunk → the direction from reals to what last stages leave (`_discriminant.py`)

No fake is seen in training: every method is one that it does not know. It looks at native patches laid evenly over the
middle frame of a window; the logit is the mean over their log-odds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dancebench.core.nn.threads import use_one_thread
from dancebench.core.progress import ReportProgress
from dancebench.detect.detectors._looking import Judged, LookingDetector, require_people
from dancebench.detect.detectors.base import DETECTORS, DetectorConfig
from dancebench.detect.detectors.traces._discriminant import Discriminant, fit_discriminant
from dancebench.detect.detectors.traces.last_stages import WINDOW, LastStage, learn_last_stages
from dancebench.detect.detectors.traces.pairs import (
    PairVectors,
    draw_patches,
    draw_small_patches,
    measure_pairs,
    measure_patches,
)
from dancebench.detect.inputs.pairs import PairPool, Pairs
from dancebench.detect.trunk.features import choose_patches, find_content
from dancebench.detect.trunk.look import Look

PART: Final = "texture"
SMALL: Final = 64
"""Side of what the auto-encoders learn from, in pixels."""


class TracesConfig(DetectorConfig):
    """Learns in a few minutes on one core from 30 clips of 720 lines."""

    degraded: float = Field(default=0.0, ge=0, le=1)
    """As for other detectors; pairs are degraded alike whatever it says."""
    frames: int = Field(default=WINDOW, ge=WINDOW, le=64)
    """Of a window; the one in the middle is looked at."""
    stage_steps: int = Field(default=400, ge=1)
    """Of each auto-encoder."""
    windows: int = Field(default=8, ge=1, le=1000)
    """Of each training real, evenly placed."""
    drawn: int = Field(default=4, ge=1, le=64)
    """Patches drawn of each of these windows."""
    patches: int = Field(default=6, ge=1, le=64)
    """Patches of a window that are scored, at most, laid evenly over its middle frame."""


@DETECTORS.register("traces")
class Traces(LookingDetector):
    """What the last stages of generators leave, learned from reals alone."""

    Config: ClassVar[type[DetectorConfig]] = TracesConfig
    PRESETS: ClassVar[Mapping[str, DetectorConfig]] = {
        "tiny": TracesConfig(stage_steps=20, windows=1, drawn=1, pairs=6)
    }
    REACH: ClassVar[float] = 4.0
    LEARNED: ClassVar[str] = "direction"
    config: TracesConfig

    @property
    def window(self) -> int:
        return self.config.frames

    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None:
        """Learn from the reals of the pool, without a training state: it takes minutes, and starts over.

        Raises:
            BenchError: They show fewer than three people.
        """
        patches: list[Pairs] = []
        people: list[str] = []
        generator = np.random.default_rng(self.config.seed)
        for person, windows in pool.real_windows(self.config.windows):
            found = [patch for window in windows for patch in draw_patches(window, self.config.drawn, generator)]
            patches += found
            people += [person] * len(found)
        self.fit_to(self.measure_pairs(patches, people, report))

    def measure_pairs(self, patches: Sequence[Pairs], people: Sequence[str], report: ReportProgress) -> PairVectors:
        """Learn last stages from patches of reals, and measure what each of them leaves.

        Raises:
            BenchError: They are of fewer than three people.
        """
        require_people("traces", people)
        stages = self.learn_stages(patches, self.config.seed, report)
        with use_one_thread():
            return measure_pairs(patches, people, stages, np.random.default_rng(self.config.seed), report)

    def learn_stages(self, patches: Sequence[Pairs], seed: int, report: ReportProgress) -> dict[str, LastStage]:
        """Learn last stages from patches of reals."""
        with use_one_thread():
            return learn_last_stages(draw_small_patches(patches, SMALL), self.config.stage_steps, seed, report)

    def fit_to(self, pairs: PairVectors) -> None:
        """Learn from pairs that were measured."""
        self.model = fit_discriminant(pairs)

    def explain(self, pairs: Pairs) -> list[str]:
        """What it looks at, for each window."""
        return ["texture as the last stage of a generator leaves it"] * len(pairs)

    def look_at(self, window: npt.NDArray[np.uint8]) -> list[Look]:
        """What it looks at in a window, uint8 (T, H, W, 3)."""
        middle = window[len(window) // 2]
        boxes = choose_patches(find_content(window), self.config.patches)
        vectors = measure_patches([np.ascontiguousarray(middle[box.rows, box.columns]) for box in boxes])
        return [Look(PART, box, vector) for box, vector in zip(boxes, vectors, strict=True)]

    @staticmethod
    def combine(judged: Sequence[Judged]) -> float:
        """The mean over the patches."""
        return float(np.mean([logit for _, logit in judged]))

    @classmethod
    def read_model(cls, tensors: Mapping[str, npt.NDArray[Any]], config: DetectorConfig) -> Discriminant:
        return Discriminant.from_tensors(tensors)
