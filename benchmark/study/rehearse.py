"""A rehearsal: simulated raters of known preference answer through the real page's server, before people are paid.

The server, the store, the exclusion rules and the analysis are those of the study; its votes are not touched. Every
subject and every rater moves the true strengths of the methods a little; a simulated rater chooses by the logistic
model (of several videos the multinomial one) and sometimes presses a key at random; some do not attend, some videos
fail. What comes out is compared with what went in: is the true preference in its interval, is the difference found, is
any acknowledged answer missing?
"""

from __future__ import annotations

import http.client
import itertools
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Self

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats
from pydantic import Field

from dancebench.benchmark.study.records import SLOTS, Access, Item, StudyFolder, StudyRecord
from dancebench.benchmark.study.report import StudyReport, collect_answers, make_report
from dancebench.benchmark.study.serve import bind, open_server, run_in_thread
from dancebench.benchmark.study.store import Store
from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.schema import Strict

_LEVEL: Final = 0.05
_POINTS: Final = 2**14
"""Of a quasi-random rule over all people: shares to about 1e-4."""
Share = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(ge=0, le=10)]


class Raters(Strict):
    """Who is simulated."""

    count: Annotated[int, Field(ge=2, le=10_000)] = 30
    subject_sd: Spread = 0.3
    """How much a preference differs between subjects, in logits."""
    rater_sd: Spread = 0.3
    """The same between raters."""
    lapses: Share = 0.02
    """Answers at random."""
    careless: Share = 0.1
    """Raters who answer all at random, attention checks too."""
    failing_videos: Share = 0.01
    """Trials with a video that cannot be played."""


class RehearsedPair(Strict):
    """One pair: what was put in and what came out."""

    question: str
    method: str
    other: str
    true_share: float
    found_share: float
    covered: bool | None
    """Whether the interval holds the true share; null where there is none."""
    found: bool
    """Whether the difference is found at 5%, adjusted over the pairs."""


class Rehearsal(Strict):
    """What a rehearsal shows."""

    raters: Raters
    truth: dict[str, float]
    acknowledged: int
    """Answers that the server acknowledged."""
    stored: int
    """Of these, in the store: as many, or the study must not be run."""
    pairs: tuple[RehearsedPair, ...]
    report: StudyReport


@dataclass
class _Client:
    """One simulated browser."""

    host: str
    port: int
    token: str
    secret: str = ""
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=60)

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask the page's server, as the page does."""
        headers = {"X-Study-Token": self.token, "Authorization": f"Bearer {self.secret}"}
        data = None if body is None else json.dumps(body)
        if data is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request("GET" if body is None else "POST", path, data, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise BenchError(f"The page's server refused {path}: {response.status} {text.decode()[:200]}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


class Population:
    """True strengths, and what subjects and raters make of them.

    Args:
        study: What is asked.
        raters: Who is simulated.
        truth: Strength in logits by method; of single videos, how synthesized a method looks, reals being 0.
        seed: Of all that is drawn.
    """

    def __init__(self, study: StudyRecord, raters: Raters, truth: Mapping[str, float], seed: int) -> None:
        self.study, self.raters, self.truth = study, raters, dict(truth)
        self._generator = np.random.default_rng(seed)
        # A difference of two has the SD that is asked for.
        self._scale = np.sqrt(0.5) if study.is_comparative else 1.0
        names = (*study.methods, "real")
        self._of_subject = {key: self._draw(raters.subject_sd) for key in itertools.product(study.subjects, names)}

    def draw_rater(self) -> dict[str, float]:
        """A rater's own tastes, by method."""
        return {name: self._draw(self.raters.rater_sd) for name in (*self.study.methods, "real")}

    def is_careless(self) -> bool:
        return bool(self._generator.random() < self.raters.careless)

    def has_failing_video(self) -> bool:
        return bool(self._generator.random() < self.raters.failing_videos)

    def answer(self, item: Item, videos: list[str], tastes: Mapping[str, float], *, careless: bool) -> dict[str, str]:
        """The answers to every question of a trial, as the page names them."""
        if item.kind != "question" and not careless:
            order = [item.clips.index(video) for video in videos]
            return {question.id: item.find_expected(order) for question in self.study.questions}
        utilities = [self._rate(video, tastes) for video in videos]
        # A single video is called real if it does not look synthesized.
        attentive = scipy.special.softmax(utilities if len(videos) > 1 else [-utilities[0], 0.0])
        at_random = np.full(len(attentive), 1 / len(attentive))
        answers = {}
        for question in self.study.questions:
            lapses = careless or self._generator.random() < self.raters.lapses
            limits = np.cumsum(at_random if lapses else attentive)[:-1]
            answers[question.id] = item.answers[int(np.searchsorted(limits, self._generator.random(), side="right"))]
        return answers

    def compute_share(self, method: str, other: str) -> float:
        """Of all answers, of all people about all people, that choose one of both the share that chooses `method`."""
        clip_of = self.study.clip_of
        shown = {tuple(clip_of[clip].method or "real" for clip in item.clips) for item in self.study.items}
        chosen = [
            [shares[options.index(name)] for name in (method, other)]
            for options in sorted(shown)
            if {method, other} <= set(options)
            for shares in [self._compute_shares(options)]
        ]
        first, second = np.sum(chosen, axis=0)
        return float(first / (first + second))

    def _compute_shares(self, options: Sequence[str]) -> npt.NDArray[np.float64]:
        """How often each of the options is chosen, over all people: (options,)."""
        points = scipy.stats.qmc.Sobol(len(options), scramble=False).random(_POINTS) + 0.5 / _POINTS
        spread = self._scale * np.hypot(self.raters.subject_sd, self.raters.rater_sd)
        utilities = [self.truth[name] for name in options] + spread * scipy.special.ndtri(points)
        shares = scipy.special.softmax(utilities, axis=1).mean(axis=0)
        mixed: npt.NDArray[np.float64] = (1 - self.raters.lapses) * shares + self.raters.lapses / len(options)
        return mixed

    def _rate(self, clip_id: str, tastes: Mapping[str, float]) -> float:
        clip = self.study.clip_of[clip_id]
        name = clip.method or "real"
        return self.truth.get(name, 0.0) + self._of_subject[clip.subject, name] + tastes[name]

    def _draw(self, sd: float) -> float:
        return float(self._generator.normal() * sd * self._scale)


def rehearse(
    folder: StudyFolder, raters: Raters, truth: Mapping[str, float], seed: int, report: ReportProgress = ignore_progress
) -> Rehearsal:
    """Run the study with simulated raters; nothing is left of their votes.

    Raises:
        BenchError: The study does not exist, or its server refuses what a page may send.
    """
    study = folder.load()
    folder.check_clips(study)
    population = Population(study, raters, truth, seed)
    hours = itertools.count(0.0, 3600.0)  # so that no trial is answered too early
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Path(scratch) / "votes.sqlite", study)
        server = open_server(folder, store, study, clock=lambda: next(hours))
        token, acknowledged = Access.load(folder.access_path).token, 0
        with run_in_thread(server, bind("127.0.0.1", 0)) as (host, port):
            for number in range(raters.count):
                with _Client(host, port, token) as client:
                    acknowledged += _run_session(client, population)
                report("simulated raters", number + 1, raters.count)
        stored = sum(trial.state == "answered" for trial in store.list_trials())
        result = make_report(study.name, study, collect_answers(study, store), study.sha256)
        store.close()
    return Rehearsal(
        raters=raters,
        truth=dict(truth),
        acknowledged=acknowledged,
        stored=stored,
        pairs=tuple(_compare(population, result)),
        report=result,
    )


def _run_session(client: _Client, population: Population) -> int:
    """One rater from consent to the end; the number of answers that were acknowledged."""
    client.secret = client.ask("/api/enrol", {"agreed": True})["secret"]
    tastes, careless = population.draw_rater(), population.is_careless()
    study = population.study
    kinds: dict[tuple[tuple[str, ...], str], Item] = {
        (tuple(sorted(item.clips)), item.kind): item for item in (*study.items, *study.checks)
    }
    acknowledged = 0
    while (session := client.ask("/api/session"))["state"] == "trial":
        trial = session["trial"]
        if population.has_failing_video():
            client.ask("/api/void", {"position": trial["position"], "reason": "simulated"})
            continue
        videos = [video["id"] for video in trial["videos"]]
        item = _find_item(trial, videos, kinds)
        answers = population.answer(item, videos, tastes, careless=careless)
        log = {"playback": {slot: _play(video) for slot, video in zip(SLOTS, trial["videos"], strict=False)}}
        client.ask("/api/answer", {"position": trial["position"], "answers": answers, "log": log})
        acknowledged += 1
    return acknowledged


def _find_item(trial: Mapping[str, Any], videos: list[str], kinds: Mapping[tuple[tuple[str, ...], str], Item]) -> Item:
    """What an attentive rater sees: an instruction, a video beside spoilt ones, or a question."""
    for kind in ("instructed",) if trial["instruction"] else ("obvious", "question"):
        if (tuple(sorted(videos)), kind) in kinds:
            return kinds[tuple(sorted(videos)), kind]
    raise BenchError(f"The page's server shows what the study does not hold: {videos}.")


def _play(video: Mapping[str, Any]) -> dict[str, Any]:
    seconds = video["seconds"]
    return {"ended": True, "played_s": seconds, "wall_s": seconds}


def _compare(population: Population, report: StudyReport) -> list[RehearsedPair]:
    compared = []
    for question in report.questions:
        for pair in question.pairs:
            true, interval = population.compute_share(pair.method, pair.other), pair.total.ci95
            compared.append(
                RehearsedPair(
                    question=question.question,
                    method=pair.method,
                    other=pair.other,
                    true_share=true,
                    found_share=pair.total.value,
                    covered=None if interval is None else interval.low <= true <= interval.high,
                    found=pair.holm_p is not None and pair.holm_p < _LEVEL,
                )
            )
    return compared
