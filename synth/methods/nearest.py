"""The nearest-neighbour baseline (EDN section 4.1, Eq. 6): for every pose the closest training frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from dancebench.datasets.skeleton import BODY, Keypoints, scaled
from dancebench.synth.clip import TrainingClip
from dancebench.synth.method import METHODS, Method, Motion, SynthConfig


@METHODS.register("nearest")
class Nearest(Method):
    """Retrieval by pose distance; nothing is trained by steps.

    Its weights are the training poses; the frames stay in the clip.
    """

    section: ClassVar[str] = "EDN 4.1, Eq. 6"

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        super().__init__(config, clip, device)
        self._candidates = clip.starts(1)
        self._poses = clip.keypoints[self._candidates]

    def weights(self) -> dict[str, torch.Tensor]:
        return {"poses": torch.from_numpy(self._poses), "frames": torch.from_numpy(self._candidates)}

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._poses = weights["poses"].numpy()
        self._candidates = weights["frames"].numpy()

    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        height, width = self.clip.size
        poses = scaled(motion.keypoints, width / motion.size[1], height / motion.size[0])
        for pose in poses:
            yield self.clip.frames[self._candidates[int(np.argmin(pose_distances(pose, self._poses)))]]


def pose_distances(pose: Keypoints, others: Keypoints) -> npt.NDArray[np.float64]:
    """Eq. 6: the mean distance of corresponding body joints.

    Missing joints carry no position: the mean runs over the joints that both poses have.

    Args:
        pose: float32 [75, 3].
        others: float32 [N, 75, 3], in the same pixels.

    Returns:
        float64 [N] in pixels; infinite where no joint is shared.
    """
    both = (pose[BODY, 2] > 0) & (others[:, BODY, 2] > 0)  # [N, 25]
    distance = np.linalg.norm(others[:, BODY, :2] - pose[BODY, :2], axis=-1).astype(np.float64)  # [N, 25]
    shared = both.sum(axis=-1)
    total = np.where(both, distance, 0.0).sum(axis=-1)
    return np.where(shared > 0, total / np.maximum(shared, 1), np.inf)
