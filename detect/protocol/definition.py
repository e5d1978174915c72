"""Protocols: what a detector is trained, validated and tested on, and how it is measured, as one hashed document.

A protocol names corpora, never files: which videos its parts are follows from a copy of each corpus (`selection`). Its
hash is of all that decides a number, so two runs compare only under one hash. Names, titles and sources are
not part of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.files import sha256_json
from dancebench.core.schema import Document, Name, Strict
from dancebench.datasets.corpora.base import CORPORA
from dancebench.datasets.corpora.manifest import Split
from dancebench.detect.evaluation.aggregation import check_rule
from dancebench.detect.evaluation.metrics import MEASURES
from dancebench.detect.evaluation.robustness import UNSEEN_AUC
from dancebench.detect.inputs.perturbations import FAMILIES_IN_TRAINING, find_perturbation
from dancebench.detect.inputs.view import ViewName

DATASET: Final = "dataset"
"""Corpus of a part whose videos this suite makes: people of a prepared dataset, and their fakes."""
OWN: Final = "own"
"""Left to each entry: what it chooses is told in its row."""
LEADING: Final = (
    *(f"{level}_{measure}" for level in ("video", "pair") for measure in MEASURES),
    "video_cllr",
    UNSEEN_AUC,
)
"""The metrics that a protocol may lead with."""

PartSplit = Literal["official", "person-disjoint", "group-disjoint", "roles", "whole"]
"""`official`: as published; `…-disjoint`: by the seed; `roles`: those of a dataset's people; `whole`: not divided."""
ViewChoice = Literal["own"] | ViewName


class ProtocolKey(NamedTuple):
    """What a record says of its protocol."""

    name: str
    sha256: str


_Methods = Annotated[tuple[str, ...], AfterValidator(lambda names: tuple(sorted(set(names))))]


class Part(Strict):
    """Videos of one corpus.

    Attributes:
        corpus: Layout of the corpus, or `dataset`.
        version: Of the corpus, where it has several; None: any.
        split: By what the corpus is divided.
        side: Which side of it; None: the whole corpus.
        methods: Fakes of these methods alone; empty: of all. Reals are kept.
        without: Fakes of these methods are left out.
        compression: Videos of this compression alone; None: of all.
        lists: Official lists that the corpus must have been read with, each with its SHA-256.
    """

    corpus: Name
    version: str | None = None
    split: PartSplit
    side: Split | None = None
    methods: _Methods = ()
    without: _Methods = ()
    compression: str | None = None
    lists: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_side_if_divided(self) -> Part:
        if (self.split == "whole") != (self.side is None):
            raise ValueError("a part is the whole corpus, or a side of a split")
        if (self.corpus == DATASET) != (self.split == "roles"):
            raise ValueError("a dataset is divided by roles, and nothing else is")
        return self

    @property
    def label(self) -> str:
        """The corpus, with its version."""
        return self.corpus if self.version is None else f"{self.corpus} (version {self.version})"


_Perturbations = Annotated[tuple[str, ...], AfterValidator(lambda names: tuple(sorted(set(names))))]
_Parts = Annotated[tuple[Part, ...], Field(min_length=1)]


class Fold(Strict):
    """One training, and what it is tested on.

    Attributes:
        train: What detectors are trained on.
        validation: What thresholds and calibration are frozen on.
        tests: Name of a test set -> its videos.
    """

    train: _Parts
    validation: _Parts
    tests: Annotated[dict[Name, _Parts], Field(min_length=1)]

    def parts(self) -> Iterator[tuple[str, Part]]:
        """Every part, with the place where the document has it."""
        yield from (("train", part) for part in self.train)
        yield from (("validation", part) for part in self.validation)
        yield from ((f"tests.{name}", part) for name, parts in self.tests.items() for part in parts)


class Protocol(Document):
    """`protocols/NAME.json`.

    Attributes:
        name: By which it is found.
        title: What it measures, in a line.
        source: Where it is used, or printed.
        folds: Each is trained anew.
        seed: Of the disjoint splits.
        leaks: Whether what the leak audit finds stops a run, or is reported: published splits leak.
        windows: Windows scored of each video, evenly placed; `all`; or each entry's own.
        view: What of a frame a detector sees.
        aggregation: Rule from a video's window logits to its score.
        perturbations: Under each of which the tests are scored once more, as copies of fakes whose method no entry
            was trained on, and of reals; none that training windows undergo.
        leading_metric: By which entries are ranked.
    """

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2

    name: Name
    title: str
    source: str
    folds: Annotated[dict[Name, Fold], Field(min_length=1)]
    seed: int = 0
    leaks: Literal["refuse", "report"] = "refuse"
    windows: Annotated[int, Field(gt=0)] | Literal["own", "all"] = OWN
    view: ViewChoice = OWN
    aggregation: str = OWN
    perturbations: _Perturbations = ()
    leading_metric: str = "video_auc"

    @model_validator(mode="after")
    def _leads_with_what_is_measured(self) -> Protocol:
        if (self.leading_metric == UNSEEN_AUC) != bool(self.perturbations):
            raise ValueError(f"perturbations are named where {UNSEEN_AUC} leads, and nowhere else")
        return self

    @property
    def sha256(self) -> str:
        """Hash of what decides a number. Fields at their defaults are left out, so that later fields change no hash."""
        words = {"schema_version", "name", "title", "source"}
        return sha256_json(self.model_dump(mode="json", exclude=words, exclude_defaults=True))

    @property
    def key(self) -> ProtocolKey:
        """Name and hash, for records."""
        return ProtocolKey(self.name, self.sha256)

    def parts(self) -> Iterator[tuple[str, Part]]:
        """Every part of every fold, with the place where the document has it."""
        for name, fold in self.folds.items():
            yield from ((f"folds.{name}.{place}", part) for place, part in fold.parts())

    def find_fold(self, name: str) -> Fold:
        """A fold by its name.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if name not in self.folds:
            raise UnknownNameError(f"fold of protocol '{self.name}'", name, self.folds)
        return self.folds[name]


def read_protocol(path: Path) -> Protocol:
    """Read a protocol and check the names in it.

    Raises:
        BenchError: It is damaged, lies under another name than its own, or names a corpus, rule or metric that does
            not exist.
    """
    protocol = Protocol.load(path)
    if protocol.name != path.stem:
        raise BenchError(f"{path} holds the protocol '{protocol.name}', not '{path.stem}'.", hint="Give both one name.")
    check_protocol(protocol)
    return protocol


def check_protocol(protocol: Protocol) -> None:
    """Refuse names that nothing of this installation has.

    Raises:
        UnknownNameError: There is no such corpus layout, aggregation rule, perturbation or metric.
        BenchError: Detectors are trained under one of its perturbations.
    """
    for place, part in protocol.parts():
        _require_known(f"corpus in {place} of protocol '{protocol.name}'", part.corpus, (*CORPORA.names(), DATASET))
    if protocol.aggregation != OWN:
        check_rule(protocol.aggregation)
    for name in protocol.perturbations:
        if (family := find_perturbation(name).family) in FAMILIES_IN_TRAINING:
            raise BenchError(
                f"Protocol '{protocol.name}' counts '{name}' as unseen, which detectors are trained under ({family}).",
                hint=f"Leave out every perturbation of {', '.join(FAMILIES_IN_TRAINING)}.",
            )
    _require_known(f"leading metric of protocol '{protocol.name}'", protocol.leading_metric, LEADING)


def _require_known(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise UnknownNameError(kind, name, known)
