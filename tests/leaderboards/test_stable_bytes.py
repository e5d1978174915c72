"""The tables are the same bytes on any machine: locale, time zone, threads, hashing and order of files do not count."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboards" / "published"
REBUILD = """
import locale, sys
from pathlib import Path
try:
    locale.setlocale(locale.LC_ALL, "")
except locale.Error:
    pass  # it is not installed here
if len(sys.argv) > 3:
    listed = Path.glob
    Path.glob = lambda folder, pattern: reversed(sorted(listed(folder, pattern)))
from dancebench.leaderboards.board import rebuild
rebuild(Path(sys.argv[1]), Path(sys.argv[2]))
"""
MACHINES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "UTC", "OMP_NUM_THREADS": "1"},
    "German": {"LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Kathmandu", "OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "7"},
    "reversed": {"LC_ALL": "C.UTF-8", "TZ": "America/St_Johns", "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "1"},
}


@pytest.mark.parametrize("name", MACHINES)
def test_frozen_the_published_tables_are_the_same_bytes(tmp_path: Path, name: str) -> None:
    order = ["reversed"] if name == "reversed" else []
    subprocess.run(
        [sys.executable, "-c", REBUILD, str(PUBLISHED / "records"), str(tmp_path), *order],
        check=True, env={**os.environ, **MACHINES[name]},
    )  # fmt: skip
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {Path(name).suffix for name in made} == {".md", ".csv", ".json"}
    for file, content in made.items():
        assert content == (PUBLISHED / file).read_bytes(), file
        assert b"\r" not in content
