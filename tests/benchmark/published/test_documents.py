"""Tables between markers of a document: written from the records, compared byte for byte."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.benchmark.published.documents import END, fill_tables
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.leaderboards.significance.differences import Runs, read_runs

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = ROOT / "leaderboards" / "published"
TITLE = "synthesis: demo · 971c3c8e802e · 5 subjects · 192x96"


@pytest.fixture(scope="module")
def runs() -> Runs:
    return read_runs(PUBLISHED / "records")


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "page.md"
    path.write_text("\n".join(["# Page", *lines]) + "\n")
    return path


def test_what_stands_between_markers_is_the_section_of_that_title(tmp_path: Path, runs: Runs) -> None:
    path = write(tmp_path, f"<!-- leaderboard {TITLE} -->", "old", END, "after")
    text = fill_tables(path, runs)
    assert "old" not in text
    assert text.startswith(f"# Page\n<!-- leaderboard {TITLE} -->\n\n| method | preset | body SSIM ↑ |")
    assert "| `posewarp` | small | 0.860 [0.839, 0.881] † | 0.066 | 24.54 | 0.778 | 0.082 |" in text
    assert "- † fewer than 10 subjects" in text
    assert text.endswith(f"\n\n{END}\nafter\n")
    path.write_text(text)
    assert fill_tables(path, runs) == text  # nothing changes when it is filled again


def test_a_title_that_no_section_has_is_refused(tmp_path: Path, runs: Runs) -> None:
    path = write(tmp_path, f"<!-- leaderboard {TITLE.replace('192x96', '192x97')} -->", END)
    with pytest.raises(UnknownNameError, match="Unknown table of the records") as error:
        fill_tables(path, runs)
    assert TITLE in str(error.value.hint)


@pytest.mark.parametrize(
    ("lines", "message"),
    [((f"<!-- leaderboard {TITLE} -->",), "line 2: a table has no end"), (("text",), "names no table")],
)
def test_markers_that_are_missing_are_named(tmp_path: Path, runs: Runs, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        fill_tables(write(tmp_path, *lines), runs)


def test_a_document_that_is_no_text_is_refused(tmp_path: Path, runs: Runs) -> None:
    (tmp_path / "page.md").write_bytes(b"\xff\xfe")
    for name in ("page.md", "missing.md"):
        with pytest.raises(BenchError, match="cannot be read as text"):
            fill_tables(tmp_path / name, runs)


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["leaderboard", *words])
    return result.exit_code, result.output


def test_the_command_writes_and_then_finds_no_difference(tmp_path: Path) -> None:
    folder = tmp_path / "published"
    (folder / "records").mkdir(parents=True)
    for path in (PUBLISHED / "records").glob("synthesis-*.json"):
        (folder / "records" / path.name).write_bytes(path.read_bytes())
    page = write(tmp_path, f"<!-- leaderboard {TITLE} -->", END)
    words = ("--published", str(folder), "--document", str(page))
    status, output = run(*words, "--check")
    assert status == 1
    assert "page.md" in output.replace("\n", "")
    assert list(folder.glob("*.md")) == []  # a check writes nothing
    assert run(*words)[0] == 0
    assert run(*words, "--check") == (0, "The published tables match their records.\n")
    page.write_text(page.read_text().replace("0.860", "0.960"))
    assert run(*words, "--check")[0] == 1


def test_records_and_folder_must_be_there(tmp_path: Path) -> None:
    status, output = run("--published", str(tmp_path))
    assert status == 1
    assert "holds no run record" in output.replace("\n", " ")
    assert run("--document", "README.md")[0] == 2


def test_frozen_the_readme_shows_what_the_published_records_say(runs: Runs) -> None:
    assert fill_tables(ROOT / "README.md", runs) == (ROOT / "README.md").read_text(encoding="utf-8")
