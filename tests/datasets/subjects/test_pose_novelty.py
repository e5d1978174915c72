"""Pose novelty of a prepared person, against the distances themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import make_dataset

from dancebench.datasets.pose.distance import pose_distances
from dancebench.datasets.subjects.pose_novelty import NEAREST, measure_pose_novelty
from dancebench.datasets.subjects.real_clips import list_shown_frames


def test_closed_form_novelty_is_the_mean_distance_to_the_nearest_training_poses(tmp_path: Path) -> None:
    subject = make_dataset(tmp_path, n_frames=40, missing=(36,)).subject("walker")
    keypoints, shown = subject.keypoints(), list_shown_frames(subject)
    training = keypoints[np.asarray(subject.train)]
    novelty = measure_pose_novelty(subject)
    assert len(novelty) == len(shown)
    for t, value in zip(shown, novelty, strict=True):
        distances = np.sort(pose_distances(keypoints[t], training))[:NEAREST]
        expected = np.nan if t == 36 else 100 * distances.mean() / 128
        assert value == pytest.approx(expected, nan_ok=True)
