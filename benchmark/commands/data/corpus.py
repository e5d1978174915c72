"""`bench data corpus`: an outside corpus, read where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.table import Table

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    SeedOption,
    WorkspaceOption,
    open_workspace,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out, print_json
from dancebench.core.errors import BenchError, UnknownNameError

if TYPE_CHECKING:
    from dancebench.datasets.corpora.base import Polarity
    from dancebench.datasets.corpora.manifest import Label
    from dancebench.datasets.corpora.record import CorpusRecord, SplitRecord
    from dancebench.datasets.corpora.splits import SplitKind

_SHOWN = 5


def corpus(
    layout: Annotated[str, typer.Argument(help="How its files lie: bench list corpora.")],
    root: Annotated[Path, typer.Argument(help="Its folder; nothing in it is changed or copied.")],
    name: Annotated[str | None, typer.Option(help="Its name in the workspace; default: the layout's.")] = None,
    reals: Annotated[
        Path | None, typer.Option(help="Folder of the corpus that its reals belong to, where they lie elsewhere.")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option("--list", help="Its list, or the folder of its lists; default: found in its folder.")
    ] = None,
    polarity: Annotated[
        str | None, typer.Option(help="What the numbers of a table's labels say: fake=1 or real=1.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Of all videos of a table without labels: real or fake.")] = None,
    fps: Annotated[float | None, typer.Option(min=0.01, help="Rate of folders of images, where it is known.")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="official, person-disjoint or group-disjoint; default: the first of these that it has."),
    ] = None,
    seed: SeedOption = 0,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also hash all files and compare frames across groups: hours if it is large.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Read an outside corpus where it lies: write its manifest, and say what of it is there and whether it leaks."""
    from dancebench.benchmark.corpora.read_in_place import read_into_workspace
    from dancebench.datasets.corpora.base import CORPORA, CorpusRequest
    from dancebench.datasets.corpora.reading import scan_roots

    if layout not in CORPORA:
        raise UnknownNameError("corpus layout", layout, CORPORA.names())
    chosen = None if split is None else _parse_split(split)
    said, of_all = _parse_polarity(polarity), _parse_label(label)
    tree, other = scan_roots(root, reals)
    request = CorpusRequest(tree, other, lists, said, of_all, fps)
    with ProgressBars(err) as display:
        found = read_into_workspace(
            open_workspace(workspace), name or layout, layout, request,
            split=chosen, seed=seed, deep=deep, report=display.report,
        )  # fmt: skip
    if json:
        print_json(found.record.model_dump(mode="json"))
        return
    _show(found.record)
    out.print_lines(f"manifest: {found.manifest}")


def _parse_split(text: str) -> SplitKind:
    from dancebench.datasets.corpora.splits import SplitKind

    chosen: SplitKind | None = next((kind for kind in get_args(SplitKind) if kind == text), None)
    if chosen is None:
        raise UnknownNameError("split", text, get_args(SplitKind))
    return chosen


def _parse_polarity(text: str | None) -> Polarity | None:
    from dancebench.datasets.corpora.base import Polarity

    chosen: Polarity | None = next((known for known in get_args(Polarity) if known == text), None)
    if text is not None and chosen is None:
        raise BenchError(f"'{text}' is not a polarity.", hint="Say --polarity fake=1 or --polarity real=1.")
    return chosen


def _parse_label(text: str | None) -> Label | None:
    labels: dict[str, Label] = {"real": 0, "fake": 1}
    if text is not None and text not in labels:
        raise BenchError(f"'{text}' is not a label.", hint="Say --label real or --label fake.")
    return None if text is None else labels[text]


# ---------------------------------------------------------------- what is shown


def _show(record: CorpusRecord) -> None:
    title = f"{record.title}{f' v{record.version}' if record.version else ''}"
    out.print_lines(f"{title}, read in place: {record.root}")
    form = f"; form: {record.terms.form}" if record.terms.form else ""
    out.print_lines(f"terms: {record.terms.licence}{form}")
    table = Table("videos", "found", "published")
    for count in record.counts:
        table.add_row(count.what, str(count.found), "" if count.official is None else str(count.official))
    out.print(table)
    for name, sha256 in record.lists.items():
        out.print_lines(f"list {name}: SHA-256 {sha256}")
    for what, names in (
        ("missing", record.missing),
        ("extra, in no list", record.extra),
        ("label mismatch", record.mismatches),
        ("cannot be read", tuple(f"{video} ({reason})" for video, reason in record.unreadable.items())),
        ("fakes without their real", record.without_real),
        ("files that are not understood", record.not_understood),
        ("near-duplicates across groups", record.near_duplicates or ()),
    ):
        _show_names(what, names)
    for text in record.problems:
        out.print_lines(f"problem: {text}")
    for text in record.notes:
        out.print_lines(f"note: {text}")
    out.print_lines(_describe_people(record))
    for kind, split in record.splits.items():
        _show_split(kind, split, used=kind == record.split)


def _show_names(what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - _SHOWN} more (corpus.json has all)" if len(names) > _SHOWN else ""
        out.print_lines(f"{what}: {len(names)}: {', '.join(names[:_SHOWN])}{more}")


def _describe_people(record: CorpusRecord) -> str:
    groups = f"{record.n_groups} groups of clips that no split may part"
    if record.n_identified == record.n_videos:
        return f"people: {record.n_people}, in {groups}"
    return (
        f"people: known in {record.n_identified} of {record.n_videos} videos; intervals are by clip group, and nothing "
        f"is said of persons; {groups}"
    )


def _show_split(kind: SplitKind, split: SplitRecord, *, used: bool) -> None:
    sides = ", ".join(f"{side} {n['real']} real {n['fake']} fake" for side, n in split.counts.items())
    out.print_lines(f"split {kind}{' (in the manifest)' if used else ''}: {sides}; {split.what}")
    _show_names("  leak audit", split.leaks)
    _show_names("  left out", tuple(f"{video} ({reason})" for video, reason in split.left_out.items()))
    for lack in split.lacks:
        out.print_lines(f"  {lack}")
