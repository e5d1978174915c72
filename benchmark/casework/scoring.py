"""Scores files in worker processes, each within a time limit: paths in, a row each out, whatever the files do.

A worker loads the detector once and takes one file after the other. A file that hangs or kills its worker is a
row with that reason, and another worker takes its place. On a CPU every worker computes with one thread, so
scores do not depend on how many there are.
"""

from __future__ import annotations

import datetime
import math
import multiprocessing
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import av

import dancebench
from dancebench.benchmark.jobs import end_with_parent, quiet_libraries, use_one_thread
from dancebench.core.environment import collect_versions, read_code_version, set_workers
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.detect.casework.score import (
    ScoredVideo,
    ScoreReport,
    ScoreSettings,
    VideoScore,
    make_failed_score,
    score_video,
)
from dancebench.detect.casework.verify import Verification, compare_reports
from dancebench.detect.protocol.card import CARD, DetectorCard, load_detector

TIMEOUT = 600.0
_EVERY = 1.0
"""Seconds between two reports of a worker."""


@dataclass(frozen=True)
class ScoringSetup:
    """How files are scored, and by what."""

    folder: Path
    """Of the detector."""
    settings: ScoreSettings
    device: str = "cpu"
    timeout: float = TIMEOUT
    """Seconds that one file may take."""
    pictures: bool = False


def score_files(
    paths: Sequence[Path], how: ScoringSetup, *, workers: int = 1, report: ReportProgress = ignore_progress
) -> Iterator[tuple[int, ScoredVideo]]:
    """Score files side by side.

    Args:
        paths: Video files.
        how: Detector and settings.
        workers: How many processes; there is one at least, so that a file that hangs can be ended.
        report: Progress.

    Yields:
        The place of a file in `paths` and its score, in the order in which they are done.

    Raises:
        BenchError: The detector cannot be loaded, or its process dies over that.
    """
    card = DetectorCard.load(how.folder / CARD)
    with tempfile.TemporaryDirectory() as scratch:  # a worker that is ended leaves its files here
        team = _WorkerPool(how, Path(scratch), min(workers, len(paths)))
        try:
            for done, (index, scored) in enumerate(team.score_all(paths, card, report), start=1):
                report("scoring videos", done, len(paths))
                yield index, scored
        finally:
            team.shut_down()


def make_report(
    videos: Sequence[VideoScore], card: DetectorCard, how: ScoringSetup, dataset: str | None = None
) -> ScoreReport:
    """The document that goes with scores: all that is needed to make them again."""
    sha, dirty = read_code_version()
    libraries = {name: ".".join(map(str, number)) for name, number in sorted(av.library_versions.items())}
    pairs = how.settings.pairs or card.config["pairs"]
    return ScoreReport(
        dancebench=dancebench.__version__,
        git_sha=sha,
        dirty=dirty,
        versions=collect_versions() | {name: libraries[name] for name in ("libavcodec", "libavformat", "libswscale")},
        detector=card.detector,
        weights_sha256=card.weights_sha256,
        card_sha256=sha256_file(how.folder / CARD),
        settings=how.settings.model_copy(update={"pairs": pairs}),
        device=how.device,
        dataset=dataset,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        videos=tuple(videos),
    )


def verify_report(
    recorded: ScoreReport, how: ScoringSetup, *, workers: int = 1, report: ReportProgress = ignore_progress
) -> Verification:
    """Score the files of a report again, by its settings, and say what differs.

    Args:
        recorded: The report.
        how: The detector with the weights of the report; its settings are the report's.
        workers: How many processes.
        report: Progress.

    Raises:
        BenchError: As `score_files`.
    """
    paths = [Path(video.path) for video in recorded.videos]
    found = dict(score_files(paths, how, workers=workers, report=report))
    card = DetectorCard.load(how.folder / CARD)
    return compare_reports(recorded, make_report([found[index].record for index in range(len(paths))], card, how))


# ---------------------------------------------------------------- this side


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    index: int | None = None
    """Of the file at hand."""
    deadline: float = math.inf


@dataclass
class _WorkerPool:
    """Worker processes, and what each is at."""

    how: ScoringSetup
    scratch: Path
    size: int
    workers: list[_Worker] = field(default_factory=list)

    def score_all(
        self, paths: Sequence[Path], card: DetectorCard, report: ReportProgress
    ) -> Iterator[tuple[int, ScoredVideo]]:
        """Hand out the files and take the scores in."""
        waiting = list(range(len(paths)))[::-1]
        missing = len(paths)
        while missing:
            while len(self.workers) < min(self.size, missing):
                self._start_worker()
            for worker in self._wait_for_messages():
                news = _receive(worker)
                if isinstance(news, _Progress):
                    report(news.what, news.done, news.total)
                    continue
                if isinstance(news, BenchError):
                    raise news
                if worker.index is not None:
                    scored = (
                        news
                        if isinstance(news, ScoredVideo)
                        else ScoredVideo(make_failed_score(paths[worker.index], card, news))
                    )
                    missing -= 1
                    yield worker.index, scored
                if isinstance(news, str):
                    self._stop_worker(worker)
                elif waiting:
                    self._assign(worker, waiting.pop(), paths)
                else:
                    worker.index, worker.deadline = None, math.inf
            for worker in [each for each in self.workers if time.monotonic() > each.deadline]:
                assert worker.index is not None  # only a file has a deadline
                reason = f"it was not scored within {self.how.timeout:g} s (--timeout)"
                missing -= 1
                yield worker.index, ScoredVideo(make_failed_score(paths[worker.index], card, reason))
                self._stop_worker(worker)

    def shut_down(self) -> None:
        """End all."""
        for worker in list(self.workers):
            self._stop_worker(worker)

    def _start_worker(self) -> None:
        context = _choose_context()
        here, there = context.Pipe()
        process = context.Process(target=_run_worker, args=(there, self.how, self.scratch, self.size), daemon=True)
        process.start()
        there.close()  # or its end would never be seen
        self.workers.append(_Worker(process, here))

    def _assign(self, worker: _Worker, index: int, paths: Sequence[Path]) -> None:
        worker.index, worker.deadline = index, time.monotonic() + self.how.timeout
        worker.pipe.send(paths[index])

    def _wait_for_messages(self) -> list[_Worker]:
        """Those that have something to say, after a wait at most until the next deadline."""
        left = min(worker.deadline for worker in self.workers) - time.monotonic()
        ready = wait([worker.pipe for worker in self.workers], None if math.isinf(left) else max(left, 0) + 0.01)
        return [worker for worker in self.workers if worker.pipe in ready]

    def _stop_worker(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.process.kill()  # one that hangs in a decoder hears nothing else
        worker.process.join()
        worker.pipe.close()


def _choose_context() -> Any:
    """Where there is a fork server it imports everything once, so that another worker costs no seconds."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch"])
    return context


def _receive(worker: _Worker) -> Any:
    """What a worker says: that it is ready (None), progress, a score, why it cannot work, or how it died."""
    try:
        return worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        if worker.index is None:
            return BenchError(
                "A worker process died while it loaded the detector, most likely for want of memory.",
                hint="Run the same command with --jobs 1.",
            )
        code = worker.process.exitcode
        return f"the process that scored it died (exit status {code}), most likely for want of memory"


# ---------------------------------------------------------------- the worker's side


@dataclass(frozen=True)
class _Progress:
    what: str
    done: int
    total: int


class _ProgressSender:
    """Sends progress now and then, and the end of what was begun; short work says nothing."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._last: dict[str, float] = {}
        self._told: set[str] = set()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        due = now - self._last.setdefault(what, now) >= _EVERY
        if due or (done >= total and what in self._told):
            self._last[what] = now
            self._told.add(what)
            self._pipe.send(_Progress(what, done, total))


def _run_worker(pipe: Connection, how: ScoringSetup, scratch: Path, count: int) -> None:
    """The life of a worker: load, then one file after the other until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=end_with_parent, daemon=True).start()
    set_workers(count)
    quiet_libraries()
    use_one_thread()
    try:
        loaded = load_detector(how.folder, device=how.device)
    except BenchError as error:
        pipe.send(BenchError(error.message, hint=error.hint))  # its subclasses do not travel
        return
    pipe.send(None)
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        try:
            scored = score_video(
                path, loaded, how.settings, _ProgressSender(pipe), pictures=how.pictures, scratch=scratch
            )  # fmt: skip
        except Exception as error:  # one file's trouble must not cost the others their rows
            reason = f"an unforeseen error, please report it: {type(error).__name__}: {error}"
            scored = ScoredVideo(make_failed_score(path, loaded.card, reason))
        pipe.send(scored)
