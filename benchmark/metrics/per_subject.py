"""From per-frame rows to one value per subject and metric, which is what records average and give intervals of.

A subject's value is the mean over the frames that have one. A ratio is formed of two such means, over the
frames that have both: a mean of per-frame ratios would follow the frames in which the real hardly changes.
"""

from __future__ import annotations

import pandas as pd

from dancebench.benchmark.metrics.base import METRICS, RATIOS, find_metric


def average_per_subject(rows: pd.DataFrame) -> pd.DataFrame:
    """Values per subject, the ratios among them.

    Args:
        rows: Per-frame rows with a column `subject`.

    Returns:
        Subjects as index, a column for each metric that `rows` measured; NaN where a subject has no value.
    """
    names = [str(name) for name in rows if find_metric(str(name))]
    values = rows.groupby("subject")[names].mean()
    for ratio, (above, below) in RATIOS.items():
        if above in values and below in values:
            means = rows.dropna(subset=[above, below]).groupby("subject")[[above, below]].mean()
            values[ratio] = means[above] / means[below].where(means[below] > 0)
    return values


def count_frames(rows: pd.DataFrame, name: str) -> int:
    """How many frames a metric's value rests on; a ratio's needs both of its columns."""
    return len(rows.dropna(subset=list(RATIOS.get(name, (name,)))))


def explain_null(rows: pd.DataFrame, name: str) -> str:
    """Why a metric has no value in these rows, for a record that has to say so."""
    if name in RATIOS and count_frames(rows, name):
        return "nothing changes in the real clip"
    if name.startswith("background_") and "background_reason" in rows:
        reasons = rows["background_reason"].dropna()
        if len(reasons):
            return str(reasons.value_counts().index[0])
    return METRICS[name].missing
