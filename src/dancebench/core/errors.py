"""Errors that a user can act on: one line of cause, one line of hint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def replace_undecodable(text: str) -> str:
    """Text that UTF-8 can hold: `�` for each byte of a file name that is not UTF-8.

    Python keeps such bytes as lone surrogates, which open the file and can be written nowhere.
    """
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its kind, where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class BenchError(Exception):
    """A failure that the user can understand and fix.

    Args:
        message: What happened, in one line.
        hint: The next step, in one line; shown under the message.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = replace_undecodable(message)  # it is printed and recorded
        self.hint = None if hint is None else replace_undecodable(hint)
        super().__init__(self.message)


class UnknownNameError(BenchError):
    """An unknown name; the hint suggests the nearest known one."""

    def __init__(self, kind: str, name: str, available: Iterable[str]) -> None:
        known = sorted(available)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        guess = f"Did you mean '{near[0]}'? " if near else ""
        listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        super().__init__(f"Unknown {kind} '{name}'.", hint=f"{guess}Available: {listed or 'none yet'}.")


def escape_unprintable(text: str) -> str:
    """Escape the unprintable characters of a text, including those that reverse the writing direction."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
