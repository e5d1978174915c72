"""The training spans of several people as one clip: what a generator of everybody is trained on.

Each person's frames, poses and masks stay as they are, one person after the other. A segment begins with each person,
so that no example shows two of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.synth.clip import CachedFrames, FrameMasks, Pixels, TrainingClip


def pool_clips(clips: Sequence[TrainingClip]) -> TrainingClip:
    """One clip of all people, in this order; frames are read and kept by the clips that they come from.

    Raises:
        BenchError: The frames have several sizes.
    """
    sizes = sorted({clip.size for clip in clips})
    if len(sizes) > 1:
        found = ", ".join(f"{height}x{width}" for height, width in sizes)
        raise BenchError(
            f"One generator of several people needs frames of one size; found: {found} (height x width).",
            hint="Prepare all recordings to the same size.",
        )
    positions = _Positions([len(clip) for clip in clips])

    def pool(read: Callable[[TrainingClip], CachedFrames]) -> CachedFrames:
        frames = [read(clip) for clip in clips]  # each keeps what it has read
        return CachedFrames(
            lambda index: np.stack([frames[person][one][0] for person, one in positions.locate(index)]),
            positions.count,
            cached=False,
        )

    return TrainingClip(
        frames=pool(lambda clip: clip.frames),
        pose_maps=pool(lambda clip: clip.pose_maps),
        keypoints=np.concatenate([clip.keypoints for clip in clips]),
        face_centres=np.concatenate([clip.face_centres for clip in clips]),
        starts_segment=np.concatenate([clip.starts_segment for clip in clips]),
        size=sizes[0],
        masks=_PooledMasks([clip.masks for clip in clips], positions),
        at=lambda other: pool_clips([clip.at(other) for clip in clips]),
        person_starts=positions.starts[1:],
    )


class _Positions:
    """Where the frames of a pooled clip lie in those that it is made of.

    Args:
        lengths: Of the clips, in frames.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        *starts, self.count = itertools.accumulate(lengths, initial=0)
        self.starts = tuple(starts)

    def locate(self, index: Sequence[int]) -> list[tuple[int, npt.NDArray[np.intp]]]:
        """The clip of each frame, and its position there, [1]."""
        people = (np.searchsorted(self.starts, index, side="right") - 1).tolist()
        return [(person, np.array([t - self.starts[person]])) for person, t in zip(people, index, strict=True)]


class _PooledMasks:
    """The masks of several people's clips, as `FrameMasks`."""

    def __init__(self, masks: Sequence[FrameMasks], positions: _Positions) -> None:
        self._masks = masks
        self._positions = positions

    def find(self, report: ReportProgress = ignore_progress) -> None:
        for masks in self._masks:
            masks.find(report)

    def __getitem__(self, index: npt.NDArray[np.intp]) -> Pixels:
        located = self._positions.locate(index.reshape(-1).tolist())
        taken = np.stack([self._masks[person][one][0] for person, one in located])
        return np.asarray(taken.reshape(*index.shape, *taken.shape[1:]), np.uint8)

    @property
    def shows_person(self) -> npt.NDArray[np.bool_]:
        return np.concatenate([masks.shows_person for masks in self._masks])
