"""Helpers of the commands."""

from pathlib import Path

import pytest

from dancebench.benchmark.commands.options import name_other_files


def test_what_lies_beside_images_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(7):
        (tmp_path / f"{number}.txt").touch()
    (tmp_path / "1.png").touch()
    name_other_files(tmp_path)
    shown = " ".join(capsys.readouterr().err.split())
    assert shown.endswith("(no image): 7: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 2 more")
    name_other_files(tmp_path / "1.png")
    name_other_files(tmp_path / ("x" * 300))
    assert capsys.readouterr().err == ""
