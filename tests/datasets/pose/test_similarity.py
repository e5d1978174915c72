"""Similarity normalisation against closed forms and scikit-image, and its refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import waving
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.datasets.pose.normalise import NORMALISATIONS, fit, fit_normalisation, measure_range
from dancebench.datasets.pose.similarity import Similarity, fit_similarity
from dancebench.datasets.pose.skeleton import BODY, NECK, NOSE, R_KNEE

CLIP = np.stack([waving(t, (256, 128)) for t in range(12)])


@given(st.floats(0.3, 3), st.floats(-3, 3), st.floats(-200, 200), st.floats(-200, 200))
def test_closed_form_a_moved_clip_gives_its_own_motion_back(scale: float, turn: float, x: float, y: float) -> None:
    moved = Similarity(scale, turn, (x, y), 0).apply(CLIP)
    found = fit_similarity(CLIP, moved)
    assert found.scale == pytest.approx(scale, rel=1e-3)
    assert math.remainder(found.rotation - turn, 2 * math.pi) == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(found.apply(CLIP), moved, atol=0.05)


def test_foreign_reference_scikit_image_fits_the_same_to_the_mean_bodies() -> None:
    transform = pytest.importorskip("skimage.transform")
    rng = np.random.default_rng(0)
    target = Similarity(0.7, 0.3, (20.0, -5.0), 0).apply(CLIP)
    target[..., :2] += np.where(target[..., 2:] > 0, rng.normal(0, 6, (1, 75, 2)), 0).astype(np.float32)
    target[:3, R_KNEE] = 0
    ours = fit_similarity(CLIP, target)
    seen = np.flatnonzero(CLIP[0, BODY, 2] > 0)
    means = [np.nanmean(np.where(clip[:, seen, 2:] > 0, clip[:, seen, :2], np.nan), axis=0) for clip in (CLIP, target)]
    theirs = transform.SimilarityTransform()
    theirs.estimate(*means)
    assert ours.scale == pytest.approx(theirs.scale, rel=1e-5)
    assert ours.rotation == pytest.approx(theirs.rotation, abs=1e-5)
    np.testing.assert_allclose(ours.shift, theirs.translation, atol=1e-3)
    assert ours.n_joints == len(seen)


def test_missing_points_stay_missing_and_confidences_stay() -> None:
    clip = CLIP.copy()
    clip[2, NOSE] = 0
    clip[..., 2] *= 0.5
    moved = Similarity(2, 0, (7.0, 9.0), 0).apply(clip)
    assert not moved[2, NOSE].any()
    assert np.array_equal(moved[..., 2], clip[..., 2])
    np.testing.assert_allclose(moved[0, NECK, :2], 2 * clip[0, NECK, :2] + (7, 9))
    assert moved.dtype == np.float32


def test_it_is_one_of_the_normalisations_and_no_range() -> None:
    assert NORMALISATIONS == ("paper", "robust", "similarity")
    fitted = fit(CLIP, CLIP, frame_height=256, kind="similarity")
    assert fitted.facts()["kind"] == "similarity"
    robust = fit(CLIP, CLIP, frame_height=256, kind="robust")
    assert robust == fit_normalisation(CLIP, CLIP, frame_height=256, kind="robust")
    with pytest.raises(UnknownNameError, match="normalisation"):
        fit(CLIP, CLIP, frame_height=256, kind="similar")
    with pytest.raises(UnknownNameError, match="normalisation"):
        measure_range(CLIP, "similarity")


def test_bodies_without_size_or_shared_joints_are_refused() -> None:
    nobody, nose = np.zeros_like(CLIP), np.zeros_like(CLIP)
    nose[:, NOSE] = CLIP[:, NOSE]
    for source, target, why in ((CLIP, nobody, "share 0 body"), (nose, CLIP, "share 1 body")):
        with pytest.raises(BenchError, match=why) as error:
            fit_similarity(source, target)
        assert error.value.hint
    point = CLIP.copy()
    point[..., :2] = 5
    for source, target in ((point, CLIP), (CLIP, point)):
        with pytest.raises(BenchError, match="lie in one place"):
            fit_similarity(source, target)
