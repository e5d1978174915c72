"""Comparing a report with the same files scored again."""

import json
import math
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from outside_files import make_detector, moving, write_video
from pydantic import ValidationError

from dancebench.detect.casework.file_names import make_passed_over
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


def write_before_version_4(report: ScoreReport) -> dict[str, Any]:
    """The report without what ratios tell since version 4, as JSON."""
    data = report.model_dump(mode="json") | {"schema_version": 3}
    del data["ratios"], data["reference"]
    for video in data["videos"]:
        for name in (
            "reference",
            "unbounded_llr",
            "bound",
            "bounds",
            "calibration_interval",
            "calibration_interval_reason",
        ):
            del video[name]
        del video["calibration"]["methods"], video["calibration"]["unseen_methods"]
    return data


def tell_before_version_4(report: ScoreReport) -> ScoreReport:
    """What is read of such a report: its ratios ended at ln(people + 1), the rest is not known."""
    untold = {"methods": None, "unseen_methods": None}
    videos = [
        video.model_copy(
            update={
                "calibration": video.calibration.model_copy(update=untold),
                "calibration_interval_reason": None if video.score is None else "an earlier release did not tell it",
            }
        )
        for video in report.videos
    ]
    return report.model_copy(update={"videos": tuple(videos)})


def test_a_report_of_version_3_is_read(videos: tuple[VideoScore, ...], tmp_path: Path) -> None:
    new = make_report(videos)
    (tmp_path / "report.json").write_text(json.dumps(write_before_version_4(new)))
    read = ScoreReport.load(tmp_path / "report.json")
    assert read.videos[0].bounds.synthesized.llr == pytest.approx(math.log(9))
    assert read == tell_before_version_4(new)


def test_a_report_of_version_1_is_read(videos: tuple[VideoScore, ...], tmp_path: Path) -> None:
    old_names = {"out_of_distribution": "domain", "suspicious_pairs": "moments", "decode_warnings": "notes"}
    new = make_report(videos)
    dumped = write_before_version_4(new)
    old = [{old_names.get(name, name): value for name, value in video.items()} for video in dumped["videos"]]
    assert old[0]["domain"] is not None
    (tmp_path / "report.json").write_text(json.dumps(dumped | {"schema_version": 1, "videos": old}))
    assert ScoreReport.load(tmp_path / "report.json") == tell_before_version_4(new)


def test_a_report_of_version_2_is_read(videos: tuple[VideoScore, ...], tmp_path: Path) -> None:
    """It lacks `start_s` (its times are by the file's clock), names that are not UTF-8, what was passed over."""
    new = make_report(videos)
    old = write_before_version_4(new) | {"schema_version": 2}
    del old["passed_over"], old["settings"]["frames_per_second"]
    for video in old["videos"]:
        del video["path_bytes"], video["start_s"]
    (tmp_path / "report.json").write_text(json.dumps(old))
    read = ScoreReport.load(tmp_path / "report.json")
    assert read.schema_version == 5
    assert all(video.start_s is None for video in read.videos)
    expected = tell_before_version_4(new)
    assert read == expected.model_copy(
        update={"videos": tuple(video.model_copy(update={"start_s": None}) for video in expected.videos)}
    )


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


Place = tuple[str | int, ...]

NOT_COMPUTED: set[Place] = {("schema_version",), ("created",), ("passed_over",)}
"""And the paths of the videos: they say which files are scored again. What was passed over is said to be unverified."""
SAID_APART: set[Place] = {("dancebench",), ("git_sha",), ("dirty",), ("versions", "av"), ("device",)}
"""Of code and libraries: named, but alone they do not fail a verification."""


def list_places(value: Any, where: Place = ()) -> Iterator[Place]:
    """Every value of a JSON document, and every list and object as a whole."""
    if where:
        yield where
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from list_places(part, (*where, key))


def read_place(document: Any, where: Place) -> Any:
    for key in where:
        document = document[key]
    return document


def list_forgeries(value: Any) -> list[Any]:
    """Other values in the same place; some are of a type that the report does not take."""
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [value + 1, value * 1.01 + 0.002, 0, None]
        case str():
            return [f"{value}, forged", None]
        case list():
            return [value[:-1] if value else ["forged"], [*value, *value[-1:]] if value else [], value[::-1]]
        case None:
            return ["forged", 1, 0.5, ["forged"]]
    return [None]


def forge(document: Any, where: Place, value: Any) -> Any:
    forged = deepcopy(document)
    read_place(forged, where[:-1])[where[-1]] = value
    return forged


def test_every_field_that_was_computed_is_compared(videos: tuple[VideoScore, ...]) -> None:
    """Changed one at a time: the report is refused when it is read, or does not verify."""
    genuine = make_report(videos, dataset="demo")
    document = genuine.model_dump(mode="json")
    untold, tried = [], 0
    for where in list_places(document):
        if where in NOT_COMPUTED or where[-1] in ("path", "path_bytes"):
            continue
        original = read_place(document, where)
        for value in list_forgeries(original):
            if value == original:
                continue
            try:
                forged = ScoreReport.model_validate(forge(document, where, value))
            except ValidationError:
                continue
            tried += 1
            if len(forged.videos) != len(videos):
                continue  # then other files are scored again
            found = compare_reports(forged, genuine)
            if found.holds and not (where[:2] in SAID_APART and found.versions) and not found.unverified:
                untold.append((where, value))
    assert tried > 100
    assert untold == []


def test_every_field_of_a_report_is_compared_or_named_as_not_computed(videos: tuple[VideoScore, ...]) -> None:
    """One that is added to the report must be compared in `compare_reports`, or stand here."""
    compared = {"weights_sha256", "card_sha256", "detector", "settings", "dataset", "videos", "ratios", "reference"}
    apart = {where[0] for where in NOT_COMPUTED | SAID_APART}
    assert compared | apart == set(ScoreReport.model_fields)


def test_rounding_and_other_batches_are_tolerated(videos: tuple[VideoScore, ...]) -> None:
    good = videos[0]
    assert good.out_of_distribution is not None
    assert good.fps is not None
    moved = good.pairs[0].model_copy(update={"logit": good.pairs[0].logit + 5e-4})
    assert list_changes(good, pairs=(moved, *good.pairs[1:])) == []
    assert list_changes(good, fps=good.fps * (1 + 1e-9)) == []
    assert list_changes(good, fps=good.fps + 0.01)[0].startswith("fps ")


def test_a_long_list_of_differences_is_cut(videos: tuple[VideoScore, ...]) -> None:
    good = videos[0]
    moved = tuple(pair.model_copy(update={"t": pair.t + 1}) for pair in good.pairs)
    found = list_changes(good, pairs=moved)
    assert found[0].startswith("pairs.0.t ")
    assert found[-1] == f"{len(moved) - 5} more differences in pairs"
    assert len(found) == 6


def test_a_dataset_without_its_record_is_said_to_be_unverified(videos: tuple[VideoScore, ...]) -> None:
    found = compare_reports(make_report(videos, dataset="demo"), make_report(videos))
    assert found.holds
    assert "dataset demo: the record of the run" in found.unverified[0]
    assert not compare_reports(make_report(videos), make_report(videos, dataset="demo")).holds


def test_what_was_passed_over_is_said_to_be_unverified(videos: tuple[VideoScore, ...]) -> None:
    passed_over = (make_passed_over(Path("notes.txt"), "no video"),)
    found = compare_reports(make_report(videos, passed_over=passed_over), make_report(videos))
    assert found.holds
    assert found.unverified == ("what was passed over (1 files or folders): folders are not searched again",)


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
