"""Known reals of a case's own conditions: scores of a reference in; a calibration for these conditions out.

The device, the platform or the scene of a case may look less typical to a detector than the reals that its calibration
knows, or more typical. Where there are known reals of the same conditions, they take the place of these:

    reals    the reference's recordings, each counted as one person
    fakes    those of the calibration, moved by as much as the reference's mean score lies beside that of the
             calibration's reals: conditions are taken to move fakes as they move reals

and line, bounds and uncertainty are fitted again. So support for synthesized ends at ln(n + 1) of n recordings. What is
no further recording is counted once: the same file, and clips that show the same picture, of which nobody can tell
whether they are one recording cut into pieces. The questioned video is no reference for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import Field

from dancebench.core.errors import BenchError
from dancebench.core.schema import MAX_COUNT, Strict
from dancebench.datasets.video.upright import Frame
from dancebench.detect.casework.file_names import PassedOver
from dancebench.detect.casework.ratio import describe_calibration, measure_ratio
from dancebench.detect.evaluation.calibration import Calibrations, fit_calibration, measure_uncertainty
from dancebench.detect.evaluation.likelihood_ratios.items import CalibrationItems, share_evenly
from dancebench.detect.evaluation.likelihood_ratios.kept_scores import FILE, CalibrationScores
from dancebench.detect.inputs.near_duplicates import FRAMES, Fingerprint, compute_fingerprint, find_near_duplicates
from dancebench.detect.protocol.card import DetectorCard
from dancebench.detect.trunk.features import find_content

FEWEST: Final = 10
"""Recordings of a reference."""
_QUESTIONED: Final = "it shows the same as a questioned video"
_REPEATED: Final = "it shows the same as {}: counted once"


class ReferenceFacts(Strict):
    """The reference of a call."""

    scores: tuple[float, ...] = Field(min_length=FEWEST)
    """Of its recordings."""
    sha256: tuple[str, ...]
    """Of the same."""
    left_out: tuple[PassedOver, ...]
    """What else lay there, and why it does not count."""
    shift: float
    """How far their mean score lies above that of the calibration's reals, in the detector's units."""

    @property
    def recordings(self) -> int:
        """How many count."""
        return len(self.scores)


class ReferenceEffect(Strict):
    """What a reference changed for one video."""

    recordings: int = Field(ge=FEWEST, le=MAX_COUNT)
    llr_without: float
    """By the detector's own calibration."""


@dataclass(frozen=True)
class ReferenceVideo:
    """A video of the folder of a reference, or a questioned one.

    Attributes:
        path: Where it lies.
        sha256: Of the file.
        score: The detector's; None of a questioned video.
        fingerprint: Of some of its frames.
    """

    path: Path
    sha256: str
    score: float | None
    fingerprint: Fingerprint


def compute_clip_fingerprint(frames: Iterable[Frame]) -> Fingerprint:
    """The fingerprint of a clip: of `FRAMES` to twice as many frames, evenly placed, without black bars."""
    kept: list[Frame] = []
    stride = 1
    for index, frame in enumerate(frames):
        if index % stride == 0:
            kept.append(frame)
            if len(kept) > 2 * FRAMES:
                kept, stride = kept[::2], 2 * stride
    content = find_content(np.stack(kept))
    return compute_fingerprint([frame[content.rows, content.columns] for frame in kept])


def select_recordings(
    found: Sequence[ReferenceVideo], questioned: Sequence[ReferenceVideo]
) -> tuple[list[ReferenceVideo], list[tuple[Path, str]]]:
    """The recordings of a reference that count, and why the others do not.

    Args:
        found: In the folder, with scores.
        questioned: The videos of the case.
    """
    videos = [*questioned, *found]
    first_of = _find_first_alike(videos)
    counted: list[ReferenceVideo] = []
    left_out: list[tuple[Path, str]] = []
    for index, video in enumerate(found, start=len(questioned)):
        first = first_of[index]
        if first < len(questioned):
            left_out.append((video.path, _QUESTIONED))
        elif first != index:
            left_out.append((video.path, _REPEATED.format(videos[first].path.name)))
        else:
            counted.append(video)
    return counted, left_out


def _find_first_alike(videos: Sequence[ReferenceVideo]) -> list[int]:
    """Of each video the first one, by index, that it is alike over any chain of alike ones."""
    first = list(range(len(videos)))

    def find(index: int) -> int:
        while first[index] != index:
            index = first[index]
        return index

    def join(one: int, other: int) -> None:
        low, high = sorted((find(one), find(other)))
        first[high] = low

    same: dict[str, int] = {}
    for index, video in enumerate(videos):
        join(index, same.setdefault(video.sha256, index))
    for pair in find_near_duplicates([video.fingerprint for video in videos], [str(i) for i in range(len(videos))]):
        join(pair.first, pair.second)
    return [find(index) for index in range(len(videos))]


def describe_reference(
    recordings: Sequence[ReferenceVideo], left_out: Sequence[PassedOver], folder: Path, items: CalibrationItems
) -> ReferenceFacts:
    """The facts of a reference.

    Raises:
        BenchError: Fewer than `FEWEST` recordings count.
    """
    if len(recordings) < FEWEST:
        raise BenchError(
            f"{folder} holds {len(recordings)} recordings that count as a reference; {FEWEST} are needed.",
            hint="Add recordings of the case's conditions that show other pictures; what was left out is named above.",
        )
    scores = [float(video.score) for video in recordings if video.score is not None]
    return ReferenceFacts(
        scores=tuple(scores),
        sha256=tuple(video.sha256 for video in recordings),
        left_out=tuple(left_out),
        shift=float(np.mean(scores)) - _mean_of_reals(items),
    )


def _mean_of_reals(items: CalibrationItems) -> float:
    """Mean score of the reals; people weigh alike."""
    reals = items.select(items.labels == 0)
    return float(share_evenly(reals.subjects) @ reals.scores)


def load_items(folder: Path) -> CalibrationItems:
    """The scores that the calibration of a detector was fitted on.

    Raises:
        BenchError: Its folder does not hold them.
    """
    if not (folder / FILE).is_file():
        raise BenchError(
            f"{folder} does not hold the scores that its calibration was fitted on, {FILE}.",
            hint="A detector of this release has them: train it again, or use --detector shipped.",
        )
    return CalibrationScores.load(folder / FILE).items


def recalibrate(card: DetectorCard, items: CalibrationItems, reference: ReferenceFacts) -> DetectorCard:
    """The card with the calibration of videos for a reference's conditions; that of pairs stays."""
    fakes = items.select(items.labels == 1)
    count = reference.recordings
    combined = CalibrationItems(
        np.concatenate([np.zeros(count, np.int64), fakes.labels]),
        np.concatenate([np.array(reference.scores), fakes.scores + reference.shift]),
        np.concatenate([[f"recording {index}" for index in range(count)], fakes.subjects]),
        np.concatenate([[""] * count, fakes.methods]),
        unseen=items.unseen,
    )
    uncertainty = measure_uncertainty(combined)
    told = not isinstance(uncertainty, str)
    calibration = Calibrations(
        video=fit_calibration(combined),
        pair=card.calibration.pair,
        uncertainty=uncertainty if told else None,
        uncertainty_reason=None if told else uncertainty,
    )
    return card.model_copy(update={"calibration": calibration})


def measure_again(logits: Sequence[float], llr: float, card: DetectorCard, recordings: int) -> dict[str, Any]:
    """The fields of a score by a card that was calibrated for a reference.

    Args:
        logits: Of the video's pairs, in order of time.
        llr: By the detector's own calibration.
        card: The recalibrated one.
        recordings: Of the reference.
    """
    return measure_ratio(np.asarray(logits, np.float64), card) | {
        "calibration": describe_calibration(card.calibration.video),
        "bounds": card.calibration.video.bounds,
        "reference": ReferenceEffect(recordings=recordings, llr_without=llr),
    }


def measure_shift_again(recorded: ReferenceFacts, items: CalibrationItems) -> ReferenceFacts:
    """A recorded reference with what follows from its scores computed again."""
    return recorded.model_copy(update={"shift": float(np.mean(recorded.scores)) - _mean_of_reals(items)})
