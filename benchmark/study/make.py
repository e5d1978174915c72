"""Make a study: from fakes on disk to clips under opaque names, items, attention checks and rules.

Fakes of several methods of the same subject in the same source's motion are cut to the same frames of that motion,
at most so many seconds from its middle, letterboxed to one size or left as they are, and encoded by the one encoder.
Attention checks are made from the study's own clips: an instruction over what is shown, and a clip beside copies of
itself that are coarse, jerky and shaking, so that it is the better one by every question.
"""

from __future__ import annotations

import itertools
import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dancebench.benchmark.study.records import (
    AT_ONCE,
    Access,
    ExclusionRules,
    Item,
    ShownClip,
    StudyFolder,
    StudyRecord,
    Task,
)
from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_folder, sha256_json, sha256_once
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.real_clips import RealRecord
from dancebench.datasets.video.clips import VideoReader, write_clip
from dancebench.datasets.video.frames import resize
from dancebench.datasets.video.upright import Frame
from dancebench.synth.render import FakeRecord

CHECKS_OF_A_KIND: Final = 4
_COARSE: Final = 16
"""Height in pixels of the picture that an obviously worse clip is blown up from."""
_HELD: Final = 8
"""Frames for which it stands still."""


@dataclass(frozen=True)
class StudyPlan:
    """What is to be asked about which fakes.

    Attributes:
        methods: At least two to be compared, one for single videos.
        subjects: None for every target of the dataset.
        variant: `PRESET-sSEED` of the fakes.
        seconds: Longest snippet; None for whole clips.
        size: (height, width) that clips are letterboxed to; None for their own.
        trials: Of each rater, attention checks aside.
        checks: Attention checks of each rater.
    """

    workspace: Workspace
    dataset: Dataset
    name: str
    task: Task
    methods: tuple[str, ...]
    subjects: tuple[str, ...] | None
    variant: str
    seed: int
    seconds: float | None
    size: tuple[int, int] | None
    trials: int
    checks: int
    contact: str
    rules: ExclusionRules


@dataclass(frozen=True)
class _Original:
    """A clip on disk, and which frames of its source it shows."""

    path: Path
    record: FakeRecord | RealRecord
    method: str | None
    source: str

    @property
    def span(self) -> range:
        return range(self.record.first_frame, self.record.first_frame + self.record.n_frames)


def make_study(plan: StudyPlan, report: ReportProgress = ignore_progress) -> StudyRecord:
    """Write the study's folder, whole or not at all.

    Raises:
        BenchError: The study exists, there are no fakes to compare, or a clip was changed.
    """
    folder = StudyFolder(plan.workspace, plan.name)
    if folder.path.exists():
        raise BenchError(
            f"The study '{plan.name}' exists.",
            hint="Choose another name: a study is not changed once it is made.",
        )
    groups = _find_originals(plan)
    with atomic_folder(folder.path) as temporary:
        clips = _write_clips(plan, groups, temporary / "clips", report)
        coarse = _write_coarse_copies(plan, clips, temporary / "clips")
        study = _compose(plan, clips, coarse)
        access = Access(token=secrets.token_urlsafe(16), completed=_draw_code(), screened_out=_draw_code())
        access.save(temporary / "access.json")
        (temporary / "access.json").chmod(0o600)
        study.save(temporary / "study.json")
    return study


def _find_originals(plan: StudyPlan) -> list[list[_Original]]:
    """The clips of each subject and motion, at least two of them where they are compared."""
    found: dict[tuple[str, str], list[_Original]] = defaultdict(list)
    for subject, method in itertools.product(plan.subjects or plan.dataset.ids("target"), plan.methods):
        folder = plan.workspace.fake(method, plan.dataset.name, subject, plan.variant, source="any").parent
        for path in sorted(folder.glob("*.mp4")):  # other records than the fakes' lie there too
            record = FakeRecord.load(path.with_suffix(".json"))
            _require_unchanged(path, record.sha256)
            found[subject, path.stem].append(_Original(path, record, method, record.source))
    if plan.task == "real-or-fake":
        for subject, stem in list(found):
            if stem == subject:
                found[subject, stem].append(_find_real(plan, subject, found[subject, stem][0]))
    least = 1 if plan.task == "real-or-fake" else 2
    groups = [group for _, group in sorted(found.items()) if len(group) >= least]
    if not groups:
        methods = " ".join(f"--method {method}" for method in plan.methods)
        raise BenchError(
            f"There are no fakes of '{plan.variant}' to ask about: of the same subject in the same motion by "
            f"{'one method' if least == 1 else 'two methods'} in dataset '{plan.dataset.name}'.",
            hint=f"Make them with bench synth {methods} --dataset {plan.dataset.name} --preset "
            f"{plan.variant.rpartition('-s')[0]}, or name another --preset.",
        )
    return groups


def _find_real(plan: StudyPlan, subject: str, fake: _Original) -> _Original:
    path = plan.workspace.real(plan.dataset.name, subject, max(fake.record.height, fake.record.width))
    record = RealRecord.load(path.with_suffix(".json"))
    _require_unchanged(path, record.sha256)
    return _Original(path, record, None, subject)


def _require_unchanged(path: Path, sha256: str) -> None:
    if not path.is_file() or sha256_once(path) != sha256:
        raise BenchError(f"{path} is not the clip that its record describes.", hint="Make it again with bench synth.")


def _write_clips(
    plan: StudyPlan, groups: Sequence[Sequence[_Original]], folder: Path, report: ReportProgress
) -> list[ShownClip]:
    total, clips = sum(map(len, groups)), list[ShownClip]()
    for group in groups:
        start = max(each.span.start for each in group)
        length = min(each.span.stop for each in group) - start
        if length < 2:
            raise BenchError(
                f"The fakes of {group[0].record.subject} in the motion of {group[0].source} have no frames in common.",
                hint="Make them again with the same settings.",
            )
        wanted = length if plan.seconds is None else min(length, round(plan.seconds * group[0].record.fps))
        first = start + (length - wanted) // 2
        for each in group:
            clips.append(_cut(plan, each, range(first, first + wanted), folder))
            report("clips of the study", len(clips), total)
    return clips


def _cut(plan: StudyPlan, original: _Original, span: range, folder: Path) -> ShownClip:
    own = range(span.start - original.span.start, span.stop - original.span.start)
    key = [plan.seed, original.record.subject, original.path.stem, original.method, original.record.sha256]
    identity = sha256_json([plan.name, *key])[:16]

    def frames() -> Iterator[Frame]:
        with VideoReader(original.path) as reader:
            for t in own:
                yield reader[t] if plan.size is None else resize(reader[t], plan.size)

    return _write_clip(folder, identity, original, frames(), own.start / original.record.fps)


def _write_clip(folder: Path, identity: str, original: _Original, frames: Iterator[Frame], start_s: float) -> ShownClip:
    record = original.record
    clip = write_clip(folder / f"{identity}.mp4", frames, record.fps)
    # The stem, not the source alone: the same motion fitted in another way is another video.
    source = original.path.stem if original.method is not None else original.source
    return ShownClip(
        id=identity, subject=record.subject, source=_name_source(source, original.source), method=original.method,
        sha256=clip.sha256, from_sha256=record.sha256, start_s=round(start_s, 6),
        seconds=round(clip.n_frames / clip.fps, 6), n_frames=clip.n_frames, fps=clip.fps, height=clip.height,
        width=clip.width,
    )  # fmt: skip


def _name_source(stem: str, source: str) -> str:
    """The source as detectors name it; the whole stem where the motion was fitted otherwise than in the protocol."""
    return source if stem in (source, f"{source}-robust-cut") else stem


def _write_coarse_copies(plan: StudyPlan, clips: Sequence[ShownClip], folder: Path) -> dict[str, ShownClip]:
    """By the id of the clip, a copy of it that everybody sees to be worse."""
    if not plan.checks or plan.task == "real-or-fake":
        return {}
    generator = np.random.default_rng([plan.seed, 1])
    chosen = generator.permutation(len(clips))[:CHECKS_OF_A_KIND]
    copies = {}
    for clip in (clips[at] for at in chosen):

        def frames(clip: ShownClip = clip) -> Iterator[Frame]:
            with VideoReader(folder / f"{clip.id}.mp4") as reader:
                for t in range(len(reader)):
                    yield _coarsen(reader[t - t % _HELD], shift=t // _HELD % 2)

        identity = sha256_json([plan.name, "coarse", clip.id])[:16]
        written = write_clip(folder / f"{identity}.mp4", frames(), clip.fps)
        copies[clip.id] = clip.model_copy(update={"id": identity, "sha256": written.sha256, "from_sha256": clip.sha256})
    return copies


def _coarsen(frame: Frame, shift: int) -> Frame:
    """The frame in coarse blocks, moved to the right by so many of them."""
    height, width = frame.shape[:2]
    small = np.roll(resize(frame, (_COARSE, max(1, round(_COARSE * width / height)))), shift, axis=1)
    step = -(-height // _COARSE)
    blown: Frame = np.ascontiguousarray(np.repeat(np.repeat(small, step, axis=0), -(-width // small.shape[1]), axis=1))
    return np.ascontiguousarray(blown[:height, :width])


def _compose(plan: StudyPlan, clips: Sequence[ShownClip], coarse: dict[str, ShownClip]) -> StudyRecord:
    items = _list_items(plan, clips)
    checks = _list_checks(plan, items, coarse) if plan.checks else []
    return StudyRecord(
        name=plan.name,
        task=plan.task,
        seed=plan.seed,
        dataset=plan.dataset.name,
        dataset_id=plan.dataset.record.dataset_id,
        preset=plan.variant,
        methods=plan.methods,
        subjects=tuple(sorted({clip.subject for clip in clips})),
        frame_size="native" if plan.size is None else f"{plan.size[0]}x{plan.size[1]}",
        seconds=plan.seconds,
        trials_per_rater=min(plan.trials, len(items)),
        checks_per_rater=plan.checks,
        contact=plan.contact,
        rules=plan.rules,
        clips=(*clips, *coarse.values()),
        items=tuple(items),
        checks=tuple(checks),
    )


def _list_items(plan: StudyPlan, clips: Sequence[ShownClip]) -> list[Item]:
    if plan.task == "real-or-fake":
        return [_make_item(plan, "question", clip.id) for clip in clips]
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for clip in clips:
        grouped[clip.subject, clip.source].append(clip.id)
    return [
        _make_item(plan, "question", *shown)
        for _, own in sorted(grouped.items())
        for shown in itertools.combinations(own, min(len(own), AT_ONCE[plan.task]))
    ]


def _list_checks(plan: StudyPlan, items: Sequence[Item], coarse: dict[str, ShownClip]) -> list[Item]:
    generator = np.random.default_rng([plan.seed, 2])
    chosen = [items[at] for at in generator.permutation(len(items))[:CHECKS_OF_A_KIND]]
    instructed = []
    for k, item in enumerate(chosen):
        choices = item.clips if len(item.clips) > 1 else item.answers
        expected = choices[k % len(choices)]
        instructed.append(_make_item(plan, "instructed", *item.clips, expected=expected))
    copies = max(len(item.clips) for item in items) - 1
    obvious = [_make_item(plan, "obvious", clip, *[copy.id] * copies, expected=clip) for clip, copy in coarse.items()]
    return [*instructed, *obvious]


def _make_item(plan: StudyPlan, kind: str, *clips: str, expected: str | None = None) -> Item:
    identity = sha256_json([plan.name, plan.seed, kind, *clips])[:12]
    return Item.model_validate({"id": identity, "kind": kind, "clips": clips, "expected": expected})


def _draw_code() -> str:
    return secrets.token_hex(4).upper()
