"""What a study finds, from its votes or judgements alone: typed, so that a report is a file that can be read again.

Of every question: the preference of each pair of methods, per subject and in total; how often each method was chosen;
its strength; how much raters agree; and how many raters a difference would need. Of single videos: d', criterion, and
how often each method was taken for real.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from dancebench.core.errors import BenchError
from dancebench.core.metric import Interval
from dancebench.core.schema import Strict
from dancebench.leaderboards.perceptual.agreement import measure_alpha
from dancebench.leaderboards.perceptual.bradley_terry import JOD_LOGITS, RIDGE, fit_bradley_terry
from dancebench.leaderboards.perceptual.intervals import Share, estimate_share, jackknife_both
from dancebench.leaderboards.perceptual.power import MOST_RATERS, Design
from dancebench.leaderboards.perceptual.preference import (
    PairPreference,
    collect_answers,
    compare_pairs,
    estimate_chosen,
    format_percent,
    group_by_pair,
    split_by_subject,
)
from dancebench.leaderboards.perceptual.signal_detection import compare_with_detector, measure_sensitivity
from dancebench.leaderboards.perceptual.spread import Spread, estimate_spread, measure_moments
from dancebench.leaderboards.perceptual.votes import Judgement, Vote

POWER_OF: Final = (0.55, 0.6, 0.65, 0.7, 0.75)
"""Preferences for which the number of raters is told."""


class Estimate(Strict):
    """A share of answers."""

    value: float
    percent: str
    """As papers print it: one decimal, halves up."""
    ci95: Interval | None
    p: float | None
    """Two-sided, against chance: one half of two options."""
    n: int

    @classmethod
    def of(cls, share: Share) -> Self:
        """The share, with its per cent."""
        return cls(value=share.value, percent=format_percent(share), ci95=share.interval, p=share.p, n=share.n)


class PairResult(Strict):
    """How often `method` was chosen over `other`: of more options than both, of the answers that chose one of both."""

    method: str
    other: str
    total: Estimate
    holm_p: float | None
    """Adjusted over the pairs of the question."""
    per_subject: dict[str, Estimate]


class Strength(Strict):
    """A method's Bradley-Terry strength."""

    logits: float
    """The sum over methods is zero."""
    jod: float
    """In just-objectionable differences: 1 is three of four people."""
    ci95: Interval | None
    """Of the logits."""


class Known(Strict):
    """A number, or why there is none."""

    value: float | None
    reason: str | None = None

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> Self:
        if (self.value is None) != (self.reason is not None):
            raise ValueError("a value, or null and the reason")
        return self


class PowerRow(Strict):
    """How many raters find a preference with 80% power at 5%."""

    preference: float
    raters: int | None
    reason: str | None = None


class QuestionResult(Strict):
    """All that is found about one question."""

    question: str
    n_votes: int
    n_ties: int
    n_raters: int
    at_once: int
    """Most options of an answer."""
    pairs: tuple[PairResult, ...]
    chosen: dict[str, Estimate]
    """By method: the share of the answers in which it was an option that chose it."""
    chosen_per_subject: dict[str, dict[str, Estimate]]
    """By method and subject."""
    strengths: dict[str, Strength]
    strengths_reason: str | None
    """Why there are none."""
    tie: float | None
    """Davidson's parameter, in logits; null without ties."""
    ridge: float
    alpha: Known
    """Krippendorff's."""
    spread: Spread | None
    """How much subjects and raters differ, over all pairs; null where no pair tells."""
    power: tuple[PowerRow, ...]


class MethodBelief(Strict):
    """What people made of a method's videos, or of the reals."""

    taken_for_real: Estimate
    d_prime: Known
    """Against the reals."""
    ci95: Interval | None
    """Of d'."""
    taken_per_subject: dict[str, Estimate]


class DetectorComparison(Strict):
    """People and a detector on the same videos: areas under the ROC curve."""

    detector: str
    run: str
    people_auc: float
    people_ci95: Interval | None
    detector_auc: float
    detector_ci95: Interval | None
    n_videos: int


class BeliefResult(Strict):
    """All that is found about single videos."""

    n_judgements: int
    n_raters: int
    d_prime: Known
    criterion: Known
    ci95: Interval | None
    """Of d'."""
    accuracy: Estimate
    alpha: Known
    methods: dict[str, MethodBelief]
    """By method; `real` among them."""


def analyse_votes(votes: Sequence[Vote]) -> list[QuestionResult]:
    """Analyse each question, in the order in which the votes name them."""
    questions = list(dict.fromkeys(vote.question for vote in votes))
    return [_analyse_question(name, [vote for vote in votes if vote.question == name]) for name in questions]


def analyse_judgements(judgements: Sequence[Judgement]) -> BeliefResult:
    """Analyse answers about single videos, at least one."""
    sensitivity = measure_sensitivity(judgements)
    without = "there are answers about fakes alone, or about reals alone"
    right = [float(each.called_fake == (each.method is not None)) for each in judgements]
    names = list(dict.fromkeys(each.method or "real" for each in judgements))
    alpha = measure_alpha((each.video_id, each.called_fake) for each in judgements)
    return BeliefResult(
        n_judgements=len(judgements),
        n_raters=len({each.rater for each in judgements}),
        d_prime=_know(sensitivity and sensitivity.d_prime, without),
        criterion=_know(sensitivity and sensitivity.criterion, without),
        ci95=sensitivity.interval if sensitivity else None,
        accuracy=_estimate(judgements, right),
        alpha=_know(alpha, _NO_ALPHA),
        methods={name: _describe_belief(judgements, name) for name in names},
    )


def compare_detectors(
    judgements: Sequence[Judgement], detectors: Mapping[str, tuple[str, Mapping[str, float]]]
) -> list[DetectorComparison]:
    """People against every detector that scored some of the same fakes and reals.

    Args:
        judgements: Answers.
        detectors: By run id: the detector's name, and its scores by video_id.
    """
    found = []
    for run, (name, scores) in detectors.items():
        each = compare_with_detector(judgements, scores)
        if each is not None:
            found.append(
                DetectorComparison(
                    detector=name, run=run, people_auc=each.people, people_ci95=each.people_interval,
                    detector_auc=each.detector, detector_ci95=each.detector_interval, n_videos=each.n_videos,
                )
            )  # fmt: skip
    return found


_NO_ALPHA: Final = "no two raters answered about the same, or all answers are the same"


def _analyse_question(name: str, votes: Sequence[Vote]) -> QuestionResult:
    pairs = compare_pairs(votes)
    methods = sorted({method for vote in votes for method in vote.options})
    strengths, reason, tie = _fit_strengths(votes)
    spread = _measure_spread(votes)
    alpha = measure_alpha(((vote.subject, vote.source, tuple(sorted(vote.options))), vote.choice) for vote in votes)
    return QuestionResult(
        question=name,
        n_votes=len(votes),
        n_ties=sum(vote.choice is None for vote in votes),
        n_raters=len({vote.rater for vote in votes}),
        at_once=max(len(vote.options) for vote in votes),
        pairs=tuple(_describe_pair(pair) for pair in pairs),
        chosen={method: Estimate.of(estimate_chosen(votes, method)) for method in methods},
        chosen_per_subject={
            method: {subject: Estimate.of(share) for subject, share in split_by_subject(votes, method).items()}
            for method in methods
        },
        strengths=strengths,
        strengths_reason=reason,
        tie=tie,
        ridge=RIDGE,
        alpha=_know(alpha, _NO_ALPHA),
        spread=spread,
        power=_list_power(votes, pairs, spread),
    )


def _describe_pair(pair: PairPreference) -> PairResult:
    return PairResult(
        method=pair.method, other=pair.other, total=Estimate.of(pair.total), holm_p=pair.holm_p,
        per_subject={subject: Estimate.of(share) for subject, share in pair.per_subject.items()},
    )  # fmt: skip


def _fit_strengths(votes: Sequence[Vote]) -> tuple[dict[str, Strength], str | None, float | None]:
    try:
        fitted = fit_bradley_terry(votes)
    except BenchError as error:
        return {}, error.message, None

    def refit(method: str) -> Interval | None:
        return jackknife_both(
            lambda chosen: replicates(chosen.tobytes()).get(method, float("nan")),
            [vote.subject for vote in votes], [vote.rater for vote in votes],
        )  # fmt: skip

    known: dict[bytes, dict[str, float]] = {}

    def replicates(key: bytes) -> dict[str, float]:
        """Strengths without a subject or a rater, fitted once for all methods."""
        if key not in known:
            chosen: npt.NDArray[np.intp] = np.frombuffer(key, dtype=np.intp)
            try:
                known[key] = fit_bradley_terry([votes[at] for at in chosen]).strengths
            except BenchError:
                known[key] = {}
        return known[key]

    strengths = {
        method: Strength(logits=value, jod=value / JOD_LOGITS, ci95=refit(method))
        for method, value in fitted.strengths.items()
    }
    return strengths, None, fitted.tie


def _measure_spread(votes: Sequence[Vote]) -> Spread | None:
    columns = [collect_answers(own, method) for (method, _), own in group_by_pair(votes).items()]
    moments = [measure_moments(*each) for each in columns]
    return estimate_spread(each for each in moments if each is not None)


def _list_power(votes: Sequence[Vote], pairs: Sequence[PairPreference], spread: Spread | None) -> tuple[PowerRow, ...]:
    subjects, raters = len({vote.subject for vote in votes}), len({vote.rater for vote in votes})
    if spread is None or subjects < 2:
        reason = "how much people differ is not known: it takes two subjects, two raters and answers that differ"
        return tuple(PowerRow(preference=share, raters=None, reason=reason) for share in POWER_OF)
    each = sum(pair.total.n for pair in pairs) / len(pairs) / raters
    design = Design(subjects, each, spread)
    unattainable = f"not with {MOST_RATERS} raters: {subjects} subjects are too few for how they differ"
    counts = {share: design.find_raters(share) for share in POWER_OF}
    return tuple(
        PowerRow(preference=share, raters=count, reason=None if count else unattainable)
        for share, count in counts.items()
    )


def _describe_belief(judgements: Sequence[Judgement], name: str) -> MethodBelief:
    own = [each for each in judgements if (each.method or "real") == name]
    reals = [each for each in judgements if each.method is None]
    sensitivity = measure_sensitivity([*own, *reals]) if name != "real" else None
    taken = [float(not each.called_fake) for each in own]
    subjects = sorted({each.subject for each in own})
    return MethodBelief(
        taken_for_real=_estimate(own, taken),
        d_prime=_know(
            sensitivity and sensitivity.d_prime,
            "no fakes among reals" if name == "real" else "no answers about reals",
        ),
        ci95=sensitivity.interval if sensitivity else None,
        taken_per_subject={
            subject: _estimate(chosen, [float(not each.called_fake) for each in chosen])
            for subject in subjects
            for chosen in [[each for each in own if each.subject == subject]]
        },
    )


def _estimate(judgements: Sequence[Judgement], hits: Sequence[float]) -> Estimate:
    return Estimate.of(estimate_share(hits, [each.subject for each in judgements], [each.rater for each in judgements]))


def _know(value: float | None, reason: str) -> Known:
    return Known(value=value, reason=reason if value is None else None)
