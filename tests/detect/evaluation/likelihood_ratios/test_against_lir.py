"""Bounds and measures of likelihood ratios against `lir` of the Netherlands Forensic Institute, to 1e-6."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from dancebench.core.stats.likelihood_ratios import empirical_cross_entropy, pav_llr
from dancebench.detect.evaluation.calibration import cllr, cllr_min
from dancebench.detect.evaluation.likelihood_ratios.bounds import elub
from dancebench.detect.evaluation.likelihood_ratios.measures import (
    PRIORS,
    cllr_cal,
    devpav,
)

lir_metrics = pytest.importorskip("lir.metrics")

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
TEN = math.log(10)
STEP = 0.01
"""Of the grid of ELUB's thresholds, in log10."""


def draw_ratios(seed: int) -> tuple[Labels, Array]:
    """Ratios of systems that are good and bad, over- and under-confident, with few and many items, and with ties."""
    generator = np.random.default_rng(seed)
    reals, fakes = generator.integers(2, 60, 2)
    labels = np.repeat([0, 1], [reals, fakes])
    gap, spread, shift = generator.uniform(-0.5, 5), generator.uniform(0.3, 3), generator.normal()
    llrs = spread * (generator.normal(gap * (labels - 0.5), 1) + shift * (seed % 3 == 0))
    return labels, np.round(llrs, 1) if seed % 4 == 0 else llrs


@pytest.mark.parametrize("seed", range(60))
def test_foreign_reference_elub(seed: int) -> None:
    """Where deciding costs exactly what not deciding does, the last bit tells, and processors differ in it: there alone
    the bounds may lie a step of the grid apart.
    """
    from lir.algorithms.bayeserror import ELUBBounder

    labels, llrs = draw_ratios(seed)
    theirs = ELUBBounder().calculate_bounds(llrs / TEN, labels)
    for side, one, other in zip((-1, 1), elub(labels, llrs), theirs, strict=True):
        nearer, further = sorted((one / TEN, float(other)), key=abs)
        if further == pytest.approx(nearer, abs=1e-6):
            continue
        assert further == pytest.approx(nearer + side * STEP, abs=1e-6)
        assert compare_costs(labels, llrs, further) == pytest.approx(1, abs=1e-12)


def compare_costs(labels: Labels, llrs: Array, threshold: float) -> float:
    """What not deciding costs over what deciding at a threshold (log10) does, by the reference."""
    from lir.algorithms.bayeserror import calculate_expected_utility

    at = np.array([10**threshold])
    neutral = calculate_expected_utility(np.ones_like(llrs), labels, at)
    return float(np.squeeze(neutral / calculate_expected_utility(10 ** (llrs / TEN), labels, at, 1)))


def test_foreign_reference_elub_of_extreme_ratios() -> None:
    from lir.algorithms.bayeserror import ELUBBounder

    labels = np.repeat([0, 1], [300, 200])
    llrs = np.where(labels == 1, 800.0, -800.0)
    llrs[[0, -1]] *= -1
    theirs = ELUBBounder().calculate_bounds(llrs / TEN, labels)
    assert np.array(elub(labels, llrs)) / TEN == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("seed", range(60))
def test_foreign_reference_pav(seed: int) -> None:
    from lir.algorithms.isotonic_regression import IsotonicCalibrator

    labels, llrs = draw_ratios(seed)
    theirs = IsotonicCalibrator().fit_transform(llrs / TEN, labels)
    assert pav_llr(labels, llrs) / TEN == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("seed", range(60))
def test_foreign_reference_cost_and_its_parts(seed: int) -> None:
    from lir.data.models import LLRData

    labels, llrs = draw_ratios(seed)
    data = LLRData(features=llrs / TEN, labels=labels)
    for ours, theirs in ((cllr, lir_metrics.cllr), (cllr_min, lir_metrics.cllr_min), (cllr_cal, lir_metrics.cllr_cal)):
        assert ours(labels, llrs) == pytest.approx(theirs(data), abs=1e-6)


@pytest.mark.parametrize("seed", range(60))
def test_foreign_reference_devpav(seed: int) -> None:
    from lir.metrics.devpav import devpav as theirs

    labels, llrs = draw_ratios(seed)
    assert devpav(labels, llrs) == pytest.approx(float(np.squeeze(theirs(llrs / TEN, labels))), abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("seed", range(20))
def test_foreign_reference_empirical_cross_entropy(seed: int) -> None:
    """Their module of that name computes the empirical cross-entropy."""
    from lir.plotting.expected_calibration_error import calculate_ece

    labels, llrs = draw_ratios(seed)
    priors = 1 / (1 + 10.0 ** -np.array(PRIORS))
    expected = calculate_ece(np.exp(llrs), labels, priors)
    assert empirical_cross_entropy(labels, llrs, PRIORS) == pytest.approx(expected, abs=1e-6)
