"""Batches: the batch of a step depends on seed, phase and step alone; caching and streaming give the same pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from dancebench.datasets.subjects.dataset import Subject
from dancebench.synth import clip as clip_module
from dancebench.synth.base import METHODS, Phase, Schedule
from dancebench.synth.clip import HostBatch, load_training_clip
from dancebench.synth.gan.method import GanConfig
from dancebench.synth.training.batches import _prefetch, iterate_batches

CPU = torch.device("cpu")
CONFIG = GanConfig(long_side=64, ngf=4, n_down=2, n_blocks=1, ndf=4, n_scales=1, schedule=Schedule(steps=4, batch=3))


def make_phase(subject: Subject) -> Phase:
    method = METHODS["fbf-ts"](CONFIG, load_training_clip(subject, 64), CPU)
    return method.start_phase("global", None)  # type: ignore[attr-defined, no-any-return]


def test_a_step_sees_the_same_batch_wherever_the_training_begins(walker: Subject) -> None:
    phase = make_phase(walker)
    whole = [batch.index for batch in iterate_batches(phase, (7, 0), range(6), CPU)]
    tail = [batch.index for batch in iterate_batches(phase, (7, 0), range(4, 6), CPU)]
    assert np.array_equal(whole[4:], tail)
    assert not np.array_equal(whole[0], whole[1])
    other = next(iter(iterate_batches(phase, (7, 1), range(1), CPU)))
    assert not np.array_equal(whole[0], other.index)


def test_streamed_and_cached_clips_give_the_same_pixels(walker: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = load_training_clip(walker, 64)
    monkeypatch.setattr(clip_module, "_SHARE_OF_MEMORY", 0.0)
    streamed = load_training_clip(walker, 64)
    index = np.array([[3, 4], [20, 21]])
    a, b = cached.read_batch(index, CPU), streamed.read_batch(index, CPU)
    assert torch.equal(a.frames, b.frames)
    assert torch.equal(a.pose_maps, b.pose_maps)
    assert cached.frames._kept is not None
    assert streamed.frames._kept is None
    assert streamed.pose_maps._kept is None


def test_large_pose_maps_are_drawn_when_needed(walker: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the paper's size a frame takes 1.6 MB: with its pose map it would exceed 2 GB per 1,000."""
    monkeypatch.setattr(clip_module, "_BYTES_PER_FRAME", 2 * 64 * 32 * 3 - 1)
    clip = load_training_clip(walker, 64)
    clip.read_batch(np.array([[0]]), CPU)
    assert clip.frames._kept is not None
    assert clip.pose_maps._kept is None


def test_the_limits_keep_the_papers_size_under_two_gigabytes_per_thousand_frames() -> None:
    frame = 512 * 1024 * 3
    assert 2 * frame > clip_module._BYTES_PER_FRAME  # so its pose maps are not cached
    assert 1000 * frame < 2e9


def test_prefetched_batches_come_in_order_and_errors_are_raised() -> None:
    def make_batches(count: int, error: bool) -> Iterator[HostBatch]:
        for k in range(count):
            yield HostBatch(*(torch.zeros(1),) * 3, np.array([[k]]))
        if error:
            raise ValueError("the disk is gone")

    assert [int(batch.index[0, 0]) for batch in _prefetch(make_batches(9, error=False))] == list(range(9))
    seen = []
    with pytest.raises(ValueError, match="the disk is gone"):
        seen.extend(_prefetch(make_batches(2, error=True)))
    part = _prefetch(make_batches(50, error=False))
    next(part)
    part.close()  # a consumer that stops early leaves no thread behind
