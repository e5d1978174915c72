"""The scores behind the leading metrics of detection runs: a record and the rows beside it in; AUCs by cell out.

A leading metric is one AUC, or the mean of several: one for each unseen method under each unseen perturbation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.leaderboards.columns import Column
from dancebench.leaderboards.records import UNSEEN_LEVEL, DetectionFacts, RunRecord
from dancebench.leaderboards.significance.paired_auc import Labels, Scores, jackknife_auc

_LEVELS: Final = {"video_auc": "video", "video_auc_unseen": UNSEEN_LEVEL}
"""The metrics that rows are compared by, and the rows of a run that they are computed from."""
_COLUMNS: Final = ("level", "video_id", "subject_id", "method", "label", "score", "status")


@dataclass(frozen=True)
class VideoScores:
    """What one AUC of a run was computed from, by video_id."""

    ids: npt.NDArray[np.str_]
    labels: Labels
    scores: Scores
    units: npt.NDArray[np.str_]

    def select(self, ids: npt.NDArray[np.str_]) -> VideoScores:
        """The videos of these ids, in their order."""
        at = np.searchsorted(self.ids, ids)
        return VideoScores(ids, self.labels[at], self.scores[at], self.units[at])


Cells = Mapping[str, VideoScores]
"""The AUCs whose mean is the leading metric of a run, by method and perturbation; a single one of no name."""


def read_cells(record: RunRecord, results_dir: Path, column: Column) -> Cells | str:
    """The scores behind a run's leading metric, or why there are none."""
    value = record.metrics[column.metric].value if column.metric in record.metrics else None
    if value is None:
        return f"it has no {column.title}"
    if record.data.videos_sha256 is None:
        return "it was recorded by an earlier release, which did not say which videos it scored"
    path = results_dir / f"{record.run.id}.parquet"
    if not path.is_file():
        return "its scores per video do not lie beside its record"
    try:
        level, more = _LEVELS[column.metric], ["perturbation"] if column.leads else []
        table = pd.read_parquet(path, columns=[*_COLUMNS, *more], filters=[("level", "==", level)])
    except (OSError, ValueError):  # what pyarrow raises for damaged files, and for missing columns, is one of them
        return "its scores per video cannot be read"
    found = _select_cells(table) if column.leads else {"": _to_scores(select_counted(table, record))}
    if not found or not np.isclose(jackknife_mean(found)[0], value, atol=1e-9):
        return "its scores per video do not give the AUC of its record"
    return found


def select_counted(table: pd.DataFrame, record: RunRecord) -> pd.DataFrame:
    """The videos that the leading metric is of: scored ones, the fakes of the method that the run trained on."""
    chosen = table["status"] == "ok"
    facts = record.entry.facts
    if isinstance(facts, DetectionFacts) and facts.fakes is not None:
        chosen &= (table["label"] == 0) | (table["method"] == facts.fakes.method)
    return table[chosen].sort_values("video_id")


def _select_cells(table: pd.DataFrame) -> Cells:
    """The scored fakes of each method with all reals, under each perturbation."""
    scored = table[table["status"] == "ok"].sort_values("video_id")
    return {
        f"{method} {perturbation}": _to_scores(part[(part["label"] == 0) | (part["method"] == method)])
        for perturbation, part in scored.groupby("perturbation")
        for method in sorted(set(part.loc[part["label"] == 1, "method"]))
    }


def _to_scores(videos: pd.DataFrame) -> VideoScores:
    return VideoScores(
        videos["video_id"].to_numpy(np.str_),
        videos["label"].to_numpy(np.int64),
        videos["score"].to_numpy(np.float64),
        videos["subject_id"].to_numpy(np.str_),
    )


def jackknife_mean(cells: Cells) -> tuple[float, Scores]:
    """Compute the mean of the AUCs, and without each person of any of them (people,), in alphabetical order.

    Without a person whom one of them is not of, that one stays as it is.
    """
    people = np.unique(np.concatenate([cell.units for cell in cells.values()]))
    values, replicates = [], []
    for cell in cells.values():
        value, without = jackknife_auc(cell.labels, cell.scores, cell.units)
        own = np.full(len(people), value)
        own[np.searchsorted(people, np.unique(cell.units))] = without
        values.append(value)
        replicates.append(own)
    return float(np.mean(values)), np.mean(replicates, axis=0)
