"""Preference: which share of answers chose a method, per subject and in total, as the papers print it.

The total pools all answers, as the papers' totals do. Per pair of methods the share is of the first over the second,
ties half to each; its interval and test take people and raters as samples (see `intervals`), and p is adjusted over
the pairs by Holm. Choices among more than two are shares of one choice each (DDG Table 4); a pair of them is compared
by the answers that chose one of both, of which each has half if people choose both equally often.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from dancebench.leaderboards.perceptual.intervals import Share, adjust_holm, estimate_share
from dancebench.leaderboards.perceptual.votes import Vote


@dataclass(frozen=True)
class PairPreference:
    """The share that chose `method` over `other`."""

    method: str
    other: str
    total: Share
    per_subject: dict[str, Share]
    holm_p: float | None
    """Adjusted over all pairs of the question; None where p is."""


class _Answers(NamedTuple):
    """Answers in columns: 1 for chosen, 0.5 for a tie, 0."""

    hits: list[float]
    subjects: list[str]
    raters: list[str]

    def estimate(self, chance: float = 0.5) -> Share:
        return estimate_share(self.hits, self.subjects, self.raters, chance=chance)


def compare_pairs(votes: Iterable[Vote]) -> list[PairPreference]:
    """Every pair of methods that was compared, of votes on one question; the pair's methods in alphabetical order."""
    grouped = group_by_pair(votes)
    totals = {pair: collect_answers(own, pair[0]).estimate() for pair, own in grouped.items()}
    known = {" over ".join(pair): share.p for pair, share in totals.items() if share.p is not None}
    adjusted = adjust_holm(known)
    return [
        PairPreference(
            pair[0], pair[1], share, split_by_subject(grouped[pair], pair[0]), adjusted.get(" over ".join(pair))
        )
        for pair, share in totals.items()
    ]


def group_by_pair(votes: Iterable[Vote]) -> dict[tuple[str, str], list[Vote]]:
    """By two methods in alphabetical order, the answers that chose one of both, or neither of the two alone."""
    grouped: dict[tuple[str, str], list[Vote]] = defaultdict(list)
    for vote in votes:
        for pair in itertools.combinations(sorted(vote.options), 2):
            if vote.choice is None or vote.choice in pair:
                grouped[pair].append(vote)
    return dict(sorted(grouped.items()))


def estimate_chosen(votes: Sequence[Vote], method: str) -> Share:
    """The share of answers that chose a method, of those in which it was an option; tested against chance."""
    offered = [vote for vote in votes if method in vote.options]
    chance = sum(1 / len(vote.options) for vote in offered) / len(offered)
    return collect_answers(offered, method).estimate(chance)


def split_by_subject(votes: Sequence[Vote], method: str) -> dict[str, Share]:
    """As `estimate_chosen`, for each subject alone: a share without an interval, of one subject there is none."""
    offered = [vote for vote in votes if method in vote.options]
    return {
        subject: collect_answers([vote for vote in offered if vote.subject == subject], method).estimate()
        for subject in sorted({vote.subject for vote in offered})
    }


def collect_answers(votes: Iterable[Vote], method: str) -> _Answers:
    """The answers of votes in which `method` was an option, as columns."""
    chosen = list(votes)
    hits = [0.5 if vote.choice is None else float(vote.choice == method) for vote in chosen]
    return _Answers(hits, [vote.subject for vote in chosen], [vote.rater for vote in chosen])


def format_percent(share: Share, digits: int = 1) -> str:
    """Per cent as papers print them: exact from the counts, halves up."""
    halves = round(share.value * share.n * 2)
    exact = Decimal(halves * 50) / Decimal(share.n)
    return str(exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP))
