"""What a page draws of one run's rows: a record with its table of items in, curves out, kept by their hashes.

A part is made again only where the record, its rows, what it was measured on, or the rules here changed: of a hundred
runs with one new one, one part is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import pandas as pd

from dancebench.core.artifacts import ArtifactRecord, reuse_or_make
from dancebench.core.files import sha256_json, sha256_once
from dancebench.core.schema import Strict
from dancebench.leaderboards.records import RunRecord
from dancebench.leaderboards.significance.scores import select_counted
from dancebench.leaderboards.site.curves import CURVES, Labels, Points, Trace, Values
from dancebench.leaderboards.site.material import Material

RULES: Final = 1
"""Raised when what a part holds is computed otherwise."""
BINS: Final = 8
"""Of pose novelty, with equally many frames each."""
_NO_ROWS: Final = "its rows do not lie beside its record"
_UNREADABLE: Final = "its rows cannot be read"
_MEASURE: Final = "body_ssim"


class TraceData(Strict):
    """A line of a curve."""

    label: str
    points: Points
    dashed: bool


class RunPart(ArtifactRecord):
    """What the pages draw of one run."""

    SCHEMA_VERSION: ClassVar[int] = 2

    made_from: str
    """Hash of the record, its rows, the poses, the curves that there are, and the rules."""
    curves: dict[str, tuple[TraceData, ...]]
    """By the name of the curve; of a detection run."""
    no_curves: dict[str, str]
    """Why a curve is missing, by its name."""
    novelty: Points
    """Pose novelty in % of the frame's height, and the mean SSIM of the body there; of a synthesis run."""
    no_novelty: str | None
    """Why there is none."""

    @property
    def key(self) -> str:
        return self.made_from

    def files(self, path: Path) -> Mapping[Path, str]:
        """None but the record itself."""
        return {}

    def list_traces(self, curve: str) -> list[Trace]:
        """The lines of a curve; none where it is missing."""
        return [Trace(each.label, each.points, each.dashed) for each in self.curves.get(curve, ())]


def load_part(record: RunRecord, results_dir: Path, parts_dir: Path | None, material: Material) -> RunPart:
    """The part of a run: the kept one, or made from its rows, and kept in `parts_dir` unless that is None."""
    rows = results_dir / f"{record.run.id}.parquet"
    key = sha256_json(
        [
            RULES, sorted(CURVES), record.model_dump(mode="json"), sha256_once(rows) if rows.is_file() else None,
            material.name_poses(record) if record.run.kind == "synthesis" else None,
        ]
    )  # fmt: skip

    def make() -> RunPart:
        return _make_part(record, rows, key, material)

    if parts_dir is None:
        return make()
    return reuse_or_make(parts_dir / f"{record.run.id}.json", RunPart, key, make)


def _make_part(record: RunRecord, rows: Path, key: str, material: Material) -> RunPart:
    curves: dict[str, tuple[TraceData, ...]] = {}
    missing: dict[str, str] = {}
    novelty: Points | str = ()
    if record.run.kind == "detection":
        curves, missing = _draw_curves(record, rows)
    elif record.run.kind == "synthesis":
        novelty = _measure_by_novelty(record, rows, material)
    return RunPart(
        made_from=key, curves=curves, no_curves=missing,
        novelty=() if isinstance(novelty, str) else novelty, no_novelty=novelty if isinstance(novelty, str) else None,
    )  # fmt: skip


def _read_rows(rows: Path) -> pd.DataFrame | str:
    if not rows.is_file():
        return _NO_ROWS
    try:
        return pd.read_parquet(rows)
    except (OSError, ValueError):  # what pyarrow raises for damaged files is one of them
        return _UNREADABLE


# ---------------------------------------------------------------- detection


def _draw_curves(record: RunRecord, rows: Path) -> tuple[dict[str, tuple[TraceData, ...]], dict[str, str]]:
    curves, missing = {}, {}
    values = {kind: _read_values(record, rows, kind) for kind in ("score", "llr")}
    for name, curve in CURVES.items():
        found = values[curve.of]
        if isinstance(found, str):
            missing[name] = found
        else:
            curves[name] = tuple(
                TraceData(label=trace.label, points=trace.points, dashed=trace.dashed) for trace in curve.draw(*found)
            )
    return curves, missing


def _read_values(record: RunRecord, rows: Path, column: str) -> tuple[Labels, Values] | str:
    """Labels and values of the videos that the run's leading metric is of, or why there are none."""
    table = _read_rows(rows)
    if isinstance(table, str):
        return table
    if not {"level", "video_id", "method", "label", "score", "status"} <= set(table.columns):
        return _UNREADABLE
    if column not in table.columns:
        return (
            "its rows hold no likelihood ratios: an earlier release recorded them, or another system's scores are used"
        )
    videos = select_counted(table[table["level"] == "video"], record)
    labels, values = videos["label"].to_numpy(np.int64), videos[column].to_numpy(np.float64)
    if not np.isfinite(values).all():
        return "a score among its rows is not finite"
    if len(np.unique(labels)) < 2:
        return "only reals, or only fakes, were scored"
    return labels, values


# ---------------------------------------------------------------- synthesis


def _measure_by_novelty(record: RunRecord, rows: Path, material: Material) -> Points | str:
    """Mean SSIM of the body in bins of pose novelty, the same number of frames in each."""
    table = _read_rows(rows)
    if isinstance(table, str):
        return table
    if not {"t", "subject", _MEASURE} <= set(table.columns):
        return "its rows hold no SSIM by frame"
    parts = []
    for subject, own in table.groupby("subject"):
        novelty = material.measure_novelty(record, str(subject))
        if isinstance(novelty, str):
            return novelty
        frames = own["t"].to_numpy(np.int64)
        if len(frames) == 0 or frames.max() >= len(novelty):
            return "its rows are of other frames than the dataset's now"
        parts.append(np.column_stack([novelty[frames], own[_MEASURE].to_numpy(np.float64)]))
    pairs = np.concatenate(parts) if parts else np.empty((0, 2))
    pairs = pairs[np.isfinite(pairs).all(axis=1)]  # (N, 2)
    if len(pairs) < 2 * BINS:
        return f"fewer than {2 * BINS} frames have a pose and a value"
    ordered = pairs[np.argsort(pairs[:, 0], kind="stable")]
    return tuple(
        (round(float(part[:, 0].mean()), 4), round(float(part[:, 1].mean()), 5))
        for part in np.array_split(ordered, BINS)
    )
