"""What `typicality` looks at: boxes, and the geometry of paths."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dancebench.datasets.pose.box import Box
from dancebench.detect.detectors.typicality import _looks
from dancebench.detect.detectors.typicality._looks import FACE, PATH_SIZE, describe_path, look_at
from dancebench.detect.trunk.features import SIZE, measure_pictures


def make_window(height: int = 72, width: int = 64, frames: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(30, 256, (frames, height, width, 3), dtype=np.uint8)


def move(*steps: tuple[float, float]) -> np.ndarray:
    """A path in a plane, in every stage the same."""
    places = np.cumsum([(0.0, 0.0), *steps], axis=0)  # (T, 2)
    vectors = np.zeros((len(places), SIZE))
    for part in _looks.slice_stages().values():
        vectors[:, part.start : part.start + 2] = places
    return vectors


# --- geometry


@pytest.mark.parametrize(
    ("steps", "curvature", "relative"),
    [
        ([(1, 0)] * 5, 0.0, None),  # straight and even
        ([(1, 0), (0, 1), (-1, 0), (0, -1)], math.pi / 2, math.log(2) / 2),  # a square
        ([(1, 0), (-1, 0), (1, 0)], math.pi, math.log(2)),  # there and back
        ([(0, 0)] * 3, math.pi / 2, math.log(2) / 2),  # still
    ],
)
def test_closed_form_of_the_geometry(
    steps: list[tuple[float, float]], curvature: float, relative: float | None
) -> None:
    found = describe_path(move(*steps)).reshape(-1, 2)
    assert found.size == PATH_SIZE
    assert found[:, 0] == pytest.approx([curvature] * len(found), abs=1e-6)
    if relative is None:
        assert (found[:, 1] < math.log(0.01)).all()
    else:
        assert found[:, 1] == pytest.approx([relative] * len(found))


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0.5, 50), st.floats(-10, 10))
def test_the_geometry_does_not_depend_on_scale_and_place(seed: int, scale: float, place: float) -> None:
    path = np.random.default_rng(seed).normal(size=(6, SIZE))
    assert np.allclose(describe_path(scale * path + place), describe_path(path))


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_a_path_and_its_reverse_have_the_same_geometry(seed: int) -> None:
    path = np.random.default_rng(seed).normal(size=(6, SIZE))
    assert np.allclose(describe_path(path[::-1]), describe_path(path))


# --- boxes


def test_patches_are_native_pixels_of_the_middle_frame() -> None:
    window = make_window(300, 500)
    looks = look_at(window, ("patches",), 6)
    assert len(looks) == 6
    for look in looks:
        picture = window[2][look.box.rows, look.box.columns]
        assert np.allclose(look.vector, measure_pictures([picture])[0], atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5, 100])
def test_patches_are_laid_evenly_and_not_in_the_middle_alone(count: int) -> None:
    boxes = [look.box for look in look_at(make_window(300, 500), ("patches",), count)]
    assert len(boxes) == min(count, 6)
    assert len(set(boxes)) == len(boxes)


def test_bars_are_not_looked_at() -> None:
    window = np.pad(make_window(), ((0, 0), (30, 30), (0, 0), (0, 0)))
    looks = look_at(window, ("patches", "whole"), 4)
    assert {look.box for look in looks} == {Box(30, 102, 0, 64)}
    assert np.allclose(looks[0].vector, look_at(make_window(), ("patches",), 4)[0].vector, atol=1e-4)


def test_people_and_faces_are_followed_where_they_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"person": [Box(10.0, 60.0, 10.0, 30.0)], "face": [Box(10.0, 20.0, 14.0, 24.0), Box(1.0, 40.0, 30.0, 60.0)]}
    monkeypatch.setattr(_looks, "open_finder", lambda subject: lambda frame: found[subject])
    looks = look_at(make_window(), ("whole", "person", "face"), 1)
    assert [look.part for look in looks] == ["whole", "person", "face", "face"]
    assert [look.vector.shape for look in looks] == [(PATH_SIZE,)] * 4
    largest = looks[2].box
    assert largest.height >= 39  # the larger face comes first


def test_nobody_found_leaves_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_looks, "open_finder", lambda subject: lambda frame: [])
    assert [look.part for look in look_at(make_window(), _looks.PARTS, 1)] == ["patches", "whole"]


def test_of_a_crowd_the_largest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = [Box(0.0, 5.0 + index, 0.0, 5.0 + index) for index in range(6)]
    monkeypatch.setattr(_looks, "open_finder", lambda subject: lambda frame: crowd)
    looks = look_at(make_window(), ("whole", "face"), 1)
    assert [look.part for look in looks] == ["whole", "face", "face"]


def test_what_is_large_is_reduced_and_what_is_small_is_not_enlarged() -> None:
    assert _looks._reduce(make_window(400, 400)[0], FACE).shape == (160, 160, 3)
    assert _looks._reduce(make_window(40, 30)[0], FACE).shape == (40, 30, 3)
