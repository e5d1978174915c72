"""`typicality`, a detector that learns from reals alone: how atypical a window of frames is of a population of reals.

    window → looks (native patches; the motion of the whole picture, of people, of faces; `_looks.py`)
           → log-odds that each is atypical of reals (`_reference.py`) → their mean over the parts

after STALL (arXiv 2603.15026), ReStraV (2507.00583) and D3 (2508.00701), on the trunk that ships with the project. Of
several patches, people or faces the most atypical ones count. Nothing is learned from fakes: a training set may have
none, and threshold and calibration alone depend on them. What is stored are means, spreads and directions over all
training people, no vector of any person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import atomic_path
from dancebench.core.progress import ReportProgress
from dancebench.detect.detectors.base import DETECTORS, Detector, DetectorConfig, Logits
from dancebench.detect.detectors.typicality._looks import PARTS, Part, look_at
from dancebench.detect.detectors.typicality._reference import Reference, fit_reference
from dancebench.detect.inputs.pairs import PairPool, Pairs
from dancebench.detect.trunk.look import Look
from dancebench.detect.trunk.network import SHA256
from dancebench.detect.trunk.scale import FEWEST_PEOPLE

Judged = tuple[Look, float]
"""A look, and its log-odds of being atypical."""

WORDS: Final[dict[str, str]] = {
    "patches": "how a part of the picture looks",
    "whole": "how the whole picture moves",
    "person": "how a person moves",
    "face": "how a face moves",
}
UPPER: Final = 0.9
"""Quantile of the patches, people or faces of a window that counts: nearly the most atypical one."""
_REACH: Final = 6.0
"""Log-odds at which a saliency map is saturated."""


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
class Typicality(Detector):
    """How atypical of real recordings a clip looks and moves; learns from reals alone."""

    Config: ClassVar[type[DetectorConfig]] = TypicalityConfig
    PRESETS: ClassVar[Mapping[str, DetectorConfig]] = {
        "tiny": TypicalityConfig(parts=("patches", "whole"), windows=2, pairs=4)
    }
    REALS_ALONE: ClassVar[bool] = True
    config: TypicalityConfig

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        self.reference: Reference | None = None

    @property
    def window(self) -> int:
        return self.config.frames

    @property
    def origin(self) -> str | None:
        """The trunk, which is not trained."""
        return f"EfficientNet-Lite0 that ships with dancebench, SHA-256 {SHA256}"

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
        if len(set(people)) < FEWEST_PEOPLE:
            raise BenchError(
                f"The training reals show {len(set(people))} people; 'typicality' needs {FEWEST_PEOPLE}.",
                hint="Its scale comes from people held out by turns: give the training split more people.",
            )
        self.reference = fit_reference(looks, people, self.config.parts, self.config.components)

    def logits(self, pairs: Pairs) -> Logits:
        return np.array([combine(judged) for judged in self._judge(pairs)], np.float32)

    def explain(self, pairs: Pairs) -> list[str]:
        """Name the most atypical part of each window in words."""
        return [WORDS[max(judged, key=_read_logit)[0].part] for judged in self._judge(pairs)]

    def saliency(self, pairs: Pairs) -> npt.NDArray[np.float32]:
        """Where it is atypical: each box by its log-odds, nothing where it is typical."""
        maps = np.zeros((len(pairs), *self.config.size), np.float32)
        for drawn, judged in zip(maps, self._judge(pairs), strict=True):
            for look, logit in judged:
                inside = drawn[look.box.rows, look.box.columns]
                np.maximum(inside, np.float32(min(max(logit / _REACH, 0.0), 1.0)), out=inside)
        return maps

    @property
    def parameters(self) -> int:
        return 0 if self.reference is None else sum(array.size for array in self.reference.to_tensors().values())

    def save(self, folder: Path) -> None:
        if self.reference is None:
            raise ValueError("a detector must be trained before it is saved")
        with atomic_path(folder / self.WEIGHTS) as path:
            save_file(self.reference.to_tensors(), path)

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        detector = cls(config, device)
        path = folder / cls.WEIGHTS
        try:
            detector.reference = Reference.from_tensors(load_file(path), detector.config.parts)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BenchError(
                f"{path} does not hold the population of this detector ({first_line(error)}).", hint="Train it again."
            ) from error
        return detector

    def look_at(self, window: npt.NDArray[np.uint8]) -> list[Look]:
        """What it looks at in a window, uint8 (T, H, W, 3)."""
        return look_at(window, self.config.parts, self.config.patches)

    def combine_looks(self, looks: Sequence[Look]) -> float:
        """The logit of a window, from what was looked at in it."""
        return combine(self._judge_looks(looks))

    def _judge(self, pairs: Pairs) -> Iterator[list[Judged]]:
        for window in pairs:
            yield self._judge_looks(self.look_at(window))

    def _judge_looks(self, looks: Sequence[Look]) -> list[Judged]:
        if self.reference is None:
            raise ValueError("a detector must be trained before it scores")
        return self.reference.judge(looks)


def combine(judged: Sequence[Judged]) -> float:
    """Combine the looks of a window into one logit: the mean over the parts, of each the `UPPER` quantile of its looks.

    A part that is not seen, nobody's face say, has no part in it.
    """
    by_part: dict[str, list[float]] = {}
    for look, logit in judged:
        by_part.setdefault(look.part, []).append(logit)
    return float(np.mean([np.quantile(logits, UPPER) for logits in by_part.values()]))


def _read_logit(judged: Judged) -> float:
    return judged[1]
