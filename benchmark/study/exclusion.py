"""Which answers are used: the rules of the study, applied to what was accepted.

In: the trials as they were stored. Out: votes or judgements to analyse, and for everyone and everything left out the
reason. Nothing is changed in the store: accepted (and paid) is not the same as used.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dancebench.benchmark.study.records import SLOTS, StudyRecord
from dancebench.benchmark.study.store import Rater, Trial
from dancebench.leaderboards.perceptual.votes import Judgement, Vote

_STRAIGHT_TRIALS: Final = 10
"""Fewer trials do not tell whether someone always gives the same answer."""


@dataclass(frozen=True)
class Used:
    """What is analysed, and what is not and why.

    Attributes:
        votes: Of videos compared with each other; empty in a study of single videos.
        judgements: Of single videos; empty in the other studies.
        raters: Who is used.
        excluded: Rater to reason.
        dropped: Reason to number of trials of used raters that are not used.
        voided: Reason to number of trials whose video failed, of all raters.
        per_item: Trials used, by item; all items stand here.
    """

    votes: list[Vote]
    judgements: list[Judgement]
    raters: list[str]
    excluded: dict[str, str]
    dropped: dict[str, int]
    voided: dict[str, int]
    per_item: dict[str, int]


def count_failed_checks(study: StudyRecord, trials: Iterable[Trial]) -> int:
    """Attention checks that were not answered as expected."""
    return sum(_fails(study, trial) for trial in trials if trial.state == "answered")


def apply_rules(study: StudyRecord, raters: Sequence[Rater], trials: Sequence[Trial]) -> Used:
    """Apply the study's exclusion rules."""
    by_rater: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_rater[trial.rater].append(trial)
    reasons = {rater.id: explain_exclusion(study, rater, by_rater[rater.id]) for rater in raters}
    used = [rater for rater, reason in reasons.items() if reason is None]
    dropped: Counter[str] = Counter()
    kept = []
    for trial in (trial for rater in used for trial in by_rater[rater]):
        if trial.state != "answered" or study.item_of[trial.item].kind != "question":
            continue
        reason = _explain_drop(study, trial)
        if reason is None:
            kept.append(trial)
        else:
            dropped[reason] += 1
    counted = Counter(trial.item for trial in kept)
    return Used(
        votes=[vote for trial in kept if study.is_comparative for vote in _read_votes(study, trial)],
        judgements=[_read_judgement(study, trial) for trial in kept if not study.is_comparative],
        raters=used,
        excluded={rater: reason for rater, reason in reasons.items() if reason is not None},
        dropped=dict(dropped),
        voided=dict(Counter(trial.reason or "" for trial in trials if trial.state == "void")),
        per_item={item.id: counted[item.id] for item in study.items},
    )


def explain_exclusion(study: StudyRecord, rater: Rater, trials: Sequence[Trial]) -> str | None:
    """Why a rater is not used; None for one who is."""
    rules = study.rules
    failed = count_failed_checks(study, trials)
    if failed > rules.max_failed_checks:
        return f"failed more than {rules.max_failed_checks} attention checks"
    if rules.require_finished and rater.state != "finished":
        return "did not come to the end"
    given = [
        answer
        for trial in trials
        if trial.state == "answered" and study.item_of[trial.item].kind == "question"
        for answer in (trial.answers or {}).values()
    ]
    if len(given) >= _STRAIGHT_TRIALS and max(Counter(given).values()) > rules.max_same_side * len(given):
        return f"gave the same answer in more than {rules.max_same_side:.0%} of the trials"
    return None


def _fails(study: StudyRecord, trial: Trial) -> bool:
    item = study.item_of[trial.item]
    if item.kind == "question" or trial.answers is None:
        return False
    expected = item.find_expected(trial.order)
    return any(answer != expected for answer in trial.answers.values())


def _explain_drop(study: StudyRecord, trial: Trial) -> str | None:
    rules, log = study.rules, trial.log or {}
    clip_of, item = study.clip_of, study.item_of[trial.item]
    shown = item.arrange(trial.order)
    reaction = log.get("reaction_ms")
    if reaction is not None and reaction < rules.min_reaction_s * 1000:
        return f"answered within {rules.min_reaction_s:g} s"
    plays: dict[str, Any] = log.get("playback", {})
    for slot, clip in zip(SLOTS, shown, strict=False):
        play = plays[slot]
        if play["wall_s"] is not None and play["wall_s"] > rules.max_viewing_ratio * clip_of[clip].seconds + 0.25:
            return f"a video stood still: it took more than {rules.max_viewing_ratio:.0%} of its length"
        if play["frames"] and play["dropped"] > rules.max_dropped_frames * play["frames"]:
            return f"a video dropped more than {rules.max_dropped_frames:.0%} of its frames"
    return None


def _read_votes(study: StudyRecord, trial: Trial) -> list[Vote]:
    item = study.item_of[trial.item]
    shown = [study.clip_of[clip] for clip in item.arrange(trial.order)]
    options = tuple(clip.method or "real" for clip in shown)
    return [
        Vote(
            rater=trial.rater, subject=shown[0].subject, source=shown[0].source, question=question.id, options=options,
            choice=options[item.answers.index((trial.answers or {})[question.id])],
        )
        for question in study.questions
    ]  # fmt: skip


def _read_judgement(study: StudyRecord, trial: Trial) -> Judgement:
    clip = study.clip_of[study.item_of[trial.item].clips[0]]
    answer = (trial.answers or {})[study.questions[0].id]
    return Judgement(
        rater=trial.rater, subject=clip.subject, source=clip.source, method=clip.method, called_fake=answer == "fake"
    )
