"""`bench data`: datasets of the workspace, made of recordings of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    JobsOption,
    JsonOption,
    WorkspaceOption,
    choose_worker_count,
    name_other_files,
    open_workspace,
    view_workspace,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out, print_json
from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace, validate_name

if TYPE_CHECKING:
    from dancebench.datasets.subjects.dataset import Dataset
    from dancebench.datasets.subjects.records import DatasetRecord, Role

app = typer.Typer(
    help="Datasets: draw the demo dancers, add recordings, import other layouts, read corpora, list and verify.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SubjectOption = Annotated[str, typer.Option("--subject", help="Id of the person in the recording.")]
LicenceOption = Annotated[str, typer.Option("--licence", help="Licence of the recording.")]
ConsentOption = Annotated[
    str | None, typer.Option("--consent", help="For a target: the person's consent, as a text or a file.")
]
LegalBasisOption = Annotated[
    str | None, typer.Option("--legal-basis", help="For every other role: the legal basis, as a text or a file.")
]
AddToDatasetOption = Annotated[str, typer.Option("--dataset", help="Dataset to add to; created if it does not exist.")]
PosesOption = Annotated[
    str | None,
    typer.Option("--poses", help="Pose extractor of a new dataset (bench list extractors); default: what fits here."),
]
SizeOption = Annotated[
    str | None,
    typer.Option("--size", help="HEIGHTxWIDTH of a new dataset's clips; default: the nearest aspect ratio."),
]


@app.command(epilog="Examples: bench data demo · bench data demo --selection demo-small --jobs 2")
def demo(
    selection: Annotated[
        str,
        typer.Option(help="demo, demo-small or demo-tiny; demo-moving and so on: camera, light and an object move."),
    ] = "demo",
    poses: PosesOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    jobs: JobsOption = None,
) -> None:
    """Draw the demo dancers and prepare them like recordings."""
    from dancebench.benchmark.runs.synthesis import draw_missing
    from dancebench.datasets.dancers.catalogue import open_demo

    opened = open_workspace(workspace)
    dataset = open_demo(opened, selection, poses)
    with ProgressBars(err) as display:
        draw_missing(dataset, dataset.ids(), choose_worker_count(jobs), display.report)
    out.print_lines(f"{len(dataset.ids())} dancers in {dataset.folder}")
    out.print_lines(f"poses: {dataset.record.poses.description}")


@app.command(
    epilog='Example: bench data add me.mp4 --subject me --licence "my own" --consent release-form.pdf · '
    'bench data add clip.mp4 --subject a --role driver --licence CC0 --legal-basis "public domain"'
)
def add(
    recording: Annotated[Path, typer.Argument(help="A video (mp4, avi, mov, mkv, webm, gif) or a folder of images.")],
    subject: SubjectOption,
    licence: LicenceOption,
    role: Annotated[str, typer.Option(help="target, train, validation, holdout or driver.")] = "target",
    consent: ConsentOption = None,
    legal_basis: LegalBasisOption = None,
    dataset: AddToDatasetOption = "mine",
    size: SizeOption = None,
    poses: PosesOption = None,
    fps: Annotated[
        float | None, typer.Option(min=1, help="Highest frame rate of a new dataset's clips; 30 if not given.")
    ] = None,
    train_fraction: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.99, help="Training share of each clip in a new dataset; 0.8 if not given."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Prepare a recording of one person and add it to a dataset."""
    from dancebench.datasets.subjects.permission import state_permission
    from dancebench.datasets.video.frames import open_source

    chosen = _parse_role(role)
    permission = state_permission(chosen, consent=consent, legal_basis=legal_basis)
    _refuse_catalogue(dataset)

    def read_frame_size() -> tuple[int, int]:
        source = open_source(recording)
        return source.height, source.width

    settings = _Settings(_parse_size(size) if size else None, fps, train_fraction, poses)
    data = _open_or_create(open_workspace(workspace), dataset, settings, read_frame_size)
    name_other_files(recording)
    with ProgressBars(err) as display:
        data, added = data.add(
            subject, recording, role=chosen, licence=licence, permission=permission, report=display.report
        )
    facts = added.record
    out.print_lines(
        f"Added '{subject}' to '{dataset}' as {role}: {facts.n_frames} frames of {facts.height}x{facts.width} "
        f"(height x width) at {facts.fps:g} fps, a person in {facts.person_frames} of them.",
        f"poses: {facts.pose_extractor}",
        *(f"note: {warning}" for warning in facts.decode_warnings),
    )


@app.command(
    "import",
    epilog="Example: bench data import --layout edn subject1 --subject 1 --licence research --consent form.pdf · "
    "bench data import --layout openpose json --frames dance.mp4 --subject a --role driver --licence CC0 "
    '--legal-basis "public domain"',
)
def import_layout(
    folder: Annotated[
        Path,
        typer.Argument(help="edn: holds train_img, train_label, test_img, test_label. openpose: *_keypoints.json."),
    ],
    layout: Annotated[
        str,
        typer.Option(help="edn (that of the Everybody-Dance-Now release), openpose, or another of bench list layouts."),
    ],
    subject: SubjectOption,
    licence: LicenceOption,
    frames: Annotated[
        Path | None, typer.Option(help="For openpose: the video or image folder that the poses were detected on.")
    ] = None,
    role: Annotated[str, typer.Option(help="target, train, validation, holdout or driver.")] = "target",
    consent: ConsentOption = None,
    legal_basis: LegalBasisOption = None,
    dataset: AddToDatasetOption = "mine",
    size: SizeOption = None,
    poses: PosesOption = None,
    fps: Annotated[
        float | None, typer.Option(min=1, help="Rate at which numbered frames were taken; 30 if not given.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Import frames of a person with the stick figures or poses that another project extracted."""
    from dancebench.datasets.importers.base import IMPORTERS, ImportRequest
    from dancebench.datasets.subjects.permission import state_permission

    chosen = _parse_role(role)
    permission = state_permission(chosen, consent=consent, legal_basis=legal_basis)
    _refuse_catalogue(dataset)
    settings = _Settings(_parse_size(size) if size else None, poses=poses)
    opened = open_workspace(workspace)
    imported = IMPORTERS[layout](ImportRequest(folder, frames, fps))
    footage = imported.footage
    data = _open_or_create(opened, dataset, settings, lambda: (footage.height, footage.width))
    with ProgressBars(err) as display:
        data, added = data.add_import(
            subject, imported, role=chosen, licence=licence, permission=permission, report=display.report
        )
    facts = added.record
    out.print_lines(
        f"Imported '{subject}' into '{dataset}' as {role}: {facts.n_frames} frames of {facts.height}x{facts.width} "
        f"(height x width) at {facts.fps:g} fps, {len(added.train)} of them for training, in "
        f"{len(facts.breaks) + 1} segment(s) without a gap; a person in {facts.person_frames} of them.",
        *imported.notes,
        *(f"note: {warning}" for warning in facts.decode_warnings),
    )


@app.command(epilog="Example: bench data models")
def models() -> None:
    """Have the models of this machine's pose extractor at hand: what is missing is fetched, once, for work offline."""
    from dancebench.datasets.pose.extractors.base import find_default_extractor, open_extractor

    extractor = open_extractor()
    for name, sha256 in sorted(extractor.model_hashes().items()):
        out.print_lines(f"{name:<36} SHA-256 {sha256[:12]}…")
    out.print_lines(f"{find_default_extractor()}: {extractor.describe()}")


@app.command("list", epilog="Example: bench data list --json")
def list_datasets(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """List the datasets of the workspace."""
    facts = _list_facts(view_workspace(workspace))
    if json:
        print_json(facts)
        return
    table = Table("dataset", "id", "subjects", "prepared", "clip size", "licence")
    for row in facts:
        table.add_row(*(str(row[key]) for key in ("name", "id", "subjects", "prepared", "size", "licence")))
    out.print(table if facts else "No dataset yet. Create one with bench data demo or bench data add.")


def _list_facts(workspace: Workspace) -> list[dict[str, Any]]:
    from dancebench.datasets.subjects.dataset import Dataset

    facts = []
    for name in workspace.list_datasets():
        try:
            data = Dataset.open(workspace, name)
        except BenchError as error:
            err.print_lines(f"skipped: {error.message}")
            continue
        ids = data.ids()
        prepare = data.record.prepare
        facts.append(
            {
                "name": name,
                "id": data.record.dataset_id[:12],
                "subjects": len(ids),
                "prepared": sum(data.is_prepared(subject) for subject in ids),
                "size": f"{prepare.height}x{prepare.width}",
                "licence": data.record.licence,
            }
        )
    return facts


@app.command(epilog="Example: bench data verify --dataset mine")
def verify(
    dataset: Annotated[str, typer.Option(help="Name of the dataset.")] = "demo",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Compare every prepared file with its recorded hash."""
    from dancebench.datasets.subjects.dataset import Dataset

    data = Dataset.open(view_workspace(workspace), dataset)
    problems = data.verify()
    for problem in problems:
        out.print_lines(problem)
    if problems:
        raise BenchError(
            f"{len(problems)} problem(s) in dataset '{dataset}'.",
            hint="Restore the files from a copy, or remove the subject's folder and prepare it again.",
        )
    prepared = sum(data.is_prepared(subject) for subject in data.ids())
    out.print(f"{prepared} of {len(data.ids())} subjects are prepared, and all their files match the recorded hashes.")


def _parse_size(text: str) -> tuple[int, int]:
    from dancebench.datasets.video.picture_size import MAX_CLIP_SIDE

    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise BenchError(f"'{text}' is not a size.", hint="Write HEIGHTxWIDTH, e.g. 512x256.")
    sides = int(height), int(width)
    allowed = all(64 <= side <= MAX_CLIP_SIDE and side % 64 == 0 for side in sides)
    if not allowed or max(sides) not in (min(sides), 2 * min(sides)):
        raise BenchError(
            f"{text} cannot be a clip size.",
            hint=f"Both sides are multiples of 64 up to {MAX_CLIP_SIDE}, and one is as long as the other or twice as "
            "long.",
        )
    return sides


def _refuse_catalogue(dataset: str) -> None:
    from dancebench.datasets.dancers.catalogue import SELECTIONS

    if dataset in SELECTIONS:
        raise BenchError(f"'{dataset}' is a catalogue of drawn dancers.", hint="Name another --dataset for recordings.")


def _parse_role(name: str) -> Role:
    from dancebench.datasets.subjects.records import ROLES

    chosen = next((known for known in ROLES if known == name), None)
    if chosen is None:
        raise BenchError(f"Unknown role '{name}'.", hint=f"Choose one of {', '.join(ROLES)}.")
    return chosen


@dataclass(frozen=True)
class _Settings:
    """Settings of a dataset from the command line; None where the option was left out."""

    size: tuple[int, int] | None = None
    fps: float | None = None
    train_fraction: float | None = None
    poses: str | None = None


def _open_or_create(
    workspace: Workspace, name: str, settings: _Settings, read_frame_size: Callable[[], tuple[int, int]]
) -> Dataset:
    """Open the dataset, or set up a new one, not yet written, whose clip size fits its first footage."""
    from dancebench.datasets.subjects.dataset import Dataset, choose_clip_size, read_split_name
    from dancebench.datasets.subjects.records import DatasetRecord, PoseSource, PrepareConfig, SplitConfig

    if name in workspace.list_datasets():
        data = Dataset.open(workspace, name)
        _check_settings(data.record, settings)
        return data
    undivided, fraction = read_split_name(name)
    if fraction is not None:
        raise BenchError(
            f"'{name}' names the dataset '{undivided}' with {fraction:g} of each clip for training.",
            hint="Name a new dataset without .train-…, and give it --train-fraction.",
        )
    height, width = settings.size or choose_clip_size(*read_frame_size())
    record = DatasetRecord(
        name=validate_name("dataset", name),
        licence="per subject",
        prepare=PrepareConfig(height=height, width=width, fps=settings.fps or 30.0),
        split=SplitConfig(train_fraction=settings.train_fraction or 0.8),
        poses=PoseSource.choose(settings.poses),
    )
    return Dataset(workspace.dataset(name), record)


def _check_settings(record: DatasetRecord, settings: _Settings) -> None:
    """Refuse settings that differ from an existing dataset's: all its clips are prepared in the same way."""
    prepare = record.prepare
    for flag, supplied, existing in (
        ("--size", settings.size, (prepare.height, prepare.width)),
        ("--fps", settings.fps, prepare.fps),
        ("--train-fraction", settings.train_fraction, record.split.train_fraction),
        ("--poses", settings.poses, record.poses.extractor),
    ):
        if supplied is not None and supplied != existing:
            raise BenchError(
                f"Dataset '{record.name}' was made with another {flag}: {existing}.",
                hint=f"Leave {flag} out, or name another --dataset.",
            )
