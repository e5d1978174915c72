"""Jobs: the same results in this process and in workers, failures returned one by one, reports relayed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.jobs import (
    Job,
    JobFailure,
    keep_interrupts_from_children,
    keep_workers,
    require_all,
    run_jobs,
)
from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.files import known_hashes, remember_sha256
from dancebench.core.progress import ReportProgress, ignore_progress


def square(x: int, report: ReportProgress) -> tuple[int, int]:
    report(f"squaring {x}", 1, 1)
    if x == 3:
        raise UnknownNameError("number", "3", ["2", "33"])
    if x == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    if x == 5:
        raise RuntimeError("a bug")
    return x * x, os.getpid()


def jobs(*numbers: int) -> list[Job[int, tuple[int, int]]]:
    return [Job(f"job {x}", square, x) for x in numbers]


def read_signal_mask(pipe: Connection) -> None:
    pipe.send(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_ctrl_c_is_kept_from_children_from_their_first_instruction_on(method: str) -> None:
    """A fork server that still imported its modules printed its own traceback."""
    context = multiprocessing.get_context(method)
    pipe, child = context.Pipe()
    process = context.Process(target=read_signal_mask, args=(child,))
    with keep_interrupts_from_children():
        process.start()
    assert pipe.recv()
    process.join()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.fixture
def handles_interrupts() -> Iterator[None]:
    """As in a terminal: a process that was started in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("handles_interrupts")
def test_ctrl_c_during_a_start_reaches_the_parent_at_its_end() -> None:
    started = False
    with pytest.raises(KeyboardInterrupt), keep_interrupts_from_children():  # noqa: PT012
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        started = True
    assert started


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_a_failure_leaves_the_others(workers: int) -> None:
    reports: list[str] = []
    outcomes = run_jobs(jobs(1, 3, 4), workers=workers, report=lambda what, done, total: reports.append(what))
    first, failed, last = outcomes
    assert isinstance(first, tuple)
    assert isinstance(last, tuple)
    assert (first[0], last[0]) == (1, 16)
    assert (os.getpid() in (first[1], last[1])) == (workers == 1)
    assert isinstance(failed, JobFailure)
    assert failed.message == "Unknown number '3'."
    assert failed.hint is not None
    assert "Did you mean '33'" in failed.hint
    assert sorted(reports) == ["squaring 1", "squaring 3", "squaring 4"]
    with pytest.raises(BenchError, match="job 3: Unknown number"):
        require_all(outcomes)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_is_raised(workers: int) -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        run_jobs(jobs(1, 5), workers=workers, report=ignore_progress)


def test_a_worker_that_is_killed_is_named() -> None:
    with pytest.raises(BenchError, match="A worker process died"):
        run_jobs(jobs(1, 6), workers=2, report=ignore_progress)


def list_workers(*numbers: int) -> set[int]:
    """Ids of the processes that ran two jobs."""
    outcomes = require_all(run_jobs(jobs(*numbers), workers=2, report=ignore_progress))
    return {process for _, process in outcomes}


def count_workers() -> int:
    return len(multiprocessing.active_children())


def test_runs_of_a_command_share_their_workers_which_end_with_it() -> None:
    with keep_workers():
        used = [list_workers(*range(10, 30))]
        with keep_workers():
            used.append(list_workers(*range(10, 30)))
        assert len(used[0] | used[1]) <= 2  # one may be started in the second run only
        assert 1 <= count_workers() <= 2
    assert count_workers() == 0


def list_known(_: int, report: ReportProgress) -> set[str]:
    return {path.name for path in known_hashes()}


def test_kept_workers_are_told_what_was_read_since_they_began(tmp_path: Path) -> None:
    reading = [Job(f"job {x}", list_known, x) for x in range(4)]
    with keep_workers():
        before = require_all(run_jobs(reading, workers=2, report=ignore_progress))
        (tmp_path / "read-later").touch()
        remember_sha256(tmp_path / "read-later", "0" * 64)
        after = require_all(run_jobs(reading, workers=2, report=ignore_progress))
    assert not any("read-later" in known for known in before)
    assert all("read-later" in known for known in after)


def test_after_a_bug_or_a_killed_worker_there_are_others() -> None:
    with keep_workers():
        before = list_workers(1, 2)
        with pytest.raises(RuntimeError, match="a bug"):
            run_jobs(jobs(1, 5), workers=2, report=ignore_progress)
        between = list_workers(1, 2)
        assert not before & between
        with pytest.raises(BenchError, match="A worker process died"):
            run_jobs(jobs(1, 6), workers=2, report=ignore_progress)
        assert not between & list_workers(1, 2)
    assert count_workers() == 0


def test_without_a_terminal_progress_is_plain_lines(tmp_path: Path) -> None:
    from rich.console import Console

    with (tmp_path / "log").open("w") as handle, ProgressBars(Console(file=handle)) as display:
        for done in range(1, 4):
            display.report("working", done, 3)
    assert (tmp_path / "log").read_text() == "working: done (3, 0 s)\n"


def test_a_task_that_is_done_twice_is_shown_once() -> None:
    import io

    from rich.console import Console

    with ProgressBars(Console(file=io.StringIO(), force_terminal=True, width=80)) as display:
        for task in ("a", "a", "b", "c", "d", "a"):
            display.report(task, 1, 1)


def test_on_a_terminal_many_tasks_leave_the_screen_again() -> None:
    import io

    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with ProgressBars(console) as display:
        for task in range(20):
            display.report(f"task {task}", 1, 2)
            display.report(f"task {task}", 2, 2)
        assert display._bars is not None
        assert len(display._bars.tasks) <= 4
