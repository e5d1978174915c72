"""Progress display: bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dancebench.core.errors import escape_unprintable

_LINE_EVERY: Final = 15.0
_MAX_FINISHED: Final = 3


class ProgressBars:
    """Displays progress reports; use as a context manager and pass `display.report` to the work."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._finished: list[str] = []
        self._started: dict[str, float] = {}
        self._last_line: dict[str, float] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<34}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def report(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of `what` are done."""
        if self._bars is not None:
            self._update_bar(self._bars, what, done, total)
        else:
            self._print_line(what, done, total)

    def _update_bar(self, bars: Progress, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = bars.add_task(escape_unprintable(what), total=total)
        bars.update(self._tasks[what], completed=done, total=total)
        if done >= total and what not in self._finished:
            self._finished.append(what)
            if len(self._finished) > _MAX_FINISHED:  # the oldest is removed
                bars.remove_task(self._tasks.pop(self._finished.pop(0)))

    def _print_line(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        started = self._started.setdefault(what, now)
        if done >= total:
            self._console.print(f"{what}: done ({total}, {now - started:.0f} s)", highlight=False)
            self._started.pop(what)
        elif now - self._last_line.get(what, started) >= _LINE_EVERY:
            self._last_line[what] = now
            left = (now - started) / max(done, 1) * (total - done)
            self._console.print(f"{what}: {done}/{total}, about {left:.0f} s left", highlight=False)
