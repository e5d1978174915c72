"""The interval of a calibration covers the case of a method that it has not seen."""

from typing import NamedTuple

import numpy as np
import pytest

from dancebench.detect.evaluation.calibration import fit_line, measure_uncertainty
from dancebench.detect.evaluation.likelihood_ratios.items import CalibrationItems, collect_items
from dancebench.detect.evaluation.likelihood_ratios.uncertainty import CalibrationUncertainty, JackknifeVariance

PEOPLE, METHODS = 29, 6
VARIANCE = 1.5**2
"""Of scores about their means, which lie as far apart: a score is its own LLR for the mean method."""
PEOPLE_SD = 0.5


class Case(NamedTuple):
    """Scores of a case of a method that is not in the calibration, and how far that method's scores are shifted."""

    score: float
    shift: float


def draw(seed: int, methods_sd: float) -> tuple[CalibrationItems, list[Case]]:
    """A real and a fake by each method of each person; cases are a fake and a real."""
    generator = np.random.default_rng(seed)
    shifts = generator.normal(0, methods_sd, METHODS)
    people = generator.normal(0, PEOPLE_SD, PEOPLE)[:, None]
    deviation = VARIANCE**0.5
    reals = people - VARIANCE / 2 + generator.normal(0, deviation, (PEOPLE, 1))
    fakes = people + VARIANCE / 2 + shifts + generator.normal(0, deviation, (PEOPLE, METHODS))
    scores = np.column_stack([reals, fakes]).ravel()
    labels = np.tile(np.arange(METHODS + 1) > 0, PEOPLE).astype(int)
    subjects = np.repeat([f"p{k}" for k in range(PEOPLE)], METHODS + 1).tolist()
    methods = np.tile([f"m{k}" for k in range(METHODS + 1)], PEOPLE).tolist()
    new = generator.normal(0, methods_sd)
    means = (VARIANCE / 2 + new, -VARIANCE / 2)
    cases = [Case(mean + generator.normal(0, (VARIANCE + PEOPLE_SD**2) ** 0.5), new) for mean in means]
    return collect_items(labels, scores, subjects, methods), cases


def true_llrs(case: Case) -> tuple[float, float]:
    """The LLR of the case's method at its score, and that of the mean method shifted by as much."""
    total = VARIANCE + PEOPLE_SD**2
    shift = case.shift
    own = ((case.score + VARIANCE / 2) ** 2 - (case.score - VARIANCE / 2 - shift) ** 2) / (2 * total)
    return own, VARIANCE * case.score / total + shift


def measure_coverage(methods_sd: float, count: int) -> np.ndarray:
    """Share of intervals that contain the two, over fakes and reals (2, 2)."""
    covered = np.zeros((count, 2, 2))
    for seed in range(count):
        items, cases = draw(seed, methods_sd)
        line, uncertainty = fit_line(items), measure_uncertainty(items)
        assert isinstance(uncertainty, CalibrationUncertainty)
        for place, case in enumerate(cases):
            low, high = uncertainty.interval((case.score - line.offset) / line.temperature)
            covered[seed, place] = [low <= truth <= high for truth in true_llrs(case)]
    return covered.mean(axis=0)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("methods_sd", [0.0, 0.5, 1.0])
def test_intervals_cover_at_least_93_percent(methods_sd: float) -> None:
    assert measure_coverage(methods_sd, 1000).min() >= 0.93


def test_few_intervals_cover_as_they_should() -> None:
    """Of 60 intervals at a coverage of 0.95, fewer than 51 hold in one of a thousand such tests."""
    assert measure_coverage(0.5, 30).sum(axis=0).min() * 30 >= 51


# --- closed form


def test_closed_form_jackknife_of_a_mean() -> None:
    """Leaving one of n out: the variance of the mean is that of the values over n."""
    values = np.array([1.0, 4.0, 2.0, 9.0])
    fits = [(float(np.delete(values, k).mean()), 1.0) for k in range(4)]
    variance = JackknifeVariance.of_fits(fits)
    assert variance.intercept == pytest.approx(values.var(ddof=1) / 4)
    assert (variance.slope, variance.covariance, variance.units) == (0, 0, 4)
    assert variance.half_width(100.0) == pytest.approx(3.182446 * variance.intercept**0.5, rel=1e-5)


def test_closed_form_both_parts_add_as_squares_and_a_case_is_of_another_method() -> None:
    people = JackknifeVariance(units=31, intercept=0.09, slope=0.0, covariance=0.0)
    methods = JackknifeVariance(units=3, intercept=0.04, slope=0.01, covariance=0.0)
    uncertainty = CalibrationUncertainty(people=people, methods=methods, method_spread=0.0)
    low, high = uncertainty.interval(2.0)
    expected = (2.042272**2 * 0.09 + 4.302653**2 * 4 * (0.04 + 4 * 0.01)) ** 0.5
    assert (high - low) / 2 == pytest.approx(expected, rel=1e-5)
    assert (high + low) / 2 == pytest.approx(2.0)
    spread = uncertainty.model_copy(update={"method_spread": 3.0})
    expected = (2.042272**2 * 0.09 + 4.302653**2 * (4 * (0.04 + 4 * 0.01) + 4 / 3 * 9)) ** 0.5
    assert (spread.interval(2.0).high - 2.0) == pytest.approx(expected, rel=1e-5)


def test_the_interval_does_not_depend_on_the_unit_of_scores() -> None:
    items, _ = draw(0, 0.5)
    first, other = (measure_uncertainty(each) for each in (items, items._replace(scores=1e-6 * items.scores - 3)))
    assert isinstance(first, CalibrationUncertainty)
    assert isinstance(other, CalibrationUncertainty)
    assert other.interval(1.0) == pytest.approx(first.interval(1.0), rel=1e-3)


# --- what cannot be told


def test_one_method_or_one_person_is_a_reason() -> None:
    items, _ = draw(0, 0.5)
    one_method = items.select((items.labels == 0) | (items.methods == "m1"))
    assert "how far methods differ cannot be told" in str(measure_uncertainty(one_method))
    one_person = items.select((items.labels == 1) | (items.subjects == "p0"))
    assert "how far people differ cannot be told" in str(measure_uncertainty(one_person))
