"""Comparing a report with the same files scored again."""

import json
from pathlib import Path
from typing import Any

import pytest
from outside_files import make_detector, moving, write_video

from dancebench.detect.casework.score import ScoreReport, ScoreSettings, VideoScore, score_video
from dancebench.detect.casework.verify import compare_reports, list_differences
from dancebench.detect.protocol.card import load_detector


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[VideoScore, ...]:
    """One that was scored and one that failed."""
    root = tmp_path_factory.mktemp("videos")
    loaded = load_detector(make_detector(root / "detector"))
    paths = write_video(root / "a.mp4", moving(40)), root / "missing.mp4"
    return tuple(score_video(path, loaded).record for path in paths)


def report(videos: tuple[VideoScore, ...], **changes: Any) -> ScoreReport:
    facts: dict[str, Any] = {
        "dancebench": "1", "git_sha": "abc", "dirty": False, "versions": {"av": "18"}, "detector": "pair-patch",
        "weights_sha256": "w", "card_sha256": "c", "settings": ScoreSettings(pairs=16), "device": "cpu",
        "dataset": None, "created": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return ScoreReport(**facts | changes, videos=videos)


def changed(video: VideoScore, **changes: Any) -> list[str]:
    return list(list_differences(video, VideoScore.model_validate(video.model_dump() | changes)))


def test_report_survives_its_file(videos: tuple[VideoScore, ...], tmp_path: Path) -> None:
    first = report(videos)
    first.save(tmp_path / "report.json")
    assert ScoreReport.load(tmp_path / "report.json") == first


def test_a_report_of_version_1_is_read(videos: tuple[VideoScore, ...], tmp_path: Path) -> None:
    old_names = {"out_of_distribution": "domain", "suspicious_pairs": "moments", "decode_warnings": "notes"}
    new = report(videos)
    dumped = new.model_dump(mode="json")
    old = [{old_names.get(name, name): value for name, value in video.items()} for video in dumped["videos"]]
    assert old[0]["domain"] is not None
    (tmp_path / "report.json").write_text(json.dumps(dumped | {"schema_version": 1, "videos": old}))
    assert ScoreReport.load(tmp_path / "report.json") == new


def test_the_same_holds(videos: tuple[VideoScore, ...]) -> None:
    found = compare_reports(report(videos), report(videos, created="2027-01-01T00:00:00+00:00"))
    assert found.holds
    assert found.versions == found.detector == ()
    assert all(video.differences == () for video in found.videos)


def test_versions_alone_are_named_and_do_not_fail(videos: tuple[VideoScore, ...]) -> None:
    found = compare_reports(report(videos), report(videos, versions={"av": "19"}, git_sha="def", dirty=True))
    assert found.holds
    assert found.versions == ("av: 18, now 19", "git: abc, now def with changes")


def test_another_detector_does_not_hold(videos: tuple[VideoScore, ...]) -> None:
    for change in ({"weights_sha256": "x"}, {"card_sha256": "x"}):
        found = compare_reports(report(videos), report(videos, **change))
        assert not found.holds
        assert len(found.detector) == 1


def test_what_differs_in_a_video_is_named(videos: tuple[VideoScore, ...]) -> None:
    good, failed = videos
    assert good.score is not None
    assert changed(good, sha256="0" * 64) == ["the file was changed: its SHA-256 is another"]
    assert changed(good, score=good.score + 5e-4) == []
    assert changed(good, score=good.score + 5e-3)[0].startswith("score ")
    assert changed(good, n_pairs=3) == [f"{good.n_pairs} pairs, now 3"]
    gone = list(list_differences(good, failed))
    assert gone[0] == "the file is missing or cannot be read"
    assert "does not exist" in gone[1]
    assert len(gone) == 2
    assert not compare_reports(report((good,)), report((failed,))).holds
