"""Paired differences of a leaderboard's rows: a section and the scores per video of its runs in; who is told apart out.

Two rows compare only where their records name the same videos (the hash of their manifest), and within a section
only rows of one protocol stand. The statistic is the difference of their leading AUCs over the videos that both scored:
of one AUC, or of the mean over unseen methods and perturbations where the section's protocol leads with it. Its p is
the jackknife's, by person, adjusted for all pairs of the section by Holm's rule; rows whose adjusted p is not below
0.05 are not told apart. A pair that cannot be compared is null with its reason, and counts as not told apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, NamedTuple

import numpy as np
import pandas as pd
from pydantic import AfterValidator

from dancebench.core.metric import Interval
from dancebench.core.schema import Document, Strict
from dancebench.core.stats.inference import jackknife_difference
from dancebench.leaderboards.records import ProtocolReference, RunRecord, Skipped, load_runs
from dancebench.leaderboards.significance.families import adjust_holm, assign_letters
from dancebench.leaderboards.significance.paired_auc import delong
from dancebench.leaderboards.significance.scores import Cells, jackknife_mean, read_cells
from dancebench.leaderboards.tables import Section, group_sections

LEVEL: Final = 0.05
"""Rows with an adjusted p below it are told apart."""
MAX_ROWS: Final = 100
"""Of a section that are compared: the pairs of more are more than anyone reads, or a test can tell apart."""
_DIGITS: Final = 8  # significant ones: more would differ between machines

_Rounded = Annotated[float, AfterValidator(lambda value: float(f"{value:.{_DIGITS}g}"))]


class Pair(Strict):
    """Two rows of a section, compared on the same videos."""

    first: str
    """Run id."""
    second: str
    n: int
    """Videos that both scored; 0 where they cannot be compared."""
    difference: _Rounded | None
    """AUC of the first minus that of the second, over these videos."""
    ci95: Interval | None
    """Not adjusted for the number of pairs."""
    p: _Rounded | None
    """Of equal AUCs, by person; null without an interval."""
    p_holm: _Rounded | None
    """The same, adjusted for all pairs of the section that have one."""
    p_delong: _Rounded | None
    """Of DeLong's test, which takes videos as independent; not adjusted."""
    told_apart: bool
    reason: str | None
    """Why there is no difference, or no p."""


class Standing(Strict):
    """A row, and the groups that it is in."""

    run: str
    name: str
    letters: str | None
    """Rows that share a letter are not told apart; null for a row that could be compared with none."""
    reason: str | None
    """Why its letters are null."""


class SectionDifferences(Strict):
    """The comparisons of one section."""

    dataset: str
    dataset_id: str
    protocol: ProtocolReference | None
    title: str
    metric: str
    """What is compared: by which the rows are ranked."""
    standings: tuple[Standing, ...]
    """In the order of the table."""
    pairs: tuple[Pair, ...]
    """Each pair once, the better ranked row first."""

    @property
    def compared(self) -> bool:
        """Whether some pair has a difference."""
        return any(pair.difference is not None for pair in self.pairs)

    @property
    def groups(self) -> dict[str, list[str]]:
        """Letter -> the names of the rows that are not told apart from each other."""
        found: dict[str, list[str]] = {}
        for standing in self.standings:
            for letter in standing.letters.split(",") if standing.letters else ():
                found.setdefault(letter, []).append(standing.name)
        return found

    @property
    def reasons(self) -> list[str]:
        """Why rows are compared with none: each reason once, behind the names of its rows."""
        names: dict[str, list[str]] = {}
        for standing in self.standings:
            if standing.reason is not None:
                names.setdefault(standing.reason, []).append(standing.name)
        everybody = len(self.standings)
        return [
            f"{'all rows' if len(named) == everybody else ', '.join(named)}: {reason}"
            for reason, named in names.items()
        ]


class Differences(Document):
    """`detection_differences.json`."""

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2

    level: float = LEVEL
    adjustment: str = "Holm, over the pairs of a section"
    sections: tuple[SectionDifferences, ...]

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 held one metric for all sections."""
        metric = {"metric": data["metric"]}
        others = {name: value for name, value in data.items() if name not in ("metric", "sections")}
        return others | {"sections": [metric | section for section in data["sections"]]}

    def find(self, section: Section) -> SectionDifferences | None:
        """The comparisons of a section; None for one with a single row."""
        runs = [row.record.run.id for row in section.rows]
        return next((each for each in self.sections if [row.run for row in each.standings] == runs), None)


class Runs(NamedTuple):
    """The runs of a folder, read once for all that is written of them."""

    records: list[RunRecord]
    skipped: list[Skipped]
    """Files that were left out."""
    differences: Differences


def read_runs(results_dir: Path) -> Runs:
    """Read every record of a folder and compare its detectors; see `load_runs` and `compare_sections`."""
    records, skipped = load_runs(results_dir)
    return Runs(records, skipped, compare_sections(group_sections(records, "detection"), results_dir))


def compare_sections(sections: Iterable[Section], results_dir: Path) -> Differences:
    """Compare the rows of each section that has more than one.

    Args:
        sections: Of detection.
        results_dir: Where the runs' scores per video lie beside their records.
    """
    return Differences(
        sections=tuple(compare_rows(section, results_dir) for section in sections if len(section.rows) > 1)
    )


def compare_rows(section: Section, results_dir: Path) -> SectionDifferences:
    """Compare every two of the best `MAX_ROWS` rows of a section; the order of its pairs is that of its rows."""
    chosen, metric = section.rows[:MAX_ROWS], section.columns[0]
    scores = [read_cells(row.record, results_dir, metric) for row in chosen]
    compared = [
        _compare(one.record, other.record, first, second)
        for (one, first), (other, second) in combinations(zip(chosen, scores, strict=True), 2)
    ]
    scores += [f"only the best {MAX_ROWS} rows of a section are compared"] * (len(section.rows) - len(chosen))
    pairs = _adjust(compared)
    return SectionDifferences(
        dataset=section.dataset,
        dataset_id=section.dataset_id,
        protocol=section.protocol,
        title=section.title,
        metric=metric.metric,
        standings=tuple(_make_standings(section, pairs, scores)),
        pairs=tuple(pairs),
    )


def tabulate_differences(differences: Differences) -> pd.DataFrame:
    """Tabulate every pair of every section, one row each, in their order."""
    columns = ["dataset", "dataset_id", "protocol", "metric", *Pair.model_fields]
    lines = [
        {"dataset": section.dataset, "dataset_id": section.dataset_id, "metric": section.metric}
        | {"protocol": section.protocol and section.protocol.sha256}
        | pair.model_dump(exclude={"ci95"})
        | {"ci_low": pair.ci95 and pair.ci95.low, "ci_high": pair.ci95 and pair.ci95.high}
        | {"subjects": pair.ci95 and pair.ci95.subjects}
        for section in differences.sections
        for pair in section.pairs
    ]
    at = columns.index("ci95")
    return pd.DataFrame(lines, columns=[*columns[:at], "ci_low", "ci_high", "subjects", *columns[at + 1 :]])


# ---------------------------------------------------------------- pairs


def _pair_up(first: Cells, second: Cells) -> tuple[Cells, Cells]:
    """The scores of the videos that both runs scored, in each of the AUCs."""
    common = {name: np.intersect1d(cell.ids, second[name].ids) for name, cell in first.items()}
    one, other = ({name: cells[name].select(ids) for name, ids in common.items()} for cells in (first, second))
    return one, other


def _compare(one: RunRecord, other: RunRecord, first: Cells | str, second: Cells | str) -> Pair:
    """Compare two runs; p is not yet adjusted."""
    for record, scores in ((one, first), (other, second)):
        if isinstance(scores, str):
            return _refuse(one, other, f"{record.entry.name}: {scores}")
    if one.data.videos_sha256 != other.data.videos_sha256:
        return _refuse(one, other, "they were measured on different videos")
    assert not isinstance(first, str)
    assert not isinstance(second, str)
    if first.keys() != second.keys():
        return _refuse(one, other, "they were measured on fakes of different methods, or under other perturbations")
    first, second = _pair_up(first, second)
    estimates = [jackknife_mean(cells) for cells in (first, second)]
    if len(estimates[0][1]) < 2:
        return _refuse(one, other, "one person alone tells nothing of others")
    if not all(math.isfinite(value) and np.isfinite(without).all() for value, without in estimates):
        return _refuse(one, other, "without one of the people, only reals or only fakes are left")
    found = jackknife_difference(*estimates)
    return Pair(
        first=one.run.id, second=other.run.id, n=_count_videos(first), difference=found.value,
        ci95=_round(found.interval), p=found.p, p_holm=None, p_delong=_test_by_delong(first, second), told_apart=False,
        reason=None if found.p is not None else "no deletion of a person changes the difference",
    )  # fmt: skip


def _refuse(one: RunRecord, other: RunRecord, reason: str) -> Pair:
    return Pair(
        first=one.run.id, second=other.run.id, n=0, difference=None, ci95=None, p=None, p_holm=None, p_delong=None,
        told_apart=False, reason=reason,
    )  # fmt: skip


def _count_videos(cells: Cells) -> int:
    """Videos, or perturbed copies of them: reals are in the AUC of every method, and count once."""
    copies = {(name.rpartition(" ")[2], video) for name, cell in cells.items() for video in cell.ids.tolist()}
    return len(copies)


def _test_by_delong(first: Cells, second: Cells) -> float | None:
    """Its p; None for a mean of several AUCs, which it is not made for."""
    if len(first) > 1:
        return None
    ((one,), (other,)) = (first.values(), second.values())
    return None if min(np.bincount(one.labels, minlength=2)) < 2 else delong(one.labels, one.scores, other.scores).p


def _round(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    low, high = (float(f"{value:.{_DIGITS}g}") for value in (interval.low, interval.high))
    return interval.model_copy(update={"low": low, "high": high})


def _adjust(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with p adjusted for all that have one, and whether it tells them apart."""
    tested = {at: pair.p for at, pair in enumerate(pairs) if pair.p is not None}
    adjusted = dict(zip(tested, adjust_holm(list(tested.values())), strict=True))
    return [
        Pair(**{**dict(pair), "p_holm": adjusted[at], "told_apart": adjusted[at] < LEVEL}) if at in adjusted else pair
        for at, pair in enumerate(pairs)
    ]


def _make_standings(section: Section, pairs: Sequence[Pair], scores: Sequence[Cells | str]) -> Iterable[Standing]:
    compared = {run for pair in pairs if pair.difference is not None for run in (pair.first, pair.second)}
    rows = [row for row in section.rows if row.record.run.id in compared]
    place = {row.record.run.id: at for at, row in enumerate(rows)}
    letters = assign_letters(len(rows), [(place[pair.first], place[pair.second]) for pair in pairs if pair.told_apart])
    for row, own in zip(section.rows, scores, strict=True):
        run = row.record.run.id
        reason = None if run in compared else own if isinstance(own, str) else _find_reason(run, pairs)
        yield Standing(
            run=run, name=section.name(row), letters=letters[place[run]] if run in place else None, reason=reason
        )


def _find_reason(run: str, pairs: Sequence[Pair]) -> str | None:
    """Why a row with scores is compared with none: the reasons of its pairs, in words."""
    reasons = [pair.reason for pair in pairs if run in (pair.first, pair.second) and pair.reason]
    return "; ".join(dict.fromkeys(reasons)) or None
