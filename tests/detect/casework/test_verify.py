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


def make_report(videos: tuple[VideoScore, ...], **changes: Any) -> ScoreReport:
    facts: dict[str, Any] = {
        "dancebench": "1", "git_sha": "abc", "dirty": False, "versions": {"av": "18"}, "detector": "pair-patch",
        "weights_sha256": "w", "card_sha256": "c", "settings": ScoreSettings(pairs=16), "device": "cpu",
        "dataset": None, "created": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return ScoreReport(**facts | changes, videos=videos)


def list_changes(video: VideoScore, **changes: Any) -> list[str]:
    return list(list_differences(video, VideoScore.model_validate(video.model_dump() | changes)))


def test_a_report_loads_as_it_was_saved(videos: tuple[VideoScore, ...], tmp_path: Path) -> None:
    first = make_report(videos)
    first.save(tmp_path / "report.json")
    assert ScoreReport.load(tmp_path / "report.json") == first


def test_a_report_of_version_1_is_read(videos: tuple[VideoScore, ...], tmp_path: Path) -> None:
    old_names = {"out_of_distribution": "domain", "suspicious_pairs": "moments", "decode_warnings": "notes"}
    new = make_report(videos)
    dumped = new.model_dump(mode="json")
    old = [{old_names.get(name, name): value for name, value in video.items()} for video in dumped["videos"]]
    assert old[0]["domain"] is not None
    (tmp_path / "report.json").write_text(json.dumps(dumped | {"schema_version": 1, "videos": old}))
    assert ScoreReport.load(tmp_path / "report.json") == new


def test_a_report_of_version_2_is_read(videos: tuple[VideoScore, ...], tmp_path: Path) -> None:
    new = make_report(videos)
    old = new.model_dump(mode="json") | {"schema_version": 2}
    del old["passed_over"], old["settings"]["frames_per_second"]
    for video in old["videos"]:
        del video["path_bytes"]
    (tmp_path / "report.json").write_text(json.dumps(old))
    assert ScoreReport.load(tmp_path / "report.json") == new


def test_equal_reports_verify(videos: tuple[VideoScore, ...]) -> None:
    found = compare_reports(make_report(videos), make_report(videos, created="2027-01-01T00:00:00+00:00"))
    assert found.holds
    assert found.versions == found.detector == ()
    assert all(video.differences == () for video in found.videos)


def test_changed_versions_are_named_and_do_not_fail(videos: tuple[VideoScore, ...]) -> None:
    found = compare_reports(make_report(videos), make_report(videos, versions={"av": "19"}, git_sha="def", dirty=True))
    assert found.holds
    assert found.versions == ("av: 18, now 19", "git: abc, now def with changes")


def test_another_detector_fails(videos: tuple[VideoScore, ...]) -> None:
    for change in ({"weights_sha256": "x"}, {"card_sha256": "x"}):
        found = compare_reports(make_report(videos), make_report(videos, **change))
        assert not found.holds
        assert len(found.detector) == 1


def test_what_differs_in_a_video_is_named(videos: tuple[VideoScore, ...]) -> None:
    good, failed = videos
    assert good.score is not None
    assert list_changes(good, sha256="0" * 64) == ["the file was changed: its SHA-256 differs"]
    assert list_changes(good, score=good.score + 5e-4) == []
    assert list_changes(good, score=good.score + 5e-3)[0].startswith("score ")
    assert list_changes(good, n_pairs=3) == [f"{good.n_pairs} pairs, now 3"]
    differences = list(list_differences(good, failed))
    assert differences[0] == "the file is missing or cannot be read"
    assert "does not exist" in differences[1]
    assert len(differences) == 2
    assert not compare_reports(make_report((good,)), make_report((failed,))).holds
