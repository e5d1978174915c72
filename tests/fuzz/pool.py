"""Standing worker processes: each imports everything once and takes one case after the other.

A worker that dies, takes too long or takes too much memory is ended with all its processes, which is a failure of its
case, and another is started.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
from fuzz.judge import Verdict

SAMPLING = 0.1
"""Seconds between two readings of memory."""


@dataclass(frozen=True)
class Limits:
    """What one case may take."""

    seconds: float = 60.0
    bytes: int = 1_500_000_000
    """Of any one process."""


@dataclass(frozen=True)
class Outcome:
    """How a case ended, and what it took."""

    verdict: Verdict
    seconds: float
    peak_bytes: int


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    job: int | None = None
    began: float = 0.0
    peak: int = 0
    ready: bool = field(default=False)


def run_all(
    run: Callable[[Any], Verdict], cases: Sequence[Any], *, workers: int, limits: Limits, log: Path, until: float
) -> Iterator[tuple[int, Outcome]]:
    """Run all cases, as they become free, over workers.

    Args:
        run: A function of a module, called in a worker.
        cases: What it is called with; they pickle.
        workers: Number of processes.
        limits: Time and memory of each case.
        log: File of what the workers and their libraries print.
        until: By `time.monotonic`: no case is begun later.

    Yields:
        The index of a case, and how it ended.
    """
    waiting = list(range(len(cases)))[::-1]
    standing: list[_Worker] = []
    try:
        while True:
            if time.monotonic() > until:
                waiting.clear()
            busy = sum(worker.job is not None for worker in standing)
            if not waiting and not busy:
                return
            while len(standing) < min(workers, busy + len(waiting)):
                standing.append(_start(run, log))
            ready = wait([worker.pipe for worker in standing], SAMPLING)
            for worker in list(standing):
                outcome = _attend(worker, worker.pipe in ready, limits)
                if outcome is not None and worker.job is not None:
                    yield worker.job, outcome
                    worker.job = None
                if not worker.process.is_alive() or worker.process.exitcode is not None:
                    if not worker.ready:
                        raise RuntimeError(f"A worker died while it started; see {log}.")
                    _end(worker)
                    standing.remove(worker)
                elif worker.ready and worker.job is None and waiting:
                    _assign(worker, waiting.pop(), cases)
    finally:
        for worker in standing:
            _end(worker)


def _assign(worker: _Worker, job: int, cases: Sequence[Any]) -> None:
    _reset_peak(worker.process.pid)
    worker.job, worker.began, worker.peak = job, time.monotonic(), 0
    worker.pipe.send(cases[job])


def _attend(worker: _Worker, has_message: bool, limits: Limits) -> Outcome | None:
    """Read a worker's memory, its message or its death; the outcome of its case, if that has ended."""
    if worker.job is not None:
        worker.peak = max(worker.peak, _read_peak(worker.process.pid))
    seconds = time.monotonic() - worker.began
    verdict: Verdict | None = None
    if has_message:
        try:
            message = worker.pipe.recv()
            worker.ready = True
            verdict = message
        except (EOFError, ConnectionError):
            worker.process.join()
            verdict = Verdict("failed", f"the worker died (exit status {worker.process.exitcode})")
    if worker.job is None:
        return None
    if worker.peak > limits.bytes:
        gives_frame = verdict.gives_frame if verdict else None
        verdict = Verdict("failed", f"it took {worker.peak / 1e9:.2f} GB of memory", gives_frame)
        _end(worker)
    elif verdict is None and seconds > limits.seconds:
        verdict = Verdict("failed", f"it had not ended after {limits.seconds:g} s")
        _end(worker)
    return None if verdict is None else Outcome(verdict, seconds, worker.peak)


def _start(run: Callable[[Any], Verdict], log: Path) -> _Worker:
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, run, log))
    process.start()
    theirs.close()  # else the worker's death would not close the pipe
    return _Worker(process, pipe)


def _serve(pipe: Connection, run: Callable[[Any], Verdict], log: Path) -> None:
    """Main loop of a worker."""
    with log.open("a") as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        faulthandler.enable(printed)
        pipe.send(None)
        while True:
            try:
                case = pipe.recv()
            except EOFError:
                return
            pipe.send(run(case))


def _list_processes(pid: int | None) -> list[psutil.Process]:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _end(worker: _Worker) -> None:
    for process in _list_processes(worker.process.pid):
        with suppress(psutil.Error):
            process.kill()
    worker.process.join()
    worker.pipe.close()


def _reset_peak(pid: int | None) -> None:
    """Let the kernel count a process's peak anew; elsewhere than on Linux only the readings count."""
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _read_peak(pid: int | None) -> int:
    """The largest resident memory, in bytes, that any process of a worker had since the case began."""
    return max((_read_process_peak(process) for process in _list_processes(pid)), default=0)


def _read_process_peak(process: psutil.Process) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0
