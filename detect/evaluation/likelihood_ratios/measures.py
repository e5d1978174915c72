"""How well likelihood ratios held: labels and log-likelihood ratios of held-out items in, the published figures out.

    pooled adjacent violators      the best monotone map of these very ratios: a reference, not a calibration
    Cllr_cal, devPAV               what the ratios lose to it, in bits; how far they lie from it, in powers of ten
    empirical cross-entropy        the cost at every prior odds; at even odds it is Cllr
    misleading evidence            ratios on the wrong side of 1, and how far

label 1 = fake; ratios are fake : real, as natural logarithms. Empirical cross-entropy is never shortened to ECE, which
elsewhere is the expected calibration error.

Ramos and Gonzalez-Rodriguez, Reliable support: measuring calibration of likelihood ratios, Forensic Science
International 230 (2013). devPAV: Vergeer, Alberink, Sjerps and Ypma, Why calibrating LR-systems is best practice,
Forensic Science International 321 (2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dancebench.core.schema import MAX_COUNT, Strict
from dancebench.core.stats.likelihood_ratios import empirical_cross_entropy, pav_llr
from dancebench.detect.evaluation.calibration import cllr, cllr_min

Kind = Literal["real", "fake"]
SIZES: Final = (1, 10, 100)
"""Misleading evidence is counted beyond ratios of these against the truth."""
PRIORS: Final = tuple(step / 4 for step in range(-12, 13))
"""Prior odds fake : real of the curves of empirical cross-entropy, in powers of ten."""


def cllr_cal(labels: npt.ArrayLike, llrs: npt.ArrayLike) -> float:
    """Compute Cllr - Cllr_min in bits: what better calibration would save; at least 0, NaN for one class."""
    return cllr(labels, llrs) - cllr_min(labels, llrs)


def devpav(labels: npt.ArrayLike, llrs: npt.ArrayLike) -> float:
    """Compute devPAV: the mean distance of the PAV curve from the identity, in powers of ten.

    It is the area between both over the ratios whose PAV ratio is finite, divided by their range; for one such ratio
    the distance there.

    Args:
        labels: (N,), 1 = fake, 0 = real.
        llrs: (N,) natural logarithms, finite.

    Returns:
        NaN for one class, and where no PAV ratio is finite: reals and fakes are separated without error.
    """
    labels, powers = np.asarray(labels), np.asarray(llrs, np.float64) / math.log(10)
    if len(np.unique(labels)) < 2:
        return math.nan
    mapped = pav_llr(labels, powers) / math.log(10)
    places, first = np.unique(powers, return_index=True)
    heights = mapped[first]
    finite = np.isfinite(heights)
    places, gaps = places[finite], heights[finite] - places[finite]  # (P,)
    if not len(places):
        return math.nan
    if len(places) == 1:
        return float(abs(gaps[0]))
    area = sum(
        _area_to_zero(start, end) * width
        for start, end, width in zip(gaps[:-1].tolist(), gaps[1:].tolist(), np.diff(places).tolist(), strict=True)
    )
    return float(area / (places[-1] - places[0]))


def _area_to_zero(start: float, end: float) -> float:
    """The area between 0 and a line from `start` to `end` over a unit width."""
    if start * end >= 0:
        return (abs(start) + abs(end)) / 2
    return (start**2 + end**2) / 2 / (abs(start) + abs(end))


class CrossEntropyCurve(Strict):
    """Empirical cross-entropy in bits over prior odds fake : real."""

    log10_odds: tuple[float, ...]
    neutral: tuple[float, ...]
    """Of ratios that are all 1."""
    system: tuple[float, ...]
    pav: tuple[float, ...]
    """Of the same ratios after pooled adjacent violators."""


def draw_cross_entropy(labels: npt.ArrayLike, llrs: npt.ArrayLike, log10_odds: Sequence[float]) -> CrossEntropyCurve:
    """Compute the curve of these ratios with both references; both kinds are there."""
    ratios = {"neutral": np.zeros(len(np.asarray(llrs))), "system": llrs, "pav": pav_llr(labels, llrs)}
    curves = {
        name: tuple(empirical_cross_entropy(labels, values, log10_odds).tolist()) for name, values in ratios.items()
    }
    return CrossEntropyCurve(log10_odds=tuple(log10_odds), **curves)


class MisleadingEvidence(Strict):
    """How many items of one kind have a ratio against the truth beyond a size."""

    kind: Kind
    size: int
    """Above `size` of reals, below 1 / `size` of fakes."""
    items: int = Field(ge=0, le=MAX_COUNT)
    of_items: int = Field(ge=0, le=MAX_COUNT)
    people: int = Field(ge=0, le=MAX_COUNT)
    """Who have at least one such item."""
    of_people: int = Field(ge=0, le=MAX_COUNT)


class LikelihoodRatioFigures(Strict):
    """What a card and a case page tell of the ratios of held-out people."""

    misleading: tuple[MisleadingEvidence, ...]
    cross_entropy: CrossEntropyCurve


class LabelledRatios(NamedTuple):
    """Ratios (N,) with their labels and people."""

    labels: npt.NDArray[np.int64]
    llrs: npt.NDArray[np.float64]
    subjects: npt.NDArray[np.str_]


def find_misleading(ratios: LabelledRatios, kind: Kind, size: int) -> npt.NDArray[np.bool_]:
    """Which items (N,) are of this kind and have a ratio beyond `size` against the truth."""
    against = ratios.llrs if kind == "real" else -ratios.llrs
    return np.asarray((ratios.labels == (kind == "fake")) & (against > math.log(size)))


def count_misleading(ratios: LabelledRatios, kind: Kind, size: int) -> MisleadingEvidence:
    """Count these items, and the people behind them."""
    misled, of_kind = find_misleading(ratios, kind, size), ratios.labels == (kind == "fake")
    return MisleadingEvidence(
        kind=kind,
        size=size,
        items=int(misled.sum()),
        of_items=int(of_kind.sum()),
        people=len(np.unique(ratios.subjects[misled])),
        of_people=len(np.unique(ratios.subjects[of_kind])),
    )


def collect_figures(ratios: LabelledRatios) -> LikelihoodRatioFigures | None:
    """Collect what a card tells; None for one class."""
    if len(np.unique(ratios.labels)) < 2:
        return None
    kinds: tuple[Kind, ...] = ("real", "fake")
    return LikelihoodRatioFigures(
        misleading=tuple(count_misleading(ratios, kind, size) for kind in kinds for size in SIZES),
        cross_entropy=draw_cross_entropy(ratios.labels, ratios.llrs, PRIORS),
    )
