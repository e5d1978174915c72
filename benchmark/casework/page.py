"""The case page: one video's score in, one self-contained HTML page for an examiner out.

The page needs no script, no network and no other file; it is the same for the same input, byte for byte, and
readable on paper. Everything that comes from the video, its name and credentials above all, is somebody else's
text: it is escaped, and unprintable characters are spelled out. The layout and the fixed
sentences are in `page.html.j2`, sentences that depend on the result in `words.py`; this module computes the
coordinates of the charts and encodes the images.
"""

from __future__ import annotations

import base64
import functools
import importlib.resources
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jinja2
import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator

from dancebench.benchmark.casework.words import (
    describe_error_rates,
    describe_feature,
    describe_file,
    describe_finding,
    describe_methods,
    describe_misleading,
    describe_reference,
    format_short,
    format_signed,
    format_time,
    to_log10,
)
from dancebench.core.errors import escape_unprintable
from dancebench.core.files import write_text
from dancebench.core.opencv import cv2
from dancebench.datasets.video.upright import Frame

if TYPE_CHECKING:
    from dancebench.detect.casework.score import ScoredVideo, ScoreReport, VideoScore
    from dancebench.detect.casework.suspicious_pairs import SuspiciousPairImage
    from dancebench.detect.evaluation.likelihood_ratios.measures import CrossEntropyCurve
    from dancebench.detect.evaluation.training_domain import FeatureDeviation


_SHOWN_HEIGHT = 256  # of the images, in CSS pixels
_MAX_OPACITY = 0.65  # of the saliency map over the frame, where it is 1
_MAX_DOTS = 300  # more pairs than this are drawn as a line without dots


def write_case_page(path: Path, scored: ScoredVideo, report: ScoreReport) -> None:
    """Write the page of one video atomically.

    Args:
        path: The HTML file.
        scored: The video's score and images of its suspicious pairs; a failed or abstained video has a page too.
        report: Of the call that scored it.

    Raises:
        BenchError: The file cannot be written.
    """
    write_text(path, render_page(scored, report))


def render_page(scored: ScoredVideo, report: ScoreReport) -> str:
    """Render the page as HTML text."""
    record = scored.record
    return _load_template().render(
        record=record,
        report=report,
        name=Path(record.path).name,
        file=describe_file(record),
        finding=describe_finding(record),
        rates=describe_error_rates(record),
        scale=None if record.llr is None else draw_scale(record),
        timeline=draw_timeline(record) if len(record.pairs) > 1 else None,
        domain=draw_domain(record),
        methods=describe_methods(record),
        reference=describe_reference(record),
        misleading=None if report.ratios is None else describe_misleading(report.ratios),
        entropy=None if report.ratios is None else draw_entropy(report.ratios.cross_entropy),
        shown_pairs=[show_pair(picture) for picture in scored.pictures],
    )


@functools.cache
def _load_template() -> jinja2.Template:
    source = importlib.resources.files("dancebench.benchmark.casework").joinpath("page.html.j2").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"log10": to_log10, "signed": format_signed, "short": format_short}
    environment.finalize = lambda value: escape_unprintable(value) if type(value) is str else value  # markup is kept
    return environment.from_string(source)


# ---------------------------------------------------------------- charts, in units of a 640 wide canvas


class Tick(NamedTuple):
    """A position on an axis and its label."""

    at: float
    label: str


class Scale(NamedTuple):
    """The likelihood ratio on an axis from real to synthesized."""

    ticks: list[Tick]
    zero: float
    value: float
    low: float | None
    high: float | None
    calibration: tuple[float, float] | None
    """Ends of the interval by the uncertainty of the calibration."""
    reach: tuple[float, float]
    """Positions of the smallest and the largest ratio that the calibration allows."""


class Timeline(NamedTuple):
    """Likelihood ratios of the pairs over the time in the video."""

    x_ticks: list[Tick]
    y_ticks: list[Tick]
    zero: float
    line: str
    dots: list[tuple[float, float]]
    marks: list[float]
    labels: list[Tick]
    """Of the marks, moved so that none overlap."""


class DomainScale(NamedTuple):
    """Out-of-distribution distance and limit on an axis from 0, and the features that deviate most."""

    value: float
    limit: float
    furthest: list[tuple[str, FeatureDeviation]]


def draw_scale(record: VideoScore) -> Scale:
    """Place the likelihood ratio and its interval on an axis that is symmetric about 0 and as long as needed."""
    assert record.llr is not None
    interval, other = record.llr_interval, record.calibration_interval
    shown = [to_log10(llr) for llr in (record.llr, *((interval.low, interval.high) if interval else ()))]
    limits = [to_log10(bound.llr) for bound in (record.bounds.real, record.bounds.synthesized)]
    reach = max(3, math.ceil(max(abs(value) for value in (*limits, *shown))))

    def place(value: float) -> float:
        return round(320 + 290 * value / reach, 1)

    ticks = [Tick(place(at), format_signed(at, 0)) for at in _choose_ticks(-reach, reach, 8, integer=True)]
    low, high = (place(shown[1]), place(shown[2])) if interval else (None, None)
    around = (place(to_log10(other.low)), place(to_log10(other.high))) if other else None
    return Scale(ticks, place(0), place(shown[0]), low, high, around, (place(limits[0]), place(limits[1])))


def draw_timeline(record: VideoScore) -> Timeline:
    """Place the pairs' likelihood ratios over time; 0 is always visible."""
    at = np.array([pair.t for pair in record.pairs])
    values = np.array([to_log10(pair.llr) for pair in record.pairs])
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    pad = 0.08 * ((high - low) or 1)
    low, high, start = low - pad, high + pad, float(at.min())
    span = float(at.max()) - start or 1.0

    def x(seconds: float) -> float:
        return round(78 + 548 * (seconds - start) / span, 1)

    def y(value: float) -> float:
        return round(196 - 170 * (value - low) / (high - low), 1)

    dots = [(x(t), y(value)) for t, value in zip(at.tolist(), values.tolist(), strict=True)]
    y_ticks = _choose_ticks(low, high, 5)
    digits = 0 if all(tick == round(tick) for tick in y_ticks) else 1 if high - low > 0.5 else 2
    return Timeline(
        [Tick(x(seconds), f"{seconds:g}") for seconds in _choose_ticks(start, start + span, 7)],
        [Tick(y(value), format_signed(value, digits)) for value in y_ticks],
        y(0),
        " ".join(f"{left},{top}" for left, top in dots),
        dots if len(dots) <= _MAX_DOTS else [],
        [x(pair.t) for pair in record.suspicious_pairs],
        _spread_labels([Tick(x(pair.t), str(number)) for number, pair in enumerate(record.suspicious_pairs, 1)]),
    )


def _spread_labels(labels: list[Tick], gap: float = 14, right: float = 632) -> list[Tick]:
    moved: list[Tick] = []
    for label in sorted(labels):
        moved.append(label._replace(at=max(label.at, moved[-1].at + gap) if moved else label.at))
    for index in range(len(moved) - 1, -1, -1):  # second pass, from the right edge back
        limit = right if index == len(moved) - 1 else moved[index + 1].at - gap
        moved[index] = moved[index]._replace(at=round(min(moved[index].at, limit), 1))
    return moved


def draw_domain(record: VideoScore) -> DomainScale | None:
    """Place the out-of-distribution distance and its limit; None if it was not measured."""
    domain = record.out_of_distribution
    if domain is None:
        return None
    reach = 1.15 * max(domain.distance, domain.limit, 1e-9)
    value, limit = (round(20 + 600 * length / reach, 1) for length in (domain.distance, domain.limit))
    return DomainScale(value, limit, [(describe_feature(item.feature), item) for item in domain.furthest])


class EntropyChart(NamedTuple):
    """Empirical cross-entropy over prior odds: points of three lines, and ticks."""

    x_ticks: list[Tick]
    y_ticks: list[Tick]
    neutral: str
    system: str
    pav: str


def draw_entropy(curve: CrossEntropyCurve) -> EntropyChart:
    """Place the curves; what costs more than two bits lies on the upper edge."""
    least, most = curve.log10_odds[0], curve.log10_odds[-1]
    top = min(max(1.05, 1.05 * max(curve.system)), 2.0)

    def x(power: float) -> float:
        return round(60 + 560 * (power - least) / (most - least), 1)

    def y(bits: float) -> float:
        return round(190 - 170 * min(bits, top) / top, 1)

    lines = (
        " ".join(f"{x(power)},{y(bits)}" for power, bits in zip(curve.log10_odds, values, strict=True))
        for values in (curve.neutral, curve.system, curve.pav)
    )
    x_ticks = [Tick(x(power), format_signed(power, 0)) for power in _choose_ticks(least, most, 6, integer=True)]
    y_ticks = [Tick(y(bits), f"{bits:g}") for bits in _choose_ticks(0, top, 4)]
    return EntropyChart(x_ticks, y_ticks, *lines)


def _choose_ticks(low: float, high: float, count: int, *, integer: bool = False) -> Sequence[float]:
    places = MaxNLocator(count, integer=integer, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(place) for place in places if low <= place <= high]


# ---------------------------------------------------------------- images


class ShownPair(NamedTuple):
    """A suspicious pair as the page shows it; images as data URLs of PNG."""

    when: str
    llr: float
    width: int
    height: int
    frame: str
    overlay: str | None
    what: str | None


def show_pair(picture: SuspiciousPairImage) -> ShownPair:
    """Encode the frame of a suspicious pair, and the frame with its saliency map over it."""
    height, width = picture.frame.shape[:2]
    zoom = max(1, round(_SHOWN_HEIGHT / height))
    overlay = None if picture.saliency is None else _to_data_url(overlay_saliency(picture.frame, picture.saliency))
    return ShownPair(
        format_time(picture.t), picture.llr, zoom * width, zoom * height, _to_data_url(picture.frame), overlay,
        picture.what,
    )  # fmt: skip


def overlay_saliency(frame: Frame, saliency: npt.NDArray[np.float32]) -> Frame:
    """Overlay a saliency map, from transparent (0) to the yellow end of the inferno colour map (1).

    Args:
        frame: uint8 RGB (H, W, 3).
        saliency: (H, W) in [0, 1].
    """
    levels = (255 * saliency.clip(0, 1)).round().astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    weight = _MAX_OPACITY * saliency.clip(0, 1)[..., None]  # (H, W, 1)
    mixed: Frame = (frame * (1 - weight) + colours * weight).round().astype(np.uint8)
    return mixed


def _to_data_url(picture: Frame) -> str:
    _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
