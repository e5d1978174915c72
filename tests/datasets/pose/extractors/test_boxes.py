"""Boxes of people and faces: closed forms of the rules; what MediaPipe finds is tested on real clips (test_views)."""

import numpy as np
import pytest

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.extractors import boxes
from dancebench.datasets.pose.extractors.boxes import bound_points, drop_repeated, look_at_head


def pose(*points: tuple[float, float, float]) -> np.ndarray:
    return np.array([*points, *[(0.0, 0.0, 0.0)] * (33 - len(points))])


def test_visible_points_bound_a_person_within_the_picture() -> None:
    found = pose((10, 20, 1), (30, 90, 0.5), (25, 40, 0.9), (-5, 50, 0.8), (500, 500, 0.4))
    assert bound_points(found, (80, 60)) == Box(20, 80, 0, 30)


def test_few_visible_points_are_nobody() -> None:
    assert bound_points(pose((10, 20, 1), (30, 90, 1), (25, 40, 1)), (80, 60)) is None
    assert bound_points(pose(*[(200, 20, 1)] * 5), (80, 60)) is None


def test_a_box_within_another_is_the_same_person() -> None:
    large, inner, apart = Box(0.0, 100.0, 0.0, 50.0), Box(10.0, 60.0, 5.0, 45.0), Box(0.0, 20.0, 60.0, 80.0)
    assert drop_repeated([inner, apart, large]) == [large, apart]


def test_a_head_is_looked_at_in_a_square_around_the_points_of_the_face() -> None:
    found = pose(*[(50, 20, 1)] * 11, (40, 220, 1))
    found[12:] = found[0]
    assert look_at_head(found, (400, 400)) == Box(-15, 55, 15, 85)  # 0.35 of 200


def test_without_mediapipe_the_error_says_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    for extractor in (boxes.HolisticExtractor, boxes.TasksExtractor):
        monkeypatch.setattr(extractor, "explain_absence", classmethod(lambda cls: "MediaPipe is not installed"))
    with pytest.raises(BenchError, match="cannot be found on this machine") as caught:
        boxes.describe_finder()
    assert "frame" in str(caught.value.hint)
