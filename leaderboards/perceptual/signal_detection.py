"""Real or synthesized: how well people tell, in d' and criterion, and beside detectors on the same videos.

The signal is a fake: a hit is a fake that was called fake, a false alarm a real that was. d' = z(H) - z(F), criterion
c = -(z(H) + z(F)) / 2; below 0 "fake" is said too readily. Rates are (hits + 0.5) / (n + 1), so that 0 and 1 stay
finite (Hautus 1995).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.stats

from dancebench.core.metric import Interval
from dancebench.core.stats.inference import jackknife_interval
from dancebench.leaderboards.perceptual.intervals import jackknife_both
from dancebench.leaderboards.perceptual.votes import Judgement

Statistic = Callable[[npt.NDArray[np.intp]], float]


class Sensitivity(NamedTuple):
    """How well fakes and reals were told apart.

    Attributes:
        d_prime: 0 is chance.
        criterion: Above 0 "real" is said too readily.
        interval: 95%, of d'; None for fewer than two subjects or raters, or where leaving out one leaves nothing.
        n: Number of answers.
    """

    d_prime: float
    criterion: float
    interval: Interval | None
    n: int


class Comparison(NamedTuple):
    """People and a detector on the same videos; areas under the ROC curve with their intervals over subjects."""

    people: float
    people_interval: Interval | None
    detector: float
    detector_interval: Interval | None
    n_videos: int


def measure_sensitivity(judgements: Sequence[Judgement]) -> Sensitivity | None:
    """Sensitivity d' and criterion of all answers together; None without answers about both fakes and reals."""
    fake = np.array([each.method is not None for each in judgements])
    called = np.array([each.called_fake for each in judgements])

    def read_scores(chosen: npt.NDArray[np.intp]) -> tuple[float, float]:
        """Normal quantiles of the rates of hits and of false alarms; NaN without answers of a kind."""
        hit, false_alarm = (_correct_rate(called[chosen][fake[chosen] == kind]) for kind in (True, False))
        return float(scipy.stats.norm.ppf(hit)), float(scipy.stats.norm.ppf(false_alarm))

    def measure(chosen: npt.NDArray[np.intp]) -> float:
        hit, false_alarm = read_scores(chosen)
        return hit - false_alarm

    everything = np.arange(len(judgements))
    if not len(judgements) or fake.all() or not fake.any():
        return None
    hit, false_alarm = read_scores(everything)
    interval = jackknife_both(measure, [each.subject for each in judgements], [each.rater for each in judgements])
    return Sensitivity(hit - false_alarm, -(hit + false_alarm) / 2, interval, len(judgements))


def compare_with_detector(judgements: Sequence[Judgement], scores: Mapping[str, float]) -> Comparison | None:
    """The AUC of people and of a detector over the videos that both have seen.

    A video's score by people is the share that called it fake.

    Args:
        judgements: Answers.
        scores: By video_id; higher = more likely fake.

    Returns:
        The comparison; None where the common videos are all fakes or all reals.
    """
    from sklearn.metrics import roc_auc_score  # slow to import

    answers: dict[str, list[Judgement]] = defaultdict(list)
    for each in judgements:
        if each.video_id in scores:
            answers[each.video_id].append(each)
    videos = sorted(answers)
    labels = np.array([answers[video][0].method is not None for video in videos])
    if not videos or labels.all() or not labels.any():
        return None
    by_people = np.array([np.mean([each.called_fake for each in answers[video]]) for video in videos])
    by_detector = np.array([scores[video] for video in videos])
    subjects = [answers[video][0].subject for video in videos]

    def measure(values: npt.NDArray[np.float64]) -> Statistic:
        def auc(chosen: npt.NDArray[np.intp]) -> float:
            kinds = labels[chosen]
            return math.nan if kinds.all() or not kinds.any() else float(roc_auc_score(kinds, values[chosen]))

        return auc

    (people, first), (detector, second) = (
        (measure(values)(np.arange(len(videos))), jackknife_interval(measure(values), subjects))
        for values in (by_people, by_detector)
    )
    return Comparison(people, first, detector, second, len(videos))


def _correct_rate(called: npt.NDArray[np.bool_]) -> float:
    return (float(called.sum()) + 0.5) / (len(called) + 1) if len(called) else math.nan
