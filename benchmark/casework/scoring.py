"""Scoring in a pool of worker processes, with a time limit for each file: paths in, a row for every file out.

A worker loads the detector once and scores one file after the other. A file that hangs or crashes its worker is
a row with that reason, and a new worker is started. On a CPU every worker computes with one thread, so scores do
not depend on the number of workers.
"""

from __future__ import annotations

import datetime
import math
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import av

import dancebench
from dancebench.benchmark.casework.image_folders import score_image_folder
from dancebench.benchmark.casework.search import explain_passing_over
from dancebench.benchmark.jobs import end_with_parent, keep_interrupts_from_children, quiet_libraries, use_one_thread
from dancebench.core.environment import collect_versions, read_code_version
from dancebench.core.errors import BenchError
from dancebench.core.files import explain_read_error, sha256_file, sha256_once
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.detect.casework.file_names import PassedOver, make_passed_over, restore_path
from dancebench.detect.casework.reference import (
    ReferenceFacts,
    load_items,
    measure_shift_again,
    recalibrate,
)
from dancebench.detect.casework.score import (
    ScoredVideo,
    ScoreReport,
    ScoreSettings,
    VideoScore,
    apply_reference,
    make_failed_score,
    score_video,
)
from dancebench.detect.casework.verify import Verification, compare_reports
from dancebench.detect.protocol.card import CARD, DetectorCard, LoadedDetector, load_detector

TIMEOUT = 600.0
_MAX_SOCKET_PATH = 100
"""Bytes: 107 on Linux, 103 on macOS."""
_SOCKET_NAME = "/pymp-xxxxxxxx/listener-xxxxxxxx"
"""What multiprocessing adds to the path of the folder for temporary files."""
_REPORT_INTERVAL = 1.0
"""Seconds between two progress reports of a worker."""


@dataclass(frozen=True)
class ScoringSetup:
    """How files are scored, and by which detector."""

    folder: Path
    """Of the detector."""
    settings: ScoreSettings
    device: str = "cpu"
    timeout: float = TIMEOUT
    """Seconds that one file may take."""
    pictures: bool = False
    fingerprints: bool = False
    """Whether each video's is computed, by which videos of one recording are found."""


def score_files(
    paths: Sequence[Path],
    how: ScoringSetup,
    *,
    searched: Set[Path] = frozenset(),
    workers: int = 1,
    report: ReportProgress = ignore_progress,
) -> Iterator[tuple[int, ScoredVideo | PassedOver]]:
    """Score files in parallel.

    Args:
        paths: Video files, or folders of images where the settings have a rate for them.
        how: Detector and settings.
        searched: Those of the paths that were found in a folder: one that turns out to be no video is passed over.
        workers: Number of worker processes; at least one, so that a file that hangs can be stopped.
        report: Progress.

    Yields:
        The index of a file in `paths`, and its score or why it was passed over, in the order in which they are done.

    Raises:
        BenchError: The detector cannot be loaded, or a worker dies while it loads it.
    """
    card = DetectorCard.load(how.folder / CARD)
    with tempfile.TemporaryDirectory() as scratch:  # a worker that is killed leaves its files here
        pool = _WorkerPool(how, Path(scratch), min(workers, len(paths)), searched)
        try:
            for done, (index, scored) in enumerate(pool.score_all(paths, card, report), start=1):
                report("scoring videos", done, len(paths))
                yield index, scored
        finally:
            pool.shut_down()


def make_report(
    videos: Sequence[VideoScore],
    card: DetectorCard,
    how: ScoringSetup,
    dataset: str | None = None,
    passed_over: Sequence[PassedOver] = (),
    reference: ReferenceFacts | None = None,
) -> ScoreReport:
    """Make the report of these scores, with all that is needed to reproduce them."""
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
        ratios=card.ratios,
        reference=reference,
        videos=tuple(videos),
        passed_over=tuple(passed_over),
    )


def verify_report(
    recorded: ScoreReport,
    how: ScoringSetup,
    dataset: str | None = None,
    *,
    beside: Path,
    workers: int = 1,
    report: ReportProgress = ignore_progress,
) -> Verification:
    """Score the files of a report again, by its settings, and say what differs.

    Args:
        recorded: The report.
        how: The detector with the weights of the report; its settings are the report's.
        dataset: That the detector was trained on, if its record is found.
        beside: Folder of the report: files that are not where they were are looked for under it.
        workers: Number of worker processes.
        report: Progress.

    Raises:
        BenchError: As `score_files`.
    """
    paths = [find_recorded_file(video, beside) for video in recorded.videos]
    rescored = {
        index: scored.record
        for index, scored in score_files(paths, how, workers=workers, report=report)
        if isinstance(scored, ScoredVideo)  # none is passed over: the report names them all
    }
    names = [{"path": video.path, "path_bytes": video.path_bytes} for video in recorded.videos]
    again = [rescored[index].model_copy(update=name) for index, name in enumerate(names)]
    card = DetectorCard.load(how.folder / CARD)
    reference = None
    if recorded.reference is not None:
        items = load_items(how.folder)
        reference = measure_shift_again(recorded.reference, items)
        recalibrated = recalibrate(card, items, reference)
        again = [apply_reference(video, recalibrated, reference.recordings) for video in again]
    return compare_reports(recorded, make_report(again, card, how, dataset, reference=reference))


def find_recorded_file(video: VideoScore, beside: Path) -> Path:
    """Where a video of a report lies now: at its path, or under the folder of the report.

    Looked for there are the whole path, if it is relative, and what is left of it without its first folders. Of several
    files the one with the recorded SHA-256 is taken, else the first; where there is none, the recorded path.
    """
    path = restore_path(video.path, video.path_bytes)
    parts = path.relative_to(path.anchor).parts
    places = dict.fromkeys([path, *(beside.joinpath(*parts[first:]) for first in range(len(parts)))])
    found = [place for place in places if os.path.exists(place)]
    if len(found) > 1:
        same = (place for place in found if place.is_file() and sha256_once(place) == video.sha256)
        return next(same, found[0])
    return found[0] if found else path


# ---------------------------------------------------------------- main process


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    index: int | None = None
    """Of the file that it scores; None: idle or not ready."""
    deadline: float = math.inf


@dataclass
class _WorkerPool:
    """Worker processes, and the file that each one scores."""

    how: ScoringSetup
    scratch: Path
    size: int
    searched: Set[Path]
    workers: list[_Worker] = field(default_factory=list)

    def score_all(
        self, paths: Sequence[Path], card: DetectorCard, report: ReportProgress
    ) -> Iterator[tuple[int, ScoredVideo | PassedOver]]:
        """Assign the files to the workers and yield the scores as they arrive."""
        waiting = list(range(len(paths)))[::-1]
        remaining = len(paths)
        while remaining:
            while len(self.workers) < min(self.size, remaining):
                self._start_worker()
            for worker in self._wait_for_messages():
                message = _receive(worker)
                if isinstance(message, _Progress):
                    report(message.what, message.done, message.total)
                    continue
                if isinstance(message, BenchError):
                    raise message
                if worker.index is not None:
                    scored = (
                        message
                        if isinstance(message, ScoredVideo | PassedOver)
                        else ScoredVideo(make_failed_score(paths[worker.index], card, message))
                    )
                    remaining -= 1
                    yield worker.index, scored
                if isinstance(message, str):
                    self._stop_worker(worker)
                elif waiting:
                    self._assign(worker, waiting.pop(), paths)
                else:
                    worker.index, worker.deadline = None, math.inf
            for worker in [worker for worker in self.workers if time.monotonic() > worker.deadline]:
                assert worker.index is not None  # only a file has a deadline
                reason = f"it was not scored within {self.how.timeout:g} s (--timeout)"
                remaining -= 1
                yield worker.index, ScoredVideo(make_failed_score(paths[worker.index], card, reason))
                self._stop_worker(worker)

    def shut_down(self) -> None:
        """Stop all workers."""
        for worker in list(self.workers):
            self._stop_worker(worker)

    def _start_worker(self) -> None:
        context = _choose_context()
        pipe, child_pipe = context.Pipe()
        process = context.Process(target=_run_worker, args=(child_pipe, self.how, self.scratch), daemon=True)
        with keep_interrupts_from_children():
            process.start()
        child_pipe.close()  # else the death of the worker would not close the pipe
        self.workers.append(_Worker(process, pipe))

    def _assign(self, worker: _Worker, index: int, paths: Sequence[Path]) -> None:
        worker.index, worker.deadline = index, time.monotonic() + self.how.timeout
        worker.pipe.send((paths[index], paths[index] in self.searched))

    def _wait_for_messages(self) -> list[_Worker]:
        """Wait for messages, at most until the next deadline, and return the workers that sent one."""
        left = min(worker.deadline for worker in self.workers) - time.monotonic()
        ready = wait([worker.pipe for worker in self.workers], None if math.isinf(left) else max(left, 0) + 0.01)
        return [worker for worker in self.workers if worker.pipe in ready]

    def _stop_worker(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.process.kill()  # one that hangs in a decoder reacts to nothing else
        worker.process.join()
        worker.pipe.close()


def _choose_context() -> Any:
    """Use a fork server where there is one: it imports everything once, so that a new worker starts fast.

    It listens on a socket in the folder for temporary files, whose path the system limits to some 100 bytes.
    """
    usable = len(os.fsencode(tempfile.gettempdir())) + len(_SOCKET_NAME) <= _MAX_SOCKET_PATH
    if "forkserver" not in multiprocessing.get_all_start_methods() or not usable:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch"])
    return context


def _receive(worker: _Worker) -> Any:
    """Receive from a worker: ready (None), progress, a score, why it cannot work, or how it died."""
    try:
        return worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        if worker.index is None:
            return BenchError(
                "A worker process died while it loaded the detector, most likely out of memory.",
                hint="Run the same command with --jobs 1.",
            )
        code = worker.process.exitcode
        return f"the process that scored it died (exit status {code}), most likely out of memory"


# ---------------------------------------------------------------- worker process


@dataclass(frozen=True)
class _Progress:
    what: str
    done: int
    total: int


class _ProgressSender:
    """Sends progress at intervals, and the end of each task it reported on; a short task is not reported."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._last: dict[str, float] = {}
        self._reported: set[str] = set()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        due = now - self._last.setdefault(what, now) >= _REPORT_INTERVAL
        if due or (done >= total and what in self._reported):
            self._last[what] = now
            self._reported.add(what)
            self._pipe.send(_Progress(what, done, total))


def _run_worker(pipe: Connection, how: ScoringSetup, scratch: Path) -> None:
    """Main loop of a worker: load the detector, then score one file after the other until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=end_with_parent, daemon=True).start()
    quiet_libraries()
    use_one_thread()
    try:
        loaded = load_detector(how.folder, device=how.device)
    except BenchError as error:
        pipe.send(BenchError(error.message, hint=error.hint))  # its subclasses do not survive pickling
        return
    except OSError as error:
        pipe.send(explain_read_error(how.folder, error))
        return
    pipe.send(None)
    while True:
        try:
            path, searched = pipe.recv()
        except EOFError:
            return
        try:
            reason = explain_passing_over(path) if searched else None
            scored = (
                _score_path(path, loaded, how, _ProgressSender(pipe), scratch)
                if reason is None
                else make_passed_over(path, reason)
            )
        except Exception as error:  # an error in one file must not lose the rows of the others
            reason = f"an unexpected error, please report it: {type(error).__name__}: {error}"
            scored = ScoredVideo(make_failed_score(path, loaded.card, reason))
        pipe.send(scored)


def _score_path(
    path: Path, loaded: LoadedDetector, how: ScoringSetup, report: ReportProgress, scratch: Path
) -> ScoredVideo:
    """Score a video, or the images of a folder as one."""
    if how.settings.frames_per_second is not None and path.is_dir():
        return score_image_folder(
            path, loaded, how.settings, report,
            pictures=how.pictures, fingerprint=how.fingerprints, scratch=scratch,
        )  # fmt: skip
    return score_video(
        path, loaded, how.settings, report, pictures=how.pictures, fingerprint=how.fingerprints, scratch=scratch
    )
