"""Makes the call of a case in this process, and says how it ended: ok, refused in words, or failed."""

from __future__ import annotations

import contextlib
import json
import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
from click.testing import Result
from fuzz.commands import Case, write_case
from typer.testing import CliRunner

from dancebench.benchmark.cli import app

_UNACCEPTABLE = ("please report it", "the process that scored it died", "was not scored within", "worker process died")
"""Words of the product for what must not happen: an unforeseen exception, a dead worker, a time limit."""
_LARGEST_FOR_A_LOOK = 4096 * 4096


@dataclass(frozen=True)
class Verdict:
    """How a call ended."""

    kind: Literal["ok", "refused", "failed"]
    reason: str = ""
    gives_frame: bool | None = None
    """Whether the mutated video still gives a frame; None: it is no video."""


def run_case(case: Case) -> Verdict:
    """Write the case's files, make its call, and judge it."""
    write_case(case)
    with contextlib.chdir(case.folder):
        result = CliRunner().invoke(app, list(case.words))
        kind, reason = judge(result, in_json="json" in case.words)
        if case.is_valid:
            return Verdict("failed" if kind == "refused" else kind, reason)
        return Verdict(kind, reason, gives_frame(Path(case.file)) if case.command.is_video else None)


def judge(result: Result, *, in_json: bool) -> tuple[Literal["ok", "refused", "failed"], str]:
    """Judge what a command printed and how it ended."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        assert result.exc_info is not None
        return "failed", "".join(traceback.format_exception(*result.exc_info))
    found = next((words for words in (*_UNACCEPTABLE, "Traceback (most recent") if words in result.output), None)
    if found is not None:
        return "failed", result.output[-2000:]
    rows: list[dict[str, Any]] = json.loads(result.stdout)["videos"] if in_json and result.stdout.strip() else []
    for row in rows:
        if (row["score"] is None) == (row["reason"] is None):
            return "failed", f"a row with neither score nor reason, or with both: {row['path']}"
    if result.exit_code == 0:
        return "ok", ""
    errors = re.findall(r"^error: .*\nhint: .*$", result.output, re.MULTILINE)
    said = re.findall(r"^error: ", result.output, re.MULTILINE)
    if result.exit_code != 1 or len(errors) != 1 or len(said) != 1:
        return "failed", f"exit status {result.exit_code} without one line of cause and one of hint: {result.output}"
    return "refused", next((row["reason"] for row in rows), errors[0])


def gives_frame(path: Path) -> bool:
    """Whether a decoder gives one frame of a file's first video stream."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            small = stream.width * stream.height <= _LARGEST_FOR_A_LOOK
            return small and any(True for _ in container.decode(stream))
    except (av.FFmpegError, OSError, AttributeError, IndexError, ValueError, MemoryError):
        return False
