"""What tests of poses share: an extractor that finds what a function says, wherever one is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dancebench.datasets.pose.extractors.base import PoseExtractor
from dancebench.datasets.pose.skeleton import Keypoints

Find = Callable[[Iterable[npt.NDArray[np.uint8]]], Iterator[Keypoints]]


class StubExtractor(PoseExtractor):
    """Finds what `find` yields for the frames; `description` tells it from others."""

    def __init__(self, find: Find, description: str = "a stub") -> None:
        self.find = find
        self.description = description

    @classmethod
    def explain_absence(cls) -> str | None:
        return None

    def describe(self) -> str:  # type: ignore[override]
        return self.description

    def extract(self, frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Keypoints]:
        return self.find(frames)


def always_open(find: Find) -> Callable[..., Any]:
    """In place of `open_extractor` or `PoseSource.open`: whatever is asked for, the stub is given."""
    return lambda *_: StubExtractor(find)
