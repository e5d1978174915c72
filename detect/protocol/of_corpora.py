"""Protocols made of corpora that are named on the command line: trained on some, tested on some; a matrix.

`CORPUS` is the name of a corpus in the workspace, `CORPUS:SPLIT` says by what it is divided. Each training corpus is a
fold, which is tested on every test corpus: of a divided one on its held-out side, of a `whole` one on all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, get_args

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import Split
from dancebench.datasets.corpora.record import CorpusRecord
from dancebench.datasets.corpora.splits import SplitKind
from dancebench.detect.protocol.catalogue import list_copies
from dancebench.detect.protocol.definition import Fold, Part, PartSplit, Protocol
from dancebench.detect.protocol.selection import CorpusCopy

_WHOLE: Final = "whole"
_NAME_ROOM: Final = 64


def find_copies(workspace: Workspace) -> tuple[CorpusCopy, ...]:
    """The corpora of a workspace, each to be found by its own name, so that several may be of one layout."""
    return tuple(replace(copy, layout=copy.name) for copy in list_copies(workspace))


def make_protocol(workspace: Workspace, train: Sequence[str], tests: Sequence[str], seed: int) -> Protocol:
    """The protocol of `bench detect --train … --test …`.

    Args:
        workspace: Of the corpora.
        train: `CORPUS` or `CORPUS:SPLIT`; each is a training.
        tests: `CORPUS` or `CORPUS:SPLIT`; on each every training is tested.
        seed: Of the disjoint splits.

    Raises:
        UnknownNameError: There is no such corpus or split.
        BenchError: A corpus is named twice, is to be trained on whole, or is trained and tested on under two splits.
    """
    trained = _read_choices(workspace, train, {})
    whole = [name for name, split in trained.items() if split == _WHOLE]
    if whole:
        raise BenchError(
            f"{whole[0]} cannot be trained on as a whole: thresholds come from validation people.",
            hint=f"Divide it: --train {whole[0]}:person-disjoint.",
        )
    tested = _read_choices(workspace, tests, trained)
    for name, split in tested.items():
        if trained.get(name, split) != split:
            raise BenchError(
                f"{name} is trained on as {trained[name]} and tested on as {split}: its people would be in both.",
                hint="Name one split for it.",
            )
    folds = {
        name: Fold(
            train=(_make_part(name, split, "train"),),
            validation=(_make_part(name, split, "validation"),),
            tests={test: (_make_part(test, of, "holdout"),) for test, of in _put_first(name, tested).items()},
        )
        for name, split in trained.items()
    }
    name = f"{'+'.join(trained)}-to-{'+'.join(tested)}".replace("+", "_")[:_NAME_ROOM]
    return Protocol(
        name=name, title="Corpora of a workspace", source="bench detect --train --test", folds=folds, seed=seed
    )


def _read_choices(workspace: Workspace, texts: Sequence[str], known: dict[str, PartSplit]) -> dict[str, PartSplit]:
    """Corpus -> split, in the order given; what is not stated is what is `known`, else that of the corpus' record."""
    corpora = workspace.list_corpora()
    chosen: dict[str, PartSplit] = {}
    for text in texts:
        name, colon, stated = text.partition(":")
        if name not in corpora:
            raise UnknownNameError("corpus", name, corpora)
        if name in chosen:
            raise BenchError(f"{name} is named twice.", hint="Name each corpus once.")
        splits: tuple[PartSplit, ...] = (*get_args(SplitKind), _WHOLE)
        own = CorpusRecord.load(workspace.corpus(name) / "corpus.json").split
        found = next((each for each in splits if each == stated), None) if colon else known.get(name, own)
        if found is None:
            raise UnknownNameError("split", stated, splits)
        chosen[name] = found
    return chosen


def _make_part(corpus: str, split: PartSplit, side: Split) -> Part:
    return Part(corpus=corpus, split=split, side=None if split == _WHOLE else side)


def _put_first(name: str, tested: dict[str, PartSplit]) -> dict[str, PartSplit]:
    """The tests with that of the training's own corpus first: it stands in the card."""
    own = {name: tested[name]} if name in tested else {}
    return own | tested
