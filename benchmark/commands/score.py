"""`bench score`: score outside videos with a trained detector, or the one that ships."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DeviceOption,
    JobsOption,
    WorkspaceOption,
    choose_worker_count,
    parse_pair_count,
    resolve_device,
    view_workspace,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out, print_json, write_output
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.workspace import Workspace

if TYPE_CHECKING:
    from dancebench.benchmark.casework.scoring import ScoringSetup
    from dancebench.benchmark.casework.search import Search
    from dancebench.detect.casework.reference import ReferenceFacts
    from dancebench.detect.casework.score import ScoredVideo, ScoreReport, ScoreSettings, VideoScore
    from dancebench.detect.casework.verify import Verification

_FORMATS: Final = ("table", "json", "csv", "html")
REPORT: Final = "report.json"
DEFAULT_DETECTOR: Final = "pair-patch"
"""Of a workspace that has trained some."""


def score(
    video: Annotated[list[str] | None, typer.Argument(help="Video files, folders or globs.")] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="A detector of the workspace, by its name (its latest run), a detector's folder, or 'shipped': the "
            "one that comes with dancebench. Default: pair-patch; in a workspace without detectors the shipped one.",
            show_default=False,
        ),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="table, json, csv, or html: a page for each video.")
    ] = "table",
    folder: Annotated[Path | None, typer.Option("--out", help="Folder for the pages and their report.json.")] = None,
    person_crop: Annotated[
        bool, typer.Option("--person-crop", help="Score only the part of the frame in which the person moves.")
    ] = False,
    pairs: Annotated[
        str | None, typer.Option("--pairs", help="Number of evenly spaced pairs, or all; default: the detector's.")
    ] = None,
    frames_per_second: Annotated[
        float | None,
        typer.Option(min=0.01, max=1000, help="Score each folder of images as a clip of this rate."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            help="Folder of at least 10 recordings known to be real, of the case's own device, platform or scene: "
            "likelihood ratios are calibrated on them.",
        ),
    ] = None,
    jobs: JobsOption = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Time limit for each file, in seconds.")] = 600,
    verify: Annotated[
        Path | None, typer.Option("--verify", help="Score the files of this JSON report again and list what differs.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
) -> None:
    """Score outside videos: a higher likelihood ratio supports that a video is synthesized.

    In a folder every file that opens as a video is scored, whatever its name; what is passed over is named.
    A score is not a verdict. The exit status does not depend on it; a video that cannot be scored is a
    row with its reason, and the command fails only if no video can be scored.

    [dim]Examples: bench score clip.mp4 · bench score folder/ --format json > report.json ·
    bench score frames/ --frames-per-second 25 · bench score --verify report.json[/]
    """
    if (verify is None) != bool(video):
        raise typer.BadParameter("name videos, or a report with --verify", param_hint="bench score")
    if verify is not None and (person_crop or pairs or folder or reference or frames_per_second or format_ != "table"):
        raise BenchError("--verify takes its settings from the report.", hint="Leave the other options out.")
    _check_format(format_, folder)
    count, device = None if pairs is None else parse_pair_count(pairs), resolve_device(device_name)
    opened, workers = view_workspace(workspace), choose_worker_count(jobs, device)

    from dancebench.benchmark.casework.scoring import ScoringSetup
    from dancebench.detect.casework.score import ScoreSettings

    if verify is not None:
        _verify(verify, opened, detector, ScoringSetup(Path(), ScoreSettings(), device, timeout), workers)
        return
    settings = ScoreSettings(pairs=count, person_crop=person_crop, frames_per_second=frames_per_second)
    trained = _find_detector_folder(opened, detector)
    setup = ScoringSetup(
        trained, settings, device, timeout, pictures=folder is not None, fingerprints=reference is not None
    )
    _show(_score_files(video or [], setup, opened, folder, workers, reference), setup, format_, folder)


def _check_format(name: str, folder: Path | None) -> None:
    if name not in _FORMATS:
        raise BenchError(f"Unknown format '{name}'.", hint=f"Choose {', '.join(_FORMATS)}.")
    if (name == "html") != (folder is not None):
        raise BenchError(
            "Pages (--format html) and their folder (--out) go together.",
            hint="For instance --format html --out cases.",
        )


def _score_files(
    names: Sequence[str], setup: ScoringSetup, opened: Workspace, folder: Path | None, workers: int,
    reference: Path | None,
) -> ScoreReport:  # fmt: skip
    """Score all files; each page is written as soon as its file is scored, so that no image stays in memory.

    With a reference all are scored before any page is written: its recordings are compared with all of them.
    """
    from dancebench.benchmark.casework.reference import apply_folder, leave_out_repeated, score_reference
    from dancebench.benchmark.casework.scoring import make_report, score_files
    from dancebench.benchmark.casework.search import summarise_passed_over
    from dancebench.detect.casework.file_names import PassedOver
    from dancebench.detect.protocol.card import CARD, DetectorCard

    found = _find_files(names, setup.settings)
    paths, passed_over = list(found.paths), list(found.passed_over)
    card, dataset = DetectorCard.load(setup.folder / CARD), _find_dataset(opened, setup.folder)
    rows: dict[int, VideoScore] = {}
    waiting: dict[int, ScoredVideo] = {}
    facts: ReferenceFacts | None = None

    def keep(index: int, scored: ScoredVideo) -> None:
        rows[index] = scored.record
        if folder is not None:
            from dancebench.benchmark.casework.page import write_case_page

            page = folder / _make_page_name(index, paths[index])
            write_case_page(page, scored, make_report([scored.record], card, setup, dataset, reference=facts))

    with ProgressBars(err) as display:
        known = None if reference is None else score_reference(reference, setup, workers, display.report)
        for index, scored in score_files(paths, setup, searched=found.searched, workers=workers, report=display.report):
            if isinstance(scored, PassedOver):
                passed_over.append(scored)
            elif known is None:
                keep(index, scored)
            else:
                waiting[index] = scored
    if known is not None:
        questioned = [(index, waiting[index]) for index in sorted(waiting)]
        known = leave_out_repeated(known, [(paths[index], scored) for index, scored in questioned])
        err.print_lines(*(f"reference: {each.path}: {each.reason}" for each in known.left_out))
        facts, applied = apply_folder(known, [scored for _, scored in questioned], setup)
        for (index, _), scored in zip(questioned, applied, strict=True):
            keep(index, scored)
    passed_over.sort(key=lambda each: each.path)
    err.print_lines(*summarise_passed_over(passed_over))
    report = make_report([rows[index] for index in sorted(rows)], card, setup, dataset, passed_over, facts)
    if folder is not None:
        report.save(folder / REPORT)
    return report


def _find_files(names: Sequence[str], settings: ScoreSettings) -> Search:
    from dancebench.benchmark.casework.search import find_files

    asked = settings.frames_per_second is not None
    found = find_files(names, image_folders=asked)
    if asked and not any(path.is_dir() for path in found.paths):
        raise BenchError(
            "--frames-per-second is for folders of images, and none was found.",
            hint="Name a folder that holds two or more images.",
        )
    return found


def _make_page_name(index: int, path: Path) -> str:
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", path.stem)[:60]
    return f"{index + 1:04d}-{stem}.html"


def _show(report: ScoreReport, setup: ScoringSetup, format_: str, folder: Path | None) -> None:
    from dancebench.benchmark.casework.table import (
        CSV_COLUMNS,
        explain_scores,
        list_remarks,
        make_csv_row,
        make_score_table,
    )
    from dancebench.detect.protocol.card import CARD, DetectorCard

    if format_ == "json":
        print_json(report.model_dump(mode="json"))
    elif format_ == "csv":
        lines = io.StringIO()
        writer = csv.DictWriter(lines, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(make_csv_row(each) for each in report.videos)
        write_output(lines.getvalue())
    else:
        out.print(make_score_table(report.videos, width=out.width))
        for remark in list_remarks(report.videos):
            out.print_lines(remark)
        out.print(explain_scores(report, DetectorCard.load(setup.folder / CARD), setup.folder), highlight=False)
        if folder is not None:
            out.print_lines(f"pages  {folder}")
    if not report.videos:
        raise BenchError(
            f"No video was found; {len(report.passed_over)} files and folders were passed over.",
            hint="The reasons are listed above.",
        )
    if all(each.status == "failed" for each in report.videos):
        raise BenchError(
            f"None of the {len(report.videos)} videos could be scored.", hint="The reasons are listed above."
        )


# ---------------------------------------------------------------- verification


def _verify(path: Path, opened: Workspace, detector: str | None, setup: ScoringSetup, workers: int) -> None:
    from dancebench.benchmark.casework.scoring import verify_report
    from dancebench.detect.casework.score import ScoreReport

    recorded = ScoreReport.load(path)
    folder = _find_detector_by_weights(opened, detector, recorded.weights_sha256)
    again = replace(setup, folder=folder, settings=recorded.settings)
    with ProgressBars(err) as display:
        dataset = _find_dataset(opened, folder)
        verification = verify_report(
            recorded, again, dataset, beside=path.parent, workers=workers, report=display.report
        )
    for line in _describe_verification(verification):
        out.print_lines(line)
    if not verification.holds:
        changed = sum(bool(video.differences) for video in verification.videos)
        raise BenchError(
            f"The report was not reproduced: {changed} of its {len(verification.videos)} videos came out differently"
            f"{', and so did what it says of the detector' if verification.detector else ''}.",
            hint="The differences are listed above.",
        )


def _describe_verification(verification: Verification) -> list[str]:
    lines = [f"version: {difference}" for difference in verification.versions]
    lines += [f"not verified: {statement}" for statement in verification.unverified]
    lines += [f"detector: {difference}" for difference in verification.detector]
    return lines + [f"{video.path}: {'; '.join(video.differences) or 'the same'}" for video in verification.videos]


def _find_detector_by_weights(opened: Workspace, detector: str | None, weights: str) -> Path:
    """Find a report's detector by its weights: in the named folder, else in the workspace, else the shipped one."""
    from dancebench.detect.protocol.card import CARD, DetectorCard
    from dancebench.detect.shipped.files import FOLDER, check_shipped

    named = [] if detector is None else [Path(detector)]
    for folder in [*named, *opened.list_detectors(), FOLDER]:
        card = DetectorCard.load_if_usable(folder / CARD)
        if card is not None and card.weights_sha256 == weights:
            _refuse_code(folder, detector)
            return check_shipped() if folder == FOLDER else folder
    raise BenchError(
        f"The detector of the report (weights {weights[:12]}…) was not found.",
        hint="Name its folder with --detector, or its workspace with --workspace.",
    )


# ---------------------------------------------------------------- finding the detector


def _find_dataset(opened: Workspace, folder: Path) -> str | None:
    """Name of the dataset of the run that trained the detector, if its record is in the workspace."""
    from dancebench.leaderboards.records import load_runs

    runs, _ = load_runs(opened.results)
    return next((run.data.dataset for run in runs if run.run.id == folder.name), None)


def _find_detector_folder(workspace: Workspace, name: str | None) -> Path:
    """The folder of a detector: `name` itself if it holds a card, else the latest run of that detector.

    Where none is named it is that of `pair-patch`, or the shipped one if the workspace has no trained detector.
    """
    from dancebench.detect.shipped.files import NAME, check_shipped

    if name == NAME or (name is None and not workspace.list_detectors()):
        return _tell_shipped(check_shipped())
    name = name or DEFAULT_DETECTOR
    if os.path.exists(Path(name) / "card.json"):  # false where Path.exists raises: a name that is too long
        _refuse_code(Path(name), name)
        return Path(name)
    folders = workspace.list_detectors()
    trained = sorted({folder.parent.name for folder in folders})
    if not trained:
        raise BenchError(
            f"The workspace {workspace.root} holds no trained detector.",
            hint="Train one: bench detect --holdout; or leave --detector out for the one that ships.",
        )
    from dancebench.detect.detectors.base import label_detector

    matching = [folder for folder in folders if folder.parent == workspace.detector(label_detector(name), "x").parent]
    if not matching:
        raise UnknownNameError("trained detector", name, trained)
    if len(matching) > 1:
        err.print_lines(f"{len(matching)} runs of {name}; using the latest, {matching[-1].name}")
    return matching[-1]


def _tell_shipped(folder: Path) -> Path:
    from dancebench.detect.protocol.card import CARD, DetectorCard
    from dancebench.detect.shipped.files import describe_shipped

    err.print_lines(*describe_shipped(DetectorCard.load(folder / CARD)).split("\n"))
    return folder


def _refuse_code(folder: Path, named: str | None) -> None:
    """Refuse a card that names Python code to run, unless the command itself names that code: a card may be anyone's.

    Raises:
        BenchError: It does.
    """
    from dancebench.detect.detectors.base import find_detector_class
    from dancebench.detect.detectors.foreign.python_factory import FactoryDetector
    from dancebench.detect.protocol.card import CARD, DetectorCard

    card = DetectorCard.load(folder / CARD)
    if card.detector != named and issubclass(find_detector_class(card.detector), FactoryDetector):
        raise BenchError(
            f"{folder / CARD} names Python code to run, '{card.detector}'.",
            hint=f"If it is yours, name it in place of the folder: --detector {card.detector}.",
        )
