"""What a leaderboard says: from run records to ranked sections, before any rendering.

In: records of one kind. Out: sections, one for each dataset hash, set of subjects, frame size and protocol hash, since
only rows measured on the same people of the same data at one resolution and under one protocol compare. Within a
section rows are ranked by its first column: the metric that its protocol leads with, else the kind's primary one. The
best value of every column is marked. A method trained with a perceptual trunk is shown, but not ranked,
under LPIPS of the same trunk.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from dancebench.core.metric import Metric, MetricKey
from dancebench.core.stats.inference import RELIABLE_SUBJECTS
from dancebench.leaderboards.columns import BESIDE_A_LEADING, COLUMNS, CSV_ALONE, MAIN, OTHERS, Column
from dancebench.leaderboards.facts import (
    FACTS,
    Fact,
    describe_fakes,
    describe_preset,
    list_remarks,
    list_warnings,
    read_training_seeds,
)
from dancebench.leaderboards.records import ProtocolReference, RunKind, RunRecord

NOTHING = "–"
UNRELIABLE = "†"
UNRANKED = "‡"
LEGEND = {
    UNRELIABLE: "fewer than 10 subjects: the interval is unreliable, see the values per subject",
    UNRANKED: "trained with the trunk of this metric: shown, not ranked",
}
NOT_MEASURED = "not measured by this run"

RANKING_SEEDS = 3
"""Training seeds below which the order of trained methods may be luck."""


@dataclass(frozen=True)
class Row:
    """A record and its rank; None where its primary metric is null."""

    record: RunRecord
    rank: int | None

    @property
    def preset(self) -> str:
        """See `describe_preset`."""
        return describe_preset(self.record)

    @property
    def label(self) -> str:
        return f"{self.record.entry.name} ({self.preset})"


@dataclass(frozen=True)
class Section:
    """Rows that compare: the same data, the same people, frames of one size, one protocol."""

    kind: RunKind
    dataset: str
    dataset_id: str
    subjects: tuple[str, ...]
    frame_size: str
    """HEIGHTxWIDTH, or empty where the records do not say."""
    protocol: ProtocolReference | None
    """Of detection: what all its rows were trained and tested on."""
    columns: tuple[Column, ...]
    """Those that some row measured, the primary one always."""
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        people = f"{len(self.subjects)} subject{'s' * (len(self.subjects) != 1)}"
        size = f" · {self.frame_size}" if self.frame_size else ""
        protocol = f" · {self.protocol.name} {self.protocol.sha256[:8]}" if self.protocol else ""
        return f"{self.dataset} · {self.dataset_id[:12]} · {people}{size}{protocol}"

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The further columns that some row can fill."""
        return tuple(fact for fact in FACTS[self.kind] if any(fact.read(row.record) for row in self.rows))

    @property
    def themes(self) -> tuple[str, ...]:
        """The themes of its columns and facts, the main table's first."""
        themes = [*(column.theme for column in self.columns), *(fact.theme for fact in self.facts)]
        return tuple(dict.fromkeys([MAIN, *themes]))

    def uses(self, sign: str) -> bool:
        """Whether some cell of its tables carries this sign of the `LEGEND`."""
        cells = [
            (row, column, metric)
            for row in self.rows
            for column in self.columns
            if (metric := row.record.metrics.get(column.metric)) and metric.value is not None
        ]
        if sign == UNRANKED:
            return any(column.has_same_trunk(row.record) for row, column, _ in cells)
        return any(metric.ci95 is not None and not metric.ci95.reliable for _, _, metric in cells)

    def name(self, row: Row) -> str:
        """The row's label, with the digest of its run where another row has the same label."""
        shared = self._labels[row.label] > 1
        return f"{row.label}, {row.record.run.id.rpartition('-')[2]}" if shared else row.label

    def short_name(self, row: Row) -> str:
        """The name alone where no other row has it, else as `name`."""
        name = row.record.entry.name
        return self.name(row) if self._names[name] > 1 else name

    @functools.cached_property
    def _labels(self) -> Counter[str]:
        return Counter(row.label for row in self.rows)

    @functools.cached_property
    def _names(self) -> Counter[str]:
        return Counter(row.record.entry.name for row in self.rows)

    def find_best(self, column: Column) -> frozenset[str]:
        """Run ids of the best value of a column, unranked rows aside; none where there is no contest."""
        if column not in self._best:
            self._best[column] = self._find_best(column)
        return self._best[column]

    @functools.cached_property
    def _best(self) -> dict[Column, frozenset[str]]:
        """What was found so far: it is asked for in every cell."""
        return {}

    def _find_best(self, column: Column) -> frozenset[str]:
        values = {
            row.record.run.id: _orient_value(row.record, column)
            for row in self.rows
            if not column.has_same_trunk(row.record)
        }
        ranked = {run: value for run, value in values.items() if value is not None}
        if len(ranked) < 2:
            return frozenset()
        best = max(ranked.values())
        return frozenset(run for run, value in ranked.items() if value == best)

    def list_unreliable(self) -> list[tuple[Row, Column]]:
        """The values whose interval few subjects make unreliable or impossible: to be shown per subject."""
        few = 2 <= len(self.subjects) < RELIABLE_SUBJECTS
        return [
            (row, column)
            for row in self.rows
            for column in self.columns
            if (metric := row.record.metrics.get(column.metric)) and metric.value is not None
            if (not metric.ci95.reliable if metric.ci95 else few)
        ]

    def _say_once(self, describe: Callable[[Row], list[str]]) -> list[str]:
        """What there is to say of each row, behind the labels of the rows that it is true of."""
        everybody = list(dict.fromkeys(row.label for row in self.rows))
        rows_of: dict[str, dict[str, None]] = {}
        for row in self.rows:
            for text in describe(row):
                rows_of.setdefault(text, {})[row.label] = None
        return [
            f"{'all rows' if len(labels) == len(everybody) > 1 else ', '.join(labels)}: {text}"
            for text, labels in rows_of.items()
        ]

    def list_remarks(self) -> list[str]:
        """What there is to know of single rows or of the data, warnings first."""
        return [*self.list_warnings(), *self._say_once(lambda row: list_remarks(row.record))]

    def describe_fakes(self) -> list[str]:
        """How good the fakes were that a detector's row was measured on, in a sentence each."""
        return self._say_once(lambda row: describe_fakes(row.record))

    def list_warnings(self) -> list[str]:
        """What a reader must know of single rows or of the data."""
        warnings = [f"⚠ {text}" for text in self._say_once(lambda row: list_warnings(row.record))]
        if len({row.record.data.content_sha256 for row in self.rows}) > 1:
            warnings.append("⚠ Rows were measured on prepared files that differ (content_sha256).")
        seeds = [count for row in self.rows if (count := read_training_seeds(row.record)) is not None]
        if len(seeds) > 1 and min(seeds) < RANKING_SEEDS:
            warnings.append(
                f"⚠ The order of the trained methods rests on {min(seeds)} training seed(s); {RANKING_SEEDS} or more "
                "make a ranking (bench synth --seeds 3)."
            )
        return warnings


class Footnotes:
    """Numbers reasons in the order in which they are first needed."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def mark(self, reason: str) -> str:
        """The sign that refers to `reason`."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        return f"({self.reasons.index(reason) + 1})"


def group_sections(records: Iterable[RunRecord], kind: RunKind) -> list[Section]:
    """Group the records of `kind` by dataset, subjects, frame size and protocol hash, and rank each group.

    The order of the records does not matter.
    """
    groups: dict[tuple[str, str, tuple[str, ...], str, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.run.kind == kind:
            people = tuple(sorted(record.per_subject))
            size = record.entry.facts.frame_size or ""
            protocol = record.data.protocol.sha256 if record.data.protocol else ""
            groups[record.data.dataset, record.data.dataset_id, people, size, protocol].append(record)
    order = sorted(groups, key=lambda key: (key[0], key[1], -len(key[2]), *key[2:]))
    return [_make_section(kind, *key[:4], groups[key]) for key in order]


def format_value(metric: Metric | None, column: Column, footnotes: Footnotes) -> str:
    """A value as the tables print it, or a dash that refers to the reason."""
    if metric is None or metric.value is None:
        reason = metric.reason if metric and metric.reason else NOT_MEASURED
        return f"{NOTHING} {footnotes.mark(reason)}"
    return format(metric.value, column.form)


def format_interval(metric: Metric, column: Column) -> str:
    """A value's interval with its mark where it is unreliable; empty where there is none."""
    if metric.value is None or metric.ci95 is None:
        return ""
    mark = "" if metric.ci95.reliable else f" {UNRELIABLE}"
    return f"[{metric.ci95.low:{column.form}}, {metric.ci95.high:{column.form}}]{mark}"


def _make_section(
    kind: RunKind, dataset: str, dataset_id: str, subjects: tuple[str, ...], frame_size: str, records: list[RunRecord]
) -> Section:
    primary, *measured = _list_columns(kind, records)
    scores = [(record, _orient_value(record, primary)) for record in records]
    ordered = sorted(-own for _, own in scores if own is not None)
    rows = [Row(record, None if own is None else 1 + bisect_left(ordered, -own)) for record, own in scores]
    last = len(rows) + 1
    rows.sort(key=lambda row: (row.rank or last, row.record.entry.name, row.record.run.id))
    names = [record.data.protocol for record in records if record.data.protocol]  # of one hash
    protocol = min(names, key=lambda each: each.name, default=None)
    return Section(kind, dataset, dataset_id, subjects, frame_size, protocol, (primary, *measured), tuple(rows))


def _list_columns(kind: RunKind, records: Sequence[RunRecord]) -> list[Column]:
    """The metric that rows are ranked by, then those that some row measured."""
    found = [column for column in COLUMNS[kind] if any(column.metric in record.metrics for record in records)]
    leading = next((column for column in found if column.leads), None)
    if leading is not None:
        found = [replace(each, theme=BESIDE_A_LEADING.get(each.metric, each.theme)) for each in found]
    primary = leading or COLUMNS[kind][0]
    return [primary, *(column for column in found if column != primary), *_list_other_columns(kind, records)]


def _list_other_columns(kind: RunKind, records: Iterable[RunRecord]) -> list[Column]:
    """Columns of the metrics that only a plug-in knows, by name; a record says which direction is better."""
    known = {column.metric for column in COLUMNS[kind]} | CSV_ALONE
    directions: dict[str, set[bool | None]] = defaultdict(set)
    for record in records:
        for name, metric in record.metrics.items():
            if name not in known and MetricKey.parse(name).condition is None:
                directions[name].add(metric.higher_is_better)
    return [
        Column(name, name, found.pop() if len(found) == 1 else None, theme=OTHERS)
        for name, found in sorted(directions.items())
    ]


def _orient_value(record: RunRecord, column: Column) -> float | None:
    """The value with its sign turned so that more is better; None where it cannot be ranked."""
    metric = record.metrics.get(column.metric)
    if metric is None or metric.value is None or column.higher_is_better is None:
        return None
    return metric.value if column.higher_is_better else -metric.value
