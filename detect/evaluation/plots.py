"""Plots of detection results: labels and scores (or a table) in, an .svg or .png file out.

label 1 = fake, a higher score = more likely fake; likelihood ratios are passed as natural logarithms and plotted
as powers of ten. Files are written atomically, and the same input gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import roc_auc_score, roc_curve

from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_path
from dancebench.detect.evaluation.calibration import bin_reliability, cllr, expected_calibration_error

REAL, FAKE, GREY = "#0072b2", "#d55e00", "#767676"  # Okabe and Ito: distinguishable for colour-blind readers
DETECTORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
MARKS = "osD^vP"
EDIT = "edit"
"""Family of the benign edits."""
NONE = "none"
"""The perturbation that leaves a video unchanged."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same font everywhere
    "font.size": 10.0, "axes.titlesize": 10.0, "legend.fontsize": 9.0,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": "#e3e3e3", "grid.linewidth": 0.7,
    "legend.frameon": False, "svg.hashsalt": "dancebench",
}  # fmt: skip
_METADATA = {".svg": {"Date": None}, ".png": {"Software": None}}  # without fields that change from call to call
_DPI = 100


def plot_tippett(path: Path, labels: npt.ArrayLike, llrs: npt.ArrayLike) -> None:
    """Plot (Tippett) the share of fakes and of reals whose likelihood ratio is at least x, over x in powers of ten.

    Misleading evidence is the gap between the fakes' curve and 100% left of 1, and the height of the reals' curve
    right of 1.

    Args:
        path: Output file, `.svg` or `.png`.
        labels: (N,), 1 = fake, 0 = real.
        llrs: (N,) natural-log likelihood ratios, finite.

    Raises:
        BenchError: One kind is missing, a ratio is not finite, or the suffix is not supported.
    """
    kinds, values = check_items(labels, llrs)
    powers = values / math.log(10)
    reach = 1.05 * max(float(np.abs(powers).max()), 1.0)
    with save_figure(path, (6.0, 4.2)) as figure:
        axes = figure.add_subplot()
        for kind, name, colour, style in ((1, "fakes", FAKE, "-"), (0, "reals", REAL, "--")):
            steps = np.sort(powers[kinds == kind])  # (n,)
            shares = 1 - np.arange(len(steps) + 1) / len(steps)
            misleading = float((steps < 0).mean() if kind else (steps > 0).mean())
            axes.stairs(
                shares, [-reach, *steps, reach], baseline=None, color=colour, linestyle=style, linewidth=1.8,
                label=f"{len(steps)} {name}, {misleading:.1%} mislead",
            )  # fmt: skip
        axes.axvline(0, color=GREY, linewidth=0.9)
        axes.set(xlim=(-reach, reach), ylim=(-0.01, 1.02), xlabel="log₁₀ likelihood ratio, fake : real")
        axes.set_ylabel("share with this ratio or more")
        axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
        axes.set_title(f"Cllr {cllr(kinds, values):.3f} bits (0 perfect, 1 uninformative)", loc="left")
        figure.legend(loc="outside lower center", ncols=2)


def plot_reliability(
    path: Path, labels: npt.ArrayLike, llrs: npt.ArrayLike, *, item: str = "pairs", bins: int = 15
) -> None:
    """Plot a reliability diagram: share of fakes by predicted probability, at even prior, and the number of items.

    Args:
        path: Output file, `.svg` or `.png`.
        labels: (N,), 1 = fake, 0 = real.
        llrs: (N,) natural-log likelihood ratios, finite.
        item: Name of the items, in the plural.
        bins: Number of bins, of equal width.

    Raises:
        BenchError: As `plot_tippett`.
    """
    kinds, values = check_items(labels, llrs)
    table = bin_reliability(kinds, values, bins)
    assert table is not None  # both kinds are there
    with save_figure(path, (4.8, 5.4)) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        upper.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle="--", label="perfectly calibrated")
        upper.plot(table.stated, table.shares, color=REAL, linewidth=1.5, marker="o", markersize=5, label=item)
        upper.set(ylim=(-0.03, 1.03), ylabel="share of fakes")
        error = expected_calibration_error(kinds, values, bins)
        upper.set_title(f"expected calibration error {error:.3f} at even prior", loc="left")
        upper.legend(loc="upper left")
        edges = np.linspace(0, 1, bins + 1)
        lower.bar(
            edges[table.places], table.counts, 1 / bins, align="edge", color=REAL, edgecolor="white", linewidth=0.8
        )
        lower.set_yscale("log")
        lower.set(xlim=(-0.01, 1.01), ylim=(0.7, 2.0 * table.counts.max()), ylabel=item)
        lower.set_xlabel("predicted probability of being fake, at even prior")


def plot_roc(path: Path, labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> None:
    """Plot the ROC curve with the operating point that was frozen on the validation set.

    Args:
        path: Output file, `.svg` or `.png`.
        labels: (N,), 1 = fake, 0 = real.
        scores: (N,), finite.
        threshold: Above it an item is called fake.

    Raises:
        BenchError: One kind is missing, a score is not finite, or the suffix is not supported.
    """
    kinds, values = check_items(labels, scores)
    false_rates, true_rates, _ = roc_curve(kinds, values, drop_intermediate=False)
    flagged = values > threshold
    point = float(flagged[kinds == 0].mean()), float(flagged[kinds == 1].mean())
    with save_figure(path, (4.8, 4.7)) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle="--", label="chance")
        area = float(roc_auc_score(kinds, values))
        axes.plot(false_rates, true_rates, color=REAL, linewidth=1.8, label=f"AUC {area:.3f}", clip_on=False)
        axes.plot(
            *point, "o", color=FAKE, markersize=8, clip_on=False, zorder=3,
            label=f"frozen threshold:\n{point[1]:.1%} of fakes, {point[0]:.1%} of reals",
        )  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_xlabel(f"false positive rate ({int((kinds == 0).sum())} reals)")
        axes.set_ylabel(f"true positive rate ({int((kinds == 1).sum())} fakes)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, 0))
        axes.legend(loc="lower right")


ROBUSTNESS_COLUMNS = (
    "detector", "family", "strength", "perturbation", "auc", "low", "high", "false_positive_rate",
)  # fmt: skip


def plot_robustness(path: Path, table: pd.DataFrame) -> None:
    """Plot the AUC under each perturbation, grouped by family, and the false positive rate under benign edits.

    Args:
        path: Output file, `.svg` or `.png`.
        table: One row per detector and perturbation, columns `ROBUSTNESS_COLUMNS`; `low` and `high` bound the
            AUC's 95% confidence interval; NaN where there is none. Rows of family `edit` (benign edits) have bars.

    Raises:
        BenchError: A column is missing, there is no row, or the suffix is not supported.
    """
    missing = [column for column in ROBUSTNESS_COLUMNS if column not in table.columns]
    if missing or table.empty:
        raise BenchError(
            f"A table of robustness without {', '.join(missing) or 'rows'} cannot be plotted.",
            hint=f"Its columns are {', '.join(ROBUSTNESS_COLUMNS)}.",
        )
    places = _place_perturbations(table)
    edits = table[table["family"] == EDIT]
    detectors = list(dict.fromkeys(table["detector"]))
    bars = len(edits["perturbation"].unique()) * (0.10 + 0.16 * len(detectors)) + 0.7 if len(edits) else 0
    dots = (0.19 + 0.025 * len(detectors)) * (max(places.values()) + 1) + 0.9
    with save_figure(path, (6.4, dots + bars + 0.2 * len(detectors))) as figure:
        grid = figure.add_gridspec(2 if bars else 1, 1, height_ratios=(dots, bars) if bars else (dots,))
        upper = figure.add_subplot(grid[0])
        _plot_dots(upper, table, places, detectors)
        if bars:
            _plot_bars(figure.add_subplot(grid[1]), edits, table[table["perturbation"] == NONE], detectors)
        figure.legend(*upper.get_legend_handles_labels(), loc="outside upper center", ncols=min(3, len(detectors)))


def _place_perturbations(table: pd.DataFrame) -> dict[str, float]:
    """Perturbation -> its position on the axis: families in order, by strength within, half a step between."""
    places: dict[str, float] = {}
    place = 0.0
    for _, family in table.groupby("family", sort=False):
        for name in dict.fromkeys(family.sort_values("strength", kind="stable")["perturbation"]):
            places[str(name)] = place
            place += 1
        place += 0.5
    return places


def _plot_dots(axes: Axes, table: pd.DataFrame, places: dict[str, float], detectors: Sequence[str]) -> None:
    for number, detector in enumerate(detectors):
        rows_of_detector = table[table["detector"] == detector]
        dodge = 0.65 * ((number + 0.5) / len(detectors) - 0.5)
        colour, mark = DETECTORS[number % len(DETECTORS)], MARKS[number % len(MARKS)]
        for turn, (_, family) in enumerate(rows_of_detector.groupby("family", sort=False)):
            rows = family.sort_values("strength", kind="stable")
            heights = np.array([places[str(name)] for name in rows["perturbation"]]) + dodge
            axes.hlines(heights, rows["low"], rows["high"], color=colour, linewidth=1.1, alpha=0.6)
            joined = "none" if (rows["family"] == EDIT).all() else "-"  # edits have no order
            axes.plot(
                rows["auc"], heights, color=colour, marker=mark, markersize=4.5, linestyle=joined, linewidth=0.9,
                label=detector if turn == 0 else None,
            )  # fmt: skip
        for value in rows_of_detector.loc[rows_of_detector["perturbation"] == NONE, "auc"]:
            axes.axvline(value, color=colour, linewidth=0.8, linestyle=":")
    axes.axvline(0.5, color=GREY, linewidth=0.9)
    axes.set_yticks(list(places.values()), list(places))
    axes.set_ylim(max(places.values()) + 0.7, -0.7)
    least = float(np.nanmin([0.45, *table["low"], *table["auc"]]))
    axes.set(
        xlim=(max(least - 0.02, -0.01), 1.01),
        xlabel="AUC with 95% confidence interval (0.5: chance; dotted: untouched)",
    )
    axes.grid(visible=False, axis="y")


def _plot_bars(axes: Axes, edits: pd.DataFrame, untouched: pd.DataFrame, detectors: Sequence[str]) -> None:
    names = list(dict.fromkeys(edits["perturbation"]))
    width = 0.8 / len(detectors)
    for number, detector in enumerate(detectors):
        colour = DETECTORS[number % len(DETECTORS)]
        rates = edits[edits["detector"] == detector].set_index("perturbation")["false_positive_rate"].reindex(names)
        heights = np.arange(len(names)) + width * (number + 0.5) - 0.4
        axes.barh(heights, rates.fillna(0), width * 0.9, color=colour)
        for height, value in zip(heights, rates, strict=True):
            shown, text = (value, f"{value:.0%}") if math.isfinite(value) else (0.0, "none")
            axes.text(shown + 0.01, height, text, va="center", fontsize=8, color=colour)
        for value in untouched.loc[untouched["detector"] == detector, "false_positive_rate"].dropna():
            axes.axvline(value, color=colour, linewidth=0.8, linestyle=":")
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set(xlim=(0, 1.08), xlabel="false positive rate under a benign edit (dotted: untouched)")
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(visible=False, axis="y")


# ---------------------------------------------------------------- files


@contextmanager
def save_figure(path: Path, size: tuple[float, float]) -> Iterator[Figure]:
    """Yield a figure of `size` (width, height) in inches, and write it when the block ends."""
    if path.suffix not in _METADATA:
        raise BenchError(f"A plot cannot be written as '{path.name}'.", hint="Name it .svg or .png.")
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=_DPI, metadata=_METADATA[path.suffix])


def check_items(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Check that there are items of both kinds with finite scores (N,); a BenchError says which are not."""
    kinds, values = np.asarray(labels, np.int64), np.asarray(scores, np.float64)  # (N,)
    if set(np.unique(kinds).tolist()) != {0, 1}:
        raise BenchError("A plot needs real and fake items.", hint="Score videos of both kinds.")
    if not np.isfinite(values).all():
        raise BenchError("A plot needs finite scores.", hint="Leave out what could not be scored.")
    return kinds, values
