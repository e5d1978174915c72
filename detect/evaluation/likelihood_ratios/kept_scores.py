"""`calibration_scores.json`: the scores that a calibration was fitted on, so that it can be fitted to other reals.

People are numbers there, and nothing but scores and methods is told of their videos.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from dancebench.core.schema import MAX_COUNT, Document, Strict
from dancebench.datasets.corpora.manifest import Label
from dancebench.detect.evaluation.likelihood_ratios.items import CalibrationItems

FILE = "calibration_scores.json"


class CalibrationScore(Strict):
    """The score of one video."""

    label: Label
    score: float
    person: int = Field(ge=0, le=MAX_COUNT)
    method: str
    """Of a fake; empty of a real."""


class CalibrationScores(Document):
    """All scores of a calibration."""

    unseen: bool
    """Whether the fakes are of methods that the detector did not see."""
    videos: tuple[CalibrationScore, ...]

    @model_validator(mode="after")
    def _require_both_kinds(self) -> Self:
        if {video.label for video in self.videos} != {0, 1}:
            raise ValueError("a calibration is of reals and fakes")
        return self

    @classmethod
    def of_items(cls, items: CalibrationItems) -> Self:
        """Keep these items."""
        _, people = np.unique(items.subjects, return_inverse=True)
        columns = (items.labels.tolist(), items.scores.tolist(), people.tolist(), items.methods.tolist())
        return cls(
            unseen=items.unseen,
            videos=tuple(
                CalibrationScore(label=label, score=score, person=person, method=method if label else "")
                for label, score, person, method in zip(*columns, strict=True)
            ),
        )

    @property
    def items(self) -> CalibrationItems:
        """The items that were kept."""
        return CalibrationItems(
            np.array([video.label for video in self.videos], np.int64),
            np.array([video.score for video in self.videos], np.float64),
            np.array([f"person {video.person}" for video in self.videos], np.str_),
            np.array([video.method for video in self.videos], np.str_),
            unseen=self.unseen,
        )
