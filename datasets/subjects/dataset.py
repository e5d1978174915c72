"""Datasets on disk: subjects with their prepared clips, listed by `dataset.json`.

    datasets/NAME/dataset.json
    datasets/NAME/subjects/ID/{clip.mp4, poses.npz, subject.json}, with imports also labels/, face_boxes.npz,
    and masks.{npz, json} once a method or a metric needed them

A recording or an import is added with the person's consent (targets) or a stated legal basis (everybody
else). A subject's folder is written whole before `dataset.json` names it.

A run may divide the clips in time otherwise than `dataset.json` says. Its dataset then has the same files, but another
name, NAME.train-FRACTION, and another `dataset_id`: what is made from it lies apart and never ranks beside the other's.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dancebench.core.errors import BenchError, UnknownNameError, replace_undecodable
from dancebench.core.files import atomic_folder, sha256_file, sha256_json
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.workspace import Workspace, validate_name
from dancebench.datasets.subjects.footage import Footage, Imported
from dancebench.datasets.subjects.permission import StatedPermission
from dancebench.datasets.subjects.prepare import prepare
from dancebench.datasets.subjects.records import (
    DatasetRecord,
    FileSource,
    Permission,
    Role,
    SplitConfig,
    SubjectEntry,
    SubjectRecord,
    list_recordings,
)  # fmt: skip
from dancebench.datasets.subjects.subject import Subject
from dancebench.datasets.video.frames import FrameSource, open_source

__all__ = ["Dataset", "Subject", "choose_clip_size", "prepare_subject"]


_OTHER_SPLIT: Final = re.compile(r"(?P<name>.+)\.train-(?P<fraction>0\.(?=\d*[1-9])\d{1,6})")


@dataclass(frozen=True)
class Dataset:
    """A dataset of one workspace.

    Attributes:
        has_other_split: Whether its clips are divided otherwise than its `dataset.json` says (`divide`).
    """

    folder: Path
    record: DatasetRecord
    has_other_split: bool = False

    @classmethod
    def create(cls, workspace: Workspace, record: DatasetRecord) -> Dataset:
        """Write a new dataset, or open the existing one of that name if it is the same.

        Raises:
            BenchError: Another dataset has that name.
        """
        folder = workspace.dataset(record.name)
        path = folder / "dataset.json"
        if path.exists():
            existing = cls(folder, DatasetRecord.load(path))
            if existing.record.dataset_id != record.dataset_id:
                if existing.record.model_copy(update={"poses": record.poses}).dataset_id == record.dataset_id:
                    raise BenchError(
                        f"The workspace's dataset '{record.name}' has poses of {existing.record.poses.extractor}, "
                        f"not of {record.poses.extractor}.",
                        hint="Poses of two extractors are not comparable: choose another --workspace.",
                    )
                raise BenchError(
                    f"The workspace already has another dataset named '{record.name}'.",
                    hint="Choose another name, another --workspace, or remove the old one.",
                )
            return existing
        record.save(path)
        return cls(folder, record)

    @classmethod
    def open(cls, workspace: Workspace, name: str) -> Dataset:
        """Open a dataset by name; NAME.train-FRACTION is dataset NAME with its clips divided so (`divide`).

        Raises:
            UnknownNameError: There is none of that name.
        """
        path = workspace.dataset(name) / "dataset.json"
        if not path.exists():
            undivided, train_fraction = read_split_name(name)
            if train_fraction is not None and undivided in workspace.list_datasets():
                return cls.open(workspace, undivided).divide(train_fraction)
            raise UnknownNameError("dataset", name, workspace.list_datasets())
        return cls(path.parent, DatasetRecord.load(path))

    @property
    def name(self) -> str:
        return self.record.name

    def divide(self, train_fraction: float) -> Dataset:
        """The same dataset with this share of each clip for training, the rest held out; nothing is written.

        Raises:
            ValueError: The share does not lie between 0 and 1.
        """
        split = SplitConfig(train_fraction=float(f"{train_fraction:.6f}"))
        if split == self.record.split:
            return self
        undivided = read_split_name(self.name)[0] if self.has_other_split else self.name
        name = validate_name("dataset", f"{undivided}.train-{split.train_fraction:.6f}".rstrip("0"))
        return replace(self, record=self.record.model_copy(update={"name": name, "split": split}), has_other_split=True)

    def ids(self, *roles: Role) -> list[str]:
        """Subjects in the order they were listed, all or those with one of `roles`."""
        return [entry.id for entry in self.record.subjects if not roles or entry.role in roles]

    def entry(self, subject_id: str) -> SubjectEntry:
        """How the dataset lists a subject.

        Raises:
            UnknownNameError: It lists none of that id.
        """
        for entry in self.record.subjects:
            if entry.id == subject_id:
                return entry
        raise UnknownNameError("subject", subject_id, self.ids())

    def subject_folder(self, subject_id: str) -> Path:
        return self.folder / "subjects" / validate_name("subject", subject_id)

    def is_prepared(self, subject_id: str) -> bool:
        """Whether the subject's clip has been prepared."""
        return (self.subject_folder(subject_id) / "subject.json").exists()

    def subject(self, subject_id: str) -> Subject:
        """A prepared subject.

        Raises:
            UnknownNameError: The dataset lists none of that id.
            BenchError: Its clip has not been prepared; or it came with a training part of its own, and the dataset has
                another split than its `dataset.json`.
        """
        self.entry(subject_id)
        folder = self.subject_folder(subject_id)
        if not self.is_prepared(subject_id):
            raise BenchError(
                f"Subject '{subject_id}' of dataset '{self.record.name}' has no clip yet.",
                hint="bench data demo draws the demo dancers; bench data add prepares a recording.",
            )
        record = SubjectRecord.load(folder / "subject.json")
        if self.has_other_split and record.n_train is not None:
            raise BenchError(
                f"Subject '{subject_id}' came with its own training part: the first {record.n_train} of its "
                f"{record.n_frames} frames.",
                hint="Leave --train-fraction out: the dataset's own name, without .train-…, keeps that part.",
            )
        return Subject(folder, record, self.record.split)

    def content_sha256(self, subject_ids: list[str]) -> str:
        """Hash of the prepared files of these subjects."""
        records = [self.subject(subject_id).record for subject_id in sorted(subject_ids)]
        return sha256_json([[record.id, *record.contents] for record in records])

    def add(
        self,
        subject_id: str,
        recording: Path,
        *,
        role: Role,
        licence: str,
        permission: StatedPermission,
        report: ReportProgress = ignore_progress,
    ) -> tuple[Dataset, Subject]:
        """Prepare a recording and list it; a failure leaves nothing behind.

        Adding the same recording again under the same id changes nothing.

        Raises:
            BenchError: The id is taken by another recording, or the recording cannot be used.
        """
        _validate_new_subject(subject_id)
        recorded = open_source(recording)
        source = FileSource(name=replace_undecodable(recording.name), sha256=recorded.sha256)
        entry = SubjectEntry(id=subject_id, role=role, source=source)
        return self._prepare_and_list(entry, Footage.from_source(recorded), licence, permission, report)

    def add_import(
        self,
        subject_id: str,
        imported: Imported,
        *,
        role: Role,
        licence: str,
        permission: StatedPermission,
        report: ReportProgress = ignore_progress,
    ) -> tuple[Dataset, Subject]:
        """Prepare an import and list it, as `add` does a recording.

        Raises:
            BenchError: As `add`.
        """
        _validate_new_subject(subject_id)
        entry = SubjectEntry(id=subject_id, role=role, source=imported.source)
        return self._prepare_and_list(entry, imported.footage, licence, permission, report)

    def _prepare_and_list(
        self, entry: SubjectEntry, footage: Footage, licence: str, permission: StatedPermission, report: ReportProgress
    ) -> tuple[Dataset, Subject]:
        self._check_conflicts(entry)
        if entry.id in self.ids() and self.is_prepared(entry.id):
            return self, self.subject(entry.id)
        prepare_subject(
            self,
            entry,
            footage,
            licence=licence,
            permission=permission.record,
            extra_files=permission.files,
            report=report,
        )
        path = self.folder / "dataset.json"
        # Read again: another `add` may have finished while this one prepared its clip.
        record = DatasetRecord.load(path) if path.exists() else self.record
        others = tuple(other for other in record.subjects if other.id != entry.id)
        extended = Dataset(self.folder, record.model_copy(update={"subjects": (*others, entry)}))
        extended.record.save(path)
        return extended, extended.subject(entry.id)

    def _check_conflicts(self, entry: SubjectEntry) -> None:
        """Refuse an id that another source has, and a recording that already has another role."""
        for other in self.record.subjects:
            same_entry = _facts_without_name(entry) == _facts_without_name(other)
            if other.id == entry.id and not same_entry:
                raise BenchError(
                    f"Dataset '{self.record.name}' already has a subject '{entry.id}' "
                    f"({other.role}, {other.source.kind} source).",
                    hint="Choose another --subject.",
                )
            shared = list_recordings(entry.source) & list_recordings(other.source)
            if shared and other.id != entry.id and other.role != entry.role:
                raise BenchError(
                    f"The recording is already in '{self.record.name}', as '{other.id}' ({other.role}).",
                    hint="One person's recording in two roles would leak between the splits.",
                )

    def verify(self) -> list[str]:
        """Compare every prepared file with its recorded hash; returns what is wrong, a line each."""
        problems = []
        for entry in self.record.subjects:
            if not self.is_prepared(entry.id):
                if entry.source.kind != "drawn":
                    problems.append(f"{entry.id}: its folder is missing")
                continue
            subject = self.subject(entry.id)
            if (subject.record.role, subject.record.source) != (entry.role, entry.source):
                problems.append(f"{entry.id}: subject.json and dataset.json disagree on role or source")
            problems += subject.changed_files()
        return problems


def prepare_subject(
    dataset: Dataset,
    entry: SubjectEntry,
    recording: FrameSource | Footage,
    *,
    licence: str,
    permission: Permission,
    extra_files: dict[str, Path] | None = None,
    report: ReportProgress = ignore_progress,
) -> None:
    """Write a subject's folder, whole or not at all.

    Args:
        dataset: The dataset whose prepare configuration applies.
        entry: Identity, role and source.
        recording: The frames, and what came with them.
        licence: Of the recording.
        permission: Consent or legal basis.
        extra_files: Files to keep beside the clip, by name (a demo dancer's true keypoints).
        report: Progress.
    """
    footage = recording if isinstance(recording, Footage) else Footage.from_source(recording)
    extractor = dataset.record.poses.open() if footage.supplied_poses is None else None
    with atomic_folder(dataset.subject_folder(entry.id)) as folder:
        prepared = prepare(footage, dataset.record.prepare, folder, extractor=extractor, report=report)
        for name, path in (extra_files or {}).items():
            shutil.copyfile(path, folder / name)
        SubjectRecord(
            id=entry.id,
            role=entry.role,
            source=entry.source,
            licence=licence,
            permission=permission,
            source_fps=footage.fps,
            source_height=footage.height,
            source_width=footage.width,
            source_frames=footage.n_frames,
            fps=float(prepared.clip.fps),
            height=prepared.clip.height,
            width=prepared.clip.width,
            n_frames=prepared.clip.n_frames,
            person_frames=prepared.person_frames,
            decoder=footage.decoder,
            encoder=prepared.clip.encoder,
            pose_extractor=footage.supplied_poses or dataset.record.poses.description,
            clip_sha256=sha256_file(folder / "clip.mp4"),
            poses_sha256=sha256_file(folder / "poses.npz"),
            breaks=prepared.breaks,
            decode_warnings=prepared.decode_warnings,
            n_train=prepared.n_train,
            labels_sha256=prepared.labels_sha256,
            face_boxes_sha256=prepared.face_boxes_sha256,
        ).save(folder / "subject.json")


def read_split_name(name: str) -> tuple[str, float | None]:
    """A dataset's name without .train-FRACTION, and the fraction; None where it has none."""
    found = _OTHER_SPLIT.fullmatch(name)
    return (name, None) if found is None else (found["name"], float(found["fraction"]))


def _validate_new_subject(subject_id: str) -> None:
    validate_name("subject", subject_id)
    if subject_id == "all":
        raise BenchError("A subject cannot be called 'all'.", hint="--subject all stands for all targets.")


def _facts_without_name(entry: SubjectEntry) -> tuple[Role, dict[str, object]]:
    """Role and source, whatever the source's file is called."""
    return entry.role, entry.source.model_dump(exclude={"name"})


def choose_clip_size(height: int, width: int) -> tuple[int, int]:
    """The clip size that needs least letterboxing for a recording of this size: 512x256, 512x512 or 256x512."""
    shapes = {0.5: (512, 256), 1.0: (512, 512), 2.0: (256, 512)}
    aspect = width / height
    return shapes[min(shapes, key=lambda shape: max(shape / aspect, aspect / shape))]
