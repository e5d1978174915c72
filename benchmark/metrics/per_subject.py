"""Per-frame rows in, one value per subject and metric out; records give the mean and 95% confidence interval.

A subject's value is the mean over the frames that have one. A ratio divides two such means, over the frames
that have both: a mean of per-frame ratios would depend most on frames in which the real clip hardly changes.
"""

from __future__ import annotations

import pandas as pd

from dancebench.benchmark.metrics.base import METRICS, RATIOS, find_metric


def average_per_subject(rows: pd.DataFrame) -> pd.DataFrame:
    """Average rows per subject, and compute the ratios.

    Args:
        rows: Per-frame rows with a column `subject`.

    Returns:
        Subjects as index, a column for each metric in `rows`; NaN where a subject has no value.
    """
    names = [str(name) for name in rows if find_metric(str(name))]
    values = rows.groupby("subject")[names].mean()
    for ratio, (numerator, denominator) in RATIOS.items():
        if numerator in values and denominator in values:
            means = rows.dropna(subset=[numerator, denominator]).groupby("subject")[[numerator, denominator]].mean()
            values[ratio] = means[numerator] / means[denominator].where(means[denominator] > 0)
    return values


def count_frames(rows: pd.DataFrame, name: str) -> int:
    """Number of frames behind a metric's value; a ratio needs both of its columns."""
    return len(rows.dropna(subset=list(RATIOS.get(name, (name,)))))


def explain_null(rows: pd.DataFrame, name: str) -> str:
    """Why a metric has no value in these rows, as the record states it."""
    if name in RATIOS and count_frames(rows, name):
        return "nothing changes in the real clip"
    if name.startswith("background_") and "background_reason" in rows:
        reasons = rows["background_reason"].dropna()
        if len(reasons):
            return str(reasons.value_counts().index[0])
    return METRICS[name].missing
