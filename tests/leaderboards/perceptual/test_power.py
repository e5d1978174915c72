"""Power: what is told of a design is what simulated studies of it find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from dancebench.leaderboards.perceptual.intervals import estimate_share
from dancebench.leaderboards.perceptual.power import MOST_RATERS, Design
from dancebench.leaderboards.perceptual.spread import Spread


@pytest.mark.parametrize(("subjects", "raters", "preference"), [(10, 40, 0.65), (20, 25, 0.62)])
def test_simulated_studies_find_it_as_often(subjects: int, raters: int, preference: float) -> None:
    design = Design(subjects=subjects, answers=subjects, spread=Spread(0.4, 0.4))
    generator = np.random.default_rng(0)
    names = [f"s{s}" for s in range(subjects) for _ in range(raters)]
    voters = [f"r{r}" for _ in range(subjects) for r in range(raters)]
    found, repeats = 0, 300
    for _ in range(repeats):
        of_subjects, of_raters = generator.normal(size=(subjects, 1)) * 0.4, generator.normal(size=(1, raters)) * 0.4
        hits = generator.random((subjects, raters)) < expit(logit(preference) + of_subjects + of_raters)
        p = estimate_share(hits.astype(float).ravel().tolist(), names, voters).p
        found += p is not None and p < 0.05
    assert found / repeats == pytest.approx(design.compute_power(preference, raters), abs=0.1)


@given(st.integers(2, 30), st.floats(0.5, 20), st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.6, 0.7, 0.8]))
def test_the_number_of_raters_is_the_least_that_suffices(
    subjects: int, answers: float, subject_sd: float, rater_sd: float, preference: float
) -> None:
    design = Design(subjects, answers, Spread(subject_sd, rater_sd))
    count = design.find_raters(preference)
    if count is None:
        assert design.compute_power(preference, MOST_RATERS) < 0.8
    else:
        assert design.compute_power(preference, count) >= 0.8
        assert count == 2 or design.compute_power(preference, count - 1) < 0.8


def test_few_subjects_that_differ_are_not_made_up_for_by_raters() -> None:
    assert Design(subjects=3, answers=6, spread=Spread(1.0, 0.3)).find_raters(0.6) is None
    assert Design(subjects=40, answers=6, spread=Spread(0.2, 0.3)).find_raters(0.6) is not None
