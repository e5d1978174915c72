"""Run jobs in this process or over worker processes, with the same results.

A job depends on one typed config alone, writes files and is idempotent. On a CPU every job computes with one
torch thread: results depend on the thread count, and two jobs of two threads each slow each other down.
A command starts its worker processes once (`keep_workers`): each start imports torch, which takes seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, Generic, TypeVar

from dancebench.core.errors import BenchError
from dancebench.core.files import Hashes, add_known_hashes, known_hashes
from dancebench.core.progress import ReportProgress

C = TypeVar("C")
R = TypeVar("R")


@dataclass(frozen=True)
class JobFailure:
    """Why a job has no result."""

    label: str
    message: str
    hint: str | None

    def to_error(self) -> BenchError:
        return BenchError(f"{self.label}: {self.message}", hint=self.hint)


@dataclass(frozen=True)
class Job(Generic[C, R]):
    """`function(config, report)`, with a label for display."""

    label: str
    function: Callable[[C, ReportProgress], R]
    config: C


def run_jobs(jobs: Sequence[Job[Any, R]], *, workers: int, report: ReportProgress) -> list[R | JobFailure]:
    """Run all jobs and return what each returned, in order, or why it failed.

    A `BenchError` in one job does not stop the others; any other exception is a bug and is raised.
    """
    if workers <= 1 or len(jobs) <= 1:
        use_one_thread()
        outcomes: list[R | JobFailure] = []
        for job in jobs:
            outcome: R | JobFailure = _run_job(job, report)
            outcomes.append(outcome)
        return outcomes
    with _open_workers(workers) as started:
        later = started.list_later_hashes()
        try:
            with keep_interrupts_from_children():
                futures = [started.pool.submit(_run_job_in_worker, job, later) for job in jobs]
            _relay_reports(futures, started.messages, report)
            results = [future.result() for future in futures]
        except BrokenProcessPool as error:
            started.stop()
            raise BenchError(
                "A worker process died, most likely because memory ran out.", hint="Run the same command with --jobs 1."
            ) from error
        except BaseException:
            started.stop()
            raise
    for _, hashes in results:
        add_known_hashes(hashes)
    return [outcome for outcome, _ in results]


class _Workers:
    """Worker processes, each started when a job waits for it, and the queue of their reports."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.count, self.messages, self.stopped = count, context.Queue(), False
        self._given = known_hashes()
        self.pool = ProcessPoolExecutor(
            count, mp_context=context, initializer=_initialise_worker, initargs=(self.messages, self._given)
        )

    def list_later_hashes(self) -> Hashes:
        """What was read since they were planned: it goes with every job, so it must not be all that is known."""
        return {path: known for path, known in known_hashes().items() if self._given.get(path) != known}

    def stop(self) -> None:
        """End them in the midst of their jobs."""
        self.stopped = True
        for process in list((self.pool._processes or {}).values()):
            process.terminate()
        self.pool.shutdown(wait=True, cancel_futures=True)


_keeps_workers = False
_kept: _Workers | None = None


@contextmanager
def keep_workers() -> Iterator[None]:
    """Let all runs of jobs in this block share their worker processes, which end with it."""
    global _keeps_workers, _kept
    before, _keeps_workers = _keeps_workers, True
    try:
        yield
    finally:
        _keeps_workers = before
        if _kept is not None and not before:
            _kept.pool.shutdown()
            _kept = None


@contextmanager
def _open_workers(count: int) -> Iterator[_Workers]:
    """As many worker processes at most: those that are kept, or others that end with the block."""
    global _kept
    if not _keeps_workers:
        workers = _Workers(count)
        with workers.pool:
            yield workers
        return
    if _kept is None or _kept.stopped or _kept.count != count:
        if _kept is not None:
            _kept.pool.shutdown()
        _kept = _Workers(count)
    yield _kept


def require_all(outcomes: Sequence[R | JobFailure]) -> list[R]:
    """Return the results of all jobs.

    Raises:
        BenchError: The first failure, if there was one.
    """
    results: list[R] = []
    for outcome in outcomes:
        if isinstance(outcome, JobFailure):
            raise outcome.to_error()
        results.append(outcome)
    return results


@contextmanager
def keep_interrupts_from_children() -> Iterator[None]:
    """Start processes in this block: Ctrl-C is the parent's to handle, also while a child still imports its modules.

    A signal to this thread that comes meanwhile reaches it at the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    resource_tracker.ensure_running()  # it would be started in the block, and unblocks signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def quiet_libraries() -> None:
    """Silence warnings about how one library calls another."""
    for module in ("torchvision", "google.protobuf"):
        warnings.filterwarnings("ignore", category=UserWarning, module=module)


def use_one_thread() -> None:
    """Give torch and OpenCV one thread each in this process."""
    import torch  # slow to import: not when the command starts

    from dancebench.core.opencv import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _run_job(job: Job[C, R], report: ReportProgress) -> R | JobFailure:
    try:
        return job.function(job.config, report)
    except BenchError as error:
        return JobFailure(job.label, error.message, error.hint)


_messages: Any = None
_stopping = False


def _initialise_worker(messages: Any, hashes: Hashes) -> None:
    global _messages
    _messages = messages
    add_known_hashes(hashes)
    quiet_libraries()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=end_with_parent, daemon=True).start()
    use_one_thread()


def end_with_parent() -> None:
    """End this worker when its parent ends: it must not write into what the next run resumes. Blocks until then."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _stop(*_: object) -> None:
    """Raise `SystemExit` in the current job, so that it cleans up, and start no other job."""
    global _stopping
    _stopping = True
    raise SystemExit


def _run_job_in_worker(job: Job[C, R], hashes: Hashes) -> tuple[R | JobFailure, Hashes]:
    """The outcome, and the hashes of files that were read for it: no other process need read them again.

    Args:
        job: The job.
        hashes: What other processes of this command have read since this one was planned.
    """
    if _stopping:
        raise SystemExit
    add_known_hashes(hashes)
    return _run_job(job, lambda what, done, total: _messages.put((what, done, total))), known_hashes()


def _relay_reports(futures: Sequence[Future[Any]], messages: Any, report: ReportProgress) -> None:
    """Pass the workers' reports on until all are done."""
    while not all(future.done() for future in futures):
        try:
            report(*messages.get(timeout=0.2))
        except queue.Empty:
            wait(futures, timeout=0)
    while True:
        try:
            report(*messages.get_nowait())
        except queue.Empty:
            return
