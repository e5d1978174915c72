"""The wording of a case page: the record of a score in, phrases out.

Likelihood ratios are shown as log10, synthesized : real; in words by the scale of the ENFSI Guideline for
Evaluative Reporting in Forensic Science (2015), which is customary. Above 0 the support is for synthesized,
below 0 for real.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dancebench.detect.casework.score import VideoScore
    from dancebench.detect.evaluation.likelihood_ratios.bounds import Bound
    from dancebench.detect.evaluation.likelihood_ratios.measures import Kind, LikelihoodRatioFigures

ENFSI = (
    (2, "weak support"),
    (10, "moderate support"),
    (100, "moderately strong support"),
    (1_000, "strong support"),
    (10_000, "very strong support"),
    (1_000_000, "extremely strong support"),
)  # fmt: skip
"""Smallest likelihood ratio of each phrase; below the first neither proposition has support."""

FEATURES = {
    "fine texture": "fine texture: noise, sharpness, traces of coding",
    "texture": "texture: edges, weave, hair",
    "parts": "parts of things",
    "shapes": "shapes and arrangement of the scene",
}
"""The features of `training_domain` in plain words."""


def to_log10(llr: float) -> float:
    """Convert a natural log likelihood ratio to log10."""
    return llr / math.log(10)


def format_signed(value: float, digits: int = 2) -> str:
    """A number with its sign, except for zero."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def format_short(value: float) -> str:
    """A number to three digits."""
    return f"{value:.3g}".replace("-", "−")


def name_support(llr: float) -> tuple[str, str | None]:
    """ENFSI's words for a natural log likelihood ratio, and which of `synthesized`, `real` has that support."""
    phrases = [words for bound, words in ENFSI if abs(llr) >= math.log(bound)]
    if not phrases:
        return "no support", None
    return phrases[-1], "synthesized" if llr > 0 else "real"


def describe_support(llr: float) -> str:
    """`name_support` as one phrase."""
    words, favoured = name_support(llr)
    return f"{words} for {'either' if favoured is None else favoured}"


def describe_times(llr: float) -> str:
    """How many times more probable, to two digits."""
    ratio = math.exp(min(abs(llr), math.log(1e6)))
    if ratio >= 999_500:
        return "more than a million"
    return f"about {float(f'{ratio:.2g}'):,.{0 if ratio >= 9.95 else 1}f}"


class Finding(NamedTuple):
    """The likelihood ratio in words."""

    words: str
    favoured: str | None
    other: str
    times: str
    low: str | None
    """Support at the ends of the 95% confidence interval, in words."""
    high: str | None
    bound: str | None
    """What sets the bound that the ratio lies at, in words; None for one between the bounds."""


def describe_finding(record: VideoScore) -> Finding | None:
    """The finding of a video; None where it has no score."""
    if record.llr is None:
        return None
    words, favoured = name_support(record.llr)
    interval = record.llr_interval
    return Finding(
        words,
        favoured,
        other="synthesized" if favoured == "real" else "real",
        times=describe_times(record.llr),
        low=None if interval is None else describe_support(interval.low),
        high=None if interval is None else describe_support(interval.high),
        bound=None if record.bound is None else describe_bound(record.bound),
    )


def describe_bound(bound: Bound) -> str:
    """What sets a bound, as a sentence without a full stop."""
    if bound.set_by == "people":
        return f"That is the largest ratio that the {bound.n} people of its calibration can support"
    if bound.set_by == "elub":
        return (
            f"That is the largest ratio at which decisions on the {bound.n} people of its calibration were still "
            "better than without this evidence (ELUB, the empirical lower and upper bound)"
        )
    if bound.n == 0:
        return (
            "Its calibration held no synthesized video of a method that the detector had not seen: nothing is known of "
            "such methods, so nothing supports a real"
        )
    return (
        f"That is the largest support for a real that synthesized videos of {bound.n} methods allow which the detector "
        "had not seen: some of them look just like reals to it"
    )


def describe_methods(record: VideoScore) -> str:
    """Which synthesized videos the likelihood ratio was calibrated on, as a sentence without a full stop."""
    facts = record.calibration
    if facts.methods is None:
        return (
            "Which methods its synthesized videos were made by was not recorded: support for a real is not limited by "
            "methods that the detector had not seen, and should not be relied on"
        )
    if not facts.unseen_methods:
        return f"Its synthesized videos are of methods that the detector had seen: {', '.join(facts.methods)}"
    return f"Its synthesized videos are of methods that the detector had not seen: {', '.join(facts.unseen_methods)}"


def describe_reference(record: VideoScore) -> str | None:
    """What known reals of the case's conditions changed, as sentences; None where none were given."""
    if record.reference is None:
        return None
    without = format_signed(to_log10(record.reference.llr_without))
    return (
        f"The ratio is calibrated on {record.reference.recordings} recordings that are stated to be real and of this "
        "case's own conditions, in place of the reals of the detector's calibration; its synthesized videos are taken "
        "to be moved by these conditions as reals are. That the recordings are real was not examined. By the "
        f"detector's own calibration the log10 likelihood ratio is {without}."
    )


def describe_misleading(figures: LikelihoodRatioFigures) -> list[tuple[str, list[str]]]:
    """Rows of a table of misleading evidence: the kind of video, and counts beyond 1, 10 and 100 against the truth."""
    names: dict[Kind, str] = {"real": "real videos that look synthesized", "fake": "synthesized videos that look real"}
    return [
        (
            name,
            [
                f"{each.items} of {each.of_items} ({each.people} of {each.of_people} people)"
                for each in figures.misleading
                if each.kind == kind
            ],
        )
        for kind, name in names.items()
    ]


def describe_error_rates(record: VideoScore) -> list[str]:
    """False positives and false negatives of the threshold on held-out people, in words."""
    rates = record.error_rates
    sides = (
        ("real", "above", rates.false_positive_rate, rates.n_real),
        ("synthesized", "not above", rates.false_negative_rate, rates.n_fake),
    )
    return [
        f"there was no {kind} video"
        if rate is None
        else f"{round(rate * n)} of {n} {kind} videos ({rate:.0%}) scored {side} it"
        for kind, side, rate, n in sides
    ]


def format_time(seconds: float) -> str:
    """A time of the video, also in hours and minutes from one minute on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{seconds:.2f} s" + (f" ({hours}:{minutes:02d}:{rest:02d})" if seconds >= 60 else "")


def describe_file(record: VideoScore) -> list[tuple[str, str]]:
    """What is known of the file, in reading order; what is not known is left out."""
    crop = record.crop
    entries = (
        ("path", record.path),
        ("SHA-256", record.sha256),
        ("size", None if record.bytes is None else f"{record.bytes:,} bytes"),
        ("container, codec", None if record.container is None else f"{record.container}, {record.codec}"),
        ("picture", None if record.width is None else f"{record.width} × {record.height} pixels, upright"),
        (
            "length",
            None
            if record.duration_s is None
            else f"{format_time(record.duration_s)}, {record.n_frames:,} frames counted, {record.fps:.4g} per second",
        ),
        ("clock", _describe_start(record.start_s)),
        (
            "part scored",
            None
            if crop is None
            else f"{crop.width} × {crop.height} pixels at ({crop.left}, {crop.top}), around the person, who was found "
            f"in {crop.found_in} of {crop.looked_at} frames",
        ),
        ("frame handling", "; ".join(record.decode_warnings) or None),
    )
    return [(name, value) for name, value in entries if value is not None]


def _describe_start(start: float | None) -> str | None:
    """Where the file's own clock stands at the first frame, if that is not at its beginning."""
    if not start:
        return None
    stands = format_time(abs(start)) + (" before its zero" if start < 0 else "")
    return f"times count from the first frame; there the file's own clock stands at {stands}"


def describe_feature(name: str) -> str:
    """A feature in plain words, or its own name if it has none."""
    return FEATURES.get(name, name.replace("_", " "))
