"""Lists that come with a corpus: read with their hash, compared with what lies on the disk."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dancebench.core.errors import BenchError
from dancebench.core.files import read_bytes, sha256_file
from dancebench.datasets.corpora.base import Reading
from dancebench.datasets.corpora.manifest import Label, VideoRow
from dancebench.datasets.corpora.tree import Tree


def read_list(reading: Reading, tree: Tree, path: Path) -> str:
    """Read a list as text, with or without a byte-order mark, and note its hash.

    Raises:
        BenchError: It is missing, or no text.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist.", hint="Check the path of the list.") from None
    except UnicodeDecodeError as error:
        raise BenchError(f"{path} is not text (UTF-8).", hint="Save the list as UTF-8.") from error
    reading.lists[path.name] = sha256_file(path)
    if path.is_relative_to(tree.root):
        reading.used.add(path.relative_to(tree.root).as_posix())
    return text


def read_json_list(reading: Reading, tree: Tree, path: Path) -> Any:
    """Read a JSON list, and note its hash.

    Raises:
        BenchError: It is missing, or no JSON.
    """
    try:
        return json.loads(read_list(reading, tree, path))
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} is not valid JSON ({error}).", hint="Get the list again.") from error


def read_table(reading: Reading, tree: Tree, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a table by the names of its columns in lower case, each with the number of its line.

    Columns are divided by commas, semicolons or tabs: by what the heading holds most of.

    Raises:
        BenchError: It is missing or no text, has no heading, or a row has more or fewer cells than the heading.
    """
    text = read_list(reading, tree, path)
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    # A frame list in a cell may be long.
    csv.field_size_limit(2**24)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name.strip().lower() for name in next(rows, [])]
    if len(names) < 2:
        raise BenchError(f"{path} has no heading with names of columns.", hint="Its first line names path, label, ….")
    try:
        for cells in rows:
            if not any(cells):
                continue
            if len(cells) != len(names):
                raise BenchError(
                    f"{path}:{rows.line_num} has {len(cells)} cells; the heading has {len(names)}.",
                    hint="Correct the line; put texts with commas in quotation marks.",
                )
            yield rows.line_num, dict(zip(names, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        raise BenchError(f"{path}:{rows.line_num} cannot be read ({error}).", hint="Correct the line.") from error


def to_posix(path: str) -> str:
    """A path of a list with `/`, without a leading `./`, whatever system wrote it."""
    return re.sub(r"^(\./)+", "", path.strip().replace("\\", "/"))


def compare_with_list(reading: Reading, listed: Mapping[str, Label | None], rows: Mapping[str, VideoRow]) -> None:
    """Say which listed videos are missing and whose label is another one.

    Args:
        reading: What is filled.
        listed: Path within the corpus -> label in the list, None where it has none.
        rows: Path within the corpus -> row.

    Raises:
        BenchError: Not one label is that of its folder: the list has the other polarity.
    """
    both = {path: label for path, label in listed.items() if path in rows and label is not None}
    wrong = [path for path, label in both.items() if label != rows[path].label]
    if wrong and len(wrong) == len(both):
        raise BenchError(
            f"All {len(both)} labels of the list are the opposite of what the folders say, as for {wrong[0]}.",
            hint="Get the published list: this one says real where it says fake.",
        )
    words = {0: "real", 1: "fake"}
    reading.mismatches += [
        f"{path}: {words[both[path] or 0]} in the list, {words[rows[path].label]} by its folder" for path in wrong
    ]
    reading.missing += sorted(path for path in listed if path not in rows)
