"""What a record says where some clips could not be measured: no number that leaves the hard ones out is ranked.

Where a clip is missing or fails, a metric of the whole is null with the reason; the mean over what was measured stands
beside it under the condition `clips=measured`, and the values per person under each person. Everybody who was asked
for stands in the record, so that the row appears in the same table as the complete ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import pandas as pd

from dancebench.benchmark.metrics.per_subject import average_per_subject
from dancebench.benchmark.runs.synthesis_record import list_per_subject, make_metric
from dancebench.core.errors import BenchError
from dancebench.core.metric import Metric, MetricKey
from dancebench.leaderboards import records

_MEASURED: Final = ("clips", "measured")


def summarise(
    rows: pd.DataFrame, subjects: Iterable[str], incomplete: str | None
) -> tuple[dict[str, Metric], dict[str, dict[str, float | None]]]:
    """The metrics of a record, and the values per subject.

    Args:
        rows: Per-frame rows with a column `subject`.
        subjects: Everybody who was asked for.
        incomplete: Why the rows are not all that was asked for; None where they are.
    """
    values = average_per_subject(rows)
    metrics = {str(name): make_metric(str(name), rows, values) for name in values}
    nobody: dict[str, float | None] = dict.fromkeys(metrics)
    found = list_per_subject(values)
    per_subject = {subject: found.get(subject, nobody) for subject in sorted(set(subjects))}
    return hide_incomplete(metrics, incomplete), per_subject


def hide_incomplete(metrics: dict[str, Metric], incomplete: str | None) -> dict[str, Metric]:
    """The same where nothing is missing; else null, with the values under the condition `clips=measured`."""
    if incomplete is None:
        return metrics
    measured = {
        str(MetricKey.parse(name).under(*_MEASURED)): metric
        for name, metric in metrics.items()
        if metric.value is not None
    }
    nulls = {
        name: metric if metric.value is None else metric.model_copy(
            update={"value": None, "ci95": None, "n": 0, "reason": incomplete}
        )
        for name, metric in metrics.items()
    }  # fmt: skip
    return nulls | measured


def explain_incomplete(failed: int, asked: int) -> str | None:
    """Why a metric of the whole has no value; None where nothing failed."""
    return f"{failed} of {asked} clips could not be measured (see failures)" if failed else None


def require_some(measured: Sequence[object], failures: Sequence[records.Failure]) -> None:
    """Refuse a run of which nothing could be measured.

    Raises:
        BenchError: Names the first failure.
    """
    if not measured:
        first = failures[0]
        raise BenchError(
            f"None of the {len(failures)} clips could be measured; {first.item}: {first.reason}",
            hint="A fake has the name of its real, and its frames, rate and size.",
        )
