"""Plots of detection results: reproducible files, and the text in them."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from dancebench.core.errors import BenchError
from dancebench.detect.evaluation.plots import plot_reliability, plot_robustness, plot_roc, plot_tippett

RNG = np.random.default_rng(0)
LABELS = np.tile([0, 1], 60)
LLRS = RNG.normal(2 * LABELS - 1, 1.2)


def robustness_table() -> pd.DataFrame:
    """Two detectors; one has no number for one edit."""
    grid = [
        ("none", 0, "none"),
        ("h264", 23, "crf23"),
        ("h264", 40, "crf40"),
        ("edit", 1, "stabilised"),
        ("edit", 2, "bilateral"),
    ]
    rows = [
        (detector, family, strength, name, auc, auc - 0.05, min(auc + 0.05, 1), 1 - auc)
        for detector, base in (("pair-patch", 0.95), ("timm:resnet18", 0.9))
        for turn, (family, strength, name) in enumerate(grid)
        for auc in [base - 0.07 * turn]
    ]  # fmt: skip
    table = pd.DataFrame(
        rows, columns=["detector", "family", "strength", "perturbation", "auc", "low", "high", "false_positive_rate"]
    )
    table.loc[table.index[-1], ["auc", "low", "high", "false_positive_rate"]] = np.nan
    return table


PLOTS: dict[str, Callable[[Path], None]] = {
    "tippett": lambda path: plot_tippett(path, LABELS, LLRS),
    "reliability": lambda path: plot_reliability(path, LABELS, LLRS),
    "roc": lambda path: plot_roc(path, LABELS, LLRS, 0.5),
    "robustness": lambda path: plot_robustness(path, robustness_table()),
}


@pytest.mark.parametrize("name", PLOTS)
def test_the_same_input_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "one.svg", tmp_path / "two.svg"):
        PLOTS[name](path)
    first, second = ((tmp_path / f"{copy}.svg").read_bytes() for copy in ("one", "two"))
    assert first == second
    assert b"<dc:date>" not in first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.svg", "two.svg"]


@pytest.mark.parametrize("name", PLOTS)
def test_a_png_is_about_600_pixels_wide_and_holds_a_picture(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.png"
    PLOTS[name](path)
    picture = cv2.imread(str(path))
    assert 450 <= picture.shape[1] <= 700
    assert picture.std() > 5


# --- closed form: text in the plots


def words(path: Path) -> str:
    """The text of an SVG: matplotlib writes it as a comment beside its outlines."""
    return "\n".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"), flags=re.DOTALL))


def test_closed_form_tippett_names_misleading_evidence_and_cost(tmp_path: Path) -> None:
    llrs = math.log(3) * np.array([-1, -1, -1, 1, 1, 1, 1, 1])
    plot_tippett(tmp_path / "t.svg", [0, 0, 0, 0, 1, 1, 1, 1], llrs)
    text = words(tmp_path / "t.svg")
    assert "4 reals, 25.0% mislead" in text
    assert "4 fakes, 0.0% mislead" in text
    assert f"Cllr {np.log2(4 / 3) * 7 / 8 + 2 / 8:.3f} bits" in text


def test_closed_form_roc_shows_the_frozen_point(tmp_path: Path) -> None:
    plot_roc(tmp_path / "r.svg", [0, 0, 0, 0, 1, 1], [0, 1, 2, 5, 3, 6], 2.5)
    text = words(tmp_path / "r.svg")
    assert "100.0% of fakes, 25.0% of reals" in text
    assert "AUC 0.875" in text


def test_closed_form_robustness_names_every_perturbation_and_each_false_positive_rate(tmp_path: Path) -> None:
    plot_robustness(tmp_path / "r.svg", robustness_table())
    texts = words(tmp_path / "r.svg").split("\n")
    assert texts.count("crf40") == texts.count("none") - 1 == 1  # an edit without a rate is labelled `none`
    assert texts.count("stabilised") == 2  # among the AUCs, and below with its bar
    assert {"26%", "31%", "33%"} <= set(texts)


def test_robustness_without_edits_has_no_bars(tmp_path: Path) -> None:
    table = robustness_table()
    plot_robustness(tmp_path / "r.svg", table[table["family"] != "edit"])
    assert "benign edit" not in words(tmp_path / "r.svg")


# --- bad input


@pytest.mark.parametrize("name", PLOTS)
def test_another_suffix_is_an_error_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"cannot be written as 'plot.gif'"):
        PLOTS[name](tmp_path / "plot.gif")
    assert not list(tmp_path.iterdir())


def test_one_kind_or_scores_that_are_not_finite_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    for draw in (plot_tippett, plot_reliability, lambda *arguments: plot_roc(*arguments, 0.0)):
        with pytest.raises(BenchError, match="real and fake"):
            draw(path, [1, 1], [0.0, 1.0])
        with pytest.raises(BenchError, match="finite"):
            draw(path, [0, 1], [0.0, math.inf])
    assert not path.exists()


def test_a_table_without_a_column_or_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="without strength, auc cannot be plotted"):
        plot_robustness(tmp_path / "r.svg", robustness_table().drop(columns=["auc", "strength"]))
    with pytest.raises(BenchError, match="without rows"):
        plot_robustness(tmp_path / "r.svg", robustness_table().head(0))
