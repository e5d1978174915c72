"""MediaPipe's landmarks in the 75-point layout."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from dancebench.datasets.pose.extractors._blazepose import convert_body, convert_face
from dancebench.datasets.pose.skeleton import L_EYE, L_WRIST, NECK, NOSE, R_HIP, R_SHOULDER

SIZE = np.array([1000.0, 500.0])


def marks_at(count: int, visible: set[int] | None = None) -> list[SimpleNamespace]:
    """Landmarks on a diagonal, of which these are seen; None: all."""
    return [
        SimpleNamespace(x=i / 1000, y=i / 500, visibility=0.9 if visible is None or i in visible else 0.49)
        for i in range(count)
    ]


def test_closed_form_body_points_in_pixels_whose_centres_are_whole() -> None:
    points = convert_body(marks_at(33), SIZE)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points[NOSE], (-0.5, -0.5, 0.9), rtol=1e-6)
    np.testing.assert_allclose(points[L_WRIST], (14.5, 14.5, 0.9), rtol=1e-6)  # left is the person's own
    np.testing.assert_allclose(points[L_EYE], (1.5, 1.5, 0.9), rtol=1e-6)
    np.testing.assert_allclose(points[NECK], (11, 11, 0.9), rtol=1e-6)  # between the shoulders 11 and 12
    assert np.flatnonzero(points[:, 2] == 0).tolist() == [20, 23]  # BlazePose has no small toes


def test_closed_form_a_point_needs_all_that_it_is_made_of() -> None:
    points = convert_body(marks_at(33, {12, 24}), SIZE)
    assert np.flatnonzero(points[:, 2]).tolist() == [R_SHOULDER, R_HIP]  # no neck, no middle of the hips


def test_closed_form_face_points_are_vertices_and_pupils_the_middles_of_eyes() -> None:
    points = convert_face(marks_at(468), SIZE)
    expected = np.array([168, 1, 152, 234, 454, 2, 83, 312.5]) - 0.5
    np.testing.assert_allclose(points, np.stack([expected, expected, np.ones(8)], axis=1), rtol=1e-6)
