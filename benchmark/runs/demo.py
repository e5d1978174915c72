"""`bench demo`: the whole benchmark on drawn dancers, from mp4 to leaderboards.

Trains without a perceptual trunk and never downloads anything. Every stage writes files, so an interrupted
demo resumes where it stopped, and a finished one is only measured again, in seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd

from dancebench.benchmark.jobs import Job, JobFailure, require_all, run_jobs
from dancebench.benchmark.presets import RunSettings, configure_method
from dancebench.benchmark.report.write import write_leaderboards
from dancebench.benchmark.runs.contact_sheets import save_sheet, save_side_by_side
from dancebench.benchmark.runs.detection import DetectionJob, plan_detectors
from dancebench.benchmark.runs.protocol_fakes import SPLITS, FakePlan, make_fakes
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.runs.synthesis import SynthesisJob, SynthesisResult, draw_missing, plan_synthesizing
from dancebench.benchmark.runs.synthesis_record import plan_masks, plan_measuring, record_synthesis
from dancebench.core.progress import ReportProgress
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.catalogue import name_moving, open_demo
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.leaderboards.records import RunRecord
from dancebench.synth.base import Precision, find_base_method

TARGET_METHODS: Final = ("mean-frame", "nearest", "posewarp", "fbf", "fbf-ts", "fbf-ts-fg")
_SHOWN: Final = "fbf-ts-fg"
DETECTORS_SHOWN: Final = ("pair-patch", "spectrum")


@dataclass(frozen=True)
class DemoPlan:
    """Dataset, presets and the forensic fakes' method of a demo; `tiny` is for tests.

    The small one has no temporal smoothing in its forensic fakes: a step generates one frame, not two.
    """

    dataset: str
    target_preset: str
    forensic_preset: str
    forensic_method: str


PLANS: Final = {
    "small": DemoPlan("demo-small", "protocol", "demo", "fbf"),
    "full": DemoPlan("demo", "small", "protocol", "fbf-ts"),
    "tiny": DemoPlan("demo-tiny", "tiny", "tiny", "fbf-ts"),
}


def make_moving(plan: DemoPlan) -> DemoPlan:
    """The same plan on dancers with moving surroundings."""
    return replace(plan, dataset=name_moving(plan.dataset))


@dataclass(frozen=True)
class StageTimer:
    """Seconds that each stage took, in the order in which they ran."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time what runs within."""
        begin = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - begin


@dataclass(frozen=True)
class DemoResult:
    """The run records; the report's first page; sheet and video; what the poses are of; the seconds of each stage."""

    records: list[RunRecord]
    report: Path
    sheet: Path
    video: Path
    poses: str
    seconds: dict[str, float]


def run_demo(
    workspace: Workspace,
    plan: DemoPlan,
    *,
    extractor: str | None,
    seed: int,
    precision: Precision,
    device: str,
    argv: list[str],
    workers: int,
    report: ReportProgress,
) -> DemoResult:
    """Draw dancers, prepare, train, generate fakes, measure, detect, and write the leaderboards with their report."""
    clock, stages = RunClock(argv), StageTimer()
    dataset = open_demo(workspace, plan.dataset, extractor)
    targets = dataset.ids("target")
    with stages.measure("drawing"):
        draw_missing(dataset, [*targets, *dataset.ids(*SPLITS)], workers, report)
    settings = RunSettings(seed=seed, trunk="off", precision=precision)
    wanted = _plan_synthesis(workspace, dataset, plan.target_preset, settings, device)
    fakes = FakePlan(
        workspace, dataset, plan.forensic_method, (), plan.forensic_preset, settings, device=device
    )  # fmt: skip
    with stages.measure("forensic fakes"):
        forensic = make_fakes(fakes, workers=workers, report=report)
    with stages.measure("detectors and synthesizers"):
        detectors = plan_detectors(
            [DetectionJob(fakes, detector) for detector in DETECTORS_SHOWN],
            forensic,
            argv=argv,
            workers=workers,
            report=report,
        )
        # Each is made by one process: together, so that none waits for the last of the others.
        jobs: list[Job[Any, Any]] = [*detectors, *plan_synthesizing(wanted, workers), *plan_masks(dataset, targets)]
        outcomes = require_all(run_jobs(jobs, workers=workers, report=report))
    detected, made = outcomes[: len(detectors)], outcomes[len(detectors) :][: len(wanted)]
    with stages.measure("measuring"):
        rows: list[pd.DataFrame | JobFailure] = run_jobs(plan_measuring(made), workers=workers, report=report)
        measured = require_all(rows)
    records = _record_targets(wanted, made, measured, clock)
    records += [each.record for each in detected]
    with stages.measure("pictures"):
        sheet, video = _save_pictures(
            workspace, {each.job.method: each for each in made if each.job.subject == targets[0]}
        )
    with stages.measure("leaderboards"):
        written = write_leaderboards(workspace, report)
    return DemoResult(records, written.site[0], sheet, video, dataset.record.poses.description, stages.seconds)


def _plan_synthesis(
    workspace: Workspace, dataset: Dataset, preset: str, settings: RunSettings, device: str
) -> list[SynthesisJob]:
    """Every method on every target; the slowest first, so that no worker idles at the end.

    A method with a base method would wait for it, so these come last.
    """
    slowest = [method for method in reversed(TARGET_METHODS) if find_base_method(method) is None]
    methods = [*slowest, *(method for method in TARGET_METHODS if find_base_method(method))]
    return [
        SynthesisJob(
            workspace, dataset, target, method, preset, configure_method(preset, method, settings), device=device
        )
        for method in methods
        for target in dataset.ids("target")
    ]


def _record_targets(
    wanted: Sequence[SynthesisJob],
    made: Sequence[SynthesisResult],
    measured: Sequence[pd.DataFrame],
    clock: RunClock,
) -> list[RunRecord]:
    """Save a record of each method, from the jobs, results and rows of all."""
    records = []
    for method in TARGET_METHODS:
        own = [at for at, job in enumerate(wanted) if job.method == method]
        jobs, results, rows = [wanted[at] for at in own], [made[at] for at in own], [measured[at] for at in own]
        records.append(record_synthesis(jobs, results, rows, clock=clock))
    return records


def _save_pictures(workspace: Workspace, shown: dict[str, SynthesisResult]) -> tuple[Path, Path]:
    """The contact sheet and the side-by-side video of one person's fakes, by method."""
    sheet, video = workspace.root / "demo" / "sheet.png", workspace.root / "demo" / "side-by-side.mp4"
    save_sheet(sheet, shown[_SHOWN])
    save_side_by_side(video, [shown[method] for method in TARGET_METHODS])
    return sheet, video
