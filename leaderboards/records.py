"""Run records: what a run measured, on what, with what; one JSON and one table of items per run.

In: a record and a row per item. Out: `results/RUN.json` and `results/RUN.parquet`. Every leaderboard is
rebuilt from the JSON files alone. A number that cannot be had is null with its reason, an item that failed
is listed with its reason; nothing is dropped.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self

import pandas as pd
from pydantic import Field, NonNegativeInt, StringConstraints, model_validator

from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_path, is_temporary, to_file_name
from dancebench.core.metric import Metric, rename_metrics
from dancebench.core.schema import Document, Name, Strict
from dancebench.leaderboards.record_versions.version1 import read_notes
from dancebench.leaderboards.record_versions.version2 import remake_share_intervals
from dancebench.leaderboards.record_versions.version3 import HOLDOUT_PROTOCOL

RunKind = Literal["synthesis", "detection", "perceptual"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
UtcTime = Annotated[
    str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")
]  # fmt: skip
"""ISO 8601 in UTC, e.g. `2025-01-31T09:30:00+00:00`."""

UNSEEN_LEVEL: Final = "unseen"
"""Level of the rows that the mean AUC over unseen methods and perturbations was computed from."""
_DIGEST = re.compile(r"[0-9a-f]{12,64}")
_FIELD_SETS: dict[frozenset[str], set[str]] = {}
"""The sets that values share, see `_share_memory`."""
_NAME_ROOM = 64 - len("perceptual-") - len("-") - 12  # what `Name` leaves for the entry's own name


class Run(Strict):
    """How the numbers came about."""

    id: Name
    kind: RunKind
    argv: list[str]
    git_sha: str | None
    dirty: bool | None
    versions: dict[str, str]
    hardware: dict[str, str | int]
    seeds: dict[str, int]
    started: UtcTime
    seconds: float


class ProtocolReference(Strict):
    """The protocol of a run: what it was trained, validated and tested on, and how it was measured."""

    name: Name
    sha256: Sha256
    """Of what decides a number; runs compare only under one hash, whatever the name."""


class Data(Strict):
    """What was measured on."""

    dataset: str
    dataset_id: Sha256
    """Same sources, roles and preparation on every machine; rows are compared only within it."""
    content_sha256: Sha256
    """Hash of the prepared files themselves, against tampering."""
    videos_sha256: Sha256 | None = None
    """Of a detection run: hash of the rows of its manifest, every split. Rows with one hash were measured on the same
    videos and are compared in pairs. Null in records before version 4."""
    protocol: ProtocolReference | None = None
    """Of a detection run; null for other kinds."""
    train_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of each clip, its beginning, that trains; the rest is held out. It enters `dataset_id`. Null before
    version 6, and where clips are not divided in time: outside videos, studies."""
    n_original: NonNegativeInt
    """Items (videos) that the run set out to measure."""
    n_effective: NonNegativeInt
    """Items that it did measure; the others stand in `failures`."""

    @model_validator(mode="after")
    def _no_more_than_there_were(self) -> Self:
        if self.n_effective > self.n_original:
            raise ValueError("n_effective is at most n_original")
        return self


class _Facts(Strict):
    """What a record of any kind tells beside its numbers."""

    frame_size: str | None = None
    """HEIGHTxWIDTH of what was measured; rows are compared only within it."""
    settings: str | None = None
    """What `--set` changed in its configuration: `KEY=VALUE, …`; null for nothing."""
    warnings: tuple[str, ...] = ()
    """Sentences that mark the row."""
    remarks: tuple[str, ...] = ()
    """Further sentences."""


class AncestorFacts(Strict):
    """A generator of many people from which synthesizers started."""

    weights_sha256: Sha256
    side: Literal["train", "holdout"]
    """Of the split: whose synthesizers it is for."""
    people: tuple[str, ...]
    """Whom it was trained on."""


class SynthesisFacts(_Facts):
    """Of a synthesis method."""

    kind: Literal["synthesis"] = "synthesis"
    perceptual_trunk: str | None = None
    """That it was trained with, or `off`: LPIPS of the same trunk does not rank it."""
    perceptual_trunk_reason: str | None = None
    """Why the configured trunk was not used."""
    precision: str | None = None
    """In which the networks ran; null for a method that is not trained."""
    training_seeds: int | None = None
    """With which every subject was trained at least; null for a method that is not trained."""
    seed_spread: str | None = None
    """The primary metric by training seed; null for one seed."""
    ancestors: tuple[AncestorFacts, ...] = ()
    """What the synthesizers started from; none: from nothing, as in records before version 6."""


class Fakes(Strict):
    """The fakes that a detector was trained and measured on, and how good they are."""

    method: str
    """Of the training fakes."""
    preset: str
    body_ssim: dict[str, float]
    """By method: mean over held-out people of the body SSIM of fakes in their own motion."""
    ancestors: tuple[AncestorFacts, ...] = ()
    """What their synthesizers started from; none: from nothing, as in records before version 6."""


class NullControl(Strict):
    """Whether reals that are encoded once more keep their scores."""

    passed: bool | None
    reason: str | None = None
    """Why it was not measured."""

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> Self:
        if (self.passed is None) != (self.reason is not None):
            raise ValueError("a null control passed or failed, or is null with the reason")
        return self


class SubmittedScores(Strict):
    """The file of scores that another system handed in."""

    sha256: Sha256
    missing_holdout: NonNegativeInt
    """Held-out videos without a score."""
    missing_validation: NonNegativeInt
    """Validation videos without a score."""
    thresholds_reason: str | None = None
    """Why there are no thresholds; null where there are."""


class DetectionFacts(_Facts):
    """Of a detector, or of submitted scores."""

    kind: Literal["detection"] = "detection"
    fakes: Fakes | None = None
    """Null where the run that made the videos is not known."""
    aggregator: str | None = None
    """Rule from pair logits to a video's score."""
    null_control: NullControl | None = None
    """Null for submitted scores: the detector is not here."""
    weights_from: str | None = None
    """Pretrained weights that it started from, or why there were none."""
    submitted: SubmittedScores | None = None
    view: str | None = None
    """What of the frames it looks at, with the size: `face:224x224`; null for clips as they are."""
    windows: int | Literal["all"] | None = None
    """Evenly placed windows that are scored of a video; null for submitted scores and in earlier records."""
    trained_on: str | None = None
    """Of a run on outside corpora: what the training videos are."""
    tested_on: str | None = None
    """Of a run on outside corpora: the test set."""


class PerceptualFacts(_Facts):
    """Of a forced-choice study."""

    kind: Literal["perceptual"] = "perceptual"


Facts = SynthesisFacts | DetectionFacts | PerceptualFacts


class Entry(Strict):
    """The subject of the run: the method or detector that was measured."""

    name: str
    preset: str
    weights_sha256: dict[str, str]
    parameters: dict[str, int]
    """Parameter count of each network."""
    steps: int | None = None
    seconds_training: float | None = None
    facts: Facts = Field(discriminator="kind")


class Failure(Strict):
    """An item that could not be measured."""

    item: str
    reason: str


class RunRecord(Document):
    """`results/RUN.json`."""

    SCHEMA_VERSION: ClassVar[int] = 6
    schema_version: int = 6

    run: Run
    data: Data
    entry: Entry
    metrics: dict[str, Metric]
    per_subject: dict[str, dict[str, float | None]]
    """Subject to metric name to that subject's value; every subject of the run stands here."""
    failures: list[Failure]

    @model_validator(mode="after")
    def _facts_are_of_its_kind(self) -> Self:
        if self.entry.facts.kind != self.run.kind:
            raise ValueError(f"a {self.run.kind} run has no {self.entry.facts.kind} facts")
        return self

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Turn the notes of version 1 into facts, make the intervals of shares before version 3 again, name the
        protocol of detection runs before version 4 and the metrics before version 5 as they are named now.

        What is not a record is left for validation to refuse.
        """
        run, entry = data.get("run"), data.get("entry")
        if not isinstance(run, dict) or not isinstance(entry, dict):
            return data
        notes, kind = entry.get("notes", {}), run.get("kind")
        if "facts" not in entry and isinstance(notes, dict) and isinstance(kind, str):
            others = {name: value for name, value in entry.items() if name != "notes"}
            data = data | {"entry": others | {"facts": read_notes(notes, kind)}}
        metrics, people = data.get("metrics"), data.get("per_subject")
        if data["schema_version"] < 3 and isinstance(metrics, dict) and isinstance(people, dict):
            data = data | {"metrics": remake_share_intervals(metrics, len(people))}
        if data["schema_version"] < 4 and kind == "detection" and isinstance(data.get("data"), dict):
            data = data | {"data": data["data"] | {"protocol": HOLDOUT_PROTOCOL}}
        if isinstance(data.get("metrics"), dict):
            data = data | {"metrics": rename_metrics(data["metrics"])}
        return data


class Skipped(NamedTuple):
    """A file among the records that is left out, and why."""

    path: Path
    reason: str


def new_run_id(kind: RunKind, name: str, digest: str) -> str:
    """The id of a run, from its content alone, so that the same configuration replaces its older record.

    Args:
        kind: Kind of the run.
        name: Method or detector; `to_file_name` of it is used.
        digest: Hex SHA-256 of everything that the result depends on (the name among it); 12 digits are kept.

    Raises:
        ValueError: The digest is not hexadecimal or too short.
    """
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"a digest has 12 to 64 lower-case hexadecimal digits, not '{digest}'")
    return f"{kind}-{to_file_name(name)[:_NAME_ROOM]}-{digest[:12]}"


def save_run(results_dir: Path, record: RunRecord, rows: pd.DataFrame) -> Path:
    """Write a run's rows and its record; returns the path of the record.

    Both files are complete before either takes its place, the record last: it never stands without rows.

    Raises:
        BenchError: The folder cannot be written.
    """
    path = results_dir / f"{record.run.id}.json"
    with atomic_path(path) as record_file:
        record.save(record_file)
        with atomic_path(path.with_suffix(".parquet")) as rows_file:
            rows.to_parquet(rows_file, index=False)
    return path


def load_runs(results_dir: Path) -> tuple[list[RunRecord], list[Skipped]]:
    """Read every record of a folder.

    Returns:
        The records by id, and the files that were left out (written by a later release, damaged, or under
        a name that is not their id) with the reason, by path. A folder that is not there is empty.
    """
    records: dict[str, RunRecord] = {}
    skipped: list[Skipped] = []
    with _pause_collector():
        for path in sorted(results_dir.glob("*.json")):
            if is_temporary(path):
                continue
            try:
                record = RunRecord.load(path)
            except BenchError as error:
                skipped.append(Skipped(path, error.message.replace(str(path), path.name)))
                continue
            if record.run.id == path.stem:
                records[record.run.id] = _share_memory(record)
            else:
                skipped.append(Skipped(path, f"{path.name} holds the run '{record.run.id}', not its own."))
    return [records[run_id] for run_id in sorted(records)], skipped


@contextmanager
def _pause_collector() -> Iterator[None]:
    """Do not look for cycles of garbage: records hold none, and a look goes through all that are loaded."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _share_memory(record: RunRecord) -> RunRecord:
    """The record, with what thousands of records have in common held once.

    That is the sets of fields which pydantic keeps of every value, the names of metrics, and the words of units and
    methods: half of the memory that 10,000 records take.
    """
    metrics = {sys.intern(name): metric for name, metric in record.metrics.items()}
    record.__dict__["metrics"] = metrics  # a frozen model: equal to what it was
    record.__dict__["per_subject"] = {
        subject: {sys.intern(name): value for name, value in values.items()}
        for subject, values in record.per_subject.items()
    }
    for metric in metrics.values():
        _share_parts(metric, "unit", "reason")
        if metric.ci95 is not None:
            _share_parts(metric.ci95, "method")
    return record


def _share_parts(value: Strict, *words: str) -> None:
    fields = _FIELD_SETS.setdefault(frozenset(value.model_fields_set), value.model_fields_set)
    object.__setattr__(value, "__pydantic_fields_set__", fields)  # a frozen model: equal to what it was
    for name in words:
        text = getattr(value, name)
        if text is not None:
            value.__dict__[name] = sys.intern(text)
