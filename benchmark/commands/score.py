"""`bench score`: ask a trained detector about videos from outside."""

from __future__ import annotations

import csv
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DeviceOption,
    JobsOption,
    WorkspaceOption,
    device,
    err,
    open_workspace,
    out,
    pair_count,
    print_json,
    workers,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import Display
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.workspace import Workspace

if TYPE_CHECKING:
    from dancebench.benchmark.casework.scoring import Scoring
    from dancebench.detect.casework.score import ScoreReport, VideoScore
    from dancebench.detect.casework.verify import Verification
    from dancebench.detect.protocol.card import DetectorCard

_FORMATS: Final = ("table", "json", "csv", "html")
REPORT: Final = "report.json"
COLUMNS: Final = (
    "path", "sha256", "bytes", "status", "reason", "abstained_because", "container", "codec", "width", "height", "fps",
    "n_frames", "duration_s", "notes", "score", "llr", "llr_low", "llr_high", "threshold", "above_threshold",
    "n_pairs", "aggregator", "domain_distance", "domain_limit", "credentials",
)  # fmt: skip
"""Of the CSV; what holds for all videos of a call is in the JSON."""


def score(
    video: Annotated[list[str] | None, typer.Argument(help="Video files, folders or globs.")] = None,
    detector: Annotated[
        str, typer.Option(help="A detector of the workspace by name (its latest run), or the folder of one.")
    ] = "pair-patch",
    format_: Annotated[
        str, typer.Option("--format", help="table, json, csv, or html: a page for each video.")
    ] = "table",
    folder: Annotated[Path | None, typer.Option("--out", help="Folder for the pages and their report.json.")] = None,
    person_crop: Annotated[
        bool, typer.Option("--person-crop", help="Score the part of the picture in which the person moves.")
    ] = False,
    pairs: Annotated[
        str | None, typer.Option("--pairs", help="How many evenly placed pairs, or all; else the detector's number.")
    ] = None,
    jobs: JobsOption = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds that one file may take.")] = 600,
    verify: Annotated[
        Path | None, typer.Option("--verify", help="Score the files of this JSON report again and say what differs.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
) -> None:
    """Score videos from outside: a higher likelihood ratio speaks for a synthesized video.

    A score is not a verdict. The exit status does not depend on it; a video that cannot be scored is a
    row with its reason, and only if none can be scored does the command fail.

    [dim]Examples: bench score clip.mp4 · bench score folder/ --format json > report.json ·
    bench score --verify report.json[/]
    """
    if (verify is None) != bool(video):
        raise typer.BadParameter("name videos, or a report with --verify", param_hint="bench score")
    if verify is not None and (person_crop or pairs or folder or format_ != "table"):
        raise BenchError("--verify takes its settings from the report.", hint="Leave the other options out.")
    _check_format(format_, folder)
    count, where = None if pairs is None else pair_count(pairs), device(device_name)
    opened, used = open_workspace(workspace), workers(jobs, where)

    from dancebench.benchmark.casework.scoring import Scoring
    from dancebench.detect.casework.score import ScoreSettings

    if verify is not None:
        _verify(verify, opened, detector, Scoring(Path(), ScoreSettings(), where, timeout), used)
        return
    settings = ScoreSettings(pairs=count, person_crop=person_crop)
    how = Scoring(_detector_folder(opened, detector), settings, where, timeout, pictures=folder is not None)
    _show(_scored(video or [], how, opened, folder, used), how, format_, folder)


def _check_format(name: str, folder: Path | None) -> None:
    if name not in _FORMATS:
        raise BenchError(f"Unknown format '{name}'.", hint=f"Choose {', '.join(_FORMATS)}.")
    if (name == "html") != (folder is not None):
        raise BenchError(
            "Pages (--format html) and their folder (--out) go together.",
            hint="For instance --format html --out cases.",
        )


def _scored(names: Sequence[str], how: Scoring, opened: Workspace, folder: Path | None, used: int) -> ScoreReport:
    """Score all files; pages are written as the files are done, so that no picture is kept."""
    from dancebench.benchmark.casework.scoring import report_on, score_files
    from dancebench.detect.casework.prepare import expand
    from dancebench.detect.protocol.card import CARD, DetectorCard

    paths = expand(names)
    card, dataset = DetectorCard.load(how.folder / CARD), _dataset_of(opened, how.folder)
    rows: dict[int, VideoScore] = {}
    with Display(err) as display:
        for index, scored in score_files(paths, how, workers=used, report=display.report):
            rows[index] = scored.record
            if folder is not None:
                from dancebench.benchmark.casework.page import write_case_page

                page = folder / _page_name(index, paths[index])
                write_case_page(page, scored, report_on([scored.record], card, how, dataset))
    report = report_on([rows[index] for index in range(len(paths))], card, how, dataset)
    if folder is not None:
        report.save(folder / REPORT)
    return report


def _page_name(index: int, path: Path) -> str:
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", path.stem)[:60]
    return f"{index + 1:04d}-{stem}.html"


def _show(report: ScoreReport, how: Scoring, format_: str, folder: Path | None) -> None:
    from dancebench.detect.protocol.card import CARD, DetectorCard

    if format_ == "json":
        print_json(report.model_dump(mode="json"))
    elif format_ == "csv":
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(csv_row(each) for each in report.videos)
    else:
        out.print(_table(report.videos))
        for remark in _remarks(report.videos):
            out.print(remark, soft_wrap=True, highlight=False, markup=False)
        out.print(_explained(report, DetectorCard.load(how.folder / CARD), how.folder), highlight=False, markup=False)
        if folder is not None:
            out.print(f"pages  {folder}", soft_wrap=True, highlight=False, markup=False)
    if all(each.status == "failed" for each in report.videos):
        raise BenchError(
            f"None of the {len(report.videos)} videos could be scored.", hint="The reasons are given above."
        )


# ---------------------------------------------------------------- verification


def _verify(path: Path, opened: Workspace, detector: str, how: Scoring, used: int) -> None:
    from dancebench.benchmark.casework.scoring import verify
    from dancebench.detect.casework.score import ScoreReport

    recorded = ScoreReport.load(path)
    folder = _folder_of_weights(opened, detector, recorded.weights_sha256)
    again = replace(how, folder=folder, settings=recorded.settings)
    with Display(err) as display:
        found = verify(recorded, again, workers=used, report=display.report)
    for line in _verified(found):
        out.print(line, soft_wrap=True, highlight=False, markup=False)
    if not found.holds:
        changed = sum(bool(video.differences) for video in found.videos)
        raise BenchError(
            f"The report does not hold: {changed} of its {len(found.videos)} videos came out differently"
            f"{', and the detector was changed' if found.detector else ''}.",
            hint="The differences are given above.",
        )


def _verified(found: Verification) -> list[str]:
    lines = [f"version: {each}" for each in found.versions] + [f"detector: {each}" for each in found.detector]
    return lines + [f"{video.path}: {'; '.join(video.differences) or 'the same'}" for video in found.videos]


def _folder_of_weights(opened: Workspace, detector: str, weights: str) -> Path:
    """The detector of a report: the folder named, or any of the workspace, that has its weights."""
    from dancebench.detect.protocol.card import CARD, DetectorCard

    for folder in [Path(detector), *(card.parent for card in sorted(opened.root.glob(f"detectors/*/*/{CARD}")))]:
        card = DetectorCard.load_if_usable(folder / CARD)
        if card is not None and card.weights_sha256 == weights:
            return folder
    raise BenchError(
        f"The detector of the report (weights {weights[:12]}…) is not here.",
        hint="Name its folder with --detector, or its workspace with --workspace.",
    )


# ---------------------------------------------------------------- what is shown


def csv_row(each: VideoScore) -> dict[str, Any]:
    """One video, flat."""
    flat: dict[str, Any] = {name: getattr(each, name) for name in COLUMNS if name in type(each).model_fields}
    return flat | {
        "abstained_because": "; ".join(each.abstained_because),
        "notes": "; ".join(each.notes),
        "llr_low": each.llr_interval.low if each.llr_interval else None,
        "llr_high": each.llr_interval.high if each.llr_interval else None,
        "domain_distance": each.domain.distance if each.domain else None,
        "domain_limit": each.domain.limit if each.domain else None,
        "credentials": each.credentials.status if each.credentials else None,
    }


def _table(scores: Sequence[VideoScore]) -> Table:
    table = Table()
    for title in ("video", "status", "log10 LR", "threshold", "distance / limit", "pairs"):
        table.add_column(title, overflow="fold")
    for each in scores:
        side = "" if each.above_threshold is None else ("above" if each.above_threshold else "below")
        far = "" if each.domain is None else f"{each.domain.distance:.2f} / {each.domain.limit:.2f}"
        table.add_row(escape(each.path), each.status, _ratio(each), side, far, str(each.n_pairs))
    return table


def _remarks(scores: Sequence[VideoScore]) -> list[str]:
    """Why a video failed or was abstained from, and what is odd about it: a line each."""
    told = []
    for each in scores:
        reasons = [f"abstained: {because}" for because in each.abstained_because]
        told += [f"{each.path}: {remark}" for remark in filter(None, [each.reason, *reasons, *each.notes])]
    return told


def _ratio(each: VideoScore) -> str:
    if each.llr is None:
        return ""
    ten = math.log(10)
    interval = each.llr_interval
    around = f" [{interval.low / ten:+.2f}, {interval.high / ten:+.2f}]" if interval else ""
    return f"{each.llr / ten:+.2f}{around}"


def _explained(report: ScoreReport, card: DetectorCard, folder: Path) -> str:
    """What must be read with the table."""
    rates, found, domain = card.error_rates, card.calibration.video, card.domain
    caution = " They were told apart without error: over-confidence cannot be excluded." if found.separable else ""
    return (
        f"Detector {folder.name}. LR compares how probable such a score is for synthesized and for real videos of "
        "the detector's own kind; it is not the probability that a video is synthesized, and not a verdict. In "
        "brackets: 95%, by how far the video's own pairs vary.\n"
        f"Calibrated on {found.subjects} validation people.{caution} Threshold: score {card.thresholds.video:+.3f}, "
        "frozen on them. On held-out people it took "
        f"{_share(rates.false_positive_rate, rates.n_real)} real clips for synthesized and "
        f"{_share(rates.false_negative_rate, rates.n_fake)} synthesized ones for real.\n"
        f"Trained on {', '.join(domain.methods)} fakes of {domain.clip_height}x{domain.clip_width} at "
        f"{domain.fps_min:g} to {domain.fps_max:g} fps, of dataset {report.dataset or 'unknown'}: on other kinds "
        "of video all this says little."
    )


def _share(rate: float | None, n: int) -> str:
    return f"{round((rate or 0.0) * n)} of {n}"


# ---------------------------------------------------------------- which detector


def _dataset_of(opened: Workspace, folder: Path) -> str | None:
    """Name of the dataset of the run that trained the detector, where its record is at hand."""
    from dancebench.leaderboards.records import load_runs

    runs, _ = load_runs(opened.results)
    return next((run.data.dataset for run in runs if run.run.id == folder.name), None)


def _detector_folder(workspace: Workspace, name: str) -> Path:
    """The folder that `name` stands for: itself if it holds a card, else the latest run of that detector."""
    if (Path(name) / "card.json").exists():
        return Path(name)
    runs = sorted(workspace.root.glob("detectors/*/*/card.json"), key=lambda card: card.stat().st_mtime)
    trained = sorted({card.parent.parent.name for card in runs})
    if not trained:
        raise BenchError(
            f"The workspace {workspace.root} holds no trained detector.",
            hint="Train one: bench detect --holdout",
        )
    matching = [card.parent for card in runs if card.parent.parent.name == workspace.detector(name, "x").parent.name]
    if not matching:
        raise UnknownNameError("trained detector", name, trained)
    if len(matching) > 1:
        err.print(f"{len(matching)} runs of {name}; using the latest, {matching[-1].name}", soft_wrap=True)
    return matching[-1]
