"""`bench measure`: a folder of fakes against the folder of their reals.

two folders ──▶ pairs by name ──▶ poses, per-frame rows ──▶ values per person ──▶ results/

The clips are decoded as they are: what a folder holds is measured, not a re-encoded copy of it. Nothing is written into
either folder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from dancebench.benchmark.jobs import Job, JobFailure, run_jobs
from dancebench.benchmark.metrics.chunks import FakeAndReal, start_once
from dancebench.benchmark.metrics.detected_poses import detect_poses
from dancebench.benchmark.metrics.fake_clip import measure_fake
from dancebench.benchmark.metrics.frechet.base import LoadedNetwork
from dancebench.benchmark.metrics.frechet.distance import (
    DISTANCES,
    ClipFiles,
    explain_missing_networks,
    measure_distances,
)
from dancebench.benchmark.outside.incomplete import explain_incomplete, hide_incomplete, require_some, summarise
from dancebench.benchmark.outside.pairing import Folder, compare_clips, list_clips
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.core.errors import BenchError, replace_undecodable
from dancebench.core.files import sha256_json, sha256_once
from dancebench.core.metric import Metric
from dancebench.core.progress import ReportProgress
from dancebench.core.workspace import Workspace, validate_name
from dancebench.datasets.pose.extractors.base import PoseExtractor, find_default_extractor, open_extractor
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.video.decoding import survey
from dancebench.leaderboards import records
from dancebench.synth.base import METHODS

PRESET: Final = "measured"
NO_POSES: Final = "off"
_PEOPLE_UNKNOWN: Final = (
    "who is seen is not known, so no interval is given: put the clips of each person into a folder of their own"
)


@dataclass(frozen=True)
class FolderSettings:
    """How folders are measured.

    Attributes:
        poses: Name of the pose extractor, `off` for none; None: this machine's.
        networks: For Fréchet distances.
        stride: Frames from one to the next within a window of these networks.
    """

    poses: str | None = None
    networks: Sequence[LoadedNetwork] = ()
    stride: int = 1


@dataclass(frozen=True)
class _PairJob:
    """One pair, measured in a process of its own."""

    fake: Path
    real: Path
    extractor: PoseExtractor | str
    """Or why there is none."""
    found_poses: Path


@dataclass(frozen=True, eq=False)
class _MeasuredPair:
    rows: pd.DataFrame
    clips: ClipFiles


def run_folders(
    workspace: Workspace,
    real_folder: Path,
    fake_folder: Path,
    name: str,
    settings: FolderSettings,
    *,
    clock: RunClock,
    workers: int,
    report: ReportProgress,
) -> tuple[records.RunRecord, list[str]]:
    """Measure every pair of two folders and save the record.

    A name identifies one synthesizer: measured again on the same reals, its numbers replace the older ones.

    Returns:
        The record, and the files of both folders that are no videos.

    Raises:
        BenchError: A folder cannot be used, the name is taken, the extractor cannot run, or no pair can be measured.
    """
    check_name(name)
    reals, fakes = list_clips(real_folder), list_clips(fake_folder)
    paired = [clip for clip in reals.clips if clip in fakes.clips]
    failures = [records.Failure(item=clip, reason="it has no fake") for clip in reals.clips if clip not in fakes.clips]
    extra = [records.Failure(item=clip, reason="it has no real") for clip in fakes.clips if clip not in reals.clips]
    extractor = _choose_extractor(settings.poses)
    jobs = [
        Job(f"measuring {clip}", _measure_pair,
            _PairJob(fakes.clips[clip], reals.clips[clip], extractor, workspace.found_poses))
        for clip in paired
    ]  # fmt: skip
    measured: dict[str, _MeasuredPair] = {}
    outcomes = run_jobs(jobs, workers=workers, report=report)
    for clip, outcome in zip(paired, outcomes, strict=True):
        if isinstance(outcome, JobFailure):
            failures.append(records.Failure(item=clip, reason=outcome.message))
        else:
            measured[clip] = outcome
    require_some(list(measured), [*failures, *extra])
    clips = [each.clips for each in measured.values()]
    distances = measure_distances(clips, settings.networks, stride=settings.stride, report=report)
    covered = {network.network.metric for network in settings.networks}
    distances |= explain_missing_networks([each for each in DISTANCES if each not in covered])
    rows = _join_rows(measured, reals)
    poses = extractor if isinstance(extractor, str) else extractor.describe()
    data = _ComparedWith(reals, poses, failures, extra)
    record = _make_record(data, name, settings.networks, rows, distances, clock)
    records.save_run(workspace.results, record, rows)
    return record, [str(folder.path / other) for folder in (reals, fakes) for other in folder.others]


def check_name(name: str) -> None:
    """Refuse a name that is none, or that of a method of this release.

    Raises:
        BenchError: It cannot be the name of a synthesizer from elsewhere.
    """
    validate_name("synthesizer", name)
    if name.casefold() in METHODS.names():
        raise BenchError(f"'{name}' is a method of this release.", hint="Give the fakes from elsewhere another --name.")


def _choose_extractor(name: str | None) -> PoseExtractor | str:
    """What finds the poses, or why nothing does."""
    if name == NO_POSES:
        return "poses were not looked for (--poses off)"
    if name is None and find_default_extractor() is None:
        return "no pose extractor can run on this machine (bench list extractors)"
    return open_extractor(name)


# ---------------------------------------------------------------- measuring


def _measure_pair(job: _PairJob, report: ReportProgress) -> _MeasuredPair:
    clips = compare_clips(job.fake, job.real)
    starts = start_once(clips.n_frames).copy()
    starts[list(clips.breaks)] = True
    if isinstance(job.extractor, str):
        keypoints: Keypoints = np.zeros((clips.n_frames, 75, 3), np.float32)
    else:
        keypoints = detect_poses(job.real, starts, job.extractor, folder=job.found_poses, report=report)
    both = FakeAndReal(
        job.fake, job.real, keypoints, starts=starts, extractor=job.extractor, poses_folder=job.found_poses
    )
    return _MeasuredPair(measure_fake(both, report), clips)


def _join_rows(measured: Mapping[str, _MeasuredPair], reals: Folder) -> pd.DataFrame:
    """The rows of all pairs, with the clip's name and who is seen."""
    people = reals.people or {}
    return pd.concat(
        [each.rows.assign(item=clip, subject=people.get(clip, clip)) for clip, each in measured.items()],
        ignore_index=True,
    )


# ---------------------------------------------------------------- record


@dataclass(frozen=True)
class _ComparedWith:
    """What fakes were compared with, and which could not be.

    Attributes:
        poses: What the regions rest on: description of the extractor, or why there is none.
        failures: Reals without a measured fake.
        extra: Fakes without a real.
    """

    reals: Folder
    poses: str
    failures: Sequence[records.Failure]
    extra: Sequence[records.Failure]

    @property
    def people(self) -> Mapping[str, str]:
        """By clip who is seen; the clip itself where nobody is known."""
        return self.reals.people or {clip: clip for clip in self.reals.clips}

    @property
    def frame_size(self) -> str | None:
        """HEIGHTxWIDTH of the reals; None where they are of several sizes."""
        sizes = set()
        for path in self.reals.clips.values():
            with contextlib.suppress(BenchError):  # its pair has failed
                info = survey(path).info
                sizes.add(f"{info.height}x{info.width}")
        return sizes.pop() if len(sizes) == 1 else None


def _make_record(
    data: _ComparedWith,
    name: str,
    networks: Sequence[LoadedNetwork],
    rows: pd.DataFrame,
    distances: Mapping[str, Metric],
    clock: RunClock,
) -> records.RunRecord:
    asked, failed = len(data.reals.clips), len(data.failures)
    hashes = sorted([clip, sha256_once(path)] for clip, path in data.reals.clips.items())
    dataset_id = sha256_json({"reals": hashes, "poses": data.poses})
    incomplete = explain_incomplete(failed, asked)
    metrics, per_subject = summarise(rows, data.people.values(), incomplete)
    if data.reals.people is None:
        metrics = {key: metric.model_copy(update={"ci95": None}) for key, metric in metrics.items()}
    return records.RunRecord(
        run=clock.run("synthesis", name, sha256_json({"measured": name, "reals": dataset_id}), seeds={}, device="cpu"),
        data=records.Data(
            dataset=replace_undecodable(data.reals.path.resolve().name),
            dataset_id=dataset_id,
            content_sha256=sha256_json(hashes),
            n_original=asked + len(data.extra),
            n_effective=asked - failed,
        ),
        entry=records.Entry(
            name=name,
            preset=PRESET,
            weights_sha256={each.name: each.sha256 for each in networks},
            parameters={},
            facts=records.SynthesisFacts(
                frame_size=data.frame_size, remarks=() if data.reals.people else (_PEOPLE_UNKNOWN,)
            ),
        ),
        metrics={**metrics, **hide_incomplete(dict(distances), incomplete)},
        per_subject=per_subject,
        failures=[*data.failures, *data.extra],
    )
