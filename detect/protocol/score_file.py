"""A file of scores of another system: a CSV and the rows of a manifest in; checked scores out.

    video table   video_id, score          optional: status, reason, n_pairs, aggregator
    pair table    video_id, t (seconds), logit

A file with a logit column is a pair table. What a spreadsheet leaves behind (lines and last columns without any text)
is passed over; all else that does not fit is refused, with the first line that is wrong.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.core.errors import BenchError
from dancebench.core.files import read_bytes
from dancebench.datasets.corpora.manifest import VideoRow
from dancebench.detect.evaluation.score_tables import PAIR_COLUMNS, VIDEO_COLUMNS

ScoreLevel = Literal["video", "pair"]

LARGEST = 1e100
"""A score of larger magnitude counts as missing: sums and 95% confidence intervals of it would overflow."""
_KNOWN = {*VIDEO_COLUMNS, *PAIR_COLUMNS, "split", "level"}
_SHOWN = 3
_SEPARATORS = {";": "semicolons", "\t": "tabs"}
_LINE = "line"  # of the file; no column of a file is called so


@dataclass(frozen=True)
class Submission:
    """A file of scores, checked against the manifest.

    Attributes:
        name: The name of the file.
        level: Whether it scores videos or pairs of frames.
        table: `video_id`, `t` (seconds; NaN for videos), `value` (NaN where there is none), `reason` (why there
            is none); validation and held-out videos only.
        remarks: What was ignored, in words.
    """

    name: str
    level: ScoreLevel
    table: pd.DataFrame
    remarks: tuple[str, ...]


def read_submission(path: Path, rows: Sequence[VideoRow]) -> Submission:
    """Read and check a file of scores.

    Args:
        path: CSV in UTF-8 with a header.
        rows: Of the manifest, which lists the videos to be scored.

    Raises:
        BenchError: The file cannot be read as such a table, a video or one of its times occurs twice, a video
            is not in the manifest, or a score or a time is not a number. The message names the first line and
            the first three videos.
    """
    table = _read_table(path)
    level = _detect_level(path, list(table.columns.drop(_LINE)))
    column = "score" if level == "video" else "logit"
    values = _parse_numbers(path, table, column)
    times = _parse_numbers(path, table, "t") if level == "pair" else np.full(len(table), np.nan)
    if level == "pair":
        _refuse_rows(path, "has a t that is not a finite number of seconds", table[~np.isfinite(times)])
    _refuse_repeated(path, table.assign(t=times))
    splits = table["video_id"].map({row.video_id: row.split for row in rows})
    _refuse_rows(path, "scores videos that the manifest does not list", table[splits.isna()], hint=IDS)
    checked = pd.DataFrame(
        {"video_id": table["video_id"], "t": times, "value": values, "reason": _list_reasons(table, column, values)}
    )
    checked.loc[checked["reason"].notna(), "value"] = np.nan
    kept = checked[splits != "train"].reset_index(drop=True)
    return Submission(path.name, level, kept, _list_remarks(table.columns, splits, table["video_id"]))


IDS = "Use the video_ids of the manifest, one row for each video of split holdout and validation."
_SHAPE = "Expected UTF-8 text, comma-separated, with the columns video_id, score or video_id, t, logit."


def _read_table(path: Path) -> pd.DataFrame:
    """The cells as stripped text by column, and `line`, the line of the file where a row ends."""
    try:
        file = io.StringIO(read_bytes(path).decode("utf-8-sig"), newline="")
        reader = csv.reader(file, strict=True)
        numbered = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror}.", hint="Give a CSV of scores.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{path} is not a CSV in UTF-8 ({error}).", hint=_SHAPE) from error
    numbered = [(number, cells) for number, cells in numbered if any(cells)]
    if len(numbered) < 2:
        raise BenchError(f"{path} holds no {'scores' if numbered else 'text'}.", hint=_SHAPE)
    (_, header), *lines = numbered
    while not header[-1]:
        header.pop()
    rows = [[*_cut_row(path, number, cells, len(header)), number] for number, cells in lines]
    return pd.DataFrame(rows, columns=[*header, _LINE], dtype=object)


def _cut_row(path: Path, line: int, cells: Sequence[str], columns: int) -> Sequence[str]:
    """A row without the empty cells beyond the header's columns; refused if it has more text, or fewer cells."""
    if len(cells) < columns or any(cells[columns:]):
        separator = _describe_separator(cells)
        raise BenchError(f"{path.name}:{line} has {len(cells)} columns, not {columns}{separator}.", hint=_SHAPE)
    return cells[:columns]


def _describe_separator(cells: Sequence[str]) -> str:
    """What a line without commas seems to be separated by; empty if nothing else."""
    found = [name for sign, name in _SEPARATORS.items() if len(cells) == 1 and sign in cells[0]]
    return f": it is separated by {found[0]}" if found else ""


def _detect_level(path: Path, header: Sequence[str]) -> ScoreLevel:
    """Which table this is, by its columns."""
    level: ScoreLevel = "pair" if "logit" in header else "video"
    required = PAIR_COLUMNS if level == "pair" else ["video_id", "score"]
    missing = [name for name in required if name not in header]
    if missing:
        written = [f"'{name}' is written {name.casefold()}" for name in header if name.casefold() in missing]
        why = f": {', '.join(written)}" if written else _describe_separator(header)
        raise BenchError(f"{path.name}:1 has no column {' and no column '.join(missing)}{why}.", hint=_SHAPE)
    if {"logit", "score"} <= set(header):
        raise BenchError(
            f"{path.name}:1 has both score and logit.", hint="Submit the videos' scores or their pairs' logits."
        )
    unusable = [name for name in header if name not in _KNOWN or header.count(name) > 1]
    _refuse(path, "has unknown or repeated columns", [(1, name or "one without a name") for name in unusable], _SHAPE)
    return level


def _parse_numbers(path: Path, table: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """A column as numbers (N,), NaN where the cell is empty."""
    numbers = pd.to_numeric(table[column].replace("", "nan"), errors="coerce").to_numpy(np.float64)
    unparsed = table[np.isnan(numbers) & ~table[column].str.lower().str.lstrip("+-").isin(["", "nan"])]
    cells = zip(unparsed[_LINE], unparsed["video_id"], unparsed[column], strict=True)
    _refuse(
        path, f"has a {column} that is not a number", [(line, f"{video} ('{text}')") for line, video, text in cells]
    )
    return numbers


def _list_reasons(table: pd.DataFrame, column: str, values: npt.NDArray[np.float64]) -> list[str | None]:
    """Why a row has no score; None where it has one."""
    optional = table.reindex(columns=["status", "reason"], fill_value="")
    return [
        _explain_missing(column, *cells)
        for cells in zip(values, table[column], optional["status"], optional["reason"], strict=True)
    ]


def _explain_missing(column: str, value: float, text: str, status: str, reason: str) -> str | None:
    if status not in ("", "ok"):
        return f"its status is '{status}'" + (f": {reason}" if reason else "")
    if abs(value) <= LARGEST:
        return None
    return f"its {column} is {text or 'empty'}"


def _list_remarks(header: Iterable[str], splits: pd.Series, video_ids: pd.Series) -> tuple[str, ...]:
    remarks = []
    labels = [name for name in ("label", "split") if name in set(header)]
    if labels:
        remarks.append(f"the column {' and '.join(labels)} was ignored: the manifest says what is fake")
    training = video_ids[splits == "train"].nunique()
    if training:
        remarks.append(f"the scores of {training} training videos were ignored")
    return tuple(remarks)


def _refuse_repeated(path: Path, table: pd.DataFrame) -> None:
    """Refuse a video, or a pair of it, that stands on two lines."""
    keys = ["video_id", "t"]
    first = table.groupby(keys, dropna=False)[_LINE].transform("first")
    again = table.assign(first=first)[table.duplicated(keys)]
    named = [f"{video} (first on line {line})" for video, line in zip(again["video_id"], again["first"], strict=True)]
    _refuse(
        path, "scores a video or a pair twice", list(zip(again[_LINE], named, strict=True)), "Keep one row of each."
    )


def _refuse_rows(path: Path, problem: str, rows: pd.DataFrame, hint: str = "Correct the file.") -> None:
    """Refuse these rows by their videos."""
    named = zip(rows[_LINE], rows["video_id"], strict=True)
    _refuse(path, problem, [(line, video or "none") for line, video in named], hint)


def _refuse(path: Path, problem: str, items: Iterable[tuple[int, str]], hint: str = "Correct the file.") -> None:
    """Raise an error that gives the first line and names the first few items, if there are any."""
    lines: dict[str, int] = {}
    for line, name in items:
        lines.setdefault(name, line)
    if lines:
        names, first = list(lines), next(iter(lines.values()))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise BenchError(f"{path.name}:{first} {problem}: {', '.join(names[:_SHOWN])}{more}.", hint=hint)
