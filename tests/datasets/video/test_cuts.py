"""Where the picture of a recording is cut, by one rule on consecutive frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from outside_files import moving

from dancebench.core.opencv import cv2
from dancebench.datasets.dancers.dancer import dance, make_dancer
from dancebench.datasets.video.clips import stream, write_clip
from dancebench.datasets.video.cuts import Segmenter, is_cut, make_thumbnail

Picture = npt.NDArray[np.uint8]
SIZE = (128, 64)


def paint(seed: int) -> Picture:
    """A scene: smooth patches of random colours."""
    patches = np.random.default_rng(seed).integers(20, 235, (6, 4, 3), np.uint8)
    return np.asarray(cv2.resize(patches, SIZE[::-1], interpolation=cv2.INTER_CUBIC))


def number(frames: list[Picture], by_clock: list[int] | None = None) -> tuple[list[int], list[float]]:
    """Segment of each frame, and seconds of the cuts, at 10 frames per second."""
    segmenter = Segmenter()
    clock = by_clock or [0] * len(frames)
    return [segmenter(t / 10, clock[t], frame) for t, frame in enumerate(frames)], segmenter.cuts


def test_all_of_ten_cuts_are_found_in_an_encoded_video(tmp_path: Path) -> None:
    scenes = [paint(seed) for seed in range(11)]
    path = tmp_path / "cut.mp4"
    write_clip(path, [np.roll(scene, t, axis=1) for scene in scenes for t in range(7)], 25)
    segmenter = Segmenter()
    segments = [segmenter(seconds, 0, frame) for seconds, frame in stream(path)]
    assert segments == [t // 7 for t in range(77)]
    assert segmenter.cuts == pytest.approx([7 * k / 25 for k in range(1, 11)])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_none_is_found_in_a_drawn_dancer(seed: int) -> None:
    frames = [frame for frame, _ in dance(make_dancer(seed), 24)]
    assert number(frames) == ([0] * 24, [])
    assert number(frames[::4]) == ([0] * 6, [])  # at a quarter of the rate


def test_a_moving_camera_and_moving_things_are_no_cut() -> None:
    scene = cv2.resize(paint(1), (128, 256), interpolation=cv2.INTER_CUBIC)
    pan = [scene[4 * t : 4 * t + 128, 2 * t : 2 * t + 64] for t in range(20)]
    assert number(pan)[1] == []
    assert number(moving(40, SIZE))[1] == []


def test_closed_form_light_that_changes_is_no_cut_with_contrast_or_without() -> None:
    bright = paint(2)
    dark = (bright * 0.8).astype(np.uint8)
    grey = [np.full((*SIZE, 3), level, np.uint8) for level in (0, 28)]
    assert number([bright, dark, bright])[1] == []
    assert number([grey[0], grey[1], grey[0]])[1] == []
    assert number([grey[0], dark // 2, grey[0]]) == ([0, 1, 2], [0.1, 0.2])  # from black, and to it


def test_closed_form_flat_pictures_of_two_colours_are_two_scenes() -> None:
    red, blue = (np.full((*SIZE, 3), colour, np.uint8) for colour in ((150, 20, 20), (20, 20, 150)))
    assert number([red, red, blue])[1] == [0.2]


def test_a_jump_of_the_clock_begins_a_segment_once() -> None:
    a, b = paint(3), paint(4)
    assert number([a, a, b, b], [0, 0, 1, 1]) == ([0, 0, 1, 1], [])  # cut there too: one break
    assert number([a, a, b, b], [0, 1, 1, 1]) == ([0, 1, 2, 2], [0.2])


def test_the_rule_is_symmetric_and_no_picture_is_cut_from_itself() -> None:
    thumbnails = [make_thumbnail(paint(seed)) for seed in range(8)]
    for first in thumbnails:
        assert not is_cut(first, first)
        for second in thumbnails:
            assert is_cut(first, second) == is_cut(second, first) == (first is not second)
