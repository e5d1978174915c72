"""How long work reports on itself, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

ReportProgress = Callable[[str, int, int], None]
"""`report(what, done, total)`: called as often as the work likes; cheap to call."""


def ignore_progress(what: str, done: int, total: int) -> None:
    """The listener that listens to nothing."""
