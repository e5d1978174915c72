"""When a detector abstains: a prepared video and its distance from the training videos in; reasons in words out."""

from __future__ import annotations

from dancebench.datasets.video.notes import missing_share
from dancebench.detect.casework.prepare import PreparedVideo
from dancebench.detect.evaluation.training_domain import SHOWN, OutOfDistribution
from dancebench.detect.protocol.card import NO_TRAINING_DOMAIN, LoadedDetector

MIN_PAIRS = 4
"""With fewer pairs the detector abstains: the score rests on too few frames."""
SLOW = 0.5
"""Share of the lowest training frame rate below which consecutive frames differ by more than in training."""

MAX_DAMAGED = 0.1
"""Share of damaged, lost and missing frames beyond which the detector abstains."""


def list_reasons_to_abstain(
    prepared: PreparedVideo, loaded: LoadedDetector, n_pairs: int, distance: OutOfDistribution | None
) -> list[str]:
    """Why the likelihood ratio should not be relied on, in words; empty for a video within the training domain.

    Whatever the distance from the training videos: who has never seen camera footage abstains.
    """
    clips, size, inspection = loaded.card.clip_format, loaded.detector.config.size, prepared.found
    reasons = []
    if "camera" not in loaded.card.pictures:
        only_drawn = (
            "it has only ever seen drawn people"
            if loaded.detector.LEARNS
            else "its threshold and calibration come from drawn people"
        )
        reasons.append(
            f"the detector says nothing of camera footage: {only_drawn}"
            if loaded.card.pictures
            else "the card of the detector does not say whether it has ever seen camera footage"
        )
    if distance is None:
        reasons.append(f"nobody can say how far it lies from the training videos of the detector: {NO_TRAINING_DOMAIN}")
    elif distance.outside:
        named = ", ".join(deviation.feature for deviation in distance.furthest[:SHOWN])
        reasons.append(
            "it is unlike the videos that the detector was trained on: out-of-distribution distance "
            f"{distance.distance:.3g}, limit {distance.limit:.3g}; largest deviations in {named}"
        )
    if n_pairs < MIN_PAIRS:
        reasons.append(f"only {n_pairs} pairs of frames were scored, fewer than {MIN_PAIRS}")
    if inspection.info.fps < SLOW * clips.fps_min:
        reasons.append(
            f"its {inspection.info.fps:.3g} frames per second are far below the {clips.fps_min:.3g} of training: "
            "consecutive frames differ by more than in training"
        )
    if (share := missing_share(inspection)) > MAX_DAMAGED:
        reasons.append(f"{share:.0%} of its frames are damaged or lost")
    padded = 0 if clips.view == "native" else prepared.facts.padded  # a native view is never filled
    if padded:
        reasons.append(
            f"in {padded} of {len(prepared.times)} frames the {clips.view} is smaller than the view of "
            f"{size[1]}x{size[0]}: black surrounds it"
        )
    return reasons
