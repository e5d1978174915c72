"""Paired differences of a leaderboard's rows: a section and the scores per video of its runs in; who is told apart out.

Two rows compare only where their records name the same videos (the hash of their manifest), and within a section
only rows of one protocol stand. The statistic is the difference of their leading AUCs over the videos that both scored.
Its p is the jackknife's, by person, adjusted for all pairs of the section by Holm's rule; rows whose adjusted p is not
below 0.05 are not told apart. A pair that cannot be compared is null with its reason, and counts as not told apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import AfterValidator

from dancebench.core.metric import Interval
from dancebench.core.schema import Document, Strict
from dancebench.core.stats import jackknife_difference
from dancebench.leaderboards.records import DetectionFacts, ProtocolReference, RunRecord, Skipped, load_runs
from dancebench.leaderboards.significance.families import adjust_holm, assign_letters
from dancebench.leaderboards.significance.paired_auc import Labels, Scores, delong, jackknife_auc
from dancebench.leaderboards.tables import Section, group_sections

LEVEL: Final = 0.05
"""Rows with an adjusted p below it are told apart."""
MAX_ROWS: Final = 100
"""Of a section that are compared: the pairs of more are more than anyone reads, or a test can tell apart."""
METRIC: Final = "video_auc"
"""What is compared: the primary metric of detection."""
_COLUMNS: Final = ("level", "video_id", "subject_id", "method", "label", "score", "status")
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

    SCHEMA_VERSION: ClassVar[int] = 1

    metric: str = METRIC
    level: float = LEVEL
    adjustment: str = "Holm, over the pairs of a section"
    sections: tuple[SectionDifferences, ...]

    def find(self, section: Section) -> SectionDifferences | None:
        """The comparisons of a section; None for one with a single row."""
        runs = [row.record.run.id for row in section.rows]
        return next((each for each in self.sections if [row.run for row in each.standings] == runs), None)


@dataclass(frozen=True)
class _VideoScores:
    """What the leading metric of a run was computed from, by video_id."""

    ids: npt.NDArray[np.str_]
    labels: Labels
    scores: Scores
    units: npt.NDArray[np.str_]

    def select(self, ids: npt.NDArray[np.str_]) -> _VideoScores:
        """The videos of these ids, in their order."""
        at = np.searchsorted(self.ids, ids)
        return _VideoScores(ids, self.labels[at], self.scores[at], self.units[at])


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
    chosen = section.rows[:MAX_ROWS]
    scores = [_read_scores(row.record, results_dir) for row in chosen]
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
        standings=tuple(_make_standings(section, pairs, scores)),
        pairs=tuple(pairs),
    )


def tabulate_differences(differences: Differences) -> pd.DataFrame:
    """Tabulate every pair of every section, one row each, in their order."""
    columns = ["dataset", "dataset_id", "protocol", "metric", *Pair.model_fields]
    lines = [
        {"dataset": section.dataset, "dataset_id": section.dataset_id, "metric": differences.metric}
        | {"protocol": section.protocol and section.protocol.sha256}
        | pair.model_dump(exclude={"ci95"})
        | {"ci_low": pair.ci95 and pair.ci95.low, "ci_high": pair.ci95 and pair.ci95.high}
        | {"subjects": pair.ci95 and pair.ci95.subjects}
        for section in differences.sections
        for pair in section.pairs
    ]
    at = columns.index("ci95")
    return pd.DataFrame(lines, columns=[*columns[:at], "ci_low", "ci_high", "subjects", *columns[at + 1 :]])


# ---------------------------------------------------------------- scores


def _read_scores(record: RunRecord, results_dir: Path) -> _VideoScores | str:
    """The scores behind a run's leading metric, or why there are none."""
    value = record.metrics[METRIC].value if METRIC in record.metrics else None
    if value is None:
        return "it has no video AUC"
    if record.data.videos_sha256 is None:
        return "it was recorded by an earlier release, which did not say which videos it scored"
    path = results_dir / f"{record.run.id}.parquet"
    if not path.is_file():
        return "its scores per video do not lie beside its record"
    try:
        table = pd.read_parquet(path, columns=list(_COLUMNS), filters=[("level", "==", "video")])
    except (OSError, ValueError):  # what pyarrow raises for damaged files, and for missing columns, is one of them
        return "its scores per video cannot be read"
    found = _select_scored(table, record)
    if not np.isclose(jackknife_auc(found.labels, found.scores, found.units)[0], value, atol=1e-9):
        return "its scores per video do not give the AUC of its record"
    return found


def select_counted(table: pd.DataFrame, record: RunRecord) -> pd.DataFrame:
    """The videos that the leading metric is of: scored ones, the fakes of the method that the run trained on."""
    chosen = table["status"] == "ok"
    facts = record.entry.facts
    if isinstance(facts, DetectionFacts) and facts.fakes is not None:
        chosen &= (table["label"] == 0) | (table["method"] == facts.fakes.method)
    return table[chosen].sort_values("video_id")


def _select_scored(table: pd.DataFrame, record: RunRecord) -> _VideoScores:
    videos = select_counted(table, record)
    return _VideoScores(
        videos["video_id"].to_numpy(np.str_),
        videos["label"].to_numpy(np.int64),
        videos["score"].to_numpy(np.float64),
        videos["subject_id"].to_numpy(np.str_),
    )


# ---------------------------------------------------------------- pairs


def _compare(one: RunRecord, other: RunRecord, first: _VideoScores | str, second: _VideoScores | str) -> Pair:
    """Compare two runs; p is not yet adjusted."""
    for record, scores in ((one, first), (other, second)):
        if isinstance(scores, str):
            return _refuse(one, other, f"{record.entry.name}: {scores}")
    if one.data.videos_sha256 != other.data.videos_sha256:
        return _refuse(one, other, "they were measured on different videos")
    assert not isinstance(first, str)
    assert not isinstance(second, str)
    ids = np.intersect1d(first.ids, second.ids)
    first, second = first.select(ids), second.select(ids)
    estimates = [jackknife_auc(scores.labels, scores.scores, scores.units) for scores in (first, second)]
    if len(estimates[0][1]) < 2:
        return _refuse(one, other, "one person alone tells nothing of others")
    if not all(math.isfinite(value) and np.isfinite(without).all() for value, without in estimates):
        return _refuse(one, other, "without one of the people, only reals or only fakes are left")
    found = jackknife_difference(*estimates)
    return Pair(
        first=one.run.id, second=other.run.id, n=len(ids), difference=found.value, ci95=_round(found.interval),
        p=found.p, p_holm=None, p_delong=_test_by_delong(first, second), told_apart=False,
        reason=None if found.p is not None else "no deletion of a person changes the difference",
    )  # fmt: skip


def _refuse(one: RunRecord, other: RunRecord, reason: str) -> Pair:
    return Pair(
        first=one.run.id, second=other.run.id, n=0, difference=None, ci95=None, p=None, p_holm=None, p_delong=None,
        told_apart=False, reason=reason,
    )  # fmt: skip


def _test_by_delong(first: _VideoScores, second: _VideoScores) -> float | None:
    if min(np.bincount(first.labels, minlength=2)) < 2:
        return None
    return delong(first.labels, first.scores, second.scores).p


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


def _make_standings(
    section: Section, pairs: Sequence[Pair], scores: Sequence[_VideoScores | str]
) -> Iterable[Standing]:
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
