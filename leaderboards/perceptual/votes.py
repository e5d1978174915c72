"""Votes of people, as tables and as CSV: who chose which method of which, on which clip.

A vote is one answer to one question about videos of the same subject in the same source's motion. A judgement is
one answer to "real or synthesized?" about one video. Files of studies that were run elsewhere come in the columns
of pwcmp (`Observer,Session,Scene,Condition_1,Condition_2,Selection`; selection 1 or 2), which has no ties.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from dancebench.core.errors import BenchError
from dancebench.core.files import read_bytes, write_text
from dancebench.core.schema import Strict

Columns = Literal["bench", "pwcmp"]
TIE: Final = "tie"
DEFAULT_QUESTION: Final = "realistic"
_FIXED: Final = ("rater", "subject", "source", "question", "choice")
_PWCMP: Final = ("Observer", "Session", "Scene", "Condition_1", "Condition_2", "Selection")
_JUDGEMENT: Final = ("rater", "subject", "source", "method", "answer")
_REAL: Final = "real"
Label = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class Vote(Strict):
    """One choice among videos of one clip."""

    rater: Label
    subject: Label
    source: Label
    question: Label
    options: Annotated[tuple[Label, ...], Field(min_length=2)]
    """The methods, as they were shown from left to right."""
    choice: Label | None
    """One of the options; None for a tie."""

    @model_validator(mode="after")
    def _choice_is_an_option(self) -> Self:
        if len(set(self.options)) != len(self.options):
            raise ValueError("a method stands twice among the options")
        if self.choice is None and len(self.options) > 2:
            raise ValueError("a tie among more than two has no model")
        if self.choice is not None and self.choice not in self.options:
            raise ValueError(f"the choice '{self.choice}' is none of the options")
        return self


class Judgement(Strict):
    """One answer to "real or synthesized?"."""

    rater: Label
    subject: Label
    source: Label
    method: Label | None
    """None for a real."""
    called_fake: bool

    @property
    def video_id(self) -> str:
        """As detectors name the same video."""
        return f"{self.subject}/{self.source}/{self.method or _REAL}"


def write_votes(path: Path, votes: Sequence[Vote], columns: Columns = "bench") -> None:
    """Write a CSV, whole or not at all.

    Raises:
        BenchError: The columns cannot hold the votes, or the file cannot be written.
    """
    buffer = io.StringIO()
    rows = _list_pwcmp_rows(votes) if columns == "pwcmp" else _list_rows(votes)
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    write_text(path, buffer.getvalue())


def write_judgements(path: Path, judgements: Iterable[Judgement]) -> None:
    """Write a CSV of answers about single videos: rater, subject, source, method, answer."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_JUDGEMENT)
    for each in judgements:
        answer = "fake" if each.called_fake else _REAL
        writer.writerow([each.rater, each.subject, each.source, each.method or _REAL, answer])
    write_text(path, buffer.getvalue())


def read_votes(path: Path, columns: Columns = "bench", question: str = DEFAULT_QUESTION) -> list[Vote]:
    """Read a CSV of votes.

    Args:
        path: The file.
        columns: What its columns are.
        question: What was asked, for pwcmp's columns, which do not say.

    Raises:
        BenchError: The file cannot be read, lacks columns, holds no vote, or a line is not a vote (it is named).
    """
    reader = _open_table(path, _PWCMP if columns == "pwcmp" else _FIXED)
    names = [name for name in reader.fieldnames or () if name.startswith("option_")]
    votes = []
    for row in reader:
        try:
            fields = _read_pwcmp_row(row, question) if columns == "pwcmp" else _read_row(row, names)
            votes.append(Vote.model_validate(fields))
        except (ValidationError, ValueError) as error:
            raise _refuse_line(path, reader.line_num, error) from error
    if not votes:
        raise BenchError(f"{path} holds no vote.", hint="Expected a line for each vote under the header.")
    return votes


def read_judgements(path: Path) -> list[Judgement]:
    """Read a CSV of answers about single videos.

    Raises:
        BenchError: As `read_votes`.
    """
    reader = _open_table(path, _JUDGEMENT)
    found = []
    for row in reader:
        try:
            if row["answer"] not in ("fake", _REAL):
                raise ValueError(f"the answer is fake or real, not '{row['answer']}'")
            method = None if row["method"] == _REAL else row["method"]
            fields = {name: row[name] for name in _JUDGEMENT[:3]}
            found.append(Judgement.model_validate(fields | {"method": method, "called_fake": row["answer"] == "fake"}))
        except (ValidationError, ValueError) as error:
            raise _refuse_line(path, reader.line_num, error) from error
    if not found:
        raise BenchError(f"{path} holds no answer.", hint="Expected a line for each answer under the header.")
    return found


def is_judgement_file(path: Path) -> bool:
    """Whether the file has the columns of answers about single videos.

    Raises:
        BenchError: It cannot be read.
    """
    return set(_JUDGEMENT) <= set(_read_table(path).fieldnames or ())


def _list_rows(votes: Sequence[Vote]) -> Iterator[Sequence[str]]:
    width = max((len(vote.options) for vote in votes), default=2)
    yield (*_FIXED[:4], *(f"option_{k + 1}" for k in range(width)), _FIXED[4])
    for vote in votes:
        options = [*vote.options, *[""] * (width - len(vote.options))]
        yield vote.rater, vote.subject, vote.source, vote.question, *options, vote.choice or TIE


def _list_pwcmp_rows(votes: Sequence[Vote]) -> Iterator[Sequence[str]]:
    if len({vote.question for vote in votes}) > 1:
        raise BenchError("pwcmp's columns hold one question.", hint="Choose one of the study's with --question.")
    yield _PWCMP
    for vote in votes:
        if vote.choice is None or len(vote.options) > 2:
            raise BenchError(
                "pwcmp's columns hold neither ties nor choices among more than two.", hint="Use --columns bench."
            )
        selection = 1 + vote.options.index(vote.choice)
        yield vote.rater, "1", f"{vote.subject}/{vote.source}", *vote.options, str(selection)


def _read_row(row: dict[str, str], names: Sequence[str]) -> dict[str, object]:
    fields: dict[str, object] = {name: row[name] for name in _FIXED[:4]}
    choice = (row["choice"] or "").strip()
    return fields | {
        "options": tuple(row[name] for name in names if row[name]),
        "choice": None if choice == TIE else choice,
    }


def _read_pwcmp_row(row: dict[str, str], question: str) -> dict[str, object]:
    options = row["Condition_1"], row["Condition_2"]
    selection = (row["Selection"] or "").strip()
    if selection not in ("1", "2"):
        raise ValueError(f"Selection is 1 or 2, not '{selection}'")
    subject, _, source = (row["Scene"] or "").strip().partition("/")
    return {
        "rater": row["Observer"], "subject": subject, "source": source or subject, "question": question,
        "options": options, "choice": (options[int(selection) - 1] or "").strip(),
    }  # fmt: skip


def _read_table(path: Path) -> csv.DictReader[str]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist.", hint="Name a CSV file of votes.") from None
    except UnicodeDecodeError as error:
        raise BenchError(f"{path} is not text.", hint="Expected a CSV file (UTF-8).") from error
    return csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True, restval="")


def _open_table(path: Path, needed: Sequence[str]) -> csv.DictReader[str]:
    reader = _read_table(path)
    missing = set(needed) - set(reader.fieldnames or ())
    if missing:
        raise BenchError(
            f"{path} lacks the columns {', '.join(sorted(missing))}.", hint=f"Expected {', '.join(needed)}."
        )
    return reader


def _refuse_line(path: Path, line: int, error: Exception) -> BenchError:
    reason = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
    return BenchError(f"{path}:{line} is not an answer ({reason}).", hint="Correct the line.")
