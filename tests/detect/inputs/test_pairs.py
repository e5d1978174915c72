"""Pairs of consecutive frames."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.datasets.video.clips import VideoReader
from dancebench.detect.inputs import pairs as pairs_module
from dancebench.detect.inputs.pairs import PairPool, PooledClip, augment, choose_pair_starts, load_pool, read_pairs
from dancebench.detect.inputs.video_set import VideoSet

# --- closed form


@pytest.mark.parametrize(
    ("n_frames", "k", "expected"),
    [(0, 4, []), (1, 4, []), (2, 4, [0]), (5, 4, [0, 1, 2, 3]), (101, 2, [25, 75]), (11, 5, [1, 3, 5, 7, 9])],
)
def test_closed_form_pair_starts(n_frames: int, k: int, expected: list[int]) -> None:
    assert choose_pair_starts(n_frames, k).tolist() == expected


# --- laws


@given(st.integers(0, 5000), st.integers(1, 300))
def test_pair_starts_are_distinct_rising_even_and_inside(n_frames: int, k: int) -> None:
    starts = choose_pair_starts(n_frames, k)
    assert len(starts) == min(k, max(n_frames - 1, 0))
    if len(starts):
        assert starts[0] >= 0
        assert starts[-1] + 1 <= n_frames - 1
    if len(starts) > 1:
        gaps = np.diff(starts)
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1


@given(st.integers(0, 60), st.one_of(st.none(), st.integers(1, 70)), st.integers(1, 6), st.sets(st.integers(1, 59)))
def test_no_window_holds_frames_of_two_segments(n_frames: int, k: int | None, window: int, breaks: set[int]) -> None:
    edges = sorted({0, n_frames, *(first for first in breaks if first < n_frames)})
    possible = [start for a, b in itertools.pairwise(edges) for start in range(a, b) if start + window <= b]
    starts = choose_pair_starts(n_frames, k, window, breaks).tolist()
    assert set(starts) <= set(possible)
    assert len(starts) == (len(possible) if k is None else min(k, len(possible)))
    assert starts == sorted(set(starts))


@given(st.integers(0, 2**32 - 1))
def test_both_frames_of_a_pair_are_augmented_alike(seed: int) -> None:
    frame = np.random.default_rng(5).integers(0, 256, (24, 16, 3), dtype=np.uint8)
    first, second = augment(np.stack([frame, frame]), np.random.default_rng(seed))
    assert first.shape == frame.shape
    np.testing.assert_array_equal(first, second)


def test_augmentation_always_consumes_the_same_number_of_draws() -> None:
    pair = np.zeros((2, 24, 16, 3), np.uint8)
    for seed in range(20):
        used, plain = np.random.default_rng(seed), np.random.default_rng(seed)
        augment(pair, used)
        plain.random()
        plain.integers(9, size=2)
        plain.random(2)
        assert used.random() == plain.random()


# --- reading


def test_read_pairs_are_neighbours_of_the_clip(videos: VideoSet) -> None:
    path = videos.path(videos.rows[0])
    times, found = read_pairs(path, (64, 32), 4)
    with VideoReader(path) as reader:
        starts = choose_pair_starts(len(reader), 4)
        for pair, start in zip(found, starts, strict=True):
            np.testing.assert_array_equal(pair, reader.read([start, start + 1]))
        np.testing.assert_array_equal(times, reader.timestamps[starts])


def test_pairs_and_training_windows_stay_within_segments(videos: VideoSet) -> None:
    row = videos.rows[0]
    path = videos.path(row)
    times, found = read_pairs(path, (64, 32), None, 2, [3, 4])
    with VideoReader(path) as reader:
        kept = [t for t in range(len(reader) - 1) if t + 1 not in (3, 4)]
        np.testing.assert_array_equal(times, reader.timestamps[kept])
        np.testing.assert_array_equal(found[:, 1], reader.read([t + 1 for t in kept]))
    broken = tuple(each.model_copy(update={"breaks": (4,)}) for each in videos)
    pool = load_pool(VideoSet(videos.root, broken), (64, 32), window=3)
    lengths = [row.n_frames for row in videos]
    assert [clip.firsts.tolist() for clip in pool._clips] == [[0, 1, *range(4, length - 2)] for length in lengths]
    every = tuple(each.model_copy(update={"breaks": tuple(range(1, each.n_frames))}) for each in videos)
    with pytest.raises(BenchError, match=r"Every segment of .* has fewer than two frames"):
        load_pool(VideoSet(videos.root, every), (64, 32))


def test_breaks_enter_the_hash_of_a_set_only_where_there_are_any(videos: VideoSet) -> None:
    row = videos.rows[0]
    broken = VideoSet(videos.root, (row.model_copy(update={"breaks": (2,)}),))
    assert broken.sha256 != VideoSet(videos.root, (row,)).sha256


def test_read_pairs_letterboxes_to_the_detectors_size(videos: VideoSet) -> None:
    path = videos.path(videos.rows[0])
    _, found = read_pairs(path, (32, 32), 2)
    assert found.shape == (2, 2, 32, 32, 3)
    assert found[..., :7, :].max() == 0  # a 64x32 clip becomes 32x16 between two bars


@pytest.mark.parametrize("budget", [1 << 30, 24 * 6 * 64 * 32 * 3, 1])
def test_every_pooled_pair_is_consecutive_within_any_memory(
    videos: VideoSet, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    monkeypatch.setattr(pairs_module, "POOL_BYTES", budget)
    monkeypatch.setattr(pairs_module, "augment", lambda pair, generator: pair)
    pool = load_pool(videos, (64, 32))
    neighbours = set()
    for row in videos:
        with VideoReader(videos.path(row)) as reader:
            frames = reader.read(range(len(reader)))
        neighbours |= {(row.label, a.tobytes() + b.tobytes()) for a, b in itertools.pairwise(frames)}
    batch, labels = pool.draw_batch(64, np.random.default_rng(0))
    drawn = {(int(label), pair.tobytes()) for label, pair in zip(labels, batch, strict=True)}
    assert drawn <= neighbours
    if budget == 1:
        assert len(drawn) <= len(videos)  # one pair of each


def clip(subject: str, label: int, value: int, n_frames: int = 5) -> PooledClip:
    frames = np.full((n_frames, 16, 16, 3), value, np.uint8)
    return PooledClip(subject, label, frames, np.arange(n_frames - 1))


def test_a_batch_is_half_fake_and_samples_people_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "augment", lambda pair, generator: pair)
    many = [clip("a", 1, 10) for _ in range(9)]  # one person with many fakes must not dominate
    pool = PairPool([clip("a", 0, 1), clip("b", 0, 2), *many, clip("b", 1, 20)])
    batch, labels = pool.draw_batch(400, np.random.default_rng(0))
    values = batch[:, 0, 0, 0, 0]
    assert labels.mean() == 0.5
    assert set(values[labels == 0]) == {1, 2}
    share_of_a = (values[labels == 1] == 10).mean()
    assert 0.4 < share_of_a < 0.6


def test_a_batch_follows_from_its_generator_alone() -> None:
    pool = PairPool([clip("a", 0, 1), clip("a", 1, 2)])
    first, again = (pool.draw_batch(8, np.random.default_rng((3, 7)))[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_degraded_copies_differ_and_are_sampled_at_the_configured_share(videos: VideoSet) -> None:
    own = videos.select(lambda row: row.subject_id == "s01")
    pool = load_pool(own, (64, 32), degraded=0.75, copies=3)
    for each in pool._clips:
        assert len(each.degraded) == 3
        assert all(copy.shape == each.frames.shape for copy in each.degraded)
        assert not np.array_equal(each.degraded[0], each.degraded[1])
    levels = np.array([0, 80, 160, 240])  # so far apart that augmentation confuses none
    flat = [
        replace(
            each,
            frames=np.full_like(each.frames, levels[0]),
            degraded=tuple(np.full_like(each.frames, level) for level in levels[1:]),
        )
        for each in pool._clips
    ]
    drawn, _ = PairPool(flat, 2, degraded=0.75).draw_batch(1000, np.random.default_rng(0))
    nearest = np.abs(drawn.mean(axis=(1, 2, 3, 4))[:, None] - levels).argmin(axis=1)
    assert np.bincount(nearest, minlength=4) / 1000 == pytest.approx(np.full(4, 0.25), abs=0.05)


# --- bad input


def test_a_pool_without_fakes_is_an_error() -> None:
    with pytest.raises(BenchError, match="no fake video"):
        PairPool([clip("a", 0, 1)])


def test_a_video_that_was_changed_is_an_error(videos: VideoSet) -> None:
    row = videos.rows[0].model_copy(update={"sha256": "0" * 64})
    with pytest.raises(BenchError, match="was changed after"):
        load_pool(VideoSet(videos.root, (row,)), (64, 32))


def test_a_video_that_is_missing_is_an_error(videos: VideoSet) -> None:
    row = videos.rows[0].model_copy(update={"path": "gone.mp4"})
    with pytest.raises(BenchError, match="does not exist"):
        load_pool(VideoSet(videos.root, (row,)), (64, 32))


def test_a_clip_of_one_frame_is_refused_in_training(tmp_path: Path, clips: SimpleNamespace) -> None:
    short = clips.add_video(tmp_path, 50, "train", 0, clips.real_frames(50, n_frames=1))
    with pytest.raises(BenchError, match="s50/s50/real has fewer than two frames"):
        load_pool(VideoSet(tmp_path, (short,)), (64, 32))
