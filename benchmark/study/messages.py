"""What the page and the server say to each other. Whatever does not fit is refused before it is looked at."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, StringConstraints

from dancebench.benchmark.study.records import SLOTS, Slot
from dancebench.core.schema import Strict

_DAY_S: Final = 86_400.0


def _drop_impossible(limit: float) -> BeforeValidator:
    """A duration that no clock without jumps gives is not known: None."""

    def drop(value: Any) -> Any:
        known = isinstance(value, int | float) and not isinstance(value, bool)
        return None if known and not (math.isfinite(value) and 0 <= value <= limit) else value

    return BeforeValidator(drop)


Seconds = Annotated[float | None, _drop_impossible(_DAY_S)]
Milliseconds = Annotated[float | None, _drop_impossible(_DAY_S * 1000)]
Text = Annotated[str, StringConstraints(max_length=200)]


class Playback(Strict):
    """How one video played, the first time to its end."""

    ended: bool
    played_s: Annotated[float, Field(ge=0, le=_DAY_S)]
    """How much of the video was shown, by its own time."""
    wall_s: Seconds = None
    """How long that took; None where the clock jumped."""
    stalls: NonNegativeInt = 0
    stalled_s: Seconds = None
    dropped: NonNegativeInt = 0
    """Frames that were not shown."""
    frames: NonNegativeInt = 0


class AnswerLog(Strict):
    """What the page measured in one trial."""

    playback: Annotated[dict[Slot, Playback], Field(min_length=1, max_length=len(SLOTS))]
    reaction_ms: Milliseconds = None
    """From the end of the later video to the answer."""
    replays: NonNegativeInt = 0
    hidden: NonNegativeInt = 0
    """How often the page went out of sight."""
    window: tuple[NonNegativeInt, NonNegativeInt] = (0, 0)
    """Width and height in CSS pixels."""


class Answer(Strict):
    """The answers to one trial."""

    position: NonNegativeInt
    answers: Annotated[dict[Text, Slot | Literal["real", "fake"]], Field(min_length=1, max_length=8)]
    log: AnswerLog


class Screen(Strict):
    """What a rater looks at: no more than the analysis needs."""

    width: NonNegativeInt = 0
    height: NonNegativeInt = 0
    pixel_ratio: Annotated[float, Field(ge=0, le=16)] = 1.0
    refresh_hz: Annotated[float | None, _drop_impossible(1000)] = None
    """Measured; None where it could not be."""
    touch: bool = False


class Enrol(Strict):
    """A rater's agreement."""

    agreed: Literal[True]
    panel: Annotated[dict[Literal["id", "study", "session"], Text], Field(default_factory=dict, max_length=3)]
    """Opaque ids of the link, as a panel gives them."""
    screen: Screen = Screen()


class Void(Strict):
    """A trial that cannot be shown."""

    position: NonNegativeInt
    reason: Text


class Comment(Strict):
    """What a rater wants to say."""

    text: Annotated[str, StringConstraints(max_length=2000)]
