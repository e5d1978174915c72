"""The scale of reals: closed forms, and people held out."""

import math

import numpy as np
import pytest
import scipy.stats

from dancebench.detect.trunk.scale import FEWEST_PEOPLE, Scale, fit_scale, hold_out_people


def test_closed_form_of_the_log_odds() -> None:
    scale = Scale(2.0, 0.5, 8)
    assert scale.logits([2.0])[0] == 0
    share = scipy.stats.t.cdf((3.0 - 2.0) / 0.5 / math.sqrt(1 + 1 / 8), 7)
    assert scale.logits([3.0])[0] == pytest.approx(math.log(share / (1 - share)))
    assert scale.logits([1.0])[0] == pytest.approx(-scale.logits([3.0])[0])


def test_every_person_counts_alike_however_many_values_there_are_of_them() -> None:
    scale = fit_scale(np.array([0.0, 0.0, 0.0, 3.0, 6.0]), ["a", "a", "a", "b", "c"])
    assert scale == pytest.approx(Scale(3.0, math.sqrt(6), 3))
    assert fit_scale(np.ones(4), ["a", "b", "c", "d"]).width == 0.05


def test_everyone_is_held_out_once_with_all_of_theirs() -> None:
    people = [str(number // 3) for number in range(36)]
    seen = []
    for fitted, held_out in hold_out_people(people):
        assert {people[index] for index in fitted}.isdisjoint(people[index] for index in held_out)
        seen += held_out.tolist()
    assert sorted(seen) == list(range(36))


@pytest.mark.parametrize("numbers", [[0, 1], [0, 0, 9], [0, 1, FEWEST_PEOPLE - 1], [np.nan, 1, 9]])
def test_what_is_no_scale_is_refused(numbers: list[float]) -> None:
    with pytest.raises(ValueError, match="scale"):
        Scale.from_array(np.array(numbers))
    assert Scale.from_array(Scale(1.0, 2.0, 3).to_array()) == Scale(1.0, 2.0, 3)
