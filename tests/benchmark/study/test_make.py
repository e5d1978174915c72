"""Making a study: which frames are shown, under which names, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from study_site import FPS, FRAMES, METHODS, SIZE, SUBJECTS, make_toys, plan_study, write_fake

from dancebench.benchmark.study.make import make_study
from dancebench.benchmark.study.records import Access, StudyFolder, StudyRecord
from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.video.clips import VideoReader

Toys = tuple[Workspace, Dataset]


def test_pairs_of_every_subject_and_checks_of_both_kinds(toys: Toys) -> None:
    workspace, dataset = toys
    study = make_study(plan_study(workspace, dataset, "pairs"))
    folder = StudyFolder(workspace, "pairs")
    assert folder.load() == study
    folder.check_clips(study)
    assert len(study.items) == len(SUBJECTS) * 3
    for item in study.items:
        first, second = (study.clip_of[clip] for clip in item.clips)
        assert (first.subject, first.source) == (second.subject, second.source)
        assert first.method != second.method
    assert {check.kind for check in study.checks} == {"instructed", "obvious"}
    assert study.trials_per_rater == 15, "no rater sees a pair twice"
    for check in study.checks:
        assert check.expected in check.clips


def test_ddg_s_questions_are_about_up_to_four_at_once(tmp_path: Path) -> None:
    workspace, dataset = make_toys(tmp_path / "w")
    for at, method in enumerate(("posewarp", "mean-frame")):
        write_fake(workspace, method, "1", "1", 50 + at)
    methods = (*METHODS, "posewarp", "mean-frame")
    study = make_study(plan_study(workspace, dataset, "at-once", "ddg", methods=methods, subjects=("1", "2")))
    shown = [tuple(study.clip_of[clip].method for clip in item.clips) for item in study.items]
    of_first = [each for each in shown if len(each) == 4]
    assert len(set(of_first)) == 5, "every four of the five methods of the first subject"
    assert shown[5:] == [METHODS], "the three of the second"
    for check in study.checks:
        assert check.expected in check.clips
        if check.kind == "obvious":
            good, *copies = check.clips
            assert (check.expected, len(copies), len(set(copies))) == (good, 3, 1)
    assert len({check.clips.index(check.expected or "") for check in study.checks if check.kind == "instructed"}) > 1


def test_names_of_clips_tell_nothing(toys: Toys) -> None:
    workspace, dataset = toys
    study = make_study(plan_study(workspace, dataset, "opaque"))
    names = {path.stem for path in StudyFolder(workspace, "opaque").path.joinpath("clips").iterdir()}
    assert names == {clip.id for clip in study.clips}
    for name in names:
        assert len(name) == 16
        assert int(name, 16) >= 0


def test_the_same_plan_is_the_same_study_and_codes_are_not(toys: Toys, tmp_path: Path) -> None:
    workspace, dataset = toys
    first = make_study(plan_study(workspace, dataset, "twice"))
    access = Access.load(StudyFolder(workspace, "twice").access_path)
    StudyFolder(workspace, "twice").path.rename(tmp_path / "elsewhere")
    second = make_study(plan_study(workspace, dataset, "twice"))
    assert first.sha256 == second.sha256
    assert access != Access.load(StudyFolder(workspace, "twice").access_path)
    changed = second.model_copy(update={"rules": second.rules.model_copy(update={"max_failed_checks": 1})})
    assert changed.rules_sha256 != second.rules_sha256
    assert changed.sha256 != second.sha256


def test_snippets_are_the_same_frames_of_the_motion(tmp_path: Path) -> None:
    workspace, dataset = make_toys(tmp_path / "w")
    write_fake(workspace, "fbf", "1", "1", 7, first_frame=12)
    study = make_study(plan_study(workspace, dataset, subjects=("1",), seconds=0.08))
    shown = [clip for clip in study.clips if clip.id in {name for item in study.items for name in item.clips}]
    starts = {clip.method: clip.start_s * FPS for clip in shown}
    # Frames 12 to 15 are common; the middle two are shown, of the clip that begins at 12 its second and third.
    assert {clip.n_frames for clip in shown} == {2}
    assert starts == pytest.approx({"fbf": 1, "fbf-ts": 3, "nearest": 3})


def test_clips_are_letterboxed_to_a_size_or_left(toys: Toys) -> None:
    workspace, dataset = toys
    boxed = make_study(plan_study(workspace, dataset, "boxed", size=(144, 256), subjects=("1",)))
    clip = next(clip for clip in boxed.clips if clip.method == "fbf")
    assert (clip.height, clip.width, boxed.frame_size) == (144, 256, "144x256")
    with VideoReader(StudyFolder(workspace, "boxed").clip_path(clip.id)) as reader:
        frame = reader[0].astype(int)
    assert frame[:, :80].max() < 24, "black beside the person, never stretched"
    assert frame[:, 100:156].mean() > 60
    native = make_study(plan_study(workspace, dataset, "native", subjects=("1",), seconds=None))
    assert {(clip.height, clip.width) for clip in native.clips} == {SIZE}
    assert native.seconds is None
    assert {clip.n_frames for clip in native.clips} == {FRAMES}


def test_the_obvious_copy_is_coarse_and_stands_still(toys: Toys) -> None:
    workspace, dataset = toys
    study = make_study(plan_study(workspace, dataset, "obvious"))
    check = next(check for check in study.checks if check.kind == "obvious")
    good, bad = check.clips
    assert check.expected == good
    folder = StudyFolder(workspace, "obvious")
    with VideoReader(folder.clip_path(good)) as original, VideoReader(folder.clip_path(bad)) as copy:
        assert len(copy) == len(original)
        assert np.abs(np.diff(copy.read(range(len(copy))).astype(int), axis=0)).mean() < 3
        assert (
            np.abs(np.diff(original[0].astype(int), axis=0)).mean()
            > 3 * np.abs(np.diff(copy[0].astype(int), axis=0)).mean()
        )


def test_single_videos_have_the_real_among_them(toys: Toys) -> None:
    workspace, dataset = toys
    study = make_study(plan_study(workspace, dataset, "believed", "real-or-fake", methods=("fbf",)))
    shown = [study.clip_of[item.clips[0]] for item in study.items]
    assert sorted((clip.subject, clip.method or "real") for clip in shown) == [
        (subject, name) for subject in SUBJECTS for name in ("fbf", "real")
    ]
    assert {check.expected for check in study.checks} == {"real", "fake"}


def test_an_existing_study_stays(toys: Toys) -> None:
    workspace, dataset = toys
    study = make_study(plan_study(workspace, dataset, "stays"))
    with pytest.raises(BenchError, match="exists") as caught:
        make_study(plan_study(workspace, dataset, "stays", seed=4))
    assert caught.value.hint
    assert StudyFolder(workspace, "stays").load() == study


def test_without_fakes_to_compare_nothing_is_made(toys: Toys) -> None:
    workspace, dataset = toys
    for changes in ({"variant": "paper-s0"}, {"methods": ("fbf",)}, {"methods": ("fbf", "posewarp")}):
        with pytest.raises(BenchError, match="no fakes of") as caught:
            make_study(plan_study(workspace, dataset, "none", **changes))
        assert "bench synth" in (caught.value.hint or "")
    assert not StudyFolder(workspace, "none").path.exists()
    with pytest.raises(BenchError, match="cannot be the name of a study"):
        make_study(plan_study(workspace, dataset, "../none"))


def test_a_fake_that_was_changed_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    workspace, dataset = make_toys(tmp_path / "w")
    path = workspace.fake(METHODS[0], "toys", "2", "tiny-s0", source="2")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BenchError, match="not the clip that its record describes") as caught:
        make_study(plan_study(workspace, dataset))
    assert caught.value.hint
    assert not list(workspace.root.joinpath("studies").glob("*")) or not StudyFolder(workspace, "pilot").path.exists()


def test_fakes_without_common_frames_are_refused(tmp_path: Path) -> None:
    workspace, dataset = make_toys(tmp_path / "w")
    write_fake(workspace, "fbf", "1", "1", 7, first_frame=100)
    with pytest.raises(BenchError, match="no frames in common"):
        make_study(plan_study(workspace, dataset))


def test_clips_that_changed_later_are_named(toys: Toys) -> None:
    workspace, dataset = toys
    study = make_study(plan_study(workspace, dataset, "changed"))
    folder = StudyFolder(workspace, "changed")
    path = folder.clip_path(study.clips[0].id)
    path.write_bytes(b"other")
    with pytest.raises(BenchError, match="was changed") as caught:
        folder.check_clips(study)
    assert str(path) in caught.value.message
    path.unlink()
    with pytest.raises(BenchError, match="is missing"):
        folder.check_clips(study)


def test_frozen_study_json_of_version_1_is_read(toys: Toys, tmp_path: Path) -> None:
    workspace, dataset = toys
    study = make_study(plan_study(workspace, dataset, "frozen"))
    path = StudyFolder(workspace, "frozen").record_path
    assert '"schema_version": 1' in path.read_text()
    newer = tmp_path / "study.json"
    newer.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(BenchError, match="schema version 2"):
        StudyRecord.load(newer)
    assert dataclasses.is_dataclass(plan_study(workspace, dataset))
    assert StudyRecord.load(path) == study
