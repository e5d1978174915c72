"""`typicality`, a detector that learns from reals alone: how atypical a window of frames is of a population of reals.

    window → looks (native patches; the motion of the whole picture, of people, of faces; `_looks.py`)
           → log-odds that each is atypical of reals (`_reference.py`) → their mean over the parts

after STALL (arXiv 2603.15026), ReStraV (2507.00583) and D3 (2508.00701), on the trunk that ships with the project. Of
several patches, people or faces the most atypical ones count. Nothing is learned from fakes: a training set may have
none, and threshold and calibration alone depend on them. What is stored are means, spreads and directions over all
training people, no vector of any person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from dancebench.core.progress import ReportProgress
from dancebench.detect.detectors._looking import Judged, LookingDetector, require_people
from dancebench.detect.detectors.base import DETECTORS, DetectorConfig
from dancebench.detect.detectors.typicality._looks import PARTS, Part, look_at
from dancebench.detect.detectors.typicality._reference import Reference, fit_reference
from dancebench.detect.inputs.pairs import PairPool, Pairs
from dancebench.detect.trunk.look import Look

WORDS: Final[dict[str, str]] = {
    "patches": "how a part of the picture looks",
    "whole": "how the whole picture moves",
    "person": "how a person moves",
    "face": "how a face moves",
}
UPPER: Final = 0.9
"""Quantile of the patches, people or faces of a window that counts: nearly the most atypical one."""


class TypicalityConfig(DetectorConfig):
    """Learns in a minute or two on one core from 40 clips of 720 lines."""

    degraded: float = Field(default=0.0, ge=0, le=1)
    """As for other detectors; degraded reals in the population make what looks degraded typical."""
    frames: int = Field(default=6, ge=3, le=64)
    """Of a window: consecutive, so that a path has a geometry."""
    parts: tuple[Part, ...] = Field(default=PARTS, min_length=1)
    """What is looked at; a clip may show nobody, so patches or the whole picture are among it. People and faces need
    MediaPipe."""
    patches: int = Field(default=6, ge=1, le=64)
    """Native patches of a window, at most, laid evenly over its middle frame."""
    windows: int = Field(default=8, ge=1, le=1000)
    """Of each training real that are learned from, evenly placed."""
    components: int = Field(default=60, ge=1, le=500)
    """Principal directions of a population, at most."""

    @field_validator("parts")
    @classmethod
    def _check_parts(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        if len(set(parts)) < len(parts) or not {"patches", "whole"} & set(parts):
            raise ValueError("name each part once, and patches or whole among them: a clip may show nobody")
        return parts


@DETECTORS.register("typicality")
class Typicality(LookingDetector):
    """How atypical of real recordings a clip looks and moves; learns from reals alone."""

    Config: ClassVar[type[DetectorConfig]] = TypicalityConfig
    PRESETS: ClassVar[Mapping[str, DetectorConfig]] = {
        "tiny": TypicalityConfig(parts=("patches", "whole"), windows=2, pairs=4)
    }
    REACH: ClassVar[float] = 6.0
    LEARNED: ClassVar[str] = "population"
    config: TypicalityConfig

    @property
    def window(self) -> int:
        return self.config.frames

    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None:
        """Learn from the reals of the pool, without a training state: it takes a minute or two, and starts over.

        Raises:
            BenchError: They show fewer than three people.
        """
        looks: list[Look] = []
        people: list[str] = []
        clips = list(pool.real_windows(self.config.windows))
        for done, (person, windows) in enumerate(clips):
            report("looking at reals", done, len(clips))
            for window in windows:
                found = self.look_at(window)
                looks += found
                people += [person] * len(found)
        report("looking at reals", len(clips), len(clips))
        self.fit_to(looks, people)

    def fit_to(self, looks: Sequence[Look], people: Sequence[str]) -> None:
        """Learn from what was looked at: the looks of all windows of the reals, and who is seen in each.

        Raises:
            BenchError: They are of fewer than three people.
        """
        require_people("typicality", people)
        self.model = fit_reference(looks, people, self.config.parts, self.config.components)

    def explain(self, pairs: Pairs) -> list[str]:
        """Name the most atypical part of each window in words."""
        return [WORDS[max(judged, key=_read_logit)[0].part] for judged in self.judge(pairs)]

    def look_at(self, window: npt.NDArray[np.uint8]) -> list[Look]:
        """What it looks at in a window, uint8 (T, H, W, 3)."""
        return look_at(window, self.config.parts, self.config.patches)

    @staticmethod
    def combine(judged: Sequence[Judged]) -> float:
        """The mean over the parts, of each the `UPPER` quantile of its looks.

        A part that is not seen, nobody's face say, has no part in it.
        """
        by_part: dict[str, list[float]] = {}
        for look, logit in judged:
            by_part.setdefault(look.part, []).append(logit)
        return float(np.mean([np.quantile(logits, UPPER) for logits in by_part.values()]))

    @classmethod
    def read_model(cls, tensors: Mapping[str, npt.NDArray[Any]], config: DetectorConfig) -> Reference:
        return Reference.from_tensors(tensors, TypicalityConfig.model_validate(config.model_dump()).parts)


def _read_logit(judged: Judged) -> float:
    return judged[1]
