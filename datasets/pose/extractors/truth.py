"""`truth`: the keypoints that a demo dancer was drawn from; nothing is found in frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.extractors.base import EXTRACTORS, Frame, PoseExtractor, open_extractor
from dancebench.datasets.pose.skeleton import Keypoints

TRUTH_EXTRACTOR = "truth"


@EXTRACTORS.register(TRUTH_EXTRACTOR)
class TruthExtractor(PoseExtractor):
    """For drawn dancers alone: whoever draws them supplies their keypoints with the frames."""

    @classmethod
    def explain_absence(cls) -> str | None:
        return None

    @classmethod
    def describe(cls) -> str:
        return "the drawn dancer's own keypoints"

    def extract(self, frames: Iterable[Frame]) -> Iterator[Keypoints]:
        """It always refuses.

        Raises:
            BenchError: True keypoints come with a drawing; they cannot be found in frames. Without any extractor, the
                reasons.
        """
        open_extractor()
        raise BenchError(
            "Only drawn dancers have true keypoints; in other frames poses must be found.",
            hint="Use another dataset, whose --poses is an extractor: bench list extractors.",
        )
