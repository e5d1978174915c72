"""Many people's training spans as one clip: what each frame is, and which examples there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import make_dataset, write_masks_of
from hypothesis import given
from hypothesis import strategies as st

from dancebench.synth.clip import TrainingClip, load_training_clip
from dancebench.synth.methods.ddg.background import number_scenes
from dancebench.synth.methods.ddg.pairs import PersonFrames
from dancebench.synth.methods.posewarp.method import PosePairs
from dancebench.synth.pooled_clip import _Positions, pool_clips


@pytest.fixture
def clips(tmp_path: Path) -> list[TrainingClip]:
    """Three people with 16, 20 and 24 training frames at 64x32."""
    made = []
    for number in range(3):
        subject = make_dataset(tmp_path, subject=f"p{number}", n_frames=20 + 5 * number).subject(f"p{number}")
        write_masks_of(subject)
        made.append(load_training_clip(subject, 64))
    return made


def test_frames_poses_and_masks_are_those_of_each_person(clips: list[TrainingClip]) -> None:
    pooled = pool_clips(clips)
    assert (len(pooled), pooled.size, pooled.person_starts) == (60, (64, 32), (16, 36))
    index = np.array([[0, 15], [16, 35], [36, 59]])
    for person, (clip, rows) in enumerate(zip(clips, index, strict=True)):
        own = rows - (0, 16, 36)[person]
        assert (pooled.people[rows] == person).all()
        for name in ("frames", "pose_maps", "masks"):
            assert (getattr(pooled, name)[index][person] == getattr(clip, name)[own]).all()
        assert (pooled.keypoints[rows] == clip.keypoints[own]).all()
    assert pooled.masks.shows_person.tolist() == [shown for clip in clips for shown in clip.masks.shows_person]
    assert pooled.at(32).size == (32, 16)


def test_no_example_shows_two_people(clips: list[TrainingClip]) -> None:
    pooled = pool_clips(clips)
    starts = pooled.list_example_starts(2)
    assert len(starts) == sum(len(clip.list_example_starts(2)) for clip in clips)
    assert (pooled.people[starts] == pooled.people[starts + 1]).all()
    assert number_scenes(pooled).tolist() == pooled.people.tolist()  # the same picture, yet three scenes
    rng = np.random.default_rng(0)
    for pairs in (PosePairs(pooled, 0.5).sample_examples(rng, 60), PersonFrames(pooled).sample_pairs(rng, 60, 0.5)):
        assert (pooled.people[pairs[:, 0]] == pooled.people[pairs[:, 1]]).all()
        assert len(np.unique(pooled.people[pairs])) == 3


def test_a_clip_of_one_person_stays_as_it_is(clips: list[TrainingClip]) -> None:
    pooled = pool_clips(clips[:1])
    for one, other in ((PosePairs(clips[0], 0.5), PosePairs(pooled, 0.5)),):
        drawn = [pairs.sample_examples(np.random.default_rng(3), 40).tolist() for pairs in (one, other)]
        assert drawn[0] == drawn[1]
    assert pooled.person_starts == ()
    assert not clips[0].people.any()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_every_frame_has_one_place(lengths: list[int]) -> None:
    positions = _Positions(lengths)
    located = [(person, int(one[0])) for person, one in positions.locate(range(positions.count))]
    assert located == [(person, t) for person, length in enumerate(lengths) for t in range(length)]
