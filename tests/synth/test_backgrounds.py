"""Putting a generated person on another background."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.datasets.video.clips import write_clip
from dancebench.synth.backgrounds import cover, measure_edge, open_background, replace_background
from dancebench.synth.base import Layers

SIZE = (96, 48)


def make_layers(seed: int, centre: tuple[int, int] = (24, 48)) -> Layers:
    rng = np.random.default_rng(seed)
    person = np.zeros(SIZE, np.uint8)
    cv2.ellipse(person, centre, (12, 30), 10, 0, 360, 1, -1)
    return Layers(rng.integers(0, 256, (*SIZE, 3), np.uint8), person.astype(bool))


@given(seed=st.integers(0, 1000), x=st.integers(0, 47), y=st.integers(0, 95))
def test_no_pixel_inside_the_eroded_mask_changes_and_none_outside_stays(seed: int, x: int, y: int) -> None:
    layers = make_layers(seed, (x, y))
    background = np.random.default_rng(seed + 1).integers(0, 256, (*SIZE, 3), np.uint8)
    result = replace_background(layers, background)
    side = 4 * measure_edge(SIZE) + 1
    inside = cv2.erode(layers.person.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    assert np.array_equal(result[inside], layers.frame[inside])
    assert np.array_equal(result[~layers.person], background[~layers.person])


def test_closed_form_the_edge_is_soft() -> None:
    person = np.zeros(SIZE, bool)
    person[:, 20:] = True
    result = replace_background(Layers(np.full((*SIZE, 3), 200, np.uint8), person), np.zeros((*SIZE, 3), np.uint8))
    row = result[40, 18:25, 0].astype(int)
    assert row[0] == row[1] == 0
    assert row[-1] == 200
    assert (np.diff(row) >= 0).all()
    assert len(set(row.tolist())) >= 3


@pytest.mark.parametrize("shape", [(10, 300), (300, 10), (96, 48), (7, 7), (1, 1), (1000, 400)])
def test_a_background_of_another_size_covers_the_frame_without_being_stretched(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 90, np.uint8)
    assert cover(picture, SIZE).shape == (*SIZE, 3)
    assert (cover(picture, SIZE) == 90).all(), "no border is added"


def test_closed_form_the_middle_is_shown() -> None:
    picture = np.zeros((96, 144, 3), np.uint8)
    picture[:, 48:96] = 255
    assert (cover(picture, SIZE) == 255).all()


def test_a_picture_is_shown_in_every_frame(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "beach.png"), picture[..., ::-1])
    background = open_background(tmp_path / "beach.png")
    assert background.label == "beach.png"
    assert all(np.array_equal(frame, picture) for frame in itertools.islice(background.frames(SIZE, 25), 3))


@pytest.mark.parametrize(("fps", "shown"), [(10, [0, 1, 2, 0, 1, 2]), (20, [0, 0, 1, 1, 2, 2, 0]), (5, [0, 2, 0, 2])])
def test_a_video_is_shown_by_its_times_and_begins_again(tmp_path: Path, fps: float, shown: list[int]) -> None:
    levels = (20, 120, 220)
    write_clip(tmp_path / "sea.mp4", (np.full((64, 64, 3), level, np.uint8) for level in levels), 10)
    frames = itertools.islice(open_background(tmp_path / "sea.mp4").frames((64, 64), fps), len(shown))
    assert [int(np.abs(np.array(levels) - frame.mean()).argmin()) for frame in frames] == shown


def test_a_background_that_is_not_there_or_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    for name in ("nothing.png", "notes.txt"):
        with pytest.raises(BenchError) as error:
            open_background(tmp_path / name)
        assert name in error.value.message
        assert error.value.hint is not None
