"""The demo's plans, still and with moving surroundings."""

from __future__ import annotations

import pytest

from dancebench.benchmark.runs.demo import PLANS, make_moving
from dancebench.datasets.dancers.catalogue import SELECTIONS


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_has_a_counterpart_with_moving_surroundings(name: str) -> None:
    still, moving = PLANS[name], make_moving(PLANS[name])
    assert SELECTIONS[moving.dataset].surroundings == "moving"
    assert SELECTIONS[still.dataset].surroundings == "still"
    assert (moving.target_preset, moving.forensic_preset) == (still.target_preset, still.forensic_preset)
