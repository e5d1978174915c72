"""A study's report as Markdown. Texts that people wrote are escaped: nothing of theirs is markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dancebench.core.metric import Interval
from dancebench.leaderboards.perceptual.analysis import (
    BeliefResult,
    DetectorComparison,
    Estimate,
    Known,
    QuestionResult,
)

NOTHING = "–"


def render_question(result: QuestionResult) -> list[str]:
    """The blocks about one question."""
    ties = f", {result.n_ties} of them ties" if result.n_ties else ""
    blocks = [
        f"## Question: {escape(result.question)}",
        f"{result.n_votes} votes of {result.n_raters} raters{ties}. Krippendorff's alpha {_show_known(result.alpha)}.",
    ]
    if result.at_once > 2:
        blocks.append(
            f"Up to {result.at_once} videos were shown at once: of so many, chance chooses each in "
            f"{100 / result.at_once:.0f} % of the answers. Pairs are compared by the answers that chose one of both."
        )
    if result.pairs:
        blocks += ["### Preferred, % of answers", *_render_pairs(result)]
    blocks += ["### Methods", _render_methods(result)]
    if result.strengths_reason:
        blocks.append(f"No strengths: {escape(result.strengths_reason)}")
    ties_policy = (
        f"ties by Davidson's model (δ = {result.tie:.2f} logits)" if result.tie is not None else "there are no ties"
    )
    blocks.append(
        f"Strengths: Bradley-Terry in logits with a ridge of {result.ridge:g} on the compared pairs; {ties_policy}; "
        "1 JOD is a preference of 75%."
    )
    if result.pairs:
        blocks += ["### Raters that a preference needs", *_render_power(result)]
    return blocks


def render_belief(result: BeliefResult, detectors: Sequence[DetectorComparison]) -> list[str]:
    """The blocks about single videos."""
    lines = [
        [
            escape(name), _show_share(each.taken_for_real), _show_interval(each.taken_for_real.ci95, percent=True),
            _show_known(each.d_prime), _show_interval(each.ci95), str(each.taken_for_real.n),
        ]
        for name, each in result.methods.items()
    ]  # fmt: skip
    blocks = [
        "## Real or synthesized",
        f"{result.n_judgements} answers of {result.n_raters} raters, {result.accuracy.percent} % right "
        f"{_show_interval(result.accuracy.ci95, percent=True)}. d' {_show_known(result.d_prime)} "
        f'{_show_interval(result.ci95)}, criterion {_show_known(result.criterion)} (above 0: "real" is said too '
        f"readily). Krippendorff's alpha {_show_known(result.alpha)}.",
        render_table(["", "taken for real, %", "95%", "d'", "95%", "n"], lines),
    ]
    if not detectors:
        return [*blocks, "No detector of this workspace scored the same fakes and reals."]
    rows = [
        [
            escape(each.detector), f"{each.detector_auc:.3f} {_show_interval(each.detector_ci95)}",
            f"{each.people_auc:.3f} {_show_interval(each.people_ci95)}", str(each.n_videos), f"`{each.run}`",
        ]
        for each in detectors
    ]  # fmt: skip
    return [
        *blocks,
        "### People against detectors, on the same videos",
        render_table(["detector", "AUC of the detector", "AUC of people", "videos", "run"], rows),
        "A video's score by people is the share that called it synthesized. Detectors saw the whole clip, people the "
        "snippet.",
    ]


def render_counts(title: str, counts: Mapping[str, int]) -> list[str]:
    """A table of reasons; nothing where there are none."""
    if not counts:
        return []
    return [f"### {title}", render_table(["reason", "n"], [[escape(name), str(n)] for name, n in counts.items()])]


def render_table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, ["---"] * len(titles), *lines))


def escape(text: str) -> str:
    """Text that is no markup, in one line."""
    for sign in ("\\", "|", "*", "`", "[", "_", "#"):
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())


def _render_pairs(result: QuestionResult) -> list[str]:
    subjects = sorted({subject for pair in result.pairs for subject in pair.per_subject})
    lines = []
    for pair in result.pairs:
        own = [pair.per_subject[name].percent if name in pair.per_subject else NOTHING for name in subjects]
        name, interval = (
            f"{escape(pair.method)} over {escape(pair.other)}",
            _show_interval(pair.total.ci95, percent=True),
        )
        tests = [_show_p(pair.total.p), _show_p(pair.holm_p)]
        lines.append([name, *own, pair.total.percent, interval, *tests, str(pair.total.n)])
    titles = ["", *map(escape, subjects), "total", "95%", "p", "p (Holm)", "n"]
    methods = {pair.total.ci95.method for pair in result.pairs if pair.total.ci95}
    notes = [f"Intervals: {', '.join(sorted(methods))}; subjects and raters both as samples."] if methods else []
    if any(pair.total.ci95 and not pair.total.ci95.reliable for pair in result.pairs):
        notes.append("Fewer than 10 subjects: see the values per subject.")
    return [render_table(titles, lines), *notes]


def _render_methods(result: QuestionResult) -> str:
    lines = []
    for method, chosen in sorted(result.chosen.items(), key=lambda item: -item[1].value):
        strength = result.strengths.get(method)
        values = (
            [f"{strength.logits:.2f} {_show_interval(strength.ci95)}", f"{strength.jod:.2f}"]
            if strength
            else [NOTHING] * 2
        )
        lines.append(
            [escape(method), chosen.percent, _show_interval(chosen.ci95, percent=True), *values, str(chosen.n)]
        )
    return render_table(["method", "chosen, %", "95%", "Bradley-Terry", "JOD", "n"], lines)


def _render_power(result: QuestionResult) -> list[str]:
    lines = [
        [f"{row.preference:.0%}", str(row.raters) if row.raters else f"{NOTHING} {row.reason}"] for row in result.power
    ]
    table = render_table(["preference", "raters for 80% power at 5%"], lines)
    if result.spread is None:
        return [table]
    spread = (
        f"As much as people differed here: SD of subjects {result.spread.subjects:.2f}, of raters "
        f"{result.spread.raters:.2f} logits (over all pairs; an SD of few subjects is itself uncertain, and on average "
        "somewhat low)."
    )
    return [table, spread]


def _show_share(share: Estimate) -> str:
    return share.percent


def _show_interval(interval: Interval | None, *, percent: bool = False) -> str:
    if interval is None:
        return NOTHING if percent else ""
    scale, form = (100, ".1f") if percent else (1, ".2f")
    return f"[{interval.low * scale:{form}}, {interval.high * scale:{form}}]"


def _show_known(known: Known) -> str:
    return f"{known.value:.2f}" if known.value is not None else f"{NOTHING} ({known.reason})"


def _show_p(p: float | None) -> str:
    return NOTHING if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
