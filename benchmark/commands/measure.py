"""`bench measure`: a folder of finished fakes against the folder of their reals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    JobsOption,
    JsonOption,
    WorkspaceOption,
    choose_worker_count,
    open_workspace,
    read_argv,
    show_among_others,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err


def measure(
    reals: Annotated[Path, typer.Argument(metavar="REAL_DIR", help="Folder of the real clips, best one per person.")],
    fakes: Annotated[Path, typer.Argument(metavar="FAKE_DIR", help="Folder of the fakes, under the same names.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the synthesizer; default: that of the folder of fakes.")
    ] = None,
    poses: Annotated[
        str | None,
        typer.Option(help="Pose extractor (bench list extractors), or off: then the whole frame alone is measured."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Network for a Fréchet distance with the file of its weights: inception-v3 or inception-v3-fid (FID), "
            "r3d_18 (FID-VID), s3d or mvit_v2_s (FVD); repeatable.",
        ),
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Frames from one to the next that a --network sees.")] = 1,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    jobs: JobsOption = None,
    json: JsonOption = False,
) -> None:
    """Measure fakes from elsewhere: pairs by name, poses, images, flicker, Fréchet distances; a record and a row.

    Nothing is written into either folder. Clips that have no partner, or another length, rate or size, are named and
    counted as failures.

    [dim]Examples: bench measure reals fakes · bench measure reals fakes --name theirs --poses off ·
    bench measure reals fakes --network inception-v3=inception_v3_google-0cc3c7bd.pth[/]
    """
    if stride > 1 and not network:
        raise typer.BadParameter("it is of a --network", param_hint="--stride")
    from dancebench.benchmark.metrics.frechet.base import load_network
    from dancebench.benchmark.outside.folders import FolderSettings, run_folders
    from dancebench.benchmark.runs.run_clock import RunClock

    clock = RunClock(read_argv())
    named = [_parse_network(text) for text in network or ()]
    opened = open_workspace(workspace)
    settings = FolderSettings(poses, [load_network(*each) for each in named], stride)
    with ProgressBars(err) as display:
        record, others = run_folders(
            opened,
            reals,
            fakes,
            name or fakes.resolve().name,
            settings,
            clock=clock,
            workers=choose_worker_count(jobs),
            report=display.report,
        )
    if others:
        err.print_lines(f"passed over (no video): {len(others)}: {', '.join(others[:5])}")
    show_among_others(opened, record, json=json)


def _parse_network(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise typer.BadParameter(f"'{text}' is not NAME=FILE", param_hint="--network")
    return name, Path(path).expanduser()
