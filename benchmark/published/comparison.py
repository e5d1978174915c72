"""What differs between published records and those of a repetition: two sets of records in, lines out.

On the machine, and with the versions, of the published run nothing may differ: the tolerance is zero. Elsewhere the
differences are listed alike, with what the machines differ in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dancebench.core.metric import Metric
from dancebench.leaderboards.records import RunRecord


class Comparison(NamedTuple):
    """A published run beside its repetition."""

    run: str
    same_machine: bool
    """Whether hardware and versions are those of the published run."""
    differences: tuple[str, ...]
    """One line each; none where every number is the same."""


def compare_runs(published: Sequence[RunRecord], repeated: Sequence[RunRecord]) -> list[Comparison]:
    """Compare the records of each run id, by id; a run that only one side has is a difference."""
    old, new = ({record.run.id: record for record in records} for records in (published, repeated))
    return [_compare_run(run, old.get(run), new.get(run)) for run in sorted(old.keys() | new.keys())]


def _compare_run(run: str, old: RunRecord | None, new: RunRecord | None) -> Comparison:
    if old is None or new is None:
        what = "is not published" if old is None else "was not made again: its settings or its dataset are others now"
        return Comparison(run, False, (f"the run {what}",))
    machine = list(_compare_machines(old, new))
    found = [*_compare_data(old, new), *_compare_metrics(old.metrics, new.metrics)]
    return Comparison(run, not machine, tuple([*found, *machine] if found else ()))


def _compare_machines(old: RunRecord, new: RunRecord) -> Iterable[str]:
    for title, one, other in (
        ("hardware", dict(old.run.hardware), dict(new.run.hardware)),
        ("version", dict(old.run.versions), dict(new.run.versions)),
    ):
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                yield f"{title} {name}: published {one.get(name)}, here {other.get(name)}"


def _compare_data(old: RunRecord, new: RunRecord) -> Iterable[str]:
    for title, one, other in (
        ("dataset_id", old.data.dataset_id, new.data.dataset_id),
        ("content_sha256", old.data.content_sha256, new.data.content_sha256),
        ("videos_sha256", old.data.videos_sha256, new.data.videos_sha256),
        ("weights", old.entry.weights_sha256, new.entry.weights_sha256),
        ("failures", [each.item for each in old.failures], [each.item for each in new.failures]),
    ):
        if one != other:
            yield f"{title}: published {one}, here {other}"


def _compare_metrics(old: dict[str, Metric], new: dict[str, Metric]) -> Iterable[str]:
    """Value, interval, n and reason of each metric; the difference of two values is told with all its digits."""
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if one == other:
            continue
        if one is None or other is None:
            yield f"{name}: {'not published' if one is None else 'not measured here'}"
        elif one.value != other.value:
            size = "" if one.value is None or other.value is None else f" ({other.value - one.value:+.3g})"
            yield f"{name}: published {_tell(one)}, here {_tell(other)}{size}"
        else:
            parts = [
                f"{part} published {getattr(one, part)}, here {getattr(other, part)}"
                for part in ("ci95", "n", "unit", "reason", "higher_is_better")
                if getattr(one, part) != getattr(other, part)
            ]
            yield f"{name}: {'; '.join(parts)}"


def _tell(metric: Metric) -> str:
    return f"null ({metric.reason})" if metric.value is None else repr(metric.value)
