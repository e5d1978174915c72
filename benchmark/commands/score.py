"""`bench score`: ask a trained detector about videos from outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DeviceOption,
    WorkspaceOption,
    device,
    err,
    open_workspace,
    out,
    print_json,
)  # fmt: skip
from dancebench.benchmark.display import Display
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.workspace import Workspace

if TYPE_CHECKING:
    from dancebench.detect.score import VideoScore


def score(
    video: Annotated[list[str], typer.Argument(help="Video files, folders or globs.")],
    detector: Annotated[
        str, typer.Option(help="A detector of the workspace by name (its latest run), or the folder of one.")
    ] = "pair-patch",
    format_: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    device_name: DeviceOption = "auto",
) -> None:
    """Score videos from outside: higher means more likely synthesized.

    A score is not a verdict. The exit status does not depend on it; a video that cannot be scored is a
    row with its reason, and only if none can be scored does the command fail.

    [dim]Examples: bench score clip.mp4 · bench score folder/ --format json[/]
    """
    if format_ not in ("table", "json"):
        raise BenchError(f"Unknown format '{format_}'.", hint="Choose table or json.")
    folder = _detector_folder(open_workspace(workspace), detector)
    from dancebench.benchmark.runner import single_threaded
    from dancebench.detect.card import load_detector
    from dancebench.detect.score import score_videos

    single_threaded()
    loaded = load_detector(folder, device=device(device_name))
    with Display(err) as display:
        scores = list(score_videos(video, loaded, display.report))
    if format_ == "json":
        print_json(
            {
                "detector": str(folder),
                "weights_sha256": loaded.card.weights_sha256,
                "videos": [each.model_dump(mode="json") for each in scores],
            }
        )
        _refuse_if_none(scores)
        return
    out.print(_table(scores))
    domain = loaded.card.domain
    rates, limit = loaded.card.error_rates, loaded.card.thresholds.video
    out.print(
        f"Detector {folder.name}. Higher = more likely synthesized; the score is not a probability and not a "
        f"verdict.\nThreshold {limit:+.3f}, frozen on validation people. On held-out people it took "
        f"{_share(rates.false_positive_rate, rates.n_real)} real clips for synthesized and "
        f"{_share(rates.false_negative_rate, rates.n_fake)} synthesized ones for real.\n"
        f"Trained on {', '.join(domain.methods)} fakes of {domain.clip_height}x{domain.clip_width} at "
        f"{domain.fps_min:g} to {domain.fps_max:g} fps, of dataset {_dataset_of(workspace, folder)}: on other kinds "
        "of video the error rates say little.",
        highlight=False,
    )
    _refuse_if_none(scores)


def _dataset_of(root: Path, folder: Path) -> str:
    """Name of the dataset of the run that trained the detector, where its record is at hand."""
    from dancebench.leaderboards.records import load_runs

    runs, _ = load_runs(Workspace(root).results)
    return next((run.data.dataset for run in runs if run.run.id == folder.name), "unknown")


def _refuse_if_none(scores: Sequence[VideoScore]) -> None:
    if not any(each.status == "ok" for each in scores):
        raise BenchError(f"None of the {len(scores)} videos could be scored.", hint="The reasons stand beside them.")


def _share(rate: float | None, n: int) -> str:
    return f"{round((rate or 0.0) * n)} of {n}"


def _table(scores: Sequence[VideoScore]) -> Table:
    table = Table()
    for title in ("video", "score", "threshold", "pairs", "sha256", "reason"):
        table.add_column(title, overflow="fold")
    for each in scores:
        side = "" if each.above_threshold is None else ("above" if each.above_threshold else "below")
        value = "" if each.score is None else f"{each.score:+.3f}"
        table.add_row(each.path, value, side, str(each.n_pairs), (each.sha256 or "")[:12], each.reason or "")
    return table


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
