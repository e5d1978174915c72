"""Training pairs of DDG: an input frame, whose person is cut into parts, and a reference frame, which is generated.

Both show the same person in the same scene: a pair never straddles a cut. A motion is put into one scene too, that in
which the person stood most like it; its input frames and its background are that scene's.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.distance import (
    find_nearest_pose,
    measure_distance_to_nearest,
    normalised_pose_distances,
)
from dancebench.datasets.pose.skeleton import Keypoints, has_person
from dancebench.synth.clip import TrainingClip
from dancebench.synth.methods.ddg.background import number_scenes

_NEAR_GAP: Final = 10  # frames; a pair any closer in time shows nearly the same image twice
_NEAREST: Final = 10  # how many input frames count as near a pose
_ASKED: Final = 50  # how many poses of a motion, evenly placed, say in which scene it is


class PersonFrames:
    """The frames of a clip that show the person, with pose and mask, by scene.

    Raises:
        BenchError: No scene has two of them.

    Attributes:
        frames: Their positions in the clip, of scenes that have two or more.
        scenes: The scene of each.
    """

    def __init__(self, clip: TrainingClip) -> None:
        scenes = number_scenes(clip)
        shown = has_person(clip.keypoints) & clip.masks.shows_person
        counts = np.bincount(scenes[shown], minlength=int(scenes[-1]) + 1)
        if counts.max() < 2:
            cuts = (np.flatnonzero(np.diff(scenes)) + 1).tolist()
            where = f" within one scene (it is cut at frame {', '.join(map(str, cuts))})" if cuts else ""
            raise BenchError(
                f"The training span has no two frames{where} in which both a pose and the person's outline were found "
                f"({int(shown.sum())} of {len(clip)} have them).",
                hint="Use a longer clip without cuts, in which the person stays in view.",
            )
        self.frames = np.flatnonzero(shown & (counts[scenes] >= 2))
        self.scenes = scenes[self.frames]
        self._poses = clip.keypoints
        self._all_scenes = scenes

    def list_scenes(self) -> dict[int, npt.NDArray[np.intp]]:
        """All frames of each scene that has pairs, also those without a person."""
        return {int(scene): np.flatnonzero(self._all_scenes == scene) for scene in np.unique(self.scenes)}

    def get_scene(self, frame: int) -> int:
        """The scene of a frame of the clip."""
        return int(self._all_scenes[frame])

    def sample_pairs(self, rng: np.random.Generator, count: int, near_share: float) -> npt.NDArray[np.intp]:
        """Sample pairs (input, reference), [count, 2].

        Args:
            rng: Of the step.
            count: How many.
            near_share: Share of the pairs whose input is among the frames nearest in pose, as at synthesis; the inputs
                of the others are random ones, as in the paper.
        """
        return np.array([self._sample_pair(rng, near_share) for _ in range(count)], dtype=np.intp)

    def _sample_pair(self, rng: np.random.Generator, near_share: float) -> tuple[int, int]:
        reference = int(rng.integers(len(self.frames)))
        near, draw = rng.random() < near_share, rng.random()  # always as many draws: the others stay as they are
        inputs = self.find_near(reference) if near else self._list_others(reference)
        return int(inputs[int(draw * len(inputs))]), int(self.frames[reference])

    def find_near(self, reference: int) -> npt.NDArray[np.intp]:
        """The frames of its scene nearest in pose to one of `frames`; those adjacent to it in time last, if at all."""
        others = self._list_others(reference)
        adjacent = np.abs(others - self.frames[reference]) <= _NEAR_GAP
        distances = normalised_pose_distances(self._poses[self.frames[reference]], self._poses[others])
        order = np.lexsort((distances, adjacent))
        near: npt.NDArray[np.intp] = others[order[: min(_NEAREST, max(1, int((~adjacent).sum())))]]
        return near

    def choose_scene(self, poses: Keypoints) -> int:
        """The scene whose poses are nearest to those of a motion, [T, 75, 3], by place and size too: median of Eq. 6.

        The one with most frames where none of them can be compared.
        """
        asked = poses[np.unique(np.linspace(0, len(poses) - 1, _ASKED).round().astype(int))]
        counts = np.bincount(self.scenes)
        by_size = sorted((int(scene) for scene in np.unique(self.scenes)), key=lambda scene: -int(counts[scene]))
        return min(by_size, key=lambda scene: self._measure_distance(asked, scene))

    def _measure_distance(self, poses: Keypoints, scene: int) -> float:
        """Median distance of poses to the nearest ones of a scene, in pixels; infinite where none can be compared."""
        others = self._poses[self.frames[self.scenes == scene]]
        distances = [measure_distance_to_nearest(pose, others, 1) for pose in poses[has_person(poses)]]
        known = [distance for distance in distances if np.isfinite(distance)]
        return float(np.median(known)) if known else np.inf

    def find_input(self, pose: Keypoints, scene: int) -> int | None:
        """The frame of a scene nearest to a pose (75, 3), whatever its place and size; None: no joint is shared.

        The paper's "shortest normalized pose keypoint distance". By place as well, in plain Eq. 6, the parts fit worse:
        without any training, the squared error inside the person's outline is 703 by Eq. 6 and 687 by this on the
        first demo dancer. On the first two moving ones it is 548 and 749 by Eq. 6, 473 and 603 by this, where each
        frame's light is fitted. Where it is not, it is 785 and 848 to 803 and 911: the frames that Eq. 6 finds happen
        to be lit more like those that are generated, which a pose does not tell.
        """
        frames = self.frames[self.scenes == scene]
        nearest = find_nearest_pose(pose, self._poses[frames], normalised_pose_distances)
        return None if nearest is None else int(frames[nearest])

    def _list_others(self, reference: int) -> npt.NDArray[np.intp]:
        same = self.scenes == self.scenes[reference]
        same[reference] = False
        others: npt.NDArray[np.intp] = self.frames[same]
        return others


def list_history(
    starts_segment: npt.NDArray[np.bool_], frames: npt.NDArray[np.intp], count: int
) -> npt.NDArray[np.intp]:
    """Each frame with the ones before it, oldest first: [N, count] from [N].

    A segment has nothing before its first frame, which is repeated: so a motion of fewer frames is no special case.
    """
    starts = np.maximum.accumulate(np.where(starts_segment, np.arange(len(starts_segment)), 0))[frames]  # [N]
    back = np.arange(count - 1, -1, -1)
    return np.maximum(frames[:, None] - back, starts[:, None])
