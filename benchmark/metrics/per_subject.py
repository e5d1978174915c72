"""Per-frame rows in, one value per subject and metric out; records give the mean and 95% confidence interval.

A subject's value is the mean over the frames that have one. A ratio divides two such means, over the frames
that have both: a mean of per-frame ratios would depend most on frames in which the real clip hardly changes.
"""

from __future__ import annotations

import pandas as pd

from dancebench.benchmark.metrics.base import METRICS, ImageMeasure, Ratio


def average_per_subject(rows: pd.DataFrame) -> pd.DataFrame:
    """Average rows per subject, and compute the ratios.

    Args:
        rows: Per-frame rows with a column `subject`.

    Returns:
        Subjects as index, a column for each metric in `rows`; NaN where a subject has no value.
    """
    names = [str(name) for name in rows if name in METRICS]
    values = rows.groupby("subject")[names].mean()
    for name, ratio in METRICS.find_ratios().items():
        columns = [ratio.numerator, ratio.denominator]
        if set(columns) <= set(names):
            means = rows.dropna(subset=columns).groupby("subject")[columns].mean()
            values[name] = means[ratio.numerator] / means[ratio.denominator].where(means[ratio.denominator] > 0)
    return values


def count_frames(rows: pd.DataFrame, name: str) -> int:
    """Number of frames behind a metric's value; a ratio needs both of its columns."""
    measure = METRICS[name].measure
    columns = [measure.numerator, measure.denominator] if isinstance(measure, Ratio) else [name]
    return len(rows.dropna(subset=columns))


def explain_null(rows: pd.DataFrame, name: str) -> str:
    """Why a metric has no value in these rows, as the record states it."""
    info, measure = METRICS[name].info, METRICS[name].measure
    if isinstance(measure, Ratio) and count_frames(rows, name):
        return measure.undefined
    absence = measure.explain_absence() if isinstance(measure, ImageMeasure) else None
    if absence is not None:
        return absence
    if info.reasons is not None and info.reasons in rows:
        reasons = rows[info.reasons].dropna()
        if len(reasons):
            return str(reasons.value_counts().index[0])
    return info.missing
