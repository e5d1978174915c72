"""Repeating published results: the committed list of runs in; the commands that make them, and how long they take, out.

The commands are those that anyone may type; each resumes where it was stopped, so the whole does too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field, PositiveInt

from dancebench.core.environment import read_code_version
from dancebench.core.errors import BenchError
from dancebench.core.schema import Document, Name, Strict
from dancebench.leaderboards.records import RunKind, RunRecord

_Names = Annotated[tuple[str, ...], Field(min_length=1)]


class SynthesisPart(Strict):
    """Which synthesizers are trained, on whom, and how often."""

    dataset: Name
    subjects: _Names
    methods: _Names
    seeds: PositiveInt
    preset: str
    settings: tuple[str, ...] = ()
    """What differs from the preset, as for `--set`."""
    warm_start: str | None = None
    """What the synthesizers start from, as for `--warm-start`; null for nothing."""


class DetectionPart(Strict):
    """Which detectors are trained and tested, under which protocol of a dataset."""

    dataset: Name
    protocol: Name
    detectors: _Names
    preset: str
    robustness: bool
    view: str | None = None
    """What is looked at, as for `--view`; null for what each detector says itself."""
    warm_start: str | None = None
    """What the synthesizers of the fakes start from, as for `--warm-start`; null for nothing."""


class Reproduction(Document):
    """`leaderboards/published/reproduce.json`: every published run, by what it is made with."""

    SCHEMA_VERSION: ClassVar[int] = 1

    synthesis: tuple[SynthesisPart, ...] = ()
    detection: tuple[DetectionPart, ...] = ()

    def list_commands(self) -> list[list[str]]:
        """The words behind `bench`, of one command after the other."""
        return [*map(_make_synth_command, self.synthesis), *map(_make_detect_command, self.detection)]

    def list_entries(self) -> list[PlannedEntry]:
        """Every row that the commands make."""
        return [
            *(PlannedEntry("synthesis", s.dataset, name, s.preset) for s in self.synthesis for name in s.methods),
            *(PlannedEntry("detection", d.dataset, name, d.preset) for d in self.detection for name in d.detectors),
        ]


class PlannedEntry(NamedTuple):
    """A row of the published tables."""

    kind: RunKind
    dataset: str
    name: str
    preset: str


class Estimate(NamedTuple):
    """How long the published runs took."""

    hours: float
    """Of the runs that are known; commands one after the other."""
    unknown: list[PlannedEntry]
    """Of which no record is published."""


def find_entry(record: RunRecord) -> PlannedEntry:
    """The row that a record is of."""
    return PlannedEntry(record.run.kind, record.data.dataset, record.entry.name, record.entry.preset)


def select_planned(plan: Reproduction, records: Iterable[RunRecord]) -> list[RunRecord]:
    """The records that the plan repeats."""
    entries = set(plan.list_entries())
    return [record for record in records if find_entry(record) in entries]


def estimate_hours(plan: Reproduction, published: Sequence[RunRecord]) -> Estimate:
    """Sum the seconds of the published records that the plan repeats.

    Records that began at one moment are of one command whose clock ran on, and the longest tells its time.
    """
    chosen = select_planned(plan, published)
    longest: dict[str, float] = {}
    for record in chosen:
        longest[record.run.started] = max(longest.get(record.run.started, 0.0), record.run.seconds)
    known = {find_entry(record) for record in chosen}
    return Estimate(sum(longest.values()) / 3600, [each for each in plan.list_entries() if each not in known])


def require_clean_commit() -> str:
    """The commit of the running code.

    Raises:
        BenchError: It is of no commit, or was changed since.
    """
    commit, dirty = read_code_version()
    if commit is None or dirty:
        raise BenchError(
            "Published results are repeated from a clean commit, and this code "
            f"{'is of none' if commit is None else 'was changed since its commit'}.",
            hint="Commit what was changed, or use a fresh clone.",
        )
    return commit


def _make_synth_command(part: SynthesisPart) -> list[str]:
    who = [word for subject in part.subjects for word in ("--subject", subject)]
    how = [word for method in part.methods for word in ("--method", method)]
    other = [word for setting in part.settings for word in ("--set", setting)]
    other += _name_option("--warm-start", part.warm_start)
    return ["synth", "--dataset", part.dataset, *who, *how, "--seeds", str(part.seeds), "--preset", part.preset, *other]


def _make_detect_command(part: DetectionPart) -> list[str]:
    how = [word for detector in part.detectors for word in ("--detector", detector)]
    more = ["--robustness"] if part.robustness else []
    more += [*_name_option("--view", part.view), *_name_option("--warm-start", part.warm_start)]
    return ["detect", "--protocol", part.protocol, "--dataset", part.dataset, *how, "--preset", part.preset, *more]


def _name_option(option: str, value: str | None) -> list[str]:
    """The words of an option, none where it is left out."""
    return [] if value is None else [option, value]
