"""`bench demo`: the whole benchmark on drawn dancers, from mp4 to leaderboards.

Trains without a perceptual trunk and never downloads anything. Every stage writes files, so an interrupted
demo resumes where it stopped, and a finished one is only measured again, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dancebench.benchmark.jobs import require_all
from dancebench.benchmark.presets import RunSettings, configure_method
from dancebench.benchmark.runs.contact_sheets import save_sheet, save_side_by_side
from dancebench.benchmark.runs.detection import DetectionJob, run_detection
from dancebench.benchmark.runs.protocol_fakes import SPLITS, FakePlan
from dancebench.benchmark.runs.run_clock import RunClock
from dancebench.benchmark.runs.synthesis import SynthesisJob, draw_missing, synthesize_all
from dancebench.benchmark.runs.synthesis_record import record_synthesis
from dancebench.core.progress import ReportProgress
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.catalogue import open_demo
from dancebench.leaderboards.board import rebuild
from dancebench.leaderboards.records import RunRecord
from dancebench.synth.base import Precision, find_base_method

TARGET_METHODS: Final = ("mean-frame", "nearest", "posewarp", "fbf", "fbf-ts", "fbf-ts-fg")
_FORENSIC_METHOD: Final = "fbf-ts"
_SHOWN: Final = "fbf-ts-fg"
DETECTORS_SHOWN: Final = ("pair-patch", "spectrum")


@dataclass(frozen=True)
class DemoPlan:
    """Dataset and presets of a demo; `tiny` is for tests."""

    dataset: str
    target_preset: str
    forensic_preset: str


PLANS: Final = {
    "small": DemoPlan("demo-small", "protocol", "demo"),
    "full": DemoPlan("demo", "small", "protocol"),
    "tiny": DemoPlan("demo-tiny", "tiny", "tiny"),
}


@dataclass(frozen=True)
class DemoResult:
    """Run records, and the paths of the tables, the contact sheet and the video."""

    records: list[RunRecord]
    tables: list[Path]
    sheet: Path
    video: Path


def run_demo(
    workspace: Workspace,
    plan: DemoPlan,
    *,
    seed: int,
    precision: Precision,
    device: str,
    argv: list[str],
    workers: int,
    report: ReportProgress,
) -> DemoResult:
    """Draw dancers, prepare, train, generate fakes, measure, detect, and write the leaderboards."""
    clock = RunClock(argv)
    dataset = open_demo(workspace, plan.dataset)
    targets = dataset.ids("target")
    draw_missing(dataset, [*targets, *dataset.ids(*SPLITS)], workers, report)
    settings = RunSettings(seed=seed, trunk="off", precision=precision)
    # The slowest first, so that no worker idles at the end; a method with a base method would wait for it.
    slowest = [method for method in reversed(TARGET_METHODS) if find_base_method(method) is None]
    wanted = [
        SynthesisJob(
            workspace,
            dataset,
            target,
            method,
            plan.target_preset,
            configure_method(plan.target_preset, method, settings),
            device=device,
        )
        for method in [*slowest, *(method for method in TARGET_METHODS if find_base_method(method))]
        for target in targets
    ]
    results = dict(zip(wanted, require_all(synthesize_all(wanted, workers=workers, report=report)), strict=True))
    records = []
    for method in TARGET_METHODS:
        jobs = [job for job in wanted if job.method == method]
        records.append(
            record_synthesis(jobs, [results[job] for job in jobs], clock=clock, workers=workers, report=report)[0]
        )
    fakes = FakePlan(
        workspace, dataset, _FORENSIC_METHOD, (), plan.forensic_preset, settings, device=device
    )  # fmt: skip
    detection_jobs = [DetectionJob(fakes, detector) for detector in DETECTORS_SHOWN]
    detected = run_detection(detection_jobs, argv=argv, workers=workers, report=report)
    records += [each.record for each in detected]
    sheet, video = workspace.root / "demo" / "sheet.png", workspace.root / "demo" / "side-by-side.mp4"
    shown = {job.method: results[job] for job in wanted if job.subject == targets[0]}
    save_sheet(sheet, shown[_SHOWN])
    save_side_by_side(video, [shown[method] for method in TARGET_METHODS])
    return DemoResult(records, rebuild(workspace.results, workspace.leaderboards), sheet, video)
