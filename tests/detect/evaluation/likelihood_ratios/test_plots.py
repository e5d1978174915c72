"""Plots of likelihood ratios: reproducible files, and the text in them."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dancebench.core.errors import BenchError
from dancebench.detect.evaluation.likelihood_ratios.plots import plot_cross_entropy, plot_det, plot_pav

LABELS = np.tile([0, 1], 40)
LLRS = np.random.default_rng(0).normal(2 * LABELS - 1, 1.2)
PLOTS: dict[str, Callable[..., None]] = {
    "cross-entropy": plot_cross_entropy,
    "pav": plot_pav,
    "det": lambda path, labels, scores: plot_det(path, labels, scores, 0.5),
}


def words(path: Path) -> str:
    return "\n".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"), flags=re.DOTALL))


@pytest.mark.parametrize("name", PLOTS)
def test_the_same_input_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "one.svg", tmp_path / "two.svg"):
        PLOTS[name](path, LABELS, LLRS)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("name", PLOTS)
def test_few_and_separated_items_are_plotted(name: str, tmp_path: Path) -> None:
    for number, (labels, llrs) in enumerate([([0, 1], [-1.0, 1.0]), ([0, 1], [0.0, 0.0]), ([1, 0], [-9.0, 9.0])]):
        PLOTS[name](tmp_path / f"{number}.svg", labels, llrs)
        assert (tmp_path / f"{number}.svg").stat().st_size > 1000


def test_closed_form_texts(tmp_path: Path) -> None:
    labels, llrs = [0, 1, 0, 1], [0.0, 1.0, 2.0, 3.0]
    plot_cross_entropy(tmp_path / "e.svg", labels, llrs)
    assert "Cllr min 0.500 bits" in words(tmp_path / "e.svg")
    plot_pav(tmp_path / "p.svg", labels, llrs)
    assert "2 at the edge are infinite" in words(tmp_path / "p.svg")
    plot_det(tmp_path / "d.svg", labels, llrs, 0.5)
    assert "frozen threshold: 50.0% of reals, 0.0% of fakes wrong" in words(tmp_path / "d.svg")


@pytest.mark.parametrize("name", PLOTS)
def test_one_kind_and_a_ratio_that_is_not_finite_are_errors(name: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="real and fake items"):
        PLOTS[name](tmp_path / "a.svg", [1, 1], [0.0, 1.0])
    with pytest.raises(BenchError, match="finite scores"):
        PLOTS[name](tmp_path / "a.svg", [0, 1], [0.0, np.inf])
    assert not list(tmp_path.iterdir())
