"""Fixtures of the study: fakes of five subjects, and a page that is served."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from study_site import Site, make_toys, plan_study

from dancebench.benchmark.study.make import make_study
from dancebench.benchmark.study.records import Access, StudyFolder, Task
from dancebench.benchmark.study.serve import bind, open_server, run_in_thread
from dancebench.benchmark.study.store import Store
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Dataset]:
    """Fakes of five subjects by three methods; tests only read them."""
    return make_toys(tmp_path_factory.mktemp("toys") / "workspace")


@pytest.fixture
def serve(toys: tuple[Workspace, Dataset], tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """`serve(task, **changes of the plan)` serves a study's page until the test ends; a changed plan is a new study."""
    opened: list[Any] = []

    def open_site(task: Task = "edn", **changes: Any) -> Site:
        workspace, dataset = toys
        plan = plan_study(workspace, dataset, f"{task}-{time.monotonic_ns()}" if changes else task, task, **changes)
        folder, clock = StudyFolder(workspace, plan.name), [0.0, 100.0]  # longer than any clip lasts
        study = folder.load() if folder.path.exists() else make_study(plan)

        def tell() -> float:
            clock[0] += clock[1]
            return clock[0]

        store = Store(tmp_path / "votes.sqlite", study)
        server = run_in_thread(open_server(folder, store, study, clock=tell), bind("127.0.0.1", 0))
        address = server.__enter__()
        opened.append((server, store))
        return Site(folder, study, store, Access.load(folder.access_path), address, clock)

    yield open_site
    for server, store in opened:
        server.__exit__(None, None, None)
        store.close()
