"""How a fake's quality depends on how new its poses are (DDG Fig. 10): data, scatter plot, rank correlation.

For each frame: its SSIM, and the mean distance (EDN Eq. 6) of the driving pose to the 10 nearest training poses, in
% of the frame's height. Frames of one clip depend on each other, so the rank correlation comes without a p-value; over
people correlations can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from dancebench.benchmark.jobs import Job, JobFailure, require_all, run_jobs
from dancebench.benchmark.metrics.chunks import measure_in_chunks
from dancebench.benchmark.metrics.image import measure_images
from dancebench.benchmark.runs.synthesis import FakeDocument, SynthesisResult, identify_fake
from dancebench.benchmark.runs.synthesis_record import pair_held_out
from dancebench.core.files import atomic_path
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.schema import Strict
from dancebench.datasets.subjects.pose_novelty import NEAREST, measure_pose_novelty
from dancebench.datasets.subjects.real_clips import list_shown_frames

_SSIM: Final = "frame_ssim"
_STYLE: Final[dict[Any, Any]] = {"font.family": "DejaVu Sans", "font.size": 10.0, "svg.hashsalt": "dancebench"}


class FramePoint(Strict):
    """A frame of the fake."""

    frame: int
    """Of the subject's clip."""
    distance: float | None
    """% of the frame's height; null without a pose or without a training pose that shares a joint."""
    ssim: float


class NoveltyRecord(FakeDocument):
    """`novelty.json`: a point for each frame, and the rank correlation of the two."""

    nearest: int
    points: tuple[FramePoint, ...]
    n: int
    """Frames that have both."""
    spearman: float | None
    """Negative where frames of newer poses are worse."""
    reason: str | None
    """Why there is no correlation."""


def report_novelty(
    results: Sequence[SynthesisResult], *, workers: int, report: ReportProgress
) -> list[tuple[NoveltyRecord, Path]]:
    """Write record and plot of synthesized clips; returns of each the record and the path of the plot.

    Raises:
        BenchError: A clip cannot be read.
    """
    jobs = [Job(f"novelty of {each.job.method} on {each.job.subject}", write_novelty, each) for each in results]
    outcomes: list[tuple[NoveltyRecord, Path] | JobFailure] = run_jobs(jobs, workers=workers, report=report)
    return require_all(outcomes)


def write_novelty(result: SynthesisResult, report: ReportProgress = ignore_progress) -> tuple[NoveltyRecord, Path]:
    """Write `novelty.json` and `novelty.svg` of one fake; returns the record and the path of the plot."""
    job = result.job
    subject = job.dataset.subject(job.subject)
    clips = pair_held_out(job.dataset, job.subject, result.fake_path, result.real_path, result.real)
    rows = measure_in_chunks(clips, lambda chunk: measure_images(chunk, only=[_SSIM]), report=report)
    distances = measure_pose_novelty(subject)
    values = rows[_SSIM].to_numpy(np.float64)
    spearman, reason = correlate(distances, values)
    record = NoveltyRecord(
        **identify_fake(result),
        nearest=NEAREST,
        points=tuple(
            FramePoint(frame=int(frame), distance=float(distance) if np.isfinite(distance) else None, ssim=float(value))
            for frame, distance, value in zip(list_shown_frames(subject), distances, values, strict=True)
        ),
        n=int(np.isfinite(distances).sum()),
        spearman=spearman,
        reason=reason,
    )
    folder = job.workspace.novelty(job.method, job.dataset.name, job.subject, job.variant)
    plot_novelty(folder / "novelty.svg", record)
    record.save(folder / "novelty.json")
    return record, folder / "novelty.svg"


def correlate(distances: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> tuple[float | None, str | None]:
    """Spearman's rank correlation over the frames that have both, or why there is none."""
    both = np.isfinite(distances) & np.isfinite(values)
    if both.sum() < 3:
        return None, f"{int(both.sum())} frame(s) have a distance: 3 or more are needed"
    if np.ptp(distances[both]) == 0 or np.ptp(values[both]) == 0:
        return None, "all frames have the same distance or the same SSIM"
    return float(spearmanr(distances[both], values[both]).statistic), None


def plot_novelty(path: Path, record: NoveltyRecord) -> None:
    """Plot SSIM over distance as an `.svg`; the same record gives the same bytes."""
    points = [(point.distance, point.ssim) for point in record.points if point.distance is not None]
    found = record.reason if record.spearman is None else f"rank correlation {record.spearman:.2f}, {record.n} frames"
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 3.9), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.scatter([x for x, _ in points], [y for _, y in points], s=14, color="#0072b2", alpha=0.7, linewidths=0)
        axes.set_xlabel(f"mean distance to the {record.nearest} nearest training poses, % of height")
        axes.set_ylabel("SSIM of the frame")
        axes.set_title(f"{record.method} ({record.preset}), {record.dataset}/{record.subject}\n{found}")
        axes.grid(color="#e3e3e3")
        axes.set_axisbelow(True)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
