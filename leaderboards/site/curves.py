"""Curves of one detector: labels with scores or likelihood ratios in, points in the axes' own units out.

    roc        true- over false-positive rate
    det        miss rate over false-positive rate, both as normal deviates
    tippett    share of fakes and of reals whose likelihood ratio is at least x
    ece        empirical cross-entropy over the prior odds
    pav        likelihood ratios that the best monotone calibration of these very videos gives, over those stated

label 1 = fake, a higher score = more likely fake; likelihood ratios are natural logarithms of fake : real and drawn as
powers of ten. A curve is a function under `@register_curve`.

Reference: Martin et al., The DET curve in assessment of detection task performance, Eurospeech 1997.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from sklearn.metrics import roc_curve

from dancebench.core.stats.likelihood_ratios import empirical_cross_entropy, pav_llr

Labels = npt.NDArray[np.int64]
"""(N,), 1 = fake, 0 = real; both are there."""
Values = npt.NDArray[np.float64]
"""(N,), finite: scores, or natural-log likelihood ratios."""
Points = tuple[tuple[float, float], ...]

MAX_POINTS: Final = 160
"""Of a line: more cannot be told apart at the size of the charts."""
RATES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
"""Ticks of a DET curve."""
_LEAST_RATE: Final = 0.005
_PRIORS: Final = np.linspace(-2.5, 2.5, 51)  # log10 prior odds
_MAX_POWER: Final = 6.0


@dataclass(frozen=True)
class Trace:
    """A line of a curve; `label` is empty where the curve has one line alone."""

    label: str
    points: Points
    dashed: bool = False


@dataclass(frozen=True)
class Curve:
    """A kind of curve.

    Attributes:
        title: Its name in the field.
        of: Whether it is of scores or of likelihood ratios.
        axes: Labels of the horizontal and the vertical axis.
        limits: (low, high) of each axis; None: as the points need.
        ticks: Positions and labels on each axis; None: as the points need.
        remark: How to read it.
        draw: From labels and values to its lines.
    """

    title: str
    of: Literal["score", "llr"]
    axes: tuple[str, str]
    limits: tuple[tuple[float, float] | None, tuple[float, float] | None]
    ticks: tuple[tuple[tuple[float, str], ...] | None, tuple[tuple[float, str], ...] | None]
    remark: str
    draw: Callable[[Labels, Values], list[Trace]]


CURVES: Final[dict[str, Curve]] = {}
"""By name, in the order in which the pages show them."""

_Draw = Callable[[Labels, Values], list[Trace]]
_PERCENT: Final = tuple((share, f"{share:.0%}") for share in (0, 0.2, 0.4, 0.6, 0.8, 1))
_DEVIATES: Final = tuple((float(norm.ppf(rate)), f"{rate:.0%}") for rate in RATES)
_DET_LIMITS: Final = (float(norm.ppf(_LEAST_RATE)), float(norm.ppf(RATES[-1])))


def register_curve(
    name: str,
    title: str,
    of: Literal["score", "llr"],
    axes: tuple[str, str],
    remark: str,
    *,
    limits: tuple[tuple[float, float] | None, tuple[float, float] | None] = (None, None),
    ticks: tuple[tuple[tuple[float, str], ...] | None, tuple[tuple[float, str], ...] | None] = (None, None),
) -> Callable[[_Draw], _Draw]:
    """Enter a function from labels and values to lines as a curve of the detection page."""

    def enter(draw: _Draw) -> _Draw:
        CURVES[name] = Curve(title, of, axes, limits, ticks, remark, draw)
        return draw

    return enter


@register_curve(
    "roc", "ROC", "score", ("false-positive rate", "true-positive rate"),
    "The further to the upper left, the better; the diagonal is chance.",
    limits=((0, 1), (0, 1)), ticks=(_PERCENT, _PERCENT),
)  # fmt: skip
def draw_roc(labels: Labels, scores: Values) -> list[Trace]:
    """True- over false-positive rate at every threshold."""
    false_rates, true_rates, _ = roc_curve(labels, scores)
    return [Trace("", _thin(false_rates, true_rates))]


@register_curve(
    "det", "DET", "score", ("false-positive rate", "miss rate"),
    "Rates as normal deviates: normally distributed scores give a straight line; nearer to the lower left is better. "
    f"Rates below {_LEAST_RATE:.1%} are drawn at the border.",
    limits=(_DET_LIMITS, _DET_LIMITS), ticks=(_DEVIATES, _DEVIATES),
)  # fmt: skip
def draw_det(labels: Labels, scores: Values) -> list[Trace]:
    """Miss rate over false-positive rate, both as normal deviates."""
    false_rates, true_rates, _ = roc_curve(labels, scores)
    deviates = (norm.ppf(np.clip(rates, _LEAST_RATE, RATES[-1])) for rates in (false_rates, 1 - true_rates))
    return [Trace("", _thin(*deviates))]


@register_curve(
    "tippett", "Tippett", "llr", ("log₁₀ likelihood ratio, fake : real", "share with this ratio or more"),
    "Misleading evidence is the gap between the fakes' line and 100% left of 0, and the height of the reals' line "
    "right of 0.",
    limits=(None, (0, 1)), ticks=(None, _PERCENT),
)  # fmt: skip
def draw_tippett(labels: Labels, llrs: Values) -> list[Trace]:
    """Share of fakes, and of reals, whose likelihood ratio is at least x."""
    powers = _to_powers(llrs)
    reach = 1.05 * max(1.0, float(np.abs(powers).max()))
    traces = []
    for label, name in ((1, "fakes"), (0, "reals")):
        steps = np.sort(powers[labels == label])  # (n,)
        shares = 1 - np.arange(len(steps) + 1) / len(steps)  # (n + 1,) from each step on
        x = np.repeat([-reach, *steps, reach], 2)[1:-1]
        traces.append(Trace(name, _thin(x, np.repeat(shares, 2)), dashed=label == 0))
    return traces


@register_curve(
    "ece", "Empirical cross-entropy", "llr", ("log₁₀ prior odds, fake : real", "bits"),
    "What is left to be known after the likelihood ratio is used, by the prior odds. Above the dashed line of no "
    "evidence the ratios mislead; the gap to their best monotone calibration is the calibration loss.",
)  # fmt: skip
def draw_empirical_cross_entropy(labels: Labels, llrs: Values) -> list[Trace]:
    """Empirical cross-entropy over the prior odds: of the ratios, of their PAV calibration, and of none."""
    nothing = np.zeros_like(llrs)
    lines = (("stated ratios", llrs, False), ("best monotone", pav_llr(labels, llrs), False), ("none", nothing, True))
    return [
        Trace(name, _thin(_PRIORS, empirical_cross_entropy(labels, values, _PRIORS)), dashed=dashed)
        for name, values, dashed in lines
    ]


@register_curve(
    "pav", "PAV", "llr", ("log₁₀ ratio as stated", "log₁₀ ratio, best monotone"),
    "On the dashed diagonal the stated ratios are calibrated. Ends without an error among these videos are infinite "
    f"and left out, as is what lies beyond 10^{_MAX_POWER:.0f}.",
)  # fmt: skip
def draw_pav(labels: Labels, llrs: Values) -> list[Trace]:
    """Likelihood ratios of the best monotone calibration over those stated, and the diagonal."""
    best = pav_llr(labels, llrs)
    order = np.argsort(llrs, kind="stable")
    x, y = _to_powers(llrs[order]), _to_powers(best[order])
    shown = np.isfinite(best[order]) & (np.abs(x) <= _MAX_POWER)
    reach = 1.05 * max(1.0, float(np.abs(_to_powers(llrs)).max()))
    diagonal = Trace("calibrated", ((-reach, -reach), (reach, reach)), dashed=True)
    return [Trace("these videos", _thin(x[shown], y[shown])), diagonal]


def _to_powers(llrs: Values) -> Values:
    return np.clip(llrs / math.log(10), -_MAX_POWER, _MAX_POWER)


def _thin(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Points:
    """At most `MAX_POINTS` of the points, the first and the last among them, to 4 digits after the point."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).round().astype(int)) if len(x) else []
    return tuple((round(float(x[at]), 4), round(float(y[at]), 4)) for at in kept)
