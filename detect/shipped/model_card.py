"""`CARD.md` of the shipped detector, in plain words: card and sources in, text out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dancebench.core.metric import Metric
from dancebench.detect.protocol.card import DetectorCard
from dancebench.detect.shipped.sources import SourcesRecord

_SHOWN = (
    ("video_auc", "AUC over videos"),
    ("video_cllr", "Cllr"),
    ("video_cllr_min", "Cllr_min"),
    ("video_cllr_cal", "Cllr_cal"),
    ("video_misleading_real", "reals with a ratio above 1"),
    ("video_misleading_real_10", "reals with a ratio above 10"),
    ("video_misleading_fake", "fakes with a ratio below 1"),
    ("video_misleading_fake_10", "fakes with a ratio below 1/10"),
)

TRIED: Final = "video_auc@members="
"""What the names of such metrics of a card begin with."""
_LEARNED: Final = {
    "typicality": "what they look like and how they move (`typicality`: how atypical another video is of them)",
    "traces": (
        "what changes in their texture when they go through auto-encoders that end as generators do (`traces`: how "
        "much another video looks as if it had)"
    ),
}


def describe_detector(card: DetectorCard, sources: SourcesRecord) -> str:
    """The model card, as Markdown."""
    return "\n".join(_list_lines(card, sources)) + "\n"


def _list_lines(card: DetectorCard, sources: SourcesRecord) -> Iterator[str]:
    calibration = card.calibration.video
    members = card.config["members"]
    yield f"# The detector that ships: {' and '.join(members)}"
    yield ""
    yield (
        f"It has learned from recordings of {len(card.data['train'].subjects)} people: "
        f"{'; and '.join(_LEARNED[name] for name in members)}. It has learned from no fake: fakes fix threshold, "
        "calibration and what ships of what was tried, and each score that these were fixed on comes from a fit "
        "without the video's source and, of a reconstruction, without its auto-encoder. (The auto-encoders learned "
        "from patches of all sources; they are no part of what ships. What ships was chosen by the very figures "
        "below.) What it holds are means, spreads and directions over all people, no vector of any person. Everything "
        "else is in `card.json`."
    )
    yield ""
    yield "## How well it did on people, sources and methods left out"
    yield ""
    yield "| what | value | 95% interval by person | of |"
    yield "|---|---|---|---|"
    for name, words in _SHOWN:
        yield _make_row(words, card.metrics[name])
    for name in sorted(key for key in card.metrics if key.startswith("video_auc@method=")):
        yield _make_row(f"AUC, fakes by {name.partition('=')[2]}", card.metrics[name])
    yield ""
    yield "What was tried, by AUC over the same videos; a fusion that does not beat its parts does not ship:"
    yield ""
    yield "| members | value | 95% interval by person | of |"
    yield "|---|---|---|---|"
    for name in (key for key in card.metrics if key.startswith(TRIED)):
        yield _make_row(name.removeprefix(TRIED), card.metrics[name])
    yield ""
    yield (
        f"Calibrated on {calibration.items} videos of {calibration.subjects} people and fakes of "
        f"{len(calibration.methods or ())} methods ({', '.join(calibration.methods or ())}). Support for synthesized "
        f"ends at {calibration.bounds.synthesized.llr:.2f} ({calibration.bounds.synthesized.set_by}), support for real "
        f"at {calibration.bounds.real.llr:.2f} ({calibration.bounds.real.set_by}), in natural logarithms. Fakes of "
        "other kinds, of whole scenes above all, may look typical to it: absence of traces is no evidence."
    )
    yield ""
    yield "## What it was made from"
    yield ""
    yield "| source | author | licence | people | reals | fakes made from them |"
    yield "|---|---|---|---|---|---|"
    for each in sources.sources:
        fakes = sum(video.method is not None for video in each.videos)
        yield (
            f"| {each.source} | {each.author} | {each.licence} | {each.people} | {len(each.videos) - fakes} | {fakes} |"
        )
    yield ""
    yield f"Every file with its SHA-256 is in `sources.json`. The network that it looks through: {card.origin}."


def _make_row(words: str, metric: Metric) -> str:
    value = metric.reason if metric.value is None else f"{metric.value:.3f}"
    interval = "–" if metric.ci95 is None else f"{metric.ci95.low:.3f} to {metric.ci95.high:.3f}"
    return f"| {words} | {value} | {interval} | {metric.n} |"
