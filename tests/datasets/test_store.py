"""Datasets on disk: adding, listing, verifying, refusing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.workspace import Workspace, safe_name
from dancebench.datasets.models import DatasetRecord, FileSource, PrepareConfig, Role, SplitConfig, SubjectEntry
from dancebench.datasets.permission import permission_for
from dancebench.datasets.store import Dataset, names, size_for
from dancebench.datasets.video import write_clip


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


def test_the_chronological_split_covers_every_frame_once() -> None:
    for n in (1, 7, 40, 187):
        split = SplitConfig(train_fraction=0.8)
        assert [*split.train(n), *split.test(n)] == list(range(n))
    assert len(SplitConfig(train_fraction=0.2).train(100)) == 20


def test_a_name_cannot_leave_its_folder() -> None:
    for bad in ("../up", "a/b", "", ".", "..", "a\n", "x" * 65, "/etc"):
        with pytest.raises(BenchError):
            safe_name("dataset", bad)


def test_opening_an_unknown_dataset_proposes_the_nearest(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    Dataset.create(workspace, record(name="mine"))
    with pytest.raises(UnknownNameError) as error:
        Dataset.open(workspace, "mien")
    assert error.value.hint is not None
    assert "'mine'" in error.value.hint
    assert names(workspace) == ["mine"]


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    Dataset.create(workspace, record(entry("a")))
    assert Dataset.create(workspace, record(entry("a"))).ids() == ["a"]
    with pytest.raises(BenchError, match="already has another dataset named 'd'"):
        Dataset.create(workspace, record(entry("b")))


def test_unknown_and_unprepared_subjects_are_told_apart(tmp_path: Path) -> None:
    dataset = Dataset.create(Workspace(tmp_path), record(entry("anna")))
    with pytest.raises(UnknownNameError, match="Unknown subject 'ana'"):
        dataset.subject("ana")
    with pytest.raises(BenchError, match="has no clip yet"):
        dataset.subject("anna")


@pytest.mark.parametrize(("role", "flag"), [("target", "--consent"), ("driver", "--legal-basis")])
def test_without_permission_nobody_is_added(role: Role, flag: str) -> None:
    for given in (None, "", "  "):
        with pytest.raises(BenchError) as error:
            permission_for(role, consent=given, legal_basis=given)
        assert error.value.hint is not None
        assert flag in error.value.hint
    with pytest.raises(BenchError):  # the other role's permission does not do
        permission_for(
            role, consent="yes" if role != "target" else None, legal_basis="yes" if role == "target" else None
        )


def test_permission_may_be_a_text_or_a_file(tmp_path: Path) -> None:
    form = tmp_path / "release form.txt"
    form.write_text("I agree.")
    from_file = permission_for("target", consent=str(form), legal_basis=None)
    from_text = permission_for("target", consent="I agree.", legal_basis=None)
    assert from_file.record.text == "release form.txt"
    assert from_file.files == {"permission.txt": form}
    assert from_text.record.text == "I agree."
    assert from_text.files == {}
    assert from_file.record.sha256 == from_text.record.sha256


def test_a_mistyped_document_is_not_taken_for_a_statement(tmp_path: Path) -> None:
    for given in ("releese.pdf", str(tmp_path / "nowhere")):
        with pytest.raises(BenchError, match="does not exist"):
            permission_for("target", consent=given, legal_basis=None)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(BenchError, match="is empty"):
        permission_for("target", consent=str(tmp_path / "empty.txt"), legal_basis=None)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1080, 1920), (256, 512)), ((1920, 1080), (512, 256)), ((720, 720), (512, 512)), ((480, 640), (512, 512))],
)
def test_closed_form_clip_sizes_waste_least(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert size_for(*size) == expected


def blank(path: Path, n_frames: int = 12) -> Path:
    rng = np.random.default_rng(0)
    write_clip(path, (rng.integers(0, 60, (128, 64, 3), dtype=np.uint8) for _ in range(n_frames)), 25)
    return path


def test_a_recording_without_a_person_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    dataset = Dataset(workspace.dataset("d"), record())
    with pytest.raises(BenchError, match="No person was found in any of the 12 frames"):
        dataset.add(
            "a",
            blank(tmp_path / "noise.mp4"),
            role="target",
            licence="MIT",
            permission=permission_for("target", consent="yes", legal_basis=None),
        )
    assert [path for path in workspace.root.rglob("*") if path.is_file()] == []


def test_a_real_recording_is_added_once_and_verified(tmp_path: Path, real_clips: Path) -> None:
    dataset = Dataset(Workspace(tmp_path).dataset("d"), record())
    form = tmp_path / "form.txt"
    form.write_text("I agree.")
    permission = permission_for("target", consent=str(form), legal_basis=None)
    clip = real_clips / "tfjs_pose_squats.mp4"
    grown, subject = dataset.add("a", clip, role="target", licence="Apache-2.0", permission=permission)
    assert (subject.record.n_frames, subject.record.fps) == (65, 5.0)
    assert subject.record.person_frames == 65
    assert grown.verify() == []
    assert (subject.folder / "permission.txt").read_text() == "I agree."
    again, same = grown.add("a", clip, role="target", licence="Apache-2.0", permission=permission)
    assert (again.ids(), same.record) == (["a"], subject.record)
    with pytest.raises(BenchError, match="already has a subject 'a'"):
        grown.add("a", clip, role="driver", licence="Apache-2.0", permission=permission)
    content = grown.content_sha256(["a"])
    poses = subject.folder / "poses.npz"
    poses.write_bytes(poses.read_bytes()[:-1] + b"x")
    assert grown.verify() == ["a: poses.npz was changed after it was prepared"]
    (subject.folder / "clip.mp4").unlink()
    assert "a: clip.mp4 is missing" in grown.verify()
    assert grown.content_sha256(["a"]) == content  # it is of the record: verify compares the files
