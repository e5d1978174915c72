"""Maps jobs: in this process, or over worker processes, with the same results.

A job is a pure function of one typed config that leaves files and can be done again without harm. On a
CPU every job computes with one torch thread: numbers depend on the thread count, and two jobs of two
threads each get in each other's way.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dancebench.core.environment import set_workers
from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress

C = TypeVar("C")
R = TypeVar("R")


@dataclass(frozen=True)
class JobFailure:
    """Why a job left nothing."""

    label: str
    message: str
    hint: str | None

    def to_error(self) -> BenchError:
        return BenchError(f"{self.label}: {self.message}", hint=self.hint)


@dataclass(frozen=True)
class Job(Generic[C, R]):
    """`function(config, report)`, and a name for it that people read."""

    label: str
    function: Callable[[C, ReportProgress], R]
    config: C


def run_jobs(jobs: Sequence[Job[Any, R]], *, workers: int, report: ReportProgress) -> list[R | JobFailure]:
    """Run all jobs and return what each returned, in order, or why it failed.

    A `BenchError` in one job leaves the others running; anything else is a defect and is raised.
    """
    if workers <= 1 or len(jobs) <= 1:
        use_one_thread()
        outcomes: list[R | JobFailure] = []
        for job in jobs:
            outcome: R | JobFailure = _run_job(job, report)
            outcomes.append(outcome)
        return outcomes
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    count = min(workers, len(jobs))
    with ProcessPoolExecutor(
        count, mp_context=context, initializer=_initialise_worker, initargs=(messages, count)
    ) as pool:
        futures = [pool.submit(_run_job_in_worker, job) for job in jobs]
        try:
            _relay_reports(futures, messages, report)
        except BaseException:
            for process in list(pool._processes.values()):
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    try:
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise BenchError(
            "A worker process died, most likely for want of memory.", hint="Run the same command with --jobs 1."
        ) from error


def require_all(outcomes: Sequence[R | JobFailure]) -> list[R]:
    """All results.

    Raises:
        BenchError: The first failure, if there was one.
    """
    results: list[R] = []
    for outcome in outcomes:
        if isinstance(outcome, JobFailure):
            raise outcome.to_error()
        results.append(outcome)
    return results


def quiet_libraries() -> None:
    """Keep libraries from warning people about how other libraries call them."""
    for module in ("torchvision", "google.protobuf"):
        warnings.filterwarnings("ignore", category=UserWarning, module=module)


def use_one_thread() -> None:
    """Give torch and OpenCV one thread each in this process."""
    import torch  # slow to import; only work pays for it

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


def _initialise_worker(messages: Any, count: int) -> None:
    global _messages
    _messages = messages
    set_workers(count)
    quiet_libraries()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=end_with_parent, daemon=True).start()
    use_one_thread()


def end_with_parent() -> None:
    """End this worker when its parent does: it must not go on writing where the next run resumes. Blocks till then."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _stop(*_: object) -> None:
    """Leave the job at hand as an exception does, so that it tidies up, and take no other."""
    global _stopping
    _stopping = True
    raise SystemExit


def _run_job_in_worker(job: Job[C, R]) -> R | JobFailure:
    if _stopping:
        raise SystemExit
    return _run_job(job, lambda what, done, total: _messages.put((what, done, total)))


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
