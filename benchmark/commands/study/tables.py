"""What `bench study` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from dancebench.benchmark.console import out

if TYPE_CHECKING:
    from dancebench.benchmark.study.records import StudyRecord
    from dancebench.benchmark.study.rehearse import Rehearsal
    from dancebench.benchmark.study.report import StudyReport
    from dancebench.leaderboards.perceptual.analysis import Estimate


def print_study(study: StudyRecord) -> None:
    """What a rater will see, and the hash of the exclusion rules."""
    kinds = [check.kind for check in study.checks]
    unit = {1: "videos", 2: "pairs"}.get(at_once := max(len(item.clips) for item in study.items), f"sets of {at_once}")
    out.print_lines(
        f"study {study.name}: {len(study.items)} {unit} of {len(study.subjects)} subjects, {study.frame_size}",
        f"each rater: {study.trials_per_rater} {unit} and {study.checks_per_rater} attention checks "
        f"(of {kinds.count('instructed')} instructed, {kinds.count('obvious')} obvious)",
        f"exclusion rules: SHA-256 {study.rules_sha256}",
    )


def print_report(found: StudyReport) -> None:
    """Who took part, and the main result."""
    part = found.participation
    if part is not None:
        out.print_lines(f"{part.enrolled} raters enrolled, {part.finished} finished, {part.used} used")
    table = Table("", "%", "95%", "p (Holm)", "n", box=None, pad_edge=False)
    for row in _list_rows(found):
        table.add_row(*row)
    out.print(table)
    for question in found.questions:
        if question.pairs:
            needed = [f"{row.preference:.0%} {row.raters or '–'}" for row in question.power]
            out.print_lines(f"{question.question}: raters that a preference needs (80% power): {', '.join(needed)}")
    if part is not None and part.short_of_votes:
        out.print_lines(f"short of votes: {len(part.short_of_votes)} (see report.md)")


def print_rehearsal(rehearsal: Rehearsal) -> None:
    """The rehearsed report, and what went in beside what came out."""
    print_report(rehearsal.report)
    table = Table("", "true %", "found %", "covered", "difference found", box=None, pad_edge=False)
    for pair in rehearsal.pairs:
        row = [
            f"{pair.question}: {pair.method} over {pair.other}", f"{pair.true_share:.1%}", f"{pair.found_share:.1%}",
            {True: "yes", False: "no", None: "–"}[pair.covered], "yes" if pair.found else "no",
        ]  # fmt: skip
        table.add_row(*row)
    if rehearsal.pairs:
        out.print(table)
    out.print_lines(f"{rehearsal.acknowledged} answers acknowledged, {rehearsal.stored} stored")


def _list_rows(report: StudyReport) -> list[tuple[str, ...]]:
    """The main result in rows of text: what, per cent, interval, adjusted p, n."""
    if report.belief is not None:
        return [
            (f"{name} taken for real", *_show_share(each.taken_for_real), "", str(each.taken_for_real.n))
            for name, each in report.belief.methods.items()
        ]
    return [
        (
            f"{question.question}: {pair.method} over {pair.other}", *_show_share(pair.total),
            "" if pair.holm_p is None else f"{pair.holm_p:.4f}", str(pair.total.n),
        )
        for question in report.questions
        for pair in question.pairs
    ]  # fmt: skip


def _show_share(share: Estimate) -> tuple[str, str]:
    interval = share.ci95
    return share.percent, "" if interval is None else f"[{interval.low:.1%}, {interval.high:.1%}]"
