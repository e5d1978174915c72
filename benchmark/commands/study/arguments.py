"""What is written on the command line of `bench study`, read or refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, get_args

import typer

from dancebench.core.errors import UnknownNameError

if TYPE_CHECKING:
    from dancebench.benchmark.study.records import StudyRecord, Task
    from dancebench.leaderboards.perceptual.votes import Columns

_STEP: Final = 0.5
"""Between the strengths of methods in a rehearsal, in logits, where none are given."""


def parse_task(text: str) -> Task:
    """The task.

    Raises:
        UnknownNameError: There is no such task.
    """
    from dancebench.benchmark.study.records import Task

    tasks: tuple[Task, ...] = get_args(Task)
    for task in tasks:
        if task == text:
            return task
    raise UnknownNameError("task", text, tasks)


def parse_columns(text: str) -> Columns:
    """The columns of a CSV file.

    Raises:
        UnknownNameError: There are no such columns.
    """
    from dancebench.leaderboards.perceptual.votes import Columns

    known: tuple[Columns, ...] = get_args(Columns)
    for columns in known:
        if columns == text:
            return columns
    raise UnknownNameError("set of columns", text, known)


def parse_frame_size(text: str) -> tuple[int, int] | None:
    """(height, width) that clips are letterboxed to; None for their own.

    Raises:
        BadParameter: It is neither a size nor `native`.
    """
    if text == "native":
        return None
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()) or any(
        int(side) % 2 or not 16 <= int(side) <= 4096 for side in (height, width)
    ):
        raise typer.BadParameter(
            f"'{text}' is neither HEIGHTxWIDTH (even, 16 to 4096) nor 'native'", param_hint="--size"
        )
    return int(height), int(width)


def parse_strengths(texts: Sequence[str] | None, study: StudyRecord) -> dict[str, float]:
    """True strengths for a rehearsal, in logits by method.

    Raises:
        UnknownNameError: The study has no such method.
        BadParameter: A strength is no number from -20 to 20.
    """
    truth = {method: at * _STEP for at, method in enumerate(study.methods)}
    for text in texts or ():
        method, _, value = text.partition("=")
        if method not in truth:
            raise UnknownNameError("method of the study", method, study.methods)
        try:
            truth[method] = float(value)
        except ValueError:
            raise typer.BadParameter(f"'{text}' is not METHOD=LOGITS", param_hint="--strength") from None
        if not abs(truth[method]) <= 20:
            raise typer.BadParameter(f"'{text}': between -20 and 20 logits", param_hint="--strength")
    return truth
