"""Small run records, made by hand: as much as a leaderboard needs and nothing measured."""

from collections.abc import Callable, Mapping

import pytest

from dancebench.core.files import sha256_json
from dancebench.core.metric import Interval, Metric
from dancebench.leaderboards.records import Data, Entry, ProtocolReference, Run, RunKind, RunRecord, new_run_id

MakeRecord = Callable[..., RunRecord]


def metric(value: float, subjects: int, *, higher_is_better: bool | None = True) -> Metric:
    """A metric with an interval of 0.1 to both sides."""
    interval = Interval(
        low=value - 0.1,
        high=value + 0.1,
        method="Student t over subjects",
        subjects=subjects,
        reliable=subjects >= 10,
    )
    return Metric(value=value, ci95=interval, n=5 * subjects, unit="share", higher_is_better=higher_is_better)


def _make(
    name: str,
    values: Mapping[str, float | Metric],
    *,
    kind: RunKind = "synthesis",
    subjects: int = 12,
    dataset_id: str = "ab" * 32,
    content_sha256: str = "c" * 64,
    n_effective: int = 60,
    entry: Mapping[str, object] | None = None,
    facts: Mapping[str, object] | None = None,
    run_of: str = "",
    videos_sha256: str | None = None,
    protocol: Mapping[str, str] | None = None,
) -> RunRecord:
    people = [f"s{number:02d}" for number in range(subjects)]
    digest = sha256_json([name, dataset_id, subjects, *([run_of] if run_of else [])])
    return RunRecord(
        run=Run(
            id=new_run_id(kind, name, digest),
            kind=kind,
            argv=["bench", "demo"],
            git_sha=None,
            dirty=None,
            versions={"python": "3.11"},
            hardware={"cores": 2},
            seeds={"train": 0},
            started="2025-01-31T09:30:00+00:00",
            seconds=12.5,
        ),
        data=Data(
            dataset="demo",
            dataset_id=dataset_id,
            content_sha256=content_sha256,
            videos_sha256=videos_sha256,
            protocol=None if protocol is None else ProtocolReference(**protocol),
            n_original=60,
            n_effective=n_effective,
        ),
        entry=Entry.model_validate(
            {
                "name": name,
                "preset": "tiny",
                "weights_sha256": {},
                "parameters": {},
                **(entry or {}),
                "facts": {"kind": kind, **(facts or {})},
            }
        ),
        metrics={key: value if isinstance(value, Metric) else metric(value, subjects) for key, value in values.items()},
        per_subject={
            person: {key: value.value if isinstance(value, Metric) else value for key, value in values.items()}
            for person in people
        },
        failures=[],
    )


@pytest.fixture
def make_record() -> MakeRecord:
    """`make_record(name, {metric: value}, kind=…, subjects=…, entry={…}, facts={…})`."""
    return _make
