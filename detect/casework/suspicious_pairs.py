"""The pairs of a video with the highest likelihood ratios: what is recorded of them, and what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dancebench.core.schema import Strict
from dancebench.detect.casework.prepare import PreparedVideo
from dancebench.detect.protocol.card import LoadedDetector
from dancebench.detect.trunk.features import find_content


class SuspiciousPair(Strict):
    """One of the pairs with the highest likelihood ratios, fake : real."""

    t: float
    llr: float
    what: str | None = None
    """What of it is the most evidence for a fake, in words; None if the detector cannot say, and in reports before
    version 5."""


@dataclass(frozen=True)
class SuspiciousPairImage:
    """A suspicious pair as the detector sees it."""

    t: float
    llr: float
    frame: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, the first of its pair, at the detector's own size without black bars."""
    saliency: npt.NDArray[np.float32] | None
    """(H, W) in [0, 1], of the same part; None if the detector computes no saliency map."""
    what: str | None = None
    """What of it is the most evidence for a fake, in words; None if the detector cannot say."""


class DescribedWindow(NamedTuple):
    """A window as the detector sees it; fields as of `SuspiciousPairImage`."""

    frame: npt.NDArray[np.uint8]
    saliency: npt.NDArray[np.float32] | None
    what: str | None


def describe_windows(
    prepared: PreparedVideo, loaded: LoadedDetector, starts: npt.NDArray[np.intp], pictures: bool
) -> Iterator[DescribedWindow]:
    """Each window that begins at these frames, with its saliency map if pictures are wanted."""
    detector = loaded.detector
    for windows in prepared.read_windows(starts, detector.config.size, detector.window):  # (M, window, H, W, 3)
        nothing = [None] * len(windows)
        maps = detector.saliency(windows) if pictures else None
        words = detector.explain(windows)
        for window, saliency, what in zip(windows, nothing if maps is None else maps, words or nothing, strict=True):
            shown = find_content(window)  # a small picture lies in the middle of a view that is never enlarged
            cut = shown.rows, shown.columns
            yield DescribedWindow(window[0][cut], None if saliency is None else saliency[cut], what)
