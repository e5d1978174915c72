"""The nearest-neighbour baseline (EDN section 4.1, Eq. 6): for every pose the closest training frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from dancebench.datasets.pose.distance import find_nearest_pose
from dancebench.datasets.pose.skeleton import scale_keypoints
from dancebench.synth.base import METHODS, Method, SynthConfig
from dancebench.synth.clip import Motion, TrainingClip


@METHODS.register("nearest")
class Nearest(Method):
    """Retrieval by pose distance; there is no iterative training.

    Its weights are the training poses; the frames stay in the clip.
    """

    section: ClassVar[str] = "EDN 4.1, Eq. 6"

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        super().__init__(config, clip, device)
        self._candidates = clip.list_example_starts(1)
        self._poses = clip.keypoints[self._candidates]

    def weights(self) -> dict[str, torch.Tensor]:
        return {"poses": torch.from_numpy(self._poses), "frames": torch.from_numpy(self._candidates)}

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._poses = weights["poses"].cpu().numpy()
        self._candidates = weights["frames"].cpu().numpy()

    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        height, width = self.clip.size
        best = 0
        for pose in scale_keypoints(motion.keypoints, width / motion.size[1], height / motion.size[0]):
            nearest = find_nearest_pose(pose, self._poses)
            best = best if nearest is None else nearest  # a frame without a pose repeats the previous image
            yield self.clip.frames[self._candidates[[best]]][0]
