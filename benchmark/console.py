"""Standard output and standard error: text as it is, on any console.

Brackets are no markup. Characters that a terminal acts on, such as an escape code in the name of a file, are spelled
out; those that the console cannot show are replaced. Output that cannot be written ends a command in words; where
standard error cannot be written, the work goes on.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.text import Text

from dancebench.core.errors import BenchError, escape_unprintable, replace_undecodable


class PlainConsole(Console):
    """Prints text as it is; see the module."""

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text that is printed, be it in a table, goes through here; line ends are kept."""
        return super().render_str(
            "\n".join(escape_unprintable(line) for line in replace_undecodable(text).split("\n")), **options
        )

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich prints.

        Raises:
            BenchError: Standard output is closed or cannot be written.
        """
        try:
            if not self.stderr:
                _require_output()
            super().print(*objects, **options)
        except OSError as error:
            if not self.stderr:
                raise _explain_output_error(error) from error

    def print_lines(self, *lines: str) -> None:
        """Print each text as one line that is neither wrapped nor coloured, whatever it holds."""
        for line in lines:
            self.print(escape_unprintable(replace_undecodable(line)), soft_wrap=True, highlight=False)

    def on_broken_pipe(self) -> None:
        """Leave it to `print`; rich would end the process."""
        raise BrokenPipeError


out = PlainConsole()
"""Results: standard output."""
err = PlainConsole(stderr=True)
"""Everything else: progress, notes, errors, on standard error."""


def print_error(error: BenchError) -> None:
    """Print a failure as one line with the error and one with a hint."""
    for label, style, text in (("error:", "bold red", error.message), ("hint:", "bold cyan", error.hint)):
        if text:
            line = Text.assemble((label, style), " ", escape_unprintable(text))
            err.print(line, soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output: as UTF-8, or as ASCII on a console of another encoding.

    Raises:
        BenchError: As `write_output`.
    """
    text = replace_undecodable(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
    if (getattr(sys.stdout, "encoding", None) or "").lower() not in ("utf-8", "utf8"):
        text = re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found.group())[1:-1], text)
    write_output(text + "\n")


def write_output(text: str) -> None:
    """Write a text to standard output, as it is.

    Raises:
        BenchError: Standard output is closed or cannot be written.
    """
    _require_output()
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise _explain_output_error(error) from error


def prepare_streams() -> None:
    """Make standard output take any text, and give each closed standard stream the null device.

    Without that the next file that is opened would get its number, and what a library prints would go into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def flush_output() -> None:
    """Write what is left in the buffer of standard output, if it is open.

    Raises:
        BenchError: It cannot be written.
    """
    if sys.stdout is not None:
        write_output("")


def _require_output() -> None:
    if sys.stdout is None:
        raise BenchError("Standard output is closed: the results cannot be shown.", hint=_OUTPUT_HINT)


_OUTPUT_HINT = "What the command keeps in files is kept; run it again with an open standard output."


def _explain_output_error(error: OSError) -> BenchError:
    """Say that standard output is at fault; what is still in its buffer is dropped, or Python would try once more."""
    with suppress(OSError, AttributeError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    why = "it was closed" if isinstance(error, BrokenPipeError) else error.strerror
    return BenchError(f"Standard output cannot be written: {why}.", hint=_OUTPUT_HINT)
