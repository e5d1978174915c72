"""Rehearsals: what is put into simulated raters comes out of the page's server and the analysis."""

from __future__ import annotations

import numpy as np
import pytest
from study_site import plan_study

from dancebench.benchmark.study.make import make_study
from dancebench.benchmark.study.records import StudyFolder, Task
from dancebench.benchmark.study.rehearse import Population, Raters, rehearse
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset

CALM = Raters(count=24, subject_sd=0.1, rater_sd=0.1, lapses=0, careless=0, failing_videos=0)
TRUTH = {"fbf": 0.0, "fbf-ts": 1.2, "nearest": -1.2}


def open_study(toys: tuple[Workspace, Dataset], task: Task = "edn") -> StudyFolder:
    folder = StudyFolder(toys[0], f"rehearsed-{task}")
    if not folder.path.exists():
        make_study(plan_study(*toys, folder.name, task))
    return folder


def test_a_clear_preference_is_found_and_nothing_is_lost_or_left(toys: tuple[Workspace, Dataset]) -> None:
    folder = open_study(toys)
    rehearsal = rehearse(folder, CALM, TRUTH, seed=0)
    assert rehearsal.acknowledged == rehearsal.stored == 24 * 17
    assert [pair.found for pair in rehearsal.pairs] == [True, True, True]
    for pair in rehearsal.pairs:
        assert pair.found_share == pytest.approx(pair.true_share, abs=0.12)
    assert not folder.store_path.exists()
    assert rehearsal.report.participation is not None
    assert rehearsal.report.participation.used == 24
    assert rehearsal == rehearse(folder, CALM, TRUTH, seed=0)


def test_careless_raters_and_failing_videos_are_told(toys: tuple[Workspace, Dataset]) -> None:
    raters = CALM.model_copy(update={"careless": 0.5, "failing_videos": 0.1, "count": 20})
    rehearsal = rehearse(open_study(toys), raters, TRUTH, seed=1)
    part = rehearsal.report.participation
    assert part is not None
    assert rehearsal.acknowledged == rehearsal.stored
    assert part.used < part.enrolled == 20
    assert part.screened_out > 0
    assert part.voided == {"simulated": sum(part.voided.values())}


def test_single_videos(toys: tuple[Workspace, Dataset]) -> None:
    truth = {"fbf": 2.0, "fbf-ts": -0.5, "nearest": 1.0}
    rehearsal = rehearse(open_study(toys, "real-or-fake"), CALM, truth, seed=0)
    belief = rehearsal.report.belief
    assert belief is not None
    taken = {name: each.taken_for_real.value for name, each in belief.methods.items()}
    assert taken["fbf"] < taken["nearest"] < taken["fbf-ts"]
    assert belief.methods["fbf"].d_prime.value == pytest.approx(1.2, abs=0.5)


def test_several_at_once(toys: tuple[Workspace, Dataset]) -> None:
    rehearsal = rehearse(open_study(toys, "ddg"), CALM, TRUTH, seed=0)
    assert rehearsal.acknowledged == rehearsal.stored == 24 * 7
    overall = rehearsal.report.questions[-1]
    assert (overall.question, overall.at_once) == ("overall", 3)
    chosen = {name: each.value for name, each in overall.chosen.items()}
    assert sum(chosen.values()) == pytest.approx(1)
    assert chosen["fbf-ts"] > chosen["fbf"] > chosen["nearest"]
    for pair in rehearsal.pairs:
        assert pair.found_share == pytest.approx(pair.true_share, abs=0.15)


def test_closed_form_the_true_share_of_one_of_several_is_luce_s(toys: tuple[Workspace, Dataset]) -> None:
    alike = Raters(subject_sd=0, rater_sd=0, lapses=0)
    population = Population(open_study(toys, "ddg").load(), alike, TRUTH, 0)
    assert population.compute_share("fbf-ts", "fbf") == pytest.approx(1 / (1 + np.exp(-1.2)))
    lapsing = Population(open_study(toys, "ddg").load(), alike.model_copy(update={"lapses": 1.0}), TRUTH, 0)
    assert lapsing.compute_share("fbf-ts", "nearest") == pytest.approx(0.5)


def test_closed_form_the_true_share(toys: tuple[Workspace, Dataset]) -> None:
    study = open_study(toys).load()
    same = Population(study, CALM, TRUTH | {"fbf-ts": 0.0}, 0)
    assert same.compute_share("fbf", "fbf-ts") == pytest.approx(0.5)
    certain = Population(study, CALM.model_copy(update={"lapses": 0.1}), TRUTH | {"fbf": 50.0}, 0)
    assert certain.compute_share("fbf", "nearest") == pytest.approx(0.95)
    assert certain.compute_share("nearest", "fbf") == pytest.approx(0.05)
