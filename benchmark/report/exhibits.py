"""Strips and videos of a section: its runs and the workspace's fakes in; pictures and small videos side by side out.

What is shown are the very fakes that were measured: of the record's dataset, by the weights that it names. A strip is
named by the hashes of the clips in it, so it is made once, and the same clips give the same name on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dancebench.benchmark.report.panels import SYNTHETIC, join_panels
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json, write_bytes
from dancebench.core.opencv import cv2
from dancebench.core.workspace import Workspace, validate_name
from dancebench.datasets.pose.skeleton import Keypoints, scale_keypoints
from dancebench.datasets.pose.stick_figures import draw_stick_figure
from dancebench.datasets.subjects.dataset import Dataset, Subject
from dancebench.datasets.subjects.real_clips import RealRecord, list_shown_frames
from dancebench.datasets.video.clips import EncoderSettings, VideoReader, write_clip
from dancebench.datasets.video.upright import Frame
from dancebench.leaderboards.records import RunRecord
from dancebench.leaderboards.site.material import Exhibit, Exhibits
from dancebench.leaderboards.tables import Section
from dancebench.synth.render import FakeRecord

RULES: Final = 1
"""Raised when strips or videos are made otherwise."""
MAX_PEOPLE: Final = 2
"""Shown of a section."""
MAX_METHODS: Final = 8
"""Shown of a section: the best rows."""
MAX_EXHIBITS: Final = 12
"""Of the site."""
MAX_BYTES: Final = 18_000_000
"""Of all strips and videos; the pages take the rest of what the site may weigh."""
_PANEL: Final = 192  # height in pixels
_WIDTH: Final = 960  # in pixels, of a row of panels at most
_MOMENTS: Final = 3
_SECONDS: Final = 2.0
_QUALITY: Final = 82  # of JPEG
_NO_FAKES: Final = "No pictures: the fakes of these runs do not lie in this workspace, or cannot be read."
_ENCODER: Final = EncoderSettings(crf=28)  # an export for people: no detector sees it


@dataclass(frozen=True)
class _Clip:
    """A fake, its record and its label."""

    label: str
    path: Path
    sha256: str
    size: tuple[int, int]


@dataclass(frozen=True)
class _Plan:
    """One person's clips, and where they are shown."""

    subject: Subject
    real: _Clip
    fakes: tuple[_Clip, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return ("sticks", "real", *(fake.label for fake in self.fakes))

    @property
    def name(self) -> str:
        """From what the pictures are made of."""
        clips = [[clip.label, clip.sha256] for clip in (self.real, *self.fakes)]
        return sha256_json([RULES, self.subject.record.poses_sha256, clips])[:20]


class ExhibitMaker:
    """Finds what can be shown, and makes it unless it only looks.

    Args:
        workspace: With the fakes.
        folder: Of strips and videos.
        makes: Whether missing ones are made; else they are left out.
    """

    def __init__(self, workspace: Workspace, folder: Path, *, makes: bool) -> None:
        self._workspace = workspace
        self._folder = folder
        self._makes = makes
        self._count = 0
        self._bytes = 0

    def find(self, section: Section) -> Exhibits:
        """Strips and videos of a section: the first people for whom there are fakes of its best rows."""
        plans = self._plan(section)
        if not plans:
            return Exhibits(
                (), ("No pictures: the fakes of these runs do not lie in this workspace, or cannot be read.",)
            )
        shown = [exhibit for plan in plans if (exhibit := self._show(plan)) is not None]
        reasons = [] if len(shown) == len(plans) else [
            f"{len(plans) - len(shown)} of {len(plans)} people are not shown: their clips cannot be read, or the site "
            "would weigh too much."
        ]  # fmt: skip
        people = len(section.subjects)
        if people > len(plans):
            reasons.append(f"{len(plans)} of {people} people are shown; values of all stand in the charts.")
        return Exhibits(tuple(shown), tuple(reasons))

    def _plan(self, section: Section) -> list[_Plan]:
        try:
            dataset = Dataset.open(self._workspace, section.dataset)
        except BenchError:
            return []
        if dataset.record.dataset_id != section.dataset_id:
            return []
        plans = []
        for subject_id in section.subjects:
            try:
                found = self._plan_person(section, dataset, subject_id)
            except BenchError:  # a damaged record of a person or a clip: the tables stand without its picture
                continue
            plans += [] if found is None else [found]
            if len(plans) == MAX_PEOPLE:
                break
        return plans

    def _plan_person(self, section: Section, dataset: Dataset, subject_id: str) -> _Plan | None:
        if subject_id not in dataset.ids() or not dataset.is_prepared(subject_id):
            return None
        fakes = [
            clip
            for row in section.rows[:MAX_METHODS]
            if (clip := self._find_fake(row.record, subject_id, section.short_name(row))) is not None
        ]
        if not fakes:
            return None
        height, width = fakes[0].size
        path = self._workspace.real(dataset.name, subject_id, max(height, width))
        record = RealRecord.load_if_usable(path.with_suffix(".json"))
        if record is None or not path.is_file() or (record.height, record.width) != (height, width):
            return None
        real = _Clip("real", path, record.sha256, (height, width))
        return _Plan(dataset.subject(subject_id), real, tuple(fake for fake in fakes if fake.size == real.size))

    def _find_fake(self, record: RunRecord, subject: str, label: str) -> _Clip | None:
        """The fake that the run measured, by its first seed."""
        variant = f"{record.entry.preset}-s{min(record.run.seeds.values(), default=0)}"
        try:
            method = validate_name("method", record.entry.name)  # a record from elsewhere names no other folder
            path = self._workspace.fake(
                method, record.data.dataset, subject, validate_name("preset", variant), source=subject
            )
            made = FakeRecord.load(path.with_suffix(".json"))
        except BenchError:
            return None
        known = made.dataset_id == record.data.dataset_id and path.is_file()
        if not known or made.weights_sha256 not in record.entry.weights_sha256.values():
            return None
        return _Clip(label, path, made.sha256, (made.height, made.width))

    def _show(self, plan: _Plan) -> Exhibit | None:
        image, video = self._folder / f"{plan.name}.jpg", self._folder / f"{plan.name}.mp4"
        complete = image.is_file() and video.is_file()
        if self._count == MAX_EXHIBITS or (self._bytes > MAX_BYTES and not complete):
            return None
        if not complete:
            if not self._makes:
                return None
            try:
                _make(plan, image, video)
            except BenchError:
                return None
        self._bytes += image.stat().st_size + video.stat().st_size
        if self._bytes > MAX_BYTES:
            image.unlink()
            video.unlink()
            return None
        self._count += 1
        return Exhibit(plan.subject.id, plan.labels, image, video, _read_size(image))


def _read_size(image: Path) -> tuple[int, int]:
    height, width = cv2.imdecode(np.frombuffer(image.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE).shape
    return int(height), int(width)


def _make(plan: _Plan, image: Path, video: Path) -> None:
    """Write the strip and the video of a person."""
    readers = [VideoReader(clip.path) for clip in (plan.real, *plan.fakes)]
    length = min(len(reader) for reader in readers)
    poses = _scale_poses(plan)

    def show(t: int) -> Frame:
        stick = draw_stick_figure(poses[t], plan.real.size, plan.real.size)
        return _arrange([stick, *(reader[t] for reader in readers)], plan.labels)

    fps = readers[0].fps
    moments = np.linspace(0, length - 1, _MOMENTS + 2)[1:-1].round().astype(int).tolist()
    strip = np.vstack([show(t) for t in moments])
    encoded, data = cv2.imencode(".jpg", strip[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert encoded  # an 8-bit colour image always encodes

    def frames() -> Iterator[Frame]:
        for t in range(min(length, round(_SECONDS * fps))):
            yield show(t)

    write_clip(video, frames(), fps, metadata=SYNTHETIC, encoder=_ENCODER)
    write_bytes(image, data.tobytes())
    for reader in readers:
        reader.close()


def _scale_poses(plan: _Plan) -> Keypoints:
    """Poses of the shown frames, float32 [T, 75, 3] in pixels of the real clip."""
    subject, size = plan.subject, plan.real.size
    keypoints = subject.keypoints()[list_shown_frames(subject)]
    return scale_keypoints(keypoints, size[1] / subject.size[1], size[0] / subject.size[0])


def _arrange(panels: Sequence[Frame], labels: Sequence[str]) -> Frame:
    """The panels in rows of at most `_WIDTH`, as equally long as can be, the last one filled up with black."""
    room = max(1, _WIDTH * panels[0].shape[0] // (_PANEL * panels[0].shape[1]))
    per_row = -(-len(panels) // -(-len(panels) // room))
    filled = [*panels, *[np.zeros_like(panels[0])] * (-len(panels) % per_row)]
    named = [*labels, *[""] * (len(filled) - len(panels))]
    return np.vstack(
        [
            join_panels(filled[at : at + per_row], named[at : at + per_row], _PANEL)
            for at in range(0, len(filled), per_row)
        ]
    )
