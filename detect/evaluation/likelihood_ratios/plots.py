"""Plots of likelihood ratios that a validation publishes: labels and ratios in, an .svg or .png file out.

Style, files and errors are those of `dancebench.detect.evaluation.plots`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from sklearn.metrics import roc_curve

from dancebench.core.stats.likelihood_ratios import pav_llr
from dancebench.detect.evaluation.calibration import cllr, cllr_min
from dancebench.detect.evaluation.likelihood_ratios.measures import devpav, draw_cross_entropy
from dancebench.detect.evaluation.metrics import equal_error_rate
from dancebench.detect.evaluation.plots import FAKE, GREY, REAL, check_items, save_figure

_PRIORS: Final = np.linspace(-3, 3, 121)
"""Prior odds fake : real of the curves, in powers of ten."""
_RATES: Final = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999)
"""Ticks of a DET plot."""


def plot_cross_entropy(path: Path, labels: npt.ArrayLike, llrs: npt.ArrayLike) -> None:
    """Plot the empirical cross-entropy over prior odds, of these ratios, of none, and of the best monotone calibration.

    Args:
        path: Output file, `.svg` or `.png`.
        labels: (N,), 1 = fake, 0 = real.
        llrs: (N,) natural-log likelihood ratios, finite.

    Raises:
        BenchError: One kind is missing, a ratio is not finite, or the suffix is not supported.
    """
    kinds, values = check_items(labels, llrs)
    curve = draw_cross_entropy(kinds, values, _PRIORS.tolist())
    with save_figure(path, (6.0, 4.2)) as figure:
        axes = figure.add_subplot()
        lines = (
            (curve.neutral, "no evidence", GREY, ":", 1.6),
            (curve.system, "likelihood ratios", FAKE, "-", 1.8),
            (curve.pav, "after PAV", REAL, "--", 1.8),
        )
        for heights, name, colour, style, width in lines:
            axes.plot(curve.log10_odds, heights, color=colour, linestyle=style, linewidth=width, label=name)
        axes.axvline(0, color=GREY, linewidth=0.9)
        axes.set(xlim=(-3, 3), ylim=(0, min(1.05 * max(*curve.system, *curve.neutral), 2.0)))
        axes.set(xlabel="log₁₀ prior odds, fake : real", ylabel="empirical cross-entropy, bits")
        axes.set_title(
            f"at even odds: Cllr {cllr(kinds, values):.3f}, Cllr min {cllr_min(kinds, values):.3f} bits", loc="left"
        )
        figure.legend(loc="outside lower center", ncols=3)


def plot_pav(path: Path, labels: npt.ArrayLike, llrs: npt.ArrayLike) -> None:
    """Plot the ratios after pooled adjacent violators over the ratios; where a block is of one kind they are infinite.

    Arguments and errors are those of `plot_cross_entropy`.
    """
    kinds, values = check_items(labels, llrs)
    powers, mapped = values / math.log(10), pav_llr(kinds, values) / math.log(10)
    finite = np.isfinite(mapped)
    reach = 1.15 * max(1.0, float(np.abs(powers).max()), *np.abs(mapped[finite]))
    with save_figure(path, (5.0, 5.2)) as figure:
        axes = figure.add_subplot()
        axes.plot(
            [-reach, reach], [-reach, reach], color=GREY, linewidth=0.9, linestyle="--", label="perfectly calibrated"
        )
        order = np.argsort(powers, kind="stable")
        order = order[finite[order]]
        axes.plot(powers[order], mapped[order], color=GREY, linewidth=1.2)
        edge = np.clip(mapped, -0.95 * reach, 0.95 * reach)
        for kind, name, colour, mark in ((1, "fakes", FAKE, "o"), (0, "reals", REAL, "s")):
            chosen = kinds == kind
            axes.plot(
                powers[chosen],
                edge[chosen],
                mark,
                color=colour,
                markersize=4.5,
                alpha=0.7,
                markeredgewidth=0,
                label=name,
            )
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set(xlabel="log₁₀ likelihood ratio, fake : real", ylabel="log₁₀ likelihood ratio after PAV")
        distance = devpav(kinds, values)
        title = "separated without error" if math.isnan(distance) else f"devPAV {distance:.3f} powers of ten"
        infinite = int((~finite).sum())
        axes.set_title(f"{title}; {infinite} at the edge are infinite" if infinite else title, loc="left")
        figure.legend(loc="outside lower center", ncols=3)


def plot_det(path: Path, labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> None:
    """Plot the detection error trade-off on normal deviates, with the operating point that was frozen.

    A rate of 0 or 1 is drawn at half of one item.

    Args:
        path: Output file, `.svg` or `.png`.
        labels: (N,), 1 = fake, 0 = real.
        scores: (N,), finite.
        threshold: Above it an item is called fake.

    Raises:
        BenchError: One kind is missing, a score is not finite, or the suffix is not supported.
    """
    kinds, values = check_items(labels, scores)
    reals, fakes = int((kinds == 0).sum()), int((kinds == 1).sum())
    false_positives, true_positives, _ = roc_curve(kinds, values, drop_intermediate=False)
    flagged = values > threshold
    point = float(flagged[kinds == 0].mean()), float(1 - flagged[kinds == 1].mean())

    def place(rates: npt.ArrayLike, count: int) -> npt.NDArray[np.float64]:
        return np.asarray(norm.ppf(np.clip(rates, 0.5 / count, 1 - 0.5 / count)), np.float64)

    least = 0.4 / max(reals, fakes, 10)
    low, high = float(norm.ppf(least)), float(norm.ppf(1 - least))
    ticks = [rate for rate in _RATES if low <= norm.ppf(rate) <= high]
    with save_figure(path, (4.8, 5.2)) as figure:
        axes = figure.add_subplot()
        axes.plot([low, high], [high, low], color=GREY, linewidth=0.9, linestyle="--", label="chance")
        axes.plot(
            place(false_positives, reals), place(1 - true_positives, fakes), color=REAL, linewidth=1.8,
            drawstyle="steps-post", label=f"equal error rate {equal_error_rate(kinds, values):.1%}",
        )  # fmt: skip
        axes.plot(
            place(point[0], reals), place(point[1], fakes), "o", color=FAKE, markersize=8, clip_on=False, zorder=3,
            label=f"frozen threshold: {point[0]:.1%} of reals, {point[1]:.1%} of fakes wrong",
        )  # fmt: skip
        names = [f"{rate:.1%}" if rate < 0.01 or rate > 0.99 else f"{rate:.0%}" for rate in ticks]
        places = norm.ppf(ticks)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set_xticks(places, names, rotation=45)
        axes.set_yticks(places, names)
        axes.set_xlabel(f"false positive rate ({reals} reals)")
        axes.set_ylabel(f"false negative rate ({fakes} fakes)")
        figure.legend(loc="outside lower center", ncols=1)
