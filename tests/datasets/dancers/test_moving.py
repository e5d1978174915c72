"""Moving surroundings: the truth is what the frames show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace
from dancebench.datasets.dancers.body import HEIGHT, WIDTH
from dancebench.datasets.dancers.catalogue import (
    SCENE_TRUTH,
    SELECTIONS,
    build_catalogue,
    draw_subject,
    name_moving,
    open_demo,
)  # fmt: skip
from dancebench.datasets.dancers.dancer import dance_moving, make_dancer
from dancebench.datasets.dancers.moving import MARGIN, MovingScene
from dancebench.datasets.dancers.scene import draw_scene
from dancebench.datasets.pose.skeleton import R_SMALL_TOE
from dancebench.datasets.subjects.records import PoseSource

DANCER = make_dancer(101)


@pytest.fixture(scope="module")
def scene() -> MovingScene:
    return MovingScene(DANCER.scene, DANCER.camera, DANCER.seed)


# ---------------------------------------------------------------- closed form


@pytest.mark.parametrize("seconds", [0.0, 1.3, 7.9])
def test_the_moved_camera_scales_about_the_middle_and_shifts(scene: MovingScene, seconds: float) -> None:
    state = scene.find_state(seconds)
    world = np.array([(0.0, 0.0, 0.3), (0.4, 1.6, -0.2), (-0.7, 0.9, -1.35)])
    middle = np.array([WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5])
    expected = middle + state.scale * (DANCER.camera.project(world) - middle) + state.drift
    np.testing.assert_allclose(scene.move_camera(state).project(world), expected, atol=1e-9)


def test_the_room_is_the_still_one_where_the_camera_stands_still() -> None:
    rooms = [draw_scene(DANCER.scene, DANCER.camera, np.random.default_rng(0), margin=margin) for margin in (0, MARGIN)]
    inside = rooms[1][MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert inside.shape == rooms[0].shape
    np.testing.assert_allclose(inside, rooms[0], atol=1e-3)


@pytest.mark.parametrize("seed", [101, 103, 3007])
def test_the_drift_leaves_the_room_and_the_figure_in_the_picture(seed: int) -> None:
    dancer = make_dancer(seed)
    scene = MovingScene(dancer.scene, dancer.camera, seed)
    states = [scene.find_state(t / 5) for t in range(500)]
    for state in states:
        middle = np.array([WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5])
        for corner in ((0, 0), (WIDTH - 1, HEIGHT - 1)):
            shown = middle + (np.array(corner) - middle - state.drift) / state.scale + MARGIN
            assert (shown >= 0).all()
            assert (shown <= (WIDTH + 2 * MARGIN - 1, HEIGHT + 2 * MARGIN - 1)).all()
        border = middle + state.scale * (np.array([8.0, 8.0]) - middle) - np.abs(state.drift)  # where figures end
        assert (border >= 0).all()
    frames, truth = dance_moving(dancer, 40, 5.0)
    points = np.stack([points for _, points in frames])
    seen = points[points[..., 2] > 0]
    assert ((seen[:, :2] >= 0) & (seen[:, :2] <= (WIDTH - 1, HEIGHT - 1))).all()
    assert not points[:, R_SMALL_TOE].any()
    assert np.ptp(truth.camera[:, 1]) > 2
    assert np.ptp(truth.light, axis=0).min() > 0.1


def test_ball_and_light_are_where_the_truth_says(scene: MovingScene) -> None:
    frames, truth = dance_moving(DANCER, 3, 1.0)
    for t, (frame, _) in enumerate(frames):
        state = scene.find_state(float(t))
        unlit = scene.paint_background(state).pixels
        corner = np.s_[:60, :60]  # the wall above the dancer
        expected = np.median((unlit[corner] * truth.light[t]).clip(0, 255), axis=(0, 1))
        np.testing.assert_allclose(np.median(frame[corner], axis=(0, 1)), expected, atol=1.2)  # rounded, with noise
        x, y, radius = truth.ball[t]
        np.testing.assert_allclose([*scene.locate_ball(state)[0], scene.locate_ball(state)[1]], [x, y, radius])
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        distance = np.hypot(columns - x, rows - y)
        elsewhere = MovingScene(DANCER.scene, DANCER.camera, DANCER.seed)
        elsewhere._paint_ball = lambda *_: None  # type: ignore[method-assign]
        changed = np.abs(unlit - elsewhere.paint_background(state).pixels).sum(axis=2)
        assert (changed[distance < 0.9 * radius] > 3).mean() > 0.95


def test_the_beginning_does_not_depend_on_the_length() -> None:
    (short, first), (long, second) = dance_moving(DANCER, 2), dance_moving(DANCER, 4)
    for (a, p), (b, q) in zip(short, long, strict=False):
        assert np.array_equal(a, b)
        assert np.array_equal(p, q)
    assert np.array_equal(first.camera, second.camera[:2])
    frames, none = dance_moving(DANCER, 0)
    assert (list(frames), none.ball.shape) == ([], (0, 3))


# ---------------------------------------------------------------- the catalogue


def test_every_selection_has_a_moving_counterpart_of_the_same_dancers() -> None:
    poses = PoseSource.choose("truth")
    for name in ("demo", "demo-small", "demo-tiny"):
        still, moving = (build_catalogue(each, poses) for each in (name, name_moving(name)))
        assert [entry.id for entry in still.subjects] == [entry.id for entry in moving.subjects]
        assert still.dataset_id != moving.dataset_id
        assert SELECTIONS[name].surroundings == "still"
    assert build_catalogue("demo-tiny", poses).subjects[0].source.model_dump().get("surroundings") is None


def test_a_drawn_subject_keeps_the_truth_of_every_frame(tmp_path: Path) -> None:
    dataset = open_demo(Workspace(tmp_path).open(), "demo-moving-tiny", "truth")
    draw_subject(dataset, "driver01")
    subject = dataset.subject("driver01")
    with np.load(subject.folder / SCENE_TRUTH, allow_pickle=False) as arrays:
        assert {name: arrays[name].shape for name in arrays} == {
            "camera": (40, 3), "ball": (40, 3), "light": (40, 3)
        }  # fmt: skip
    assert subject.record.n_frames == 40
    assert subject.changed_files() == []


def test_impossible_lengths_are_refused() -> None:
    for n_frames, fps in ((-1, 25.0), (3, 0.0), (3, float("nan"))):
        with pytest.raises(BenchError, match="cannot be rendered") as error:
            dance_moving(DANCER, n_frames, fps)
        assert error.value.hint
