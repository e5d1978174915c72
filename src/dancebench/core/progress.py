"""Progress callbacks: long tasks report progress without knowing who displays it."""

from __future__ import annotations

from collections.abc import Callable

ReportProgress = Callable[[str, int, int], None]
"""`report(what, done, total)`: called as often as the task likes; cheap to call."""


def ignore_progress(what: str, done: int, total: int) -> None:
    """A callback that ignores every report."""
