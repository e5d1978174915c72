"""Signal detection: closed forms, and areas under the curve against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from dancebench.leaderboards.perceptual.signal_detection import compare_with_detector, measure_sensitivity
from dancebench.leaderboards.perceptual.votes import Judgement


def make_judgements(hits: int, fakes: int, alarms: int, reals: int) -> list[Judgement]:
    rows = [("fbf", k < hits, k) for k in range(fakes)] + [(None, k < alarms, k) for k in range(reals)]
    return [
        Judgement(rater=f"r{k % 7}", subject=f"s{k % 5}", source=f"s{k % 5}", method=method, called_fake=called)
        for method, called, k in rows
    ]


@pytest.mark.parametrize(("hits", "fakes", "alarms", "reals"), [(84, 100, 16, 100), (50, 60, 30, 40), (70, 70, 0, 70)])
def test_closed_form_d_prime_and_criterion(hits: int, fakes: int, alarms: int, reals: int) -> None:
    found = measure_sensitivity(make_judgements(hits, fakes, alarms, reals))
    z_hit = scipy.stats.norm.ppf((hits + 0.5) / (fakes + 1))
    z_alarm = scipy.stats.norm.ppf((alarms + 0.5) / (reals + 1))
    assert found is not None
    assert found.d_prime == pytest.approx(z_hit - z_alarm)
    assert found.criterion == pytest.approx(-(z_hit + z_alarm) / 2)
    assert found.n == fakes + reals
    assert found.interval is not None
    assert found.interval.low <= found.d_prime <= found.interval.high


def test_guessing_is_zero_and_a_bias_is_seen() -> None:
    guessing = measure_sensitivity(make_judgements(50, 100, 50, 100))
    readily = measure_sensitivity(make_judgements(90, 100, 90, 100))
    assert guessing is not None
    assert readily is not None
    assert (guessing.d_prime, guessing.criterion) == pytest.approx((0, 0))
    assert readily.d_prime == pytest.approx(0)
    assert readily.criterion < -1


def test_fakes_alone_tell_nothing() -> None:
    assert measure_sensitivity(make_judgements(3, 10, 0, 0)) is None
    assert measure_sensitivity([]) is None
    assert compare_with_detector(make_judgements(3, 10, 0, 0), {"s0/s0/fbf": 1.0}) is None


def test_foreign_reference_people_and_detectors_are_compared_on_the_same_videos() -> None:
    generator = np.random.default_rng(0)
    judgements, scores, labels, shares = [], {}, [], []
    for subject in range(12):
        for method in (None, "fbf"):
            video = Judgement(rater="r", subject=str(subject), source="x", method=method, called_fake=True).video_id
            scores[video] = float(generator.normal() + (method is not None))
            called = generator.random(9) < (0.7 if method else 0.4)
            labels.append(method is not None)
            shares.append(called.mean())
            judgements += [
                Judgement(rater=f"r{k}", subject=str(subject), source="x", method=method, called_fake=bool(answer))
                for k, answer in enumerate(called)
            ]
    scores["never shown"] = 100.0
    found = compare_with_detector(judgements, scores)
    assert found is not None
    assert found.people == pytest.approx(roc_auc_score(labels, shares))
    assert found.detector == pytest.approx(roc_auc_score(labels, [scores[key] for key in list(scores)[:-1]]))
    assert found.n_videos == 24
    assert found.people_interval is not None
    assert found.people_interval.subjects == 12
