"""Datasets on disk: adding, listing, verifying, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.workspace import Workspace, validate_name
from dancebench.datasets.dancers.catalogue import SELECTIONS, build_catalogue
from dancebench.datasets.pose.skeleton import has_person
from dancebench.datasets.pose.stick_figures import draw_stick_figure
from dancebench.datasets.subjects.dataset import Dataset, Subject, choose_clip_size
from dancebench.datasets.subjects.permission import state_permission
from dancebench.datasets.subjects.records import (
    FIRST_POSE_SOURCE,
    DatasetRecord,
    DrawnSource,
    FileSource,
    ImportedSource,
    PrepareConfig,
    Role,
    SplitConfig,
    SubjectEntry,
    SubjectRecord,
)  # fmt: skip
from dancebench.datasets.video.clips import write_clip


def entry(subject: str, *, role: Role = "train", sha: str = "a" * 64, name: str = "x.mp4") -> SubjectEntry:
    return SubjectEntry(id=subject, role=role, source=FileSource(name=name, sha256=sha))


def record(*entries: SubjectEntry, name: str = "d", fps: float = 30.0) -> DatasetRecord:
    return DatasetRecord(name=name, licence="MIT", prepare=PrepareConfig(fps=fps), subjects=entries)


def test_the_dataset_id_follows_sources_roles_and_preparation_only() -> None:
    base = record(entry("a"), entry("b")).dataset_id
    assert record(entry("b"), entry("a"), name="other").dataset_id == base
    assert record(entry("a", name="renamed.mp4"), entry("b")).dataset_id == base
    assert record(entry("a", role="holdout"), entry("b")).dataset_id != base
    assert record(entry("a", sha="b" * 64), entry("b")).dataset_id != base
    assert record(entry("a"), entry("b"), fps=25).dataset_id != base


def test_an_import_has_its_own_identity() -> None:
    def dataset_id(**source: Any) -> str:
        fields = {"layout": "edn", "name": "e", "sha256": "a" * 64} | source
        return record(SubjectEntry(id="a", role="target", source=ImportedSource(**fields))).dataset_id

    base = dataset_id()
    assert dataset_id(name="renamed") == base
    assert len({base, dataset_id(layout="openpose"), dataset_id(sha256="b" * 64), dataset_id(fps=25)}) == 4


def test_frozen_published_dataset_ids_hold() -> None:
    published = [
        json.loads(path.read_text())["data"]
        for path in (Path(__file__).parents[3] / "leaderboards" / "published" / "records").glob("*.json")
    ]
    drawn = [data for data in published if data["dataset"] in SELECTIONS]
    assert drawn
    for data in drawn:
        assert build_catalogue(data["dataset"], FIRST_POSE_SOURCE).dataset_id == data["dataset_id"]


def test_frozen_content_hash_of_a_plain_recording(walker: Subject) -> None:
    """The fields of imports do not enter the hash of a clip without them."""
    plain = walker.record.model_copy(update={"clip_sha256": "a" * 64, "poses_sha256": "b" * 64})
    assert plain.contents == ["a" * 64, "b" * 64]
    assert plain.content_sha256 == "2ba3056e95d23c0c154eca683e330401c46e441d5074523e16349e29d7597a64"


def test_records_of_version_1_are_read_and_written_as_the_latest(walker: Subject) -> None:
    path = walker.folder / "subject.json"
    latest = json.loads(path.read_text())
    assert latest["schema_version"] == 4
    import_fields = ("breaks", "n_train", "labels_sha256", "face_boxes_sha256")
    for version, later in ((2, ["decode_warnings"]), (1, ["decode_warnings", *import_fields])):
        earlier = {key: value for key, value in latest.items() if key not in later} | {"schema_version": version}
        path.write_text(json.dumps(earlier))
        assert SubjectRecord.load(path) == walker.record
    dataset = walker.folder.parents[1] / "dataset.json"
    lists = json.loads(dataset.read_text()) | {"schema_version": 1}
    del lists["poses"]
    dataset.write_text(json.dumps(lists))
    upgraded = DatasetRecord.load(dataset)
    assert (upgraded.schema_version, upgraded.poses) == (5, FIRST_POSE_SOURCE)


def test_closed_form_the_kind_of_pictures_follows_from_the_source_unless_it_is_stated() -> None:
    drawn = DrawnSource(generator_version=1, seed=1, n_frames=9)
    file, imported = entry("a").source, ImportedSource(layout="edn", name="e", sha256="a" * 64)
    kinds = [SubjectEntry(id="a", role="train", source=source).pictures for source in (drawn, file, imported)]
    assert kinds == ["drawn", "camera", "camera"]
    filmed_drawing = SubjectEntry(id="a", role="train", source=file, pictures="drawn")
    assert SubjectEntry.model_validate(filmed_drawing.model_dump(mode="json")) == filmed_drawing


def test_a_dataset_of_version_3_is_upgraded_to_state_its_pictures(tmp_path: Path) -> None:
    sources = {"d": DrawnSource(generator_version=1, seed=1, n_frames=9), "f": entry("a").source}
    written = record(*(SubjectEntry(id=name, role="train", source=source) for name, source in sources.items()))
    written.save(tmp_path / "dataset.json")
    data = json.loads((tmp_path / "dataset.json").read_text())
    assert [(subject["id"], subject["pictures"]) for subject in data["subjects"]] == [("d", "drawn"), ("f", "camera")]
    for subject in data["subjects"]:
        del subject["pictures"]
    (tmp_path / "dataset.json").write_text(json.dumps(data | {"schema_version": 3}))
    assert DatasetRecord.load(tmp_path / "dataset.json") == written


def test_frozen_the_kind_of_pictures_does_not_enter_the_dataset_id() -> None:
    stated = record(entry("a").model_copy(update={"pictures": "drawn"}))
    assert stated.dataset_id == record(entry("a")).dataset_id


@pytest.mark.parametrize(
    "wrong", [{"breaks": [0]}, {"breaks": [30]}, {"breaks": [5, 5]}, {"breaks": [7, 5]}, {"n_train": 5}]
)
def test_breaks_lie_within_the_clip_and_include_the_end_of_the_training_part(
    walker: Subject, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        SubjectRecord.model_validate(walker.record.model_dump() | wrong)


@hypothesis.given(breaks=st.sets(st.integers(1, 29)).map(sorted), start=st.integers(0, 30), length=st.integers(0, 30))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_segments_split_a_span_at_its_breaks(walker: Subject, breaks: Sequence[int], start: int, length: int) -> None:
    segmented = Subject(walker.folder, walker.record.model_copy(update={"breaks": tuple(breaks)}), walker.split)
    span = range(start, min(start + length, 30))
    segments = segmented.segments(span)
    assert [t for segment in segments for t in segment] == list(span)
    assert all(segments)
    assert [segment.start for segment in segments[1:]] == [t for t in span[1:] if segmented.starts_segment[t]]
    assert segmented.starts_segment[0]


def test_an_explicit_boundary_replaces_the_split(walker: Subject) -> None:
    assert (walker.train, walker.test) == (range(24), range(24, 30))
    update = {"n_train": 10, "breaks": (10,)}
    imported = Subject(walker.folder, walker.record.model_copy(update=update), walker.split)
    assert (imported.train, imported.test) == (range(10), range(10, 30))


def test_pose_maps_of_a_plain_recording_are_stick_figures(walker: Subject) -> None:
    keypoints = walker.keypoints()
    assert has_person(keypoints).all()
    pose_maps = list(walker.pose_maps(iter([3, 1]), (64, 32)))
    for t, pose_map in zip((3, 1), pose_maps, strict=True):
        assert np.array_equal(pose_map, draw_stick_figure(keypoints[t], (128, 64), (64, 32)))
    assert walker.pose_map_style == "sticks"
    assert walker.face_boxes() is None


def test_the_chronological_split_covers_every_frame_once() -> None:
    for n in (1, 7, 40, 187):
        split = SplitConfig(train_fraction=0.8)
        assert [*split.train(n), *split.test(n)] == list(range(n))
    assert len(SplitConfig(train_fraction=0.2).train(100)) == 20


def test_a_name_cannot_leave_its_folder() -> None:
    for bad in ("../up", "a/b", "", ".", "..", "a\n", "x" * 65, "/etc"):
        with pytest.raises(BenchError):
            validate_name("dataset", bad)


def test_opening_an_unknown_dataset_suggests_the_nearest(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    Dataset.create(workspace, record(name="mine"))
    with pytest.raises(UnknownNameError) as error:
        Dataset.open(workspace, "mien")
    assert error.value.hint is not None
    assert "'mine'" in error.value.hint
    assert workspace.list_datasets() == ["mine"]


def test_a_name_can_be_used_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    Dataset.create(workspace, record(entry("a")))
    assert Dataset.create(workspace, record(entry("a"))).ids() == ["a"]
    with pytest.raises(BenchError, match="already has another dataset named 'd'"):
        Dataset.create(workspace, record(entry("b")))


def test_unknown_and_unprepared_subjects_give_different_errors(tmp_path: Path) -> None:
    dataset = Dataset.create(Workspace(tmp_path), record(entry("anna")))
    with pytest.raises(UnknownNameError, match="Unknown subject 'ana'"):
        dataset.subject("ana")
    with pytest.raises(BenchError, match="has no clip yet"):
        dataset.subject("anna")


@pytest.mark.parametrize(("role", "flag"), [("target", "--consent"), ("driver", "--legal-basis")])
def test_without_permission_nobody_is_added(role: Role, flag: str) -> None:
    for given in (None, "", "  "):
        with pytest.raises(BenchError) as error:
            state_permission(role, consent=given, legal_basis=given)
        assert error.value.hint is not None
        assert flag in error.value.hint
    with pytest.raises(BenchError):  # the other role's permission does not suffice
        state_permission(
            role, consent="yes" if role != "target" else None, legal_basis="yes" if role == "target" else None
        )


def test_permission_may_be_a_text_or_a_file(tmp_path: Path) -> None:
    form = tmp_path / "release form.txt"
    form.write_text("I agree.")
    from_file = state_permission("target", consent=str(form), legal_basis=None)
    from_text = state_permission("target", consent="I agree.", legal_basis=None)
    assert from_file.record.text == "release form.txt"
    assert from_file.files == {"permission.txt": form}
    assert from_text.record.text == "I agree."
    assert from_text.files == {}
    assert from_file.record.sha256 == from_text.record.sha256


def test_a_statement_may_be_longer_than_a_file_name(tmp_path: Path) -> None:
    for text in ("I consent to the use of my recordings. " * 10, "yes" * 125, "a\0b", "x" * 5000):
        stated = state_permission("target", consent=text, legal_basis=None)
        assert stated.record.text == text.strip()
        assert stated.files == {}


def test_a_document_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(BenchError, match="not a regular file") as caught:
            state_permission("target", consent=str(path), legal_basis=None)
        assert caught.value.hint


def test_a_document_keeps_a_name_that_can_be_written(tmp_path: Path) -> None:
    form = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    form.write_text("I agree.")
    stated = state_permission("target", consent=str(form), legal_basis=None)
    assert stated.record.text == "caf\N{REPLACEMENT CHARACTER}.txt"
    assert stated.files == {"permission.txt": form}


def test_a_new_subject_is_not_called_all(tmp_path: Path) -> None:
    dataset = Dataset.create(Workspace(tmp_path).open(), record())
    permission = state_permission("target", consent="yes", legal_basis=None)
    with pytest.raises(BenchError, match="cannot be called 'all'") as caught:
        dataset.add("all", tmp_path / "a.mp4", role="target", licence="CC0", permission=permission)
    assert caught.value.hint


def test_what_lies_in_the_place_of_a_prepared_file_is_a_line(walker: Subject) -> None:
    clip, poses = walker.folder / "clip.mp4", walker.folder / "poses.npz"
    clip.unlink()
    clip.mkdir()
    poses.unlink()
    assert walker.changed_files() == [
        f"walker: {clip} cannot be read: Is a directory.", "walker: poses.npz is missing",
    ]  # fmt: skip
    os.mkfifo(poses)
    assert walker.changed_files()[1] == f"walker: {poses} is not a regular file."


def test_a_mistyped_document_is_not_taken_for_a_statement(tmp_path: Path) -> None:
    for given in ("releese.pdf", str(tmp_path / "nowhere")):
        with pytest.raises(BenchError, match="does not exist"):
            state_permission("target", consent=given, legal_basis=None)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(BenchError, match="is empty"):
        state_permission("target", consent=str(tmp_path / "empty.txt"), legal_basis=None)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1080, 1920), (256, 512)), ((1920, 1080), (512, 256)), ((720, 720), (512, 512)), ((480, 640), (512, 512))],
)
def test_closed_form_clip_sizes_need_least_letterboxing(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert choose_clip_size(*size) == expected


def blank(path: Path, n_frames: int = 12) -> Path:
    rng = np.random.default_rng(0)
    write_clip(path, (rng.integers(0, 60, (128, 64, 3), dtype=np.uint8) for _ in range(n_frames)), 25)
    return path


def test_a_recording_without_a_person_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    dataset = Dataset(workspace.dataset("d"), record())
    with pytest.raises(BenchError, match="No person was found in any of the 12 frames"):
        dataset.add(
            "a",
            blank(tmp_path / "noise.mp4"),
            role="target",
            licence="MIT",
            permission=state_permission("target", consent="yes", legal_basis=None),
        )
    assert [path for path in workspace.root.rglob("*") if path.is_file()] == []


def test_a_real_recording_is_added_once_and_verified(tmp_path: Path, real_clips: Path) -> None:
    dataset = Dataset(Workspace(tmp_path).dataset("d"), record())
    form = tmp_path / "form.txt"
    form.write_text("I agree.")
    permission = state_permission("target", consent=str(form), legal_basis=None)
    clip = real_clips / "tfjs_pose_squats.mp4"
    extended, subject = dataset.add("a", clip, role="target", licence="Apache-2.0", permission=permission)
    assert (subject.record.n_frames, subject.record.fps) == (65, 5.0)
    assert subject.record.person_frames == 65
    assert extended.verify() == []
    assert (subject.folder / "permission.txt").read_text() == "I agree."
    again, same = extended.add("a", clip, role="target", licence="Apache-2.0", permission=permission)
    assert (again.ids(), same.record) == (["a"], subject.record)
    with pytest.raises(BenchError, match="already has a subject 'a'"):
        extended.add("a", clip, role="driver", licence="Apache-2.0", permission=permission)
    content = extended.content_sha256(["a"])
    poses = subject.folder / "poses.npz"
    poses.write_bytes(poses.read_bytes()[:-1] + b"x")
    assert extended.verify() == ["a: poses.npz was changed after it was prepared"]
    (subject.folder / "clip.mp4").unlink()
    assert "a: clip.mp4 is missing" in extended.verify()
    assert extended.content_sha256(["a"]) == content  # it hashes the record: verify compares the files


def test_surroundings_are_written_where_they_move_and_change_no_earlier_id(tmp_path: Path) -> None:
    still = DrawnSource(generator_version=1, seed=1, n_frames=9)
    moving = still.model_copy(update={"surroundings": "moving"})
    assert still.model_dump() == {"kind": "drawn", "generator_version": 1, "seed": 1, "n_frames": 9}
    assert moving.model_dump()["surroundings"] == "moving"
    written = record(
        *(SubjectEntry(id=name, role="train", source=each) for name, each in [("a", still), ("b", moving)])
    )
    written.save(tmp_path / "dataset.json")
    assert DatasetRecord.load(tmp_path / "dataset.json") == written
    ids = {record(SubjectEntry(id="a", role="train", source=each)).dataset_id for each in (still, moving)}
    assert len(ids) == 2
    # A file of version 4 knows none.
    data = json.loads((tmp_path / "dataset.json").read_text()) | {"schema_version": 4}
    del data["subjects"][1]["source"]["surroundings"]
    (tmp_path / "dataset.json").write_text(json.dumps(data))
    assert [each.source for each in DatasetRecord.load(tmp_path / "dataset.json").subjects] == [still, still]
