"""`failures.json`: the failure cases of one fake."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from dancebench.benchmark.runs.synthesis import FakeDocument
from dancebench.core.schema import Strict


class Moment(Strict):
    """A frame that failed."""

    t: int = Field(ge=0)
    """Of the fake, from 0."""
    frame: int = Field(ge=0)
    """Of the subject's clip."""
    score: float
    reason: str
    """In words, with the numbers."""
    box: tuple[int, int, int, int] | None
    """Where: top, bottom, left, right in pixels of the fake; None for the whole frame."""


class KindRecord(Strict):
    """The failures of one kind."""

    unit: str
    threshold: float
    """Score, in `unit`, from which on a frame counts as failed."""
    n: int
    """Frames in which the kind could be measured."""
    n_failed: int
    share: float | None
    """`n_failed` of `n`."""
    reason: str | None
    """Why there is no share."""
    worst: tuple[Moment, ...]
    """The worst first; where none reaches the threshold the worst one alone, if anything is wrong in it."""

    @model_validator(mode="after")
    def _check_reason(self) -> Self:
        if (self.share is None) == (self.reason is None):
            raise ValueError("a share is a number, or null with its reason")
        return self


class FailureRecord(FakeDocument):
    """The failure cases of one fake, by kind."""

    n_frames: int
    kinds: dict[str, KindRecord]
