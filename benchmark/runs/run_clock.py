"""The part of a run record that describes the run: command, code version, hardware, seeds, time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dancebench.core.environment import collect_versions, describe_hardware, read_code_version
from dancebench.leaderboards.records import Run, RunKind, new_run_id


@dataclass(frozen=True)
class RunClock:
    """Times a run, from its start."""

    argv: list[str]
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    _begin: float = field(default_factory=time.perf_counter)

    def run(self, kind: RunKind, name: str, digest: str, *, seeds: dict[str, int], device: str) -> Run:
        """The finished run, identified by its configuration alone."""
        git_sha, dirty = read_code_version()
        return Run(
            id=new_run_id(kind, name, digest),
            kind=kind,
            argv=self.argv,
            git_sha=git_sha,
            dirty=dirty,
            versions=collect_versions(),
            hardware={**describe_hardware(), "device": device},
            seeds=seeds,
            started=self.started,
            seconds=round(time.perf_counter() - self._begin, 1),
        )
