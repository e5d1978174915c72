"""Protocols by name: the built-in ones and those of a workspace, and which of them can run on this disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.registry import BUILT_IN
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.record import CorpusRecord
from dancebench.detect.protocol.definition import DATASET, Protocol, check_protocol, read_protocol
from dancebench.detect.protocol.selection import CorpusCopy, list_fitting, select_fold

HOLDOUT: Final = "table-5"
"""The protocol of `bench detect --holdout`."""


@dataclass(frozen=True)
class ListedProtocol:
    """A protocol, and whether it can run on this disk.

    Attributes:
        name: Of its file.
        protocol: None where the file is damaged or names what does not exist.
        source: Where it comes from.
        obstacles: Why it cannot run, one line each; none where it can.
    """

    name: str
    protocol: Protocol | None
    source: str
    obstacles: tuple[str, ...]


def load_built_in(name: str) -> Protocol:
    """Read a built-in protocol.

    Raises:
        UnknownNameError: There is none of that name.
    """
    known = _list_built_in()
    if name not in known:
        raise UnknownNameError("protocol", name, known)
    return Protocol.load(known[name])


def find_protocol(workspace: Workspace, name: str) -> Protocol:
    """A protocol by name; of two with one name the built-in one is used.

    Raises:
        UnknownNameError: There is none of that name, or it names a corpus, rule or metric that does not exist.
        BenchError: Its file is damaged.
    """
    built_in, own = _list_built_in(), _list_own(workspace)
    if name in built_in:
        protocol = Protocol.load(built_in[name])
        check_protocol(protocol)
        return protocol
    if name not in own:
        raise UnknownNameError("protocol", name, (*built_in, *own))
    return read_protocol(own[name])


def list_protocols(workspace: Workspace) -> list[ListedProtocol]:
    """Every protocol by name, the built-in ones first, each with what keeps it from running with this workspace."""
    built_in, own = _list_built_in(), _list_own(workspace)
    copies = list_copies(workspace)
    listed = [_list_one(path, BUILT_IN, copies) for path in built_in.values()]
    for name, path in own.items():
        source = path.relative_to(workspace.root).as_posix()
        if name in built_in:
            listed.append(ListedProtocol(name, None, source, ("a built-in protocol has its name, and is used",)))
        else:
            listed.append(_list_one(path, source, copies))
    return listed


def _list_one(path: Path, source: str, copies: Sequence[CorpusCopy]) -> ListedProtocol:
    try:
        protocol = Protocol.load(path) if source == BUILT_IN else read_protocol(path)
        check_protocol(protocol)
    except BenchError as error:
        return ListedProtocol(path.stem, None, source, (error.message,))
    return ListedProtocol(path.stem, protocol, source, tuple(_find_obstacles(protocol, copies)))


def _list_built_in() -> dict[str, Path]:
    folder = Path(str(resources.files("dancebench.detect.protocol") / "builtin"))
    return _read_names(folder)


def _list_own(workspace: Workspace) -> dict[str, Path]:
    return _read_names(workspace.protocols)


def _read_names(folder: Path) -> dict[str, Path]:
    """The protocols' files by name, in the order of the names."""
    return dict(sorted((path.stem, path) for path in folder.glob("*.json")))


# ---------------------------------------------------------------- what is on this disk


def list_copies(workspace: Workspace) -> list[CorpusCopy]:
    """The corpora of a workspace whose records can be read."""
    copies = []
    for name in workspace.list_corpora():
        folder = workspace.corpus(name)
        record = CorpusRecord.load_if_usable(folder / "corpus.json")
        if record is not None:
            copies.append(CorpusCopy(name, record.layout, folder / "manifest.jsonl", record.version, record.lists))
    return copies


def _find_obstacles(protocol: Protocol, copies: Sequence[CorpusCopy]) -> list[str]:
    """Why a protocol cannot run: all corpora that are missing, else the first thing that its folds lack."""
    of_corpora = [part for _, part in protocol.parts() if part.corpus != DATASET]
    missing = {part.label: None for part in of_corpora if not list_fitting(part, copies)}
    if missing:
        return [f"not in this workspace: {', '.join(missing)}"]
    if len(of_corpora) < len(list(protocol.parts())):
        return []  # people of a dataset: the demo dancers and their fakes are made when they are needed
    try:
        for fold in protocol.folds:
            select_fold(protocol, fold, copies)
    except BenchError as error:
        return [error.message]
    return []
