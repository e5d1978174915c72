"""Pose novelty of the people of runs, where the workspace holds the very clips that were measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset, read_split_name
from dancebench.datasets.subjects.pose_novelty import measure_pose_novelty
from dancebench.leaderboards.records import RunRecord


class NoveltyMeasure:
    """Pose novelty of the people of runs, each measured once.

    Args:
        workspace: With the prepared clips.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._measured: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
        self._contents: dict[tuple[str, str, str], str] = {}

    def name_poses(self, record: RunRecord) -> str:
        """Hash of the prepared people where they are those that the run measured, else why they are not."""
        key = record.data.dataset, record.data.dataset_id, record.data.content_sha256
        if key not in self._contents:
            self._contents[key] = self._compare(record)
        return self._contents[key]

    def measure(self, record: RunRecord, subject: str) -> npt.NDArray[np.float64] | str:
        """As `measure_pose_novelty`, or why the clip of the run is not here."""
        state = self.name_poses(record)
        if state != record.data.content_sha256:
            return state
        key = record.data.dataset_id, subject
        if key not in self._measured:
            try:
                person = Dataset.open(self._workspace, record.data.dataset).subject(subject)
                self._measured[key] = measure_pose_novelty(person)
            except BenchError as error:
                return error.message
        return self._measured[key]

    def _compare(self, record: RunRecord) -> str:
        name = record.data.dataset
        if {name, read_split_name(name)[0]}.isdisjoint(self._workspace.list_datasets()):
            return f"dataset '{name}' is not in this workspace"
        try:
            dataset = Dataset.open(self._workspace, name)
            if dataset.record.dataset_id != record.data.dataset_id:
                return f"the workspace's '{name}' is another dataset than the run's"
            content = dataset.content_sha256(sorted(record.per_subject))
        except BenchError as error:
            return error.message.replace(str(self._workspace.root), "workspace")
        return content if content == record.data.content_sha256 else f"the clips of '{name}' are others than the run's"
