"""What is printed: on consoles of any encoding, full or closed, and whatever the names of files hold."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import PlainConsole, print_json

NOT_UTF8 = os.fsdecode(b"caf\xe9.mp4")


def show(*lines: str) -> str:
    file = io.StringIO()
    PlainConsole(file=file, width=300).print_lines(*lines)
    return file.getvalue()


def run(
    *arguments: str, environment: Sequence[tuple[str, str]] = (), **streams: object
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "dancebench.benchmark.cli", *arguments]
    return subprocess.run(command, env=os.environ | dict(environment), stderr=subprocess.PIPE, timeout=120, **streams)  # type: ignore[call-overload,no-any-return]


# --- text as it is


@pytest.mark.parametrize("text", ["[case12] w/a.mp4", "[/] [bold]x[/bold]", ":smile: \\[a]", "a\tb".replace("\t", " ")])
def test_brackets_are_no_markup(text: str) -> None:
    assert show(text) == text + "\n"


@given(st.text(max_size=40))
def test_a_text_is_one_line_without_characters_that_a_terminal_acts_on(text: str) -> None:
    shown = show(text)
    assert shown.endswith("\n")
    assert shown[:-1].isprintable()
    if text.isprintable():
        assert shown[:-1] == text


def test_tables_and_bars_show_names_as_they_are() -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, width=300, force_terminal=True, legacy_windows=False)
    table = Table("name")
    table.add_row("[case12] w \x1b[31m")
    console.print(table)
    assert "[case12] w \\x1b[31m" in file.getvalue()
    with ProgressBars(console) as bars:
        bars.report("reading [a]\x1b[2J.mp4", 1, 2)
        assert bars._bars is not None
        bars._bars.refresh()
    assert "reading [a]\\x1b[2J.mp4" in file.getvalue()


def test_a_name_that_is_not_utf8_is_shown_with_a_replacement_sign() -> None:
    assert show(NOT_UTF8) == "caf\N{REPLACEMENT CHARACTER}.mp4\n"


# --- consoles


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_can_be_read_on_every_console(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    print_json({"name": "é → 人", "path": NOT_UTF8})
    assert json.loads(raw.getvalue().decode()) == {"name": "é → 人", "path": "caf\N{REPLACEMENT CHARACTER}.mp4"}


@pytest.mark.parametrize("encoding", ["ascii:strict", "latin-1:strict"])
def test_help_and_tables_print_on_consoles_of_few_characters(encoding: str) -> None:
    for arguments in (("--help",), ("score", "--help"), ("list", "aggregators")):
        result = run(*arguments, environment=[("PYTHONIOENCODING", encoding)], stdout=subprocess.PIPE)
        assert (result.returncode, result.stderr) == (0, b"")
        assert result.stdout


@pytest.mark.parametrize("arguments", [("list", "aggregators"), ("list", "aggregators", "--json"), ("--help",)])
def test_a_full_standard_output_is_named(arguments: tuple[str, ...]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb") as full:
        result = run(*arguments, stdout=full)
    words = " ".join(result.stderr.decode().split())
    assert result.returncode == 1
    assert "error: Standard output cannot be written: No space left on device. hint:" in words
    assert "Traceback" not in words
    assert "Exception ignored" not in words


@pytest.mark.parametrize("arguments", [("list", "aggregators"), ("list", "aggregators", "--json")])
def test_a_closed_standard_output_is_named(arguments: tuple[str, ...]) -> None:
    closed = run(*arguments, preexec_fn=lambda: os.close(1))
    assert closed.returncode == 1
    assert b"error: Standard output is closed" in closed.stderr
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        unread = run(*arguments, stdout=pipe)
    assert unread.returncode == 1
    assert b"error: Standard output cannot be written: it was closed" in unread.stderr
    assert b"Exception ignored" not in unread.stderr


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "import os; from dancebench.benchmark.console import prepare_streams; prepare_streams();"
        f"os._exit(0 if os.open({str(tmp_path / 'a')!r}, os.O_CREAT) > 2 else 1)"
    )
    closed = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=lambda: [os.close(n) for n in range(3)], timeout=60
    )
    assert closed.returncode == 0


def test_a_standard_error_that_nobody_reads_stops_nothing() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    console = PlainConsole(stderr=True)
    console.file = Full()
    console.print_lines("progress")


# --- a listing writes nothing


@pytest.mark.parametrize(
    "arguments", [("list", "subjects", "--dataset", "demo-tiny"), ("data", "list"), ("leaderboard", "--check")]
)
def test_commands_that_only_look_write_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    share = tmp_path / "[case12] w"
    share.mkdir()
    mode = stat.S_IMODE(share.stat().st_mode)
    share.chmod(0o555)
    try:
        result = run(*arguments, "--workspace", str(share), stdout=subprocess.PIPE)
    finally:
        share.chmod(mode)
    assert list(share.iterdir()) == []
    assert b"Traceback" not in result.stderr
    if arguments[0] != "leaderboard":  # which has nothing to compare with
        assert result.returncode == 0, result.stderr
