"""Motion transfer, "do as I do" (EDN sections 3 and 6): a source's motion drives one or more trained targets.

source ──▶ poses ──normalised to each target──▶ fakes/ ──▶ one side-by-side video, exported copies
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.benchmark.ancestors import AUTO
from dancebench.benchmark.jobs import Job, require_all, run_jobs
from dancebench.benchmark.report.panels import SYNTHETIC, join_panels
from dancebench.benchmark.runs.driving_motion import Frame, MotionSource, find_motion_source, select_held_out
from dancebench.benchmark.runs.synthesis import SynthesisJob, make_training_job, name_variant
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.progress import ReportProgress
from dancebench.core.workspace import Workspace
from dancebench.datasets.pose.normalise import NORMALISATIONS, fit
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.pose.stick_figures import draw_stick_figure
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.records import list_recordings
from dancebench.datasets.subjects.subject import Subject
from dancebench.datasets.video.clips import VideoReader, write_clip
from dancebench.datasets.video.frames import Letterbox, resize
from dancebench.synth.backgrounds import Background, open_background
from dancebench.synth.base import METHODS, LayeredMethod
from dancebench.synth.clip import Motion, locate_noses
from dancebench.synth.render import DrivingMotion, FakeRecord, refuse_background, render_fake
from dancebench.synth.training.ancestor import open_ancestor
from dancebench.synth.training.inheritance import Ancestor, find_side
from dancebench.synth.training.synthesizer import TrainJob, TrainRecord, find_intact

AS_IS: Final = "none"
"""Uses the source's poses unchanged; always the case for a target that drives itself."""
_NAMED_TARGETS: Final = 5
"""The most targets that a file name lists; more make it too long."""
CHOICES: Final = (*NORMALISATIONS, AS_IS)


@dataclass(frozen=True)
class TransferPlan:
    """The transfer to make."""

    workspace: Workspace
    dataset: Dataset
    targets: tuple[str, ...]
    source: str
    method: str
    preset: str
    seed: int
    normalisation: str
    device: str = "cpu"
    background: Path | None = None
    """What the targets are put on; None leaves their own."""
    warm_start: str | None = None
    """What the targets' synthesizers started from, as for `start_warm`; nothing is trained here."""

    def find_ancestor(self, target: str) -> Ancestor | None:
        """What a target's synthesizer started from.

        Raises:
            BenchError: There is no such ancestor.
        """
        if self.warm_start is None:
            return None
        if self.warm_start != AUTO:
            return open_ancestor(Path(self.warm_start), self.method)
        side = find_side(self.dataset.entry(target).role)
        return open_ancestor(
            self.workspace.ancestor(self.method, self.dataset.name, side, f"{self.preset}-s{self.seed}"), self.method
        )

    def name_variant(self, target: str) -> str:
        """Name of the folders of a target's synthesizer and its fakes."""
        return name_variant(self.preset, self.seed, self.find_ancestor(target))

    def name_fake(self, source: MotionSource, background: Background | None) -> str:
        """Name of the fakes' files, without the suffix."""
        name = f"{source.name}-{self.normalisation}"
        return name if background is None else f"{name}-on-{background.sha256[:12]}"

    def locate_training(self, target: str) -> Path:
        """Where the record of a target's training lies."""
        variant = self.name_variant(target)
        return self.workspace.synth(self.method, self.dataset.name, target, variant) / "train.json"


@dataclass(frozen=True)
class TransferredFake:
    """A target's fake and its record."""

    target: str
    path: Path
    record: FakeRecord


@dataclass(frozen=True)
class TransferResult:
    """All fakes, and the video of them side by side."""

    fakes: list[TransferredFake]
    side_by_side: Path
    decode_warnings: tuple[str, ...]
    """Of the source of the motion."""


@dataclass(frozen=True)
class _TransferJob:
    plan: TransferPlan
    target: str
    sharing: int
    """Processes that hold a clip in this machine's memory at once."""


def run_transfer(plan: TransferPlan, *, workers: int, report: ReportProgress) -> TransferResult:
    """Drive every target with the source's motion.

    Raises:
        BenchError: A target was never trained (says which are), the source shows no person, or its
            pose maps (conditioning images) are not of the style that a target was trained on; the background cannot
            be read, or the method generates whole frames.
    """
    if plan.normalisation not in CHOICES:
        raise UnknownNameError("normalisation", plan.normalisation, CHOICES)
    method_class = METHODS[plan.method]
    if plan.background is not None and not issubclass(method_class, LayeredMethod):
        raise refuse_background(method_class)
    background = _open_background(plan)
    trained = [_find_trained(plan, target) for target in plan.targets]
    source = _find_source(plan, report)  # extracted here once, loaded again by every job
    for job, _ in trained:
        _check_pose_maps(job.subject, source)
    sharing = min(workers, len(plan.targets))
    jobs = [
        Job(f"{plan.method} on {target}", _transfer, _TransferJob(plan, target, sharing)) for target in plan.targets
    ]
    outcomes = run_jobs(jobs, workers=workers, report=report)
    fakes = require_all(outcomes)
    targets = "+".join(plan.targets) if len(plan.targets) <= _NAMED_TARGETS else f"{len(plan.targets)}-targets"
    folder = plan.workspace.transfers / plan.method / plan.dataset.name / plan.name_variant(plan.targets[0])
    together = folder / f"{plan.name_fake(source, background)}--{targets}.mp4"
    _save_side_by_side(together, source, fakes)
    return TransferResult(fakes, together, source.decode_warnings)


def export_copies(result: TransferResult, folder: Path) -> list[Path]:
    """Export copies of every fake and the side-by-side video, marked as synthetic in their metadata.

    Each fake's copy has its record beside it, with the copy's own hash.
    """
    copies = []
    for fake in result.fakes:
        record = fake.record
        copy = folder / f"{fake.target}-{record.method}-{record.preset}-s{record.seed}-{fake.path.stem}.mp4"
        with VideoReader(fake.path) as reader:
            clip = write_clip(copy, iter(reader), record.fps, metadata=SYNTHETIC)
        record.model_copy(update={"sha256": clip.sha256}).save(copy.with_suffix(".json"))
        copies.append(copy)
    together = folder / result.side_by_side.name
    with VideoReader(result.side_by_side) as reader:
        write_clip(together, iter(reader), reader.fps, metadata=SYNTHETIC)
    return [*copies, together]


def _find_trained(plan: TransferPlan, target: str, sharing: int = 1) -> tuple[TrainJob, TrainRecord]:
    """The finished training of a target, whatever its configuration."""
    dataset = plan.dataset
    dataset.entry(target)
    record = TrainRecord.load_if_usable(plan.locate_training(target))
    if record is not None and dataset.is_prepared(target):
        config = METHODS[plan.method].Config.model_validate(record.config)
        job = SynthesisJob(
            plan.workspace, dataset, target, plan.method, plan.preset, config, plan.device,
            ancestor=plan.find_ancestor(target),
        )  # fmt: skip
        training = make_training_job(job.sharing_memory(sharing), dataset.subject(target))
        if find_intact(training) is not None:
            return training, record
    trained = [each for each in dataset.ids() if plan.locate_training(each).exists() and each != target]
    raise BenchError(
        f"'{target}' has no trained {plan.method} of preset {plan.preset}, seed {plan.seed}; trained are: "
        f"{', '.join(trained) or 'none'}.",
        hint=f"bench synth --dataset {dataset.name} --subject {target} --method {plan.method} --preset {plan.preset} "
        f"--seed {plan.seed}{'' if plan.warm_start is None else f' --warm-start {plan.warm_start}'}",
    )


def _find_source(plan: TransferPlan, report: ReportProgress) -> MotionSource:
    fps = plan.dataset.record.prepare.fps
    return find_motion_source(plan.workspace, plan.dataset, plan.source, fps=fps, report=report)


def _check_pose_maps(target: Subject, source: MotionSource) -> None:
    if target.pose_map_style == "supplied" and (source.subject is None or source.subject.pose_map_style != "supplied"):
        raise BenchError(
            f"'{target.id}' was trained on pose maps supplied with its frames; '{source.label}' has none.",
            hint="Drive it with a subject of the same import, or add its recording with bench data add.",
        )


def _transfer(job: _TransferJob, report: ReportProgress) -> TransferredFake:
    """Generate one target's fake, or reuse it if it was made from the same inputs."""
    plan = job.plan
    training, record = _find_trained(plan, job.target, job.sharing)
    source = _find_source(plan, report)
    drives_itself = source.subject is not None and source.subject.folder == training.subject.folder
    if not drives_itself and source.recordings & list_recordings(training.subject.record.source):
        raise BenchError(
            f"'{source.label}' is the recording that '{job.target}' was trained on.",
            hint=f"--source {job.target} drives it with its held-out part.",
        )
    drive = (
        make_driving_motion(select_held_out(source), training.subject, AS_IS)
        if drives_itself
        else make_driving_motion(source, training.subject, plan.normalisation)
    )
    background = _open_background(plan)
    name = plan.name_fake(source, background)
    path = plan.workspace.fake(plan.method, plan.dataset.name, job.target, plan.name_variant(job.target), source=name)
    fake = render_fake(training, record, drive, path, background=background, report=report)
    return TransferredFake(job.target, path, fake)


def _open_background(plan: TransferPlan) -> Background | None:
    return None if plan.background is None else open_background(plan.background)


def make_driving_motion(
    source: MotionSource, target: Subject, normalisation: str, *, shown: int | None = None
) -> DrivingMotion:
    """Fit the source's motion to the target.

    Args:
        source: The motion.
        target: Its training span gives its position in the frame and its height.
        normalisation: One of `CHOICES`; fitted to all of the source.
        shown: Use only the end of the motion, so that the fake has this many frames; None uses all.

    Raises:
        BenchError: One of them does not show what the normalisation needs, or the source is too short.
    """
    segments = source.segments() if shown is None else _keep_end(source, shown)
    keypoints, facts = source.fit_to(target.size), None
    centres = Letterbox(source.size, target.size).map_points(source.face_centres)
    supplied = target.pose_map_style == "supplied"
    if normalisation != AS_IS and not supplied:  # supplied pose maps cannot be normalised: they are used unchanged
        own = target.keypoints()[target.train.start : target.train.stop]
        fitted = fit(keypoints, own, frame_height=target.size[0], kind=normalisation)
        keypoints, facts = fitted.apply(keypoints), fitted.facts()
        centres = locate_noses(keypoints)
    return DrivingMotion(
        source=source.label,
        source_sha256=source.sha256,
        segments=[_make_motion(source, keypoints, centres, segment, target) for segment in segments],
        fps=source.fps,
        first_frame=source.first_shown_frame(segments),
        normalisation=facts,
    )


def _keep_end(source: MotionSource, shown: int) -> list[range]:
    """The end of the motion, in segments taken from the last backwards, that gives a fake of `shown` frames."""
    kept: list[range] = []
    for segment in reversed(source.segments()):
        wanted = min(shown - sum(len(each) - 1 for each in kept), len(segment) - 1)
        if wanted > 0:  # the first frame of a segment is never shown
            kept.insert(0, segment[-wanted - 1 :])
    if sum(len(segment) - 1 for segment in kept) < shown:
        raise BenchError(
            f"The motion of '{source.label}' has {len(source.keypoints)} frames; "
            f"{shown + 1} in one segment are needed.",
            hint="Use a longer clip of the driver.",
        )
    return kept


def _make_motion(
    source: MotionSource, keypoints: Keypoints, centres: npt.NDArray[np.float32], segment: range, target: Subject
) -> Motion:
    part = slice(segment.start, segment.stop)
    points = keypoints[part]

    def draw_pose_maps(size: tuple[int, int]) -> Iterator[Frame]:
        return (draw_stick_figure(pose, target.size, size) for pose in points)

    def read_supplied_pose_maps(size: tuple[int, int]) -> Iterator[Frame]:
        assert source.subject is not None
        return source.subject.pose_maps([source.indices[t] for t in segment], size)

    pose_maps = read_supplied_pose_maps if target.pose_map_style == "supplied" else draw_pose_maps
    return Motion(points, target.size, pose_maps, centres[part])


def _save_side_by_side(path: Path, source: MotionSource, fakes: Sequence[TransferredFake]) -> None:
    """Write source and targets side by side, in sync: the source shows the frames that the fakes show."""
    first = min(fakes, key=lambda fake: fake.record.n_frames).record
    shown = [t for segment in source.segments() for t in segment[1:]][-first.n_frames :]
    with ExitStack() as files:
        readers = [files.enter_context(VideoReader(fake.path)) for fake in fakes]

        def rows() -> Iterator[Frame]:
            wanted = iter(shown)
            next_shown, count = next(wanted), 0
            for t, frame in enumerate(source.frames()):
                if t != next_shown:
                    continue
                panels = [resize(frame, (first.height, first.width))]
                panels += [reader[len(reader) - len(shown) + count] for reader in readers]
                yield join_panels(panels, ["source", *(fake.target for fake in fakes)])
                next_shown, count = next(wanted, -1), count + 1

        write_clip(path, rows(), first.fps, metadata=SYNTHETIC)
