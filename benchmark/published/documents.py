"""Tables between markers in a document for people, such as README: records in, the document with its tables out.

A marker names a section of the leaderboards by its title, so a table never shows rows of another dataset, set of people
or protocol; what stands between it and its end is written by `bench leaderboard`, and by nobody else:

    <!-- leaderboard synthesis: demo · 971c3c8e802e · 5 subjects · 192x96 -->
    <!-- end of leaderboard -->
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.files import read_bytes
from dancebench.leaderboards.columns import COLUMNS
from dancebench.leaderboards.markdown import render_short_table
from dancebench.leaderboards.significance.differences import Runs
from dancebench.leaderboards.tables import group_sections

END: Final = "<!-- end of leaderboard -->"
_BEGIN: Final = re.compile(r"<!-- leaderboard (?P<title>.+) -->")


def fill_tables(path: Path, runs: Runs) -> str:
    """The text of a document with the tables that its markers name.

    Raises:
        UnknownNameError: There is no section of that title among the records.
        BenchError: The document cannot be read, has no marker, or one has no end.
    """
    try:
        lines = read_bytes(path).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} cannot be read as text.", hint="Name a Markdown file in UTF-8.") from error
    filled: list[str] = []
    at = 0
    while at < len(lines):
        filled.append(lines[at])
        if found := _BEGIN.fullmatch(lines[at]):
            if END not in lines[at:]:
                raise BenchError(f"{path}, line {at + 1}: a table has no end.", hint=f"Write {END} below it.")
            filled += ["", *_render(found["title"], runs), "", END]
            at = lines.index(END, at)
        at += 1
    if END not in filled:
        raise BenchError(f"{path} names no table.", hint="Write <!-- leaderboard KIND: TITLE --> and its end.")
    return "\n".join(filled) + "\n"


def _render(title: str, runs: Runs) -> list[str]:
    sections = {f"{kind}: {each.title}": each for kind in COLUMNS for each in group_sections(runs.records, kind)}
    if title not in sections:
        raise UnknownNameError("table of the records", title, sections)
    section = sections[title]
    return render_short_table(section, runs.differences.find(section)).splitlines()
