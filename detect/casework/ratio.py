"""The likelihood ratio of a video: its score and the card's calibration in; ratio, bounds and intervals out.

Two intervals of 95% stand beside the ratio. One is the video's own: how far the ratio varies with other frames of it.
The other is the calibration's: what it would be with other people, and for a method that none of the calibration's is.
Both end where the ratio ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dancebench.core.schema import Strict
from dancebench.detect.casework.uncertainty import MIN_BLOCKS, block_jackknife, count_blocks
from dancebench.detect.evaluation.calibration import Calibration
from dancebench.detect.evaluation.likelihood_ratios.bounds import bound_by_people
from dancebench.detect.evaluation.likelihood_ratios.uncertainty import UNTOLD
from dancebench.detect.protocol.card import DetectorCard


class ScoreInterval(Strict):
    """95% confidence interval of a video's likelihood ratio."""

    low: float
    high: float
    method: str


class CalibrationFacts(Strict):
    """Calibration of the likelihood ratio."""

    temperature: float
    offset: float
    subjects: int
    """Number of validation people it was fitted on."""
    methods: tuple[str, ...] | None
    """Of the fakes it was fitted on; None where the card does not tell."""
    unseen_methods: tuple[str, ...] | None
    """Those of them that the detector did not see."""
    separable: bool
    caution: str | None
    """What cannot be excluded if reals and fakes of those people were separated without error."""


def describe_calibration(calibration: Calibration) -> CalibrationFacts:
    """What a score tells of its calibration."""
    caution = "reals and fakes of the validation set were separated without error: over-confidence cannot be excluded"
    return CalibrationFacts(
        temperature=calibration.temperature,
        offset=calibration.offset,
        subjects=calibration.subjects,
        methods=calibration.methods,
        unseen_methods=calibration.unseen_methods,
        separable=calibration.separable,
        caution=caution if calibration.separable else None,
    )


def measure_ratio(logits: npt.NDArray[np.float64], card: DetectorCard) -> dict[str, Any]:
    """Compute score and likelihood ratio from the logits of the pairs in order of time (N,): fields of a score."""
    calibration = card.calibration.video
    score = card.rule(logits)
    unbounded = float(calibration.unbounded_llr([score])[0])
    return {
        "score": score,
        "llr": float(calibration.llr([score])[0]),
        "unbounded_llr": unbounded,
        "bound": calibration.bounds.find_holding(unbounded),
        "above_threshold": score > card.thresholds.video,
        **_measure_own_interval(logits, card),
        **_measure_calibration_interval(unbounded, card),
    }


def _measure_own_interval(logits: npt.NDArray[np.float64], card: DetectorCard) -> dict[str, Any]:
    found = block_jackknife(card.rule, logits)
    if found is None:
        reason = f"{len(logits)} pairs make {count_blocks(len(logits))} blocks of time, {MIN_BLOCKS} are needed"
        return {"llr_interval": None, "llr_interval_reason": reason}
    low, high = card.calibration.video.llr([found.low, found.high]).tolist()
    method = f"delete-block jackknife, {found.blocks} blocks of time, Student t"
    return {"llr_interval": ScoreInterval(low=low, high=high, method=method), "llr_interval_reason": None}


def _measure_calibration_interval(unbounded: float, card: DetectorCard) -> dict[str, Any]:
    uncertainty, bounds = card.calibration.uncertainty, card.calibration.video.bounds
    if uncertainty is None:
        return {"calibration_interval": None, "calibration_interval_reason": card.calibration.uncertainty_reason}
    low, high = np.clip(uncertainty.interval(unbounded), bounds.real.llr, bounds.synthesized.llr).tolist()
    interval = ScoreInterval(low=low, high=high, method=uncertainty.described)
    return {"calibration_interval": interval, "calibration_interval_reason": None}


def tell_bounds(video: dict[str, Any]) -> dict[str, Any]:
    """The fields of a score before version 4 of a report as that version has them: it ended at ln(people + 1)."""
    calibration, score = video["calibration"], video["score"]
    people = calibration["subjects"]
    bounds = bound_by_people(people, people)
    unbounded = None if score is None else (score - calibration["offset"]) / calibration["temperature"]
    holding = None if unbounded is None else bounds.find_holding(unbounded)
    return video | {
        "calibration": {"methods": None, "unseen_methods": None} | calibration,
        "bounds": bounds.model_dump(mode="json"),
        "bound": None if holding is None else holding.model_dump(mode="json"),
        "unbounded_llr": unbounded,
        "calibration_interval_reason": None if unbounded is None else UNTOLD,
    }
