"""Reading of a corpus: a root and the name of a layout in; rows with headers and groups, and what was found, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress
from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading
from dancebench.datasets.corpora.file_facts import FileFacts, FileFactsRecord, read_file_facts
from dancebench.datasets.corpora.groups import group_rows
from dancebench.datasets.corpora.manifest import VideoRow, resolve_inside
from dancebench.datasets.corpora.tree import Tree

_OPTIONS = {"reals": "--reals", "lists": "--list", "polarity": "--polarity", "label": "--label", "fps": "--fps"}


@dataclass(frozen=True)
class CorpusReading:
    """A corpus as it lies on the disk.

    Attributes:
        rows: All videos with their groups, in no split.
        found: What the layout found.
        root: What the rows' paths are relative to.
        files: What was read of the files, by path.
        not_understood: Files that are no videos of the layout, nor lists or known files beside them.
        unreadable: video_id -> why its header cannot be read.
        without_real: Fakes whose real is not among the rows.
    """

    rows: list[VideoRow]
    found: Reading
    root: Path
    files: dict[str, FileFacts]
    not_understood: tuple[str, ...]
    unreadable: dict[str, str]
    without_real: tuple[str, ...]


def scan_roots(root: Path, reals: Path | None) -> tuple[Tree, Tree | None]:
    """List a corpus, and the corpus that its reals lie in; their paths are relative to the folder that holds both.

    Raises:
        BenchError: One is no folder.
    """
    tree = Tree.scan(root.resolve())
    if reals is None:
        return tree, None
    other = Tree.scan(reals.resolve())
    common = find_common_root(tree.root, other.root)
    return _place(tree, common), _place(other, common)


def find_common_root(first: Path, second: Path) -> Path:
    """The deepest folder that holds both.

    Raises:
        BenchError: There is none: they lie on two drives.
    """
    for folder in (first, *first.parents):
        if second == folder or second.is_relative_to(folder):
            return folder
    raise BenchError(f"{first} and {second} lie on two drives.", hint="Link one to the drive of the other.")


def read_corpus(name: str, request: CorpusRequest, known: FileFactsRecord, report: ReportProgress) -> CorpusReading:
    """Read a corpus where it lies: its names and lists, then the header of each video; no frame is decoded.

    Args:
        name: Of a layout.
        request: Where it lies, and options.
        known: What was read of its files before.
        report: Progress.

    Raises:
        UnknownNameError: There is no such layout.
        BenchError: An option does not apply, a list contradicts the folders, or there is no video of this layout.
    """
    layout = CORPORA[name]()
    _refuse_options(name, layout, request)
    found = layout.read(request)
    if not found.rows:
        raise _explain_nothing(name, request.tree)
    _refuse_repeated(found.rows)
    root = _find_root(request)
    for row in found.rows:
        resolve_inside(root, row.path)  # a link that leaves the root is refused now, and not when the manifest is read
    files = read_file_facts(root, found.rows, known, report)
    rows = group_rows([_add_file_facts(row, files[row.path]) for row in found.rows])
    ids = {row.video_id for row in rows}
    used = {row.path for row in rows}
    return CorpusReading(
        rows=rows,
        found=found,
        root=root,
        files=files,
        not_understood=_list_not_understood(layout, request.tree, used, found.used),
        unreadable=_list_unreadable(rows, files),
        without_real=tuple(row.video_id for row in rows if row.real_of is not None and row.real_of not in ids),
    )


def add_what_was_read(reading: CorpusReading, files: dict[str, FileFacts]) -> CorpusReading:
    """The corpus with more that was read of its files since."""
    rows = [_add_file_facts(row, files[row.path]) for row in reading.rows]
    return replace(reading, rows=rows, files=files, unreadable=_list_unreadable(rows, files))


def list_lookalikes(tree: Tree) -> dict[str, int]:
    """Layouts that a folder looks like -> number of files that do, the likeliest first."""
    counts = {name: layout().recognise(tree) for name, layout in CORPORA.entries().items()}
    return {name: count for name, count in sorted(counts.items(), key=lambda each: -each[1]) if count > 0}


# ---------------------------------------------------------------- steps


def _place(tree: Tree, common: Path) -> Tree:
    relative = tree.root.relative_to(common).as_posix()
    return tree if relative == "." else replace(tree, prefix=f"{relative}/")


def _find_root(request: CorpusRequest) -> Path:
    return request.tree.root if request.reals is None else find_common_root(request.tree.root, request.reals.root)


def _refuse_options(name: str, layout: Layout, request: CorpusRequest) -> None:
    for option, flag in _OPTIONS.items():
        if getattr(request, option) is not None and option not in layout.takes:
            raise BenchError(f"{flag} has no effect on the layout '{name}'.", hint=f"Leave {flag} out.")


def _explain_nothing(name: str, tree: Tree) -> BenchError:
    others = [f"'{other}' ({count} files)" for other, count in list_lookalikes(tree).items() if other != name][:2]
    if others:
        hint = f"It looks like {' or '.join(others)}."
    else:
        shown = ", ".join(tree.files[:3]) or "nothing"
        hint = f"It holds {shown}{', …' if len(tree.files) > 3 else ''}; for other layouts there is 'csv'."
    return BenchError(f"{tree.root} holds no video of the layout '{name}'.", hint=hint)


def _refuse_repeated(rows: list[VideoRow]) -> None:
    first: dict[str, VideoRow] = {}
    for row in rows:
        known = first.setdefault(row.video_id, row)
        if known is row:
            continue
        if known.official_split != row.official_split:
            raise BenchError(
                f"{row.video_id} is in two splits: {known.official_split} and {row.official_split}.",
                hint="Give each video one split.",
            )
        raise BenchError(f"{row.video_id} is listed twice.", hint="Name each video once.")


def _add_file_facts(row: VideoRow, facts: FileFacts) -> VideoRow:
    """The row with what its file claims, or with what decoding found, and the hash if it is known."""
    if _explain_unreadable(row, facts) is not None:
        return row.model_copy(update={"status": "unreadable", "sha256": facts.sha256})
    stated: dict[str, Any] = {} if row.fps is None else {"fps": row.fps}
    if row.crop is not None:
        stated |= {"width": row.crop.width, "height": row.crop.height}
    status = "decoded" if facts.decoded else "claimed"
    return row.model_copy(update=facts.header | stated | {"sha256": facts.sha256, "status": status})


def _explain_unreadable(row: VideoRow, facts: FileFacts) -> str | None:
    """Why a video cannot be read; None where it can, as far as its header tells."""
    crop, header = row.crop, facts.header
    if facts.reason is not None or crop is None:
        return facts.reason
    if crop.left + crop.width > header["width"] or crop.top + crop.height > header["height"]:
        return f"its crop lies outside of the picture ({header['width']}x{header['height']}, width x height)."
    return None


def _list_unreadable(rows: Sequence[VideoRow], files: Mapping[str, FileFacts]) -> dict[str, str]:
    reasons = {row.video_id: _explain_unreadable(row, files[row.path]) for row in rows}
    return {video: reason for video, reason in reasons.items() if reason is not None}


def _list_not_understood(layout: Layout, tree: Tree, videos: set[str], used: set[str]) -> tuple[str, ...]:
    return tree.undecodable + tuple(
        name
        for name in tree.files
        if tree.prefix + name not in videos
        and name not in used
        and (tree.prefix + name).rpartition("/")[0] not in videos  # an image of a video that is a folder
        and not layout.side.fullmatch(name)
    )
