"""Krippendorff's alpha against another implementation and his own example."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dancebench.leaderboards.perceptual.agreement import measure_alpha

PUBLISHED = (
    "* * * * * 3 4 1 2 1 1 3 3 * 3",
    "1 * 2 1 3 3 4 3 * * * * * * *",
    "* * 2 1 3 4 4 * 2 1 1 3 3 * 4",
)
"""Three coders, fifteen units (Krippendorff 2011): nominal alpha 0.691."""


def test_closed_form_the_published_example() -> None:
    answers = [(unit, answer) for row in PUBLISHED for unit, answer in enumerate(row.split()) if answer != "*"]
    assert measure_alpha(answers) == pytest.approx(0.691, abs=5e-4)


@given(st.integers(0, 10_000), st.integers(2, 8), st.integers(2, 12), st.floats(0, 0.7))
def test_foreign_reference_any_table_with_holes(seed: int, raters: int, units: int, missing: float) -> None:
    generator = np.random.default_rng(seed)
    table = generator.integers(0, 3, (raters, units)).astype(float)
    table[generator.random(table.shape) < missing] = np.nan
    paired = np.isfinite(table).sum(axis=0) > 1
    assume(len(np.unique(table[:, paired][np.isfinite(table[:, paired])])) > 1)
    answers = [(unit, table[rater, unit]) for rater in range(raters) for unit in range(units)]
    ours = measure_alpha([(unit, answer) for unit, answer in answers if np.isfinite(answer)])
    theirs = krippendorff.alpha(table, level_of_measurement="nominal")
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_where_there_is_none() -> None:
    assert measure_alpha([]) is None
    assert measure_alpha([("u", 1), ("v", 0)]) is None
    assert measure_alpha([("u", 1), ("u", 1)]) is None
    assert measure_alpha([("u", 1), ("u", 1), ("v", 0), ("v", 0)]) == 1
