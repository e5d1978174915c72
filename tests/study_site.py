"""Studies of small clips, made without any synthesis, and what a browser does with their pages."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dancebench.benchmark.study.make import StudyPlan
from dancebench.benchmark.study.records import Access, ExclusionRules, StudyFolder, StudyRecord, Task
from dancebench.benchmark.study.store import Store
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.real_clips import RealRecord
from dancebench.datasets.subjects.records import DatasetRecord, FileSource, PrepareConfig, SplitConfig, SubjectEntry
from dancebench.datasets.video.clips import write_clip
from dancebench.synth.render import FakeRecord

METHODS = ("fbf", "fbf-ts", "nearest")
SUBJECTS = ("1", "2", "3", "4", "5")
FRAMES, FPS, SIZE = 6, 25, (64, 32)


def write_frames(path: Path, seed: int) -> str:
    generator = np.random.default_rng(seed)
    frames = generator.integers(0, 255, (FRAMES, *SIZE, 3)).astype(np.uint8)
    return write_clip(path, iter(frames), FPS).sha256


def write_fake(workspace: Workspace, method: str, subject: str, source: str, seed: int, first_frame: int = 10) -> Path:
    path = workspace.fake(method, "toys", subject, "tiny-s0", source=source)
    FakeRecord(
        method=method, preset="tiny", seed=0, dataset_id="a" * 64, subject=subject, source=source,
        source_sha256="b" * 64, motion_sha256="c" * 64, normalisation=None, first_frame=first_frame, n_frames=FRAMES,
        frames_without_pose=0, fps=FPS, height=SIZE[0], width=SIZE[1], sha256=write_frames(path, seed),
        weights_sha256="d" * 64, encoder="x", git_sha=None, dirty=None, versions={},
    ).save(path.with_suffix(".json"))  # fmt: skip
    path.with_suffix(".poses.json").write_text("{}")  # what a metric leaves beside a fake
    return path


def make_toys(root: Path) -> tuple[Workspace, Dataset]:
    """A workspace with the fakes and the real clip of every subject."""
    workspace = Workspace(root).open()
    source = FileSource(name="toy.mp4", sha256="0" * 64)
    dataset = Dataset.create(
        workspace,
        DatasetRecord(
            name="toys", licence="MIT", prepare=PrepareConfig(height=128, width=64), split=SplitConfig(),
            subjects=tuple(SubjectEntry(id=name, role="target", source=source) for name in SUBJECTS),
        ),
    )  # fmt: skip
    for at, (subject, method) in enumerate(itertools.product(SUBJECTS, METHODS)):
        write_fake(workspace, method, subject, subject, at)
    for at, subject in enumerate(SUBJECTS):
        path = workspace.real("toys", subject, max(SIZE))
        RealRecord(
            subject=subject, content_sha256="e" * 64, first_frame=10, n_frames=FRAMES, fps=FPS, height=SIZE[0],
            width=SIZE[1], sha256=write_frames(path, 100 + at), encoder="x",
        ).save(path.with_suffix(".json"))  # fmt: skip
    return workspace, dataset


def plan_study(
    workspace: Workspace, dataset: Dataset, name: str = "pilot", task: Task = "edn", **changes: Any
) -> StudyPlan:
    values: dict[str, Any] = {
        "methods": METHODS, "subjects": None, "variant": "tiny-s0", "seed": 0, "seconds": 10.0, "size": None,
        "trials": 18, "checks": 2, "contact": "A. Researcher <a@example.org>", "rules": ExclusionRules(), **changes,
    }  # fmt: skip
    return StudyPlan(workspace, dataset, name, task, **values)


@dataclass
class Browser:
    """What a page does, over a real connection."""

    address: tuple[str, int]
    token: str
    secret: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """One request; its status and body."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            own = {"X-Study-Token": self.token, "Authorization": f"Bearer {self.secret}", **self.headers}
            connection.request(method, path, data, own | {"Content-Type": "application/json"} | headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """One request of JSON."""
        data = None if body is None else json.dumps(body).encode()
        status, text = self.send("GET" if body is None else "POST", path, data)
        return status, json.loads(text)

    def enrol(self, **panel: str) -> None:
        status, answer = self.ask("/api/enrol", {"agreed": True, "panel": panel})
        assert status == 200, answer
        self.secret = answer["secret"]

    def read(self) -> dict[str, Any]:
        status, session = self.ask("/api/session")
        assert status == 200, session
        found: dict[str, Any] = session
        return found

    def make_answer(self, trial: Mapping[str, Any], choice: str = "a", **log: Any) -> dict[str, Any]:
        """An answer to an edn trial as a page gives it after both videos."""
        plays = {
            slot: {"ended": True, "played_s": video["seconds"], "wall_s": video["seconds"]}
            for slot, video in zip("abcd", trial["videos"], strict=False)
        }
        return {
            "position": trial["position"], "answers": {"realistic": choice},
            "log": {"playback": plays, "reaction_ms": 900, **log},
        }  # fmt: skip


@dataclass
class Site:
    """A study whose page is served."""

    folder: StudyFolder
    study: StudyRecord
    store: Store
    access: Access
    address: tuple[str, int]
    clock: list[float]
    """The server's time in seconds, and by how much every look moves it on."""

    def open_browser(self) -> Browser:
        return Browser(self.address, self.access.token)
