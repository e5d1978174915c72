"""What is read of a corpus' files before any of them is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from outside_files import moving, write_video

from dancebench.core.progress import ignore_progress
from dancebench.datasets.corpora import file_facts
from dancebench.datasets.corpora.file_facts import FileFactsRecord, read_file_facts
from dancebench.datasets.corpora.manifest import MAX_FPS, VideoRow
from dancebench.datasets.video.containers import Header


def row(path: str) -> VideoRow:
    facts: dict[str, Any] = {"fps": 25, "n_frames": 3, "codec": "h264", "crf": None, "width": 32, "height": 64}
    return VideoRow(
        video_id="a",
        path=path,
        sha256=None,
        label=0,
        split="train",
        people=(),
        group="a",
        method=None,
        status="claimed",
        **facts,
    )


def test_a_header_is_read_as_it_is(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(3))
    facts = read_file_facts(tmp_path, [row("a.mp4")], FileFactsRecord(), ignore_progress)["a.mp4"]
    assert facts.header == {"codec": "h264", "width": 32, "height": 64, "fps": 25, "n_frames": 3}


@pytest.mark.parametrize(
    "claim", [{"width": 0}, {"height": 2**54}, {"fps": 2 * MAX_FPS}, {"n_frames": -3}, {"n_frames": 2**54}]
)
def test_a_header_that_claims_what_no_video_has_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claim: dict[str, Any]
) -> None:
    write_video(tmp_path / "a.mp4", moving(3))
    sound = {"codec": "h264", "width": 32, "height": 64, "fps": 25.0, "n_frames": 3}
    monkeypatch.setattr(file_facts, "read_header", lambda path: Header(**sound | claim))
    facts = read_file_facts(tmp_path, [row("a.mp4")], FileFactsRecord(), ignore_progress)["a.mp4"]
    assert (facts.header, facts.reason) == ({}, "claims a size, a rate or a number of frames that no video has.")
