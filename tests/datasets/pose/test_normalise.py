"""Global pose normalisation: the source's range is mapped onto the target's, feet on the ground."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.datasets.pose.normalise import (
    RANGES,
    Normalisation,
    PoseRange,
    find_standing_frames,
    fit_normalisation,
    locate_ankles,
    measure_heights,
    measure_range,
)
from dancebench.datasets.pose.skeleton import FACE, L_ANKLE, N_POINTS, NOSE, R_ANKLE, R_WRIST, Keypoints

FRAME = 512
UNHURRIED = settings(deadline=None, max_examples=50)  # other processes may use the cores
KINDS = pytest.mark.parametrize("kind", RANGES)


def dancing(ankle_y: npt.ArrayLike, height: npt.ArrayLike, x: npt.ArrayLike = 100) -> Keypoints:
    """A person of nose, ankles, a hand and a point of the face, at each frame's ankle y and height."""
    y, height, x = np.broadcast_arrays(np.asarray(ankle_y, float), height, x)
    keypoints = np.zeros((len(y), N_POINTS, 3), np.float32)
    shape = {NOSE: (0, 1), R_ANKLE: (-0.1, 0), L_ANKLE: (0.1, 0), R_WRIST: (-0.3, 0.6), FACE.start: (0.02, 1.02)}
    for joint, (right, up) in shape.items():
        keypoints[:, joint] = np.stack([x + right * height, y - up * height, np.full(len(y), 0.9)], axis=-1)
    return keypoints


def walk(n_frames: int = 400, *, far: float = 250, close: float = 450) -> Keypoints:
    """There and back in depth, once in 200 frames; as tall as half the ankle's y."""
    y = (far + close) / 2 - (close - far) / 2 * np.cos(np.arange(n_frames) * 2 * np.pi / 200)
    return dancing(y, y / 2, x=100 + 40 * np.sin(np.arange(n_frames) / 9))


def depth_range(far: float, close: float, height_far: float, height_close: float) -> PoseRange:
    middle, height = (far + close) / 2, (height_far + height_close) / 2
    return PoseRange(far, close, height_far, height_close, median_ankle=middle, median_height=height, n_frames=9)


positions = st.floats(0, 2000)
heights_px = st.floats(1, 2000)
ranges = st.builds(
    lambda far, extent, *tall: depth_range(far, far + extent, *tall),
    positions, st.floats(10, 2000), heights_px, heights_px,
)  # fmt: skip
maps = st.builds(Normalisation, ranges, ranges, st.sampled_from(RANGES), st.just(False))


@st.composite
def clips(draw: st.DrawFn) -> Keypoints:
    """People at random depths, some of whose joints are missing in some frames."""
    n_frames = draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = rng.uniform(200, 450, n_frames)
    keypoints = dancing(y, y * rng.uniform(0.3, 0.6, n_frames), x=rng.uniform(0, 256, n_frames))
    missing = rng.random((n_frames, N_POINTS)) < draw(st.sampled_from([0.0, 0.2]))
    missing[0] = False
    keypoints[missing] = 0
    return keypoints


def test_closed_form_position_and_height() -> None:
    keypoints = dancing([300, 300, 300, 300], 100)
    keypoints[:, [R_ANKLE, L_ANKLE], 1] = (290, 310)
    keypoints[:, [R_ANKLE, L_ANKLE], 0] = (90, 130)
    keypoints[:, NOSE, :2] = (110 + 30, 300 - 40)
    keypoints[1, R_ANKLE] = keypoints[2, [R_ANKLE, L_ANKLE]] = keypoints[3, NOSE] = 0
    assert np.allclose(locate_ankles(keypoints), [(110, 300), (130, 310), (np.nan, np.nan), (110, 300)], equal_nan=True)
    assert np.allclose(measure_heights(keypoints), [50, np.hypot(10, 50), np.nan, np.nan], equal_nan=True)


@UNHURRIED
@given(maps)
def test_the_ends_of_the_source_map_to_the_ends_of_the_target(fitted: Normalisation) -> None:
    s, t = fitted.source, fitted.target
    assert fitted.map_y([s.far, s.close]) == pytest.approx([t.far, t.close], rel=1e-6)
    sizes = fitted.scale([s.far, s.close]) * [s.height_far, s.height_close]
    assert sizes == pytest.approx([t.height_far, t.height_close], rel=1e-6)


@UNHURRIED
@given(maps, st.floats(-0.2, 1.2))
def test_closed_form_equations_7_and_8(fitted: Normalisation, depth: float) -> None:
    s, t = fitted.source, fitted.target
    y = s.far + depth * (s.close - s.far)
    assert fitted.map_y(y) == pytest.approx(t.far + (y - s.far) / (s.close - s.far) * (t.close - t.far), abs=1e-6)
    c_far, c_close = t.height_far / s.height_far, t.height_close / s.height_close
    if 0 <= depth <= 1:
        assert fitted.scale(y) == pytest.approx(c_far + (y - s.far) / (s.close - s.far) * (c_close - c_far), rel=1e-6)


@UNHURRIED
@given(maps, st.floats(-1e5, 1e5))
def test_the_scale_stays_positive_however_far_beyond_the_range(fitted: Normalisation, y: float) -> None:
    s, t = fitted.source, fitted.target
    ends = t.height_far / s.height_far, t.height_close / s.height_close
    slack = 1 if fitted.kind == "robust" else 2
    assert min(ends) / slack * (1 - 1e-9) <= fitted.scale(y) <= max(ends) * slack * (1 + 1e-9)


def test_closed_form_only_the_papers_scale_is_extrapolated_beyond_the_range() -> None:
    source, target = depth_range(200, 400, 100, 100), depth_range(200, 400, 100, 200)
    y = [100, 200, 300, 400, 500, -900]
    paper, robust = (Normalisation(source, target, kind, flat=False) for kind in RANGES)
    assert paper.scale(y).tolist() == [0.5, 1, 1.5, 2, 2.5, 0.5]
    assert robust.scale(y).tolist() == [1, 1, 1.5, 2, 2, 1]
    assert paper.map_y(y).tolist() == robust.map_y(y).tolist() == y


@KINDS
@UNHURRIED
@given(clip=clips())
def test_a_clip_mapped_onto_itself_is_unchanged(kind: str, clip: Keypoints) -> None:
    fitted = fit_normalisation(clip, clip, frame_height=FRAME, kind=kind)
    assert np.allclose(fitted.apply(clip), clip, rtol=1e-6, atol=1e-4)


@KINDS
@UNHURRIED
@given(source=clips(), target=clips())
def test_feet_stay_on_the_ground_and_nobody_moves_sideways(kind: str, source: Keypoints, target: Keypoints) -> None:
    fitted = fit_normalisation(source, target, frame_height=FRAME, kind=kind)
    before, after = locate_ankles(source), locate_ankles(fitted.apply(source))
    assert np.allclose(after[:, 1], fitted.map_y(before[:, 1]), rtol=1e-5, atol=1e-3, equal_nan=True)
    assert np.allclose(after[:, 0], before[:, 0], rtol=1e-5, atol=1e-3, equal_nan=True)
    assert np.allclose(
        measure_heights(fitted.apply(source)),
        measure_heights(source) * fitted.scale(before[:, 1]),
        rtol=1e-4,
        atol=1e-2,
        equal_nan=True,
    )


@KINDS
@UNHURRIED
@given(source=clips(), target=clips())
def test_missing_stays_missing_and_confidence_stays(kind: str, source: Keypoints, target: Keypoints) -> None:
    before = source.copy()
    after = fit_normalisation(source, target, frame_height=FRAME, kind=kind).apply(source)
    assert after.dtype == np.float32
    assert after.shape == source.shape
    assert not after[source[..., 2] == 0].any()
    assert np.array_equal(after[..., 2], source[..., 2])
    assert np.array_equal(source, before)


@KINDS
@UNHURRIED
@given(clip=clips(), factor=st.floats(0.5, 2), shift=st.floats(-100, 100))
def test_a_source_mapped_onto_its_own_enlargement_equals_it(
    kind: str, clip: Keypoints, factor: float, shift: float
) -> None:
    there = clip[..., 2] > 0
    target = clip.copy()
    target[..., 1] = np.where(there, factor * clip[..., 1] + shift, 0)
    middle = locate_ankles(clip)[:, :1]
    target[..., 0] = np.where(there & np.isfinite(middle), middle + factor * (clip[..., 0] - middle), 0)
    fitted = fit_normalisation(clip, target, frame_height=100, kind=kind)
    assume(not fitted.flat)
    after = fitted.apply(clip)
    on_feet = np.isfinite(middle[:, 0])
    assert np.allclose(after[on_feet], target[on_feet], rtol=1e-3, atol=0.05)


def test_closed_form_equation_9_takes_the_farthest_of_its_set() -> None:
    """Median 150 and s_close 200 give the set (115, 150): its largest, as printed, would be 148."""
    y = [200, 180, 160, 150, 148, 120, 110]
    measured = measure_range(dancing(y, [90, 80, 70, 60, 50, 40, 30]), "paper")
    assert measured == PoseRange(120, 200, 40, 90, median_ankle=150, median_height=60, n_frames=7)


@pytest.mark.parametrize(("y", "far"), [((200, 200, 200, 100), 200), ((200, 150, 100), 150), ((200,), 200)])
def test_closed_form_equation_9_of_an_empty_set_is_the_median(y: Sequence[float], far: float) -> None:
    assert measure_range(dancing(y, 50), "paper").far == far


def test_closed_form_robust_quantiles_and_median_heights() -> None:
    y = np.linspace(300, 400, 101)
    tall = np.full(101, 100.0)
    tall[:10], tall[-10:] = 80, 120
    tall[5], tall[-6] = 8, 500  # the person bends; a nose is found in the wrong place
    measured = measure_range(dancing(y, tall), "robust")
    assert measured == PoseRange(305, 395, 80, 120, median_ankle=350, median_height=100, n_frames=101)


def jumping(clip: Keypoints) -> Keypoints:
    """Jumps of 12 frames, a quarter of the height high, every 40 frames."""
    clip = clip.copy()
    up = np.arange(len(clip)) % 40 < 12
    clip[up, :, 1] -= np.where(clip[up, :, 2] > 0, 0.25 * measure_heights(clip)[up, None], 0)
    return clip


def kicking(clip: Keypoints) -> Keypoints:
    """A leg held up for 40 frames where the person is farthest: longer than the running median covers."""
    clip = clip.copy()
    clip[5:45, L_ANKLE, 1] -= 0.8 * measure_heights(clip)[5:45]
    return clip


@pytest.mark.parametrize("lift", [jumping, kicking])
def test_feet_in_the_air_do_not_move_the_robust_range(lift: Callable[[Keypoints], Keypoints]) -> None:
    clip = walk()
    plain, lifted = measure_range(clip, "robust"), measure_range(lift(clip), "robust")
    assert lifted.n_frames < plain.n_frames == len(clip)
    assert (lifted.close, lifted.far) == pytest.approx((plain.close, plain.far), abs=0.01 * FRAME)
    assert (lifted.height_close, lifted.height_far) == pytest.approx((plain.height_close, plain.height_far), rel=0.03)


def test_where_no_frame_stands_all_are_measured() -> None:
    clip = dancing([300, 310, 320], 100)
    clip[:, L_ANKLE, 1] -= 40
    assert not find_standing_frames(clip).any()
    assert measure_range(clip, "robust").n_frames == 3


def test_a_single_found_ankle_counts_as_level() -> None:
    clip = dancing([300, 310, 320], 100)
    clip[1, L_ANKLE] = 0
    assert find_standing_frames(clip).all()


@KINDS
def test_frames_without_nose_ankles_or_height_are_not_measured(kind: str) -> None:
    clip = dancing([300, 310, 320, 330, 340], [100, 110, 120, 0, 140])
    clip[0, NOSE] = clip[4, [R_ANKLE, L_ANKLE]] = 0
    assert measure_range(clip, kind).n_frames == 2


@KINDS
def test_closed_form_a_source_at_one_depth_has_one_shift_and_one_scale(kind: str) -> None:
    source = dancing([300, 310, 320], 100)
    target = dancing([200, 390, 410], [100, 150, 200])
    fitted = fit_normalisation(source, target, frame_height=FRAME, kind=kind)
    assert fitted.flat
    assert fitted.map_y([0, 310, 320]).tolist() == [80, 390, 400]
    assert fitted.scale([0, 310, 320]).tolist() == [1.5, 1.5, 1.5]
    after = fitted.apply(source)
    assert np.allclose(after[..., NOSE, :2], [(100, 230), (100, 240), (100, 250)])
    assert np.allclose(after[..., R_WRIST, :2], [(55, 290), (55, 300), (55, 310)])


@pytest.mark.parametrize(("frame_height", "flat"), [(400, False), (401, True)])
def test_one_depth_is_a_range_under_5_percent_of_the_frame(frame_height: int, flat: bool) -> None:
    source = dancing([300, 300, 320], 100)  # a range of 20: the set of Eq. 9 is empty, so s_far is the median
    assert fit_normalisation(source, source, frame_height=frame_height, kind="paper").flat is flat


@KINDS
def test_a_target_at_one_depth_keeps_the_source_there(kind: str) -> None:
    source, target = walk(), dancing(np.full(50, 400), 120)
    fitted = fit_normalisation(source, target, frame_height=FRAME, kind=kind)
    after = fitted.apply(source)
    assert not fitted.flat
    assert np.allclose(locate_ankles(after)[:, 1], 400)
    ends = [fitted.source.far, fitted.source.close]
    assert fitted.scale(ends) * [fitted.source.height_far, fitted.source.height_close] == pytest.approx([120, 120])


def test_closed_form_missing_ankles_are_interpolated() -> None:
    """Ankles at 200, 300 and 400 in frames 1, 3 and 4; the map is y -> 2y - 200 around them, twice as large."""
    clip = dancing([0, 200, 0, 300, 400, 0], 50, x=[0, 10, 0, 30, 40, 0])
    clip[[0, 2, 5]] = 0
    clip[[0, 2, 5], R_WRIST] = (20, 180, 0.7)
    fitted = Normalisation(depth_range(200, 400, 50, 50), depth_range(200, 600, 100, 100), "paper", flat=False)
    after = fitted.apply(clip)
    # around the ankles (10, 200), (20, 250) and (40, 400), which go to y of 200, 300 and 600
    expected = [(30, 160, 0.7), (20, 160, 0.7), (0, 160, 0.7)]
    assert np.allclose(after[[0, 2, 5], R_WRIST], expected, atol=1e-4)


@KINDS
def test_nose_and_ankle_must_be_seen_together(kind: str) -> None:
    whole, legless, headless = dancing([300, 400], 100), dancing([300, 400], 100), dancing([300, 400], 100)
    legless[:, [R_ANKLE, L_ANKLE]] = 0
    headless[:, NOSE] = 0
    with pytest.raises(BenchError, match=r"the source clip .*\(2 looked at\)") as caught:
        fit_normalisation(legless, whole, frame_height=FRAME, kind=kind)
    assert caught.value.hint
    with pytest.raises(BenchError, match="the target clip"):
        fit_normalisation(whole, headless, frame_height=FRAME, kind=kind)
    with pytest.raises(BenchError, match="No frame"):
        measure_range(whole[:0], kind)


def test_poses_that_never_show_an_ankle_cannot_be_set_on_the_ground() -> None:
    fitted = fit_normalisation(walk(), walk(), frame_height=FRAME, kind="paper")
    legless = walk(5)
    legless[:, [R_ANKLE, L_ANKLE]] = 0
    with pytest.raises(BenchError, match="No frame shows an ankle") as caught:
        fitted.apply(legless)
    assert caught.value.hint


def test_an_unknown_kind_is_reported() -> None:
    with pytest.raises(UnknownNameError, match="Unknown normalisation 'robst'") as caught:
        fit_normalisation(walk(), walk(), frame_height=FRAME, kind="robst")
    assert caught.value.hint == "Did you mean 'robust'? Available: paper, robust."


@KINDS
def test_facts_fit_json_and_define_the_map(kind: str) -> None:
    fitted = fit_normalisation(walk(), walk(far=200, close=300), frame_height=FRAME, kind=kind)
    facts = json.loads(json.dumps(fitted.facts()))
    again = Normalisation(PoseRange(**facts.pop("source")), PoseRange(**facts.pop("target")), **facts)
    assert again == fitted
