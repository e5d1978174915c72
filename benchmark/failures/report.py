"""The failure cases of one fake: its worst moments by kind as a record and a sheet, with the shares of failed frames.

a fake and its real ──poses, pictures──▶ findings per frame ──▶ failures.json, failures.png
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.benchmark.failures.kinds import KINDS, Finding, Findings
from dancebench.benchmark.failures.limbs import find_missing_limbs, find_swapped_limbs
from dancebench.benchmark.failures.pictures import find_in_pictures
from dancebench.benchmark.failures.records import FailureRecord, KindRecord, Moment
from dancebench.benchmark.failures.sheet import save_sheet
from dancebench.benchmark.jobs import Job, JobFailure, require_all, run_jobs
from dancebench.benchmark.metrics.chunks import FakeAndReal, measure_in_chunks, start_once
from dancebench.benchmark.metrics.detected_poses import detect_poses
from dancebench.benchmark.runs.synthesis import SynthesisResult, identify_fake
from dancebench.benchmark.runs.synthesis_record import pair_held_out
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.subjects.real_clips import list_shown_frames

MOMENTS: Final = 4
"""Moments of each kind that are kept."""
APART: Final = 0.5
"""Seconds between two moments of one kind: neighbouring frames fail alike."""


def report_failures(
    results: Sequence[SynthesisResult], *, workers: int, report: ReportProgress
) -> list[tuple[FailureRecord, Path]]:
    """Write the failure cases of synthesized clips.

    Returns:
        Of each its record and the path of its sheet.

    Raises:
        BenchError: A clip cannot be read.
    """
    jobs = [Job(f"failures of {each.job.method} on {each.job.subject}", write_failures, each) for each in results]
    outcomes: list[tuple[FailureRecord, Path] | JobFailure] = run_jobs(jobs, workers=workers, report=report)
    return require_all(outcomes)


def write_failures(result: SynthesisResult, report: ReportProgress = ignore_progress) -> tuple[FailureRecord, Path]:
    """Write `failures.json` and `failures.png` of one fake; returns the record and the path of the sheet."""
    job = result.job
    clips = pair_held_out(job.dataset, job.subject, result.fake_path, result.real_path, result.real)
    shown = list_shown_frames(job.dataset.subject(job.subject))
    findings, absent = find_failures(clips, (result.real.height, result.real.width), report)
    record = FailureRecord(
        **identify_fake(result),
        n_frames=len(clips.keypoints),
        kinds={
            name: describe_kind(name, found, fps=result.fake.fps, frames=shown, absence=absent.get(name))
            for name, found in findings.items()
        },
    )
    folder = job.workspace.failures(job.method, job.dataset.name, job.subject, job.variant)
    save_sheet(folder / "failures.png", record, result.fake_path, result.real_path)
    record.save(folder / "failures.json")
    return record, folder / "failures.png"


def find_failures(
    clips: FakeAndReal[Path], size: tuple[int, int], report: ReportProgress = ignore_progress
) -> tuple[dict[str, Findings], dict[str, str]]:
    """Look for failures of every kind in every frame.

    Args:
        clips: Two files.
        size: (height, width) of their frames.
        report: Progress.

    Returns:
        The findings by kind, and why a kind has none in any frame, where there is a special reason.
    """
    table = measure_in_chunks(clips, find_in_pictures, report=report)
    found: dict[str, Findings] = {name: table[name].tolist() for name in KINDS if name in table}
    absent: dict[str, str] = {}
    extractor = clips.extractor
    if extractor is None or isinstance(extractor, str):
        nothing: Findings = [None] * len(clips.keypoints)
        for name in ("missing-limb", "swapped-limb"):
            found[name], absent[name] = nothing, extractor or "no pose extractor is known"
    else:
        starts = start_once(len(clips.keypoints)) if clips.starts is None else clips.starts
        fake, real = (detect_poses(clip, starts, extractor, report=report) for clip in (clips.fake, clips.real))
        found["missing-limb"] = find_missing_limbs(clips.keypoints, fake, real, size)
        found["swapped-limb"] = find_swapped_limbs(clips.keypoints, fake, real, size)
    return {name: found[name] for name in KINDS}, absent


def describe_kind(
    name: str, found: Findings, *, fps: float, frames: Mapping[int, int] | Sequence[int], absence: str | None = None
) -> KindRecord:
    """The share of failed frames of one kind, and its worst moments.

    Args:
        name: Of the kind.
        found: One for each frame.
        fps: Frames per second.
        frames: The subject's own frame of each.
        absence: Why there is none in any frame; None for the kind's own reason.
    """
    kind = KINDS[name]
    scores = np.array([np.nan if finding is None else finding.score for finding in found])
    measured = int(np.isfinite(scores).sum())
    failed = int((scores >= kind.threshold).sum())
    return KindRecord(
        unit=kind.unit,
        threshold=kind.threshold,
        n=measured,
        n_failed=failed,
        share=failed / measured if measured else None,
        reason=None if measured else absence or kind.unmeasured,
        worst=tuple(
            _describe_moment(t, int(frames[t]), finding)
            for t in choose_worst(scores, kind.threshold, apart=max(1, round(APART * fps)))
            if (finding := found[t]) is not None
        ),
    )


def choose_worst(scores: npt.NDArray[np.float64], threshold: float, *, apart: int) -> list[int]:
    """The frames of the highest scores from the threshold on, at least `apart` frames from each other, worst first.

    Where no frame reaches the threshold it is the worst one alone, if anything is wrong in it.
    """
    order = [t for t in np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable").tolist() if scores[t] > 0]
    chosen: list[int] = []
    for t in order:
        if len(chosen) == MOMENTS or scores[t] < threshold:
            break
        if all(abs(t - other) >= apart for other in chosen):
            chosen.append(t)
    return chosen or order[:1]


def _describe_moment(t: int, frame: int, finding: Finding) -> Moment:
    return Moment(t=t, frame=frame, score=finding.score, reason=finding.reason, box=finding.box and finding.box.edges)
