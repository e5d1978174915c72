"""Pose extractors: frames of one person in, a pose for each out; the registry, and which one this machine uses.

Poses of two extractors are not comparable: a dataset is prepared with one, which its record names with version and
models, and every pose that is compared with its poses comes from the same one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.registry import Registry, list_missing_parts
from dancebench.datasets.pose.skeleton import Keypoints

Frame = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
"""Which pixels of a frame show the person: bool [H, W]."""


class PoseExtractor(ABC):
    """Finds the pose of the person in each frame. It is made without arguments, and holds no frame.

    Class attributes:
        priority: Of the extractors that a machine can run, the one with the highest is the default; None: never.
    """

    priority: ClassVar[int | None] = None

    @classmethod
    @abstractmethod
    def explain_absence(cls) -> str | None:
        """Why it cannot run on this machine, in a sentence; None where it can. Nothing is downloaded to find out."""

    @classmethod
    @abstractmethod
    def describe(cls) -> str:
        """Library with version, model and settings: equal texts mean comparable poses. It works wherever it runs.

        Raises:
            BenchError: It cannot run on this machine.
        """

    @classmethod
    def model_hashes(cls) -> Mapping[str, str]:
        """SHA-256 of each model file by its name, once it is at hand; empty where there is no model.

        Raises:
            BenchError: A model cannot be had.
        """
        return {}

    @abstractmethod
    def extract(self, frames: Iterable[Frame]) -> Iterator[Keypoints]:
        """Extract the pose of the person in each frame, in order.

        Args:
            frames: uint8 RGB [H, W, 3], consecutive.

        Yields:
            float32 [75, 3] per frame, in the layout of `skeleton`: x, y in pixels of that frame (pixel centres are
            whole numbers) and the confidence, 0 = not found.

        Raises:
            BenchError: It cannot run on this machine.
        """

    def segment(self, frames: Iterable[Frame]) -> Iterator[Mask]:
        """Segment the person in each frame, in order.

        Args:
            frames: As for `extract`.

        Yields:
            bool [H, W] per frame; False everywhere where no person was found.

        Raises:
            BenchError: It cannot run on this machine, or finds poses alone, as by default.
        """
        raise BenchError(
            f"The pose extractor {type(self).__name__} finds poses, and no person masks.",
            hint="Person masks come from holistic and tasks: bench list extractors.",
        )


EXTRACTORS: Registry[type[PoseExtractor]] = Registry(
    "pose extractor",
    package="dancebench.datasets.pose.extractors",
    group="dancebench.extractors",
    list_missing=lambda entry: list_missing_parts(entry, PoseExtractor),
)

_HINT: Final = "bench list extractors shows what each needs; bench doctor what this machine has."


def find_default_extractor() -> str | None:
    """Name of the extractor that this machine uses unless told otherwise; None where none can run."""
    ranked = [
        (entry.priority, name)
        for name, entry in EXTRACTORS.entries().items()
        if entry.priority is not None and entry.explain_absence() is None
    ]
    return max(ranked)[1] if ranked else None


def open_extractor(name: str | None = None) -> PoseExtractor:
    """The extractor of that name, or this machine's default.

    Raises:
        UnknownNameError: There is no such extractor.
        BenchError: It cannot run on this machine, or no extractor can.
    """
    if name is None:
        name = find_default_extractor()
        if name is None:
            reasons = "; ".join(
                f"{each}: {entry.explain_absence()}"
                for each, entry in EXTRACTORS.entries().items()
                if entry.priority is not None
            )
            raise BenchError(f"No pose extractor can run on this machine ({reasons}).", hint=_HINT)
    extractor = EXTRACTORS[name]
    reason = extractor.explain_absence()
    if reason is not None:
        raise BenchError(f"The pose extractor '{name}' cannot run on this machine: {reason}.", hint=_HINT)
    return extractor()
